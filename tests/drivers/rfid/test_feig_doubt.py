"""The FEIG driver where an answer says less than it seems: errors of the air, tags of other kinds, a device left in host mode."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from drivers.base import DeviceEvent, DeviceOffline, DeviceState, Security, TagsOnPad, TagWrite
from drivers.rfid.feig import FeigPad
from drivers.rfid.polling import NOISE_S
from firmware_sim.faults import Faults
from firmware_sim.feig import SimPad, SimTag
from firmware_sim.pty import PtyLine
from protocols.feig import (
    ISO15693_ERROR,
    NO_TAG,
    NOT_AVAILABLE,
    RF_COMMUNICATION,
    UNKNOWN_COMMAND,
    EasAlarmRequest,
    InventoryRequest,
    ReadBlocksRequest,
    Reply,
    Request,
    ResetEasRequest,
    RfOutputRequest,
    SystemInformationRequest,
)
from protocols.iso28560 import encode_part3, image_of
from protocols.iso28560.content import TagContent

SECURED, ON_LOAN = Security(0x07, True), Security(0xC2, False)
EDGE_OF_FIELD, NOT_SUPPORTED = b"\x0f", b"\x01"
BANK_CARD = bytes.fromhex("04 20 00 04 A1 B2 C3 D4 E5 F6")
FOR_EVER = 10_000


def uid(number: int) -> str:
    return f"E00401{number:010X}"


def book(number: int) -> SimTag:
    blocks = encode_part3(f"TJ{number:06d}", "CN-251020", usage=1, parts=1, part=1, size=34)
    return SimTag(uid(number), 0x3E, 0x07, bytearray(blocks))


class Desk:
    """A simulated pad, its driver, and what the driver told."""

    def __init__(self, sim: SimPad, poll_ms: int, driver: dict[str, Any]) -> None:
        self.sim = sim
        self.sim.start()
        self._driver = {"poll_ms": poll_ms, "uniform": lambda: 0.0, **driver}
        self.begin()

    def begin(self) -> None:
        """Start the driver."""
        self.events: list[DeviceEvent] = []
        self.pad = FeigPad("pad-1", self.sim.line.url, **self._driver)
        self.task = asyncio.create_task(self.pad.run(self.events.append))

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(e.state, e.reason_code) for e in self.events if isinstance(e, DeviceState)]

    @property
    def told(self) -> list[int]:
        return [len(e.tags) for e in self.events if isinstance(e, TagsOnPad)]

    async def until(self, what: Callable[[], bool], seconds: float = 8.0) -> None:
        async with asyncio.timeout(seconds):
            while not what():
                await asyncio.sleep(0.005)

    async def shows(self, count: int) -> None:
        await self.until(lambda: bool(self.states) and len(self.pad.tags) == count)

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


Make = Callable[..., Desk]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Make]:
    made: list[Desk] = []

    def make(
        sim: dict[str, Any] | None = None, *, device: type[SimPad] = SimPad, poll_ms: int = 20, **more: Any
    ) -> Desk:
        made.append(Desk(device(PtyLine(str(tmp_path / "pad")), **(sim or {})), poll_ms, more))
        return made[-1]

    yield make
    for one in made:
        await one.end()
        one.sim.stop()


class TestSecurity:
    async def test_a_tag_that_only_gave_errors_is_not_claimed_switched(self, desk: Make) -> None:
        place = desk()
        tag = place.sim.place(book(1))
        await place.shows(1)
        for kind in (SystemInformationRequest, EasAlarmRequest):
            place.sim.work.refuse(kind, ISO15693_ERROR, EDGE_OF_FIELD, times=FOR_EVER)
        written = await place.pad.secure(uid(1), False)
        assert (written.ok, written.before, written.after) == (False, Security(), Security())
        assert (tag.afi, tag.eas) == (0x07, True)

    @pytest.mark.parametrize("kind", [SystemInformationRequest, EasAlarmRequest])
    @pytest.mark.parametrize("error", [EDGE_OF_FIELD, b""])
    async def test_one_error_of_a_tag_is_not_taken_for_a_chip_without_that_part(
        self, desk: Make, kind: type[Request], error: bytes
    ) -> None:
        place = desk()
        tag = place.sim.place(book(1))
        await place.shows(1)
        place.sim.work.refuse(kind, ISO15693_ERROR, error)
        written = await place.pad.secure(uid(1), False)
        assert (written.ok, written.before, written.after) == (True, SECURED, ON_LOAN)
        assert (tag.afi, tag.eas) == (0xC2, False)

    @pytest.mark.parametrize(("kind", "before"), [(SystemInformationRequest, 0x07), (EasAlarmRequest, True)])
    async def test_a_part_that_shows_itself_only_after_the_write_is_written_too(
        self, desk: Make, kind: type[Request], before: int | bool
    ) -> None:
        place = desk()
        tag = place.sim.place(book(1))
        await place.shows(1)
        place.sim.work.refuse(kind, ISO15693_ERROR, NOT_SUPPORTED)
        written = await place.pad.secure(uid(1), False)
        assert (written.ok, written.before, written.after) == (True, SECURED, ON_LOAN)
        assert (tag.afi, tag.eas) == (0xC2, False)
        assert before in (written.before.afi, written.before.eas)

    async def test_a_chip_that_shows_no_part_at_all_is_not_claimed_switched(self, desk: Make) -> None:
        place = desk({"custom": False})
        place.sim.place(book(1))
        await place.shows(1)
        place.sim.work.refuse(SystemInformationRequest, ISO15693_ERROR, NOT_SUPPORTED, times=FOR_EVER)
        written = await place.pad.secure(uid(1), False)
        assert (written.ok, written.reason) == (False, "NOT_VERIFIED")

    async def test_a_locked_afi_does_not_end_the_attempts_for_the_eas_bit(self, desk: Make) -> None:
        place = desk()
        tag = place.sim.place(book(1))
        tag.afi_locked = True
        await place.shows(1)
        place.sim.work.refuse(ResetEasRequest, NO_TAG)
        written = await place.pad.secure(uid(1), False)
        assert (written.ok, written.reason, written.failed) == (False, "LOCKED", ("AFI",))
        assert written.after == Security(0x07, False)
        assert not tag.eas

    async def test_a_device_that_says_twice_it_has_no_eas_command_is_believed_once_is_not(self, desk: Make) -> None:
        place = desk()
        tag = place.sim.place(book(1))
        await place.shows(1)
        place.sim.work.refuse(EasAlarmRequest, UNKNOWN_COMMAND)
        assert (await place.pad.secure(uid(1), False)).after == ON_LOAN
        assert not tag.eas

    async def test_a_pad_that_falls_out_of_host_mode_is_held_again_and_the_eas_bit_is_switched(
        self, desk: Make
    ) -> None:
        place = desk({"scans": True, "valid_s": 0.2}, device=Faltering, valid_ms=200)
        tag = place.sim.place(book(1))
        await place.shows(1)
        assert isinstance(place.sim, Faltering)
        place.sim.falters = True
        written = await place.pad.secure(uid(1), False)
        assert (written.ok, written.before, written.after) == (True, SECURED, ON_LOAN)
        assert (tag.afi, tag.eas) == (0xC2, False)

    @pytest.mark.parametrize("status", [NOT_AVAILABLE, 0x81])
    async def test_a_pad_that_will_not_be_asked_for_eas_leaves_nothing_claimed(self, desk: Make, status: int) -> None:
        place = desk()
        place.sim.place(book(1))
        await place.shows(1)
        place.sim.work.refuse(EasAlarmRequest, status, times=FOR_EVER)
        assert not (await place.pad.secure(uid(1), False)).ok


class Faltering(SimPad):
    """A pad that loses its power for a moment between the order to hold and the first question after it."""

    falters = False

    def _act(self, request: Request) -> Reply:
        if self.falters and isinstance(request, EasAlarmRequest):
            self.falters = False
            self.power_cycle(0)
        return super()._act(request)


class Dying(SimPad):
    """A pad whose host dies when the order to hold has arrived, before its answer is read."""

    at_hold: Callable[[], object] | None = None

    def _act(self, request: Request) -> Reply:
        reply = super()._act(request)
        if self.at_hold is not None and isinstance(request, RfOutputRequest) and request.hold:
            at_hold, self.at_hold = self.at_hold, None
            asyncio.get_running_loop().call_soon(at_hold)
        return reply


class TestHostMode:
    BUFFERED = {"scans": True, "valid_s": 0.2}  # noqa: RUF012

    @pytest.mark.parametrize("mode", ["auto", "buffered"])
    async def test_a_device_left_in_host_mode_is_let_go_and_its_tags_are_told(self, desk: Make, mode: str) -> None:
        place = desk(self.BUFFERED, valid_ms=200, mode=mode)
        await place.end()
        place.sim.held = True
        place.sim.place(book(1))
        place.begin()
        await place.shows(1)
        assert place.pad.health()["mode"] == "buffered"

    async def test_a_driver_cancelled_while_it_orders_to_hold_lets_the_device_go(self, desk: Make) -> None:
        place = desk(self.BUFFERED, device=Dying, valid_ms=200, mode="buffered")
        await place.until(lambda: ("online", "OK") in place.states)
        assert isinstance(place.sim, Dying)
        place.sim.at_hold = place.task.cancel
        place.sim.place(SimTag(uid(1), 0x06, 0x07, bytearray(range(112))))  # content that host commands must read
        await place.until(place.task.done)
        assert place.sim.at_hold is None
        assert not place.sim.held


class TestNoisyAir:
    async def test_air_that_is_noisy_for_a_moment_lifts_no_tag(self, desk: Make) -> None:
        place = desk()
        for number in range(5):
            place.sim.place(book(number))
        await place.shows(5)
        told = len(place.told)
        place.sim.work.refuse(InventoryRequest, RF_COMMUNICATION, times=4)
        assert len(await place.pad.read()) == 5
        place.sim.work.refuse(InventoryRequest, RF_COMMUNICATION, times=4)
        await asyncio.sleep(0.5)
        assert place.told[told:] == []

    async def test_a_warning_that_tags_may_be_missing_lifts_none(self, desk: Make) -> None:
        place = desk()
        for number in range(6):
            place.sim.place(book(number))
        await place.shows(6)
        told = len(place.told)
        place.sim.faults = Faults(collide=1.0)
        await asyncio.sleep(0.5)
        assert place.told[told:] == []
        assert len(await place.pad.read()) == 6
        place.sim.faults = Faults()
        place.sim.remove(uid(0))
        await place.shows(5)

    async def test_no_field_is_called_empty_that_could_not_be_seen(self, desk: Make) -> None:
        place = desk()
        await place.until(lambda: ("online", "OK") in place.states)
        place.sim.work.refuse(InventoryRequest, RF_COMMUNICATION, times=FOR_EVER)
        began = asyncio.get_running_loop().time()
        with pytest.raises(DeviceOffline) as refused:
            await place.pad.read()
        assert refused.value.code == "FIELD_NOISY"
        assert asyncio.get_running_loop().time() - began < NOISE_S + 1
        await place.until(lambda: ("degraded", "NOISY_LINE") in place.states)


class TestOtherKindsOfTags:
    async def test_a_bank_card_hides_no_item(self, desk: Make) -> None:
        place = desk()
        place.sim.work.others = [BANK_CARD]
        for number in range(30):  # more than one answer holds
            place.sim.place(book(number))
        await place.shows(30)
        assert place.states == [("online", "OK")]
        assert int(place.pad.health()["foreign_tags"]) > 0

    async def test_a_tag_of_unknown_length_is_told_and_lifts_no_item_that_was_seen_before(self, desk: Make) -> None:
        place = desk()
        for number in range(4):
            place.sim.place(book(number))
        await place.shows(4)
        place.sim.work.others = [b"\x3f\x01\x02\x03"]
        await place.until(lambda: place.states[-1] == ("degraded", "FOREIGN_TAG"))
        await asyncio.sleep(0.3)
        assert len(place.pad.tags) == 4
        assert len(await place.pad.read()) == 4
        place.sim.work.others = []
        await place.until(lambda: place.states[-1] == ("online", "OK"))


class TestContent:
    async def test_a_tag_that_cannot_be_read_is_told_bare_without_hurry_and_whole_when_it_can(self, desk: Make) -> None:
        place = desk(poll_ms=200)
        place.sim.place(book(1))
        place.sim.work.refuse(ReadBlocksRequest, ISO15693_ERROR, b"\x10", times=FOR_EVER)
        await place.shows(1)
        assert (place.pad.tags[0].data, place.pad.tags[0].afi) == (b"", None)
        assert [tag.uid for tag in await place.pad.read()] == [uid(1)]
        before = place.sim.requests
        await asyncio.sleep(1.0)
        assert place.sim.requests - before < 20  # 5 inventories, and two questions at a reading
        assert place.told == [1]
        place.sim.work.refuse(ReadBlocksRequest, ISO15693_ERROR, times=0)
        await place.until(lambda: b"TJ000001" in place.pad.tags[0].data)

    @pytest.mark.parametrize("dsfid", [0x3E, 0x06])
    async def test_a_chip_with_blocks_of_eight_bytes_is_read(self, desk: Make, dsfid: int) -> None:
        place = desk()
        memory = bytes(range(1, 225))
        place.sim.place(SimTag(uid(1), dsfid, 0x07, bytearray(memory), block_size=8))
        await place.shows(1)
        assert (place.pad.tags[0].data, place.pad.tags[0].block_size) == (memory, 8)

    async def test_a_tag_whose_writing_failed_is_read_and_told_anew(self, desk: Make) -> None:
        place = desk()
        old = image_of(TagContent("28560-2", "30114012345678", "CN-251020", usage=None), "28560-2")
        more = TagContent("28560-2", "30199087654321", "CN-251020", usage=None, elements=((17, "x" * 60),))
        tag = place.sim.place(SimTag(uid(7), 0x06, 0x07, bytearray(old.data)))
        tag.locked = {17}
        await place.shows(1)
        assert await place.pad.write_tag(uid(7), image_of(more, "28560-2")) == TagWrite(uid(7), False, "LOCKED")
        await place.until(lambda: bool(place.pad.tags) and place.pad.tags[0].data == bytes(tag.blocks))

    async def test_a_tag_lifted_while_it_is_written_is_told_as_lifted(self, desk: Make) -> None:
        place = desk()
        tag = place.sim.place(book(1))
        await place.shows(1)
        tag.leaves_after = 3
        image = image_of(TagContent("28560-2", "30199087654321", "CN-251020", usage=None), "28560-2")
        assert await place.pad.write_tag(uid(1), image) == TagWrite(uid(1), False, "NO_TAG")
        await place.until(lambda: place.told[-1] == 0)
