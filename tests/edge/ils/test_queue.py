"""The bookings' file: bounded in what it keeps, sealed, migrated, never twice; and what answers mean."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from consortium.events import Kind
from consortium.identity import ItemKey
from consortium.mastership import Task
from edge.ils.asking import Asking, booked, known
from edge.ils.config import IlsConfig
from edge.ils.queue import DONE_MS, NUMBER_MS, Job, Queue, QueueFault
from edge.ils.seal import Sealer
from edge.outbox import Draft, Watermark
from edge.settings import ConfigError
from protocols.sip2 import Message
from tests.drivers.selfcheck.client_acs import Acs, Peer
from tests.edge.ils.member import BRANCH, HOME, KEY, ZONE, Place, until

READER = "a" * 32


def job(of: str, item_no: str = "1", *, t: int = 10, srid: str | None = None) -> Job:
    return Job(of, Task.CHECKOUT, ItemKey(HOME, item_no), t, 99, HOME, srid)


class Time:
    def __init__(self) -> None:
        self.ms = 1_800_000_000_000

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def now() -> Time:
    return Time()


@pytest.fixture
async def queue(tmp_path: Path, now: Time) -> AsyncIterator[Queue]:
    one = Queue(tmp_path / "ils.db", Sealer(KEY), now=now)
    await one.open()
    yield one
    await one.close()


class TestFile:
    async def test_a_newer_file_is_left_alone(self, tmp_path: Path, now: Time) -> None:
        with sqlite3.connect(tmp_path / "ils.db") as db:
            db.execute("PRAGMA user_version = 99")
        db.close()
        with pytest.raises(QueueFault) as fault:
            await Queue(tmp_path / "ils.db", Sealer(KEY), now=now).open()
        assert fault.value.code == "ILS_DB_NEWER"

    async def test_what_is_no_database(self, tmp_path: Path, now: Time) -> None:
        (tmp_path / "ils.db").write_bytes(b"not a database, whatever its name says" * 100)
        with pytest.raises(QueueFault) as fault:
            await Queue(tmp_path / "ils.db", Sealer(KEY), now=now).open()
        assert fault.value.code == "ILS_DB_FAULT"

    async def test_a_closed_one_says_so(self, queue: Queue) -> None:
        await queue.close()
        with pytest.raises(QueueFault):
            await queue.add([job("n/1/1")])


class TestJobs:
    async def test_one_event_is_one_booking_for_ever(self, queue: Queue) -> None:
        assert await queue.add([job("n/1/1"), job("n/1/1")]) == 1
        assert await queue.add([job("n/1/1")]) == 0
        (head,) = await queue.heads(10)
        await queue.done(head)
        await queue.done(head)
        assert await queue.add([job("n/1/1")]) == 0
        assert (queue.depth, queue.waits_for(head.item)) == (0, False)

    async def test_the_earliest_of_each_item_comes_first(self, queue: Queue) -> None:
        await queue.add([job("c", "1", t=30), job("a", "1", t=10), job("b", "2", t=20), job("d", "1", t=10)])
        assert [one.of for one in await queue.heads(10)] == ["a", "b"]
        first = (await queue.heads(1))[0]
        assert [one.of for one in await queue.heads(10, [first.id])] == ["b"]
        await queue.done(first)
        assert [one.of for one in await queue.heads(10)] == ["d", "b"]

    async def test_where_it_stood_survives(self, queue: Queue, tmp_path: Path, now: Time) -> None:
        await queue.add([job("n/1/5", srid=READER)], ("1", 5))
        await queue.close()
        again = Queue(tmp_path / "ils.db", Sealer(KEY), now=now, most=3)
        await again.open()
        assert (again.cursor, again.depth, again.room) == (Watermark("1", 5), 1, 2)
        assert (await again.heads(1))[0].srid == READER
        await again.close()

    async def test_what_is_past_its_time_is_forgotten(self, queue: Queue, now: Time) -> None:
        await queue.add([job("done"), job("waits", "2", srid=READER)])
        await queue.done((await queue.heads(1))[0])
        await queue.remember(READER, "R1")
        await queue.remember("b" * 32, "R2")
        now.ms += NUMBER_MS + 1
        await queue.sweep()
        assert (await queue.number(READER), await queue.number("b" * 32)) == ("R1", None)
        assert await queue.add([job("done")]) == 0
        now.ms += DONE_MS
        await queue.sweep()
        assert await queue.add([job("done")]) == 1


class TestSeal:
    async def test_only_this_site_and_only_for_this_reader(self, tmp_path: Path, queue: Queue, now: Time) -> None:
        await queue.remember(READER, "R1")
        assert await queue.number(READER) == "R1"
        await queue.close()
        other = Queue(tmp_path / "ils.db", Sealer(bytes(32)), now=now)
        await other.open()
        assert await other.number(READER) is None
        await other.close()
        sealer = Sealer(KEY)
        sealed = sealer.seal(READER, "R1")
        assert sealer.open("b" * 32, sealed) is None
        assert sealer.open(READER, sealed[:-1] + bytes([sealed[-1] ^ 1])) is None
        assert sealer.open(READER, b"") is None
        assert sealer.seal(READER, "R1") != sealed

    async def test_a_new_number_replaces_the_old_one(self, queue: Queue) -> None:
        for number in ("R1", "R1", "R2"):
            await queue.remember(READER, number)
        assert await queue.number(READER) == "R2"


class TestCrash:
    async def test_an_outcome_that_was_recorded_is_not_recorded_again(self, tmp_path: Path) -> None:
        """Killed between the event and the deletion of the job."""
        async with Acs() as acs:
            async with Place(tmp_path, 1) as place:
                of = await place.lend("1001")
                await until(lambda: place.waiting == 1)
                data = {"what": "BOOKED", "as_of": 1, "item": [HOME, "1001"], "status": "CHECKOUT", "ref": of}
                await place.outbox.append(Draft(Kind.ILS_OBSERVED, BRANCH, "ils", data), (f"ils:{of}", b"BOOKED"))
            async with Place(tmp_path, 1) as place:
                assert place.waiting == 0  # settled at once: what is remembered is forgotten after a day
            async with Place(tmp_path, acs.port) as place:
                await place.ready()
                await place.lend("1002")
                await until(lambda: len(place.outcomes()) == 2 and place.waiting == 0)
                assert [event.data["ref"] for event in place.events(Kind.ILS_OBSERVED)].count(of) == 1
                assert not [text for text in acs.received if "AB1001|" in text]

    async def test_a_new_file_does_not_book_the_past(self, tmp_path: Path) -> None:
        async with Place(tmp_path, 1) as place:
            await place.lend("1001")
        for path in tmp_path.glob("ils.db*"):
            path.unlink()
        async with Acs() as acs, Place(tmp_path, acs.port) as place:
            await place.ready()
            await place.outbox.begin_epoch(0)  # nor when it is issued again
            await place.lend("1002")
            await until(lambda: place.outcomes() and place.waiting == 0)
            assert place.outcomes() == [("BOOKED", "1002", "CHECKOUT")]

    @pytest.mark.parametrize("more", [{"ca": "/nowhere/ca.pem"}, {"url": "http://ils"}])
    def test_a_configuration_that_cannot_be_used_is_named(self, tmp_path: Path, more: dict[str, str]) -> None:
        with pytest.raises(ConfigError):
            Place(tmp_path, 1, **more)


class TestAnswers:
    def asking(self) -> Asking:
        return Asking(IlsConfig("sip2://h:1", institution="251020"), branch=BRANCH, zone=ZONE)

    def lent(self, ok: str, renewal: str, *fields: tuple[str, str], code: str = "12") -> Message:
        return Message(code, {"ok": ok, "renewal_ok": renewal}, fields)

    def test_he_has_it_already_counts_for_what_was_told_twice_only(self) -> None:
        had = self.lent("0", "Y", ("AF", "已借"))
        assert booked(job("a"), had)
        assert not booked(job("a"), self.lent("0", "N"))
        assert not booked(Job("a", Task.RENEW, ItemKey(HOME, "1"), 1), self.lent("0", "Y", code="30"))
        asking = self.asking()
        assert (asking.lent(had, again=False).outcome, asking.lent(had, again=False).renewed) == ("REFUSED", True)
        assert (asking.lent(had, again=True).outcome, asking.lent(had, again=True).renewed) == ("OK", False)

    def test_a_due_date_that_cannot_be_read_is_counted_and_none(self) -> None:
        asking = self.asking()
        said = asking.lent(self.lent("1", "N", ("AH", "next full moon")), again=False)
        assert (said.outcome, said.due_ms, asking.unreadable_dues) == ("OK", None, 1)
        assert asking.lent(self.lent("1", "N", ("AH", "")), again=False).due_ms is None
        assert asking.unreadable_dues == 1

    def test_the_screen_lines_of_the_ils_are_one_bounded_text(self) -> None:
        said = self.asking().lent(self.lent("0", "N", ("AF", "a "), ("AF", ""), ("AF", "b" * 500)), again=False)
        assert said.text.startswith("a b")
        assert len(said.text) == 240

    def test_a_pickup_elsewhere_by_the_ilss_own_code(self) -> None:
        asking = Asking(IlsConfig("sip2://h:1", branches={"EAST": f"{HOME}-02"}), branch=BRANCH, zone=ZONE)
        reply = Message("10", {"ok": "1"}, (("CV", "02"), ("CT", "EAST")))
        assert asking.taken(reply).pickup == f"{HOME}-02"
        assert asking.taken(Message("10", {"ok": "1"}, (("CV", "04"), ("CT", "X")))).pickup == ""

    @pytest.mark.parametrize(
        ("bv", "bh", "fees"),
        [
            ("", "CNY", None),
            ("0.00", "CNY", 0),
            ("12.5", "CNY", 1250),
            ("500", "JPY", 500),
            ("abc", "CNY", None),
            ("NaN", "CNY", None),
        ],
    )
    def test_fees_in_minor_units(self, bv: str, bh: str, fees: int | None) -> None:
        reply = Message("64", {"patron_status": " " * 14}, (("BV", bv), ("BH", bh)))
        assert self.asking().read_reader(reply, asked_pin=True).said.fees == fees

    def test_a_terse_system_without_bl_and_cq(self) -> None:
        answer = self.asking().read_reader(
            Message("64", {"patron_status": "Y" + " " * 13}, (("AE", "x"),)), asked_pin=True
        )
        assert (answer.said.valid, answer.said.blocked, answer.said.pin, answer.found) == (True, True, None, True)

    def test_an_item_it_does_not_know(self) -> None:
        asking = self.asking()
        assert not known(asking.read_item(Message("18", {"circulation_status": "01"}, (("AJ", ""),))))
        assert known(asking.read_item(Message("18", {"circulation_status": " 4"}, (("AH", "2027-01-01"),))))

    def test_the_dates_of_a_booking_are_the_branchs_wall_clock(self) -> None:
        t = int(datetime(2026, 11, 22, 16, 30, tzinfo=UTC).timestamp()) * 1000
        made = self.asking().booking(Job("a", Task.CHECKOUT, ItemKey(HOME, "B|1"), t, t + 1000), "R1")
        assert (made.fixed["no_block"], made.fixed["transaction_date"]) == ("Y", "20261123    003000")
        assert made.fixed["nb_due_date"] == "20261123    003001"
        assert ("AB", "B｜1") in made.fields


@pytest.mark.parametrize(
    ("circulation", "outcome"), [("03", "BOOKED"), ("08", "BOOKED"), ("04", "REFUSED"), ("01", "REFUSED")]
)
async def test_a_return_that_is_refused_is_booked_where_nobody_has_the_item_there(
    tmp_path: Path, circulation: str, outcome: str
) -> None:
    async def way(peer: Peer, text: str, sequence: str | None) -> None:
        if text.startswith("09"):
            peer.say("100NNN20261122    193711AO251020|AB1001|AQ|AFNot checked out|", sequence)
        elif text.startswith("17"):
            title = "" if circulation == "01" else "红楼梦"
            peer.say(f"18{circulation}020120261122    193711AB1001|AJ{title}|", sequence)
        else:
            await peer.acs.by_the_book(peer, text, sequence)

    async with Acs() as acs, Place(tmp_path, acs.port) as place:
        acs.way = way
        await (await place.ready()).take_back("1001")
        await until(lambda: place.outcomes())
        assert place.outcomes() == [(outcome, "1001", "CHECKIN")]
