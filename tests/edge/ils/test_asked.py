"""The desk's questions to a real third party's SIP2 server: there, away, half there."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from consortium.identity import srid
from edge.ils.port import ItemSaid, ReaderSaid
from tests.edge.ils.member import BRANCH, HOME, HOST, KEY, THIRD, ZONE, Member, Place, until


@pytest.fixture
def member(tmp_path: Path) -> Iterator[Member]:
    one = Member(tmp_path)
    one.start()
    yield one
    one.kill()


@pytest.fixture
async def place(tmp_path: Path, member: Member) -> AsyncIterator[Place]:
    async with Place(tmp_path / "edge", member.port) as one:
        yield await one.ready()


def end_of(day: str) -> int:
    return int(datetime.fromisoformat(f"{day}T23:59:59").replace(tzinfo=ZONE).timestamp()) * 1000


class TestInCharge:
    def test_only_of_its_own_readers_with_its_own_items(self, tmp_path: Path) -> None:
        place = Place(tmp_path, 1)
        asked = [place.ils.in_charge(home, owner) for home in (HOME, HOST, THIRD) for owner in (HOME, HOST)]
        assert asked == [True, False, False, False, False, False]
        place.policy = None
        assert not place.ils.in_charge(HOME, HOME)


class TestRefused:
    async def test_a_blocked_reader_hears_the_ils_own_words(self, place: Place) -> None:
        said = await place.ils.checkout("R2", "1001", "1357")
        assert (said.outcome, said.text, said.due_ms) == ("REFUSED", "Patron is blocked", None)

    async def test_an_item_that_another_reader_has(self, place: Place, member: Member) -> None:
        await member.staff("register", number="R3", name="韩梅梅", pin="1")
        await place.ils.checkout("R3", "1001", "1")
        said = await place.ils.checkout("R1", "1001", "2468")
        assert (said.outcome, said.renewed) == ("REFUSED", False)

    async def test_unknown_readers_and_items(self, place: Place) -> None:
        assert (await place.ils.checkout("NOBODY", "1001", "")).outcome == "REFUSED"
        assert (await place.ils.checkin("NOTHING")).outcome == "REFUSED"
        assert (await place.ils.renew("R1", "1001", "")).outcome == "REFUSED"

    async def test_numbers_that_would_break_the_message_reach_nobody(self, place: Place, member: Member) -> None:
        assert (await place.ils.checkout("R1|ABevil|AD", "1001\r", "2468")).outcome == "REFUSED"
        assert member.loans() == {}


class TestDone:
    async def test_a_loan_a_renewal_and_a_return(self, place: Place, member: Member) -> None:
        lent = await place.ils.checkout("R1", "1001", "2468")
        assert (lent.outcome, lent.title, lent.renewed) == ("OK", "红楼梦 0", False)
        number, _, day = member.loans()["1001"]
        assert (number, lent.due_ms) == ("R1", end_of(day))
        assert (await place.ils.renew("R1", "1001", "2468")).outcome == "OK"
        assert (await place.ils.checkin("1001")).outcome == "OK"
        assert member.loans() == {}

    async def test_what_this_reader_has_already_is_said_so(self, place: Place) -> None:
        await place.ils.checkout("R1", "1001", "2468")
        again = await place.ils.checkout("R1", "1001", "2468")
        assert (again.outcome, again.renewed) == ("OK", True)

    async def test_a_return_that_somebody_waits_for(self, place: Place, member: Member) -> None:
        await place.ils.checkout("R1", "1001", "2468")
        await member.staff("hold", number="R2", item_no="1001")
        said = await place.ils.checkin("1001")
        assert (said.outcome, said.alert, said.pickup) == ("OK", "01", BRANCH)
        await member.staff("hold", number="R2", item_no="1002", pickup="EAST")
        said = await place.ils.checkin("1002")
        assert (said.alert, said.pickup) == ("02", "EAST")

    async def test_readers_and_items(self, place: Place) -> None:
        await place.ils.checkout("R1", "1001", "2468")
        reader = await place.ils.reader("R1", "2468")
        assert reader is not None
        assert (reader.valid, reader.pin, reader.blocked, reader.charged, reader.fees) == (True, True, False, 1, 0)
        other = await place.ils.reader("R2", "0000")
        assert other is not None
        assert (other.pin, other.blocked, other.fees, other.currency) == (False, True, 1250, "CNY")
        unasked = await place.ils.reader("R1", "")
        assert unasked is not None
        assert unasked.pin is None
        item = await place.ils.item("1001")
        assert item is not None
        assert (item.circulation, item.title, item.due_ms is None) == ("04", "红楼梦 0", False)


class TestAway:
    async def test_nobody_waits_for_an_ils_that_is_not_there(self, tmp_path: Path) -> None:
        async with Place(tmp_path, 1) as place:
            await until(lambda: not place.ils.up)
            began = time.monotonic()
            assert (await place.ils.checkout("R1", "1001", "")).outcome == "AWAY"
            assert await place.ils.item("1001") is None
            assert await place.ils.reader("R1", "") is None
            assert time.monotonic() - began < 1.2  # not even one of the three deadlines
            assert place.states[-1] == ("offline", "ILS_UNREACHABLE")

    async def test_a_wrong_password_is_named(self, tmp_path: Path, member: Member) -> None:
        async with Place(tmp_path / "edge", member.port, password="wrong") as place:
            await until(lambda: place.states[-1] == ("offline", "ILS_LOGIN_REFUSED"))
            assert (await place.ils.checkin("1001")).outcome == "AWAY"

    async def test_it_goes_down_and_comes_back(self, place: Place, member: Member) -> None:
        for _ in range(3):
            member.kill()
            assert (await place.ils.checkout("R1", "1001", "2468")).outcome == "AWAY"
            assert not place.ils.up
            member.start()
            await until(lambda: place.ils.up)
            assert (await place.ils.checkin("1001")).outcome == "OK"

    async def test_an_ils_that_takes_connections_and_is_silent_costs_two_waits(
        self, place: Place, member: Member
    ) -> None:
        member.signal(signal.SIGSTOP)
        try:
            began = time.monotonic()
            assert [(await place.ils.checkin("1001")).outcome for _ in range(5)] == ["AWAY"] * 5
            assert 1.0 < time.monotonic() - began < 3.0
            assert place.states[-1] == ("offline", "ILS_SILENT")
        finally:
            member.signal(signal.SIGCONT)
        await until(lambda: place.ils.up, 20)
        assert (await place.ils.checkin("1001")).outcome == "OK"

    async def test_killed_before_it_could_answer(self, place: Place, member: Member) -> None:
        await member.staff("slow", s=5)
        asked = asyncio.create_task(place.ils.checkout("R1", "1001", "2468"))
        await until(lambda: "1001" in member.loans())
        member.kill()
        assert (await asked).outcome == "AWAY"


class TestLearned:
    async def test_what_was_asked_anyway_is_handed_on(self, place: Place, member: Member) -> None:
        heard: list[object] = []

        class Listener:
            async def touch_item(self, item_no: str, said: ItemSaid) -> None:
                heard.append((item_no, said.circulation))

            async def touch_reader(self, srid: str, number: str, said: ReaderSaid) -> None:
                heard.append((srid, said.blocked))

        place.ils.observer = Listener()
        place.ils.srid_of = lambda number: srid(KEY, number) if number == "R2" else None
        await member.staff("lend", number="R1", item_no="1001")
        await place.ils.item("1001")
        await place.ils.item("UNKNOWN")
        await place.ils.reader("R2", "")
        await place.ils.reader("R1", "")
        await until(lambda: len(heard) == 2)
        assert heard == [("1001", "04"), (srid(KEY, "R2"), True)]

    async def test_while_the_ils_is_still_to_be_told_nothing_is_learned_from_it(
        self, place: Place, member: Member
    ) -> None:
        heard: list[str] = []

        class Listener:
            async def touch_item(self, item_no: str, said: ItemSaid) -> None:
                heard.append(item_no)

            async def touch_reader(self, srid: str, number: str, said: ReaderSaid) -> None:
                raise AssertionError

        place.ils.observer = Listener()
        await place.ils.checkin("1001")
        await place.ils.item("1001")
        await place.ils.item("1002")
        await until(lambda: heard)
        assert heard == ["1002"]


class TestFromTheHub:
    async def test_ask_item(self, place: Place, member: Member) -> None:
        await member.staff("lend", number="R1", item_no="1001", due="2030-02-03")
        asked = {"item_no": "1001", "deadline_at": int(time.time() * 1000) + 900}
        assert await place.ils.ask("item", asked) == {
            "found": True,
            "circulation": "04",
            "due": end_of("2030-02-03"),
            "holds": 0,
        }
        assert (await place.ils.ask("item", {"item_no": "NO"}))["found"] is False

    async def test_ask_reader(self, place: Place) -> None:
        asked = {"number": "R2", "pin": "1357", "deadline_at": int(time.time() * 1000) + 900}
        assert await place.ils.ask("reader", asked) == {
            "found": True, "valid": False, "pin_ok": True, "blocked": True, "fees": 1250, "currency": "CNY",
        }  # fmt: skip
        assert (await place.ils.ask("reader", {"number": "R1", "pin": None}))["pin_ok"] is None
        assert (await place.ils.ask("reader", {"number": "NO", "pin": None}))["found"] is False

    @pytest.mark.parametrize("data", [{"item_no": "1001", "deadline_at": 5}, {}, {"item_no": None}])
    async def test_too_late_or_nonsense_is_answered_with_nulls_at_once(
        self, place: Place, data: dict[str, object]
    ) -> None:
        assert (await place.ils.ask("item", data))["found"] is None

    async def test_an_ils_that_is_away_is_nulls_within_the_deadline(self, place: Place, member: Member) -> None:
        await member.staff("slow", s=5)
        began = time.monotonic()
        answer = await place.ils.ask("item", {"item_no": "1001", "deadline_at": int(time.time() * 1000) + 200})
        assert answer == {"found": None, "circulation": None, "due": None, "holds": None}
        assert time.monotonic() - began < 4.0  # not the 5 s that the ILS takes


async def test_nothing_secret_is_logged(place: Place, member: Member, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await place.ils.checkout("R1", "1001", "2468")
    await place.ils.reader("R2", "1357")
    member.kill()
    await place.ils.checkout("R2", "1002", "1357")
    await place.lend("1003", number="R1")
    shown = f"{caplog.text}{place.ils.public()}{place.states}"
    for secret in ("R1", "R2", "2468", "1357", "ils-secret-9", "PROXY-HOST-1"):
        assert secret not in shown
