"""The hub's database as two doors: ``write`` (one transaction at a time) and ``read`` (a snapshot).

SQLite runs in WAL with ``synchronous=FULL``, because an application ack follows the commit and the commit must be on disk.
Writers queue on one asyncio lock, so that positions in the event log are given in the order of commits; PostgreSQL takes the
same lock inside the database, for workers in plural.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Table, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.store.connect import make_engine
from hub.store.migrate import upgrade

_WRITER_LOCK = 0x746A  # PostgreSQL advisory lock: "tj"


class Store:
    """The open database. Make one with ``open``; ``url`` names it for those who need a connection of their own (snapshots)."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_sqlite = make_url(url).get_backend_name() == "sqlite"
        self._writer = make_engine(url, writer=True)
        self._reader = make_engine(url) if self.is_sqlite else self._writer
        self._lock = asyncio.Lock()

    @classmethod
    async def open(cls, url: str) -> Store:
        """Bring the schema up to date and open the database."""
        await upgrade(url)
        return cls(url)

    async def close(self) -> None:
        """Close every connection; what is not committed is rolled back."""
        await self._writer.dispose()
        if self._reader is not self._writer:
            await self._reader.dispose()

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


def upsert(conn: AsyncConnection, table: Table, *, keep: Sequence[str] = (), newer: str = "") -> Any:
    """INSERT that replaces the row of the same primary key, the columns ``keep`` excepted; for ``execute(…, rows)``.

    With ``newer`` a row is replaced only by one whose column of that name is not smaller.
    """
    key = (conn.dialect.name, table.name, tuple(keep), newer)
    if key not in _STATEMENTS:
        statement = _insert(conn, table)
        primary = [column.name for column in table.primary_key.columns]
        changed = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in (*primary, *keep)}
        where = table.c[newer] <= statement.excluded[newer] if newer else None
        _STATEMENTS[key] = statement.on_conflict_do_update(index_elements=primary, set_=changed, where=where)
    return _STATEMENTS[key]


def insert_new(conn: AsyncConnection, table: Table) -> Any:
    """INSERT that leaves a row alone where any unique key of it is there already."""
    key = (conn.dialect.name, table.name, (), "-")
    if key not in _STATEMENTS:
        _STATEMENTS[key] = _insert(conn, table).on_conflict_do_nothing()
    return _STATEMENTS[key]


def _insert(conn: AsyncConnection, table: Table) -> Any:
    return (sqlite if conn.dialect.name == "sqlite" else postgresql).insert(table)


_STATEMENTS: dict[tuple[str, str, tuple[str, ...], str], Any] = {}


async def execute_rows(conn: AsyncConnection, statement: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Run a statement for every row; no rows, no statement."""
    if rows:
        await conn.execute(statement, list(rows))
