"""Requests to a 3M pad, one type a command, both directions (3M RFID Reader Protocol Specification 1.0.0).

A UID is 16 hex digits, high byte first, as the pad sends it. Numbers are one byte unless said otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from protocols.frames import Cursor, FrameError, LocalFrameError
from protocols.mmm.errors import NOT_IMPLEMENTED, PARAMETER, BadRequest
from protocols.mmm.frame import EARLY_START, START, Frame

__all__ = [
    "ALL_DATA", "BLOCK_SIZE", "INFO_AFI", "INFO_DSFID", "INFO_IC", "INFO_SIZE", "NEW_STYLE", "NO_LOCK", "OPTION_DSFID", "OPTION_UID",
    "CheckEasRequest", "EarlyVersionRequest", "GetAfiRequest", "GetDsfidRequest", "InventoryRequest", "LockAfiRequest",
    "LockBlockRequest", "LockDsfidRequest", "PassThroughRequest", "QuietRequest", "ReadBlocksRequest", "Request", "StartRequest",
    "TagInfoRequest", "VersionRequest", "WriteAfiRequest", "WriteAndLockRequest", "WriteBlockRequest", "WriteBlocksRequest",
    "WriteDsfidRequest", "WriteEasRequest", "decode_request", "encode_request",
]  # fmt: skip

BLOCK_SIZE = 4
OPTION_UID, OPTION_DSFID = 0x01, 0x02
"""Response options of the inventory; the DSFID comes before the UID. Bit 2 is an orphan that old hosts still set (05)."""
ALL_DATA, NEW_STYLE, NO_LOCK = 0x01, 0x04, 0x08
"""Response options of reading blocks: every block even after an error; first block told once; no lock bytes."""
INFO_DSFID, INFO_AFI, INFO_SIZE, INFO_IC = 0x01, 0x02, 0x04, 0x08
"""What tag information is asked for and available."""


@dataclass(frozen=True, slots=True)
class Request:
    """Any request; `CODE` is its command byte."""

    CODE: ClassVar[int]

    def body(self) -> bytes:
        """Return what follows the command byte; raises `LocalFrameError`."""
        return b""

    @classmethod
    def parse(cls, body: Cursor) -> Request:
        """Read what follows the command byte; raises `FrameError`."""
        return cls()


@dataclass(frozen=True, slots=True)
class VersionRequest(Request):
    """11 Reader Version."""

    CODE = 0x11


@dataclass(frozen=True, slots=True)
class EarlyVersionRequest(Request):
    """The version asked in a D5 frame, 04 00 11 (not in the specification; seen in traffic, the pads answer it)."""

    CODE = 0x04
    BODY: ClassVar[bytes] = b"\x00\x11"

    def body(self) -> bytes:
        """Return the two fixed bytes."""
        return self.BODY


@dataclass(frozen=True, slots=True)
class StartRequest(Request):
    """13: not in the specification. The maker's own software sends it at start, with pairs of bytes whose meaning is unknown."""

    CODE = 0x13
    data: bytes = bytes.fromhex("040100020003000400")

    def body(self) -> bytes:
        """Return the pairs as they are."""
        return self.data

    @classmethod
    def parse(cls, body: Cursor) -> StartRequest:
        """Take the pairs as they are."""
        return cls(body.rest())


@dataclass(frozen=True, slots=True)
class InventoryRequest(Request):
    """FE Read Block UID: every tag, or those of one AFI (`afi` not 0); `options` say what is told of each."""

    CODE = 0xFE
    afi: int = 0
    options: int = OPTION_UID | OPTION_DSFID

    def body(self) -> bytes:
        """Return AFI and options."""
        return _bytes(self.afi, self.options)

    @classmethod
    def parse(cls, body: Cursor) -> InventoryRequest:
        """Read AFI and options; bit 6 of the options announces a byte of air protocols, which is passed over."""
        afi, options = body.u8(), body.u8()
        if options & 0x40:
            body.u8()
        return cls(afi, options)


@dataclass(frozen=True, slots=True)
class PassThroughRequest(Request):
    """14 ISO Pass thru: an ISO 15693 command as it goes on the air, without its CRC (`send`, at most 1024 bytes).

    `receive_most` 0..65535 bounds the answer; `control` (two bytes) holds the waits, `rf_flags` goes with its bit 15.
    """

    CODE = 0x14
    send: bytes
    receive_most: int
    control: int = 0
    rf_flags: int | None = None

    def body(self) -> bytes:
        """Return sizes, control options, RF flags where meant, and the data."""
        if len(self.send) > 1024 or not (0 <= self.receive_most <= 0xFFFF and 0 <= self.control <= 0xFFFF):
            raise LocalFrameError("at most 1024 bytes are sent through; sizes and options are two bytes each")
        if bool(self.control & 0x8000) != (self.rf_flags is not None):
            raise LocalFrameError("RF flags go with bit 15 of the control options")
        head = b"".join(value.to_bytes(2, "big") for value in (len(self.send), self.receive_most, self.control))
        return head + (b"" if self.rf_flags is None else _bytes(self.rf_flags)) + self.send

    @classmethod
    def parse(cls, body: Cursor) -> PassThroughRequest:
        """Read them again."""
        size, most, control = body.u16(), body.u16(), body.u16()
        flags = body.u8() if control & 0x8000 else None
        return cls(body.take(size), most, control, flags)


@dataclass(frozen=True, slots=True)
class _OfTag(Request):
    """A request to one tag without more to say."""

    uid: str

    def body(self) -> bytes:
        """Return the UID."""
        return _uid(self.uid)

    @classmethod
    def parse(cls, body: Cursor) -> _OfTag:
        """Read the UID."""
        return cls(take_uid(body))


class QuietRequest(_OfTag):
    """01 Quiet: the tag answers no inventory until it leaves the field."""

    CODE = 0x01


class CheckEasRequest(_OfTag):
    """03 Check EAS: an error 06 means off (or that the tag is not there, or has none)."""

    CODE = 0x03


class LockAfiRequest(_OfTag):
    """06 Lock AFI, for ever."""

    CODE = 0x06


class GetAfiRequest(_OfTag):
    """0A Get AFI."""

    CODE = 0x0A


class LockDsfidRequest(_OfTag):
    """0E Lock DSFID, for ever."""

    CODE = 0x0E


class GetDsfidRequest(_OfTag):
    """0F Get DSFID."""

    CODE = 0x0F


@dataclass(frozen=True, slots=True)
class _Valued(Request):
    """A request that gives one tag one byte."""

    uid: str
    value: int

    def body(self) -> bytes:
        """Return UID and byte."""
        return _uid(self.uid) + _bytes(self.value)

    @classmethod
    def parse(cls, body: Cursor) -> _Valued:
        """Read UID and byte."""
        return cls(take_uid(body), body.u8())


class LockBlockRequest(_Valued):
    """08 Lock Block `value`, for ever."""

    CODE = 0x08


class WriteAfiRequest(_Valued):
    """09 Write AFI."""

    CODE = 0x09


class WriteDsfidRequest(_Valued):
    """0B Write DSFID."""

    CODE = 0x0B


class WriteEasRequest(_Valued):
    """0C EAS Control: 1 = on (in stock), 0 = off."""

    CODE = 0x0C


class TagInfoRequest(_Valued):
    """0D Tag Info: `value` holds the `INFO_` bits that are asked for."""

    CODE = 0x0D


@dataclass(frozen=True, slots=True)
class ReadBlocksRequest(Request):
    """02 Read Multiblock: `count` blocks from `first`; `options` None = the request of old hosts, without the byte."""

    CODE = 0x02
    uid: str
    first: int
    count: int
    options: int | None = None

    def body(self) -> bytes:
        """Return UID, first, count and the options where meant."""
        options = b"" if self.options is None else _bytes(self.options)
        return _uid(self.uid) + _bytes(self.first, self.count) + options

    @classmethod
    def parse(cls, body: Cursor) -> ReadBlocksRequest:
        """Read them again."""
        return cls(take_uid(body), body.u8(), body.u8(), body.u8() if body.left else None)


@dataclass(frozen=True, slots=True)
class WriteBlocksRequest(Request):
    """04 Write Multiblock: `data`, whole blocks of four bytes, from block `first`."""

    CODE = 0x04
    uid: str
    first: int
    data: bytes

    def body(self) -> bytes:
        """Return UID, first, count, the reserved byte 00 and the data."""
        if not self.data or len(self.data) % BLOCK_SIZE or len(self.data) > 255 * BLOCK_SIZE:
            raise LocalFrameError("1 to 255 whole blocks of four bytes are written")
        return _uid(self.uid) + _bytes(self.first, len(self.data) // BLOCK_SIZE, 0) + self.data

    @classmethod
    def parse(cls, body: Cursor) -> WriteBlocksRequest:
        """Read them again."""
        uid, first, count, _ = take_uid(body), body.u8(), body.u8(), body.u8()
        return cls(uid, first, body.take(count * BLOCK_SIZE))


@dataclass(frozen=True, slots=True)
class WriteBlockRequest(Request):
    """05 Write Block: four bytes of `data` to `block` (for old software; 04 does more)."""

    CODE = 0x05
    uid: str
    block: int
    data: bytes

    def body(self) -> bytes:
        """Return UID, block and data."""
        if len(self.data) != BLOCK_SIZE:
            raise LocalFrameError("a block has four bytes")
        return _uid(self.uid) + _bytes(self.block) + self.data

    @classmethod
    def parse(cls, body: Cursor) -> WriteBlockRequest:
        """Read them again."""
        return cls(take_uid(body), body.u8(), body.take(BLOCK_SIZE))


class WriteAndLockRequest(WriteBlockRequest):
    """07 Write & Lock Block, for ever."""

    CODE = 0x07


_TYPES: dict[int, type[Request]] = {
    kind.CODE: kind
    for kind in (
        VersionRequest, StartRequest, InventoryRequest, PassThroughRequest, QuietRequest, CheckEasRequest, LockAfiRequest,
        GetAfiRequest, LockDsfidRequest, GetDsfidRequest, LockBlockRequest, WriteAfiRequest, WriteDsfidRequest, WriteEasRequest,
        TagInfoRequest, ReadBlocksRequest, WriteBlocksRequest, WriteBlockRequest, WriteAndLockRequest,
    )
}  # fmt: skip


def encode_request(request: Request) -> bytes:
    """Return the whole frame of a request; raises `LocalFrameError` for a value out of range."""
    start = EARLY_START if isinstance(request, EarlyVersionRequest) else START
    return Frame(bytes((request.CODE,)) + request.body(), start).to_bytes()


def decode_request(frame: Frame) -> Request:
    """Return the request in a frame of the host; raises `BadRequest` with the error a pad answers."""
    if frame.start == EARLY_START:
        if frame.payload == bytes((EarlyVersionRequest.CODE,)) + EarlyVersionRequest.BODY:
            return EarlyVersionRequest()
        raise BadRequest(NOT_IMPLEMENTED, "a D5 frame asks for the version only")
    kind = _TYPES.get(frame.command)
    if kind is None:
        raise BadRequest(NOT_IMPLEMENTED, f"command {frame.command:02X} is not known")
    body = Cursor(frame.body)
    try:
        request = kind.parse(body)
        body.end()
    except FrameError as error:
        raise BadRequest(PARAMETER, f"command {frame.command:02X}: {error}") from error
    return request


def take_uid(body: Cursor) -> str:
    """Read a UID, high byte first."""
    return body.take(8).hex().upper()


def _uid(uid: str) -> bytes:
    try:
        raw = bytes.fromhex(uid)
    except ValueError:
        raw = b""
    if len(raw) != 8:
        raise LocalFrameError("a UID is 16 hex digits")
    return raw


def _bytes(*values: int) -> bytes:
    if not all(0 <= value <= 0xFF for value in values):
        raise LocalFrameError("a number of a 3M request is one byte")
    return bytes(values)
