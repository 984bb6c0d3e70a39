"""Requests of an UHFReader18/288 about tags: inventory, read, write, lock.

UHFReader18 manual V2.0 section 8.2 and UHFReader288 manual v1.14 section 8.2. The families agree on every command here but
inventory. Kill (05) is left out on purpose: nothing in a library needs it, and it cannot be undone.
"""

from dataclasses import dataclass, field
from typing import ClassVar

from protocols.frames import Cursor, LocalFrameError
from protocols.uhf.status import PARAMETER, BadRequest
from protocols.uhf.target import MAX_EPC_WORDS, USER_BANK, Family, Mask, Target

__all__ = [
    "InventoryOneRequest",
    "InventoryRequest",
    "LockRequest",
    "ReadRequest",
    "WriteEpcRequest",
    "WriteRequest",
]

MAX_READ_WORDS = 120
_FIRST_ANTENNA = 0x80
_FAST_ID = 0x20
_Q = 0x0F


@dataclass(frozen=True, slots=True)
class InventoryRequest:
    """01: list the tags in the field. Everything None = as the device is set.

    ``tid`` = (first word, words 1..15): answer with TIDs instead of EPCs. 288 family: ``q`` 0..15 (2**q is about the number of
    tags), ``session`` 0..3, ``fast_id`` (Impinj chips append their TID), ``mask``, and ``antenna`` (from 1) with ``scan_100ms``
    (1..255, tenths of a second) and ``target`` 0 or 1, which travel together.
    """

    COMMAND: ClassVar[int] = 0x01
    q: int | None = None
    session: int = 0
    fast_id: bool = False
    mask: Mask | None = None
    tid: tuple[int, int] | None = None
    antenna: int | None = None
    scan_100ms: int = 0
    target: int = 0

    def to_body(self) -> bytes:
        """Return the parameters; raises `LocalFrameError`."""
        tid = bytes(self.tid) if self.tid else b""
        if self.q is None:
            if self.mask or self.antenna or self.fast_id:
                raise LocalFrameError("only with a Q value does an inventory take a mask, an antenna or FastID")
            return tid
        if not (0 <= self.q <= _Q and 0 <= self.session <= 3 and self.target in (0, 1)):
            raise LocalFrameError("Q is 0 to 15, the session 0 to 3, the target 0 or 1")
        body = bytes((self.q | (_FAST_ID if self.fast_id else 0), self.session))
        body += (self.mask.to_bytes() if self.mask else b"") + tid
        if self.antenna is not None:
            if not (1 <= self.antenna <= 16 and 1 <= self.scan_100ms <= 255):
                raise LocalFrameError("an antenna is 1 to 16, its scan time 1 to 255 tenths of a second")
            body += bytes((self.target, _FIRST_ANTENNA + self.antenna - 1, self.scan_100ms))
        return body

    @classmethod
    def take(cls, body: Cursor, family: Family) -> "InventoryRequest":
        """Read the parameters: which of them are there is told by their number alone."""
        if family == "18" or body.left == 0:
            return cls(tid=(body.u8(), body.u8()) if body.left else None)
        first, session = body.u8(), body.u8()
        if session > 3 and session != 0xFF:
            raise BadRequest(PARAMETER, "a session is 0 to 3, or FF")
        mask = Mask.take(body) if body.left == 4 or body.left > 5 else None
        tid = (body.u8(), body.u8()) if body.left in (2, 5) else None
        target, antenna, scan = (body.u8(), body.u8(), body.u8()) if body.left else (0, None, 0)
        if antenna is not None:
            antenna = antenna - _FIRST_ANTENNA + 1
            if not 1 <= antenna <= 16:
                raise BadRequest(PARAMETER, "antennas are 80 to 8F")
        return cls(first & _Q, session & 3, bool(first & _FAST_ID), mask, tid, antenna, scan, target)


@dataclass(frozen=True, slots=True)
class InventoryOneRequest:
    """0F: list one tag (18 family)."""

    COMMAND: ClassVar[int] = 0x0F

    def to_body(self) -> bytes:
        """Return nothing."""
        return b""

    @classmethod
    def take(cls, body: Cursor, family: Family) -> "InventoryOneRequest":
        """Read nothing."""
        return cls()


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """02: read ``count`` words (1..120) of ``bank`` from word ``word`` (0..255) on; ``password`` is the tag's access password."""

    COMMAND: ClassVar[int] = 0x02
    to: Target
    bank: int
    word: int
    count: int
    password: int = field(default=0, repr=False)

    def to_body(self) -> bytes:
        """Return the parameters; raises `LocalFrameError`."""
        _check_place(self.bank, self.word)
        if not 1 <= self.count <= MAX_READ_WORDS:
            raise LocalFrameError("1 to 120 words are read")
        place = bytes((self.bank, self.word, self.count))
        return self.to.head() + place + self.password.to_bytes(4, "big") + self.to.tail()

    @classmethod
    def take(cls, body: Cursor, family: Family) -> "ReadRequest":
        """Read the parameters."""
        epc = Target.take_head(body)
        bank, word, count = _take_bank(body), body.u8(), body.u8()
        if not 1 <= count <= MAX_READ_WORDS:
            raise BadRequest(PARAMETER, "1 to 120 words are read")
        password = int.from_bytes(body.take(4), "big")
        return cls(Target.take_tail(body, epc), bank, word, count, password)


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """03: write ``data`` (whole words) into ``bank`` from word ``word`` on; in the EPC bank the PC is word 1, the EPC begins at 2."""

    COMMAND: ClassVar[int] = 0x03
    to: Target
    bank: int
    word: int
    data: bytes = field(repr=False)
    password: int = field(default=0, repr=False)

    def to_body(self) -> bytes:
        """Return the parameters; raises `LocalFrameError`."""
        _check_place(self.bank, self.word)
        if not self.data or len(self.data) % 2 or len(self.data) > MAX_READ_WORDS * 2:
            raise LocalFrameError("1 to 120 whole words are written")
        head = bytes((len(self.data) // 2,)) + self.to.head() + bytes((self.bank, self.word))
        return head + self.data + self.password.to_bytes(4, "big") + self.to.tail()

    @classmethod
    def take(cls, body: Cursor, family: Family) -> "WriteRequest":
        """Read the parameters."""
        words = body.u8()
        if not words:
            raise BadRequest(PARAMETER, "no words are written")
        epc = Target.take_head(body)
        bank, word, data = _take_bank(body), body.u8(), body.take(words * 2)
        password = int.from_bytes(body.take(4), "big")
        return cls(Target.take_tail(body, epc), bank, word, data, password)


@dataclass(frozen=True, slots=True)
class WriteEpcRequest:
    """04: give some one tag in the field a new EPC, and the length in its PC. It cannot say which tag: only for a single one."""

    COMMAND: ClassVar[int] = 0x04
    epc: bytes = field(repr=False)
    password: int = field(default=0, repr=False)

    def to_body(self) -> bytes:
        """Return the parameters; raises `LocalFrameError`."""
        if not self.epc or len(self.epc) % 2 or len(self.epc) > 62:
            raise LocalFrameError("an EPC has 1 to 31 words")
        return bytes((len(self.epc) // 2,)) + self.password.to_bytes(4, "big") + self.epc

    @classmethod
    def take(cls, body: Cursor, family: Family) -> "WriteEpcRequest":
        """Read the parameters."""
        words, password = body.u8(), int.from_bytes(body.take(4), "big")
        if not 1 <= words <= (31 if family == "288" else MAX_EPC_WORDS):
            raise BadRequest(PARAMETER, "an EPC of that length cannot be written")
        return cls(body.take(words * 2), password)


@dataclass(frozen=True, slots=True)
class LockRequest:
    """06: set the protection of ``what`` (0 kill password, 1 access password, 2 EPC, 3 TID, 4 user) to ``how``.

    ``how``: 0 writable, 1 writable for ever, 2 writable with the access password, 3 never writable again. The tag needs an access
    password other than zero.
    """

    COMMAND: ClassVar[int] = 0x06
    to: Target
    what: int
    how: int
    password: int = field(default=0, repr=False)

    def to_body(self) -> bytes:
        """Return the parameters; raises `LocalFrameError`."""
        if not (0 <= self.what <= 4 and 0 <= self.how <= 3):
            raise LocalFrameError("what is locked is 0 to 4, how 0 to 3")
        return self.to.head() + bytes((self.what, self.how)) + self.password.to_bytes(4, "big") + self.to.tail()

    @classmethod
    def take(cls, body: Cursor, family: Family) -> "LockRequest":
        """Read the parameters."""
        epc = Target.take_head(body)
        what, how, password = body.u8(), body.u8(), int.from_bytes(body.take(4), "big")
        if what > 4 or how > 3:
            raise BadRequest(PARAMETER, "what is locked is 0 to 4, how 0 to 3")
        return cls(Target.take_tail(body, epc), what, how, password)


def _check_place(bank: int, word: int) -> None:
    if not (0 <= bank <= 3 and 0 <= word <= 0xFF):
        raise LocalFrameError("a bank is 0 to 3, a word 0 to 255")


def _take_bank(body: Cursor) -> int:
    bank = body.u8()
    if bank > USER_BANK:
        raise BadRequest(PARAMETER, "a tag has banks 0 to 3")
    return bank
