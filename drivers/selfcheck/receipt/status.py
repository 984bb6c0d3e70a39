"""What an ESC/POS printer says of itself: DLE EOT n (at once) and GS r 1 (in its turn). Epson ESC/POS command reference; (gk)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

__all__ = [
    "ASK_COVER",
    "ASK_PAPER",
    "ASK_TURN",
    "CANCEL",
    "STATUS_QUESTIONS",
    "Paper",
    "PrinterStatus",
    "is_realtime",
    "is_turn",
]

ASK_COVER = b"\x10\x04\x02"
"""DLE EOT 2: why it is off line."""
ASK_PAPER = b"\x10\x04\x04"
"""DLE EOT 4: the paper sensors."""
STATUS_QUESTIONS = (ASK_COVER, ASK_PAPER)
ASK_TURN = b"\x1dr\x01"
"""GS r 1: paper status again, but answered in its turn: everything sent before has been printed when the answer comes.

An answer of 00 is also what a broken line (RS-232 break: the printer lost power) reads: one answer proves nothing."""
CANCEL = b"\x10\x14\x08\x01\x03\x14\x01\x06\x02\x08"
"""DLE DC4 8: clear the buffers, so that the rest of a broken receipt does not come out when paper is put in."""

Paper = Literal["ok", "near_end", "out", "unknown"]
_FIXED, _FIXED_BITS = 0x93, 0x12
_TURN_ANSWERS = frozenset({0x00, 0x03, 0x0C, 0x0F})
"""Near the end sets bits 0 and 1, the end bits 2 and 3."""


@dataclass(frozen=True, slots=True)
class PrinterStatus:
    """Paper, cover and whether the printer reports an error of its own (cutter, temperature)."""

    paper: Paper = "unknown"
    cover_open: bool = False
    error: bool = False

    def told(self, question: bytes, answer: int) -> PrinterStatus:
        """Give the status after the answer to one of `STATUS_QUESTIONS`."""
        if question == ASK_COVER:
            return replace(self, cover_open=bool(answer & 0x04), error=bool(answer & 0x40))
        paper: Paper = "out" if answer & 0x60 else "near_end" if answer & 0x0C else "ok"
        return replace(self, paper=paper)


def is_realtime(byte: int) -> bool:
    """Whether a byte is an answer to DLE EOT: bits 1 and 4 set, bits 0 and 7 clear; all else on the line is noise."""
    return byte & _FIXED == _FIXED_BITS


def is_turn(byte: int) -> bool:
    """Whether a byte is the answer to GS r 1."""
    return byte in _TURN_ANSWERS
