"""The hub's database as two doors: ``write`` (one transaction at a time) and ``read`` (a snapshot).

SQLite runs in WAL with ``synchronous=FULL``, because an application ack follows the commit and the commit must be on disk.
Writers queue on one asyncio lock, so that positions in the event log are given in the order of commits; PostgreSQL takes the
same lock inside the database, for workers in plural.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TypeVar, overload

from sqlalchemy import Table, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect, make_url
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.schema import ScalarElementColumnDefault

from hub.store.connect import make_engine
from hub.store.migrate import upgrade
from hub.store.reads import LocalReads, Need, Rows, told

A = TypeVar("A")
B = TypeVar("B")
_WRITER_LOCK = 0x746A  # PostgreSQL advisory lock: "tj"


class Store:
    """The open database. Make one with ``open``; ``url`` names it for those who need a connection of their own (snapshots)."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_sqlite = make_url(url).get_backend_name() == "sqlite"
        self._writer = make_engine(url, writer=True)
        self._reader = make_engine(url) if self.is_sqlite else self._writer
        moment = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        self._snapshots = self._reader if self.is_sqlite else self._reader.execution_options(**moment)
        self._local: LocalReads | None = None
        self._lock = asyncio.Lock()

    @classmethod
    async def open(cls, url: str) -> Store:
        """Bring the schema up to date and open the database."""
        await upgrade(url)
        return cls(url)

    async def close(self) -> None:
        """Close every connection; what is not committed is rolled back."""
        if self._local is not None:
            self._local.close()
            self._local = None
        await self._writer.dispose()
        if self._reader is not self._writer:
            await self._reader.dispose()

    @property
    def dialect(self) -> Dialect:
        """The database's dialect, with the hub's JSON."""
        return self._reader.dialect

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """One transaction, alone among writers: commits at the end, rolls back where the body raises."""
        async with self._lock, self._writer.begin() as conn:
            if not self.is_sqlite:
                await conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITER_LOCK})
            yield conn

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A read transaction: on SQLite every statement in it sees the same moment."""
        async with self._reader.connect() as conn:
            yield conn

    @overload
    async def know(self, one: Need[A], /) -> A: ...
    @overload
    async def know(self, one: Need[A], other: Need[B], /) -> tuple[A, B]: ...
    async def know(self, *needs: Need[Any]) -> Any:
        """Answer these needs, all from one moment of the database: fresh, nothing is kept from one question to the next.

        For point reads alone. On SQLite they run on the event loop itself, microseconds each where the page is at hand; what walks
        over many rows goes through ``read``. Raises sqlite3.Error, or SQLAlchemyError with PostgreSQL.
        """
        asked = [one for need in needs for one in need.asked]
        if self.is_sqlite:
            found = self._local_reads().run(asked)
        else:
            found = []
            async with self._snapshots.connect() as conn:
                for query, values in asked:
                    rows: Rows = (await conn.execute(query.statement, values)).all()
                    found.append(rows)
        out = []
        start = 0
        for need in needs:
            out.append(told(need, found, start))
            start += len(need.asked)
        return out[0] if len(out) == 1 else tuple(out)

    def _local_reads(self) -> LocalReads:
        if self._local is None:
            self._local = LocalReads(make_url(self.url).database or "", self.dialect)
        return self._local


def insert(conn: AsyncConnection, table: Table) -> Any:
    """A plain INSERT, for ``execute_rows``."""
    return _kept((conn.dialect.name, table.name, (), "plain"), lambda: _insert(conn, table))


def insert_new(conn: AsyncConnection, table: Table) -> Any:
    """INSERT that leaves a row alone where any unique key of it is there already."""
    return _kept((conn.dialect.name, table.name, (), "new"), lambda: _insert(conn, table).on_conflict_do_nothing())


def upsert(conn: AsyncConnection, table: Table, *, keep: Sequence[str] = (), newer: str = "") -> Any:
    """INSERT that replaces the row of the same primary key, the columns ``keep`` excepted.

    With ``newer`` a row is replaced only by one whose column of that name is not smaller.
    """

    def make() -> Any:
        statement = _insert(conn, table)
        primary = [column.name for column in table.primary_key.columns]
        changed = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in (*primary, *keep)}
        where = table.c[newer] <= statement.excluded[newer] if newer else None
        return statement.on_conflict_do_update(index_elements=primary, set_=changed, where=where)

    return _kept((conn.dialect.name, table.name, tuple(keep), f"replace {newer}"), make)


_STATEMENTS: dict[tuple[str, str, tuple[str, ...], str], Any] = {}


def _kept(key: tuple[str, str, tuple[str, ...], str], make: Callable[[], Any]) -> Any:
    if key not in _STATEMENTS:
        _STATEMENTS[key] = make()
    return _STATEMENTS[key]


def _insert(conn: AsyncConnection, table: Table) -> Any:
    return (sqlite if conn.dialect.name == "sqlite" else postgresql).insert(table)


async def execute_rows(conn: AsyncConnection, statement: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Run an INSERT of this module for every row; no rows, no statement. All rows have the same keys.

    On SQLite rows go to the driver as tuples: building SQLAlchemy's parameters costs more than SQLite needs to store them.
    """
    if not rows:
        return
    if conn.dialect.name != "sqlite":
        await conn.execute(statement, list(rows))
        return
    plain = _plain(conn, statement, rows[0])
    full = [{**plain.defaults, **row} for row in rows] if plain.defaults else rows
    values: list[Any] = [plain.pick(row) for row in full]
    if plain.turns:
        for number, picked in enumerate(values):
            turned = list(picked)
            for place, turn in plain.turns:
                if turned[place] is not None:
                    turned[place] = turn(turned[place])
            values[number] = tuple(turned)
    await conn.exec_driver_sql(plain.text, values)


@dataclass(frozen=True, slots=True)
class _Plain:
    """An INSERT as SQLite reads it: its text, what picks its values in order and turns some into SQLite's, constant defaults."""

    statement: Any  # held, so that its id stays its own
    text: str
    pick: Callable[[Mapping[str, Any]], tuple[Any, ...]]
    turns: list[tuple[int, Callable[[Any], Any]]]
    defaults: dict[str, Any]


_PLAIN: dict[tuple[int, tuple[str, ...]], _Plain] = {}


def _plain(conn: AsyncConnection, statement: Any, row: Mapping[str, Any]) -> _Plain:
    key = (id(statement), tuple(row))
    if key not in _PLAIN:
        table: Table = statement.table
        defaults = {
            column.name: column.default.arg
            for column in table.columns
            if column.name not in row and isinstance(column.default, ScalarElementColumnDefault)
        }
        compiled = statement.compile(dialect=conn.dialect, column_keys=[*row, *defaults])
        names = list(compiled.positiontup or ())
        turns = []
        for place, name in enumerate(names):
            turn = table.c[name].type.dialect_impl(conn.dialect).bind_processor(conn.dialect)
            if turn is not None:
                turns.append((place, turn))
        pick = itemgetter(*names) if len(names) > 1 else _one(names[0])
        _PLAIN[key] = _Plain(statement, str(compiled), pick, turns, defaults)
    return _PLAIN[key]


def _one(name: str) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    return lambda row: (row[name],)
