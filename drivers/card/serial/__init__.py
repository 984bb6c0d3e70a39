"""Cardreaders on a serial line that send a card's number by themselves: as a line of text, or between STX and ETX.

The number goes up exactly as it came: as digits ("ascii"), or as the bytes that the digits spell ("raw"). What the number means, byte
order and radix of the same chip at another cardreader, is the card profile's business, not the driver's.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Literal

from drivers.base import Capabilities, CardRead, ConfigurationError, Direction, Driver, Options
from drivers.talker import Bursts, Talker
from protocols.lines import Check, LineFramer, StxFramer

__all__ = ["SerialCardreader", "build"]

Radix = Literal["hex", "dec", "ascii"]
FrameKind = Literal["line", "stx"]
MAX_DIGITS = 64
_DIGITS = {
    "hex": frozenset("0123456789ABCDEFabcdef"),
    "dec": frozenset("0123456789"),
    "ascii": frozenset(map(chr, range(0x21, 0x7F))),
}
LEAST = {"hex": 6, "dec": 6, "ascii": 4}
"""Digits of the shortest number that is believed: a number of three bytes is the shortest that cards have."""
_OPTIONS = frozenset({"frame", "radix", "check", "digits", "prefix", "direction", "same_card_ms", "baudrate"})


class SerialCardreader(Talker):
    """One cardreader.

    ``radix`` "hex": hex digits, told as the bytes they spell (format "raw", high digit first); "dec" and "ascii": told as the digits
    (format "ascii"). ``digits`` is the exact number of digits, None = any from `LEAST` to 64. ``prefix`` is what the cardreader puts in
    front, taken off. The same number again within ``same_card_ms`` is one card that lies there, and is told once.
    """

    kind = "cardserial"
    capabilities = Capabilities(events=frozenset({"CardRead", "DeviceState"}))

    def __init__(
        self,
        device: str,
        url: str,
        *,
        frame: FrameKind = "line",
        radix: Radix = "hex",
        check: Check = "none",
        digits: int | None = None,
        prefix: str = "",
        direction: Direction = "IN",
        same_card_ms: int = 1000,
        baudrate: int = 9600,
        uniform: Callable[[], float] = random.random,
        mono_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        def framer() -> Bursts:
            if frame == "stx":
                return StxFramer(MAX_DIGITS, check=check)
            return LineFramer(MAX_DIGITS + len(prefix), 1)

        super().__init__(device, url, framer=framer, baudrate=baudrate, uniform=uniform, mono_ns=mono_ns)
        self._radix = radix
        self._digits = digits
        self._prefix = prefix
        self._direction: Direction = direction
        self._same_ns = same_card_ms * 1_000_000
        self._before: tuple[str, int] = ("", 0)

    def take(self, piece: bytes, t_mono_ns: int) -> bool:
        """Tell a card; False for what is no number of this cardreader's kind."""
        text = piece.decode("ascii")
        if not text.startswith(self._prefix):
            return False
        text = text.removeprefix(self._prefix)
        if not _DIGITS[self._radix].issuperset(text) or not self._fits(len(text)):
            return False
        if self._radix == "hex" and len(text) % 2:
            return False
        before, self._before = self._before, (text, t_mono_ns)
        if before[0] == text and t_mono_ns - before[1] < self._same_ns:
            return True
        raw, form = (bytes.fromhex(text), "raw") if self._radix == "hex" else (text.encode("ascii"), "ascii")
        self.emit(CardRead(self.device, 0, self._direction, form, len(raw) * 8, raw, t_mono_ns))
        return True

    def _fits(self, count: int) -> bool:
        return count == self._digits if self._digits is not None else LEAST[self._radix] <= count <= MAX_DIGITS


def build(device: str, url: str, options: Options) -> Driver:
    """Make a serial cardreader; options:

    ``frame`` "line" (ended by CR, LF or both) or "stx" (between STX and ETX), ``radix`` "hex", "dec" or "ascii", ``check`` "none" or
    "xor" (stx: two more hex digits), ``digits`` 4..64 (exactly so many; better than any number), ``prefix`` (up to 8 characters),
    ``direction`` "IN", "OUT" or "", ``same_card_ms`` 0..10000 (1000), ``baudrate`` (9600, also in the URL).
    Raises `ConfigurationError` UNKNOWN_OPTION, BAD_OPTION.
    """
    if unknown := set(options) - _OPTIONS:
        raise ConfigurationError("UNKNOWN_OPTION", f"a serial cardreader has no option {', '.join(sorted(unknown))}")
    frame = _choice(options, "frame", ("line", "stx"))
    radix = _choice(options, "radix", ("hex", "dec", "ascii"))
    check = _choice(options, "check", ("none", "xor"))
    direction = _choice(options, "direction", ("IN", "OUT", ""))
    prefix = str(options.get("prefix", ""))
    if len(prefix) > 8 or not (prefix.isascii() and prefix.isprintable()):
        raise ConfigurationError("BAD_OPTION", "prefix is up to 8 printable ASCII characters")
    if frame == "stx" and radix == "ascii":
        raise ConfigurationError("BAD_OPTION", "between STX and ETX stand hex or decimal digits")
    if check == "xor" and (frame, radix) != ("stx", "hex"):
        raise ConfigurationError("BAD_OPTION", "check xor goes with frame stx and radix hex")
    return SerialCardreader(
        device,
        url,
        frame="stx" if frame == "stx" else "line",
        radix="hex" if radix == "hex" else "dec" if radix == "dec" else "ascii",
        check="xor" if check == "xor" else "none",
        digits=_number(options, "digits", 4, MAX_DIGITS) if "digits" in options else None,
        prefix=prefix,
        direction="IN" if direction == "IN" else "OUT" if direction == "OUT" else "",
        same_card_ms=_number(options, "same_card_ms", 0, 10_000, 1000),
        baudrate=_number(options, "baudrate", 300, 4_000_000, 9600),
    )


def _choice(options: Options, name: str, known: tuple[str, ...]) -> str:
    value = str(options.get(name, known[0]))
    if value not in known:
        raise ConfigurationError("BAD_OPTION", f"{name} is one of {', '.join(word or 'nothing' for word in known)}")
    return value


def _number(options: Options, name: str, least: int, most: int, default: int = 0) -> int:
    try:
        value = int(options.get(name, default))
    except ValueError as error:
        raise ConfigurationError("BAD_OPTION", f"{name} is a number") from error
    if not least <= value <= most:
        raise ConfigurationError("BAD_OPTION", f"{name} is {least} to {most}")
    return value
