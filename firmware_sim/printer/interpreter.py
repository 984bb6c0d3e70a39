"""Reads ESC/POS as a printer does, byte by byte, and puts it on paper (Epson ESC/POS command reference; general knowledge).

Text is GBK in Kanji mode (FS & … FS .), which is how a printer for the Chinese market is delivered, else one of the code pages.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from firmware_sim.printer.paper import PLAIN, Paper, PaperLine, Style

__all__ = ["Interpreter"]

CODE_PAGES = {
    0: "cp437", 2: "cp850", 3: "cp860", 4: "cp863", 5: "cp865", 16: "cp1252", 17: "cp866", 18: "cp852", 19: "cp858",
}  # fmt: skip
ALIGN = ("left", "center", "right")
MAX_BUFFER = 65536
"""Bytes of one unfinished command or waiting for paper; a real printer has 4 to 64 KB."""
_PARAMETERS = {
    b"\x1b!": 1, b"\x1bE": 1, b"\x1bG": 1, b"\x1b-": 1, b"\x1bM": 1, b"\x1ba": 1, b"\x1bt": 1, b"\x1bR": 1, b"\x1b{": 1, b"\x1b3": 1,
    b"\x1bd": 1, b"\x1bJ": 1, b"\x1bV": 1, b"\x1b ": 1, b"\x1bp": 3, b"\x1b$": 2, b"\x1b\\": 2, b"\x1b@": 0, b"\x1b2": 0, b"\x1bi": 0,
    b"\x1bm": 0, b"\x1d!": 1, b"\x1dB": 1, b"\x1db": 1, b"\x1dH": 1, b"\x1dh": 1, b"\x1dw": 1, b"\x1df": 1, b"\x1dL": 2, b"\x1dW": 2,
    b"\x1dr": 1, b"\x1da": 1, b"\x1cC": 1, b"\x1c!": 1, b"\x1c-": 1, b"\x1cW": 1, b"\x1c&": 0, b"\x1c.": 0, b"\x1cS": 2,
}  # fmt: skip
"""Length of the parameters of commands that have a fixed one."""


@dataclass(frozen=True, slots=True)
class _Mode:
    style: Style = PLAIN
    kanji: bool = True
    page: str = "cp437"


class Interpreter:
    """Prints on ``paper``; `answers` is what commands that are answered in their turn have to say since it was taken."""

    def __init__(self, paper: Paper) -> None:
        self.paper = paper
        self.unknown = 0
        """Bytes and commands that no printer knows."""
        self.answers: list[int] = []
        self._buffer = bytearray()
        self._line = bytearray()
        self._mode = _Mode()
        self._code = b""

    def clear(self) -> None:
        """Forget what waits and what is half set, as DLE DC4 8 and a switched-off printer do."""
        self._buffer.clear()
        self._line.clear()
        self._mode = _Mode()
        self._code = b""

    def feed(self, data: bytes, *, stopped: bool = False) -> None:
        """Take bytes; while ``stopped`` (cover open) or without paper they wait."""
        self._buffer += data
        del self._buffer[MAX_BUFFER:]
        while self._buffer and not stopped and not self.paper.out:
            used = self._step()
            if not used:
                return
            del self._buffer[:used]

    @property
    def waiting(self) -> int:
        """Bytes received and not acted upon."""
        return len(self._buffer)

    def _step(self) -> int:
        """Act on what stands first; gives its length, 0 = it is not complete."""
        first = self._buffer[0]
        if first in (0x1B, 0x1C, 0x1D):
            return self._command()
        if first == 0x10:  # a real-time command that was split: its rest comes with the next bytes
            return 0 if len(self._buffer) < 3 else 3
        if first == 0x0A:
            self._print_line()
        elif first == 0x09 or first >= 0x20:
            self._line.append(first)
        elif first not in (0x00, 0x0D, 0x0C):
            self.unknown += 1
        return 1

    def _command(self) -> int:
        name = bytes(self._buffer[:2])
        if len(name) < 2:
            return 0
        if name in (b"\x1dV", b"\x1d(", b"\x1dv", b"\x1b*"):
            return self._long(name)
        count = _PARAMETERS.get(name)
        if count is None:
            self.unknown += 1
            return 2
        if len(self._buffer) < 2 + count:
            return 0
        self._do(name, bytes(self._buffer[2 : 2 + count]))
        return 2 + count

    def _long(self, name: bytes) -> int:
        """Commands whose length stands in them: cut, functions with two length bytes, pictures (skipped)."""
        head = bytes(self._buffer[2:8])
        if name == b"\x1dV":
            if not head or (head[0] in (65, 66) and len(head) < 2):
                return 0
            self._print_line(empty=False)
            self.paper.cut("partial" if head[0] in (1, 49, 66) else "full")
            return 4 if head[0] in (65, 66) else 3
        if len(head) < (3 if name != b"\x1dv" else 6):
            return 0
        if name == b"\x1d(":
            size, start = head[1] | head[2] << 8, 5
        elif name == b"\x1dv":
            size, start = (head[2] | head[3] << 8) * (head[4] | head[5] << 8), 8
        else:
            size, start = (head[1] | head[2] << 8) * (3 if head[0] >= 32 else 1), 5
        if size > MAX_BUFFER - start:
            self.unknown += 1
            return 2
        if len(self._buffer) < start + size:
            return 0
        if name == b"\x1d(" and head[0] == ord("k"):
            self._symbol(bytes(self._buffer[start : start + size]))
        return start + size

    def _symbol(self, body: bytes) -> None:
        """Two-dimensional codes: 31 = QR; 50 stores, 51 prints."""
        if body[:2] == b"\x31\x50":
            self._code = body[3:]
        elif body[:2] == b"\x31\x51":
            self._print_line(empty=False)
            self.paper.hanging.codes.append(self._code.decode("utf-8", "replace"))

    def _do(self, name: bytes, given: bytes) -> None:
        value = given[0] if given else 0
        style = self._mode.style
        if name == b"\x1b@":
            self._line.clear()
            self._mode = _Mode()
        elif name == b"\x1b!":
            size = (2 if value & 0x20 else 1, 2 if value & 0x10 else 1)
            self._style(replace(style, bold=bool(value & 8), size=size))
        elif name in (b"\x1bE", b"\x1bG"):
            self._style(replace(style, bold=bool(value & 1)))
        elif name == b"\x1ba":
            self._style(replace(style, align=ALIGN[value % 48 % 3]))
        elif name == b"\x1d!":
            self._style(replace(style, size=((value >> 4 & 7) + 1, (value & 7) + 1)))
        elif name == b"\x1bt":
            self._mode = replace(self._mode, page=CODE_PAGES.get(value, "cp437"))
        elif name in (b"\x1c&", b"\x1c."):
            self._mode = replace(self._mode, kanji=name == b"\x1c&")
        elif name == b"\x1bd":
            self._print_line(empty=False)
            for _ in range(value):
                self.paper.feed(None)
        elif name in (b"\x1bi", b"\x1bm"):
            self._print_line(empty=False)
            self.paper.cut("full" if name == b"\x1bi" else "partial")
        elif name == b"\x1dr":
            self.answers.append(0x03 if self.paper.near_end else 0x00)

    def _style(self, style: Style) -> None:
        self._mode = replace(self._mode, style=style)

    def _print_line(self, *, empty: bool = True) -> None:
        if self._line or empty:
            text = self._line.decode("gbk" if self._mode.kanji else self._mode.page, "replace")
            self.paper.feed(PaperLine(text, self._mode.style))
        self._line.clear()
