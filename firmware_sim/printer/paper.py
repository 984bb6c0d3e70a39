"""What stands on the paper: the text, its looks, codes and cuts that a stream of ESC/POS commands leaves behind."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["PLAIN", "Paper", "PaperLine", "Printed", "Style"]

KEEP = 100
"""Receipts remembered."""


@dataclass(frozen=True, slots=True)
class Style:
    """How text is printed: ``size`` is (width, height), 1 or more times the normal one."""

    bold: bool = False
    align: str = "left"
    size: tuple[int, int] = (1, 1)


PLAIN = Style()


@dataclass(frozen=True, slots=True)
class PaperLine:
    """One printed line and the style of its last character."""

    text: str
    style: Style


@dataclass(slots=True)
class Printed:
    """One piece of paper up to its cut; ``cut`` "full", "partial" or "" (torn off, not cut)."""

    lines: list[PaperLine] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    cut: str = ""

    @property
    def text(self) -> str:
        """The lines, without what is empty at the end."""
        return "\n".join(line.text for line in self.lines).rstrip("\n")

    def told(self) -> dict[str, object]:
        """The whole piece as plain data."""
        looks = [
            {"text": line.text, "bold": line.style.bold, "align": line.style.align, "size": list(line.style.size)}
            for line in self.lines
        ]
        return {"text": self.text, "lines": looks, "codes": list(self.codes), "cut": self.cut}


@dataclass(slots=True)
class Paper:
    """The roll: ``left`` lines until it is out (None = never), and the pieces cut off it."""

    left: int | None = None
    near_end: bool = False
    pieces: list[Printed] = field(default_factory=list)
    hanging: Printed = field(default_factory=Printed)

    @property
    def out(self) -> bool:
        """Whether there is none left."""
        return self.left == 0

    def feed(self, line: PaperLine | None) -> None:
        """Print a line, or feed an empty one."""
        if line is not None:
            self.hanging.lines.append(line)
        if self.left:
            self.left -= 1

    def cut(self, how: str) -> None:
        """Cut what hangs out of the printer."""
        self.hanging.cut = how
        self.pieces = [*self.pieces, self.hanging][-KEEP:]
        self.hanging = Printed()

    def take(self) -> list[Printed]:
        """Take the pieces away, and tear off what hangs out."""
        if self.hanging.lines or self.hanging.codes:
            self.cut("")
        taken, self.pieces = self.pieces, []
        return taken
