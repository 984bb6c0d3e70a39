"""The 3M driver against a pad that speaks real frames over a real pty: tags, AFI and EAS, faults, loss and return."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from drivers.base import (
    DeviceEvent,
    DeviceState,
    Security,
    SecurityWrite,
    TagImage,
    TagsOnPad,
)
from drivers.rfid.mmm import build
from drivers.rfid.polling import PollingPad
from firmware_sim.faults import Faults
from firmware_sim.feig.tags import SimTag
from firmware_sim.mmm import MmmSimulator
from firmware_sim.mmm.pad import MmmPad
from protocols.iso28560 import encode_part3

ON = Security(0x07, True)
OFF = Security(0xC2, False)


def uid(number: int) -> str:
    return f"E00401{number:010X}"


def blocks(number: int) -> bytes:
    return encode_part3(f"TJ{number:06d}", "CN-251020", usage=1, parts=1, part=1, size=34)


class Kiosk:
    """A simulated pad, its driver running, and what the driver told."""

    def __init__(self, pad: PollingPad, sim: MmmSimulator) -> None:
        self.pad = pad
        self.sim = sim
        self.events: list[DeviceEvent] = []
        self._task = asyncio.create_task(pad.run(self.events.append))

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(e.state, e.reason_code) for e in self.events if isinstance(e, DeviceState)]

    def place(
        self, number: int, *, afi: int = 0x07, eas: bool = True, dsfid: int = 0x3E, data: bytes | None = None
    ) -> SimTag:
        memory = bytearray(blocks(number) if data is None else data)
        return self.sim.pad.place(SimTag(uid(number), dsfid, afi, memory, eas=eas))

    async def until(self, what: Callable[[], bool], seconds: float = 8.0) -> None:
        async with asyncio.timeout(seconds):
            while not what():
                await asyncio.sleep(0.005)

    async def online(self) -> None:
        await self.until(lambda: bool(self.states) and self.states[-1] == ("online", "OK"))

    async def shows(self, numbers: list[int], seconds: float = 8.0) -> None:
        want = {uid(number) for number in numbers}
        await self.until(lambda: {tag.uid for tag in self.pad.tags} == want, seconds)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.sim.stop()


Make = Callable[..., Any]


@pytest.fixture
async def kiosk(tmp_path: Path) -> AsyncIterator[Make]:
    made: list[Kiosk] = []

    async def make(*, tcp: bool = False, options: dict[str, Any] | None = None, **more: Any) -> Kiosk:
        sim = MmmSimulator("tcp:127.0.0.1:0" if tcp else f"pty:{tmp_path}/pad{len(made)}", **more)
        await sim.start()
        driver = build("pad-1", sim.url, {"poll_ms": 20, **(options or {})})
        assert isinstance(driver, PollingPad)
        made.append(Kiosk(driver, sim))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def test_no_security_is_claimed_written_on_a_tag_that_is_not_there(kiosk: Make) -> None:
    place = await kiosk()
    await place.online()
    written = await place.pad.secure(uid(1), False)
    assert (written.ok, written.reason) == (False, "NO_TAG")


async def test_a_tag_pulled_away_before_the_write_keeps_its_state_and_tells_it(kiosk: Make) -> None:
    place = await kiosk()
    tag = place.place(1)
    await place.shows([1])
    place.sim.faults.pull = 1.0
    written = await place.pad.secure(uid(1), False)
    assert (written.before, written.ok, written.reason) == (ON, False, "NO_TAG")
    assert (tag.afi, tag.eas) == (0x07, True)


async def test_a_locked_afi_is_told_as_locked_and_the_eas_is_written_nevertheless(kiosk: Make) -> None:
    place = await kiosk()
    tag = place.place(1)
    tag.afi_locked = True
    await place.shows([1])
    written = await place.pad.secure(uid(1), False)
    assert (written.ok, written.reason, written.failed) == (False, "LOCKED", ("AFI",))
    assert (written.before, written.after) == (ON, Security(0x07, False))
    assert (await place.pad.restore(uid(1), written.before)).ok
    assert tag.eas


async def test_a_write_confirmed_but_not_stored_is_found_out_by_reading_back(kiosk: Make) -> None:
    place = await kiosk()
    tag = place.place(1)
    await place.shows([1])
    place.sim.faults = Faults(seed=3, forget=1.0)
    written = await place.pad.secure(uid(1), False)
    assert not written.ok
    assert written.reason in ("NOT_VERIFIED", "WRITE_ERROR")
    assert (tag.afi, tag.eas) == (0x07, True)


async def test_tags_are_told_with_content_and_security_and_told_when_they_leave(kiosk: Make) -> None:
    place = await kiosk()
    await place.online()
    place.place(1)
    place.place(2, afi=0xC2, eas=False)
    await place.shows([1, 2])
    first, second = place.pad.tags
    assert (first.dsfid, first.afi, first.eas, first.secured) == (0x3E, 0x07, True, True)
    assert (second.afi, second.eas, second.secured) == (0xC2, False, False)
    assert b"TJ000001" in first.data and b"TJ000002" in second.data
    place.sim.pad.remove(uid(1))
    await place.shows([2])
    place.sim.pad.remove(uid(2))
    await place.shows([])
    assert place.events[-1] == TagsOnPad("pad-1", ())


async def test_afi_and_eas_are_written_and_read_back_and_put_back(kiosk: Make) -> None:
    place = await kiosk()
    tag = place.place(1)
    await place.shows([1])
    assert await place.pad.secure(uid(1), False) == SecurityWrite(uid(1), ON, OFF, True)
    assert (tag.afi, tag.eas) == (0xC2, False)
    assert place.pad.tags[0].secured is False
    writes = tag.writes
    assert await place.pad.secure(uid(1), False) == SecurityWrite(uid(1), OFF, OFF, True)
    assert tag.writes == writes
    assert await place.pad.restore(uid(1), ON) == SecurityWrite(uid(1), OFF, ON, True)


async def test_a_chip_of_another_maker_has_no_eas_and_only_its_afi_is_written(kiosk: Make) -> None:
    place = await kiosk()
    place.sim.pad.place(SimTag("E007000000000001", 0x3E, 0x07, bytearray(blocks(1))))
    await place.until(lambda: len(place.pad.tags) == 1)
    assert place.pad.tags[0].eas is None
    assert (await place.pad.secure("E007000000000001", False)).after == Security(0xC2, None)


async def test_a_site_without_eas_never_touches_it(kiosk: Make) -> None:
    place = await kiosk(options={"eas": False, "afi_secured": 0xD7, "afi_on_loan": 0xDA})
    tag = place.place(1, afi=0xD7)
    await place.shows([1])
    assert (await place.pad.secure(uid(1), False)).ok
    assert (tag.afi, tag.eas) == (0xDA, True)


@pytest.mark.parametrize("options", [{}, {"read_style": "old"}])
async def test_firmware_without_options_and_tag_information_tells_the_same(
    kiosk: Make, options: dict[str, str]
) -> None:
    place = await kiosk(old=True, options=options)
    place.place(1)
    place.place(2, dsfid=0x06, data=bytes(range(112)))
    await place.shows([1, 2])
    first, second = place.pad.tags
    assert (first.dsfid, first.afi, first.eas) == (0x3E, 0x07, True)
    assert b"TJ000001" in first.data
    assert second.data == bytes(range(112))
    assert (await place.pad.secure(uid(1), False)).ok


async def test_the_same_tag_twice_in_an_inventory_is_one_tag(kiosk: Make) -> None:
    place = await kiosk(repeat=1.0)
    for number in range(5):
        place.place(number)
    await place.shows(list(range(5)))
    assert [tag.uid for tag in await place.pad.read()] == [uid(number) for number in range(5)]
    assert int(place.pad.health()["duplicates"]) > 0


async def test_a_tag_of_the_old_kind_is_no_item(kiosk: Make) -> None:
    place = await kiosk()
    place.place(1)
    place.sim.pad.on_pad["00000000001A23B5"] = place.sim.pad.on_pad[uid(1)]
    place.sim.pad.on_pad["00000000001A23B5"] = SimTag("00000000001A23B5", 0, 0)
    await place.shows([1])
    assert int(place.pad.health()["foreign_tags"]) > 0


async def test_forty_tags_are_found_and_content_is_read_as_far_as_it_goes(kiosk: Make) -> None:
    place = await kiosk()
    await place.online()
    for number in range(38):
        place.place(number)
    long = place.place(38)
    long.blocks[34:60] = bytes(range(1, 27))
    legacy = bytes.fromhex("04110001") + b"1302099999".ljust(28, b"\0")
    place.place(39, dsfid=0, data=legacy)
    await place.shows(list(range(40)))
    assert [len(tag.data) for tag in place.pad.tags] == [36] * 38 + [112, 32]
    assert place.pad.tags[39].data == legacy
    assert len(await place.pad.read()) == 40


async def test_a_whole_tag_is_written_and_read_back_security_last(kiosk: Make) -> None:
    place = await kiosk()
    tag = place.place(1, dsfid=0x06, afi=0xC2, eas=False, data=bytes(112))
    await place.shows([1])
    image = TagImage("HF", bytes(range(1, 37)), dsfid=0x3E, afi=0x07, eas=True)
    assert (await place.pad.write_tag(uid(1), image)).ok
    assert (bytes(tag.blocks[:36]), tag.dsfid, tag.afi, tag.eas) == (image.data, 0x3E, 0x07, True)
    whole = await place.pad.read_whole(uid(1))
    assert whole is not None
    assert whole.data == bytes(tag.blocks)


async def test_a_whole_tag_pulled_away_midway_keeps_its_security(kiosk: Make) -> None:
    place = await kiosk()
    tag = place.place(1, afi=0xC2, eas=False, data=bytes(112))
    await place.shows([1])
    place.sim.faults.pull = 1.0
    written = await place.pad.write_tag(uid(1), TagImage("HF", bytes(range(36)), dsfid=0x3E, afi=0x07, eas=True))
    assert (written.ok, written.reason) == (False, "NO_TAG")
    assert (tag.afi, tag.eas) == (0xC2, False)


@pytest.mark.parametrize("size", [116, 1028])
async def test_an_image_larger_than_the_tag_is_refused_before_anything_is_written(kiosk: Make, size: int) -> None:
    place = await kiosk()
    tag = place.place(1)
    await place.shows([1])
    assert (await place.pad.write_tag(uid(1), TagImage("HF", bytes(size)))).reason == "TOO_SMALL"
    assert tag.writes == 0


async def test_blocks_are_locked_only_where_the_site_wants_it(kiosk: Make) -> None:
    image = TagImage("HF", bytes(range(1, 37)), dsfid=0x3E, locks=(0, 1, 2))
    for lock in (False, True):
        place = await kiosk(options={"lock": lock})
        tag = place.place(1)
        await place.shows([1])
        assert (await place.pad.write_tag(uid(1), image)).ok
        assert tag.locked == ({0, 1, 2} if lock else set())
        assert (await place.pad.write_tag(uid(1), image)).ok  # what stands there already needs no writing
    tag.blocks[20] ^= 1
    assert (await place.pad.write_tag(uid(1), TagImage("HF", bytes(36), dsfid=0x3E))).reason == "LOCKED"


@pytest.mark.parametrize("seed", range(6))
async def test_noise_split_and_damaged_answers_never_make_a_wrong_tag(kiosk: Make, seed: int) -> None:
    place = await kiosk()
    await place.online()
    place.sim.faults = Faults(seed=seed, noise=0.1, drop=0.05, double=0.05, bad_crc=0.05, split=5, collide=0.1)
    for number in range(5):
        place.place(number)
    async with asyncio.timeout(20):
        while True:
            for tag in place.pad.tags:
                number = int(tag.uid[6:], 16)
                assert (tag.afi, tag.eas) == (0x07, True)
                assert f"TJ{number:06d}".encode() in tag.data
            if len(place.pad.tags) == 5:
                break
            await asyncio.sleep(0.01)
    written = await place.pad.secure(uid(3), False)
    tag = place.sim.pad.on_pad[uid(3)]
    assert written.ok == ((tag.afi, tag.eas) == (0xC2, False))
    assert int(place.pad.health()["bad_frames"]) > 0


async def test_a_megabyte_of_noise_is_survived_and_makes_no_tag(kiosk: Make) -> None:
    place = await kiosk()
    await place.online()
    await place.sim.do({"op": "noise", "bytes": 1_000_000})
    place.place(1)
    await place.until(lambda: len(place.pad.tags) == 1, 20)
    assert {tag.uid for event in place.events if isinstance(event, TagsOnPad) for tag in event.tags} == {uid(1)}
    await place.until(lambda: place.states[-1] == ("online", "OK"), 10)
    assert int(place.pad.health()["bad_frames"]) > 0


async def test_a_pad_that_only_knows_the_early_version_request_is_greeted(kiosk: Make, monkeypatch: Any) -> None:
    answer = MmmPad.answer
    monkeypatch.setattr(MmmPad, "answer", lambda self, frame: b"" if frame.command == 0x11 else answer(self, frame))
    place = await kiosk()
    await place.online()
    assert place.pad.health()["firmware"] == "10.5.0.2"
    place.place(1)
    await place.shows([1])


async def test_only_one_command_is_under_way_whoever_asks(kiosk: Make) -> None:
    place = await kiosk(baudrate=19200)
    for number in range(3):
        place.place(number)
    await place.shows([0, 1, 2])
    await asyncio.gather(
        place.pad.read(), place.pad.secure(uid(0), False), place.pad.secure(uid(1), False), place.pad.read()
    )
    assert place.sim.overlaps == 0
    assert [tag.afi for tag in place.sim.pad.on_pad.values()] == [0xC2, 0xC2, 0x07]


async def test_a_pad_that_falls_silent_is_offline_with_nothing_on_it_and_comes_back(kiosk: Make) -> None:
    place = await kiosk()
    place.place(1)
    await place.shows([1])
    place.sim.faults.silent = True
    await place.until(lambda: place.states[-1] == ("offline", "NO_ANSWER"))
    await place.shows([])
    place.sim.faults.silent = False
    await place.online()
    await place.shows([1])


async def test_a_power_cycle_is_survived(kiosk: Make) -> None:
    place = await kiosk()
    place.place(1)
    await place.shows([1])
    await place.sim.do({"op": "power_cycle"})
    await asyncio.sleep(0.2)
    place.place(2)
    await place.shows([1, 2])


@pytest.mark.parametrize("tcp", [False, True])
async def test_an_unplugged_pad_is_found_again_without_restart(kiosk: Make, tcp: bool) -> None:
    place = await kiosk(tcp=tcp)
    place.place(1)
    await place.shows([1])
    await place.sim.do({"op": "unplug"})
    await place.until(lambda: place.states[-1] == ("offline", "PORT_UNREACHABLE" if tcp else "PORT_MISSING"))
    place.place(2)
    await place.sim.do({"op": "plug"})
    await place.online()
    await place.shows([1, 2])
    assert place.pad.health()["opened"] == 2
