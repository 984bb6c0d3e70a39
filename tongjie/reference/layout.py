"""Markdown of generated pages: the notice at their head, and tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def head(title: str, *paragraphs: str) -> list[str]:
    """The lines a generated page begins with."""
    lines = ["<!-- Written by `tongjie docs --write docs`. Change the program, not this page. -->", "", f"# {title}"]
    for paragraph in paragraphs:
        lines += ["", paragraph]
    return lines


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table, with an empty line before it."""
    lines = ["", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return lines + [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]


def text(lines: Iterable[str]) -> str:
    """The page as it stands in its file."""
    return "\n".join(lines).rstrip() + "\n"
