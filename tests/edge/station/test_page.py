"""The station's page in a real browser: scan, Enter, next book, with the keyboard alone; nothing leaves this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, async_playwright, expect

from protocols.iso28560 import decode_tag
from tests.edge.bed import Bed
from tests.edge.pads import ON_LOAN, Pads, blank, book, edge_over, seen
from tests.make import HOST

pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
TOKEN = "a-token-of-more-than-24-characters"


@pytest.fixture
async def pads(tmp_path: Path) -> AsyncIterator[Pads]:
    made = Pads(tmp_path)
    yield made
    made.close()


@pytest.fixture
async def bed(tmp_path: Path, pads: Pads) -> AsyncIterator[Bed]:
    async with edge_over(tmp_path, pads, trace_token=TOKEN) as running:
        await running.serve()
        yield running


@pytest.fixture
async def page(bed: Bed) -> AsyncIterator[Page]:
    """The page, signed in; fails where it asks anything of another host or logs an error."""
    if CHROMIUM is None:
        reason = "no chromium: apt-get install chromium fonts-noto-cjk"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    wrong: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        shown = await browser.new_page(viewport={"width": 1280, "height": 800})
        shown.on("pageerror", lambda error: wrong.append(str(error)))
        shown.on(
            "console", lambda said: wrong.append(said.text) if said.type == "error" and "409" not in said.text else None
        )
        shown.on(
            "request",
            lambda asked: (
                wrong.append(asked.url)
                if urlsplit(asked.url).scheme != "data" and urlsplit(asked.url).hostname != "127.0.0.1"
                else None
            ),
        )
        await shown.goto(f"{bed.http}/station")
        await shown.fill("input[name=token]", TOKEN)
        await shown.keyboard.press("Enter")
        await expect(shown.locator("#item")).to_be_focused()
        yield shown
        await browser.close()
    assert wrong == []


async def test_books_are_encoded_by_scanner_and_enter_alone(bed: Bed, pads: Pads, page: Page) -> None:
    for chip, number in ((1, "1001"), (2, "1002")):
        pads.put(blank(chip))
        await expect(page.locator("#tags tr")).to_have_count(1)
        await expect(page.locator("#tags")).to_contain_text("空白标签")
        await page.keyboard.type(number)
        await page.keyboard.press("Enter")
        await expect(page.locator("#said")).to_contain_text(f"书名 {number}")
        await expect(page.locator("#tags")).to_contain_text("在馆")
        await expect(page.locator("#item")).to_be_focused()
        tag = pads.store.get(f"E00401{chip:010X}")
        assert tag is not None
        assert decode_tag(bytes(tag.blocks), dsfid=tag.dsfid, afi=tag.afi).pii == number
        pads.take(chip)
        await expect(page.locator("#empty")).to_be_visible()


async def test_findings_owners_and_repair_in_english(bed: Bed, pads: Pads, page: Page) -> None:
    pads.put(book("1001", 1, afi=ON_LOAN), book("2002", 2, owner=""))
    await seen(bed.agent.pads["pad1"], 2)
    await page.click("#lang")
    await expect(page.locator("#tags")).to_contain_text("In stock, but the tag is silent")
    await page.select_option("#tags select", HOST)
    await expect(page.locator("#tags")).to_contain_text(f"Library {HOST}")
    await page.fill("#item", "1003")
    await page.keyboard.press("Enter")
    await expect(page.locator("#said")).to_contain_text("Several tags lie there")
    await page.get_by_role("button", name="Write this one").first.click()
    await page.keyboard.press("Enter")
    await expect(page.locator("#said")).to_contain_text("names another item (251020:1001)")
    await page.click("#repair")
    await expect(page.locator("#said")).to_contain_text("Repaired 2")
    await expect(page.locator("#tags")).not_to_contain_text("silent)")
