"""[B0] What a host asks of the tags on a FEIG pad (H20800, "host commands for ISO transponders").

A `uid` is 16 upper-case hex digits, high byte first as it is printed (E004...), or None for the one tag in the field (mode 00).
The bytes of every block travel reversed; here they are in the tag's own order.
"""

from dataclasses import dataclass
from typing import ClassVar

from protocols.feig.fields import check_byte, check_uid, reverse_blocks
from protocols.feig.status import DATA_FALSE, BadRequest
from protocols.frames import Cursor, LocalFrameError

__all__ = [
    "HOST",
    "InventoryRequest",
    "LockAfiRequest",
    "ReadBlocksRequest",
    "SelectRequest",
    "SystemInformationRequest",
    "WriteAfiRequest",
    "WriteBlocksRequest",
    "WriteDsfidRequest",
]

HOST = 0xB0
"""The command that carries all host commands; the next byte says which."""

_MODE_ANY = 0x00
_MODE_ADDRESSED = 0x01
_MODE_MORE = 0x80


def which(uid: str | None) -> bytes:
    """Return mode and UID: addressed, or any tag for None."""
    return bytes((_MODE_ANY,)) if uid is None else bytes((_MODE_ADDRESSED,)) + bytes.fromhex(uid)


def take_uid(body: Cursor) -> str | None:
    """Take mode and UID; raises `BadRequest` for a mode that is neither addressed nor any."""
    mode = body.u8()
    if mode == _MODE_ANY:
        return None
    if mode != _MODE_ADDRESSED:
        raise BadRequest(DATA_FALSE, f"mode {mode:02X} is not supported")
    return body.take(8).hex().upper()


@dataclass(frozen=True, slots=True)
class InventoryRequest:
    """[B0 01] Ask for the tags in the field; `more` asks for the rest after status 94 (mode bit 7)."""

    COMMAND: ClassVar[int] = HOST
    SUB: ClassVar[int | None] = 0x01
    more: bool = False

    def to_body(self) -> bytes:
        """Return the body after the command byte."""
        return bytes((0x01, _MODE_MORE if self.more else 0))

    @classmethod
    def take(cls, body: Cursor) -> "InventoryRequest":
        """Parse what follows the sub-command."""
        mode = body.u8()
        if mode & ~_MODE_MORE:
            raise BadRequest(DATA_FALSE, f"inventory mode {mode:02X} is not supported")
        return cls(bool(mode & _MODE_MORE))


@dataclass(frozen=True, slots=True)
class ReadBlocksRequest:
    """[B0 23] Read `count` blocks (1..255) from block `first` (0..255)."""

    COMMAND: ClassVar[int] = HOST
    SUB: ClassVar[int | None] = 0x23
    uid: str | None
    first: int
    count: int

    def __post_init__(self) -> None:
        check_uid(self.uid)
        check_byte("first", self.first)
        check_byte("count", self.count)

    def to_body(self) -> bytes:
        """Return the body after the command byte."""
        return b"\x23" + which(self.uid) + bytes((self.first, self.count))

    @classmethod
    def take(cls, body: Cursor) -> "ReadBlocksRequest":
        """Parse what follows the sub-command."""
        return cls(take_uid(body), body.u8(), body.u8())


@dataclass(frozen=True, slots=True)
class WriteBlocksRequest:
    """[B0 24] Write `data`, a whole number of blocks of `block_size` bytes, from block `first`."""

    COMMAND: ClassVar[int] = HOST
    SUB: ClassVar[int | None] = 0x24
    uid: str | None
    first: int
    data: bytes
    block_size: int = 4

    def __post_init__(self) -> None:
        check_uid(self.uid)
        check_byte("first", self.first)
        if not 1 <= self.block_size <= 32:
            raise LocalFrameError("an ISO 15693 block has 1..32 bytes")
        if not self.data or len(self.data) % self.block_size or len(self.data) // self.block_size > 0xFF:
            raise LocalFrameError("data must be 1..255 whole blocks")

    @property
    def count(self) -> int:
        """Number of blocks written."""
        return len(self.data) // self.block_size

    def to_body(self) -> bytes:
        """Return the body after the command byte."""
        head = bytes((self.first, self.count, self.block_size))
        return b"\x24" + which(self.uid) + head + reverse_blocks(self.data, self.block_size)

    @classmethod
    def take(cls, body: Cursor) -> "WriteBlocksRequest":
        """Parse what follows the sub-command."""
        uid = take_uid(body)
        first, count, size = body.u8(), body.u8(), body.u8()
        if not count or not 1 <= size <= 32:
            raise BadRequest(DATA_FALSE, f"{count} blocks of {size} bytes cannot be written")
        return cls(uid, first, reverse_blocks(body.take(count * size), size), size)


@dataclass(frozen=True, slots=True)
class SelectRequest:
    """[B0 25] Select the tag: later commands in mode 02 mean it."""

    COMMAND: ClassVar[int] = HOST
    SUB: ClassVar[int | None] = 0x25
    uid: str | None

    def __post_init__(self) -> None:
        check_uid(self.uid)

    def to_body(self) -> bytes:
        """Return the body after the command byte."""
        return b"\x25" + which(self.uid)

    @classmethod
    def take(cls, body: Cursor) -> "SelectRequest":
        """Parse what follows the sub-command."""
        return cls(take_uid(body))


@dataclass(frozen=True, slots=True)
class WriteAfiRequest:
    """[B0 27] Write the AFI, the byte that the security gate looks at (07 secured, C2 on loan by default)."""

    COMMAND: ClassVar[int] = HOST
    SUB: ClassVar[int | None] = 0x27
    uid: str | None
    afi: int

    def __post_init__(self) -> None:
        check_uid(self.uid)
        check_byte("afi", self.afi)

    def to_body(self) -> bytes:
        """Return the body after the command byte."""
        return b"\x27" + which(self.uid) + bytes((self.afi,))

    @classmethod
    def take(cls, body: Cursor) -> "WriteAfiRequest":
        """Parse what follows the sub-command."""
        return cls(take_uid(body), body.u8())


@dataclass(frozen=True, slots=True)
class LockAfiRequest:
    """[B0 28] Lock the AFI for ever; an item whose AFI is locked can no longer be secured or lent."""

    COMMAND: ClassVar[int] = HOST
    SUB: ClassVar[int | None] = 0x28
    uid: str | None

    def __post_init__(self) -> None:
        check_uid(self.uid)

    def to_body(self) -> bytes:
        """Return the body after the command byte."""
        return b"\x28" + which(self.uid)

    @classmethod
    def take(cls, body: Cursor) -> "LockAfiRequest":
        """Parse what follows the sub-command."""
        return cls(take_uid(body))


@dataclass(frozen=True, slots=True)
class WriteDsfidRequest:
    """[B0 29] Write the DSFID, the byte that names the data format (06 ISO 28560-2, 3E ISO 28560-3)."""

    COMMAND: ClassVar[int] = HOST
    SUB: ClassVar[int | None] = 0x29
    uid: str | None
    dsfid: int

    def __post_init__(self) -> None:
        check_uid(self.uid)
        check_byte("dsfid", self.dsfid)

    def to_body(self) -> bytes:
        """Return the body after the command byte."""
        return b"\x29" + which(self.uid) + bytes((self.dsfid,))

    @classmethod
    def take(cls, body: Cursor) -> "WriteDsfidRequest":
        """Parse what follows the sub-command."""
        return cls(take_uid(body), body.u8())


@dataclass(frozen=True, slots=True)
class SystemInformationRequest:
    """[B0 2B] Ask a tag for DSFID, AFI, memory size and chip."""

    COMMAND: ClassVar[int] = HOST
    SUB: ClassVar[int | None] = 0x2B
    uid: str | None

    def __post_init__(self) -> None:
        check_uid(self.uid)

    def to_body(self) -> bytes:
        """Return the body after the command byte."""
        return b"\x2b" + which(self.uid)

    @classmethod
    def take(cls, body: Cursor) -> "SystemInformationRequest":
        """Parse what follows the sub-command."""
        return cls(take_uid(body))
