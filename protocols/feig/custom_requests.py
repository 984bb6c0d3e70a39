"""[B1] Commands of the chip's maker (NXP): the EAS bit, and [B0 22] locking of blocks.

[B1] MFR(04 = NXP) then A2 set, A3 reset, A5 ask; from the system manuals of MR101 and LR200, "custom commands for I-Code SLI".
CPR devices dropped [B1]: they answer 80.
"""

from dataclasses import dataclass
from typing import ClassVar

from protocols.feig.fields import check_byte, check_uid
from protocols.feig.status import DATA_FALSE, BadRequest
from protocols.feig.tag_requests import HOST, take_uid, which
from protocols.frames import Cursor, LocalFrameError

__all__ = ["CUSTOM", "NXP", "EasAlarmRequest", "LockBlocksRequest", "ResetEasRequest", "SetEasRequest"]

CUSTOM, NXP = 0xB1, 0x04


def take_manufacturer(body: Cursor) -> None:
    """Take the maker's code; raises `BadRequest` where it is not NXP's."""
    if body.u8() != NXP:
        raise BadRequest(DATA_FALSE, "only NXP's commands are known")


@dataclass(frozen=True, slots=True)
class SetEasRequest:
    """[B1 04 A2] Switch the EAS bit on: the security gate alarms."""

    COMMAND: ClassVar[int] = CUSTOM
    SUB: ClassVar[int | None] = 0xA2
    uid: str | None

    def __post_init__(self) -> None:
        check_uid(self.uid)

    def to_body(self) -> bytes:
        """Return the body after the command byte."""
        return bytes((NXP, 0xA2)) + which(self.uid)

    @classmethod
    def take(cls, body: Cursor) -> "SetEasRequest":
        """Parse what follows the sub-command."""
        return cls(take_uid(body))


@dataclass(frozen=True, slots=True)
class ResetEasRequest:
    """[B1 04 A3] Switch the EAS bit off."""

    COMMAND: ClassVar[int] = CUSTOM
    SUB: ClassVar[int | None] = 0xA3
    uid: str | None

    def __post_init__(self) -> None:
        check_uid(self.uid)

    def to_body(self) -> bytes:
        """Return the body after the command byte."""
        return bytes((NXP, 0xA3)) + which(self.uid)

    @classmethod
    def take(cls, body: Cursor) -> "ResetEasRequest":
        """Parse what follows the sub-command."""
        return cls(take_uid(body))


@dataclass(frozen=True, slots=True)
class EasAlarmRequest:
    """[B1 04 A5] Ask whether the EAS bit is on: 00 = on, 01 = off, or the tag is not there."""

    COMMAND: ClassVar[int] = CUSTOM
    SUB: ClassVar[int | None] = 0xA5
    uid: str | None

    def __post_init__(self) -> None:
        check_uid(self.uid)

    def to_body(self) -> bytes:
        """Return the body after the command byte."""
        return bytes((NXP, 0xA5)) + which(self.uid)

    @classmethod
    def take(cls, body: Cursor) -> "EasAlarmRequest":
        """Parse what follows the sub-command."""
        return cls(take_uid(body))


@dataclass(frozen=True, slots=True)
class LockBlocksRequest:
    """[B0 22] Lock `count` blocks (1..255) from block `first` for ever."""

    COMMAND: ClassVar[int] = HOST
    SUB: ClassVar[int | None] = 0x22
    uid: str | None
    first: int
    count: int = 1

    def __post_init__(self) -> None:
        check_uid(self.uid)
        check_byte("first", self.first)
        if not 1 <= self.count <= 0xFF:
            raise LocalFrameError("1..255 blocks are locked at once")

    def to_body(self) -> bytes:
        """Return the body after the command byte."""
        return b"\x22" + which(self.uid) + bytes((self.first, self.count))

    @classmethod
    def take(cls, body: Cursor) -> "LockBlocksRequest":
        """Parse what follows the sub-command."""
        uid, first, count = take_uid(body), body.u8(), body.u8()
        if not count:
            raise BadRequest(DATA_FALSE, "no blocks to lock")
        return cls(uid, first, count)
