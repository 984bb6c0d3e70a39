"""The UHF driver where things go wrong: a spoilt line, early inventories, lost and late answers, silence, a pulled plug."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from drivers.base import TagsOnPad
from drivers.port import open_port
from drivers.rfid.uhf.line import ANSWER_S, UhfLine
from firmware_sim.faults import Faults
from firmware_sim.uhf import UhfDevice, simulate
from protocols.iso28560.uhf import decode_uhf
from protocols.uhf.tag_requests import ReadRequest, WriteRequest
from protocols.uhf.target import TID_BANK, Target
from tests.drivers.rfid.uhf_station import Opener, book, image, school_book, stations


@pytest.fixture(params=["18", "288"])
async def station(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opener]:
    async with stations(tmp_path, request.param) as make:
        yield make


@pytest.mark.parametrize("seed", range(4))
async def test_faults_on_the_line_never_make_a_wrong_tag(station: Opener, seed: int) -> None:
    place = await station()
    tags = [book(number) for number in range(5)]
    await place.online()
    wanted = {"seed": seed, "noise": 0.1, "drop": 0.05, "double": 0.05, "bad_crc": 0.05, "split": 7, "stranger": 0.2}
    await place.sim.do({"op": "faults", **wanted, "collide": 0.1})
    place.put(*tags)
    await place.shows(tags, 25)
    written = await place.pad.secure(tags[2].key, False)
    assert written.ok == (tags[2].pc & 0xFF == 0xC2)
    assert {(tag.uid, tag.epc) for tag in place.pad.tags} <= {(tag.key, tag.told) for tag in tags}
    assert all(tag.told == book(number).told for number, tag in enumerate(tags))
    await place.until(lambda: all(int(place.pad.health()[name]) > 0 for name in ("bad_frames", "other_address")), 20)


async def test_inventories_that_end_early_or_full_do_not_make_tags_flicker_away(station: Opener) -> None:
    place = await station()
    tags = [book(number) for number in range(40)]
    place.put(*tags)
    await place.shows(tags)
    assert len(await place.pad.read()) == 40
    await place.sim.do({"op": "faults", "full": 1.0})
    assert len(await place.pad.read()) == 39
    await place.sim.do({"op": "faults"})
    assert len(await place.pad.read()) == 40


async def test_noise_is_survived(station: Opener) -> None:
    place = await station()
    tag = book(1)
    place.put(tag)
    await place.shows([tag])
    await place.sim.do({"op": "noise", "bytes": 1_000_000, "seed": 3})
    await asyncio.sleep(0.5)
    await place.until(lambda: place.states[-1] == ("online", "OK"), 40)
    await place.shows([tag], 15)
    told = [seen for event in place.events if isinstance(event, TagsOnPad) for seen in event.tags]
    assert {seen.uid for seen in told} == {tag.key}


async def test_a_late_answer_is_never_taken_for_that_of_another_tag(tmp_path: Path) -> None:
    sim = simulate(f"pty:{tmp_path}/late", {"line_speed": "0"})
    assert isinstance(sim, UhfDevice)
    await sim.start()
    tags = [sim.field.put(book(1)), sim.field.put(book(2))]
    port = await open_port(sim.url)
    line = UhfLine(port)
    await line.information()
    line.scan_s = 0.0
    sim.faults.slow_s = ANSWER_S + 0.05
    first = asyncio.create_task(line.read_words(ReadRequest(Target(tags[0].told), TID_BANK, 0, 6)))
    await asyncio.sleep(ANSWER_S + 0.03)
    sim.faults.slow_s = 0.0
    assert await first == tags[0].tid
    for tag in (tags[1], tags[0], tags[1]):
        assert await line.read_words(ReadRequest(Target(tag.told), TID_BANK, 0, 6)) == tag.tid
    assert line.counters()["timeouts"] >= 1
    await port.close()
    await sim.stop()


class LosesOneAnswer(Faults):
    """The answer to the first write never arrives."""

    lost = False

    def spoil(self, answer: bytes) -> list[bytes]:
        if answer[2] == WriteRequest.COMMAND and not self.lost:
            self.lost = True
            return []
        return Faults.spoil(self, answer)


async def test_a_write_whose_answer_was_lost_is_found_done_under_the_new_epc(station: Opener) -> None:
    place = await station(tid="never")
    tag = school_book(4)
    place.put(tag)
    await place.until(lambda: bool(place.pad.tags))
    place.sim.faults = LosesOneAnswer()
    assert (await place.pad.write_tag(place.pad.tags[0].uid, image(5))).ok
    assert place.sim.faults.lost
    assert decode_uhf(tag.pc, tag.told).pii == "NEW000005"


async def test_silence_is_offline_and_a_replugged_device_is_found(station: Opener) -> None:
    place = await station()
    tag = book(1)
    place.put(tag)
    await place.shows([tag])
    place.sim.faults.silent = True
    await place.until(lambda: place.states[-1] == ("offline", "NO_ANSWER"), 15)
    place.sim.faults.silent = False
    await place.shows([tag], 15)
    await place.sim.do({"op": "unplug"})
    await place.until(lambda: place.states[-1] == ("offline", "PORT_MISSING"), 15)
    await place.sim.do({"op": "plug"})
    await place.shows([tag], 15)
    await place.sim.do({"op": "power_cycle"})
    await place.until(lambda: int(place.pad.health()["opened"]) >= 3 and bool(place.pad.tags), 15)
