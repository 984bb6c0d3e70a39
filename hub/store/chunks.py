"""Long lists of keys in pieces that every database takes as bound parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

CHUNK = 1_000
"""Keys in one statement; two parameters a key stay far below SQLite's and PostgreSQL's 32,766."""


def chunks(keys: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """The keys in order, at most ``size`` at a time."""
    for start in range(0, len(keys), size):
        yield keys[start : start + size]
