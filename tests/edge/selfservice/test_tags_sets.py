"""Items of several parts on the kiosk's pad: lent whole or not at all, undone exactly, returned even where a part is missing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consortium.events import Kind
from consortium.identity import ItemKey
from edge.kiosk.texts import own_text
from edge.selfservice.pad import IDLE_S, WARN_S
from firmware_sim.feig import SimTag
from tests.edge.bed import Bed, until
from tests.edge.pads import IN_STOCK, ON_LOAN, Pads, book, edge_over, kiosk_of, quiet, seen, signed_in
from tests.make import HOME

KEY = ItemKey(HOME, "1001")


def discs(*parts: int, of: int = 3, **more: int) -> list[SimTag]:
    """Parts of one box; part n has chip n."""
    return [book("1001", part, parts=of, part=part, **more) for part in parts]


@pytest.fixture
async def pads(tmp_path: Path) -> AsyncIterator[Pads]:
    made = Pads(tmp_path)
    yield made
    made.close()


@pytest.fixture
async def bed(tmp_path: Path, pads: Pads) -> AsyncIterator[Bed]:
    async with edge_over(tmp_path, pads) as running:
        yield running


class TestRefused:
    async def test_a_box_without_all_its_discs_is_not_lent_and_says_what_is_missing(self, bed: Bed, pads: Pads) -> None:
        pads.put(*discs(1, 3), book("1002", 9))
        await seen(bed.agent.pads["pad1"], 3)
        session = await signed_in(bed)
        shown = {item["item_no"]: item for item in kiosk_of(bed).preview(session, "zh")["items"]}
        assert (shown["1001"]["code"], shown["1001"]["parts_here"], shown["1001"]["missing"]) == (
            "ITEM_INCOMPLETE", 2, [2],
        )  # fmt: skip
        answer = await kiosk_of(bed).borrow(session, "en")
        done = {item["item_no"]: item for item in answer["items"]}
        assert (done["1001"]["outcome"], done["1001"]["text"]) == ("DENY", own_text("ITEM_INCOMPLETE", "en"))
        assert done["1002"]["outcome"] == "ALLOW"
        assert [event.data["item"] for event in bed.events(Kind.CHECKOUT)] == [[HOME, "1002"]]
        assert pads.afi(1, 3, 9) == [IN_STOCK, IN_STOCK, ON_LOAN]

    async def test_a_card_on_the_pad_is_no_item_and_no_fault(self, bed: Bed, pads: Pads) -> None:
        pads.put(book("R1", 5, usage=8), book("1002", 9))
        await seen(bed.agent.pads["pad1"], 2)
        assert [item["item_no"] for item in kiosk_of(bed).view()["items"]] == ["1002"]
        answer = await kiosk_of(bed).borrow(await signed_in(bed), "zh")
        assert [item["outcome"] for item in answer["items"]] == ["ALLOW"]
        assert pads.afi(5) == [IN_STOCK]


class TestWhole:
    async def test_all_parts_are_switched_together_and_recorded_once(self, bed: Bed, pads: Pads) -> None:
        pads.put(*discs(1, 2, 3))
        await seen(bed.agent.pads["pad1"], 3)
        answer = await kiosk_of(bed).borrow(await signed_in(bed), "zh")
        assert [(item["outcome"], item["unsecured"]) for item in answer["items"]] == [("ALLOW", True)]
        assert pads.afi(1, 2, 3) == [ON_LOAN] * 3
        written = bed.events(Kind.TAG_WRITTEN)
        assert [event.data for event in written] == [{"item": [HOME, "1001"], "secured": 0, "ok": 1}]

    async def test_forty_tags_are_one_stack(self, bed: Bed, pads: Pads) -> None:
        pads.put(*discs(1, 2, 3, afi=ON_LOAN), *(book(str(chip), chip, afi=ON_LOAN) for chip in range(4, 41)))
        await seen(bed.agent.pads["pad1"], 40)
        answer = await kiosk_of(bed).give_back("zh")
        assert len(answer["items"]) == len(bed.events(Kind.RETURN)) == 38
        assert all(item["secured"] for item in answer["items"])
        assert pads.afi(*range(1, 41)) == [IN_STOCK] * 40

    async def test_two_chips_that_say_the_same_are_both_switched(self, bed: Bed, pads: Pads) -> None:
        pads.put(book("1001", 1), book("1001", 2))
        await seen(bed.agent.pads["pad1"], 2)
        assert bed.agent.pads["pad1"].sets()[KEY].duplicates == ("E004010000000002",)
        assert len(kiosk_of(bed).view()["items"]) == 1
        await kiosk_of(bed).borrow(await signed_in(bed), "zh")
        assert pads.afi(1, 2) == [ON_LOAN] * 2

    async def test_a_return_without_a_part_is_accepted_and_staff_are_told(self, bed: Bed, pads: Pads) -> None:
        pads.put(*discs(1, 2, afi=ON_LOAN))
        await seen(bed.agent.pads["pad1"], 2)
        answer = await kiosk_of(bed).give_back("zh")
        assert [(item["outcome"], item["missing"], item["secured"]) for item in answer["items"]] == [
            ("ALLOW", [3], True)
        ]
        notes = [(note.code, note.key, note.detail) for note in bed.agent.tags.notes.rows()]
        assert notes == [("PARTS_MISSING", KEY, "3 / 3")]


class TestOnePartFails:
    async def test_the_queue_names_the_part_and_the_loan_stands_while_the_reader_is_there(
        self, bed: Bed, pads: Pads
    ) -> None:
        tags = discs(1, 2)
        tags[1].afi_locked = True
        pads.put(*(tag for tag in tags), book("1001", 3, parts=3, part=3))
        await seen(bed.agent.pads["pad1"], 3)
        answer = await kiosk_of(bed).borrow(await signed_in(bed), "zh")
        assert [(item["outcome"], item["unsecured"]) for item in answer["items"]] == [("ALLOW", False)]
        entry = bed.agent.tags.repairs.get(KEY)
        assert entry is not None
        assert (entry.parts, entry.reason) == ((2,), "LOCKED")
        assert pads.afi(1, 2, 3) == [ON_LOAN, IN_STOCK, ON_LOAN]
        assert bed.events(Kind.RETURN) == []

    @pytest.mark.parametrize("leaving", ["signs out", "walks off"])
    async def test_a_reader_who_leaves_it_all_there_has_not_taken_it(self, bed: Bed, pads: Pads, leaving: str) -> None:
        tags = discs(1, 2, 3)
        tags[0].afi = 0x21  # another system's word, which must be there again
        tags[1].afi_locked = True
        pads.put(*tags)
        await seen(bed.agent.pads["pad1"], 3)
        kiosk = kiosk_of(bed)
        session = await signed_in(bed)
        await kiosk.borrow(session, "zh")
        assert pads.afi(1, 2, 3) == [ON_LOAN, IN_STOCK, ON_LOAN]
        if leaving == "signs out":
            kiosk.end(session)
        else:
            kiosk._sessions[session].seen -= IDLE_S + WARN_S + 1
            kiosk.sweep()
        (undone,) = await bed.settled(Kind.RETURN)
        assert undone.data["flags"] == ["CHECKOUT_CANCELLED"]
        await until(lambda: not bed.agent.pads["pad1"].put_back)
        assert pads.afi(1, 2, 3) == [0x21, IN_STOCK, IN_STOCK]
        await until(lambda: [note.code for note in bed.agent.tags.notes.rows()] == ["LEFT_ON_PAD"])
        kinds = [event.kind for event in bed.events(Kind.CHECKOUT, Kind.RETURN, Kind.TAG_WRITTEN)]
        assert kinds == [Kind.CHECKOUT, Kind.TAG_WRITTEN, Kind.RETURN, Kind.TAG_WRITTEN]
        assert bed.events(Kind.TAG_WRITTEN)[-1].data["ok"] == 1

    async def test_a_pad_that_does_not_answer_undoes_no_loan(self, bed: Bed, pads: Pads) -> None:
        tags = discs(1, 2, of=2)
        tags[1].afi_locked = True
        pads.put(*tags)
        await seen(bed.agent.pads["pad1"], 2)
        session = await signed_in(bed)
        await kiosk_of(bed).borrow(session, "zh")
        pads.cut()
        kiosk_of(bed).end(session)  # what the pad said last is still believed at this instant
        await until(lambda: not bed.agent.pads["pad1"].online)
        await quiet()
        assert bed.events(Kind.RETURN) == []
        assert bed.agent.pads["pad1"].put_back == (KEY,)

    async def test_a_reader_who_took_a_part_has_the_loan(self, bed: Bed, pads: Pads) -> None:
        tags = discs(1, 2, of=2)
        tags[1].afi_locked = True
        pads.put(*tags)
        await seen(bed.agent.pads["pad1"], 2)
        session = await signed_in(bed)
        await kiosk_of(bed).borrow(session, "zh")
        pads.take(1)
        await seen(bed.agent.pads["pad1"], 1)
        kiosk_of(bed).end(session)
        await quiet()
        assert bed.events(Kind.RETURN) == []
        assert pads.afi(1, 2) == [ON_LOAN, IN_STOCK]
