"""The outbox: what it refuses, what it promises, and what a second look at the file finds."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consortium.events import MAX_BODY, Kind, decode
from consortium.identity import CHAIN_START, chain, subject
from edge.clock import EdgeClock, Ticks
from edge.outbox import (
    Draft,
    DraftInvalid,
    Outbox,
    OutboxClosed,
    OutboxFault,
    OutboxFull,
    OutboxLimits,
    Watermark,
)

NODE, BRANCH = "edge-251020-01", "251020-01"
SRID = "0123456789abcdef0123456789abcdef"
NOW = 1_795_300_000_000


class Time:
    """A clock the test moves."""

    def __init__(self) -> None:
        self.ms = 0

    def clock(self) -> EdgeClock:
        return EdgeClock(Ticks(lambda: NOW + self.ms, lambda: self.ms, "boot-1"))


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def outbox(tmp_path: Path, time: Time) -> AsyncIterator[Outbox]:
    box = Outbox(tmp_path / "outbox.db", NODE, time.clock())
    await box.start()
    yield box
    await box.close()


async def reopened(box: Outbox, path: Path, time: Time, limits: OutboxLimits | None = None) -> Outbox:
    await box.close()
    again = Outbox(path / "outbox.db", NODE, time.clock(), limits=limits)
    await again.start()
    return again


def a_return(item_no: str = "1001", **data: object) -> Draft:
    route = {"action": "SHELVE", "dest": BRANCH, "reason": "HOME"}
    return Draft(
        Kind.RETURN, BRANCH, "bin1", {"item": ["251020", item_no], "route": route, "code": "RETURN_HOME", **data}
    )


def a_checkout(item_no: str = "1001") -> Draft:
    data = {"item": ["251020", item_no], "type": "BOOK", "home": "251020", "due": NOW}
    return Draft(Kind.CHECKOUT, BRANCH, "kiosk1", data, srid=SRID)


def an_entry() -> Draft:
    return Draft(Kind.ENTRY, BRANCH, "gate1", {"home": "251020", "class": "own"}, srid=SRID)


def presence() -> Draft:
    return Draft(Kind.DEVICE, BRANCH, "gate1", {"state": "online", "kind": "osdp"})


class TestRefusals:
    async def test_an_event_the_hub_would_not_take_is_refused_and_costs_no_number(self, outbox: Outbox) -> None:
        bad = [
            (Draft(Kind.RETURN, BRANCH, "bin1", {"item": ["251020", "1"]}), "EVENT_DATA"),
            (Draft(Kind.CHECKOUT, BRANCH, "k", a_checkout().data), "EVENT_SUBJECT"),
            (a_return(weight=1.5), "EVENT_NOT_JSON"),
            (a_return(what=object()), "EVENT_NOT_JSON"),
            (a_return(text="\ud800"), "EVENT_NOT_JSON"),
            (a_return(text="x" * MAX_BODY), "EVENT_TOO_LONG"),
            (Draft(Kind.EXIT, "nowhere", "gate1", {}), "BRANCH_INVALID"),
        ]
        answers = await asyncio.gather(*(outbox.append(draft) for draft, _ in bad), return_exceptions=True)
        assert [getattr(error, "event_code", error) for error in answers] == [code for _, code in bad]
        assert (await outbox.append(a_return())).event_id.seq == 1

    async def test_one_bad_draft_costs_its_group_nothing(self, outbox: Outbox) -> None:
        good, bad, after = (
            outbox.append(a_return("1")),
            outbox.append(a_return(weight=0.5)),
            outbox.append(a_return("2")),
        )
        with pytest.raises(DraftInvalid):
            await bad
        assert [(await good).event_id.seq, (await after).event_id.seq] == [1, 2]

    async def test_presence_stops_at_half_and_visits_at_four_fifths_so_that_loans_always_fit(
        self, tmp_path: Path, time: Time
    ) -> None:
        box = Outbox(tmp_path / "o.db", NODE, time.clock(), limits=OutboxLimits(max_rows=10))
        await box.start()
        assert [box.append_nowait(presence()) for _ in range(6)] == [True] * 5 + [False]
        assert [box.append_nowait(an_entry()) for _ in range(4)] == [True] * 3 + [False]
        await asyncio.gather(*(box.append(a_return(str(n))) for n in range(2)))
        with pytest.raises(OutboxFull):
            box.append(a_return("x"))
        assert box.stats.dropped == {"CIRCULATION": 0, "VISIT": 1, "PRESENCE": 1}
        box.acked(box.epoch, 10)
        assert (await box.append(a_return("y"))).event_id.seq == 11
        await box.close()

    async def test_a_full_disk_is_told_before_anything_is_promised_and_what_was_promised_stays(
        self, tmp_path: Path, time: Time
    ) -> None:
        box = Outbox(tmp_path / "o.db", NODE, time.clock(), limits=OutboxLimits(max_file_mib=1))
        await box.start()
        kept = 0
        for note in (1_000, 10):  # fill it with large ones, then what is left with small ones
            with contextlib.suppress(OutboxFull):
                while await box.append(a_return(str(kept), note="x" * note)):
                    kept += 1
        assert kept > 100
        with pytest.raises(OutboxFull):
            await box.append(a_return("one more"))
        assert box.last_seq == kept
        assert len(verified(box)) == kept
        await box.close()

    async def test_a_file_that_cannot_be_written_is_a_fault(self, outbox: Outbox, tmp_path: Path) -> None:
        assert outbox._writer is not None
        outbox._writer._conn.execute("PRAGMA query_only=1")
        with pytest.raises(OutboxFault):
            await outbox.append(a_return())
        outbox._writer._conn.execute("PRAGMA query_only=0")
        assert (await outbox.append(a_return())).event_id.seq == 1

    async def test_two_edges_cannot_share_a_file(self, outbox: Outbox, tmp_path: Path, time: Time) -> None:
        with pytest.raises(OutboxFault, match="two edges"):
            await Outbox(tmp_path / "outbox.db", NODE, time.clock()).start()

    async def test_a_damaged_file_is_a_fault(self, outbox: Outbox, tmp_path: Path, time: Time) -> None:
        await asyncio.gather(*(outbox.append(a_return(str(n))) for n in range(200)))
        await outbox.close()
        with (tmp_path / "outbox.db").open("r+b") as file:
            file.seek(4096)
            file.write(os.urandom(40_000))
        with pytest.raises(OutboxFault):
            await Outbox(tmp_path / "outbox.db", NODE, time.clock()).start()

    async def test_a_closed_outbox_takes_nothing(self, outbox: Outbox) -> None:
        await outbox.close()
        with pytest.raises(OutboxClosed):
            outbox.append(a_return())
        assert outbox.append_nowait(an_entry()) is False


def verified(box: Outbox) -> list[str]:
    """Bodies of the running epoch; fails where the chain or the count does not hold."""
    bodies, digest, after = [], CHAIN_START, 0
    while rows := box.unsent(after, 100_000):
        for row, size in rows:
            assert row.seq == after + 1
            digest = chain(digest, row.body)
            assert row.hash == digest
            assert size >= len(row.body)
            event = decode(row.body)
            assert (event.seq, event.epoch, event.node) == (row.seq, box.epoch, NODE)
            if row.srid is not None and row.salt is not None:
                assert event.subject == subject(row.salt, row.srid)
            bodies.append(row.body)
            after = row.seq
    assert after == box.last_seq
    return bodies


class TestRecording:
    async def test_an_awaited_event_is_in_the_file_chained_and_committed_to_its_reader(
        self, outbox: Outbox, tmp_path: Path
    ) -> None:
        recorded = await outbox.append(a_checkout())
        other = sqlite3.connect(tmp_path / "outbox.db")
        assert other.execute("SELECT body, hash, srid FROM events").fetchall() == [(recorded.body, recorded.hash, SRID)]
        assert SRID not in recorded.body
        assert recorded.hash == chain(CHAIN_START, recorded.body)
        await outbox.append(a_return())
        assert len(verified(outbox)) == 2

    async def test_two_events_about_one_reader_cannot_be_joined_by_their_bodies(self, outbox: Outbox) -> None:
        first, second = await outbox.append(a_checkout("1")), await outbox.append(a_checkout("2"))
        assert json.loads(first.body)["subject"] != json.loads(second.body)["subject"]

    async def test_producers_of_one_moment_share_a_commit(self, outbox: Outbox) -> None:
        assert outbox._writer is not None
        before = outbox._writer.commits
        await asyncio.gather(*(outbox.append(a_return(str(n))) for n in range(100)))
        assert outbox._writer.commits == before + 1

    async def test_a_group_is_bounded(self, tmp_path: Path, time: Time) -> None:
        box = Outbox(tmp_path / "o.db", NODE, time.clock(), limits=OutboxLimits(batch=10))
        await box.start()
        await asyncio.gather(*(box.append(a_return(str(n))) for n in range(35)))
        assert box._writer is not None
        assert box._writer.commits == 4
        assert len(verified(box)) == 35
        await box.close()

    async def test_who_stops_waiting_changes_nothing(self, outbox: Outbox) -> None:
        outbox.append(a_return()).cancel()
        await outbox.append(a_return())
        assert len(verified(outbox)) == 2

    async def test_times_come_from_the_clock_unless_the_draft_knows_better(self, outbox: Outbox, time: Time) -> None:
        time.ms = 5_000
        now = json.loads((await outbox.append(a_return())).body)
        past = json.loads((await outbox.append(Draft(Kind.EXIT, BRANCH, "gate1", {}, t_eff=NOW - 60_000))).body)
        assert (now["t_eff"], now["mono"], now["boot"]) == (NOW + 5_000, 5_000, "boot-1")
        assert (past["t_eff"], past["t_dev"]) == (NOW - 60_000, NOW + 5_000)

    async def test_close_writes_what_was_accepted(self, outbox: Outbox, tmp_path: Path, time: Time) -> None:
        assert all(outbox.append_nowait(an_entry()) for _ in range(50))
        again = await reopened(outbox, tmp_path, time)
        assert len(verified(again)) == 50
        await again.close()


class TestMemo:
    async def test_a_memo_is_there_exactly_when_its_event_is(self, outbox: Outbox, tmp_path: Path, time: Time) -> None:
        with pytest.raises(DraftInvalid):
            await outbox.append(a_return(weight=0.1), memo=("k1", b"one"))
        await outbox.append(a_return(), memo=("k2", b"two"))
        await outbox.remember("k3", b"three")
        again = await reopened(outbox, tmp_path, time)
        assert [again.memo(key) for key in ("k1", "k2", "k3")] == [None, b"two", b"three"]
        await again.close()


class TestDelivery:
    async def test_unsent_gives_rows_in_order_within_bytes_but_one_at_least(self, outbox: Outbox) -> None:
        await asyncio.gather(*(outbox.append(a_return(str(n))) for n in range(10)))
        size = outbox.unsent(0, 1)[0][1]
        assert [row.seq for row, _ in outbox.unsent(0, 1)] == [1]
        assert [row.seq for row, _ in outbox.unsent(3, 3 * size)] == [4, 5, 6]
        assert outbox.unsent(10, 1000) == []

    async def test_an_ack_counts_for_its_epoch_only_and_never_backwards(self, outbox: Outbox) -> None:
        await asyncio.gather(*(outbox.append(a_return(str(n))) for n in range(5)))
        outbox.acked("1000000000000-ffffffff", 5)
        assert outbox.acked_seq == 0
        outbox.acked(outbox.epoch, 9)  # never sent so much
        assert outbox.acked_seq == 0
        outbox.acked(outbox.epoch, 4, [(2, "EVENT_FIELD")])
        outbox.acked(outbox.epoch, 3)
        assert (outbox.acked_seq, outbox.depth, outbox.stats.rejected) == (4, 1, 1)

    async def test_an_ack_survives_a_restart_and_the_archive_can_be_sent_again(
        self, outbox: Outbox, tmp_path: Path, time: Time
    ) -> None:
        await asyncio.gather(*(outbox.append(a_return(str(n))) for n in range(5)))
        outbox.acked(outbox.epoch, 4)
        again = await reopened(outbox, tmp_path, time)
        assert (again.acked_seq, again.last_seq, again.depth) == (4, 5, 1)
        assert await again.rewind(1)
        assert again.depth == 4
        assert [row.seq for row, _ in again.unsent(1, 10_000)] == [2, 3, 4, 5]
        third = await reopened(again, tmp_path, time)
        assert third.acked_seq == 1
        await third.close()

    async def test_only_delivered_and_old_rows_leave_the_archive(
        self, outbox: Outbox, tmp_path: Path, time: Time
    ) -> None:
        await asyncio.gather(*(outbox.append(a_return(str(n))) for n in range(6)))
        outbox.acked(outbox.epoch, 4)
        time.ms += 15 * 86_400_000
        await outbox.append(a_return("new"))
        assert outbox._writer is not None
        outbox._writer._sweep()
        assert [row.seq for row, _ in outbox.unsent(4, 10_000)] == [5, 6, 7]
        assert outbox.unsent(0, 10_000) == []
        assert not await outbox.rewind(2)
        again = await reopened(outbox, tmp_path, time)
        assert (again.last_seq, again.acked_seq) == (7, 4)
        assert (await again.append(a_return("next"))).event_id.seq == 8
        await again.close()

    async def test_an_archive_that_is_swept_empty_keeps_its_numbers_and_its_chain(
        self, outbox: Outbox, tmp_path: Path, time: Time
    ) -> None:
        last = [await outbox.append(a_return(str(n))) for n in range(3)][-1]
        outbox.acked(outbox.epoch, 3)
        time.ms += 15 * 86_400_000
        assert outbox._writer is not None
        outbox._writer._sweep()
        again = await reopened(outbox, tmp_path, time)
        assert again.hash_at(3) == last.hash
        following = await again.append(a_return("4"))
        assert (following.event_id.seq, following.hash) == (4, chain(last.hash, following.body))
        await again.close()

    async def test_the_archive_is_bounded_by_rows_too(self, outbox: Outbox, tmp_path: Path, time: Time) -> None:
        again = await reopened(outbox, tmp_path, time, OutboxLimits(archive_rows=3))
        await asyncio.gather(*(again.append(a_return(str(n))) for n in range(10)))
        again.acked(again.epoch, 8)
        await again.append(a_return("x"))
        assert again._writer is not None
        again._writer._sweep()
        assert again.hash_at(5) is None
        assert again.hash_at(6) is not None
        await again.close()


class TestNewEpoch:
    async def test_the_tail_is_issued_again_in_a_later_epoch_and_says_what_it_was(self, outbox: Outbox) -> None:
        first = [await outbox.append(a_checkout(str(n))) for n in range(5)]
        outbox.acked(outbox.epoch, 2)
        old = outbox.epoch
        assert await outbox.begin_epoch(3) == outbox.epoch
        assert outbox.epoch > old
        assert (outbox.last_seq, outbox.acked_seq, outbox.depth) == (2, 0, 2)
        bodies = [json.loads(body) for body in verified(outbox)]
        assert [body["reissue_of"] for body in bodies] == [str(first[3].event_id), str(first[4].event_id)]
        was = json.loads(first[3].body)
        changed = {key for key in bodies[0] if bodies[0][key] != was.get(key)}
        assert changed == {"epoch", "seq", "reissue_of"}

    async def test_an_event_issued_again_counts_once(self, outbox: Outbox) -> None:
        for n in range(5):
            await outbox.append(a_return(str(n)))
        old = outbox.epoch
        await outbox.begin_epoch(3)
        await outbox.append(a_return("5"))
        counting = outbox.counting(frozenset({Kind.RETURN}), None)
        assert [json.loads(kept.body)["data"]["item"][1] for kept in counting] == ["0", "1", "2", "3", "4", "5"]
        assert [(kept.epoch == old, kept.seq) for kept in counting] == [
            (True, 1),
            (True, 2),
            (True, 3),
            (False, 1),
            (False, 2),
            (False, 3),
        ]
        after = outbox.counting(frozenset({Kind.RETURN}), Watermark(old, 2))
        assert [kept.seq for kept in after] == [3, 1, 2, 3]
        assert [kept.seq for kept in outbox.counting(frozenset({Kind.RETURN}), Watermark(outbox.epoch, 2))] == [3]

    async def test_the_first_id_is_named_when_it_is_issued_a_third_time(
        self, outbox: Outbox, tmp_path: Path, time: Time
    ) -> None:
        first = await outbox.append(a_return())
        await outbox.begin_epoch(0)
        again = await reopened(outbox, tmp_path, time)
        await again.begin_epoch(0)
        assert [json.loads(body)["reissue_of"] for body in verified(again)] == [str(first.event_id)]
        await again.close()

    async def test_what_is_appended_while_it_changes_lands_in_one_epoch_or_the_other(self, outbox: Outbox) -> None:
        before = [outbox.append(a_return(f"a{n}")) for n in range(3)]
        change = asyncio.ensure_future(outbox.begin_epoch(0))
        await asyncio.sleep(0)
        after = [outbox.append(a_return(f"b{n}")) for n in range(3)]
        await asyncio.gather(change, *before, *after)
        items = [json.loads(body)["data"]["item"][1] for body in verified(outbox)]
        assert items == ["a0", "a1", "a2", "b0", "b1", "b2"]

    async def test_a_new_file_begins_behind_the_epoch_the_replica_knows_though_the_clock_went_back(
        self, tmp_path: Path, time: Time
    ) -> None:
        later = f"{NOW + 10**9:013d}-00000000"
        box = Outbox(tmp_path / "o.db", NODE, time.clock(), after_epoch=later)
        await box.start()
        assert box.epoch > later
        await box.close()


class Faulty:
    """An observer that fails at every event."""

    def accepted(self, ticket: int, draft: Draft, stamp: object) -> None:
        pass

    def recorded(self, ticket: int, recorded: object) -> None:
        raise RuntimeError("an observer's fault")

    def failed(self, ticket: int) -> None:
        raise RuntimeError("an observer's fault")

    def renumbered(self) -> None:
        raise RuntimeError("an observer's fault")


async def test_an_observers_fault_leaves_nobody_waiting(outbox: Outbox) -> None:
    outbox.observe(Faulty())
    answers = asyncio.gather(*(outbox.append(a_return(str(n))) for n in range(5)))
    assert [recorded.event_id.seq for recorded in await asyncio.wait_for(answers, 5)] == [1, 2, 3, 4, 5]
