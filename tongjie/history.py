"""Reads a hub's database into what the checker looks at. Read-only, on a snapshot of its own."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import create_engine, select
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from consortium.invariants import History, LoggedRow
from consortium.states import Conflict, ItemHistory, Loan, Transit, Visit
from hub.store import schema


class HistoryError(Exception):
    """The history cannot be read; ``code`` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


_DRIVERS = {"sqlite+aiosqlite": "sqlite", "postgresql+asyncpg": "postgresql+psycopg"}


def read_history(url: str) -> History:
    """Everything the checker needs from the hub's database at ``url``; raises HistoryError."""
    try:
        address = make_url(url)
        address = address.set(drivername=_DRIVERS.get(address.drivername, address.drivername))
        engine = create_engine(address)
        with engine.connect() as connection, connection.begin():
            return _read(connection)
    except (ArgumentError, SQLAlchemyError, ModuleNotFoundError) as error:
        reason = str(error).splitlines()[0]
        raise HistoryError("CHECK_DATABASE", f"the hub's database cannot be read: {reason}") from error


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
    secrets = {row["uid"] for row in connection.execute(select(schema.cards.c.uid)).mappings()}
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
        conflicts=[_typed(row, Conflict) for row in _rows(connection, schema.conflicts)],
        bundles={row["version"]: row["body"] for row in _rows(connection, schema.bundles)},
        items={(row["owner"], row["item_no"]): row["owner_branch"] for row in _rows(connection, schema.items)},
        secrets=frozenset(secrets),
    )


def _typed(row: dict[str, Any], kind: type[Any], **renamed: str) -> Any:
    for name, column in renamed.items():
        row[name] = row[column]
    return msgspec.convert(row, type=kind)
