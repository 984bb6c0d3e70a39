"""A FEIG device's buffer of tags: read [22] or [2B], clear what was read [32], and the switch to host mode [6A].

A device in buffered read mode or notification mode scans by itself and answers host commands [B0] with status 82.
"""

from dataclasses import dataclass
from typing import ClassVar

from protocols.feig.fields import check_byte
from protocols.feig.frame import Frame
from protocols.feig.records import TagRecord, decode_records, encode_records
from protocols.feig.status import BUFFER_OVERFLOW, MORE_DATA, NO_TAG, NO_VALID_DATA, OK, RF_WARNING, StatusError
from protocols.frames import Cursor, LocalFrameError

__all__ = [
    "MOST_SETS",
    "BufferReply",
    "ClearBufferRequest",
    "ReadBufferExtendedRequest",
    "ReadBufferRequest",
    "RfOutputRequest",
]

MOST_SETS = 24
"""Records asked for at once: with 32 blocks each they still fit the longest frame we wait for."""
_WITH_RECORDS = frozenset({OK, RF_WARNING, 0x85, BUFFER_OVERFLOW, MORE_DATA})
"""Statuses behind which records may stand; 85 (one antenna in trouble) is that of multi-antenna devices."""


def _check_sets(sets: int) -> None:
    if not 1 <= sets <= 0xFFFF:
        raise LocalFrameError("1..65535 records are asked for")


@dataclass(frozen=True, slots=True)
class ReadBufferRequest:
    """[22] Read at most `sets` records; they stay in the buffer until [32]."""

    COMMAND: ClassVar[int] = 0x22
    SUB: ClassVar[int | None] = None
    sets: int = MOST_SETS

    def __post_init__(self) -> None:
        _check_sets(self.sets)

    def to_body(self) -> bytes:
        """Return the body after the command byte."""
        return self.sets.to_bytes(2, "big")

    @classmethod
    def take(cls, body: Cursor) -> "ReadBufferRequest":
        """Parse the body."""
        return cls(body.u16())


@dataclass(frozen=True, slots=True)
class ReadBufferExtendedRequest:
    """[2B] The same of newer gates, with a mode byte that is 00 in all traffic seen."""

    COMMAND: ClassVar[int] = 0x2B
    SUB: ClassVar[int | None] = None
    sets: int = MOST_SETS
    mode: int = 0

    def __post_init__(self) -> None:
        _check_sets(self.sets)
        check_byte("mode", self.mode)

    def to_body(self) -> bytes:
        """Return the body after the command byte."""
        return bytes((self.mode,)) + self.sets.to_bytes(2, "big")

    @classmethod
    def take(cls, body: Cursor) -> "ReadBufferExtendedRequest":
        """Parse the body."""
        mode = body.u8()
        return cls(body.u16(), mode)


@dataclass(frozen=True, slots=True)
class ClearBufferRequest:
    """[32] Forget the records read last; also how a host acknowledges a notification, where the device wants that."""

    COMMAND: ClassVar[int] = 0x32
    SUB: ClassVar[int | None] = None

    def to_body(self) -> bytes:
        """Return the body after the command byte."""
        return b""

    @classmethod
    def take(cls, body: Cursor) -> "ClearBufferRequest":
        """Parse the body."""
        return cls()


@dataclass(frozen=True, slots=True)
class RfOutputRequest:
    """[6A] Field on or off; `hold` keeps a device that scans by itself in host mode meanwhile (bit 7: general knowledge)."""

    COMMAND: ClassVar[int] = 0x6A
    SUB: ClassVar[int | None] = None
    on: bool = True
    hold: bool = False

    def to_body(self) -> bytes:
        """Return the body after the command byte."""
        return bytes((self.on | self.hold << 7,))

    @classmethod
    def take(cls, body: Cursor) -> "RfOutputRequest":
        """Parse the body."""
        value = body.u8()
        return cls(bool(value & 0x01), bool(value & 0x80))


@dataclass(frozen=True, slots=True)
class BufferReply:
    """Records of [22] or [2B]: an answer or a notification. `overflow` = some were lost, `more` = ask again after [32].

    `kinds` (TR-DATA1) says what the records are made of, so it is read as 0 where there are none.
    """

    records: tuple[TagRecord, ...] = ()
    kinds: int = 0
    overflow: bool = False
    more: bool = False

    def to_body(self) -> bytes:
        """Return status and data."""
        status = BUFFER_OVERFLOW if self.overflow else MORE_DATA if self.more else OK
        if not self.records:
            return bytes((status if self.overflow or self.more else NO_VALID_DATA,))
        return bytes((status,)) + encode_records(self.kinds, self.records)

    @classmethod
    def from_frame(cls, frame: Frame) -> "BufferReply":
        """Parse a device's frame."""
        status = frame.status
        if status in (NO_TAG, NO_VALID_DATA) and not frame.data:
            return cls()
        if status not in _WITH_RECORDS:
            raise StatusError(status, frame.data)
        overflow, more = status == BUFFER_OVERFLOW, status == MORE_DATA
        if not frame.data:
            return cls((), 0, overflow, more)
        kinds, records = decode_records(frame.data)
        return cls(records, kinds if records else 0, overflow, more)
