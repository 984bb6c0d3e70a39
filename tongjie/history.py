"""Reads a hub's database into what the checker looks at. Read-only, on a snapshot of its own."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # asyncpg ships no types
import msgspec
from sqlalchemy import create_engine, select
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from consortium.invariants import History, LoggedRow
from consortium.states import Conflict, ItemHistory, Loan, Transit, Visit
from hub.store import schema


class HistoryError(Exception):
    """The history cannot be read; ``code`` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def read_history(url: str) -> History:
    """Everything the checker needs from the hub's database at ``url``; raises HistoryError."""
    try:
        address = make_url(url)
        if address.get_backend_name() == "sqlite":
            return _from_sqlite(Path(address.database or ""))
        if address.get_backend_name() == "postgresql":
            return asyncio.run(_from_postgresql(address.set(drivername="postgresql+asyncpg")))
    except (ArgumentError, SQLAlchemyError, asyncpg.PostgresError, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise HistoryError(
            "CHECK_DATABASE", f"the hub's database cannot be read ({reason}); name it with --data DIR or --db URL"
        ) from error
    except msgspec.MsgspecError as error:
        raise HistoryError(
            "CHECK_STATE", f"the hub's stored state cannot be read ({error}); restore the database from an archive"
        ) from error
    raise HistoryError(
        "CHECK_DATABASE", "a hub's database is sqlite:///FILE or postgresql://USER@HOST/NAME; name it with --db URL"
    )


def _from_sqlite(path: Path) -> History:
    def opened() -> sqlite3.Connection:
        # Read-only, so that a mistyped name makes no file; no BEGIN by the driver, which comes too late for one snapshot.
        return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)

    engine = create_engine("sqlite://", creator=opened, poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        return _read(connection)


async def _from_postgresql(address: URL) -> History:
    engine = create_async_engine(address, poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        return await connection.run_sync(_read)


def _rows(connection: Connection, table: Any) -> list[dict[str, Any]]:
    # Column names are SQLAlchemy's own subclass of str, which msgspec does not take for one.
    return [{str(key): value for key, value in row.items()} for row in connection.execute(select(table)).mappings()]


def _read(connection: Connection) -> History:
    beside = {
        (row["node"], row["epoch"], row["seq"]): (row["salt"], row["srid"])
        for row in _rows(connection, schema.subjects)
    }
    log = []
    for row in connection.execute(select(schema.events).order_by(schema.events.c.pos)).mappings():
        salt, srid = beside.get((row["node"], row["epoch"], row["seq"]), (None, None))
        log.append(LoggedRow(row["node"], row["epoch"], row["seq"], row["body"], row["hash"], row["rid"], salt, srid))
    uids = {row["uid"] for row in connection.execute(select(schema.cards.c.uid)).mappings()}
    secrets = {form for uid in uids for form in (uid.lower(), uid.upper())}
    secrets |= {row["reader_no"] for row in connection.execute(select(schema.readers.c.reader_no)).mappings()}
    return History(
        log=log,
        quarantined=[
            LoggedRow(row["node"], row["epoch"], row["seq"], row["body"], row.get("hash") or "")
            for row in _rows(connection, schema.quarantine)
        ],
        cursors={(row["node"], row["epoch"]): row["upto"] for row in _rows(connection, schema.cursors)},
        states=[msgspec.json.decode(row["history"], type=ItemHistory) for row in _rows(connection, schema.item_state)],
        loans=[_typed(row, Loan, who="rid") for row in _rows(connection, schema.loans)],
        transits=[_typed(row, Transit) for row in _rows(connection, schema.transits)],
        visits=[_typed(row, Visit, who="rid") for row in _rows(connection, schema.visits)],
        # A conflict that later facts dissolved stays as a record; the fold no longer finds it.
        conflicts=[
            _typed(row, Conflict) for row in _rows(connection, schema.conflicts) if row["resolution"] != "facts"
        ],
        bundles={row["version"]: row["body"] for row in _rows(connection, schema.bundles)},
        items={(row["owner"], row["item_no"]): row["owner_branch"] for row in _rows(connection, schema.items)},
        secrets=frozenset(secrets),
    )


def _typed(row: dict[str, Any], kind: type[Any], **renamed: str) -> Any:
    for name, column in renamed.items():
        row[name] = row[column]
    return msgspec.convert(row, type=kind)
