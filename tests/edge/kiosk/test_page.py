"""The kiosk's page in a real browser: what a reader sees and presses, and that nothing leaves this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, async_playwright, expect

from firmware_sim.branch_client import SimBranchClient
from tests.edge.bed import PIN, Bed, Machines, make_config, standard_rows, tag, until, write_replica

pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
UID, REFERENCE = "E004010000001001", "E004010000001011"


@pytest.fixture
async def bed(tmp_path: Path, machines: Machines) -> AsyncIterator[Bed]:
    """An edge with a pad, served over HTTP; its hub is away."""
    write_replica(tmp_path, standard_rows())
    async with Bed(make_config(tmp_path, devices=machines.devices("pad1"))) as running:
        await running.serve()
        await until(lambda: running.agent.pads["pad1"].online)
        yield running


@pytest.fixture
async def player(machines: Machines) -> AsyncIterator[SimBranchClient]:
    """A reader's hands; the pad is empty afterwards."""
    client = machines.client()
    await client.connect()
    yield client
    for uid in (UID, REFERENCE):
        await client.lift(uid)
    await client.close()


@pytest.fixture
async def page(bed: Bed) -> AsyncIterator[Page]:
    """The page on a touch screen; fails where it asks anything of another host or logs an error."""
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
        shown.on(
            "request",
            lambda asked: (
                wrong.append(asked.url)
                if urlsplit(asked.url).scheme != "data" and urlsplit(asked.url).hostname != "127.0.0.1"
                else None
            ),
        )
        await shown.goto(f"{bed.http}/kiosk")
        yield shown
        await browser.close()
    assert wrong == []


async def sign_in(page: Page, pin: str) -> None:
    """Type number and PIN, the PIN on the screen's own keys."""
    await page.tap("#go-borrow")
    await page.fill("#number", "R1")
    await page.tap("#pin")
    for digit in pin:
        await page.get_by_role("button", name=digit, exact=True).tap()
    await page.tap("#sign-in .main")


async def test_a_wrong_pin_keeps_the_door_shut_and_says_why(page: Page) -> None:
    await sign_in(page, "1111")
    await expect(page.locator("#sign-in-refusal")).to_contain_text("密码错误")
    await expect(page.locator("#pin")).to_have_value("")


async def test_a_stack_is_borrowed_and_returned_by_finger(bed: Bed, page: Page, player: SimBranchClient) -> None:
    await expect(page.locator("#offline")).to_contain_text("仍可还书")
    await sign_in(page, PIN)
    await expect(page.locator("#empty")).to_be_visible()
    await player.place(UID, dsfid=0x3E, afi=0x07, blocks=tag("1001"))
    await player.place(REFERENCE, dsfid=0x3E, afi=0x07, blocks=tag("1011"))
    await expect(page.locator("#items li")).to_have_count(2)
    await expect(page.locator("#items .ok")).to_contain_text("书名 1001")
    await expect(page.locator("#items .no")).to_contain_text("仅限馆内阅览")
    await page.tap("#act")
    await expect(page.locator("#results .ok")).to_contain_text("借出成功")
    await expect(page.locator("#results .no")).to_contain_text("仅限馆内阅览")
    assert {row["uid"]: row["afi"] for row in await player.pad()} == {UID: 0xC2, REFERENCE: 0x07}
    await page.tap("#lang")
    await page.tap("#done")
    await player.lift(REFERENCE)
    await page.tap("#go-return")
    await expect(page.locator("#items li")).to_have_count(1)
    await page.tap("#act")
    await expect(page.locator("#results .ok")).to_contain_text("Returned")
    assert [row["afi"] for row in await player.pad()] == [0x07]
    assert bed.agent.kiosk is not None
    assert bed.agent.kiosk._sessions == {}  # "done" signed the reader out


async def test_every_button_can_be_hit_and_fits_the_screen(page: Page) -> None:
    await page.tap("#go-borrow")
    await page.get_by_role("button", name="字母").tap()
    for button in await page.get_by_role("button").all():
        box = await button.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 64, await button.text_content()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 1280
        assert box["y"] + box["height"] <= 800
