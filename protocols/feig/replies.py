"""What a FEIG pad answers: typed replies, parsed by the driver and built by the device's twin.

A reply does not repeat the sub-command, so decoding needs the request. A status that means "not done" is raised as `StatusError`.
"""

from dataclasses import dataclass
from typing import overload

from protocols.feig.buffer import (
    BufferReply,
    ClearBufferRequest,
    ReadBufferExtendedRequest,
    ReadBufferRequest,
    RfOutputRequest,
)
from protocols.feig.configuration import (
    ConfigurationReply,
    InputsReply,
    InputsRequest,
    ReadConfigurationRequest,
    WriteConfigurationRequest,
)
from protocols.feig.custom_requests import EasAlarmRequest, LockBlocksRequest, ResetEasRequest, SetEasRequest
from protocols.feig.device_requests import (
    CpuResetRequest,
    ReaderInfoRequest,
    RfResetRequest,
    SetOutputRequest,
    SetOutputsRequest,
    VersionRequest,
)
from protocols.feig.fields import check_byte, check_uid
from protocols.feig.frame import Form, Frame
from protocols.feig.requests import Request
from protocols.feig.status import MORE_DATA, NO_TAG, OK, RF_WARNING, StatusError
from protocols.feig.tag_requests import (
    InventoryRequest,
    LockAfiRequest,
    ReadBlocksRequest,
    SelectRequest,
    SystemInformationRequest,
    WriteAfiRequest,
    WriteBlocksRequest,
    WriteDsfidRequest,
)
from protocols.frames import Cursor, FrameError, LocalFrameError, Malformed

__all__ = [
    "Block",
    "DoneReply",
    "InventoryReply",
    "InventoryTag",
    "ReadBlocksReply",
    "Reply",
    "SystemInformationReply",
    "VersionReply",
    "decode_reply",
    "encode_reply",
    "encode_status",
]

TR_TYPE_ISO15693, TR_TYPE_ISO14443A = 0x03, 0x04
_OTHER_SIZES = {0x00: 9, 0x01: 9, 0x05: 9, 0x07: 19, 0x08: 8, 0x0A: 9, 0x0B: 9}
"""Bytes after TR-TYPE: I-Code 1 and Tag-it HF (as ISO 15693), ISO 14443 B (information, UID), I-Code UID, Jewel, ST SR176 and SRI
(chip, UID); the layout of public drivers of these devices. An ISO 14443 A record has two bytes of information, then its UID."""
_LONG_UID = 0x04
"""Bit of an ISO 14443 A record's first byte: its UID has ten bytes, otherwise seven."""


@dataclass(frozen=True, slots=True)
class InventoryTag:
    """One ISO 15693 tag of an inventory."""

    uid: str
    dsfid: int

    def __post_init__(self) -> None:
        check_uid(self.uid)
        check_byte("dsfid", self.dsfid)


@dataclass(frozen=True, slots=True)
class InventoryReply:
    """The tags in the field. `more` = status 94: ask again with `InventoryRequest(more=True)`.

    `warning` = status 84: the air was noisy and tags may be missing. `others` are the records of tags of other types than ISO 15693
    (a bank card left on the pad), each from its TR-TYPE on. `unread` begins with a record whose length this codec does not know, or
    behind which nothing sound follows: there may be ISO 15693 tags in it.
    """

    tags: tuple[InventoryTag, ...] = ()
    more: bool = False
    warning: bool = False
    unread: bytes = b""
    others: tuple[bytes, ...] = ()

    def to_body(self) -> bytes:
        """Return status and data; no tags and nothing else to say is status 01 alone."""
        status = MORE_DATA if self.more else RF_WARNING if self.warning else OK
        if not self.tags and not self.unread and not self.others:
            return bytes((NO_TAG if status == OK else status,))
        sets = [*self.others, *(bytes((TR_TYPE_ISO15693, tag.dsfid)) + bytes.fromhex(tag.uid) for tag in self.tags)]
        if len(sets) > 0xFF:
            raise LocalFrameError("at most 255 tags in one reply")
        return bytes((status, len(sets) + bool(self.unread))) + b"".join(sets) + self.unread

    @classmethod
    def from_frame(cls, frame: Frame) -> "InventoryReply":
        """Parse a device's frame."""
        status = frame.status
        if status == NO_TAG and not frame.data:
            return cls()
        if status not in (OK, MORE_DATA, RF_WARNING):
            raise StatusError(status, frame.data)
        more, warning = status == MORE_DATA, status == RF_WARNING
        if not frame.data and status != OK:
            return cls(more=more, warning=warning)
        body = Cursor(frame.data)
        tags: list[InventoryTag] = []
        for left in range(body.u8(), 0, -1):
            kind = body.u8()
            if kind != TR_TYPE_ISO15693:
                rest = bytes((kind,)) + body.rest()
                found = _among_others(rest, left)
                if found is None:
                    return cls(tuple(tags), more, warning, rest)
                return cls((*tags, *found[0]), more, warning, others=found[1])
            tags.append(_take_tag(body))
        body.end()
        return cls(tuple(tags), more, warning)


def _take_tag(body: Cursor) -> InventoryTag:
    dsfid = body.u8()
    return InventoryTag(body.take(8).hex().upper(), dsfid)


def _among_others(data: bytes, count: int) -> tuple[list[InventoryTag], tuple[bytes, ...]] | None:
    """Split `count` records of several types; None unless all are known, end where the data ends, and every UID is one of ISO 15693."""
    body = Cursor(data)
    tags: list[InventoryTag] = []
    others: list[bytes] = []
    try:
        for _ in range(count):
            kind = body.u8()
            if kind == TR_TYPE_ISO15693:
                tags.append(_take_tag(body))
            elif kind == TR_TYPE_ISO14443A:
                info = body.take(2)
                others.append(bytes((kind,)) + info + body.take(10 if info[0] & _LONG_UID else 7))
            elif kind in _OTHER_SIZES:
                others.append(bytes((kind,)) + body.take(_OTHER_SIZES[kind]))
            else:
                return None
        body.end()
    except FrameError:
        return None
    return (tags, tuple(others)) if all(tag.uid.startswith("E0") for tag in tags) else None


@dataclass(frozen=True, slots=True)
class Block:
    """One block as the tag stores it; `security` not 0 = locked (ISO 15693-3, block security status)."""

    data: bytes
    security: int = 0


@dataclass(frozen=True, slots=True)
class ReadBlocksReply:
    """The blocks read, in order, all of `block_size` bytes."""

    block_size: int
    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        if any(len(block.data) != self.block_size for block in self.blocks):
            raise LocalFrameError("every block has block_size bytes")
        if len(self.blocks) > 0xFF:
            raise LocalFrameError("at most 255 blocks in one reply")

    @property
    def data(self) -> bytes:
        """The blocks joined."""
        return b"".join(block.data for block in self.blocks)

    def to_body(self) -> bytes:
        """Return status and data, each block reversed as the wire wants it."""
        parts = [bytes((block.security,)) + block.data[::-1] for block in self.blocks]
        return bytes((OK, len(self.blocks), self.block_size)) + b"".join(parts)

    @classmethod
    def from_frame(cls, frame: Frame) -> "ReadBlocksReply":
        """Parse a device's frame."""
        body = _data_of(frame)
        count, size = body.u8(), body.u8()
        if not 1 <= size <= 32:
            raise Malformed(f"a block of {size} bytes")
        blocks = []
        for _ in range(count):
            security = body.u8()
            blocks.append(Block(body.take(size)[::-1], security))
        body.end()
        return cls(size, tuple(blocks))


@dataclass(frozen=True, slots=True)
class SystemInformationReply:
    """What a tag says about itself: `block_count` 1..256 blocks of `block_size` 1..32 bytes, `ic` its chip.

    MEM-SIZE travels as block size, then number of blocks. Tags send both less one, and so do devices that pass them on; the
    manual (H20800, 7.2.8) says the plain sizes. Library chips have blocks of 4 or 8 bytes, so an odd size byte is the tag's.
    """

    dsfid: int
    uid: str
    afi: int
    block_count: int
    block_size: int
    ic: int

    def __post_init__(self) -> None:
        check_uid(self.uid)
        for name in ("dsfid", "afi", "ic"):
            check_byte(name, getattr(self, name))
        if not (1 <= self.block_count <= 256 and 1 <= self.block_size <= 32):
            raise LocalFrameError("1..256 blocks of 1..32 bytes")

    def to_body(self) -> bytes:
        """Return status and data."""
        size = bytes((self.block_size - 1, self.block_count - 1))
        return bytes((OK, self.dsfid)) + bytes.fromhex(self.uid) + bytes((self.afi,)) + size + bytes((self.ic,))

    @classmethod
    def from_frame(cls, frame: Frame) -> "SystemInformationReply":
        """Parse a device's frame."""
        body = _data_of(frame)
        dsfid = body.u8()
        uid = body.take(8).hex().upper()
        afi, size, count, ic = body.u8(), body.u8() & 0x1F, body.u8(), body.u8()
        body.end()
        if size and count and not size & 1:
            return cls(dsfid, uid, afi, count, size, ic)
        return cls(dsfid, uid, afi, count + 1, size + 1, ic)


@dataclass(frozen=True, slots=True)
class VersionReply:
    """Version of the device. `software` = major, minor; `reader_type` = the family's type number; `rest` = what we do not read.

    Field order (SW-REV 2, D-REV, HW-TYPE, SW-TYPE) is general knowledge of the H-manuals.
    """

    software: tuple[int, int]
    development: int = 0
    hardware_type: int = 0
    reader_type: int = 0
    rest: bytes = b""

    def to_body(self) -> bytes:
        """Return status and data."""
        return bytes((OK, *self.software, self.development, self.hardware_type, self.reader_type)) + self.rest

    @classmethod
    def from_frame(cls, frame: Frame) -> "VersionReply":
        """Parse a device's frame."""
        body = _data_of(frame)
        return cls((body.u8(), body.u8()), body.u8(), body.u8(), body.u8(), body.rest())


@dataclass(frozen=True, slots=True)
class DoneReply:
    """The device did it and has nothing to add."""

    rest: bytes = b""

    def to_body(self) -> bytes:
        """Return status and data."""
        return bytes((OK,)) + self.rest

    @classmethod
    def from_frame(cls, frame: Frame) -> "DoneReply":
        """Parse a device's frame."""
        return cls(_data_of(frame).rest())


Reply = (
    InventoryReply
    | ReadBlocksReply
    | SystemInformationReply
    | VersionReply
    | BufferReply
    | ConfigurationReply
    | InputsReply
    | DoneReply
)
"""Every reply this codec knows."""

DoneRequest = (
    WriteBlocksRequest
    | SelectRequest
    | WriteAfiRequest
    | LockAfiRequest
    | WriteDsfidRequest
    | CpuResetRequest
    | RfResetRequest
    | SetOutputsRequest
    | SetOutputRequest
    | LockBlocksRequest
    | SetEasRequest
    | ResetEasRequest
    | EasAlarmRequest
    | ClearBufferRequest
    | RfOutputRequest
    | WriteConfigurationRequest
)
"""Requests whose answer is done or not done."""

_BY_REQUEST: dict[type[Request], type[Reply]] = {
    InventoryRequest: InventoryReply,
    ReadBlocksRequest: ReadBlocksReply,
    SystemInformationRequest: SystemInformationReply,
    VersionRequest: VersionReply,
    ReaderInfoRequest: VersionReply,
    ReadBufferRequest: BufferReply,
    ReadBufferExtendedRequest: BufferReply,
    ReadConfigurationRequest: ConfigurationReply,
    InputsRequest: InputsReply,
}


def _data_of(frame: Frame) -> Cursor:
    if frame.status != OK:
        raise StatusError(frame.status, frame.data)
    return Cursor(frame.data)


@overload
def decode_reply(request: InventoryRequest, frame: Frame) -> InventoryReply: ...
@overload
def decode_reply(request: ReadBlocksRequest, frame: Frame) -> ReadBlocksReply: ...
@overload
def decode_reply(request: SystemInformationRequest, frame: Frame) -> SystemInformationReply: ...
@overload
def decode_reply(request: VersionRequest | ReaderInfoRequest, frame: Frame) -> VersionReply: ...
@overload
def decode_reply(request: ReadBufferRequest | ReadBufferExtendedRequest, frame: Frame) -> BufferReply: ...
@overload
def decode_reply(request: ReadConfigurationRequest, frame: Frame) -> ConfigurationReply: ...
@overload
def decode_reply(request: InputsRequest, frame: Frame) -> InputsReply: ...
@overload
def decode_reply(request: DoneRequest, frame: Frame) -> DoneReply: ...
def decode_reply(request: Request, frame: Frame) -> Reply:
    """Return the reply to `request` in a device's frame.

    Raises `StatusError` where the device did not do it, `Malformed` where the frame answers another command or its fields are
    too long, `Truncated` where they are too short.
    """
    if frame.command != request.COMMAND:
        raise Malformed(f"the frame answers command {frame.command:02X}, not {request.COMMAND:02X}")
    return _BY_REQUEST.get(type(request), DoneReply).from_frame(frame)


def encode_reply(address: int, request: Request, reply: Reply, frame: Form = "advanced") -> bytes:
    """Return the bytes with which the device at `address` answers `request`."""
    return Frame(address, request.COMMAND, reply.to_body(), frame).to_bytes()


def encode_status(address: int, command: int, status: int, detail: bytes = b"", frame: Form = "advanced") -> bytes:
    """Return a device's frame that holds a status and its detail only: its refusal of `command`."""
    return Frame(address, command, bytes((status,)) + detail, frame).to_bytes()
