"""Reads of the decision path: SELECTs compiled once, and several of them run together at one moment of the database.

A question at a kiosk is answered from a handful of point reads. Through a connection pool and a driver thread each of them cost twenty
times what SQLite needs to find the row, so on SQLite they run where they are asked, on a connection of their own: readers of a WAL wait
for no writer. PostgreSQL runs the same statements in one read-only transaction of its pool.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Select
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.asyncio import AsyncConnection

T = TypeVar("T")
AnySelect = Select[*tuple[Any, ...]]
Rows = Sequence[Any]
"""Rows, each a sequence by position, values as the columns' types give them."""

_BUSY_S = 0.25
"""How long a read waits where SQLite has to recover its WAL, the only moment that stops a reader."""
_CACHE_KIB = 32_768


class Query:
    """A SELECT with named parameters; ``query(org=…)`` asks it with these values.

    One that runs at the spot (``Store.know``) has no IN list of values: such a statement would be another one for each length.
    """

    __slots__ = ("_plain", "statement")

    def __init__(self, statement: AnySelect) -> None:
        self.statement = statement
        self._plain: _Plain | None = None

    def __call__(self, **values: Any) -> Asked:
        return (self, values)

    def plain(self, dialect: Dialect) -> _Plain:
        """The statement as SQLite's driver takes it, compiled at its first use."""
        if self._plain is None:
            self._plain = _compile(self.statement, dialect)
        return self._plain


Asked = tuple[Query, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Need(Generic[T]):
    """Something to know: the queries that find it, and what makes it of their rows (one list of rows for each query)."""

    asked: Sequence[Asked]
    make: Callable[[Sequence[Rows]], T]


@dataclass(frozen=True, slots=True)
class _Plain:
    """A SELECT as text; its parameters by place, constants among them; what turns raw values of some columns into Python's."""

    text: str
    names: tuple[str, ...]
    constants: Mapping[str, Any]
    turns: tuple[tuple[int, Callable[[Any], Any]], ...]

    def run(self, cursor: sqlite3.Cursor, values: Mapping[str, Any]) -> Rows:
        constants = self.constants
        given = tuple([values[name] if name in values else constants[name] for name in self.names])
        rows: list[Any] = cursor.execute(self.text, given).fetchall()
        if not self.turns or not rows:
            return rows
        out = []
        for row in rows:
            turned = list(row)
            for place, turn in self.turns:
                turned[place] = turn(turned[place])
            out.append(turned)
        return out


def _compile(statement: AnySelect, dialect: Dialect) -> _Plain:
    compiled: Any = statement.compile(dialect=dialect)
    turns = []
    for place, column in enumerate(statement.selected_columns):
        turn = column.type.dialect_impl(dialect).result_processor(dialect, None)
        if turn is not None:
            turns.append((place, turn))
    constants = {name: bound.value for name, bound in compiled.binds.items() if not bound.required}
    return _Plain(str(compiled), tuple(compiled.positiontup), constants, tuple(turns))


def told(need: Need[T], found: Sequence[Rows], start: int = 0) -> T:
    """What a need makes of its part of ``found``, which begins at ``start``."""
    return need.make(found[start : start + len(need.asked)])


async def ask(conn: AsyncConnection, need: Need[T]) -> T:
    """Answer one need on a connection that is open already, inside its transaction."""
    return told(need, [(await conn.execute(query.statement, values)).all() for query, values in need.asked])


class LocalReads:
    """SQLite's connection for point reads, used on one thread. Nothing here waits for a writer or for the disk's confirmation."""

    def __init__(self, path: str, dialect: Dialect) -> None:
        self._dialect = dialect
        # rw, because a read-only connection cannot make the WAL's index; query_only keeps it from writing rows
        self._conn = sqlite3.connect(f"file:{_quoted(path)}?mode=rw", uri=True, isolation_level=None, timeout=_BUSY_S)
        self._cursor = self._conn.cursor()
        for pragma in ("query_only=ON", f"cache_size=-{_CACHE_KIB}"):
            self._conn.execute(f"PRAGMA {pragma}")

    def run(self, asked: Sequence[Asked]) -> list[Rows]:
        """The rows of every query, all at one moment. Raises sqlite3.Error."""
        self._cursor.execute("BEGIN")
        try:
            return [query.plain(self._dialect).run(self._cursor, values) for query, values in asked]
        finally:
            self._conn.rollback()  # nothing was written; this lets the moment go, also where SQLite did so itself

    def close(self) -> None:
        """Let go of the database."""
        self._conn.close()


def _quoted(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
