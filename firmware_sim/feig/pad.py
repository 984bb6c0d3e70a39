"""The pad itself: takes frames from its line, acts on the tags that lie on it, answers as the device does."""

from __future__ import annotations

import asyncio
import functools

from firmware_sim.feig.faults import Faults
from firmware_sim.feig.tags import BLOCK_SIZE, SimTag, TagStore
from firmware_sim.pty import Line
from protocols.feig import (
    DATA_FALSE,
    ISO15693_ERROR,
    NO_TAG,
    RF_COMMUNICATION,
    UNKNOWN_COMMAND,
    BadRequest,
    Block,
    DoneReply,
    Frame,
    Framer,
    InventoryReply,
    InventoryRequest,
    InventoryTag,
    LockAfiRequest,
    ReadBlocksReply,
    ReadBlocksRequest,
    ReaderInfoRequest,
    Reply,
    Request,
    StatusError,
    SystemInformationReply,
    SystemInformationRequest,
    VersionReply,
    VersionRequest,
    WriteAfiRequest,
    WriteBlocksRequest,
    WriteDsfidRequest,
    addressed_to,
    decode_request,
    encode_reply,
    encode_status,
)

FRAME_GAP_S = 0.012
"""Silence that ends an unfinished request (H20800)."""
BITS_PER_BYTE = 11
"""8E1: start, eight data bits, parity, stop."""
AIR_S, AIR_PER_TAG_S = 0.005, 0.006
"""Time on the air of a command, and of each tag in an inventory (general knowledge of ISO 15693 at 26 kbit/s)."""
TAGS_PER_REPLY = 24
_BLOCK_NOT_AVAILABLE, _BLOCK_LOCKED = b"\x10", b"\x12"
_VERSION = VersionReply((3, 1), 0, 0, 0x5C)


class SimPad:
    """One pad on a line. ``baudrate`` paces it like the wire and the air (None = at once); ``store`` may be shared."""

    def __init__(
        self,
        line: Line,
        *,
        store: TagStore | None = None,
        address: int = 0,
        baudrate: int | None = None,
        faults: Faults | None = None,
    ) -> None:
        self.line = line
        self.store = store if store is not None else TagStore()
        self.faults = faults if faults is not None else Faults()
        self.requests = 0
        self.overlaps = 0
        """Requests that came before the answer to the one before: a host must not do that."""
        self._address = address
        self._baudrate = baudrate
        self._framer = Framer()
        self._gap: asyncio.TimerHandle | None = None
        self._on_pad: dict[str, SimTag] = {}
        self._rest: list[InventoryTag] = []
        self._free_at = 0.0

    @property
    def tags(self) -> tuple[SimTag, ...]:
        """The tags lying on the pad."""
        return tuple(self._on_pad.values())

    def start(self) -> None:
        """Switch on and plug in."""
        self._framer = Framer()
        self.line.plug(self._received)

    def stop(self) -> None:
        """Pull the plug; the tags stay where they lie."""
        self.line.unplug()
        if self._gap is not None:
            self._gap.cancel()

    def place(self, tag: SimTag) -> SimTag:
        """Lay a tag on the pad."""
        self._on_pad[tag.uid] = self.store.put(tag)
        return tag

    def remove(self, uid: str) -> SimTag | None:
        """Lift a tag and give it, with the AFI it has now; None where it does not lie here."""
        return self._on_pad.pop(uid, None)

    def _received(self, data: bytes) -> None:
        if self._gap is not None:
            self._gap.cancel()
            self._gap = None
        self._take(self._framer.receive(data), len(data))
        if self._framer.pending:
            self._gap = asyncio.get_running_loop().call_later(FRAME_GAP_S, self._quiet)

    def _quiet(self) -> None:
        self._gap = None
        self._take(self._framer.idle(), 0)

    def _take(self, frames: list[Frame], received: int) -> None:
        for frame in frames:
            if addressed_to(frame, self._address):
                self.requests += 1
                self.overlaps += asyncio.get_running_loop().time() < self._free_at
                inventory = frame.body[:1] == b"\x01"
                self._send(self._answer(frame), received, AIR_S + (AIR_PER_TAG_S * len(self._on_pad)) * inventory)

    def _answer(self, frame: Frame) -> bytes:
        request: Request | None = None
        try:
            request = decode_request(frame)
            return encode_reply(self._address, request, self._act(request), frame.form)
        except BadRequest as error:
            return encode_status(self._address, frame.command, error.status, frame=frame.form)
        except StatusError as error:
            return encode_status(self._address, frame.command, error.status, error.detail, frame.form)

    def _send(self, answer: bytes, received: int, air_s: float) -> None:
        loop = asyncio.get_running_loop()
        delay = self.faults.slow_s
        if self._baudrate is not None:
            delay += (received + len(answer)) * BITS_PER_BYTE / self._baudrate + air_s
        at = max(loop.time(), self._free_at) + delay
        for piece in self.faults.spoil(answer):
            if at <= loop.time():
                self.line.write(piece)
            else:
                loop.call_at(at, self.line.write, piece)
            if self.faults.split:
                at = max(at, loop.time()) + 0.001
        self._free_at = at

    @functools.singledispatchmethod
    def _act(self, request: Request) -> Reply:
        """Do what is asked; what changes nothing here (resets, selection, outputs) is simply done."""
        return DoneReply()

    @_act.register
    def _version(self, request: VersionRequest) -> Reply:
        return _VERSION

    @_act.register
    def _info(self, request: ReaderInfoRequest) -> Reply:
        if request.mode:
            raise StatusError(UNKNOWN_COMMAND)
        return _VERSION

    @_act.register
    def _inventory(self, request: InventoryRequest) -> Reply:
        if not request.more:
            self._rest = [InventoryTag(tag.uid, tag.dsfid) for tag in self._on_pad.values()]
        now, self._rest = self._rest[:TAGS_PER_REPLY], self._rest[TAGS_PER_REPLY:]
        return InventoryReply(tuple(now), more=bool(self._rest))

    @_act.register
    def _system(self, request: SystemInformationRequest) -> Reply:
        tag = self._find(request.uid)
        return SystemInformationReply(tag.dsfid, tag.uid, tag.afi, tag.block_count, BLOCK_SIZE, tag.ic)

    @_act.register
    def _read(self, request: ReadBlocksRequest) -> Reply:
        tag = self._find(request.uid)
        if not request.count:
            raise StatusError(DATA_FALSE)
        if request.first + request.count > tag.block_count:
            raise StatusError(ISO15693_ERROR, _BLOCK_NOT_AVAILABLE)
        at = [block * BLOCK_SIZE for block in range(request.first, request.first + request.count)]
        return ReadBlocksReply(BLOCK_SIZE, tuple(Block(bytes(tag.blocks[n : n + BLOCK_SIZE])) for n in at))

    @_act.register
    def _write(self, request: WriteBlocksRequest) -> Reply:
        tag = self._find_to_write(request.uid)
        if request.block_size != BLOCK_SIZE or request.first + request.count > tag.block_count:
            raise StatusError(ISO15693_ERROR, _BLOCK_NOT_AVAILABLE)
        tag.blocks[request.first * BLOCK_SIZE : (request.first + request.count) * BLOCK_SIZE] = request.data
        tag.writes += 1
        return DoneReply()

    @_act.register
    def _write_afi(self, request: WriteAfiRequest) -> Reply:
        tag = self._find_to_write(request.uid)
        if tag.afi_locked:
            raise StatusError(ISO15693_ERROR, _BLOCK_LOCKED)
        if not self.faults.happens(self.faults.forget):
            tag.afi = request.afi
        tag.writes += 1
        return DoneReply()

    @_act.register
    def _lock_afi(self, request: LockAfiRequest) -> Reply:
        self._find_to_write(request.uid).afi_locked = True
        return DoneReply()

    @_act.register
    def _write_dsfid(self, request: WriteDsfidRequest) -> Reply:
        self._find_to_write(request.uid).dsfid = request.dsfid
        return DoneReply()

    def _find(self, uid: str | None) -> SimTag:
        """Give the addressed tag, or the only one; two tags answering an unaddressed command collide."""
        if uid is None:
            if len(self._on_pad) > 1:
                raise StatusError(RF_COMMUNICATION)
            uid = next(iter(self._on_pad), "")
        if uid not in self._on_pad:
            raise StatusError(NO_TAG)
        return self._on_pad[uid]

    def _find_to_write(self, uid: str | None) -> SimTag:
        tag = self._find(uid)
        if self.faults.happens(self.faults.pull):
            self.faults.pull = 0.0
            self.remove(tag.uid)
            raise StatusError(NO_TAG)
        return tag
