"""The ILS goes down, comes back, hangs, is killed; the edge is killed: nothing is lost, nothing is booked twice, order stays."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from consortium.events import Kind
from tests.drivers.selfcheck.client_acs import Acs, Peer
from tests.edge.ils.member import DAY_MS, HOME, HOST, HOUR_MS, KEY, Member, Place, now_ms, until

ROOT = Path(__file__).parents[3]


@pytest.fixture
def member(tmp_path: Path) -> Iterator[Member]:
    one = Member(tmp_path, items=1000)
    one.start()
    yield one
    one.kill()


def refs(place: Place) -> Counter[str]:
    """How often each of our events was answered."""
    return Counter(event.data["ref"] for event in place.events(Kind.ILS_OBSERVED))


async def drained(place: Place, within_s: float = 60.0) -> None:
    await until(lambda: place.ils.up and place.waiting == 0 and not place.ils.public()["queue"]["behind"], within_s)


class TestIlsDown:
    async def test_what_happened_meanwhile_is_told_in_order_with_its_true_dates(
        self, tmp_path: Path, member: Member
    ) -> None:
        member.kill()
        began = now_ms() - 6 * HOUR_MS
        async with Place(tmp_path / "edge", member.port) as place:
            await until(lambda: not place.ils.up)
            for number in range(10):
                item_no, t = str(1001 + number), began + number * 60_000
                await place.lend(item_no, t=t)
                await place.take_back(item_no, t=t + HOUR_MS)
                await place.lend(item_no, home=HOST, number=f"P{number}", t=t + 2 * HOUR_MS, flags=())
            await until(lambda: place.waiting == 30)
            member.start()
            await drained(place)
            assert set(refs(place).values()) == {1}
            assert Counter(what for what, _, _ in place.outcomes()) == {"BOOKED": 30}
        changes = member.changes()
        for number in range(10):
            item_no, t = str(1001 + number), (began + number * 60_000) // 1000
            hour = HOUR_MS // 1000
            assert [(what, at // 1000) for what, one, at in changes if one == item_no] == [
                ("LOAN", t), ("RETURN", t + hour), ("LOAN", t + 2 * hour),
            ]  # fmt: skip

    async def test_it_waits_over_restarts_of_the_edge(self, tmp_path: Path, member: Member) -> None:
        member.kill()
        for number in range(3):
            async with Place(tmp_path / "edge", member.port) as place:
                await place.lend(str(1001 + number))
        async with Place(tmp_path / "edge", member.port) as place:
            member.start()
            await drained(place)
            assert Counter(what for what, _, _ in place.outcomes()) == {"BOOKED": 3}
            await place.ils.stop()
        async with Place(tmp_path / "edge", member.port) as place:
            await drained(place)
            assert sum(refs(place).values()) == 3

    async def test_the_queue_is_bounded_and_the_outbox_keeps_the_rest(self, tmp_path: Path, member: Member) -> None:
        member.kill()
        async with Place(tmp_path / "edge", member.port, queue_max=20) as place:
            for number in range(30):
                await place.lend(str(1001 + number))
            await until(lambda: place.waiting >= 20)
        async with Place(tmp_path / "edge", member.port, queue_max=20) as place:
            for number in range(30, 60):
                await place.lend(str(1001 + number))
            await asyncio.sleep(0.3)
            assert place.waiting < 60
            assert place.ils.public()["queue"]["behind"]
            assert (
                await place.ils.work(
                    {"org": HOME, "of": "n/1/1", "task": "CHECKIN", "owner": HOME, "item_no": "1", "t": 1}
                )
            )["state"] == "full"
            member.start()
            await drained(place)
            assert len(member.loans()) == 60
            assert set(refs(place).values()) == {1}

    async def test_without_a_policy_nothing_is_decided_and_nothing_forgotten(
        self, tmp_path: Path, member: Member
    ) -> None:
        async with Place(tmp_path / "edge", member.port) as place:
            await place.ready()
            known, place.policy = place.policy, None
            await place.lend("1001")
            await asyncio.sleep(0.3)
            assert place.waiting == 0
            place.policy = known
            await until(lambda: place.outcomes(), 15)
            assert place.outcomes() == [("BOOKED", "1001", "CHECKOUT")]


class TestHalfOpen:
    async def test_frozen_in_the_middle_and_thawed(self, tmp_path: Path, member: Member) -> None:
        async with Place(tmp_path / "edge", member.port, replay_timeout_s=0.5) as place:
            await place.ready()
            member.signal(signal.SIGSTOP)
            for number in range(20):
                await place.lend(str(1001 + number))
            await until(lambda: not place.ils.up)
            assert place.states[-1][0] == "offline"
            member.signal(signal.SIGCONT)
            await drained(place)
            assert set(refs(place).values()) == {1}
        loans = Counter(item_no for what, item_no, _ in member.changes() if what == "LOAN")
        assert (len(loans), set(loans.values())) == (20, {1})

    async def test_killed_after_it_wrote_and_before_it_answered(self, tmp_path: Path, member: Member) -> None:
        async with Place(tmp_path / "edge", member.port) as place:
            await place.ready()
            await member.staff("slow", s=30)
            await place.lend("1001", t=now_ms() - DAY_MS)
            await until(lambda: "1001" in member.loans())
            member.kill()
            member.start()
            await drained(place)
            assert place.outcomes() == [("BOOKED", "1001", "CHECKOUT")]
        assert [what for what, _, _ in member.changes()] == ["LOAN"]

    async def test_flapping(self, tmp_path: Path, member: Member) -> None:
        chance = random.Random(5)
        async with Place(tmp_path / "edge", member.port) as place:
            await place.ready()
            for number in range(120):
                await place.lend(str(1001 + number))
                if number % 2:
                    await place.take_back(str(1001 + number))
            for _ in range(4):
                await asyncio.sleep(chance.uniform(0.05, 0.3))
                member.kill()
                await asyncio.sleep(chance.uniform(0.0, 0.3))
                member.start()
            await drained(place)
            assert set(refs(place).values()) == {1}
            assert Counter(what for what, _, _ in place.outcomes()) == {"BOOKED": 180}
        assert set(member.loans()) == {str(1001 + number) for number in range(0, 120, 2)}
        made = Counter((what, item_no) for what, item_no, _ in member.changes())
        assert set(made.values()) == {1}


class TestEdgeKilled:
    async def test_kill_9_again_and_again_books_everything_once(self, tmp_path: Path, member: Member) -> None:
        chance = random.Random(11)
        promised: list[str] = []
        for turn in range(4):
            words = [
                sys.executable,
                "-m",
                "tests.edge.ils.edge_process",
                str(tmp_path / "edge"),
                str(member.port),
                "40",
                str(turn * 40),
            ]
            process = subprocess.Popen(
                words, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE
            )
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(chance.randrange(10, 55))]
            await asyncio.sleep(chance.uniform(0.0, 0.2))
            process.kill()
            lines += process.stdout.readlines()
            process.wait()
            process.stdout.close()
            promised += [line.decode().strip() for line in lines if line.endswith(b"\n")]
        async with Place(tmp_path / "edge", member.port) as place:
            await drained(place)
            answered = refs(place)
            assert set(answered) >= set(promised)
            assert set(answered.values()) == {1}
            assert {what for what, _, _ in place.outcomes()} == {"BOOKED"}
            named = {event.name for event in place.events(Kind.CHECKOUT, Kind.RETURN)}
            assert set(answered) == named
        made = Counter((what, item_no) for what, item_no, _ in member.changes())
        assert set(made.values()) == {1}
        assert len(promised) > 80

    async def test_events_issued_again_under_a_new_epoch_are_booked_once(self, tmp_path: Path, member: Member) -> None:
        async with Place(tmp_path / "edge", member.port) as place:
            await place.ready()
            for number in range(6):
                await place.lend(str(1001 + number))
            await drained(place)
            member.kill()
            for number in range(6, 10):
                await place.lend(str(1001 + number))
            await until(lambda: place.waiting == 4)
            await place.outbox.begin_epoch(2)
            for number in range(10, 12):
                await place.lend(str(1001 + number))
            await place.outbox.begin_epoch(5)
            member.start()
            await drained(place)
            await place.lend("1500")
            await until(lambda: ("BOOKED", "1500", "CHECKOUT") in place.outcomes())
        assert len(member.loans()) == 13
        made = Counter((what, item_no) for what, item_no, _ in member.changes())
        assert set(made.values()) == {1}

    async def test_what_was_issued_again_before_it_was_looked_at_keeps_its_first_name(self, tmp_path: Path) -> None:
        async with Acs() as acs, Place(tmp_path, acs.port) as place:
            await place.ready()
            known, place.policy = place.policy, None
            first = await place.lend("1001")
            await place.outbox.begin_epoch(0)
            place.policy = known
            await until(lambda: place.outcomes())
            assert refs(place) == {first: 1}


class TestPoison:
    async def test_a_booking_that_gets_no_answer_waits_alone(self, tmp_path: Path) -> None:
        async def way(peer: Peer, text: str, sequence: str | None) -> None:
            if "ABPOISON|" in text and poisonous:
                peer.hang_up()
            else:
                await peer.acs.by_the_book(peer, text, sequence)

        poisonous = True
        async with Acs() as acs, Place(tmp_path, acs.port) as place:
            acs.way = way
            await place.ready()
            await place.lend("POISON")
            await place.take_back("POISON")
            for number in range(20):
                await place.lend(str(number))
            await until(lambda: len(place.outcomes()) == 20)
            await until(lambda: place.waiting == 2)
            await until(lambda: place.states[-1] == ("degraded", "ILS_UNANSWERED"))
            assert len([text for text in acs.received if "ABPOISON|" in text]) <= 8
            poisonous = False
            await drained(place, 20)
            assert place.outcomes()[-2:] == [("BOOKED", "POISON", "CHECKOUT"), ("BOOKED", "POISON", "CHECKIN")]


class TestDisk:
    async def test_a_file_that_cannot_be_written_after_the_answer_gives_no_second_event(self, tmp_path: Path) -> None:
        async def way(peer: Peer, text: str, sequence: str | None) -> None:
            if "AB1001|" in text and not locked.in_transaction:
                locked.execute("BEGIN IMMEDIATE")  # from now on nobody else writes
            await peer.acs.by_the_book(peer, text, sequence)

        async with Acs() as acs, Place(tmp_path, acs.port) as place:
            await place.ready()
            locked = sqlite3.connect(tmp_path / "ils.db", isolation_level=None)
            acs.way = way
            await place.lend("1001")
            await until(lambda: place.states[-1] == ("degraded", "ILS_DB_FAULT"))
            assert place.outcomes() == [("BOOKED", "1001", "CHECKOUT")]
            acs.way = None
            locked.execute("ROLLBACK")
            locked.close()
            await until(lambda: place.waiting == 0, 15)
            await place.lend("1002")
            await until(lambda: place.states[-1][0] == "online" and place.waiting == 0 and len(place.outcomes()) > 1)
            assert [item_no for _, item_no, _ in place.outcomes()] == ["1001", "1002"]
            assert len(acs.asked("11")) == 2


class TestMany:
    async def test_a_thousand_are_told_over_few_connections_while_the_desk_is_served(
        self, tmp_path: Path, member: Member
    ) -> None:
        member.kill()
        async with Place(tmp_path / "edge", member.port, connections=3) as place:
            for number in range(999):
                await place.lend(
                    str(1001 + number), home=HOST if number % 3 else HOME, number=f"R{1 if number % 3 == 0 else 7}"
                )
            await until(lambda: place.waiting == 999)
            member.start()
            await until(lambda: place.ils.up)
            waits = []
            began = time.monotonic()
            while place.waiting:
                asked = time.monotonic()
                assert await place.ils.item("2000") is not None
                waits.append(time.monotonic() - asked)
                assert place.ils.public()["sip2"]["connections"] <= 3
                await asyncio.sleep(0.02)
            spent = time.monotonic() - began
            assert Counter(what for what, _, _ in place.outcomes()) == {"BOOKED": 999}
            assert sorted(waits)[len(waits) * 9 // 10] < 0.6
        print(f"999 bookings in {spent:.1f} s, a question meanwhile {max(waits) * 1000:.0f} ms at most")
        assert len(member.loans()) == 999


class TestAtRest:
    async def test_numbers_on_disk_are_sealed_and_gone_a_day_after_their_booking(
        self, tmp_path: Path, member: Member
    ) -> None:
        member.kill()
        number = "READER-NUMBER-8812"
        async with Place(tmp_path / "edge", member.port) as place:
            await place.lend("1001", number=number)
            await until(lambda: place.waiting == 1)
            files = [path for path in (tmp_path / "edge").iterdir() if path.is_file()]
            assert {"ils.db", "ils.db-wal"} <= {path.name for path in files}
            for path in files:
                assert number.encode() not in path.read_bytes()
            assert (tmp_path / "edge" / "ils.db").stat().st_mode & 0o077 == 0
        assert number.encode() not in (tmp_path / "edge" / "ils.db").read_bytes()
        assert KEY not in (tmp_path / "edge" / "ils.db").read_bytes()
