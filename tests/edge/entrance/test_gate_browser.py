"""The gate page in a real browser: an alarm comes in by itself, a button reaches the device, both languages."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

from drivers.base import SetAlarm
from tests.edge.bed import Bed, standard_rows, until, write_replica
from tests.edge.entrance.doors import Hall, book

pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


@pytest.fixture
def hall() -> Hall:
    """An empty hall."""
    return Hall()


@pytest.fixture
async def bed(tmp_path: Path, hall: Hall) -> AsyncIterator[Bed]:
    """An edge with a security gate, served over HTTP."""
    write_replica(tmp_path, standard_rows())
    async with hall.bed(tmp_path, ("eas1", "eas", {})) as running:
        await running.serve()
        await until(lambda: running.agent.devices.records["eas1"].state == "online")
        yield running


@pytest.fixture
async def page(bed: Bed) -> AsyncIterator[Page]:
    """The page; fails where a script of it fails."""
    if CHROMIUM is None:
        reason = "no chromium: apt-get install chromium fonts-noto-cjk"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    wrong: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        shown = await browser.new_page()
        shown.on("pageerror", lambda error: wrong.append(str(error)))
        await shown.goto(f"{bed.http}/gate")
        yield shown
        await browser.close()
    assert wrong == []


async def test_staff_see_an_alarm_and_switch_it_off(page: Page, bed: Bed, hall: Hall) -> None:
    await expect(page.locator("#no-notes")).to_be_visible()
    hall.at["eas1"].carry(book("1001"))
    hall.at["eas1"].people(12, 7)
    alarm = page.locator("#notes tr.alarm")
    await expect(alarm).to_contain_text("书名 1001")
    await expect(alarm.locator(".what")).to_have_text("未办理借阅")
    await expect(page.locator("#devices")).to_contain_text("进 12 · 出 7")
    await page.get_by_role("button", name="English").click()
    await expect(alarm.locator(".what")).to_have_text("Not borrowed")
    await page.get_by_role("button", name="Alarm off").click()
    await expect(page.locator("#status")).to_have_text("eas1 · Alarm off: Done")
    assert hall.at["eas1"].done == [SetAlarm(False)]
