"""A contactless card as a PC/SC cardreader shows it: an ATR and the few commands that the cardreader itself answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

ATRS: Mapping[str, bytes] = MappingProxyType(
    {
        "MF_CLASSIC": bytes.fromhex("3B8F8001804F0CA000000306030001000000006A"),
        "MF_ULTRALIGHT": bytes.fromhex("3B8F8001804F0CA0000003060300030000000068"),
        "MF_PLUS": bytes.fromhex("3B8F8001804F0CA000000306030036000000005D"),
        "FELICA": bytes.fromhex("3B8F8001804F0CA00000030611003B0000000042"),
        "ISO15693": bytes.fromhex("3B8F8001804F0CA0000003060B00140000000077"),
        "DESFIRE": bytes.fromhex("3B8180018080"),
        "CPU": bytes.fromhex("3B858001108046018053"),
    }
)
"""ATR by medium, as cardreaders show them: storage cards by PC/SC part 3, DESFire by its ATS, CPU as one card with files shows it."""

OK = b"\x90\x00"
_BLOCK = 16
_BLOCKS = 64


@dataclass(slots=True)
class VirtualCard:
    """One card: ``uid`` 4 to 10 bytes (kept out of ``repr``), its ``atr``, and the 64 blocks of 16 bytes of a Classic 1K.

    Get Data (FF CA), Read Binary (FF B0) and Update Binary (FF D6) of PC/SC part 3 are answered; keys are not asked for.
    """

    uid: bytes = field(repr=False)
    atr: bytes
    memory: bytearray = field(default_factory=lambda: bytearray(_BLOCK * _BLOCKS), repr=False)

    def answer(self, apdu: bytes) -> bytes:
        """What the card says to a command; a status word for everything it does not know."""
        if len(apdu) < 4:
            return b"\x67\x00"
        if apdu[0] != 0xFF:
            return b"\x6e\x00"
        instruction, p1, p2 = apdu[1:4]
        if instruction == 0xCA:
            return self._get_data(p1, p2, apdu[4] if len(apdu) > 4 else 0)
        if instruction == 0xB0:
            at, length = (p1 << 8 | p2) * _BLOCK, apdu[4] if len(apdu) > 4 else 0
            found = self.memory[at : at + (length or _BLOCK)]
            return bytes(found) + OK if found else b"\x6a\x82"
        if instruction == 0xD6:
            at, data = (p1 << 8 | p2) * _BLOCK, apdu[5:]
            if len(apdu) < 5 or len(data) != apdu[4] or len(data) % _BLOCK or not data:
                return b"\x67\x00"
            if at + len(data) > len(self.memory):
                return b"\x6a\x82"
            self.memory[at : at + len(data)] = data
            return OK
        return b"\x6d\x00"

    def _get_data(self, p1: int, p2: int, expected: int) -> bytes:
        if (p1, p2) != (0, 0):
            return b"\x6a\x81"
        if 0 < expected < len(self.uid):
            return bytes([0x6C, len(self.uid)])  # wrong length, this many there are
        return self.uid + OK
