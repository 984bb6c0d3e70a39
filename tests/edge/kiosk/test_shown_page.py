"""The kiosk's page in a real browser beside a cardreader and a scanner: it knows a name of what was shown, and nothing more."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

from tests.edge.bed import PIN, until
from tests.edge.kiosk.hearing import HIGH, LOW, NUMBERS, PARTNER, Kiosk, kiosk_bed
from tests.edge.pads import book, kiosk_of, quiet, seen

pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


@pytest.fixture
async def kiosk(tmp_path: Path) -> AsyncIterator[Kiosk]:
    """A kiosk whose hub is away."""
    async with kiosk_bed(tmp_path) as running:
        yield running


@pytest.fixture
async def page(kiosk: Kiosk) -> AsyncIterator[Page]:
    """The page on a touch screen; fails where it logs an error, or where a number of a card or reader got into it."""
    if CHROMIUM is None:
        reason = "no chromium: apt-get install chromium fonts-noto-cjk"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    wrong: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        shown = await browser.new_page(viewport={"width": 1280, "height": 800}, has_touch=True)
        shown.on("pageerror", lambda error: wrong.append(str(error)))
        shown.on(
            "console", lambda said: wrong.append(said.text) if said.type == "error" and "403" not in said.text else None
        )
        async with shown.expect_response("**/kiosk/api/end"):
            await shown.goto(f"{kiosk.bed.http}/kiosk")
        await until(lambda: kiosk_of(kiosk.bed).changes.streams)
        await expect(shown.locator("#offline")).to_be_visible()
        yield shown
        html = await shown.content()
        await browser.close()
    assert wrong == []
    assert [number for number in NUMBERS if number in html] == []


async def type_pin(page: Page, pin: str) -> None:
    """On the screen's own keys."""
    for digit in pin:
        await page.get_by_role("button", name=digit, exact=True).tap()
    await page.tap("#sign-in .main")


async def test_a_card_of_high_assurance_opens_the_stack_from_the_welcome(kiosk: Kiosk, page: Page) -> None:
    await kiosk.hold_out(HIGH)
    await expect(page.locator("#stack")).to_be_visible()
    await expect(page.locator("#who")).to_contain_text("在借")
    await kiosk.tap(PARTNER)  # the next reader is early
    await quiet(0.3)
    await expect(page.locator("#stack")).to_be_visible()
    assert len(kiosk_of(kiosk.bed)._sessions) == 1
    await page.tap("#leave")
    await expect(page.locator("#home")).to_be_visible()
    await quiet(0.3)
    await expect(page.locator("#home")).to_be_visible()
    assert kiosk.name is None


async def test_a_card_of_low_assurance_is_asked_for_its_pin(kiosk: Kiosk, page: Page) -> None:
    await kiosk.hold_out(LOW)
    await expect(page.locator("#shown-pin")).to_have_text("已读取，请输入密码")
    await expect(page.locator("#number")).to_be_hidden()
    await expect(page.locator("#sign-in-refusal")).to_be_empty()
    await page.tap("#sign-in h1")  # the field loses the focus, what is typed is a PIN all the same
    await page.get_by_role("button", name="1", exact=True).tap()
    kiosk.pads.put(book("1001", 1))  # the page hears of the pad meanwhile
    await seen(kiosk.bed.agent.pads["pad1"], 1)
    await quiet(0.3)
    await expect(page.locator("#pin")).to_have_value("1")
    await page.tap("#sign-in .main")
    await expect(page.locator("#sign-in-refusal")).to_contain_text("密码错误")
    await type_pin(page, PIN)
    await expect(page.locator("#stack")).to_be_visible()


async def test_a_card_that_nobody_knows_leaves_the_number_to_be_typed(kiosk: Kiosk, page: Page) -> None:
    await kiosk.hold_out("04FFEE01")
    await expect(page.locator("#sign-in-refusal")).not_to_be_empty()
    await expect(page.locator("#number")).to_be_visible()
    await kiosk.hold_out(HIGH)
    await expect(page.locator("#stack")).to_be_visible()


async def test_a_number_is_scanned_where_one_is_asked_for_and_nowhere_else(kiosk: Kiosk, page: Page) -> None:
    await expect(page.locator("#show-hint")).to_have_text("也可以直接刷卡或扫描证号")
    await kiosk.hold_under("SCANNED-77")
    await quiet(0.3)
    await expect(page.locator("#home")).to_be_visible()
    await page.tap("#go-borrow")
    await page.fill("#number", "HALF")
    await kiosk.hold_under("SCANNED-77")
    await expect(page.locator("#shown-pin")).to_be_visible()
    await expect(page.locator("#number")).to_have_value("")
    await page.tap("#sign-in [data-go]")  # back: what was scanned is forgotten
    await until(lambda: kiosk.name is None)
    await page.tap("#go-borrow")
    await expect(page.locator("#number")).to_be_visible()
    await kiosk.hold_under("SCANNED-77")
    await expect(page.locator("#shown-pin")).to_be_visible()
    await type_pin(page, PIN)
    await expect(page.locator("#stack")).to_be_visible()
