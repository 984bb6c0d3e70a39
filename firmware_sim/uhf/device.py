"""A simulated UHFReader18 or UHFReader288: takes frames from its line, acts on Gen2 tags, answers as the device does."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping
from typing import Any, Literal

from firmware_sim.faults import Faults
from firmware_sim.operated import Operated, number, raw_faults
from firmware_sim.scene import Step
from firmware_sim.uhf.field import TagField
from firmware_sim.uhf.tags import EPC, INSUFFICIENT_POWER, RESERVED, TID, USER, Gen2Tag, TagError
from protocols.iso28560.part4 import encode_pc_uii
from protocols.uhf.device_requests import AddressRequest, BeepRequest, InformationRequest, PowerRequest, ScanTimeRequest
from protocols.uhf.replies import (
    DoneReply,
    InformationReply,
    InventoryReply,
    ReadReply,
    Reply,
    encode_reply,
    encode_status,
    split_reports,
)
from protocols.uhf.requests import Request, addressed_to, decode_request
from protocols.uhf.status import (
    ANTENNA,
    DONE,
    FULL,
    ILLEGAL_COMMAND,
    MORE,
    NO_TAG,
    PARAMETER,
    PASSWORD,
    POOR_COMMUNICATION,
    TAG_ERROR,
    TIMEOUT,
    BadRequest,
    StatusError,
)
from protocols.uhf.tag_requests import (
    InventoryOneRequest,
    InventoryRequest,
    LockRequest,
    ReadRequest,
    WriteEpcRequest,
    WriteRequest,
)
from protocols.uhf.target import Family, Mask, Target
from protocols.uhf.uhfreader18 import Frame, Framer, SeenTag

FRAME_GAP_S = 0.015
"""Silence that ends an unfinished request (manual, section 2)."""
BITS_PER_BYTE = 10
"""8N1: start, eight data bits, stop."""
ROUND_S, AIR_PER_TAG_S, AIR_PER_WORD_S, WRITE_WORD_S = 0.008, 0.004, 0.0005, 0.006
"""Time on the air of a command, of each tag inventoried, word read and word written (general knowledge of Gen2 at M4, 250 kHz)."""
ORDER_S = 0.0001
"""Between two answers, so that timers of equal time cannot turn them round."""
TAGS_PER_FRAME = 200
"""Bytes of tags in one frame before the next begins (18: at most 96 bytes in all; 288: 255)."""
HOLDS = 200
"""Tags one inventory can keep; with more it answers FULL."""
_DEMO = encode_pc_uii("CN-251020", "01234567890", 0x07)
Operation = Mapping[str, Any]
Takes = Literal["fast_id", "parameters", "bare"]


class UhfDevice(Operated):
    """One device on a line. ``baudrate`` paces it like the wire and the air (None = at once); ``ports`` is its number of antennas.

    ``takes`` is the fullest form of an inventory that it takes. Operation ``antenna`` {antenna, connected}: pulls one off (a 288
    answers F8 then), or screws it on again; ``place``, ``lift``, ``move`` as any UHF device.
    Beyond the faults of every device: ``tear`` words of a longer write are stored before the tag is pulled away, once (0 = never);
    ``stranger`` (0..1) another device of the RS-485 line talks before the answer; ``full`` and ``timeout`` (0..1) inventories end so.
    """

    kind = "uhfreader18"
    demo = (
        Step(0.0, {"op": "place", "epc": _DEMO[2:].hex(), "pc": _DEMO[:2].hex()}),
        Step(3.0, {"op": "lift", "epc": _DEMO[2:].hex()}),
    )

    def __init__(
        self, url: str, *, family: Family = "18", ports: int = 1, address: int = 0, baudrate: int | None = None,
        faults: Faults | None = None, takes: Takes = "fast_id",
    ) -> None:  # fmt: skip
        super().__init__(url, faults)
        self.family: Family = family
        self.ports = ports
        self.takes: Takes = takes
        self.off: set[int] = set()
        """Antennas that are not connected."""
        self.hidden: set[int] = set()
        """Antennas that are switched off in its settings: FF, as if it had none such."""
        self.asked: set[int] = set()
        """Antennas that were asked for by number."""
        self.address = address
        self.field = TagField()
        self.requests = 0
        self.overlaps = 0
        """Requests that came before the answer to the one before: a host must not do that."""
        self.tear = 0
        self.odd = {"stranger": 0.0, "full": 0.0, "timeout": 0.0}
        self.power_dbm = 30
        self.scan_100ms = 10 if family == "18" else 20
        self.beeps = 0
        self._baudrate = baudrate
        self._framer = Framer()
        self._spoilt = 0
        self._gap: asyncio.TimerHandle | None = None
        self._free_at = 0.0
        self._air_s = 0.0
        self._acts |= {
            "place": self.field.place,
            "lift": self.field.lift,
            "move": self.field.move,
            "antenna": self._antenna,
            "power_cycle": self._power_cycle,
        }

    def power(self, on: bool) -> None:
        """Forget what came in halves."""
        self._framer = Framer()
        self._spoilt = 0
        self._free_at = 0.0

    def state(self) -> dict[str, Any]:
        """Tags, requests, power."""
        tags = [tag.state() for tag in self.field.tags]
        return {
            **super().state(),
            "tags": tags,
            "requests": self.requests,
            "power_dbm": self.power_dbm,
            "beeps": self.beeps,
        }

    def _antenna(self, operation: Operation) -> dict[str, Any]:
        antenna = int(number(operation["antenna"], 1, self.ports))
        (self.off.discard if operation["connected"] else self.off.add)(antenna)
        return {}

    def _power_cycle(self, _: Operation) -> dict[str, Any]:
        self._unplug({})
        self.power(False)
        self.power(True)
        self._plug({})
        return {}

    def _faults(self, operation: Operation) -> dict[str, Any]:
        wanted = {key: value for key, value in operation.items() if key not in ("op", "id", "device", "at_s")}
        own = {key: wanted.pop(key) for key in ("tear", *self.odd) if key in wanted}
        self.faults = raw_faults(wanted)
        self.tear = int(number(own.pop("tear", 0), 0, 100))
        self.odd = {key: number(own.get(key, 0.0), 0, 1) for key in self.odd}
        return {}

    def received(self, data: bytes) -> None:
        """Take bytes of the host."""
        if self._gap is not None:
            self._gap.cancel()
            self._gap = None
        self._take(self._framer.receive(data), len(data))
        if self._framer.pending or self._framer.bad_checks > self._spoilt:
            self._gap = self.later(FRAME_GAP_S, self._quiet)

    def _quiet(self) -> None:
        self._gap = None
        self._take(self._framer.idle(), 0)
        if self._framer.bad_checks > self._spoilt:
            self._spoilt = self._framer.bad_checks
            self._send([encode_status(self.address, 0, ILLEGAL_COMMAND)], 0)

    def _take(self, frames: list[Frame], received: int) -> None:
        if frames:
            self._spoilt = self._framer.bad_checks
        for frame in frames:
            if addressed_to(frame, self.address):
                self.requests += 1
                self.overlaps += asyncio.get_running_loop().time() < self._free_at
                self._air_s = 0.0
                self._send(self._answer(frame), received)

    def _answer(self, frame: Frame) -> list[bytes]:
        address = self.address
        try:
            request = decode_request(frame, self.family)
            return [encode_reply(address, request, reply, self.family) for reply in self._act(request)]
        except BadRequest as error:
            command = 0 if error.status == ILLEGAL_COMMAND else frame.command
            return [encode_status(address, command, error.status)]
        except StatusError as error:
            return [encode_status(address, frame.command, error.status, error.tag_error)]
        except TagError as error:
            return [encode_status(address, frame.command, TAG_ERROR, error.code)]

    def _send(self, answers: list[bytes], received: int) -> None:
        loop = asyncio.get_running_loop()
        if self.faults.happens(self.odd["stranger"]):
            answers = [encode_status(self.address ^ 0x15, Frame.from_bytes(answers[0]).command, NO_TAG), *answers]
        at = max(loop.time(), self._free_at + ORDER_S) + self.faults.slow_s
        if self._baudrate is not None:
            at += received * BITS_PER_BYTE / self._baudrate + self._air_s
        for answer in answers:
            if self._baudrate is not None:
                at += len(answer) * BITS_PER_BYTE / self._baudrate
            for piece in self.faults.spoil(answer):
                self.later(at - loop.time(), functools.partial(self.line.write, piece))
                if self.faults.split:
                    at = max(at, loop.time()) + 0.001
        self._free_at = at

    @functools.singledispatchmethod
    def _act(self, request: Request) -> list[Reply]:
        """Do what is asked; settings that change nothing here are simply confirmed."""
        return [DoneReply()]

    @_act.register
    def _information(self, request: InformationRequest) -> list[Reply]:
        old = InformationReply((2, 38), 0x09, 0x02, 0x4E, 0x00, self.power_dbm, self.scan_100ms)
        if self.family == "18":
            return [old]
        return [
            InformationReply(
                (1, 14), 0x0C, 0x02, 0x4E, 0x00, self.power_dbm, self.scan_100ms, (1 << min(self.ports, 8)) - 1, 0, 0, 0
            )
        ]

    @_act.register
    def _power(self, request: PowerRequest) -> list[Reply]:
        if request.power_dbm > 30:
            raise StatusError(0xFF)
        self.power_dbm = request.power_dbm
        return [DoneReply()]

    @_act.register
    def _scan_time(self, request: ScanTimeRequest) -> list[Reply]:
        self.scan_100ms = request.scan_100ms if request.scan_100ms >= 3 else 10
        return [DoneReply()]

    @_act.register
    def _address(self, request: AddressRequest) -> list[Reply]:
        asyncio.get_running_loop().call_soon(setattr, self, "address", request.address % 0xFF)
        return [DoneReply()]

    @_act.register
    def _beep(self, request: BeepRequest) -> list[Reply]:
        self.beeps += request.times
        return [DoneReply()]

    @_act.register
    def _inventory_one(self, request: InventoryOneRequest) -> list[Reply]:
        return [InventoryReply(DONE, (self._seen(self._any(), request),))]

    @_act.register
    def _inventory(self, request: InventoryRequest) -> list[Reply]:
        if (self.takes == "bare" and request.antenna) or (self.takes != "fast_id" and request.fast_id):
            raise StatusError(PARAMETER)
        antenna = request.antenna or 1
        if request.antenna:
            self.asked.add(antenna)
        if antenna > self.ports or antenna in self.hidden:
            raise StatusError(PARAMETER)
        if antenna in self.off:
            raise StatusError(ANTENNA)
        heard = [tag for tag in self.field.tags if tag.told and (self.ports == 1 or tag.antenna == antenna)]
        self._air_s = ROUND_S + AIR_PER_TAG_S * len(heard)
        if request.mask:
            heard = [tag for tag in heard if _fits(tag, request.mask)]
        if self.faults.happens(self.faults.collide):
            heard = heard[::2]
        if request.tid:
            heard = [tag for tag in heard if len(tag.tid) >= sum(request.tid) * 2]
        end = DONE
        if self.faults.happens(self.odd["timeout"]):
            heard, end = heard[: len(heard) // 2], TIMEOUT
            self._air_s += self.scan_100ms / 10
        if len(heard) > HOLDS or self.faults.happens(self.odd["full"]):
            heard, end = heard[: min(HOLDS, max(1, len(heard) - 1))], FULL
        code = None if self.family == "18" else (antenna - 1 if self.ports > 8 else 1 << (antenna - 1))
        if not heard:
            if self.family == "18":
                raise StatusError(NO_TAG)
            return [InventoryReply(end, (), code)]
        most = 80 if self.family == "18" else TAGS_PER_FRAME
        frames = split_reports(tuple(self._seen(tag, request) for tag in heard), most)
        states = [MORE] * (len(frames) - 1) + [end]
        return [InventoryReply(state, tags, code) for state, tags in zip(states, frames, strict=True)]

    def _seen(self, tag: Gen2Tag, request: InventoryRequest | InventoryOneRequest) -> SeenTag:
        rssi = None if self.family == "18" else tag.rssi
        if isinstance(request, InventoryRequest) and request.tid:
            first, words = request.tid
            return SeenTag(tag.tid[first * 2 : (first + words) * 2].hex().upper(), rssi)
        fast = isinstance(request, InventoryRequest) and request.fast_id and tag.fast_id and len(tag.tid) == 12
        return SeenTag(tag.told.hex().upper(), rssi, tag.tid.hex().upper() if fast else "")

    @_act.register
    def _read(self, request: ReadRequest) -> list[Reply]:
        tag = self._find(request.to)
        self._air_s = ROUND_S + AIR_PER_WORD_S * request.count
        return [ReadReply(tag.read(request.bank, request.word, request.count, request.password))]

    @_act.register
    def _write(self, request: WriteRequest) -> list[Reply]:
        tag = self._find(request.to)
        self._store(tag, request.bank, request.word, request.data, request.password)
        return [DoneReply()]

    @_act.register
    def _write_epc(self, request: WriteEpcRequest) -> list[Reply]:
        tag = self._any()
        pc = (len(request.epc) // 2 << 11 | (tag.pc & 0x07FF)).to_bytes(2, "big")
        self._store(tag, EPC, 1, pc + request.epc, request.password)
        return [DoneReply()]

    @_act.register
    def _lock(self, request: LockRequest) -> list[Reply]:
        tag = self._find(request.to)
        if not tag.access_password or request.password != tag.access_password:
            raise StatusError(PASSWORD)
        bank = (RESERVED, RESERVED, EPC, TID, USER)[request.what]
        if bank in tag.frozen:
            raise TagError(0x04)
        tag.locked.discard(bank)
        if request.how == 2:
            tag.locked.add(bank)
        elif request.how == 3:
            tag.frozen.add(bank)
        return [DoneReply()]

    def _store(self, tag: Gen2Tag, bank: int, word: int, data: bytes, password: int) -> None:
        words = [data[at : at + 2] for at in range(0, len(data), 2)]
        self._air_s = ROUND_S + WRITE_WORD_S * len(words)
        if self.faults.happens(self.faults.pull):
            self.faults.pull = 0.0
            self.field.take(tag)
            raise StatusError(NO_TAG)
        tag.check_write(bank, word, len(words), password)
        if self.faults.happens(self.faults.forget):
            return
        if tag.rssi < 10:
            raise TagError(INSUFFICIENT_POWER)
        for offset, value in enumerate(words):
            if self.tear and offset >= self.tear:
                self.tear = 0
                self.field.take(tag)
                raise StatusError(POOR_COMMUNICATION)
            tag.write_word(bank, word + offset, value)

    def _find(self, to: Target) -> Gen2Tag:
        """Give the first tag that the target fits, as the antenna would hear it."""
        for tag in self.field.tags:
            if to.mask is not None:
                fits = _fits(tag, to.mask)
            elif to.window is not None:
                first, length = to.window
                fits = tag.told[first : first + length] == to.epc[first : first + length]
            else:
                fits = not to.epc or tag.told == to.epc
            if fits:
                return tag
        self._air_s = ROUND_S * 3
        raise StatusError(NO_TAG)

    def _any(self) -> Gen2Tag:
        return self._find(Target())


def _fits(tag: Gen2Tag, mask: Mask) -> bool:
    if mask.bit % 8:
        return False
    first = mask.bit // 8
    return tag.bank(mask.bank)[first : first + len(mask.data)] == mask.data
