"""An answer to reset (ISO 7816-3 §8.2) and what it tells of a contactless card (PC/SC part 3, 3.1.3.2.3).

A contactless card has no ATR: the cardreader makes one up. For a storage card it holds a registered code of the chip; for a card with
ISO 14443-4 it holds the historical bytes of its ATS, by which makers name what they like. So "DESFire" is as sure as the ATR allows,
and proves nothing of the card's key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

MAX_ATR = 33
_RID_PCSC = bytes.fromhex("A000000306")

CHIPS: Mapping[int, tuple[str, str]] = MappingProxyType(
    {
        0x0001: ("MIFARE Classic 1K", "MF_CLASSIC"), 0x0002: ("MIFARE Classic 4K", "MF_CLASSIC"),
        0x0026: ("MIFARE Mini", "MF_CLASSIC"), 0x0003: ("MIFARE Ultralight", "MF_ULTRALIGHT"),
        0x003A: ("MIFARE Ultralight C", "MF_ULTRALIGHT"), 0x0036: ("MIFARE Plus SL1 2K", "MF_PLUS"),
        0x0037: ("MIFARE Plus SL1 4K", "MF_PLUS"), 0x0038: ("MIFARE Plus SL2 2K", "MF_PLUS"),
        0x0039: ("MIFARE Plus SL2 4K", "MF_PLUS"), 0x003B: ("FeliCa", "FELICA"), 0x0014: ("ICODE SLI", "ISO15693"),
        0x0016: ("ICODE 1", "ISO15693"), 0x0012: ("Tag-it", "ISO15693"), 0x0013: ("LRI512", "ISO15693"),
    }
)  # fmt: skip
"""Registered chip code → (name, medium). PC/SC part 3 supplement 2.01.08, the ones a library meets."""

_STANDARDS = {0x09: "ISO15693", 0x0A: "ISO15693", 0x0B: "ISO15693", 0x0C: "ISO15693", 0x11: "FELICA"}
"""Byte SS of the same table: how the card speaks, where its chip is not registered."""


class AtrError(ValueError):
    """Bytes that are no ATR; ``code`` is ATR_LENGTH, ATR_START (neither 3B nor 3F), ATR_CUT or ATR_CHECK."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Atr:
    """An ATR taken apart.

    ``protocols`` are the T values told, in order (() = T=0). ``historical`` 0..15 bytes. ``chip`` is the chip's name or "".
    ``medium`` is MF_CLASSIC, MF_ULTRALIGHT, MF_PLUS, DESFIRE, CPU (ISO 14443-4, not told further), ISO15693, FELICA, or "" for what
    is no contactless card or says nothing.
    """

    protocols: tuple[int, ...]
    historical: bytes
    contactless: bool
    chip: str
    medium: str


def parse_atr(raw: bytes) -> Atr:
    """Take an ATR apart; raises `AtrError`."""
    if not 2 <= len(raw) <= MAX_ATR:
        raise AtrError("ATR_LENGTH", f"an ATR has 2 to {MAX_ATR} bytes")
    if raw[0] not in (0x3B, 0x3F):
        raise AtrError("ATR_START", "an ATR begins with 3B or 3F")
    protocols, at = _protocols(raw)
    length = raw[1] & 0x0F
    historical, check = raw[at : at + length], raw[at + length :]
    # TCK is there as soon as any protocol but T=0 is told (§8.2.5); it makes the XOR of all bytes but TS zero.
    needed = 1 if any(protocols) else 0
    if len(historical) < length or len(check) != needed:
        raise AtrError("ATR_CUT", "the ATR is shorter or longer than it says")
    if needed and _xor(raw[1:]):
        raise AtrError("ATR_CHECK", "the check byte of the ATR is wrong")
    contactless = raw[0] == 0x3B and raw[1] >> 4 == 0x8 and raw[2:4] == b"\x80\x01"
    chip, medium = _medium(historical) if contactless else ("", "")
    return Atr(protocols, historical, contactless, chip, medium)


def _protocols(raw: bytes) -> tuple[tuple[int, ...], int]:
    """Walk the interface bytes: each TD names a protocol and says which of TA TB TC TD follow. Gives where they end."""
    told: list[int] = []
    following, at = raw[1] >> 4, 2
    while True:
        at += (following & 0x7).bit_count()
        if not following & 0x8:
            return tuple(told), at
        if at >= len(raw):
            raise AtrError("ATR_CUT", "the ATR ends among its interface bytes")
        told.append(raw[at] & 0x0F)
        following = raw[at] >> 4
        at += 1


def _medium(historical: bytes) -> tuple[str, str]:
    if historical[:3] == b"\x80\x4f\x0c" and len(historical) == 15 and historical[3:8] == _RID_PCSC:
        standard, code = historical[8], int.from_bytes(historical[9:11])
        return CHIPS.get(code, ("", _STANDARDS.get(standard, "")))
    if historical == b"\x80":
        # DESFire's ATS has one historical byte, 80 (EV1 data sheet, 06 75 77 81 02 80); no other common card is so curt.
        return "MIFARE DESFire", "DESFIRE"
    return "", "CPU"


def _xor(data: bytes) -> int:
    total = 0
    for byte in data:
        total ^= byte
    return total
