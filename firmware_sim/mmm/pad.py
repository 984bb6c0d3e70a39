"""The 3M pad itself: takes frames, acts on the tags that lie on it, answers as the device does."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

from firmware_sim.faults import Faults
from firmware_sim.feig.tags import BLOCK_SIZE, SimTag, TagStore
from firmware_sim.mmm.air import answer_on_air
from protocols.frames import LocalFrameError
from protocols.mmm import (
    EARLY_START,
    INFO_AFI,
    INFO_DSFID,
    INFO_IC,
    INFO_SIZE,
    LOCKED,
    NO_TAG,
    NOT_AVAILABLE,
    NOT_IMPLEMENTED,
    NOT_READ,
    NOT_WRITTEN,
    OPTION_DSFID,
    OPTION_NOT_SUPPORTED,
    OPTION_UID,
    BadRequest,
    Block,
    BlocksReply,
    CheckEasRequest,
    DoneReply,
    EarlyVersionRequest,
    Frame,
    GetAfiRequest,
    GetDsfidRequest,
    InventoryReply,
    InventoryRequest,
    InventoryTag,
    LockAfiRequest,
    LockBlockRequest,
    LockDsfidRequest,
    MmmError,
    PassThroughReply,
    PassThroughRequest,
    QuietRequest,
    RawReply,
    ReadBlocksRequest,
    Reply,
    Request,
    StartRequest,
    TagInfoReply,
    TagInfoRequest,
    ValueReply,
    VersionReply,
    VersionRequest,
    WriteAfiRequest,
    WriteAndLockRequest,
    WriteBlockRequest,
    WriteBlocksReply,
    WriteBlocksRequest,
    WriteDsfidRequest,
    WriteEasRequest,
    decode_request,
    encode_error,
    encode_reply,
)

VERSION = VersionReply((0x0A, 3, 2, 6))
"""The example of the specification."""
HARDWARE = VersionReply((0x0A, 5, 0, 2))
"""What a 3M 810 answers to the D5 frame (public recording of the device)."""
START_ANSWER = bytes.fromhex("0201010302020300")
"""What a 3M 810 answers to command 13 (public driver; the meaning is not known)."""
_KNOWN_OPTIONS = OPTION_UID | OPTION_DSFID | 0x7C
_READ_OPTIONS = 0x0F
_NXP = "E004"


@dataclass(slots=True)
class MmmPad:
    """A pad and the tags on it.

    ``old`` is firmware that answers 31 to options of read blocks and 02 to tag information. ``repeat`` (0..1) is how often a tag
    does not hear that it shall be quiet and stands twice in an inventory. `faults` is asked for pulled tags and lost writes.
    """

    faults: Callable[[], Faults]
    store: TagStore = field(default_factory=TagStore)
    old: bool = False
    repeat: float = 0.0
    requests: int = 0
    on_pad: dict[str, SimTag] = field(default_factory=dict)
    quiet: set[str] = field(default_factory=set)

    def place(self, tag: SimTag) -> SimTag:
        """Lay a tag on the pad."""
        self.on_pad[tag.uid] = self.store.put(tag)
        return tag

    def remove(self, uid: str) -> SimTag | None:
        """Lift a tag and give it; outside the field it forgets that it was told to be quiet."""
        self.quiet.discard(uid)
        return self.on_pad.pop(uid, None)

    def answer(self, frame: Frame) -> bytes:
        """Act on a frame and give the answer's bytes; b"" for a D5 frame that is no version request."""
        self.requests += 1
        try:
            request = decode_request(frame)
        except BadRequest as error:
            return b"" if frame.start == EARLY_START else encode_error(frame.command, error.error)
        try:
            return encode_reply(request, self._act(request))
        except MmmError as error:
            tail = b"\x00" if isinstance(request, CheckEasRequest) else b""
            return encode_error(frame.command, error.error, getattr(request, "uid", ""), tail)
        except LocalFrameError:  # more tags than one frame holds
            return encode_error(frame.command, NOT_READ)

    @functools.singledispatchmethod
    def _act(self, request: Request) -> Reply:
        raise MmmError(NOT_IMPLEMENTED)

    @_act.register
    def _version(self, request: VersionRequest) -> Reply:
        return VERSION

    @_act.register
    def _early(self, request: EarlyVersionRequest) -> Reply:
        return HARDWARE

    @_act.register
    def _start(self, request: StartRequest) -> Reply:
        return RawReply(START_ANSWER)

    @_act.register
    def _inventory(self, request: InventoryRequest) -> Reply:
        if request.options & ~_KNOWN_OPTIONS or (self.old and request.options & OPTION_DSFID):
            raise MmmError(OPTION_NOT_SUPPORTED)
        faults = self.faults()
        heard = [
            tag
            for tag in self.on_pad.values()
            if tag.uid not in self.quiet and request.afi in (0, tag.afi) and not faults.happens(faults.collide)
        ]
        heard += [tag for tag in heard if faults.happens(self.repeat)]
        with_uid, with_dsfid = request.options & OPTION_UID, request.options & OPTION_DSFID
        tags = tuple(
            InventoryTag(tag.uid if with_uid else None, tag.dsfid if with_dsfid else None) for tag in heard[:255]
        )
        return InventoryReply(tags, request.afi, request.options)

    @_act.register
    def _through(self, request: PassThroughRequest) -> Reply:
        return PassThroughReply(0x83, answer_on_air(request.send, self.on_pad)[: request.receive_most])

    @_act.register
    def _hush(self, request: QuietRequest) -> Reply:
        self.quiet.add(self._find(request.uid).uid)
        return DoneReply(request.uid)

    @_act.register
    def _read(self, request: ReadBlocksRequest) -> Reply:
        tag = self._find(request.uid)
        if request.options is not None and (self.old or request.options & ~_READ_OPTIONS):
            raise MmmError(OPTION_NOT_SUPPORTED)
        if not request.count or request.first + request.count > tag.block_count:
            raise MmmError(NOT_AVAILABLE)
        numbers = range(request.first, request.first + request.count)
        blocks = [Block(_block(tag, n), 1 if n in tag.locked else 0) for n in numbers]
        return BlocksReply(request.uid, request.first, tuple(blocks))

    @_act.register
    def _write(self, request: WriteBlocksRequest) -> Reply:
        for number in range(len(request.data) // BLOCK_SIZE):
            data = request.data[number * BLOCK_SIZE : (number + 1) * BLOCK_SIZE]
            self._write_one(request.uid, request.first + number, data)
        return WriteBlocksReply(request.uid, (request.first + len(request.data) // BLOCK_SIZE) & 0xFF)

    @_act.register
    def _write_block(self, request: WriteBlockRequest) -> Reply:
        self._write_one(request.uid, request.block, request.data)
        if isinstance(request, WriteAndLockRequest):
            self._find(request.uid).locked.add(request.block)
        return DoneReply(request.uid)

    @_act.register
    def _lock(self, request: LockBlockRequest) -> Reply:
        tag = self._find_to_write(request.uid)
        if request.value >= tag.block_count:
            raise MmmError(NOT_AVAILABLE)
        if request.value in tag.locked:
            raise MmmError(LOCKED)
        tag.locked.add(request.value)
        return DoneReply(request.uid)

    @_act.register
    def _get_afi(self, request: GetAfiRequest) -> Reply:
        return ValueReply(request.uid, self._find(request.uid).afi)

    @_act.register
    def _write_afi(self, request: WriteAfiRequest) -> Reply:
        tag = self._find_to_write(request.uid)
        if tag.afi_locked:
            raise MmmError(LOCKED)
        if self._stores():
            tag.afi = request.value
        tag.writes += 1
        return DoneReply(request.uid)

    @_act.register
    def _lock_afi(self, request: LockAfiRequest) -> Reply:
        self._find_to_write(request.uid).afi_locked = True
        return DoneReply(request.uid)

    @_act.register
    def _check_eas(self, request: CheckEasRequest) -> Reply:
        tag = self._find(request.uid)
        if not tag.uid.startswith(_NXP) or not tag.eas:
            raise MmmError(NO_TAG)  # only a chip whose bit is on answers on the air
        return ValueReply(request.uid, 1)

    @_act.register
    def _write_eas(self, request: WriteEasRequest) -> Reply:
        tag = self._find_to_write(request.uid)
        if not tag.uid.startswith(_NXP):
            raise MmmError(NO_TAG)
        if self._stores():
            tag.eas = bool(request.value)
        tag.writes += 1
        return DoneReply(request.uid)

    @_act.register
    def _get_dsfid(self, request: GetDsfidRequest) -> Reply:
        return ValueReply(request.uid, self._find(request.uid).dsfid)

    @_act.register
    def _write_dsfid(self, request: WriteDsfidRequest) -> Reply:
        tag = self._find_to_write(request.uid)
        if tag.dsfid_locked:
            raise MmmError(LOCKED)
        tag.dsfid = request.value
        return DoneReply(request.uid)

    @_act.register
    def _lock_dsfid(self, request: LockDsfidRequest) -> Reply:
        self._find_to_write(request.uid).dsfid_locked = True
        return DoneReply(request.uid)

    @_act.register
    def _info(self, request: TagInfoRequest) -> Reply:
        if self.old:
            raise MmmError(NOT_IMPLEMENTED)
        tag = self._find(request.uid)
        size = BLOCK_SIZE if request.value & INFO_SIZE else None
        return TagInfoReply(
            request.uid,
            tag.dsfid if request.value & INFO_DSFID else None,
            tag.afi if request.value & INFO_AFI else None,
            size,
            tag.block_count if size else None,
            tag.ic if request.value & INFO_IC else None,
        )

    def _find(self, uid: str) -> SimTag:
        if uid not in self.on_pad:
            raise MmmError(NO_TAG)
        return self.on_pad[uid]

    def _find_to_write(self, uid: str) -> SimTag:
        tag, faults = self._find(uid), self.faults()
        if faults.happens(faults.pull):
            faults.pull = 0.0
            self.remove(uid)
            raise MmmError(NO_TAG)
        return tag

    def _write_one(self, uid: str, number: int, data: bytes) -> None:
        tag = self._find_to_write(uid)
        if number >= tag.block_count:
            raise MmmError(NOT_AVAILABLE)
        if number in tag.locked:
            raise MmmError(LOCKED)
        if self._stores() and not tag.store(number, data):
            self.remove(uid)
            raise MmmError(NO_TAG)
        tag.writes += 1

    def _stores(self) -> bool:
        """False where a write is confirmed and not stored; at times the pad notices (16)."""
        faults = self.faults()
        if not faults.happens(faults.forget):
            return True
        if faults.happens(0.3):
            raise MmmError(NOT_WRITTEN)
        return False


def _block(tag: SimTag, number: int) -> bytes:
    return bytes(tag.blocks[number * BLOCK_SIZE : (number + 1) * BLOCK_SIZE])
