"""Rows read once while nothing changes: one borrowing reads its reader and its item some five times each."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

_T = TypeVar("_T")
_MOST = 5_000


class Kept:
    """What was read at the version in force. While a writer is under way nothing is kept: its rows may be in the file already."""

    def __init__(self) -> None:
        self._rows: dict[Any, Any] = {}
        self._writers = 0

    @property
    def still(self) -> bool:
        """Whether nobody is writing; nobody can begin to before the next await."""
        return self._writers == 0

    def get(self, key: tuple[str, ...], read: Callable[[], _T]) -> _T:
        """The row under ``key``, read where it is not kept."""
        if self._writers:
            return read()
        if key in self._rows:
            return cast("_T", self._rows[key])
        found = read()
        if len(self._rows) >= _MOST:
            self._rows.clear()
        self._rows[key] = found
        return found

    def forget(self) -> None:
        """Another file, or none."""
        self._rows.clear()

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """While rows change: what was read before is forgotten, and nothing is kept."""
        self._writers += 1
        self._rows.clear()
        try:
            yield
        finally:
            self._writers -= 1
            self._rows.clear()
