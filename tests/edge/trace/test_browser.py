"""The trace pages in a browser: live, paused, filtered, in two languages, accessible."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Opened
from tests.edge.trace.conftest import NUMBER, PIN, TOKEN, site
from tests.edge.trace.test_pages import KIOSK

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_a_kiosk_is_found_followed_paused_and_filtered(opened: Opened) -> None:
    async with site() as one, opened() as watched:
        page = watched.page
        kiosk = one.kiosk()
        await kiosk.connect()
        await page.goto(f"{one.url}/trace")
        await expect(page.get_by_text("已连接")).to_be_visible()
        row = page.get_by_role("row").filter(has_text=KIOSK)
        await expect(row).to_contain_text("CR (自动识别)")
        await expect(row).to_contain_text("utf-8 (暂定)")
        await expect(page.get_by_role("row").filter(has_text="sorter1")).to_contain_text("gb18030 (已设定)")
        await page.get_by_role("link", name=KIOSK).click()
        rows = page.locator("#lines tr")
        await expect(rows.first).to_contain_text("98")
        reader = await kiosk.session(NUMBER, PIN)
        await reader.checkout("0012345678")
        await expect(rows.first).to_contain_text("借书应答")
        await expect(rows.first).to_contain_text(" ms")

        await page.get_by_role("button", name="暂停").click()
        await kiosk.checkin("0012345678")
        await expect(page.get_by_role("status")).to_contain_text("2 条待显示")
        await expect(rows.first).to_contain_text("借书应答")
        await page.get_by_role("button", name="继续").click()
        await expect(rows.first).to_contain_text("还书应答")

        await page.get_by_label("筛选").fill("借书")
        await expect(rows).to_have_count(2)
        await page.get_by_label("筛选").fill("")
        await page.get_by_role("button", name="English").click()
        await expect(rows.first).to_contain_text("Checkin Response")
        assert NUMBER not in await page.content()
        async with page.expect_download() as waiting:
            await page.get_by_role("link", name="Download for support").click()
        assert (await waiting.value).suggested_filename == f"sip2-trace-{KIOSK}.txt"
        await kiosk.close()


async def test_staff_sign_in_with_the_token(opened: Opened) -> None:
    async with site(token=TOKEN) as one, opened(allowed=("401",)) as watched:
        page = watched.page
        await page.goto(f"{one.url}/trace")
        await page.get_by_label("访问令牌").fill("wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_have_text("令牌不对")
        await page.get_by_label("访问令牌").fill(TOKEN)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="自助机通信记录")).to_be_visible()
