"""Who really went through: visits of gates that confirm and of gates that cannot, tailgating, and capacity in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import edge.passages
from consortium import bundle as bundles
from consortium.events import Kind
from drivers.base import DeviceOffline, DeviceRefused, DoorAlarm
from tests.edge.bed import Bed, now_ms, policy_text, srid_of, standard_rows, until, write_replica
from tests.edge.entrance.doors import Hall, failure
from tests.make import HOME

OWN, PARTNER, STRANGER = "04A1B2C3", "04D1D2D3", "0499999999"
READER = ("reader1", "reader", {"gate": "gate1"})


@pytest.fixture
def hall() -> Hall:
    """An empty hall."""
    return Hall()


@pytest.fixture
async def bed(tmp_path: Path, hall: Hall) -> AsyncIterator[Bed]:
    """An edge with a turnstile that confirms, open for a tenth of a second, and a cardreader beside it."""
    write_replica(tmp_path, standard_rows())
    async with hall.bed(tmp_path, ("gate1", "turnstile", {"open_tenths": 1}), READER) as running:
        await until(lambda: running.agent.devices.records["reader1"].state == "online")
        yield running


def went(bed: Bed, direction: str, what: str) -> float:
    """The metric of what became of openings."""
    return bed.agent.metrics.went_through.labels(HOME, "gate1", direction, what)._value.get()


async def opened(hall: Hall, n: int = 1) -> None:
    await until(lambda: len([did for did in hall.at["gate1"].done if did[0] == "open"]) == n)


class TestNobodyWentThrough:
    async def test_no_visit_is_written_and_the_place_is_free_again(
        self, bed: Bed, hall: Hall, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(edge.passages, "GRACE_S", 0.1)
        hall.at["reader1"].tap(OWN)
        await opened(hall)
        assert bed.agent.passages.expected_in == (1, 0)
        await until(lambda: went(bed, "IN", "not_taken") == 1)
        assert bed.agent.passages.expected_in == (0, 0)
        assert bed.events(Kind.ENTRY) == []
        assert bed.agent.facts.occupancy(now_ms()) == 0
        assert bed.agent.devices.records["gate1"].facts["not_taken"] == 1

    async def test_a_gate_that_refuses_to_open_expects_nobody(self, bed: Bed, hall: Hall) -> None:
        hall.at["gate1"].fails.append(failure("COMMAND_REFUSED", DeviceRefused))
        hall.at["reader1"].tap(OWN)
        (event,) = await bed.settled(Kind.REFUSED)
        assert event.data["codes"] == ["OUT_OF_SERVICE"]
        assert bed.agent.passages.expected_in == (0, 0)

    async def test_whoever_taps_twice_is_one_person(self, bed: Bed, hall: Hall) -> None:
        hall.at["reader1"].tap(OWN)
        await opened(hall)
        hall.at["reader1"].tap(OWN)
        await opened(hall, 2)
        assert bed.agent.passages.expected_in == (1, 0)


class TestConfirmed:
    async def test_the_visit_is_written_when_somebody_went_through(self, bed: Bed, hall: Hall) -> None:
        hall.at["reader1"].tap(PARTNER)
        await opened(hall)
        assert bed.agent.passages.expected_in == (1, 1)
        assert bed.events(Kind.ENTRY) == []
        hall.at["gate1"].walk()
        (event,) = await bed.settled(Kind.ENTRY)
        assert (event.data["passage"], event.device, event.data["class"]) == ("confirmed", "gate1", "partner")
        assert bed.subjects(Kind.ENTRY) == [srid_of("P1")]
        assert event.decision is not None
        assert bed.agent.passages.expected_in == (0, 0)

    async def test_ways_are_kept_apart(self, bed: Bed, hall: Hall) -> None:
        hall.at["reader1"].tap(OWN)
        hall.at["reader1"].tap(STRANGER, direction="OUT")
        await opened(hall, 2)
        hall.at["gate1"].walk("OUT")
        (event,) = await bed.settled(Kind.EXIT)
        assert event.data == {"passage": "confirmed"}
        assert bed.events(Kind.ENTRY) == []
        hall.at["gate1"].walk("IN")
        await bed.settled(Kind.ENTRY)

    @pytest.mark.parametrize("way", ["IN", ""])
    async def test_whoever_tapped_last_stands_in_the_gate(self, bed: Bed, hall: Hall, way: Any) -> None:
        hall.at["reader1"].tap(OWN)  # and steps back
        await opened(hall)
        hall.at["reader1"].tap(PARTNER)
        await opened(hall, 2)
        hall.at["gate1"].walk(way)
        await bed.settled(Kind.ENTRY)
        assert bed.subjects(Kind.ENTRY) == [srid_of("P1")]
        assert bed.agent.passages.expected_in == (1, 0)

    async def test_a_stop_writes_whoever_is_under_way_as_assumed(self, tmp_path: Path, hall: Hall) -> None:
        write_replica(tmp_path, standard_rows())
        async with hall.bed(tmp_path, ("gate1", "turnstile", {}), READER) as bed:
            await until(lambda: bed.agent.devices.records["reader1"].state == "online")
            hall.at["reader1"].tap(OWN)
            await opened(hall)
            await bed.agent.entrance.close()
            (event,) = await bed.settled(Kind.ENTRY)
            assert event.data["passage"] == "assumed"


class TestTailgating:
    async def test_a_second_passage_on_one_opening(self, bed: Bed, hall: Hall) -> None:
        hall.at["reader1"].tap(OWN)
        await opened(hall)
        hall.at["gate1"].walk()
        hall.at["gate1"].walk()
        await bed.settled(Kind.ENTRY)
        assert went(bed, "IN", "tailgated") == 1
        assert bed.agent.devices.records["gate1"].facts["tailgated"] == 1
        assert bed.agent.facts.occupancy(now_ms()) == 1

    async def test_a_passage_against_the_opening(self, bed: Bed, hall: Hall) -> None:
        hall.at["reader1"].tap(OWN)
        await opened(hall)
        hall.at["gate1"].walk("OUT")
        assert went(bed, "OUT", "wrong_way") == 1
        assert bed.agent.passages.expected_in == (1, 0)

    async def test_a_passage_without_any_opening(self, bed: Bed, hall: Hall) -> None:
        hall.at["gate1"].walk()
        assert went(bed, "IN", "unopened") == 1
        assert bed.agent.devices.records["gate1"].facts["unopened"] == 1
        assert bed.events(Kind.ENTRY, Kind.EXIT) == []

    async def test_leaving_a_gate_that_is_free_outwards_is_no_fault(self, tmp_path: Path, hall: Hall) -> None:
        write_replica(tmp_path, standard_rows())
        async with hall.bed(tmp_path, ("gate1", "turnstile", {"free_exit": True}), READER) as bed:
            await until(lambda: bed.agent.devices.records["reader1"].state == "online")
            hall.at["reader1"].tap(OWN)
            await opened(hall)
            hall.at["gate1"].walk("OUT")
            assert (went(bed, "OUT", "free"), went(bed, "OUT", "wrong_way")) == (1, 0)
            assert bed.agent.gates.counters.today("gate1") == (0, 1)

    async def test_a_controller_that_tells_of_two_on_one_opening_is_heard(self, bed: Bed, hall: Hall) -> None:
        hall.at["gate1"].tell(DoorAlarm("gate1", "PASSED_TWICE", "", 0))
        assert went(bed, "?", "tailgated") == 1


class TestAssumed:
    async def test_a_gate_that_cannot_tell_says_so_in_the_event(self, tmp_path: Path, hall: Hall) -> None:
        write_replica(tmp_path, standard_rows())
        async with hall.bed(tmp_path, ("gate1", "door", {}), READER) as bed:
            await until(lambda: bed.agent.devices.records["reader1"].state == "online")
            hall.at["reader1"].tap(OWN)
            (event,) = await bed.settled(Kind.ENTRY)
            assert event.data == {"home": HOME, "class": "own", "passage": "assumed"}
            hall.at["reader1"].tap(OWN, direction="OUT")
            (event,) = await bed.settled(Kind.EXIT)
            assert event.data == {"passage": "assumed"}

    async def test_an_exit_that_cannot_be_opened_still_counts(self, bed: Bed, hall: Hall) -> None:
        hall.at["gate1"].fails.append(failure("DEVICE_OFFLINE", DeviceOffline))
        hall.at["reader1"].tap(OWN, direction="OUT")
        (event,) = await bed.settled(Kind.EXIT)
        assert event.data == {"passage": "assumed"}


class TestCapacity:
    async def test_whoever_is_in_the_gate_takes_a_place(self, tmp_path: Path, hall: Hall) -> None:
        policy = bundles.from_json(policy_text())
        branches = tuple(_of_one(branch) for branch in policy.branches)
        write_replica(tmp_path, standard_rows(), policy=policy_text(branches=branches))
        async with hall.bed(tmp_path, ("gate1", "turnstile", {}), READER) as bed:
            await until(lambda: bed.agent.devices.records["reader1"].state == "online")
            hall.at["reader1"].tap(OWN)
            await opened(hall)
            hall.at["reader1"].tap(PARTNER)
            (event,) = await bed.settled(Kind.REFUSED)
            assert event.data["codes"] == ["BRANCH_FULL"]
            hall.at["gate1"].walk()
            await bed.settled(Kind.ENTRY)
            hall.at["reader1"].tap(OWN, direction="OUT")
            await opened(hall, 2)
            hall.at["gate1"].walk("OUT")
            await bed.settled(Kind.EXIT)
            hall.at["reader1"].tap(PARTNER)
            await opened(hall, 3)
            await asyncio.sleep(0)
            assert bed.agent.passages.expected_in == (1, 1)


def _of_one(branch: Any) -> Any:
    return replace(branch, capacity=1)
