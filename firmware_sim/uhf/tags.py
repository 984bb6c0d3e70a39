"""Simulated EPC Gen2 tags: four memory banks, a CRC the chip keeps itself, locks, and a strength at which they are heard."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from protocols.crc import crc_gen2

RESERVED, EPC, TID, USER = range(4)
EPC_WORDS = 16
"""Words an EPC can have in the usual library chip; none has less than 8."""
USER_WORDS = 32
OVERRUN, LOCKED, INSUFFICIENT_POWER = 0x03, 0x04, 0x0B
"""Error bytes of a tag (EPC Gen2 Annex I)."""


class TagError(Exception):
    """The tag answers a command with an error byte."""

    def __init__(self, code: int) -> None:
        super().__init__(f"tag error {code:02X}")
        self.code = code


def tid_for(seed: bytes) -> bytes:
    """Give a chip's number of 12 bytes: maker and model, then a serial that ``seed`` decides."""
    return bytes.fromhex("E28011700000") + hashlib.sha256(seed).digest()[:6]


@dataclass(slots=True)
class Gen2Tag:
    """One tag; it keeps what is written to it.

    ``pc`` is the PC word as stored, ``epc`` the whole EPC memory behind it: what it tells by itself are the words that the PC's length
    names. ``tid`` has 4 to 24 bytes or none. ``rssi`` is the strength at the antenna in the device's own unit, 0..255. ``locked``
    holds banks that need ``access_password``; ``frozen`` those never writable again.
    """

    epc: bytearray
    tid: bytes
    pc: int = -1
    user: bytearray = field(default_factory=lambda: bytearray(USER_WORDS * 2))
    rssi: int = 80
    access_password: int = 0
    kill_password: int = 0
    locked: set[int] = field(default_factory=set)
    frozen: set[int] = field(default_factory=lambda: {TID})
    fast_id: bool = True
    antenna: int = 1
    writes: int = 0

    def __post_init__(self) -> None:
        if len(self.epc) % 2 or not 0 < len(self.epc) <= 62:
            raise ValueError("an EPC has 1 to 31 whole words")
        if len(self.tid) % 2 or len(self.tid) > 24 or len(self.user) % 2 or len(self.user) > 1024:
            raise ValueError("a TID has at most 12 whole words, a user bank at most 512")
        if self.pc < 0:
            self.pc = len(self.epc) // 2 << 11
        if not 0 <= self.pc <= 0xFFFF or (self.pc >> 11) * 2 > len(self.epc):
            raise ValueError("a PC is two bytes, and its length is that of the EPC")
        self.epc += bytes(max(0, EPC_WORDS * 2 - len(self.epc)))

    @property
    def told(self) -> bytes:
        """The EPC that it tells in an inventory."""
        return bytes(self.epc[: (self.pc >> 11) * 2])

    @property
    def key(self) -> str:
        """What this very tag is called here: its TID, else its first EPC is up to the caller."""
        return self.tid.hex().upper()

    def bank(self, number: int) -> bytes:
        """Give a whole bank; the EPC bank begins with the CRC that the chip computes over PC and EPC."""
        if number == RESERVED:
            return self.kill_password.to_bytes(4, "big") + self.access_password.to_bytes(4, "big")
        if number == EPC:
            head = self.pc.to_bytes(2, "big")
            return crc_gen2(head + self.told).to_bytes(2, "big") + head + bytes(self.epc)
        return bytes(self.tid if number == TID else self.user)

    def read(self, number: int, word: int, count: int, password: int = 0) -> bytes:
        """Read words; raises `TagError`."""
        bank = self.bank(number)
        if (word + count) * 2 > len(bank):
            raise TagError(OVERRUN)
        if number == RESERVED and RESERVED in self.locked and password != self.access_password:
            raise TagError(LOCKED)
        return bank[word * 2 : (word + count) * 2]

    def check_write(self, number: int, word: int, count: int, password: int) -> None:
        """Raise `TagError` where these words cannot be written."""
        if number in self.frozen or (number in self.locked and password != self.access_password):
            raise TagError(LOCKED)
        if (word + count) * 2 > len(self.bank(number)):
            raise TagError(OVERRUN)
        if number == EPC and word == 0:
            raise TagError(LOCKED)  # the CRC is the chip's own

    def write_word(self, number: int, word: int, value: bytes) -> None:
        """Store one word (Gen2 writes word by word); the caller has checked. Raises `TagError` for a PC the chip cannot hold."""
        if number == RESERVED:
            raw = bytearray(self.bank(RESERVED))
            raw[word * 2 : word * 2 + 2] = value
            self.kill_password, self.access_password = int.from_bytes(raw[:4], "big"), int.from_bytes(raw[4:], "big")
        elif number == EPC and word == 1:
            if (value[0] >> 3) * 2 > len(self.epc):
                raise TagError(OVERRUN)
            self.pc = int.from_bytes(value, "big")
        elif number == EPC:
            self.epc[word * 2 - 4 : word * 2 - 2] = value
        else:
            self.user[word * 2 : word * 2 + 2] = value
        self.writes += 1

    def state(self) -> dict[str, object]:
        """What stands on it now, for operations."""
        return {
            "tid": self.tid.hex().upper(),
            "pc": f"{self.pc:04X}",
            "epc": self.told.hex().upper(),
            "user": bytes(self.user).hex().upper(),
        }
