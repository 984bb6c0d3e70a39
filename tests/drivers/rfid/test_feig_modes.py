"""The FEIG driver beyond host commands on a plain pad: buffers, frames of both kinds, whole tags, outputs and inputs."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from drivers.base import (
    ConfigurationError,
    DeviceEvent,
    DeviceOffline,
    DeviceRefused,
    DeviceState,
    InputChanged,
    Security,
    SetAlarm,
    SetOutput,
    Signal,
    TagImage,
    TagsOnPad,
    TagWrite,
)
from drivers.port import open_port
from drivers.rfid.feig import FeigLink, FeigPad, build
from drivers.rfid.feig.buffered import tag_of
from firmware_sim.faults import Faults
from firmware_sim.feig import SimPad, SimTag
from firmware_sim.pty import PtyLine
from protocols.feig import (
    Framer,
    InventoryReply,
    InventoryRequest,
    InventoryTag,
    OutputChange,
    SetOutputsRequest,
    TagRecord,
    VersionReply,
    decode_request,
    encode_reply,
)
from protocols.iso28560 import encode_part3


def uid(number: int) -> str:
    return f"E00401{number:010X}"


def book(number: int) -> SimTag:
    blocks = encode_part3(f"TJ{number:06d}", "CN-251020", usage=1, parts=1, part=1, size=34)
    return SimTag(uid(number), 0x3E, 0x07, bytearray(blocks))


class Desk:
    """A simulated pad and its driver."""

    def __init__(self, folder: Path, sim: dict[str, Any], driver: dict[str, Any]) -> None:
        self.sim = SimPad(PtyLine(str(folder / "pad")), **sim)
        self.sim.start()
        self.pad = FeigPad("pad-1", self.sim.line.url, poll_ms=20, uniform=lambda: 0.0, **driver)
        self.events: list[DeviceEvent] = []
        self._task = asyncio.create_task(self.pad.run(self.events.append))

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(e.state, e.reason_code) for e in self.events if isinstance(e, DeviceState)]

    async def until(self, what: Callable[[], bool], seconds: float = 8.0) -> None:
        async with asyncio.timeout(seconds):
            while not what():
                await asyncio.sleep(0.005)

    async def shows(self, count: int, seconds: float = 8.0) -> None:
        await self.until(lambda: bool(self.states) and len(self.pad.tags) == count, seconds)

    async def close(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task  # a driver that died of something tells it here
        self.sim.stop()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(sim: dict[str, Any] | None = None, **driver: Any) -> Desk:
        made.append(Desk(tmp_path, sim or {}, driver))
        return made[-1]

    yield make
    for one in made:
        await one.close()


@pytest.mark.parametrize(
    "options", [{"mode": "fast"}, {"frame": "long"}, {"eas": "yes"}, {"lock": 1}, {"valid_ms": 70_000}, {"afi": 7}]
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        build("pad-1", "pty:/x", options)
    assert refused.value.code in ("BAD_OPTION", "UNKNOWN_OPTION")


@pytest.mark.parametrize("data", [b"", bytes(36), b"\xff" * 36, bytes(book(1).blocks[:32]), bytes(35) + b"\x05"])
def test_a_record_that_does_not_prove_itself_an_item_is_left_to_host_commands(data: bytes) -> None:
    assert tag_of(TagRecord(0, 3, uid(1), len(data) // 4, 4, data, None)) is None


async def test_a_pad_that_scans_by_itself_is_found_out_and_told_with_its_content_then_its_afi(
    desk: Callable[..., Desk],
) -> None:
    place = desk({"scans": True, "valid_s": 0.2}, valid_ms=200)
    for number in range(3):
        place.sim.place(book(number))
    place.sim.place(SimTag(uid(9), 0x06, 0xC2, bytearray(range(112))))
    await place.shows(4)
    await place.until(lambda: all(tag.afi is not None for tag in place.pad.tags))
    assert place.pad.health()["mode"] == "buffered"
    assert [b"TJ00000%d" % n in tag.data for n, tag in enumerate(place.pad.tags[:3])] == [True] * 3
    assert (place.pad.tags[3].dsfid, place.pad.tags[3].data) == (0x06, bytes(range(112)))
    assert [tag.afi for tag in place.pad.tags] == [7, 7, 7, 0xC2]
    first = next(e for e in place.events if isinstance(e, TagsOnPad))
    assert any(tag.afi is None for tag in first.tags)
    place.sim.remove(uid(1))
    await place.shows(3)


async def test_security_is_written_in_host_mode_and_the_pad_scans_again_afterwards(desk: Callable[..., Desk]) -> None:
    place = desk({"scans": True, "valid_s": 0.2}, valid_ms=200)
    tag = place.sim.place(book(1))
    await place.shows(1)
    written = await place.pad.secure(uid(1), False)
    assert (written.ok, written.before, tag.afi, tag.eas) == (True, Security(7, True), 0xC2, False)
    assert not place.sim.held
    place.sim.place(book(2))
    await place.shows(2)


async def test_twenty_tags_with_content_come_in_less_than_400_ms_of_a_38400_baud_line(tmp_path: Path) -> None:
    """The wire alone takes 304 ms; the content was scanned while nobody asked."""
    sim = SimPad(PtyLine(str(tmp_path / "pad")), baudrate=38400, scans=True)
    sim.start()
    port = await open_port(sim.line.url)
    link = FeigLink(port, mode="buffered")
    await link.begin()
    for number in range(20):
        sim.place(book(number))
    await asyncio.sleep(0.8)
    began = asyncio.get_running_loop().time()
    found = await link.inventory()
    elapsed = asyncio.get_running_loop().time() - began
    assert sum(seen.tag is not None for seen in found.values()) == 20
    assert elapsed > 0.3  # no faster than its wire
    assert elapsed < 0.6  # on a machine that does other things too
    await port.close()
    sim.stop()


@pytest.mark.parametrize("form", ["standard", "advanced"])
async def test_both_kinds_of_frames_are_found_without_being_told(desk: Callable[..., Desk], form: str) -> None:
    place = desk({"form": form})
    place.sim.place(book(1))
    await place.shows(1)
    assert place.pad.health()["frame"] == form


async def test_an_answer_from_another_address_is_counted_and_never_taken_for_ours(tmp_path: Path) -> None:
    line, framer = PtyLine(str(tmp_path / "pad")), Framer()

    def neighbour(data: bytes) -> None:
        for frame in framer.receive(data):
            request = decode_request(frame)
            found = isinstance(request, InventoryRequest)
            reply = InventoryReply((InventoryTag(uid(1), 6),)) if found else VersionReply((3, 1))
            line.write(encode_reply(5, request, reply, frame.form))

    line.plug(neighbour)
    events: list[DeviceEvent] = []
    pad = FeigPad("pad-1", line.url, address=3)
    task = asyncio.create_task(pad.run(events.append))
    async with asyncio.timeout(8):
        while not events:
            await asyncio.sleep(0.01)
    assert [(e.state, e.reason_code) for e in events if isinstance(e, DeviceState)] == [("offline", "NO_ANSWER")]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    line.unplug()


async def test_the_silence_of_a_tag_that_was_away_is_not_taken_for_an_eas_bit_that_is_off(tmp_path: Path) -> None:
    sim = SimPad(PtyLine(str(tmp_path / "pad")))
    sim.start()
    port = await open_port(sim.line.url)
    link = FeigLink(port, form="advanced", mode="host")
    await link.begin()
    sim.faults.slow_s = 0.05
    asked = asyncio.create_task(link.security(uid(1)))
    await asyncio.sleep(0.03)  # the question after the EAS bit has been heard, its answer is on the way
    sim.place(book(1))
    assert await asked == Security(7, True)
    await port.close()
    sim.stop()


async def test_a_megabyte_of_noise_makes_no_tag_and_the_pad_is_served_again(desk: Callable[..., Desk]) -> None:
    place = desk()
    place.sim.place(book(1))
    await place.shows(1)
    noise = random.Random(5).randbytes(1_000_000)
    sent = 0
    async with asyncio.timeout(30):
        while sent < len(noise):
            sent += place.sim.line.write(noise[sent : sent + 4096])
            await asyncio.sleep(0.001)
    await place.until(lambda: place.states[-1][0] == "online", 20)
    await place.shows(1, 20)
    told = {tag.uid for e in place.events if isinstance(e, TagsOnPad) for tag in e.tags}
    assert told == {uid(1)}


async def test_a_pad_that_lost_its_power_and_a_field_with_collisions_are_survived(desk: Callable[..., Desk]) -> None:
    place = desk()
    for number in range(8):
        place.sim.place(book(number))
    place.sim.faults = Faults(seed=3, collide=0.4)
    await place.shows(8)
    place.sim.power_cycle(2.2)
    await place.until(lambda: ("offline", "NO_ANSWER") in place.states)
    await place.shows(8)
    assert int(place.pad.health()["last_frame_ms"]) >= 0


class TestWholeTags:
    IMAGE = TagImage("HF", bytes(range(1, 49)), dsfid=0x06, afi=0x07, eas=True)

    async def test_an_image_too_long_for_the_chip_is_not_begun(self, desk: Callable[..., Desk]) -> None:
        place = desk()
        tag = place.sim.place(book(1))
        await place.shows(1)
        answer = await place.pad.write_tag(uid(1), TagImage("HF", bytes(116), dsfid=6))
        assert answer == TagWrite(uid(1), False, "TOO_SMALL")
        assert tag.writes == 0

    async def test_a_locked_block_is_told_and_security_is_not_touched(self, desk: Callable[..., Desk]) -> None:
        place = desk()
        tag = place.sim.place(book(1))
        tag.locked = {2}
        tag.afi = 0xC2
        await place.shows(1)
        assert await place.pad.write_tag(uid(1), self.IMAGE) == TagWrite(uid(1), False, "LOCKED")
        assert (tag.afi, tag.dsfid) == (0xC2, 0x3E)

    async def test_a_tag_that_is_not_there_is_told(self, desk: Callable[..., Desk]) -> None:
        place = desk()
        await place.until(lambda: ("online", "OK") in place.states)
        assert await place.pad.write_tag(uid(1), self.IMAGE) == TagWrite(uid(1), False, "NO_TAG")
        assert await place.pad.read_whole(uid(1)) is None

    async def test_an_image_is_written_read_back_and_told(self, desk: Callable[..., Desk]) -> None:
        place = desk()
        tag = place.sim.place(SimTag(uid(1), 0, 0, eas=False))
        await place.shows(1)
        assert await place.pad.write_tag(uid(1), self.IMAGE) == TagWrite(uid(1), True)
        assert bytes(tag.blocks[:48]) == self.IMAGE.data
        assert (tag.dsfid, tag.afi, tag.eas, tag.locked) == (0x06, 0x07, True, set())
        told = [e for e in place.events if isinstance(e, TagsOnPad)][-1].tags[0]
        assert (told.dsfid, told.afi, told.eas, told.data) == (0x06, 0x07, True, bytes(tag.blocks))

    async def test_blocks_are_locked_only_where_the_site_asks_for_it(self, desk: Callable[..., Desk]) -> None:
        place = desk(lock=True)
        tag = place.sim.place(SimTag(uid(1), 0, 0))
        await place.shows(1)
        image = TagImage("HF", bytes(range(8)), dsfid=6, locks=(0, 1))
        assert (await place.pad.write_tag(uid(1), image)).ok
        assert tag.locked == {0, 1}

    async def test_a_chip_longer_than_one_answer_is_read_to_its_end(self, desk: Callable[..., Desk]) -> None:
        place = desk()
        memory = bytes(range(256)) + bytes(range(64))
        place.sim.place(SimTag(uid(1), 0x06, 0x07, bytearray(memory)))
        await place.shows(1)
        tag = await place.pad.read_whole(uid(1))
        assert tag is not None
        assert (tag.data, tag.eas, tag.secured) == (memory, True, True)


class TestOutputsAndInputs:
    async def test_what_a_pad_has_not_is_refused(self, desk: Callable[..., Desk]) -> None:
        place = desk()
        with pytest.raises(DeviceOffline):
            await place.pad.execute(SetOutput(0, True))
        await place.until(lambda: ("online", "OK") in place.states)
        with pytest.raises(DeviceRefused):
            await place.pad.execute(SetAlarm(True))

    async def test_relay_light_and_buzzer_are_set(self, desk: Callable[..., Desk]) -> None:
        place = desk()
        await place.until(lambda: ("online", "OK") in place.states)
        await place.pad.execute(SetOutput(0, True, 20))
        await place.pad.execute(Signal("amber", tenths=5, beeps=1))
        assert place.sim.work.outputs == [
            (OutputChange(0x81, 1, 20),),
            (OutputChange(0x21, 1, 5), OutputChange(0x22, 1, 5), OutputChange(0x41, 1, 2)),
        ]

    async def test_an_older_pad_takes_masks(self, desk: Callable[..., Desk]) -> None:
        place = desk({"old": True})
        await place.until(lambda: ("online", "OK") in place.states)
        await place.pad.execute(Signal("red", tenths=10, beeps=1))
        await place.pad.execute(SetOutput(0, False))
        assert place.sim.work.outputs == [SetOutputsRequest(0x14, 0, 10, 0), SetOutputsRequest(0, 0, 0, 1)]

    async def test_an_input_is_told_at_start_and_when_it_changes(self, desk: Callable[..., Desk]) -> None:
        place = desk(inputs=True)
        await place.until(lambda: sum(isinstance(e, InputChanged) for e in place.events) == 3)
        place.sim.work.set_input(1, True)
        await place.until(lambda: sum(isinstance(e, InputChanged) for e in place.events) == 4)
        told = [(e.input_no, e.active) for e in place.events if isinstance(e, InputChanged)]
        assert told == [(0, False), (1, False), (2, False), (1, True)]
