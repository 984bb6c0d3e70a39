"""The staff station over HTTP, with FEIG pads on ptys: who may, encode, convert, owners, security, lists."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from consortium.events import Kind
from consortium.identity import ItemKey
from edge.station.routes import HERE
from edge.station.texts import ACCESS, FINDINGS, REFUSALS, TEXTS
from edge.tags_config import TagsConfig
from edge.trace.signin import STAFF_TEMPLATES
from edge.trace.texts import REFUSALS as TRACE_REFUSALS
from firmware_sim.feig import SimTag
from protocols.iso28560 import decode_tag
from tests.edge.bed import Bed, until
from tests.edge.pads import IN_STOCK, ON_LOAN, Pads, blank, book, edge_over, kiosk_of, seen, signed_in
from tests.make import HOME, HOST

TOKEN = "a-token-of-more-than-24-characters"


@dataclass
class Desk:
    """A member of staff at the station."""

    bed: Bed
    pads: Pads
    http: httpx2.AsyncClient

    async def ask(self, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
        """Press something."""
        given = {"pad": "pad1", **body} if path != "seen" else body
        answer = await self.http.post(f"/station/api/{path}", json=given)
        return answer.status_code, answer.json()

    async def view(self, pad: str = "pad1") -> dict[str, Any]:
        """What the page shows."""
        return dict((await self.http.get("/station/api/state", params={"pad": pad})).json())

    async def lay(self, *tags: SimTag) -> None:
        """Lay tags on the pad and wait until it sees them."""
        self.pads.put(*tags)
        await seen(self.bed.agent.pads["pad1"], len(self.pads.sims["pad1"].tags))

    def content(self, chip: int) -> Any:
        """What a chip says."""
        tag = self.pads.store.get(f"E00401{chip:010X}")
        assert tag is not None
        return decode_tag(bytes(tag.blocks), dsfid=tag.dsfid, afi=tag.afi)

    def wrote(self) -> list[dict[str, Any]]:
        """TAG_WRITTEN events."""
        return [dict(event.data) for event in self.bed.events(Kind.TAG_WRITTEN)]


@pytest.fixture
async def pads(tmp_path: Path) -> AsyncIterator[Pads]:
    made = Pads(tmp_path)
    yield made
    made.close()


@pytest.fixture
async def desk(tmp_path: Path, pads: Pads) -> AsyncIterator[Desk]:
    async with edge_over(tmp_path, pads, trace_token=TOKEN, tags=TagsConfig({"CQU": HOME})) as bed:
        base = await bed.serve()
        async with httpx2.AsyncClient(base_url=base, timeout=20, headers={"Authorization": f"Bearer {TOKEN}"}) as http:
            yield Desk(bed, pads, http)


class TestWhoMay:
    @pytest.mark.parametrize("path", ["state", "stream", "written"])
    async def test_nobody_looks_without_the_token(self, desk: Desk, path: str) -> None:
        answer = await desk.http.get(f"/station/api/{path}", headers={"Authorization": ""})
        assert (answer.status_code, answer.json()["code"]) == (401, "TOKEN_NEEDED")
        answer = await desk.http.get(f"/station/api/{path}", headers={"Authorization": "Bearer wrong"})
        assert answer.json()["code"] == "TOKEN_WRONG"

    @pytest.mark.parametrize("path", ["encode", "convert", "owner", "repair", "seen", "empty-drop"])
    async def test_nobody_writes_without_the_token_or_from_another_site(self, desk: Desk, path: str) -> None:
        answer = await desk.http.post(f"/station/api/{path}", json={}, headers={"Authorization": ""})
        assert answer.status_code == 401
        for headers in ({"Origin": "http://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}):
            answer = await desk.http.post(f"/station/api/{path}", json={}, headers=headers)
            assert answer.status_code == 403
        answer = await desk.http.post(f"/station/api/{path}", content=b"pad=pad1")
        assert answer.status_code == 415

    async def test_a_sign_in_opens_the_station_alone(self, desk: Desk) -> None:
        async with httpx2.AsyncClient(base_url=desk.bed.http, timeout=10) as http:
            refused = await http.get("/station", headers={"Accept": "text/html"})
            assert refused.headers["location"] == "/station/sign-in"
            assert (await http.post("/station/sign-in", data={"token": "x" * 30})).status_code == 401
            done = await http.post("/station/sign-in", data={"token": TOKEN})
            assert done.status_code == 303
            assert "Path=/station" in done.headers["set-cookie"]
            assert "HttpOnly" in done.headers["set-cookie"]
            assert (await http.get("/station")).status_code == 200
            assert (await http.get("/trace/api/kiosks")).status_code == 401

    async def test_a_wrong_body_is_refused_and_not_repeated(self, desk: Desk) -> None:
        status, answer = await desk.ask("encode", item="1001", more="97531")
        assert (status, answer["code"]) == (422, "BODY_INVALID")
        assert "97531" not in json.dumps(answer)


class TestEncodeRefused:
    @pytest.mark.parametrize(
        ("item", "code"),
        [("", "ITEM_NUMBER_WRONG"), ("x" * 70, "ITEM_NUMBER_WRONG"), ("1\n2", "ITEM_NUMBER_WRONG"), ("no-such", "ITEM_NOT_IN_REPLICA")],
    )  # fmt: skip
    async def test_a_number_that_is_none_or_not_known(self, desk: Desk, item: str, code: str) -> None:
        await desk.lay(blank(1))
        assert (await desk.ask("encode", item=item))[1]["code"] == code
        assert desk.wrote() == []

    async def test_an_empty_pad_and_a_pad_that_is_not_there(self, desk: Desk) -> None:
        assert (await desk.ask("encode", item="1001"))[1]["code"] == "NO_TAG"
        assert (await desk.ask("encode", item="1001", pad="pad9"))[1]["code"] == "PAD_UNKNOWN"

    async def test_two_blank_tags_are_not_chosen_from(self, desk: Desk) -> None:
        await desk.lay(blank(1), blank(2))
        status, answer = await desk.ask("encode", item="1001")
        assert (status, answer["code"], len(answer["uids"])) == (409, "AMBIGUOUS_TAG", 2)

    async def test_another_items_tag_until_staff_say_so(self, desk: Desk) -> None:
        await desk.lay(book("1002", 1))
        status, answer = await desk.ask("encode", item="1001", lang="en")
        assert (status, answer["code"], answer["other"]) == (409, "NAMES_OTHER_ITEM", [HOME, "1002"])
        assert answer["text"] == REFUSALS["NAMES_OTHER_ITEM"][2]
        assert desk.content(1).pii == "1002"
        assert (await desk.ask("encode", item="1001", replace=True))[0] == 200
        assert desk.content(1).pii == "1001"

    @pytest.mark.parametrize("owner", ["DE-123", ""])
    async def test_a_strangers_sound_tag_until_staff_say_so(self, desk: Desk, owner: str) -> None:
        await desk.lay(book("77", 1, owner=owner))
        assert (await desk.ask("encode", item="1001"))[1]["code"] == "NAMES_OTHER_ITEM"

    async def test_a_readers_card_is_never_written(self, desk: Desk) -> None:
        await desk.lay(book("R1", 1, usage=8))
        for more in ({}, {"uid": "E004010000000001"}, {"uid": "E004010000000001", "replace": True}):
            status, answer = await desk.ask("encode", item="1001", **more)
            assert answer["code"] in ("NO_TAG", "READER_CARD")
            assert status == 409
        assert desk.content(1).is_reader_card
        assert "R1" not in json.dumps(await desk.view())
        assert "E004010000000001" not in json.dumps(await desk.view())

    async def test_a_format_that_cannot_hold_it(self, desk: Desk) -> None:
        await desk.lay(blank(1))
        status, answer = await desk.ask("encode", item="a-number-of-30-characters-long", new=True)
        assert (status, answer["code"]) == (409, "FORMAT_CANNOT_HOLD")
        status, answer = await desk.ask("encode", item="1001", format="gaoxiao")
        assert (status, answer["code"]) == (409, "FORMAT_CANNOT_HOLD")

    async def test_a_tag_that_forgets_is_told_and_not_remembered(self, desk: Desk) -> None:
        await desk.lay(blank(1))
        desk.pads.fault(forget=1.0)
        status, answer = await desk.ask("encode", item="1001")
        assert (status, answer["code"]) == (502, "TAG_NOT_WRITTEN")
        assert desk.wrote()[-1]["ok"] == 0
        assert desk.bed.agent.tags.map.chip("E004010000000001") is None

    async def test_a_pad_that_is_away(self, desk: Desk) -> None:
        await desk.lay(blank(1))
        desk.pads.cut()
        status, answer = await desk.ask("encode", item="1001", uid="E004010000000001")
        assert (status, answer["code"]) == (503, "PAD_OFFLINE")


class TestEncode:
    async def test_one_call_writes_verifies_records_and_remembers(self, desk: Desk) -> None:
        await desk.lay(blank(1))
        status, answer = await desk.ask("encode", item="1001")
        assert (status, answer["title"], answer["format"]) == (200, "书名 1001", "28560-3")
        content = desk.content(1)
        assert (content.pii, content.owner, content.divergences) == ("1001", f"CN{HOME}", ())
        assert desk.pads.afi(1) == [IN_STOCK]
        assert desk.wrote() == [{"item": [HOME, "1001"], "secured": 1, "ok": 1}]
        (tag,) = (await desk.view())["tags"]
        assert (tag["code"], tag["item_no"], tag["findings"], tag["secured"]) == ("OK", "1001", [], True)
        assert desk.bed.agent.tags.map.chip("E004010000000001") == (ItemKey(HOME, "1001"), "STAFF")
        listed = (await desk.http.get("/station/api/written")).json()["written"]
        assert [(row["what"], row["item"], row["before"], row["ok"]) for row in listed] == [
            ("encode", [HOME, "1001"], "BLANK", True),
        ]  # fmt: skip

    async def test_a_part_a_partners_item_and_one_on_loan(self, desk: Desk) -> None:
        await desk.lay(blank(1))
        assert (await desk.ask("encode", item="1001", parts=3, part=2))[0] == 200
        assert (desk.content(1).parts, desk.content(1).part) == (3, 2)
        assert (await desk.ask("encode", item=f"{HOST}:2002", replace=True))[0] == 200
        assert (desk.content(1).pii, desk.content(1).owner) == ("2002", f"CN{HOST}")
        assert (await desk.ask("encode", item="1012", replace=True))[1]["secured"] is False  # out to a reader
        assert desk.pads.afi(1) == [ON_LOAN]

    async def test_twenty_books_one_after_the_other(self, desk: Desk) -> None:
        desk.pads.sims["pad1"]._baudrate = 38400  # paced like the wire and the air
        numbers = [f"N{number:04d}" for number in range(20)]
        loop = asyncio.get_running_loop()
        took = []
        for chip, number in enumerate(numbers, 1):
            await desk.lay(blank(chip))
            began = loop.time()
            status, answer = await desk.ask("encode", item=number, new=True)
            took.append(loop.time() - began)
            assert (status, answer["item_no"]) == (200, number)
            desk.pads.take(chip)
            await seen(desk.bed.agent.pads["pad1"], 0)
        print(f"20 encodes: longest {max(took) * 1000:.0f} ms, all {sum(took):.2f} s")
        assert [desk.content(chip).pii for chip in range(1, 21)] == numbers


class TestConvert:
    async def test_what_would_be_lost_is_confirmed_first(self, desk: Desk) -> None:
        await desk.lay(book("1001", 1, owner="CQU", parts=2, part=1))
        status, answer = await desk.ask("convert", uid="E004010000000001", format="28560-2")
        assert (status, answer["lost"]) == (200, [])
        assert (desk.content(1).format, desk.content(1).owner, desk.content(1).parts) == ("28560-2", f"CN-{HOME}", 2)
        await desk.lay(book("1002", 2, usage=2))
        status, answer = await desk.ask("convert", uid="E004010000000002", format="3m")
        assert (status, answer["code"], answer["lost"]) == (409, "LOST_FIELDS", ["owner", "usage"])
        assert desk.content(2).format == "28560-3"
        assert (await desk.ask("convert", uid="E004010000000002", format="3m", confirmed=["owner", "usage"]))[0] == 200
        assert (desk.content(2).format, desk.content(2).pii) == ("3m", "1002")

    async def test_what_names_no_item_is_not_converted(self, desk: Desk) -> None:
        await desk.lay(blank(1))
        status, answer = await desk.ask("convert", uid="E004010000000001", format="28560-2")
        assert (status, answer["code"]) == (409, "NO_ITEM")


class TestOwner:
    async def test_staff_say_whose_it_is_and_it_is_remembered(self, desk: Desk) -> None:
        await desk.lay(book("2002", 1, owner=""))
        (tag,) = (await desk.view())["tags"]
        assert (tag["code"], tag["owner"]) == ("ASK_OWNER", None)
        assert [item["code"] for item in kiosk_of(desk.bed).view()["items"]] == ["ASK_OWNER"]
        assert (await desk.ask("owner", uid=tag["uid"], owner="999999"))[1]["code"] == "OWNER_UNKNOWN"
        assert (await desk.ask("owner", uid=tag["uid"], owner=HOST))[0] == 200
        (tag,) = (await desk.view())["tags"]
        assert (tag["code"], tag["owner"], tag["by"]) == ("OK", HOST, "STAFF")
        assert (await desk.ask("owner", uid="E0", owner=HOST))[1]["code"] == "NO_TAG"

    async def test_a_tag_that_names_its_owner_is_not_argued_with(self, desk: Desk) -> None:
        await desk.lay(book("1001", 1))
        status, answer = await desk.ask("owner", uid="E004010000000001", owner=HOST)
        assert (status, answer["code"]) == (409, "OWNER_WRITTEN")


class TestSecurity:
    async def test_findings_and_repair_by_the_ledger(self, desk: Desk) -> None:
        await desk.lay(
            book("1001", 1, afi=ON_LOAN), book("1012", 2), book("1002", 3), book("404", 4, owner=f"CN-{HOST}")
        )
        findings = {tag["item_no"]: tag["findings"] for tag in (await desk.view())["tags"]}
        assert findings == {
            "1001": ["UNSECURED_IN_STOCK"], "1012": ["SECURED_ON_LOAN"], "1002": [], "404": [],
        }  # fmt: skip
        _, answer = await desk.ask("repair")
        done = {item["item_no"]: item["done"] for item in answer["items"]}
        assert done == {"1001": True, "1012": True, "1002": True, "404": None}
        assert desk.pads.afi(1, 2, 3, 4) == [IN_STOCK, ON_LOAN, IN_STOCK, IN_STOCK]
        shown = {tag["item_no"]: (tag["afi"], tag["eas"], tag["findings"]) for tag in (await desk.view())["tags"]}
        assert shown["1001"] == ("07", True, [])
        assert shown["1012"] == ("C2", False, [])
        assert len(desk.wrote()) == 2  # what stood right was left alone

    async def test_disagreements_are_shown(self, desk: Desk) -> None:
        await desk.bed.agent.tags.map.learn("E004010000000001", ItemKey(HOME, "1003"), 1)
        await desk.lay(
            book("1002", 1), book("404", 2), book("1001", 3, owner=f"CN-{HOST}"), book("1004", 4, parts=2, part=1),
            book("1005", 5), book("1005", 6), book("1006", 7, afi=0x21),
        )  # fmt: skip
        tags = {tag["uid"][-1]: tag for tag in (await desk.view())["tags"]}
        assert {chip: tag["findings"] for chip, tag in tags.items()} == {
            "1": ["UID_SAYS_OTHERWISE"], "2": ["NOT_IN_REPLICA"], "3": ["OWNER_SUSPECT"], "4": ["PARTS_MISSING"],
            "5": [], "6": ["DUPLICATE_TAG"], "7": ["SECURITY_UNCLEAR"],
        }  # fmt: skip
        assert tags["1"]["chip_item"] == [HOME, "1003"]


class TestLists:
    async def test_a_tag_that_waits_is_shown_and_a_note_is_ticked_off(self, desk: Desk) -> None:
        locked = book("1001", 1)
        locked.afi_locked = True
        await desk.lay(locked)
        session = await signed_in(desk.bed)
        await kiosk_of(desk.bed).borrow(session, "zh")
        (waiting,) = (await desk.view())["waiting"]
        assert (waiting["item_no"], waiting["wish"], waiting["reason"]) == ("1001", "unsecured", "LOCKED")
        kiosk_of(desk.bed).end(session)
        await until(lambda: desk.bed.agent.tags.notes.rows())
        (note,) = (await desk.view())["notes"]
        assert (note["code"], note["item_no"]) == ("LEFT_ON_PAD", "1001")
        assert (await desk.ask("seen", id=note["id"]))[0] == 200
        assert (await desk.view())["notes"] == []
        assert (await desk.ask("seen", id=note["id"]))[0] == 404

    async def test_the_page_hears_of_every_change(self, desk: Desk) -> None:
        heard: list[dict[str, Any]] = []

        async def listen() -> None:
            async with desk.http.stream("GET", "/station/api/stream", params={"pad": "pad1"}) as stream:
                async for line in stream.aiter_lines():
                    heard.extend(json.loads(part) for part in line.split("data: ")[1:])

        task = asyncio.create_task(listen())
        await until(lambda: heard)
        await desk.lay(book("1001", 1))
        await until(lambda: any(state["tags"] for state in heard))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class TestTexts:
    def test_every_sentence_has_both_languages(self) -> None:
        for tables in (TEXTS, FINDINGS, ACCESS):
            assert tables["zh"].keys() == tables["en"].keys()
            assert all(text for table in tables.values() for text in table.values())
        assert ACCESS["zh"].keys() == TRACE_REFUSALS["zh"].keys()

    def test_every_sentence_the_page_asks_for_exists_and_none_is_idle(self) -> None:
        shared = [STAFF_TEMPLATES / name for name in ("base.html", "sign-in.html")]
        pages = [path.read_text() for path in (*(HERE / "templates").iterdir(), *shared)]
        script = (HERE / "static" / "station.js").read_text()
        used = set(re.findall(r'data-text="(\w+)"', "".join(pages))) | set(re.findall(r'\bt\("(\w+)"\)', script))
        used |= {"title", "secured", "unsecured"}
        assert used == TEXTS["zh"].keys()
