"""The memory of a Gen2 tag over the air: the EPC bank, the user bank, and writes that leave no wrong item behind.

A chip stores word by word, and a tag may be pulled away between two of them. One word is therefore written as it is (a loan changes
one: the AFI is in the PC, the university format's lent bit in the first word of the EPC). More words are written behind a mark:
first the EPC's first word becomes FFFF, which no format begins with, and only when all the rest stands it gets its real value. So
a half-written tag is never taken for an item, by nobody, whenever it turns up again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from drivers.rfid.link import TagRefused
from protocols.iso28560 import TagError, gaoxiao, part4
from protocols.iso28560.uhf import TOGGLE
from protocols.uhf.target import EPC_BANK, TID_BANK, USER_BANK

__all__ = ["MARK", "EpcBank", "Gen2Radio", "Memory", "is_unique", "wants_user"]

MARK = b"\xff\xff"
"""First word of the EPC while more words are being written."""
_UMI = 0x0400
"""Bit of the PC: the user bank holds something."""
_MAX_USER_WORDS = 512


def wants_user(pc: int, epc: bytes) -> bool:
    """Whether the EPC bank says that the user bank holds elements of an item."""
    if pc & TOGGLE:
        return bool(pc & _UMI)
    try:
        return gaoxiao.decode_epc(epc).content != 0
    except TagError:
        return False


@dataclass(slots=True)
class EpcBank:
    """The EPC bank as far as known: the PC word and the EPC memory behind it, of which the tag tells what the PC's length says."""

    pc: int
    memory: bytearray = field(repr=False)

    @property
    def told(self) -> bytes:
        """The EPC that the tag tells, and by which it is addressed."""
        return bytes(self.memory[: (self.pc >> 11) * 2])

    def after(self, word: int, data: bytes) -> EpcBank:
        """The bank once ``data`` stands from ``word`` on (1 = PC)."""
        raw = bytearray(self.pc.to_bytes(2, "big") + self.memory)
        raw[word * 2 - 2 : word * 2 - 2 + len(data)] = data
        return EpcBank(int.from_bytes(raw[:2], "big"), raw[2:])


class Gen2Radio(Protocol):
    """Words of a tag by the EPC it tells now; at most ``chunk`` at once. Raises `TagRefused`, `DeviceOffline`, `PortError`.

    `TagRefused`: NO_TAG = it does not answer now, TOO_SMALL = there is no such memory, LOCKED, WRITE_ERROR = it refused otherwise.
    """

    chunk: int

    async def read_words(self, epc: bytes, bank: int, word: int, count: int) -> bytes:
        """Read ``count`` words (1..chunk) from ``word`` on."""

    async def write_words(self, epc: bytes, bank: int, word: int, data: bytes) -> None:
        """Write at most ``chunk`` words from ``word`` on."""


class Memory:
    """The banks of a tag, addressed by the EPC it tells now; every method raises as `Gen2Radio`."""

    def __init__(self, radio: Gen2Radio) -> None:
        self._radio = radio

    @property
    def step(self) -> int:
        """Bytes that one command can write."""
        return self._radio.chunk * 2

    async def tid(self, epc: bytes) -> bytes:
        """Read the chip's own number, b"" where it has none that is its alone (a model without a serial number)."""
        for words in (6, 4):
            try:
                tid = await self._radio.read_words(epc, TID_BANK, 0, words)
            except TagRefused as refused:
                if refused.reason == "NO_TAG":
                    raise
                continue
            return tid if is_unique(tid) else b""
        return b""

    async def epc_bank(self, epc: bytes) -> EpcBank:
        """Read PC and EPC."""
        raw = await self._read(epc, EPC_BANK, 1, 1 + len(epc) // 2)
        return EpcBank(int.from_bytes(raw[:2], "big"), bytearray(raw[2:]))

    async def user(self, epc: bytes, pc: int, *, whole: bool = False) -> bytes:
        """Read the user bank: as far as the format says it is used, or all of it."""
        data = b""
        chunk = self._radio.chunk
        while chunk and len(data) < _MAX_USER_WORDS * 2:
            try:
                data += await self._radio.read_words(epc, USER_BANK, len(data) // 2, chunk)
            except TagRefused as refused:
                if refused.reason == "NO_TAG":
                    raise
                chunk //= 2  # the bank ends within, or the chip has none
                continue
            if not whole and _is_complete(pc, data):
                break
        return data

    async def epc_memory(self, epc: bytes, words: int) -> bytes:
        """Read so many words of the EPC memory whatever the PC says: what a longer EPC will overwrite."""
        return await self._read(epc, EPC_BANK, 2, words)

    async def user_words(self, epc: bytes, count: int) -> bytes:
        """Read the first ``count`` words of the user bank."""
        return await self._read(epc, USER_BANK, 0, count)

    async def write(self, epc: bytes, bank: int, word: int, data: bytes) -> None:
        """Write words, at most a chunk at a time; only for what does not change the EPC midway."""
        for at in range(0, len(data), self.step):
            await self._radio.write_words(epc, bank, word + at // 2, data[at : at + self.step])

    async def _read(self, epc: bytes, bank: int, word: int, count: int) -> bytes:
        data = b""
        while (left := count - len(data) // 2) > 0:
            data += await self._radio.read_words(epc, bank, word + len(data) // 2, min(left, self._radio.chunk))
        return data


def is_unique(tid: bytes) -> bool:
    """Whether a TID names one chip: it has a serial number behind class, maker and model (ISO 15963: E0 48 bits, E2 by XTID)."""
    if tid[:1] == b"\xe0":
        return any(tid[2:8])
    return len(tid) >= 12 and any(tid[6:12])


def _is_complete(pc: int, data: bytes) -> bool:
    if data[-2:].strip(b"\x00"):
        return False
    try:
        if pc & TOGGLE:
            part4.decode_user_bank(data)
        else:
            gaoxiao.decode_user_bank(data)
    except TagError:
        return not data.strip(b"\x00")
    return True
