"""Which tag a command of an UHFReader18/288 is for: by its whole EPC, a part of it, or by a mask over any bank."""

from dataclasses import dataclass, field
from typing import Literal

from protocols.frames import Cursor, LocalFrameError, Malformed
from protocols.uhf.status import PARAMETER, BadRequest

__all__ = ["EPC_BANK", "MAX_EPC_WORDS", "RESERVED_BANK", "TID_BANK", "USER_BANK", "Family", "Mask", "Target"]

Family = Literal["18", "288"]
"""Old desktop and integrated devices (18), and those with antennas and RSSI (288: also 86, and most clones of today)."""

RESERVED_BANK, EPC_BANK, TID_BANK, USER_BANK = range(4)
"""Memory banks of a Gen2 tag; the EPC bank is StoredCRC, PC, EPC."""
MAX_EPC_WORDS = 15
"""The longest EPC that a command can name."""
_BY_MASK = 0xFF


@dataclass(frozen=True, slots=True)
class Mask:
    """Picks the tags that hold ``data`` in ``bank`` (1..3) from bit ``bit`` (0..16383) on; whole bytes, at most 31 (288 family)."""

    bank: int
    bit: int
    data: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        """Return MaskMem, MaskAdr, MaskLen, MaskData."""
        if not (1 <= self.bank <= 3 and 0 <= self.bit <= 16383 and len(self.data) <= 31):
            raise LocalFrameError("a mask is in banks 1 to 3, starts at bit 0 to 16383 and has at most 31 bytes")
        return bytes((self.bank,)) + self.bit.to_bytes(2, "big") + bytes((len(self.data) * 8,)) + self.data

    @classmethod
    def take(cls, body: Cursor) -> "Mask":
        """Read one; only masks of whole bytes are understood."""
        bank, bit, length = body.u8(), body.u16(), body.u8()
        if length % 8 or not 1 <= bank <= 3:
            raise Malformed("a mask of whole bytes in banks 1 to 3 is meant")
        return cls(bank, bit, body.take(length // 8))


@dataclass(frozen=True, slots=True)
class Target:
    """Which tag a command is for: the one with this whole EPC (1 to 15 words), or with this mask (288).

    Neither = whichever tag answers first: only ever right where one tag is in the field. ``window`` = (offset, length) in bytes
    compares only a part of the EPC (18).
    """

    epc: bytes = field(default=b"", repr=False)
    mask: Mask | None = None
    window: tuple[int, int] | None = None

    def head(self) -> bytes:
        """Return ENum and EPC."""
        if self.mask is not None:
            return bytes((_BY_MASK,))
        if len(self.epc) % 2 or len(self.epc) > MAX_EPC_WORDS * 2:
            raise LocalFrameError("a tag is addressed by a whole EPC of at most 15 words")
        return bytes((len(self.epc) // 2,)) + self.epc

    def tail(self) -> bytes:
        """Return what follows the password."""
        if self.mask is not None:
            return self.mask.to_bytes()
        return bytes(self.window) if self.window else b""

    @staticmethod
    def take_head(body: Cursor) -> bytes | None:
        """Read ENum and EPC; None = a mask follows later."""
        words = body.u8()
        if words == _BY_MASK:
            return None
        if words > MAX_EPC_WORDS:
            raise BadRequest(PARAMETER, "an EPC has at most 15 words")
        return body.take(words * 2)

    @classmethod
    def take_tail(cls, body: Cursor, epc: bytes | None) -> "Target":
        """Read the rest."""
        if epc is None:
            return cls(mask=Mask.take(body))
        return cls(epc, window=(body.u8(), body.u8()) if body.left else None)
