"""The UHF driver where a device refuses: a wrong or lost antenna is told and never takes another's tags, a form is found once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from drivers.base import DeviceOffline, DeviceState, TagsOnPad
from drivers.rfid.link import TagRefused
from firmware_sim.uhf import simulate
from protocols.uhf.status import StatusError
from tests.drivers.rfid.uhf_station import Opener, Station, book, stations

FOUR = {"ports": "4"}


@pytest.fixture
async def station(tmp_path: Path) -> AsyncIterator[Opener]:
    async with stations(tmp_path, "288") as make:
        yield make


def told(place: Station) -> set[str]:
    """Everything that was ever shown."""
    return {tag.uid for event in place.events if isinstance(event, TagsOnPad) for tag in event.tags}


async def looked(place: Station, times: int = 5) -> None:
    """Wait for so many more inventories."""
    before = int(place.pad.health()["commands"])
    await place.until(lambda: int(place.pad.health()["commands"]) >= before + times)


def test_a_simulator_takes_inventories_in_a_known_form_only(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="takes"):
        simulate(f"pty:{tmp_path}/uhf", {"takes": "anything"})


def test_the_status_of_an_antenna_has_a_name() -> None:
    assert StatusError(0xF8).code == "antenna"


async def test_an_antenna_that_is_not_there_is_told_and_the_others_tags_are_not_taken_for_its(station: Opener) -> None:
    place = await station(sim=FOUR, antennas="5")
    place.put(book(1), book(2, antenna=2))
    await place.until(lambda: place.states[-1:] == [("degraded", "ANTENNA_REFUSED")])
    await looked(place)
    assert told(place) == set() and place.pad.tags == ()
    assert int(place.pad.health()["refused"]) > 0
    assert place.states == [("online", "OK"), ("degraded", "ANTENNA_REFUSED")]


async def test_beside_an_antenna_that_is_not_there_the_other_is_heard_with_fast_id(station: Opener) -> None:
    place = await station(sim=FOUR, antennas="2,5")
    elsewhere, here = book(1), book(2, antenna=2)
    place.put(elsewhere, here)
    await place.shows([here])
    await place.until(lambda: place.states[-1] == ("degraded", "ANTENNA_REFUSED"))
    await looked(place)
    assert told(place) == {here.key}
    assert [tag.uid for tag in await place.pad.read()] == [here.key]
    assert 2 in place.sim.asked
    assert (await place.pad.secure(here.key, False)).ok


async def test_an_antenna_pulled_off_is_told_and_so_is_its_return(station: Opener) -> None:
    place = await station(sim=FOUR, antennas="3")
    tag = book(1, antenna=3)
    place.put(tag)
    await place.shows([tag])
    await place.sim.do({"op": "antenna", "antenna": 3, "connected": False})
    await place.until(lambda: place.states[-1] == ("degraded", "ANTENNA_REFUSED"))
    assert place.pad.tags == ()
    await place.sim.do({"op": "antenna", "antenna": 3, "connected": True})
    await place.shows([tag])
    await place.until(lambda: place.states[-1] == ("online", "OK"))


async def test_of_two_antennas_the_second_returns_while_the_first_stays_away(station: Opener) -> None:
    place = await station(sim=FOUR, antennas="2,3")
    tag = book(1, antenna=3)
    place.put(tag)
    for antenna in (2, 3):
        await place.sim.do({"op": "antenna", "antenna": antenna, "connected": False})
    await place.until(lambda: place.states[-1:] == [("degraded", "ANTENNA_REFUSED")])
    await place.sim.do({"op": "antenna", "antenna": 3, "connected": True})
    await place.shows([tag])
    assert place.states[-1] == ("degraded", "ANTENNA_REFUSED")


async def test_a_tag_stays_where_its_antenna_refuses_for_a_moment_only(station: Opener) -> None:
    place = await station(sim=FOUR, antennas="2,3", poll_ms=200)
    tags = [book(1, antenna=2), book(2, antenna=3)]
    place.put(*tags)
    await place.shows(tags)
    before = len([event for event in place.events if isinstance(event, TagsOnPad)])
    refused = int(place.pad.health()["refused"])
    await place.sim.do({"op": "antenna", "antenna": 3, "connected": False})
    await place.until(lambda: int(place.pad.health()["refused"]) > refused)
    await place.sim.do({"op": "antenna", "antenna": 3, "connected": True})
    await looked(place)
    assert len([event for event in place.events if isinstance(event, TagsOnPad)]) == before
    assert not any(e.state == "degraded" for e in place.events if isinstance(e, DeviceState))


async def test_a_fresh_read_at_an_antenna_that_refuses_is_an_error_and_no_empty_pad(station: Opener) -> None:
    place = await station(sim=FOUR, antennas="4")
    await place.sim.do({"op": "antenna", "antenna": 4, "connected": False})
    await place.until(lambda: place.states[-1:] == [("degraded", "ANTENNA_REFUSED")])
    with pytest.raises((DeviceOffline, TagRefused)):
        async with asyncio.timeout(3):
            await place.pad.read()


@pytest.mark.parametrize("takes", ["fast_id", "parameters", "bare"])
async def test_a_device_is_asked_in_the_fullest_form_that_it_takes(station: Opener, takes: str) -> None:
    place = await station(sim={"takes": takes})
    tag = book(1)
    place.put(tag)
    await place.shows([tag])
    assert place.states == [("online", "OK")]
    assert place.pad.health()["refused"] == 0
    assert place.sim.asked == (set() if takes == "bare" else {1})


async def test_where_the_first_antenna_is_switched_off_the_form_is_found_at_ours(station: Opener) -> None:
    place = await station(sim=FOUR, antennas="2")
    tag = book(1, antenna=2)
    place.put(tag)
    await place.sim.do({"op": "unplug"})
    place.sim.hidden = {1}
    await place.sim.do({"op": "plug"})
    await place.shows([tag])
    assert place.pad.health()["refused"] == 0


async def test_a_device_whose_antenna_cannot_be_chosen_is_not_believed_to_use_ours(station: Opener) -> None:
    place = await station(sim={"takes": "bare", **FOUR}, antennas="2")
    place.put(book(1), book(2, antenna=2))
    await place.until(lambda: place.states[-1:] == [("degraded", "ANTENNA_REFUSED")])
    await looked_at_nothing(place)


async def looked_at_nothing(place: Station) -> None:
    """Give it some time: nothing is ever shown."""
    await asyncio.sleep(0.3)
    assert told(place) == set()


async def test_a_form_refused_once_at_an_antenna_later_is_no_reason_to_leave_the_form(station: Opener) -> None:
    place = await station(sim=FOUR, antennas="1,2")
    tag = book(1, antenna=2)
    place.put(tag)
    await place.shows([tag])
    place.sim.ports = 1  # its power is cut down to one port: FF for the other
    await place.until(lambda: place.states[-1] == ("degraded", "ANTENNA_REFUSED"))
    place.sim.ports = 4
    await place.shows([tag])
    place.sim.asked.clear()
    await place.until(lambda: place.sim.asked == {1, 2})
