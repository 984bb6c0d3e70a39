"""A hub's memory as the checker reads it: from its database or from an export, row by row, at one moment, without changing anything."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from itertools import starmap
from operator import itemgetter
from pathlib import Path
from typing import Any, Generic, TypeVar

import asyncpg  # type: ignore[import-untyped]  # asyncpg ships no types
import msgspec
from sqlalchemy import ColumnElement, Select, Table, and_, case, create_engine, literal, null, select
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from consortium.events import ITEM_KINDS, VISIT_KINDS, Kind
from consortium.invariants import Charge, History, ItemRows, LoggedRow, VisitorRows
from consortium.states import Conflict, ItemHistory, Loan, Transit, Visit
from hub.store import schema
from tongjie.logfile import LogFileError, load

T = TypeVar("T")
Key = tuple[str, str]
_AT_ONCE = 2_000
_ERASED = "erased:"
_ITEMS = [kind.value for kind in ITEM_KINDS]
_VISITS = [kind.value for kind in VISIT_KINDS]


class HistoryError(Exception):
    """The history cannot be read; ``code`` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def with_log(url: str, use: Callable[[HubLog], T]) -> T:
    """What ``use`` makes of the hub's database at ``url``, all of it as it stood at one moment. Raises HistoryError."""
    return with_connection(url, lambda connection: _streamed(lambda: use(HubLog(connection))))


def _streamed(use: Callable[[], T]) -> T:
    """Run with the collector of reference cycles called seldom: a stream of rows makes none, and looking for them costs a sixth."""
    usual = gc.get_threshold()
    gc.set_threshold(200_000, *usual[1:])
    try:
        return use()
    finally:
        gc.set_threshold(*usual)


def with_file(path: Path, use: Callable[[HubLog], T]) -> T:
    """The same of an export (``tongjie log export``). Raises HistoryError."""
    return with_exported(path, lambda connection: _streamed(lambda: use(HubLog(connection, vault=False))))


def with_exported(path: Path, use: Callable[[Connection], T]) -> T:
    """What ``use`` makes of a connection on an export, which is first sorted into a file of its own. Raises HistoryError."""
    with tempfile.TemporaryDirectory(prefix="tongjie-log-") as folder:
        database = Path(folder) / "log.sqlite"
        try:
            load(path, database)
        except LogFileError as error:
            raise HistoryError(error.code, str(error)) from error
        except (OSError, sqlite3.Error) as error:
            reason = (isinstance(error, OSError) and error.strerror) or _reason(error)
            raise HistoryError("LOG_FILE", f"the export cannot be read ({reason}); name one with --log FILE") from error
        return with_connection(f"sqlite:///{database}", use)


def read_history(url: str) -> History:
    """Everything of the hub's database at ``url`` in lists, for logs that fit in memory. Raises HistoryError."""
    return with_log(url, _listed)


def _listed(log: HubLog) -> History:
    items = list(log.by_item())
    return History(
        log=sorted(log.rows(), key=lambda row: row.pos),
        quarantined=list(log.quarantine()),
        cursors=log.cursors,
        states=[one.state for one in items if one.state is not None],
        loans=[loan for one in items for loan in one.loans],
        transits=[transit for one in items for transit in one.transits],
        visits=[visit for one in log.by_visitor() for visit in one.visits],
        conflicts=[conflict for one in items for conflict in one.conflicts],
        settled={name for one in items for name in one.settled},
        bundles=log.bundles,
        items={(one.owner, one.item_no): one.owner_branch for one in items if one.owner_branch is not None},
        secrets=log.secrets,
        sealed=log.sealed,
        policy_keys=log.policy_keys,
        charges=list(log.charges),
    )


def with_connection(url: str, use: Callable[[Connection], T]) -> T:
    """What ``use`` makes of a read-only connection on a snapshot of the database. Raises HistoryError."""
    try:
        address = make_url(url)
        if address.get_backend_name() == "sqlite":
            return _on_sqlite(Path(address.database or ""), use)
        if address.get_backend_name() == "postgresql":
            return asyncio.run(_on_postgresql(address.set(drivername="postgresql+asyncpg"), use))
    except (ArgumentError, SQLAlchemyError, asyncpg.PostgresError, OSError) as error:
        raise HistoryError(
            "CHECK_DATABASE",
            f"the hub's database cannot be read ({_reason(error)}); name it with --data DIR or --db URL",
        ) from error
    except msgspec.MsgspecError as error:
        raise HistoryError(
            "CHECK_STATE", f"the hub's stored state cannot be read ({error}); restore the database from an archive"
        ) from error
    raise HistoryError(
        "CHECK_DATABASE", "a hub's database is sqlite:///FILE or postgresql://USER@HOST/NAME; name it with --db URL"
    )


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _on_sqlite(path: Path, use: Callable[[Connection], T]) -> T:
    def opened() -> sqlite3.Connection:
        # Read-only, so that a mistyped name makes no file; no BEGIN by the driver, which comes too late for one snapshot.
        return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)

    engine = create_engine("sqlite://", creator=opened, poolclass=NullPool, json_deserializer=msgspec.json.decode)
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        return use(connection)


async def _on_postgresql(address: URL, use: Callable[[Connection], T]) -> T:
    engine = create_async_engine(address, poolclass=NullPool, json_deserializer=msgspec.json.decode)
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        return await connection.run_sync(use)


_E = schema.events.c
_ROW = (_E.node, _E.epoch, _E.seq, _E.body, _E.hash, _E.rid)
_BARE = (_E.node, _E.epoch, _E.seq, _E.body, literal(""), _E.rid, null(), null(), _E.pos)
"""A row without its hash and what stands beside it: nobody asks for these twice."""

_BESIDE = schema.events.outerjoin(
    schema.subjects,
    and_(_E.node == schema.subjects.c.node, _E.epoch == schema.subjects.c.epoch, _E.seq == schema.subjects.c.seq),
)


class HubLog:
    """A hub's database as a ``consortium.invariants.Log``: rows come from the server as they are looked at.

    ``vault`` False: the database is an export's, which has no vault to know chip and reader numbers from. Raises msgspec's errors for
    projections that cannot be read.
    """

    def __init__(self, connection: Connection, *, vault: bool = True) -> None:
        self._connection = connection
        self._vault = vault
        self._exact = connection.dialect.name == "postgresql"
        self.totals: dict[tuple[str, str, str], int] | None = None  # the hub has no analytics store
        c = schema.cursors.c
        self.cursors: dict[Key, int] = {
            (node, epoch): upto for node, epoch, upto in self._stream(select(c.node, c.epoch, c.upto))
        }
        b = schema.bundles.c
        self.bundles: dict[int, str] = dict(tuple(row) for row in self._stream(select(b.version, b.body)))
        self.sealed: dict[int, str] = {
            version: text for version, text in self._stream(select(b.version, b.sealed)) if text is not None
        }
        k = schema.policy_keys.c
        self.policy_keys: dict[str, str] = dict(tuple(row) for row in self._stream(select(k.key_id, k.public)))

    @property
    def secrets(self) -> frozenset[str] | None:
        """Chip numbers, as they are and with their bytes turned round, and reader numbers."""
        if not self._vault:
            return None
        found: set[str] = set()
        for (uid,) in self._stream(select(schema.cards.c.uid)):
            low = uid.lower()
            found.add(low)
            found.add("".join(reversed([low[at : at + 2] for at in range(0, len(low), 2)])))
        found.update(number for (number,) in self._stream(select(schema.readers.c.reader_no)))
        return frozenset(found)

    @property
    def charges(self) -> Iterator[Charge]:
        """The charge ledger, in the order it was booked."""
        c = schema.charges.c
        return (Charge(*row) for row in self._stream(select(c.loan, c.cause, c.amount, c.pos).order_by(c.id)))

    def rows(self) -> Iterator[LoggedRow]:
        """The log by node, epoch and seq."""
        s = schema.subjects.c
        query = select(*_ROW, s.salt, s.srid, _E.pos).select_from(_BESIDE).order_by(_E.node, _E.epoch, _E.seq)
        return starmap(LoggedRow, self._stream(query))

    def quarantine(self) -> Iterator[LoggedRow]:
        """What came and could not enter. A fork's other event is its code's affair: the seq itself is in the log."""
        q = schema.quarantine.c
        query = select(q.node, q.epoch, q.seq, q.body, q.hash).order_by(q.node, q.epoch, q.seq, q.id)
        return (LoggedRow(row[0], row[1], row[2], row[3], row[4] or "") for row in self._stream(query))

    def corrections(self) -> Iterator[LoggedRow]:
        """Rows of CLOCK_CORRECTED events."""
        query = select(*_BARE).where(schema.IS_RARE, _E.kind == Kind.CLOCK_CORRECTED.value)
        return starmap(LoggedRow, self._stream(query))

    def by_item(self) -> Iterator[ItemRows]:
        """Item by item: five queries in the order of the key, read side by side."""
        e, i, st = _E, schema.items.c, schema.item_state.c
        states = select(st.owner, st.item_no, st.history, i.owner_branch).select_from(
            schema.item_state.outerjoin(schema.items, and_(st.owner == i.owner, st.item_no == i.item_no))
        )
        events = select(e.owner, e.item_no, *_BARE).where(e.kind.in_(_ITEMS), e.owner.is_not(None))
        conflicts = schema.conflicts
        open_or_settled = conflicts.c.resolution.is_(None) | (conflicts.c.resolution != "facts")
        streams = [
            self._by_key(states, st.owner, st.item_no),
            self._by_key(events, e.owner, e.item_no),
            self._rows_of(schema.loans),
            self._rows_of(schema.transits),
            # A conflict that later facts dissolved stays as a record; the fold no longer finds it.
            self._rows_of(conflicts, open_or_settled),
        ]
        for key, (found, logged, loans, transits, disputes) in _side_by_side(streams):
            one = ItemRows(*key)
            for row in found:
                one.state = msgspec.json.decode(row[2], type=ItemHistory)
                one.owner_branch = row[3]
            one.rows = [LoggedRow(*values) for values in map(_after_key, logged)]
            one.loans = [_LOAN(row) for row in loans]
            one.transits = [_TRANSIT(row) for row in transits]
            for row in disputes:
                conflict = _CONFLICT(row)
                one.conflicts.append(conflict)
                if row.state == "RESOLVED":
                    one.settled.add(conflict.id)
            yield one

    def by_visitor(self) -> Iterator[VisitorRows]:
        """Reader by reader and branch; those whose identity was erased come first, together."""
        v = schema.visits.c
        erased: ColumnElement[Any] = case((v.rid.like(f"{_ERASED}%"), ""), else_=v.rid)
        who: ColumnElement[Any] = case((_E.rid.is_(None), ""), else_=_E.rid)
        events = select(who.label("who"), _E.branch, *_BARE).where(_E.kind.in_(_VISITS))
        visits = select(erased.label("who"), v.branch.label("at"), *v)
        streams = [self._by_key(events, who, _E.branch), self._by_key(visits, erased, v.branch)]
        for (rid, branch), (logged, stays) in _side_by_side(streams):
            yield VisitorRows(
                rid,
                branch,
                [LoggedRow(*values) for values in map(_after_key, logged)],
                [_VISIT(row) for row in stays],
            )

    def _stream(self, query: Select[Any]) -> Iterator[Any]:
        with self._connection.execute(query.execution_options(yield_per=_AT_ONCE)) as result:
            for part in result.partitions():
                yield from part

    def _rows_of(self, table: Any, where: ColumnElement[bool] | None = None) -> Iterator[Any]:
        query = select(table.c.owner.label("o"), table.c.item_no.label("n"), *table.c)
        return self._by_key(query if where is None else query.where(where), table.c.owner, table.c.item_no)

    def _by_key(self, query: Select[Any], first: ColumnElement[Any], second: ColumnElement[Any]) -> Iterator[Any]:
        # Streams are merged by comparing keys here, so the server has to sort as Python does: by code point.
        order = (first.collate("C"), second.collate("C")) if self._exact else (first, second)
        return self._stream(query.order_by(*order))


_first_two = itemgetter(0, 1)
_after_key = itemgetter(slice(2, None))


def _side_by_side(streams: list[Iterator[Any]]) -> Iterator[tuple[Key, list[list[Any]]]]:
    """Rows of several streams, each sorted by their first two columns, put together by these."""
    heads = [next(stream, None) for stream in streams]
    keys = [None if head is None else _first_two(head) for head in heads]
    while True:
        waiting = [key for key in keys if key is not None]
        if not waiting:
            return
        key = min(waiting)
        parts: list[list[Any]] = []
        for at, stream in enumerate(streams):
            part: list[Any] = []
            while keys[at] == key:
                part.append(heads[at])
                head = heads[at] = next(stream, None)
                keys[at] = None if head is None else _first_two(head)
            parts.append(part)
        yield key, parts


class _Maker(Generic[T]):
    """Makes values of a kind from rows of a table that have two columns before the table's own."""

    def __init__(self, kind: type[T], table: Table) -> None:
        # Column names are SQLAlchemy's own subclass of str, which msgspec does not take for one. A reader is ``who`` in the domain.
        self._names = ["", "", *(_WHO.get(str(column.name), str(column.name)) for column in table.columns)]
        self._kind = kind

    def __call__(self, row: Any) -> T:
        return msgspec.convert(dict(zip(self._names, row, strict=True)), self._kind)


_WHO = {"rid": "who"}
_LOAN = _Maker(Loan, schema.loans)
_TRANSIT = _Maker(Transit, schema.transits)
_CONFLICT = _Maker(Conflict, schema.conflicts)
_VISIT = _Maker(Visit, schema.visits)
