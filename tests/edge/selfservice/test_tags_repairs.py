"""Tags that did not take their state: kept across restarts, mended on any pad, handed to staff in the end, undone exactly."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consortium.events import Kind
from consortium.identity import ItemKey
from drivers.base import Security
from edge.answers import ItemRef
from edge.config import AccountConfig
from edge.selfservice.repairs import REPAIR_MS, Repair, RepairQueue, Waiting
from edge.staffnotes import StaffNotes
from edge.tagstore import MOST, TagStore
from tests.edge.bed import RawKiosk, until
from tests.edge.pads import IN_STOCK, ON_LOAN, Pads, book, edge_over, kiosk_of, reader, seen, signed_in
from tests.edge.selfservice.messages import checkin, checkout
from tests.make import HOME

KEY = ItemKey(HOME, "1001")


@pytest.fixture
async def pads(tmp_path: Path) -> AsyncIterator[Pads]:
    made = Pads(tmp_path, ("pad1", "pad2"))
    yield made
    made.close()


class Desk:
    """A queue over a real file, with a clock of its own."""

    def __init__(self, folder: Path) -> None:
        self.ms = 1_000_000
        self.store = TagStore(folder / "tags.db")
        self.store.open(self.ms)
        self.notes = StaffNotes(self.store, lambda: self.ms)
        self.queue = RepairQueue(self.store, self.notes, lambda: self.ms)
        self.notes.load()
        self.queue.load()

    def entry(self, number: int = 1, **more: object) -> Repair:
        tags = {"E1": Waiting(1, Security(0x21, True), True), "E2": Waiting(2, None, False, "LOCKED")}
        fields = {"secured": False, "since": self.ms, "reason": "LOCKED", "device": "pad1", "tags": tags, **more}
        return Repair(ItemKey(HOME, f"n{number}"), **fields)  # type: ignore[arg-type]


class TestTheQueue:
    async def test_it_survives_a_restart_with_what_stood_on_the_tags(self, tmp_path: Path) -> None:
        desk = Desk(tmp_path)
        entry = desk.entry(restore=True)
        await desk.queue.put(entry)
        await desk.store.close()
        again = Desk(tmp_path)
        assert again.queue.waiting() == (entry,)
        await again.queue.end(entry.key)
        await again.store.close()
        assert Desk(tmp_path).queue.waiting() == ()

    async def test_what_waits_too_long_goes_to_staff_and_stays_there(self, tmp_path: Path) -> None:
        desk = Desk(tmp_path)
        await desk.queue.put(desk.entry())
        desk.ms += REPAIR_MS + 1
        assert desk.queue.get(ItemKey(HOME, "n1")) is None
        assert desk.queue.waiting() == ()
        await until(lambda: desk.notes.rows())
        await desk.queue.close()
        await desk.store.close()
        again = Desk(tmp_path)
        assert again.queue.waiting() == ()
        (note,) = again.notes.rows()
        assert (note.code, note.key, note.uids) == ("TAG_NOT_SWITCHED", ItemKey(HOME, "n1"), ("E2",))
        assert note.detail == "unsecured: LOCKED, part 2"

    async def test_it_is_bounded_and_the_oldest_goes_to_staff(self, tmp_path: Path) -> None:
        desk = Desk(tmp_path)
        for number in range(MOST["repair"] + 2):
            await desk.queue.put(desk.entry(number))
        assert len(desk.queue.waiting()) == MOST["repair"]
        await until(lambda: len(desk.notes.rows()) == 2)
        assert {note.key for note in desk.notes.rows()} == {ItemKey(HOME, "n0"), ItemKey(HOME, "n1")}
        await desk.store.close()

    async def test_a_damaged_file_is_laid_aside_and_a_new_one_begun(self, tmp_path: Path) -> None:
        (tmp_path / "tags.db").write_bytes(b"this is no database at all, but long enough to be looked at" * 40)
        desk = Desk(tmp_path)
        await desk.queue.put(desk.entry())
        await desk.store.close()
        assert [path.name for path in tmp_path.glob("tags.db.damaged-*")] == ["tags.db.damaged-1000000"]
        assert len(Desk(tmp_path).queue.waiting()) == 1


class TestOnPads:
    async def test_a_tag_that_was_pulled_away_is_mended_by_another_pad(self, tmp_path: Path, pads: Pads) -> None:
        async with edge_over(tmp_path, pads) as bed:
            pads.put(book("1001", 1))
            await seen(bed.agent.pads["pad1"], 1)
            pads.fault(pull=1.0)
            answer = await kiosk_of(bed).borrow(await signed_in(bed), "zh")
            assert [(item["outcome"], item["unsecured"]) for item in answer["items"]] == [("ALLOW", False)]
            assert pads.afi(1) == [IN_STOCK]
            await seen(bed.agent.pads["pad1"], 0)
            pads.put(pads.store.get("E004010000000001"), pad="pad2")  # type: ignore[arg-type]
            await until(lambda: not bed.agent.pads["pad1"].put_back)
            assert pads.afi(1) == [ON_LOAN]
            told = [(event.device, event.data["ok"]) for event in await bed.settled(Kind.TAG_WRITTEN, 2)]
            assert told == [("pad1", 0), ("pad2", 1)]

    async def test_a_restart_forgets_no_tag(self, tmp_path: Path, pads: Pads) -> None:
        async with edge_over(tmp_path, pads) as bed:
            pads.put(book("1001", 1))
            await seen(bed.agent.pads["pad1"], 1)
            pads.fault(pull=1.0)
            await kiosk_of(bed).borrow(await signed_in(bed), "zh")
        pads.fault()
        async with edge_over(tmp_path, pads) as bed:
            assert bed.agent.pads["pad2"].put_back == (KEY,)
            pads.put(pads.store.get("E004010000000001"))  # type: ignore[arg-type]
            await until(lambda: not bed.agent.pads["pad1"].put_back)
            assert pads.afi(1) == [ON_LOAN]

    async def test_a_power_cut_between_loan_and_tag_is_made_good(self, tmp_path: Path, pads: Pads) -> None:
        async with edge_over(tmp_path, pads) as bed:
            who = await reader(bed)
            refs = [ItemRef(HOME, number) for number in ("1001", "1002", "1003")]
            await bed.agent.desk.borrow(who, refs, "pad1")  # and the power fails before the pad is asked
            await bed.agent.desk.give_back(refs[1], "kiosk9")  # a machine without a pad of ours
            await bed.agent.desk.note(Kind.TAG_WRITTEN, ItemKey(HOME, "1003"), "pad2", {"secured": 0, "ok": 1})
        async with edge_over(tmp_path, pads) as bed:
            assert bed.agent.pads["pad1"].put_back == (KEY,)
            pads.put(book("1001", 1))
            await until(lambda: not bed.agent.pads["pad1"].put_back)
            assert pads.afi(1) == [ON_LOAN]
        async with edge_over(tmp_path, pads) as bed:
            assert bed.agent.pads["pad1"].put_back == ()

    async def test_a_return_meanwhile_wins_over_the_older_wish(self, tmp_path: Path, pads: Pads) -> None:
        async with edge_over(tmp_path, pads) as bed:
            pads.put(book("1001", 1))
            await seen(bed.agent.pads["pad1"], 1)
            pads.fault(forget=1.0)
            await kiosk_of(bed).borrow(await signed_in(bed), "zh")
            pads.fault()
            await kiosk_of(bed).give_back("zh")
            await until(lambda: not bed.agent.pads["pad1"].put_back)
            assert pads.afi(1) == [IN_STOCK]


class TestBesideASip2Kiosk:
    async def test_a_loan_that_the_kiosk_undoes_puts_back_exactly_what_stood_there(
        self, tmp_path: Path, pads: Pads
    ) -> None:
        account = AccountConfig("kiosk1", "secret", HOME, "kiosk1", pad="pad1")
        async with edge_over(tmp_path, pads, accounts=(account,)) as bed:
            odd = book("1001", 1, afi=0x21)
            odd.eas = False
            pads.put(odd, *(book("1002", 2 + part, parts=2, part=part) for part in (1,)))
            await seen(bed.agent.pads["pad1"], 2)
            assert bed.agent.sip2_at is not None
            async with RawKiosk(bed.agent.sip2_at) as raw:
                await raw.login()
                refused = await raw.ask(checkout("1002"))
                assert refused.startswith("120")
                assert "ITEM_INCOMPLETE" in refused
                assert (await raw.ask(checkout("1001"))).startswith("121")
                assert pads.afi(1) == [ON_LOAN]
                assert (await raw.ask(checkin("1001") + "BIY|")).startswith("101")
            assert (odd.afi, odd.eas) == (0x21, False)
            kinds = [event.kind for event in bed.events(Kind.CHECKOUT, Kind.RETURN, Kind.TAG_WRITTEN)]
            assert kinds == [Kind.CHECKOUT, Kind.TAG_WRITTEN, Kind.RETURN, Kind.TAG_WRITTEN]
