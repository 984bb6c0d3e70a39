"""Chromium over a running hub. Without chromium these tests are skipped, and fail where CI=true."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from tests.hub.api import world
from tests.hub.api.hubside import Hub, running

CHROMIUM = shutil.which("chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        reason = "no chromium: apt-get install chromium fonts-noto-cjk"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def hub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    async with running(tmp_path_factory.mktemp("console")) as found:
        yield found


@dataclass
class Watched:
    """A page, and everything about it that must not be."""

    page: Page
    faults: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)


Opened = Callable[..., AbstractAsyncContextManager[Watched]]


@pytest.fixture
def opened(chromium: Browser) -> Opened:
    """Opens a page; when it closes, nothing may have gone elsewhere and nothing may stand in the console."""

    @asynccontextmanager
    async def open_page(*, allowed: tuple[str, ...] = (), **context: Any) -> AsyncIterator[Watched]:
        options = {"viewport": {"width": 1280, "height": 800}, "locale": "zh-CN", **context}
        one = await chromium.new_context(**options)
        watched = Watched(await one.new_page())
        watched.page.on("request", lambda request: watched.hosts.add(urlsplit(request.url).hostname or ""))
        watched.page.on("pageerror", lambda error: watched.faults.append(str(error)))
        watched.page.on(
            "console", lambda said: watched.faults.append(said.text) if said.type in ("error", "warning") else None
        )
        try:
            yield watched
        finally:
            await one.close()
        assert watched.hosts <= {"127.0.0.1"}
        assert [fault for fault in watched.faults if not any(text in fault for text in allowed)] == []

    return open_page


async def sign_in(page: Page, url: str, password: str = world.STAFF[1]) -> None:
    """Sign in as a person does."""
    await page.goto(f"{url}/login")
    await page.get_by_label("用户名").or_(page.get_by_label("Username")).fill(world.STAFF[0])
    await page.get_by_label("密码").or_(page.get_by_label("Password")).fill(password)
    await page.keyboard.press("Enter")
    if password == world.STAFF[1]:
        await page.wait_for_url(f"{url}/")
