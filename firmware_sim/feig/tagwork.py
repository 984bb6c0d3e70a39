"""What a FEIG pad does with the tags that lie on it: one method a command of the wire."""

from __future__ import annotations

import functools

from firmware_sim.faults import Faults
from firmware_sim.feig.tags import SimTag
from protocols.feig import (
    DATA_FALSE,
    ISO15693_ERROR,
    NO_TAG,
    RF_COMMUNICATION,
    UNKNOWN_COMMAND,
    Block,
    DoneReply,
    EasAlarmRequest,
    InputsReply,
    InputsRequest,
    InventoryReply,
    InventoryRequest,
    InventoryTag,
    LockAfiRequest,
    LockBlocksRequest,
    OutputChange,
    ReadBlocksReply,
    ReadBlocksRequest,
    ReaderInfoRequest,
    Reply,
    Request,
    ResetEasRequest,
    SetEasRequest,
    SetOutputRequest,
    SetOutputsRequest,
    StatusError,
    SystemInformationReply,
    SystemInformationRequest,
    VersionReply,
    VersionRequest,
    WriteAfiRequest,
    WriteBlocksRequest,
    WriteDsfidRequest,
)

TAGS_PER_REPLY = 24
BYTES_PER_READ = 128
"""Most bytes of one reading (H20800, 7.1.3)."""
_BLOCK_NOT_AVAILABLE, _BLOCK_LOCKED, _NOT_SUPPORTED = b"\x10", b"\x12", b"\x01"
_NXP = "E004"
_TR_TYPES = b"\x00\x08"
"""ISO 15693 alone."""
_BUFFERS = (512).to_bytes(2, "big") * 2
_VERSION = VersionReply((3, 1), 0, 0, 0x5C, _TR_TYPES)
_LONG_VERSION = VersionReply((3, 1), 0, 0, 0x5C, _TR_TYPES + _BUFFERS)


class TagWork:
    """The field above the pad, its outputs and its inputs."""

    def __init__(self, faults: Faults, *, custom: bool = True, old: bool = False) -> None:
        self.faults = faults
        self.on_pad: dict[str, SimTag] = {}
        self.outputs: list[tuple[OutputChange, ...] | SetOutputsRequest] = []
        self.inputs = 0
        self.others: list[bytes] = []
        """Records of tags of other types that lie here, before all others in an inventory: TR-TYPE and what follows."""
        self._changed = 0
        self._refusals: dict[type[Request], list[StatusError]] = {}
        self._custom = custom
        self._old = old
        self._rest: list[InventoryTag] = []

    def set_input(self, number: int, active: bool) -> None:
        """Close or open an input contact, 0..2."""
        before = self.inputs
        self.inputs = self.inputs | 1 << number if active else self.inputs & ~(1 << number)
        self._changed |= (before ^ self.inputs) << 4

    def refuse(self, kind: type[Request], status: int, detail: bytes = b"", *, times: int = 1) -> None:
        """Answer the next ``times`` requests of this kind with ``status``, as a tag at the edge of the field makes a pad do."""
        self._refusals[kind] = [StatusError(status, detail)] * times

    def check(self, request: Request) -> None:
        """Raise the refusal that stands for this kind of request, if one does."""
        if waiting := self._refusals.get(type(request)):
            raise waiting.pop()

    @functools.singledispatchmethod
    def act(self, request: Request) -> Reply:
        """Do what is asked; what changes nothing here (resets, selection, outputs) is simply done."""
        return DoneReply()

    @act.register
    def _version(self, request: VersionRequest) -> Reply:
        return _VERSION

    @act.register
    def _info(self, request: ReaderInfoRequest) -> Reply:
        if request.mode:
            raise StatusError(UNKNOWN_COMMAND)
        return _LONG_VERSION

    @act.register
    def _inventory(self, request: InventoryRequest) -> Reply:
        if not request.more:
            self._rest = [InventoryTag(tag.uid, tag.dsfid) for tag in self.on_pad.values()]
            if self._rest and self.faults.happens(self.faults.collide):
                return InventoryReply(tuple(self._rest[: len(self._rest) // 2]), warning=True)
        now, self._rest = self._rest[:TAGS_PER_REPLY], self._rest[TAGS_PER_REPLY:]
        return InventoryReply(tuple(now), more=bool(self._rest), others=() if request.more else tuple(self.others))

    @act.register
    def _system(self, request: SystemInformationRequest) -> Reply:
        tag = self._find(request.uid)
        return SystemInformationReply(tag.dsfid, tag.uid, tag.afi, tag.block_count, tag.block_size, tag.ic)

    @act.register
    def _read(self, request: ReadBlocksRequest) -> Reply:
        tag = self._find(request.uid)
        size = tag.block_size
        if not request.count or request.count * size > BYTES_PER_READ:
            raise StatusError(DATA_FALSE)
        if request.first + request.count > tag.block_count:
            raise StatusError(ISO15693_ERROR, _BLOCK_NOT_AVAILABLE)
        at = [block * size for block in range(request.first, request.first + request.count)]
        return ReadBlocksReply(size, tuple(Block(bytes(tag.blocks[n : n + size])) for n in at))

    @act.register
    def _write(self, request: WriteBlocksRequest) -> Reply:
        tag = self._find_to_write(request.uid)
        if request.block_size != tag.block_size or request.first + request.count > tag.block_count:
            raise StatusError(ISO15693_ERROR, _BLOCK_NOT_AVAILABLE + bytes((request.first,)))
        for block in range(request.first, request.first + request.count):
            if block in tag.locked:
                raise StatusError(ISO15693_ERROR, _BLOCK_LOCKED + bytes((block,)))
        for number in range(request.count):
            data = request.data[number * tag.block_size : (number + 1) * tag.block_size]
            if not tag.store(request.first + number, data):
                del self.on_pad[tag.uid]
                raise StatusError(NO_TAG)
        tag.writes += 1
        return DoneReply()

    @act.register
    def _write_afi(self, request: WriteAfiRequest) -> Reply:
        tag = self._find_to_write(request.uid)
        if tag.afi_locked:
            raise StatusError(ISO15693_ERROR, _BLOCK_LOCKED)
        if not self.faults.happens(self.faults.forget):
            tag.afi = request.afi
        tag.writes += 1
        return DoneReply()

    @act.register
    def _lock_afi(self, request: LockAfiRequest) -> Reply:
        self._find_to_write(request.uid).afi_locked = True
        return DoneReply()

    @act.register
    def _write_dsfid(self, request: WriteDsfidRequest) -> Reply:
        tag = self._find_to_write(request.uid)
        if tag.dsfid_locked:
            raise StatusError(ISO15693_ERROR, _BLOCK_LOCKED)
        tag.dsfid = request.dsfid
        return DoneReply()

    @act.register
    def _lock_blocks(self, request: LockBlocksRequest) -> Reply:
        tag = self._find_to_write(request.uid)
        if request.first + request.count > tag.block_count:
            raise StatusError(ISO15693_ERROR, _BLOCK_NOT_AVAILABLE + bytes((request.first,)))
        tag.locked |= set(range(request.first, request.first + request.count))
        return DoneReply()

    @act.register(SetEasRequest)
    @act.register(ResetEasRequest)
    def _write_eas(self, request: SetEasRequest | ResetEasRequest) -> Reply:
        tag = self._nxp(self._find_to_write(request.uid))
        if not self.faults.happens(self.faults.forget):
            tag.eas = isinstance(request, SetEasRequest)
        tag.writes += 1
        return DoneReply()

    @act.register
    def _ask_eas(self, request: EasAlarmRequest) -> Reply:
        if not self._nxp(self._find(request.uid)).eas:
            raise StatusError(NO_TAG)
        return DoneReply()

    def _nxp(self, tag: SimTag) -> SimTag:
        if not self._custom:
            raise StatusError(UNKNOWN_COMMAND)
        if not tag.uid.startswith(_NXP):
            raise StatusError(ISO15693_ERROR, _NOT_SUPPORTED)
        return tag

    @act.register
    def _set_outputs(self, request: SetOutputsRequest) -> Reply:
        self.outputs.append(request)
        return DoneReply()

    @act.register
    def _set_output(self, request: SetOutputRequest) -> Reply:
        if self._old:
            raise StatusError(UNKNOWN_COMMAND)
        self.outputs.append(request.outputs)
        return DoneReply()

    @act.register
    def _inputs(self, request: InputsRequest) -> Reply:
        changed, self._changed = self._changed, 0
        return InputsReply(self.inputs | changed)

    def _find(self, uid: str | None) -> SimTag:
        """Give the addressed tag, or the only one; two tags answering an unaddressed command collide."""
        if uid is None:
            if len(self.on_pad) > 1:
                raise StatusError(RF_COMMUNICATION)
            uid = next(iter(self.on_pad), "")
        if uid not in self.on_pad:
            raise StatusError(NO_TAG)
        return self.on_pad[uid]

    def _find_to_write(self, uid: str | None) -> SimTag:
        tag = self._find(uid)
        if self.faults.happens(self.faults.pull):
            self.faults.pull = 0.0
            del self.on_pad[tag.uid]
            raise StatusError(NO_TAG)
        return tag
