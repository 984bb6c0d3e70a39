"""The way out: nobody is kept inside, and whoever left takes no place any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from consortium import bundle as bundles
from consortium.events import Kind
from drivers.base import DeviceRefused
from edge.entrance import MAX_UNDER_WAY
from tests.edge.bed import Bed, now_ms, policy_text, srid_of, standard_rows, until, write_replica
from tests.edge.entrance.doors import Hall, failure
from tests.make import HOME

OWN, PARTNER = "04A1B2C3", "04D1D2D3"
READER = ("reader1", "reader", {"gate": "gate1"})


@pytest.fixture
def hall() -> Hall:
    """An empty hall."""
    return Hall()


async def there(bed: Bed) -> Bed:
    """The edge once its devices are there."""
    await until(lambda: all(bed.agent.devices.records[name].state == "online" for name in bed.agent.devices.drivers))
    return bed


@pytest.fixture
async def bed(tmp_path: Path, hall: Hall) -> AsyncIterator[Bed]:
    """An edge with two turnstiles and a cardreader beside each."""
    write_replica(tmp_path, standard_rows())
    second = ("gate2", "turnstile", {}), ("reader2", "reader", {"gate": "gate2"})
    async with hall.bed(tmp_path, ("gate1", "turnstile", {}), READER, *second) as running:
        yield await there(running)


def opens(hall: Hall, gate: str, way: str) -> int:
    """How often a gate was told to open that way."""
    return sum(1 for did in hall.at[gate].done if did[0] == "open" and did[2] == way)


class TestCardsOfAnotherKind:
    """A cardreader of Wiegand 26 at the exit."""

    @pytest.fixture
    async def exit_(self, tmp_path: Path, hall: Hall) -> AsyncIterator[Bed]:
        """An edge with that exit."""
        write_replica(tmp_path, standard_rows())
        options = {"gate": "gate1", "direction": "OUT", "card": "w26"}
        async with hall.bed(tmp_path, ("gate1", "door", {}), ("reader1", "reader", options)) as running:
            yield await there(running)

    @pytest.mark.parametrize("keys", ["50", "0C31"])
    async def test_keys_pressed_at_a_cardreader_are_no_card(self, exit_: Bed, hall: Hall, keys: str) -> None:
        hall.at["reader1"].tap(keys)
        await until(lambda: hall.at["gate1"].done == [("deny", 0)])
        assert exit_.events(Kind.EXIT) == []

    async def test_a_frame_with_wrong_parity_is_none_either(self, exit_: Bed, hall: Hall) -> None:
        hall.at["reader1"].tap("00000040", wiegand=True)
        await until(lambda: hall.at["gate1"].done == [("deny", 0)])

    @pytest.mark.parametrize("card", [PARTNER, "04D1D2D3D4D5D6"])
    async def test_a_card_of_another_length_opens_outwards(self, exit_: Bed, hall: Hall, card: str) -> None:
        hall.at["reader1"].tap(card)
        (event,) = await exit_.settled(Kind.EXIT)
        assert (event.subject, hall.at["gate1"].done) == (None, [("open", 50, "OUT")])

    async def test_and_not_inwards(self, exit_: Bed, hall: Hall) -> None:
        hall.at["reader1"].direction = "IN"
        exit_.agent.entrance.attach(replace(exit_.agent.entrance._sources["reader1"], direction="IN"))
        hall.at["reader1"].tap(PARTNER)
        await until(lambda: hall.at["gate1"].done == [("deny", 0)])


class TestRefusedLate:
    """A gate that says only after a while that it does not open."""

    @pytest.mark.parametrize(("way", "kind", "what"), [("IN", Kind.ENTRY, "not_opened"), ("OUT", Kind.EXIT, "assumed")])
    async def test_whoever_wanted_in_is_outside_and_whoever_wanted_out_is_out(
        self, bed: Bed, hall: Hall, way: str, kind: Kind, what: str
    ) -> None:
        async def late(tenths: int, direction: str = "IN") -> None:
            await asyncio.sleep(0.05)
            raise failure("COMMAND_REFUSED", DeviceRefused)

        hall.at["gate1"].open = late
        hall.at["reader1"].tap(OWN, direction=way)
        metric = bed.agent.metrics.went_through.labels(HOME, "gate1", way, what)
        await until(lambda: metric._value.get() == 1)
        assert bed.agent.passages.expected_in == (0, 0)
        if way == "OUT":
            (event,) = await bed.settled(kind)
            assert event.data == {"passage": "assumed"}
            assert bed.subjects(kind) == [srid_of("R1")]
        else:
            assert bed.events(kind) == []


class TestFlood:
    async def test_a_flood_at_one_gate_closes_no_other_and_no_way_out(self, bed: Bed, hall: Hall) -> None:
        for _ in range(MAX_UNDER_WAY + 5):
            hall.at["reader1"].tap("0499999999")
        hall.at["reader2"].tap(OWN)
        hall.at["reader1"].tap(PARTNER, direction="OUT")
        await until(lambda: opens(hall, "gate2", "IN") == opens(hall, "gate1", "OUT") == 1)
        dropped = bed.agent.metrics.card_reads.labels(HOME, "reader1", "DROPPED")
        assert dropped._value.get() == 5

    async def test_a_flood_outwards_is_written_and_the_gate_not_told_without_end(self, bed: Bed, hall: Hall) -> None:
        for _ in range(MAX_UNDER_WAY):
            hall.at["reader1"].tap("0499999999", direction="OUT")
        hall.at["reader1"].tap(PARTNER, direction="OUT")
        hall.at["reader1"].tap("00000000", direction="OUT")
        (event,) = await bed.settled(Kind.EXIT)
        assert event.data == {"passage": "assumed"}
        assert bed.subjects(Kind.EXIT) == [srid_of("P1")]
        await until(lambda: opens(hall, "gate1", "OUT") == MAX_UNDER_WAY)


class TestFreeExit:
    """The way out needs no card."""

    async def test_whoever_leaves_makes_a_place_free_and_it_stays_so(self, tmp_path: Path, hall: Hall) -> None:
        policy = bundles.from_json(policy_text())
        branches = tuple(_of_one(branch) for branch in policy.branches)
        write_replica(tmp_path, standard_rows(), policy=policy_text(branches=branches))
        devices = ("gate1", "turnstile", {"free_exit": True}), READER
        async with hall.bed(tmp_path, *devices) as bed:
            await there(bed)
            hall.at["reader1"].tap(OWN)
            await until(lambda: opens(hall, "gate1", "IN") == 1)
            hall.at["gate1"].walk("IN")
            hall.at["gate1"].walk("OUT")
            (event,) = await bed.settled(Kind.EXIT)
            assert (event.device, event.subject, event.data) == ("gate1", None, {"passage": "confirmed"})
            assert bed.agent.facts.occupancy(now_ms()) == 0
            hall.at["reader1"].tap(PARTNER)
            await until(lambda: opens(hall, "gate1", "IN") == 2)
            hall.at["gate1"].walk("IN")
            await bed.settled(Kind.ENTRY, 2)
        async with hall.bed(tmp_path, *devices) as bed:
            assert bed.agent.facts.occupancy(now_ms()) == 1


def _of_one(branch: Any) -> Any:
    return replace(branch, capacity=1)
