"""The staff console in a real browser: sign-in, the overview, the feed, silence, both languages, small screens, the keyboard."""

from __future__ import annotations

import asyncio
import time

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Opened, sign_in
from tests.hub.api import world
from tests.hub.api.hubside import Hub, running

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.browser]

PAGES = ["loans", "transits", "devices", "refusals", "conflicts"]


@pytest.mark.parametrize("path", ["", *PAGES])
async def test_a_stranger_is_sent_to_the_sign_in(hub: Hub, opened: Opened, path: str) -> None:
    async with opened() as seen:
        await seen.page.goto(f"{hub.url}/{path}")
        await expect(seen.page.get_by_role("heading", name="馆员登录")).to_be_visible()


async def test_a_wrong_password_keeps_the_name_and_says_what_is_wrong(hub: Hub, opened: Opened) -> None:
    async with opened(allowed=("401",)) as seen:
        await sign_in(seen.page, hub.url, "wrong")
        await expect(seen.page.get_by_role("alert")).to_contain_text("用户名或密码不对")
        await expect(seen.page.get_by_label("用户名")).to_have_value(world.STAFF[0])
        await expect(seen.page.get_by_label("密码")).to_be_focused()


async def test_signing_in_leads_where_one_wanted_to_go_and_out_again(hub: Hub, opened: Opened) -> None:
    async with opened() as seen:
        await seen.page.goto(f"{hub.url}/transits")
        await seen.page.get_by_label("用户名").fill(world.STAFF[0])
        await seen.page.get_by_label("密码").fill(world.STAFF[1])
        await seen.page.get_by_role("button", name="登录").click()
        await expect(seen.page).to_have_url(f"{hub.url}/transits")
        await seen.page.get_by_role("button", name="退出").click()
        await expect(seen.page).to_have_url(f"{hub.url}/login")
        await seen.page.goto(hub.url)
        await expect(seen.page).to_have_url(f"{hub.url}/login")


async def test_an_event_appears_in_the_feed_as_it_happens(hub: Hub, opened: Opened) -> None:
    async with opened() as seen:
        await sign_in(seen.page, hub.url)
        await expect(seen.page.locator("#feed-state")).to_contain_text("实时")
        began = time.monotonic()
        hub.edges[world.YLG].lend(hub.clock(), world.item(world.YLG, 16), hub.rids[world.CQU][8], world.CQU)
        await hub.take_in()
        first = seen.page.locator("#feed li").first
        await expect(first).to_contain_text(world.TITLES[16])
        assert time.monotonic() - began < 2
        await expect(first).to_contain_text("借出")
        await expect(first).to_contain_text("渝林主馆")
        arrived, happened = await first.get_attribute("data-t-arr"), await first.get_attribute("data-t-eff")
        assert arrived is not None
        assert happened is not None
        assert arrived >= happened
        await expect(seen.page.locator("#count-loans")).to_have_text(await open_loans(hub), timeout=8000)


async def open_loans(hub: Hub) -> str:
    return str((await hub.get("/api/v1/overview")).json()["counts"]["open_loans"])


async def test_a_paused_feed_holds_what_arrives_and_shows_it_afterwards(hub: Hub, opened: Opened) -> None:
    async with opened() as seen:
        await sign_in(seen.page, hub.url)
        await expect(seen.page.locator("#feed-state")).to_contain_text("实时")
        # What earlier tests made may still be on its way to this page.
        newest = str((await hub.worker.feed.since(0, 10_000))[-1]["pos"])
        await expect(seen.page.locator("#feed li").first).to_have_attribute("data-pos", newest)
        await seen.page.get_by_role("button", name="暂停").click()
        for n in range(3):
            hub.edges[world.YLG].refuse(hub.clock() + n, "CARD_LOST", world.CQU)
        await hub.take_in()
        await expect(seen.page.locator("#feed-state")).to_contain_text("积压 3 条")
        assert await seen.page.locator("#feed li").first.get_attribute("data-pos") == newest
        await seen.page.get_by_role("button", name="继续").click()
        await expect(seen.page.locator("#feed li").first).to_contain_text("此卡已挂失")
        assert await seen.page.locator("#feed li").first.get_attribute("data-pos") == str(int(newest) + 3)


async def test_an_offline_branch_shows_since_when_and_its_devices_are_never_online(hub: Hub, opened: Opened) -> None:
    async with opened() as seen:
        await sign_in(seen.page, hub.url)
        branch = seen.page.locator("[data-branch='990002-01']")
        await expect(branch).to_contain_text("离线")
        await expect(branch).to_contain_text("最后收到")
        device = seen.page.locator("[data-device='edge-990002-01/gate1']")
        await expect(device).to_contain_text("未知")
        await expect(device.locator("time")).to_have_count(2)
        assert "最后报告 在线" in await device.inner_text()
        degraded = seen.page.locator("[data-device='edge-251020-01/pad1']")
        await expect(degraded).to_contain_text("▲降级")


async def test_a_branch_that_goes_away_is_shown_at_once(hub: Hub, opened: Opened) -> None:
    async with opened() as seen:
        await sign_in(seen.page, hub.url)
        branch = seen.page.locator("[data-branch='990001-01']")
        await expect(branch).to_contain_text("在线")
        await expect(seen.page.locator("#feed-state")).to_contain_text("实时")
        await hub.goes_away(world.YLG)
        await expect(branch).to_contain_text("离线", timeout=2000)
        await hub.devices_say(world.YLG, world.devices(hub.clock()))


async def test_what_cannot_be_fetched_looks_old(hub: Hub, opened: Opened) -> None:
    async with opened(allowed=("ERR_FAILED", "Failed to load")) as seen:
        await sign_in(seen.page, hub.url)
        await seen.page.route("**/fragment/**", lambda route: route.abort())
        await expect(seen.page.locator("#now")).to_have_class("stale", timeout=8000)


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_speaks_both_languages(hub: Hub, opened: Opened, path: str) -> None:
    async with opened() as seen:
        await sign_in(seen.page, hub.url)
        await seen.page.goto(f"{hub.url}/{path}")
        await expect(seen.page.locator("html")).to_have_attribute("lang", "zh-CN")
        await expect(seen.page.locator("main tbody tr").first).to_be_visible()
        await seen.page.get_by_role("link", name="English").click()
        await expect(seen.page).to_have_url(f"{hub.url}/{path}")
        await expect(seen.page.locator("html")).to_have_attribute("lang", "en")
        await expect(seen.page.locator("main h1")).to_have_text(path.capitalize())


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_no_page_is_wider_than_a_phone(hub: Hub, opened: Opened, scheme: str) -> None:
    async with opened(viewport={"width": 390, "height": 844}, color_scheme=scheme, has_touch=True) as seen:
        await sign_in(seen.page, hub.url)
        for path in ["", *PAGES]:
            await seen.page.goto(f"{hub.url}/{path}")
            assert await seen.page.evaluate("document.documentElement.scrollWidth") <= 390, path


async def test_the_keyboard_reaches_the_content_and_shows_where_it_is(hub: Hub, opened: Opened) -> None:
    async with opened() as seen:
        await sign_in(seen.page, hub.url)
        await expect(seen.page.locator("#feed-state")).to_contain_text("实时")
        await seen.page.keyboard.press("Tab")
        await expect(seen.page.get_by_role("link", name="跳到正文")).to_be_focused()
        await seen.page.keyboard.press("Tab")
        outline = await seen.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        for _ in range(60):
            await seen.page.keyboard.press("Tab")
            if await seen.page.evaluate("document.activeElement.id") == "feed-pause":
                break
        await seen.page.keyboard.press("Space")
        await expect(seen.page.locator("#feed-pause")).to_have_attribute("aria-pressed", "true")


async def test_filters_and_pages_lead_through_a_list(hub: Hub, opened: Opened) -> None:
    async with opened() as seen:
        await sign_in(seen.page, hub.url)
        await seen.page.goto(f"{hub.url}/loans?limit=5")
        rows = seen.page.locator("main tbody tr")
        await expect(rows).to_have_count(5)
        first = await rows.first.inner_text()
        await seen.page.get_by_role("link", name="下一页").click()
        assert await rows.first.inner_text() != first
        await seen.page.goto(f"{hub.url}/loans")
        await seen.page.get_by_label("逾期").check()
        await seen.page.get_by_role("button", name="应用").click()
        await expect(rows).to_have_count(5)
        assert await seen.page.get_by_text("▲ 逾期").count() == 5
        await seen.page.goto(f"{hub.url}/refusals")
        await seen.page.get_by_label("原因").select_option("CARD_UNKNOWN")
        await seen.page.get_by_role("button", name="应用").click()
        await expect(rows).to_have_count(1)
        await expect(rows).to_contain_text("未识别的卡")


async def test_a_filter_that_is_none_is_said_plainly(hub: Hub, opened: Opened) -> None:
    async with opened(allowed=("422",)) as seen:
        await sign_in(seen.page, hub.url)
        await seen.page.goto(f"{hub.url}/loans?colour=red")
        await expect(seen.page.get_by_role("alert")).to_contain_text("FILTER_UNKNOWN")
        await seen.page.get_by_role("link", name="清除").click()
        await expect(seen.page.locator("main tbody tr").first).to_be_visible()


async def test_an_empty_hub_says_what_to_do(tmp_path_factory: pytest.TempPathFactory, opened: Opened) -> None:
    async with running(tmp_path_factory.mktemp("empty"), day=False) as empty, opened() as seen:
        await sign_in(seen.page, empty.url)
        await expect(seen.page.locator("#now")).to_contain_text("还没有设备报到")
        await expect(seen.page.locator("#feed-empty")).to_contain_text("还没有动态")
        assert await texts(seen.page, ".branch .state") == ["○未接入"] * 3
        for path in PAGES:
            await seen.page.goto(f"{empty.url}/{path}")
            await expect(seen.page.locator(".empty")).to_be_visible()


async def texts(page: Page, selector: str) -> list[str]:
    return [text.strip() for text in await page.locator(selector).all_inner_texts()]


async def test_two_hundred_events_at_once_leave_a_bounded_feed(hub: Hub, opened: Opened) -> None:
    async with opened() as seen:
        await sign_in(seen.page, hub.url)
        await expect(seen.page.locator("#feed-state")).to_contain_text("实时")
        for n in range(200):
            hub.edges[world.CQU].refuse(hub.clock() + n, "CARD_LOST", world.CQU)
        await hub.take_in()
        last = str((await hub.get("/api/v1/events?limit=1")).json()["items"][0]["pos"])
        await expect(seen.page.locator("#feed li").first).to_have_attribute("data-pos", last)
        await asyncio.sleep(0.2)
        assert await seen.page.locator("#feed li").count() <= 120
