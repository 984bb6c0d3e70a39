"""People counted: periods, midnight, drift, what was missed, and what a restart takes up again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from consortium.events import Event, Kind
from drivers.base import Command, DeviceOffline, DeviceState, PeopleCounted, ResetCounter
from edge.counters import Counters
from tests.edge.bed import Bed, standard_rows, until, write_replica
from tests.edge.entrance.doors import Hall

ZONE = ZoneInfo("Asia/Shanghai")
MINUTE = 60_000


def at(text: str) -> int:
    """ms UTC of a time of day of the branch in this test's year."""
    return int(datetime.fromisoformat(f"2026-{text}").replace(tzinfo=ZONE).timestamp()) * 1000


class Office:
    """Counters over a real outbox, with a clock of their own."""

    def __init__(self, bed: Bed, now: str, zone: tzinfo = ZONE) -> None:
        self.bed = bed
        self.now = at(now)
        self.facts: dict[tuple[str, str], int] = {}
        self.commands: list[tuple[str, Command]] = []
        self.fails: list[DeviceOffline] = []
        self.counters = Counters(
            bed.agent.outbox, bed.agent.metrics, branch=bed.agent.config.branch, now=lambda: self.now,
            zone=lambda: zone, on_fact=self._fact, execute=self._execute,
        )  # fmt: skip
        self.counters.add("eas1", "counter", reset_at_midnight=True)
        self.counters.add("gate1", "passages")
        self.counters.load()

    def _fact(self, device: str, name: str, value: int) -> None:
        self.facts[device, name] = value

    async def _execute(self, device: str, command: Command) -> None:
        if self.fails:
            raise self.fails.pop()
        self.commands.append((device, command))

    def people(self, came: int, left: int = 0, *, reset: bool = False) -> None:
        """The people counter moved."""
        self.counters.notice(PeopleCounted("eas1", came, left, 0, 0, reset, 0))

    async def comes(self, time: str) -> None:
        """Time passes."""
        self.now = at(time)
        await self.counters.look()

    async def told(self, n: int) -> list[Event]:
        """The periods told so far."""
        return await self.bed.settled(Kind.PEOPLE_COUNTED, n)


@pytest.fixture
async def bed(tmp_path: Path) -> AsyncIterator[Bed]:
    """An edge without devices."""
    write_replica(tmp_path, standard_rows())
    async with Hall().bed(tmp_path) as running:
        yield running


class TestPeriods:
    async def test_a_quarter_of_an_hour_is_told_once_and_by_the_clocks_quarters(self, bed: Bed) -> None:
        office = Office(bed, "03-02T10:07")
        office.people(3, 1)
        await office.comes("03-02T10:14:59")
        assert bed.events(Kind.PEOPLE_COUNTED) == []
        await office.comes("03-02T10:15:10")
        await office.comes("03-02T10:15:20")
        (event,) = await office.told(1)
        assert (event.device, event.data) == (
            "eas1",
            {
                "came": 3, "left": 1, "since": at("03-02T10:07"), "until": at("03-02T10:15"), "by": "counter",
                "missing": 0, "reset": 0, "drift": 3,
            },
        )  # fmt: skip

    async def test_a_counter_at_which_nobody_passed_says_so_and_a_gate_says_nothing(self, bed: Bed) -> None:
        office = Office(bed, "03-02T10:07")
        await office.comes("03-02T10:15")
        await office.comes("03-02T10:30")
        told = await office.told(2)
        assert {(event.device, event.data["came"]) for event in told} == {("eas1", 0)}

    async def test_a_clock_that_was_set_back_ends_the_period(self, bed: Bed) -> None:
        office = Office(bed, "03-02T10:07")
        office.people(2)
        await office.comes("03-02T08:00")
        (event,) = await office.told(1)
        assert event.data["since"] == event.data["until"] == at("03-02T08:00")
        await office.comes("03-02T08:14")
        assert len(bed.events(Kind.PEOPLE_COUNTED)) == 1

    async def test_minutes_without_an_answer_are_shown(self, bed: Bed) -> None:
        office = Office(bed, "03-02T10:00")
        office.now = at("03-02T10:05")
        office.counters.notice(DeviceState("eas1", "offline", "NO_ANSWER", {}))
        office.now = at("03-02T10:08:30")
        office.counters.notice(DeviceState("eas1", "online", "OK", {}))
        office.now = at("03-02T10:14")
        office.counters.notice(DeviceState("eas1", "offline", "NO_ANSWER", {}))
        await office.comes("03-02T10:15")
        await office.comes("03-02T10:30")
        first, second = await office.told(2)
        assert (first.data["missing"], second.data["missing"]) == (5, 15)

    async def test_a_counter_that_began_anew_is_told(self, bed: Bed) -> None:
        office = Office(bed, "03-02T10:00")
        office.people(0, 0, reset=True)
        office.counters.close()
        (event,) = await office.told(1)
        assert event.data["reset"] == 1


class TestMidnight:
    async def test_the_day_ends_in_the_branchs_zone_and_the_counter_is_reset(self, bed: Bed) -> None:
        office = Office(bed, "03-02T23:50")
        office.people(5)
        office.counters.passed("gate1", "IN", "unopened")
        await office.comes("03-03T00:00:05")
        assert office.facts["gate1", "unopened"] == 0
        assert (await office.told(2))[0].data["until"] == at("03-03T00:00")
        assert office.commands == [("eas1", ResetCounter())]
        assert office.counters.today("eas1") == (0, 0)
        assert office.facts["eas1", "came_today"] == 0

    async def test_a_counter_that_cannot_be_reset_stops_nothing(self, bed: Bed) -> None:
        office = Office(bed, "03-02T23:50")
        office.fails.append(DeviceOffline("NO_ANSWER", ""))
        await office.comes("03-03T00:00:05")
        await office.comes("03-03T00:15:05")
        assert len(await office.told(2)) == 2

    async def test_a_zone_whose_midnight_is_no_quarter_ends_its_day_there(self, bed: Bed) -> None:
        office = Office(bed, "03-02T10:00", ZoneInfo("Asia/Kathmandu"))
        local = datetime(2026, 3, 2, 23, 59, 30, tzinfo=ZoneInfo("Asia/Kathmandu"))
        office.now = int(local.timestamp()) * 1000
        await office.counters.look()
        office.now += MINUTE
        await office.counters.look()
        midnight = datetime(2026, 3, 3, tzinfo=ZoneInfo("Asia/Kathmandu"))
        assert (await office.told(2))[-1].data["until"] == int(midnight.timestamp()) * 1000


class TestDrift:
    async def test_it_is_what_the_counter_saw_beyond_the_gates(self, bed: Bed) -> None:
        office = Office(bed, "03-02T10:00")
        for what in ("confirmed", "confirmed", "tailgated", "assumed", "not_taken"):
            office.counters.passed("gate1", "IN", what)
        office.people(5)
        assert office.counters.drift("eas1") == 2
        assert office.facts["eas1", "drift"] == 2
        await office.comes("03-02T10:15")
        events = {event.device: event.data for event in await office.told(2)}
        assert events["eas1"]["drift"] == 2
        assert {name: events["gate1"][name] for name in ("by", "came", "tailgated", "not_taken")} == {
            "by": "passages", "came": 3, "tailgated": 1, "not_taken": 1,
        }  # fmt: skip
        assert "drift" not in events["gate1"]
        office.people(1)
        assert office.counters.drift("eas1") == 3
        office.counters.passed("gate1", "IN", "wrong_way")
        assert office.facts["gate1", "tailgated"] == office.counters.beside("gate1")["tailgated"] == 2

    async def test_a_restart_takes_up_the_day(self, bed: Bed) -> None:
        before = Office(bed, "03-01T23:00")
        before.people(100)
        before.counters.close()
        office = Office(bed, "03-02T10:00")
        office.people(7, 2)
        office.now = at("03-02T10:01")
        office.counters.close()
        await office.told(2)
        again = Office(bed, "03-02T10:05")
        again.people(1)
        assert again.counters.today("eas1") == (8, 2)


async def test_an_edge_that_stops_tells_what_it_counted(tmp_path: Path) -> None:
    hall = Hall()
    write_replica(tmp_path, standard_rows())
    async with hall.bed(tmp_path, ("eas1", "eas", {})) as bed:
        await until(lambda: bed.agent.devices.records["eas1"].state == "online")
        hall.at["eas1"].people(4, 3)
        assert bed.agent.devices.records["eas1"].facts["came_today"] == 4
        told: list[Any] = []
        real = bed.agent.outbox.append_nowait
        bed.agent.outbox.append_nowait = lambda draft: told.append(draft) or real(draft)  # type: ignore[method-assign]
    assert [(draft.kind, draft.data["came"], draft.data["left"]) for draft in told] == [(Kind.PEOPLE_COUNTED, 4, 3)]
