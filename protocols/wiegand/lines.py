"""What Wiegand converters say on RS-485: four ways of putting a Wiegand number on a serial line, both ends, without I/O.

========  ==================================================  =======================================================
dialect   on the line                                         source
========  ==================================================  =======================================================
w         ``[AA,]W26:1F62469`` CR [LF]: width, hex digits     general knowledge; all bits with their parity
hex       ``7B1234`` CR: the number's hex digits, no parity   data sheets of two- and four-port Wiegand-RS232 converters
decimal   ``0008065588`` CR LF: ten digits, no parity         manual of a Wiegand-RS232/Ethernet converter
binary    02 AA LEN BITS DATA… CHECK 03                       general knowledge; CHECK is XOR or sum of AA…DATA
========  ==================================================  =======================================================

AA is the converter's address on a shared line (two hex digits in dialect w); the others have none and are taken as address 0.
A converter of dialect hex or decimal has checked the parity and dropped it; it is put back, so that one card is one bit string.
Such lines carry no check of their own: the number of digits is held to the width, a flipped bit cannot be seen. Prefer the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import xor
from typing import Literal, TypeAlias, get_args

from protocols.frames import BadCheck, FrameError, Framer, Malformed
from protocols.wiegand.bits import (
    MAX_BITS,
    LocalWiegandError,
    WiegandBits,
    WiegandError,
    encode,
    has_parity,
)

__all__ = ["Check", "Dialect", "LineReceiver", "LineSettings", "Reading", "encode_reading"]

Dialect: TypeAlias = Literal["w", "hex", "decimal", "binary"]
Check: TypeAlias = Literal["xor", "sum"]
MAX_LINE = 64
"""Longest line in characters: an address, a width and 128 bits in hex are 40."""
_STX, _ETX = 0x02, 0x03
_W = re.compile(rb"(?:([0-9A-Fa-f]{2}),)?[Ww](\d{1,3}):([0-9A-Fa-f]{1,32})")


@dataclass(frozen=True, slots=True)
class LineSettings:
    """How the converters on a line speak.

    ``bits`` is the width (26, 34 …) behind the digits of dialects hex and decimal, which the line does not tell: with one width
    a line that lost a digit is never another card. ``check`` is the binary dialect's.
    ``parity``: whether widths that carry parity are held to it. Raises `LocalWiegandError`.
    """

    dialect: Dialect = "w"
    bits: int = 34
    check: Check = "xor"
    parity: bool = True

    def __post_init__(self) -> None:
        if self.dialect not in get_args(Dialect) or self.check not in get_args(Check):
            raise LocalWiegandError("the dialect is w, hex, decimal or binary, the check xor or sum")
        if not 4 <= self.bits <= MAX_BITS:
            raise LocalWiegandError(f"a width is 4 to {MAX_BITS} bits")


@dataclass(frozen=True, slots=True)
class Reading:
    """A card at the converter with that address (0..255)."""

    address: int
    bits: WiegandBits


class _Binary:
    """02 AA LEN BITS DATA… CHECK 03; LEN counts BITS and DATA."""

    def __init__(self, check: Check) -> None:
        self._check = check

    def measure(self, head: bytes) -> int:
        if head[0] != _STX:
            return -1
        if len(head) < 3:
            return 0
        return 5 + head[2] if 2 <= head[2] <= 1 + MAX_BITS // 8 else -1

    def decode(self, raw: bytes) -> Reading:
        if _check(raw[1:-2], self._check) != raw[-2]:
            raise BadCheck("the check byte is wrong")
        if raw[-1] != _ETX:
            raise Malformed("the frame does not end in 03")
        try:
            return Reading(raw[1], WiegandBits(raw[3], raw[4:-2]))
        except WiegandError as error:
            raise Malformed(str(error)) from error


def _check(data: bytes, kind: Check) -> int:
    return reduce(xor, data, 0) if kind == "xor" else sum(data) & 0xFF


class LineReceiver:
    """Cuts a serial line into readings, whatever the splits and the noise.

    ``readings`` counts cards, ``bad_frames`` lines or frames that make no sense, ``bad_parity`` sound ones whose parity was wrong:
    none of these is ever a card.
    """

    def __init__(self, settings: LineSettings) -> None:
        self._settings = settings
        self._framer = Framer(_Binary(settings.check), 64) if settings.dialect == "binary" else None
        self._line = bytearray()
        self._overlong = False
        self.readings = self.bad_parity = self._bad_lines = 0

    @property
    def bad_frames(self) -> int:
        """Lines and frames that made no sense; a run of noise between binary frames counts once per false start."""
        return self._bad_lines + (self._framer.bad_checks if self._framer else 0)

    @property
    def pending(self) -> bool:
        """Whether something has begun and is not complete."""
        return bool(self._line or self._overlong or (self._framer and self._framer.pending))

    def receive(self, chunk: bytes) -> list[Reading]:
        """Take bytes as they came; gives the cards they complete."""
        if self._framer is not None:
            before = self._framer.skipped
            found = self._framer.receive(chunk)
            self._bad_lines += self._framer.skipped > before
            return self._sound(found)
        readings = []
        for byte in chunk:
            if byte in b"\r\n":
                readings += self._end_of_line()
            elif len(self._line) < MAX_LINE:
                self._line.append(byte)
            else:
                self._overlong = True
        return self._sound(readings)

    def idle(self) -> list[Reading]:
        """Say that the line has been quiet: what is incomplete stays so, and is counted."""
        if self._framer is not None:
            self._bad_lines += self._framer.pending > 0
            return self._sound(self._framer.idle())
        if self.pending:
            self._bad_lines += 1
            self._line.clear()
            self._overlong = False
        return []

    def _end_of_line(self) -> list[Reading]:
        line, overlong = bytes(self._line), self._overlong
        self._line.clear()
        self._overlong = False
        if not line and not overlong:
            return []
        try:
            if overlong:
                raise Malformed("the line is too long")
            return [_PARSERS[self._settings.dialect](line, self._settings)]
        except (FrameError, WiegandError, LocalWiegandError):
            self._bad_lines += 1
            return []

    def _sound(self, readings: list[Reading]) -> list[Reading]:
        good = []
        for reading in readings:
            if self._settings.parity and has_parity(reading.bits.bits) and not reading.bits.parity_ok():
                self.bad_parity += 1
            else:
                good.append(reading)
        self.readings += len(good)
        return good


def _parse_w(line: bytes, _: LineSettings) -> Reading:
    found = _W.fullmatch(line)
    if found is None:
        raise Malformed("not a line of this dialect")
    address, width, digits = int(found[1] or b"0", 16), int(found[2]), found[3]
    # exactly the digits of that width: a line that lost one must not become another card
    if len(digits) != (width + 3) // 4:
        raise Malformed("the digits do not hold so many bits")
    return Reading(address, WiegandBits.from_int(int(digits, 16), width))


def _parse_hex(line: bytes, settings: LineSettings) -> Reading:
    if len(line) != _hex_digits(settings.bits) or not re.fullmatch(rb"[0-9A-Fa-f]+", line):
        raise Malformed("not a line of this dialect")
    return Reading(0, encode(int(line, 16), settings.bits))


def _parse_decimal(line: bytes, settings: LineSettings) -> Reading:
    if len(line) != _decimal_digits(settings.bits) or not re.fullmatch(rb"[0-9]+", line):
        raise Malformed("not a line of this dialect")
    return Reading(0, encode(int(line), settings.bits))


def _hex_digits(bits: int) -> int:
    return (bits - 2 + 3) // 4


def _decimal_digits(bits: int) -> int:
    """Ten digits as the manual has them, more where the number needs more."""
    return max(10, len(str((1 << (bits - 2)) - 1)))


_PARSERS: dict[str, Callable[[bytes, LineSettings], Reading]] = {
    "w": _parse_w,
    "hex": _parse_hex,
    "decimal": _parse_decimal,
}


def encode_reading(reading: Reading, settings: LineSettings) -> bytes:
    """What a converter says for a card; raises `LocalWiegandError` where the dialect cannot say it."""
    bits = reading.bits
    if settings.dialect == "w":
        digits = (bits.bits + 3) // 4
        return f"{reading.address:02X},W{bits.bits}:{bits.value():0{digits}X}\r\n".encode()
    if settings.dialect == "binary":
        body = bytes((reading.address, 1 + len(bits.raw), bits.bits)) + bits.raw
        return bytes((_STX,)) + body + bytes((_check(body, settings.check), _ETX))
    if not bits.parity_ok():
        raise LocalWiegandError("such a converter says nothing for a card with wrong parity")
    if bits.bits != settings.bits:
        raise LocalWiegandError(f"these converters speak of {settings.bits} bits")
    if settings.dialect == "hex":
        return f"{bits.number():0{_hex_digits(bits.bits)}X}\r".encode()
    return f"{bits.number():0{_decimal_digits(bits.bits)}d}\r\n".encode()
