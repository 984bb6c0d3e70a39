"""The edge's own kiosk over its JSON interface, with a pad on a pty."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from consortium.events import Kind
from edge.kiosk.routes import HERE
from edge.kiosk.texts import TEXTS
from edge.selfservice.pad import IDLE_S, MAX_SESSIONS, WARN_S
from firmware_sim.branch_client import SimBranchClient
from tests.edge.bed import PIN, Bed, Machines, make_config, srid_of, standard_rows, tag, until, write_replica
from tests.make import HOME, HOST

UIDS = {number: f"E00401000000{number}" for number in ("1001", "1002", "1003", "1011", "2002", "9998", "9999")}


class Page:
    """What the page does."""

    def __init__(self, base: str) -> None:
        self.http = httpx2.AsyncClient(base_url=base, timeout=10)

    async def press(self, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """A press on the kiosk."""
        answer = await self.http.post(f"/kiosk/api/{path}", json=body or {})
        return answer.status_code, answer.json()

    async def pad(self) -> dict[str, Any]:
        """What the kiosk shows."""
        return dict((await self.http.get("/kiosk/api/pad")).json())

    async def sign_in(self, number: str = "R1", pin: str = PIN) -> str:
        """Sign in; gives the session."""
        status, answer = await self.press("identify", {"number": number, "pin": pin})
        assert status == 200, answer
        return str(answer["session"])


class Pad:
    """A reader's hands over the pad."""

    def __init__(self, player: SimBranchClient, page: Page) -> None:
        self.player = player
        self.page = page
        self.on: set[str] = set()

    async def put(self, *numbers: str, owner: str = f"CN-{HOME}", afi: int = 0x07, blocks: str | None = None) -> None:
        """Lay items on the pad and wait until it sees them."""
        for number in numbers:
            data = blocks if blocks is not None else tag(number, owner=owner)
            await self.player.place(UIDS[number], dsfid=0x3E, afi=afi, blocks=data)
            self.on.add(UIDS[number])
        await self.seen(len(self.on))

    async def take(self, *numbers: str) -> dict[str, int | None]:
        """Lift items; gives their AFI."""
        lifted = {number: await self.player.lift(UIDS[number]) for number in numbers}
        self.on -= {UIDS[number] for number in numbers}
        await self.seen(len(self.on))
        return lifted

    async def seen(self, n: int) -> None:
        for _ in range(400):
            if len((await self.page.pad())["items"]) == n:
                return
            await asyncio.sleep(0.02)
        raise AssertionError(await self.page.pad())

    async def afi(self) -> dict[str, int]:
        """AFI by item number."""
        numbers = {uid: number for number, uid in UIDS.items()}
        return {numbers[row["uid"]]: row["afi"] for row in await self.player.pad()}


@pytest.fixture
async def bed(tmp_path: Path, machines: Machines) -> AsyncIterator[Bed]:
    """An edge with a pad, served over HTTP; its hub is away."""
    write_replica(tmp_path, standard_rows())
    async with Bed(make_config(tmp_path, devices=machines.devices("pad1"))) as running:
        await running.serve()
        await until(lambda: running.agent.pads["pad1"].online)
        yield running


@pytest.fixture
async def page(bed: Bed) -> AsyncIterator[Page]:
    """The kiosk's page."""
    shown = Page(bed.http)
    yield shown
    await shown.http.aclose()


@pytest.fixture
async def pad(machines: Machines, page: Page) -> AsyncIterator[Pad]:
    """The pad, empty before and after."""
    player = machines.client()
    await player.connect()
    hands = Pad(player, page)
    await hands.seen(0)
    yield hands
    for uid in hands.on:
        await player.lift(uid)
    await player.close()


class TestWhoMayAsk:
    @pytest.mark.parametrize(
        "headers",
        [
            {"Content-Type": "application/x-www-form-urlencoded"},
            {"Content-Type": "text/plain"},
            {"Content-Type": "application/json", "Origin": "http://elsewhere.example"},
            {"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site"},
        ],
    )
    @pytest.mark.parametrize("path", ["identify", "preview", "borrow", "return", "end"])
    async def test_another_sites_page_can_press_nothing(self, page: Page, path: str, headers: dict[str, str]) -> None:
        answer = await page.http.post(f"/kiosk/api/{path}", content=b"{}", headers=headers)
        assert answer.status_code in (403, 415)

    async def test_a_foreign_host_name_gets_no_kiosk(self, page: Page) -> None:
        answer = await page.http.post("/kiosk/api/return", json={}, headers={"Host": "rebound.example"})
        assert answer.status_code in (400, 403)

    async def test_a_wrong_body_is_named_but_never_repeated(self, page: Page) -> None:
        status, answer = await page.press("identify", {"number": "R1", "pin": "97531", "extra": "24680"})
        assert (status, answer["code"]) == (422, "BODY_INVALID")
        assert "97531" not in json.dumps(answer)
        assert "24680" not in json.dumps(answer)


class TestIdentifyRefusals:
    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({"number": "", "pin": PIN}, "NO_READER"),
            ({"number": "R1", "pin": "0000"}, "PIN_WRONG"),
            ({"number": "R1"}, "CARD_ASSURANCE_LOW"),
            ({"number": "NOBODY", "pin": PIN}, "NOT_DECIDABLE_OFFLINE"),
        ],
    )
    async def test_nobody_is_signed_in(self, page: Page, body: dict[str, Any], code: str) -> None:
        status, answer = await page.press("identify", body)
        assert status in (403, 422)
        assert answer["code"] == code
        assert answer["text"]
        assert "session" not in answer

    async def test_five_wrong_pins_lock(self, page: Page) -> None:
        for _ in range(4):
            assert (await page.press("identify", {"number": "R1", "pin": "1"}))[1]["code"] == "PIN_WRONG"
        assert (await page.press("identify", {"number": "R1", "pin": "1"}))[1]["code"] == "PIN_LOCKED"
        assert (await page.press("identify", {"number": "R1", "pin": PIN}))[1]["code"] == "PIN_LOCKED"

    async def test_a_session_that_never_was_lends_nothing(self, bed: Bed, page: Page, pad: Pad) -> None:
        await pad.put("1001")
        assert await page.press("borrow", {"session": "made-up"}) == (
            401, {"code": "SESSION_ENDED", "text": "已自动退出，请重新登录"},
        )  # fmt: skip
        assert bed.events(Kind.CHECKOUT) == []

    async def test_an_idle_session_ends(self, bed: Bed, page: Page) -> None:
        session = await page.sign_in()
        assert bed.agent.kiosk is not None
        bed.agent.kiosk._sessions[session].seen -= IDLE_S + WARN_S + 1
        assert (await page.press("preview", {"session": session}))[1]["code"] == "SESSION_ENDED"

    async def test_sessions_are_bounded(self, bed: Bed, page: Page) -> None:
        sessions = [await page.sign_in() for _ in range(MAX_SESSIONS + 1)]
        assert (await page.press("preview", {"session": sessions[0]}))[0] == 401
        assert (await page.press("preview", {"session": sessions[-1]}))[0] == 200

    async def test_an_empty_pad_lends_nothing(self, page: Page, pad: Pad) -> None:
        session = await page.sign_in()
        assert (await page.press("borrow", {"session": session}))[1]["code"] == "PAD_EMPTY"


class TestThePad:
    async def test_items_are_shown_with_title_and_state(self, page: Page, pad: Pad) -> None:
        await pad.put("1001")
        await pad.put("2002", owner=f"CN-{HOST}", afi=0xC2)
        shown = {item["item_no"]: item for item in (await page.pad())["items"]}
        assert shown["1001"]["title"] == "书名 1001"
        assert (shown["1001"]["secured"], shown["2002"]["secured"]) == (True, False)
        assert shown["2002"]["owner_name"] == {"zh": f"馆{HOST}", "en": f"Library {HOST}"}

    async def test_foreign_and_blank_tags_are_not_ours_and_never_guessed(self, page: Page, pad: Pad) -> None:
        await pad.put("9999", owner="DE-123")
        await pad.put("9998", blocks="00" * 36)
        items = (await page.pad())["items"]
        assert {item["code"] for item in items} == {"FOREIGN", "BLANK"}
        assert all(item["owner"] is None for item in items)
        assert (await page.press("return"))[1]["code"] == "PAD_EMPTY"

    async def test_a_tag_without_an_owner_is_this_librarys_own(self, page: Page, pad: Pad) -> None:
        await pad.put("1001", owner="")
        assert [item["owner"] for item in (await page.pad())["items"]] == [HOME]


class TestBorrow:
    async def test_each_item_gets_its_verdict_before_and_after(self, bed: Bed, page: Page, pad: Pad) -> None:
        await pad.put("1001", "1002", "1011")
        session = await page.sign_in()
        _, before = await page.press("preview", {"session": session})
        assert {item["item_no"]: item["code"] for item in before["items"]} == {
            "1001": "OK", "1002": "OK", "1011": "ITEM_REFERENCE",
        }  # fmt: skip
        status, answer = await page.press("borrow", {"session": session})
        assert status == 200
        done = {item["item_no"]: item for item in answer["items"]}
        assert [(done[n]["outcome"], done[n]["unsecured"]) for n in ("1001", "1002", "1011")] == [
            ("ALLOW", True), ("ALLOW", True), ("DENY", False),
        ]  # fmt: skip
        assert done["1011"]["text"] == "仅限馆内阅览"
        assert done["1001"]["due"] == bed.agent.due_text(bed.events(Kind.CHECKOUT)[0].data["due"])
        assert answer["reader"]["loans"] == 2
        assert await pad.afi() == {"1001": 0xC2, "1002": 0xC2, "1011": 0x07}

    async def test_the_loan_comes_before_the_tag(self, bed: Bed, page: Page, pad: Pad) -> None:
        await pad.put("1001")
        await page.press("borrow", {"session": await page.sign_in()})
        kinds = [event.kind for event in bed.events(Kind.CHECKOUT, Kind.TAG_WRITTEN)]
        assert kinds == [Kind.CHECKOUT, Kind.TAG_WRITTEN]
        assert bed.events(Kind.TAG_WRITTEN)[0].data == {"item": [HOME, "1001"], "secured": 0, "ok": 1}

    async def test_the_verdict_of_a_partner_is_the_hubs(self, page: Page, pad: Pad) -> None:
        await pad.put("2002", owner=f"CN-{HOST}")
        _, answer = await page.press("preview", {"session": await page.sign_in()})
        assert [item["outcome"] for item in answer["items"]] == ["ASK"]

    async def test_english_is_answered_in_english(self, page: Page, pad: Pad) -> None:
        await pad.put("1011")
        session = await page.sign_in()
        _, answer = await page.press("borrow", {"session": session, "lang": "en"})
        assert answer["items"][0]["text"] == "Use in library only"

    async def test_after_the_end_nothing_is_lent(self, page: Page) -> None:
        session = await page.sign_in()
        assert (await page.press("end", {"session": session}))[0] == 200
        assert (await page.press("borrow", {"session": session}))[0] == 401

    async def test_a_tag_pulled_away_is_asked_back_and_mended(self, bed: Bed, page: Page, pad: Pad) -> None:
        await pad.put("1001")
        session = await page.sign_in()
        tags = bed.agent.pads["pad1"]
        # The reader grabs the book the moment the loan is written: the tag leaves before the pad can write it.
        await pad.player.do("faults", pull=1.0)
        try:
            _, answer = await page.press("borrow", {"session": session})
        finally:
            await pad.player.do("faults", pull=0.0)
        assert [(item["outcome"], item["unsecured"]) for item in answer["items"]] == [("ALLOW", False)]
        shown = await page.pad()
        assert [item["item_no"] for item in shown["put_back"]] == ["1001"]
        await pad.player.place(UIDS["1001"])
        await until(lambda: not tags.put_back)
        assert await pad.afi() == {"1001": 0xC2}
        states = [(event.data["ok"], event.data.get("code")) for event in await bed.settled(Kind.TAG_WRITTEN, 2)]
        assert states == [(0, "NO_TAG"), (1, None)]

    async def test_a_tag_that_never_left_is_mended_without_being_moved(self, bed: Bed, page: Page, pad: Pad) -> None:
        await pad.put("1001")
        tags = bed.agent.pads["pad1"]
        await tags.set_secured(tags.on_pad()[0], False)
        # A tag at the edge of the field: it confirms what it does not keep.
        await pad.player.do("faults", forget=1.0)
        try:
            assert not await tags.set_secured(tags.on_pad()[0], True)
            assert not await tags.set_secured(tags.on_pad()[0], True)
        finally:
            await pad.player.do("faults", forget=0.0)
        await until(lambda: not tags.put_back)
        assert await pad.afi() == {"1001": 0x07}
        told = [(event.data["secured"], event.data["ok"]) for event in await bed.settled(Kind.TAG_WRITTEN, 3)]
        assert told == [(0, 1), (1, 0), (1, 1)]  # the second failure was nothing new

    async def test_the_kiosk_is_out_of_order_while_its_pad_is(self, bed: Bed, page: Page) -> None:
        session = await page.sign_in()
        task = next(iter(bed.agent.devices._tasks.values()))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        status, answer = await page.press("borrow", {"session": session})
        assert (status, answer["code"]) == (503, "PAD_OFFLINE")


class TestReturn:
    async def test_anybody_returns_anything_and_learns_where_it_goes(self, bed: Bed, page: Page, pad: Pad) -> None:
        await pad.put("1001", afi=0xC2)
        await pad.put("2002", owner=f"CN-{HOST}", afi=0xC2)
        status, answer = await page.press("return")
        assert status == 200
        done = {item["item_no"]: item for item in answer["items"]}
        assert (done["2002"]["code"], done["2002"]["dest"], done["2002"]["secured"]) == (
            "RETURN_TRANSIT",
            f"{HOST}-01",
            True,
        )
        assert done["1001"]["secured"]
        assert await pad.afi() == {"1001": 0x07, "2002": 0x07}
        kinds = [event.kind for event in bed.events(Kind.RETURN, Kind.TAG_WRITTEN)]
        assert kinds.index(Kind.RETURN) < kinds.index(Kind.TAG_WRITTEN)

    async def test_a_loan_is_over_once_it_is_back(self, bed: Bed, page: Page, pad: Pad) -> None:
        await pad.put("1001")
        await page.press("borrow", {"session": await page.sign_in()})
        _, answer = await page.press("return")
        assert [item["code"] for item in answer["items"]] == ["RETURN_HOME"]
        assert bed.subjects(Kind.CHECKOUT) == [srid_of("R1")]
        status, signed = await page.press("identify", {"number": "R1", "pin": PIN})
        assert (status, signed["reader"]["loans"]) == (200, 0)


class TestStream:
    async def test_the_page_hears_of_every_change(self, page: Page, pad: Pad) -> None:
        heard: list[dict[str, Any]] = []

        async def listen() -> None:
            async with page.http.stream("GET", "/kiosk/api/stream") as stream:
                async for line in stream.aiter_lines():
                    heard.extend(json.loads(part) for part in line.split("data: ")[1:])

        task = asyncio.create_task(listen())
        await until(lambda: heard)
        assert heard[0]["online"] is False
        await pad.put("1001")
        await until(lambda: any(len(state["items"]) == 1 for state in heard))
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class TestPage:
    async def test_it_loads_nothing_from_elsewhere(self, page: Page) -> None:
        answer = await page.http.get("/kiosk")
        assert answer.status_code == 200
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        for name in ("kiosk.css", "kiosk.js"):
            found = await page.http.get(f"/kiosk/static/{name}")
            assert found.status_code == 200
            assert "http://" not in found.text.replace("http://www.w3.org", "")
            assert "https://" not in found.text

    def test_every_sentence_has_both_languages(self) -> None:
        assert TEXTS["zh"].keys() == TEXTS["en"].keys()
        assert all(text for table in TEXTS.values() for text in table.values())

    async def test_every_sentence_the_page_asks_for_exists(self) -> None:
        html = (HERE / "templates" / "kiosk.html").read_text()
        script = (HERE / "static" / "kiosk.js").read_text()
        used = set(re.findall(r'data-text="(\w+)"', html)) | set(re.findall(r'\bt\("(\w+)"\)', script))
        used |= {"borrow_now", "return_now", "digits", "letters", "count", "count_one"}
        assert used == TEXTS["zh"].keys()
