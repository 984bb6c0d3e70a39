"""Barcode and QR scanners on a serial line (RS-232 or USB in its serial mode), each code ended by CR, LF or both.

A scanner that plays a keyboard ("wedge") is excluded on purpose: what it types goes to whatever window has the focus, cannot be told
from a person's typing, comes without a time, a device or an error, and on a kiosk it types card numbers into the page. Every scanner
that can be a wedge can be told to be serial by a code in its manual.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from typing import Literal

from drivers.base import Capabilities, CodeScanned, ConfigurationError, Driver, Options
from drivers.talker import Talker
from protocols.lines import LineFramer

__all__ = ["BarcodeScanner", "build"]

MAX_CODE = 512
"""Characters of a code; a QR code with a link has about a hundred."""
Encoding = Literal["ascii", "utf-8"]
_AIM = re.compile(r"\][A-Za-z][0-9A-Za-z]")
"""Symbology identifier in front of the code (AIM, ISO/IEC 15424): "]", a letter for the symbology, a modifier."""
_OPTIONS = frozenset({"prefix", "suffix", "aim", "encoding", "min_chars", "baudrate"})


class BarcodeScanner(Talker):
    """One scanner; ``prefix`` and ``suffix`` are what it is set to put around a code: they are taken off, and a code
    without them is refused.

    With ``aim`` a symbology identifier in front is taken off and thrown away. ``least`` is the number of characters of the shortest
    code that is believed: without a check value a short one is soon made of noise.
    """

    kind = "barcode"
    capabilities = Capabilities(events=frozenset({"CodeScanned", "DeviceState"}))

    def __init__(
        self,
        device: str,
        url: str,
        *,
        prefix: str = "",
        suffix: str = "",
        aim: bool = True,
        encoding: Encoding = "ascii",
        least: int = 4,
        baudrate: int = 9600,
        uniform: Callable[[], float] = random.random,
        mono_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        around = len((prefix + suffix).encode("utf-8")) + 3

        def framer() -> LineFramer:
            most = MAX_CODE * (4 if encoding == "utf-8" else 1)
            return LineFramer(most + around, 1, high_bytes=encoding == "utf-8")

        super().__init__(device, url, framer=framer, baudrate=baudrate, uniform=uniform, mono_ns=mono_ns)
        self._prefix = prefix
        self._suffix = suffix
        self._aim = aim
        self._encoding = encoding
        self._least = least

    def take(self, piece: bytes, t_mono_ns: int) -> bool:
        """Tell a code; False for what is not the encoding, lacks prefix or suffix, or is too short or long."""
        try:
            text = piece.decode(self._encoding)
        except UnicodeDecodeError:
            return False
        if not (text.startswith(self._prefix) and text.endswith(self._suffix)):
            return False
        text = text.removeprefix(self._prefix).removesuffix(self._suffix)
        if self._aim and _AIM.match(text):
            text = text[3:]
        if not self._least <= len(text) <= MAX_CODE or not text.isprintable():
            return False
        self.emit(CodeScanned(self.device, text, t_mono_ns))
        return True


def build(device: str, url: str, options: Options) -> Driver:
    """Make a scanner; options:

    ``prefix``, ``suffix`` (up to 16 characters the scanner is set to add), ``aim`` (true: a symbology identifier is taken off),
    ``encoding`` "ascii" or "utf-8", ``min_chars`` 1..64 (4), ``baudrate`` (9600, also in the URL).
    Raises `ConfigurationError` UNKNOWN_OPTION, BAD_OPTION.
    """
    if unknown := set(options) - _OPTIONS:
        raise ConfigurationError("UNKNOWN_OPTION", f"a barcode scanner has no option {', '.join(sorted(unknown))}")
    prefix, suffix = str(options.get("prefix", "")), str(options.get("suffix", ""))
    if len(prefix) > 16 or len(suffix) > 16 or not (prefix + suffix).isprintable():
        raise ConfigurationError("BAD_OPTION", "prefix and suffix are up to 16 printable characters")
    encoding = options.get("encoding", "ascii")
    if encoding not in ("ascii", "utf-8"):
        raise ConfigurationError("BAD_OPTION", "encoding is ascii or utf-8")
    aim = options.get("aim", True)
    if aim not in (True, False, "true", "false"):
        raise ConfigurationError("BAD_OPTION", "aim is true or false")
    try:
        least, baudrate = int(options.get("min_chars", 4)), int(options.get("baudrate", 9600))
    except ValueError as error:
        raise ConfigurationError("BAD_OPTION", "min_chars and baudrate are numbers") from error
    if not 1 <= least <= 64:
        raise ConfigurationError("BAD_OPTION", "min_chars is 1 to 64")
    return BarcodeScanner(
        device,
        url,
        prefix=prefix,
        suffix=suffix,
        aim=aim in (True, "true"),
        encoding="utf-8" if encoding == "utf-8" else "ascii",
        least=least,
        baudrate=baudrate,
    )
