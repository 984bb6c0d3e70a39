"""A receipt as ESC/POS bytes, by python-escpos; Chinese as GBK in Kanji mode, which python-escpos does not know.

FS & switches Kanji mode on: two bytes from 81 40 are one character, ASCII stays ASCII (借书 = BDE8CAE9). What the encoding
cannot say becomes "?" and is counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from drivers.base import Receipt, ReceiptLine

__all__ = ["CODE_PAGES", "Cut", "Rendered", "render"]

Cut = Literal["full", "partial", "none"]
CODE_PAGES = {
    "cp437": 0, "cp850": 2, "cp860": 3, "cp863": 4, "cp865": 5, "cp1252": 16, "cp866": 17, "cp852": 18, "cp858": 19,
}  # fmt: skip
"""Code pages by ESC t number, as Epson and nearly everybody has them; "gbk" needs none."""
_KANJI_ON, _KANJI_OFF = b"\x1c&", b"\x1c."
QR_SIZE = 6
"""Dots a module: 0.75 mm at 203 dpi, which any telephone reads."""
_NO_CONTROL = dict.fromkeys((*range(32), 127), "?")


@dataclass(frozen=True, slots=True)
class Rendered:
    """The bytes, and how many characters became "?"."""

    data: bytes
    replaced: int


def render(receipt: Receipt, *, encoding: str = "gbk", cut: Cut = "full") -> Rendered:
    """Make the bytes; ``encoding`` is "gbk" or one of `CODE_PAGES`. Slow the first time: python-escpos loads its printer profiles."""
    from escpos.printer import Dummy

    printer: Any = Dummy()
    printer.hw("INIT")
    if encoding == "gbk":
        printer._raw(_KANJI_ON)
    else:
        printer._raw(_KANJI_OFF + b"\x1bt" + bytes((CODE_PAGES[encoding],)))
    replaced = 0
    for line in receipt.lines:
        replaced += _line(printer, line, encoding)
    printer.set(align="center", bold=False, normal_textsize=True)
    if receipt.qr:
        printer.qr(receipt.qr, size=QR_SIZE, native=True)
        printer._raw(b"\n")
    if cut == "none":
        printer._raw(b"\n\n\n\n")
    else:
        printer.cut(mode="FULL" if cut == "full" else "PART")
    return Rendered(bytes(printer.output), replaced)


def _line(printer: Any, line: ReceiptLine, encoding: str) -> int:
    printer.set(align=line.align, bold=line.bold, custom_size=True, width=line.size, height=line.size)
    text = line.text.translate(_NO_CONTROL)  # a title must not be able to command the printer
    raw = text.encode(encoding, "replace")
    printer._raw(raw + b"\n")
    return raw.count(b"?") - line.text.count("?")
