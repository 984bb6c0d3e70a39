"""Frames between STX (02) and ETX (03) as serial RFID cardreaders send them (general knowledge: ID-12, RDM6300 and their kin).

02 DIGITS [CHECK] [CR LF] 03        DIGITS and CHECK are ASCII hex digits; CHECK = two digits, the exclusive-or of the bytes
"""

from __future__ import annotations

from functools import reduce
from typing import Literal

__all__ = ["Check", "StxFramer"]

Check = Literal["none", "xor"]
STX, ETX = 0x02, 0x03
_INSIDE = frozenset(b"0123456789ABCDEFabcdef\r\n ")


class StxFramer:
    """Cuts the digits out of frames of at most ``most`` digits; with ``check`` "xor" the last two digits must agree.

    ``junk`` counts bytes that belong to no frame, ``partial`` frames without an end, ``bad_checks`` frames whose check is wrong.
    """

    __slots__ = ("_buffer", "_check", "_inside", "_most", "bad_checks", "junk", "partial")

    def __init__(self, most: int = 64, *, check: Check = "none") -> None:
        self._most = most
        self._check = check
        self._inside = False
        self._buffer = bytearray()
        self.junk = 0
        self.partial = 0
        self.bad_checks = 0

    @property
    def pending(self) -> bool:
        """Whether a frame has begun."""
        return self._inside

    @property
    def bad(self) -> int:
        """Everything dropped so far."""
        return self.junk + self.partial + self.bad_checks

    def receive(self, chunk: bytes) -> list[bytes]:
        """Take bytes as they came and return the digits of the frames they complete, without check and ends."""
        frames: list[bytes] = []
        for byte in chunk:
            if byte == STX:
                self._drop()  # a frame began before the last one ended
                self._inside = True
            elif not self._inside:
                self.junk += 1
            elif byte == ETX:
                self._end(frames)
            elif byte not in _INSIDE or len(self._buffer) >= self._most + 4:
                self.junk += 1
                self._drop()
            else:
                self._buffer.append(byte)
        return frames

    def idle(self) -> int:
        """Say that the line was silent long enough; gives how many unended frames were dropped (0 or 1)."""
        return self._drop()

    def _drop(self) -> int:
        dropped = int(self._inside)
        self.partial += dropped
        self._inside = False
        self._buffer.clear()
        return dropped

    def _end(self, frames: list[bytes]) -> None:
        digits = bytes(self._buffer).translate(None, b"\r\n ")
        self._inside = False
        self._buffer.clear()
        if self._check == "xor":
            if not _agrees(digits):
                self.bad_checks += 1
                return
            digits = digits[:-2]
        if digits and len(digits) <= self._most:
            frames.append(digits)
        else:
            self.partial += 1


def _agrees(digits: bytes) -> bool:
    if len(digits) < 4 or len(digits) % 2:
        return False
    return reduce(lambda a, b: a ^ b, bytes.fromhex(digits.decode("ascii"))) == 0
