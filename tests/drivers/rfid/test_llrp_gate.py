"""The LLRP driver as a gate tells who passes and not who lies there; its outputs come to rest whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from drivers.base import DeviceOffline, DeviceRefused, SetOutput, TagsOnPad
from firmware_sim.llrp import LlrpSimulator, simulate
from tests.drivers.rfid.llrp_station import Opener, Station, book

GONE_S = 0.3
"""``gone_ms`` of `llrp_station.FAST`."""


@pytest.fixture
async def station() -> AsyncIterator[Opener]:
    made: list[Station] = []

    async def make(*tags: object, **options: object) -> Station:
        sim = simulate("tcp:127.0.0.1:0", {"reads": "400"})
        assert isinstance(sim, LlrpSimulator)
        await sim.start()
        for tag in tags:
            sim.reader.field.put(tag)  # type: ignore[arg-type]
        made.append(Station(sim, options))
        await made[-1].online()
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def settled(place: Station) -> None:
    """What lay there at the start has been taken in."""
    await place.online()
    await asyncio.sleep(GONE_S + 0.2)


def on(place: Station, output_no: int) -> bool:
    return bool(place.sim.reader._gpo_states[output_no + 1])


async def test_what_lies_there_when_it_starts_has_not_passed(station: Opener) -> None:
    tags = [book(number) for number in range(12)]
    place = await station(*tags, tells="passing")
    await place.shows(tags)
    await settled(place)
    assert place.passed == []
    walks = book(20, afi=0xC2)
    place.put(walks)
    await place.until(lambda: place.passed == [(walks.key, False)])


async def test_what_lies_there_when_it_is_found_again_has_not_passed(station: Opener) -> None:
    lies, walks = book(1), book(2)
    place = await station(lies, tells="passing", window_ms=100)
    await settled(place)
    place.put(walks)
    await place.until(lambda: place.passed == [(walks.key, True)])
    for _ in range(2):
        await place.sim.do({"op": "unplug"})
        await place.until(lambda: place.states[-1][0] == "offline")
        await asyncio.sleep(0.2)  # longer than the window
        await place.sim.do({"op": "plug"})
        await settled(place)
        await place.shows([lies, walks])
    assert place.passed == [(walks.key, True)]


async def test_a_tag_seen_again_within_the_window_passed_once_even_over_a_lost_connection(station: Opener) -> None:
    place = await station(tells="passing")
    await settled(place)
    tag = book(1)
    place.put(tag)
    await place.until(lambda: place.passed == [(tag.key, True)])
    place.sim.reader.field.take(tag)
    await place.shows([])
    place.put(tag)
    await place.shows([tag])
    place.sim.reader.field.take(tag)
    await place.shows([])
    await place.sim.do({"op": "power_cycle"})
    await place.until(lambda: place.states[-1][0] == "offline")
    await settled(place)
    place.put(tag)
    await place.shows([tag])
    assert place.passed == [(tag.key, True)]


async def test_a_tag_that_lay_there_longer_than_the_window_has_not_passed_when_it_is_lost_for_a_moment(
    station: Opener,
) -> None:
    place = await station(tells="passing", window_ms=500)
    await settled(place)
    tag = book(1)
    place.put(tag)
    await place.until(lambda: len(place.passed) == 1)
    await asyncio.sleep(0.6)
    place.sim.reader.field.take(tag)
    await place.shows([])
    place.put(tag)
    await place.shows([tag])
    assert len(place.passed) == 1


async def test_as_a_gate_it_tells_every_passing_once(station: Opener) -> None:
    place = await station(tells="passing", window_ms=100)
    await settled(place)
    tag, lent = book(1, user=b"\x06\x0c" * 9), book(2, afi=0xC2)
    place.put(tag)
    await place.until(lambda: place.passed == [(tag.key, True)])
    place.put(lent)
    await place.until(lambda: len(place.passed) == 2)
    place.sim.reader.field.take(tag)
    await place.until(lambda: len(place.pad.tags) == 1)
    await asyncio.sleep(0.15)
    place.put(tag)
    await place.until(lambda: place.passed == [(tag.key, True), (lent.key, False), (tag.key, True)])
    assert not any(isinstance(event, TagsOnPad) for event in place.events)
    assert place.pad.capabilities.events == {"TagPassed", "DeviceState", "InputChanged"}


async def test_as_a_pad_it_tells_no_passing_and_does_not_say_so(station: Opener) -> None:
    place = await station(book(1))
    await place.until(lambda: len(place.pad.tags) == 1)
    assert place.passed == []
    assert place.pad.capabilities.events == {"TagsOnPad", "DeviceState", "InputChanged"}


# --- outputs ----------------------------------------------------------------------------------------------------------


async def test_an_output_that_is_not_there_is_refused_and_changes_no_time(station: Opener) -> None:
    place = await station()
    with pytest.raises(DeviceRefused):
        await place.pad.execute(SetOutput(9, True, tenths=1))
    await place.pad.execute(SetOutput(0, True, tenths=3))
    assert on(place, 0)
    await place.until(lambda: not on(place, 0), 2)


async def test_without_a_connection_an_output_is_refused_and_not_switched_later(station: Opener) -> None:
    place = await station()
    await place.sim.do({"op": "unplug"})
    await place.until(lambda: place.states[-1][0] == "offline")
    with pytest.raises(DeviceOffline):
        await place.pad.execute(SetOutput(0, True, tenths=1))
    await place.sim.do({"op": "plug"})
    await place.online()
    await asyncio.sleep(0.2)
    assert not on(place, 0)


@pytest.mark.parametrize("level", [True, False])
async def test_a_timed_output_is_at_rest_when_the_driver_has_ended(station: Opener, level: bool) -> None:
    place = await station()
    if not level:
        await place.pad.execute(SetOutput(0, True))
    await place.pad.execute(SetOutput(0, level, tenths=600))
    await place.pad.execute(SetOutput(1, True))
    assert on(place, 0) is level
    await place.end()
    assert on(place, 0) is not level
    assert on(place, 1)  # switched for good


async def test_a_timed_output_is_at_rest_when_a_lost_reader_is_found_again(station: Opener) -> None:
    place = await station()
    await place.pad.execute(SetOutput(0, True, tenths=600))
    await place.sim.do({"op": "unplug"})
    await place.until(lambda: place.states[-1][0] == "offline")
    assert on(place, 0)  # it never heard anything else
    await place.sim.do({"op": "plug"})
    await place.online()
    assert not on(place, 0)


async def test_a_second_time_is_not_ended_by_the_first_one(station: Opener) -> None:
    place = await station()
    await place.pad.execute(SetOutput(0, True, tenths=3))
    await asyncio.sleep(0.15)
    await place.pad.execute(SetOutput(0, True, tenths=10))
    await asyncio.sleep(0.4)
    assert on(place, 0)
    await place.until(lambda: not on(place, 0), 3)


async def test_a_shorter_time_ordered_later_counts(station: Opener) -> None:
    place = await station()
    await place.pad.execute(SetOutput(0, True, tenths=600))
    await place.pad.execute(SetOutput(0, True, tenths=2))
    await place.until(lambda: not on(place, 0), 3)


async def test_an_output_switched_for_good_is_not_ended_by_an_earlier_time(station: Opener) -> None:
    place = await station()
    await place.pad.execute(SetOutput(0, True, tenths=2))
    await place.pad.execute(SetOutput(0, True))
    await asyncio.sleep(0.5)
    assert on(place, 0)
