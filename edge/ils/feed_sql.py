"""Changes from a read-only SQL view, by whatever DB-API 2.0 module reads the ILS's database (PEP 249).

The query names ``:after`` once and may name ``:limit``; both are put into the module's own paramstyle. It runs in a thread with a
deadline: a thread that does not come back is left to end by itself, and no second one is started beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import re
import threading
from collections.abc import AsyncGenerator, Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from edge.ils.feed_mapping import BadRow, RowReader, Table, number, row_reader, text
from edge.ils.feeds import Batch, Change, FeedError, LoanThere, Quarantined

_T = TypeVar("_T")

PAGE = 1_000
"""Open loans of one page."""

_READ_ONLY = {
    "psycopg": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "psycopg2": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "pg8000.dbapi": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "pymysql": "SET SESSION TRANSACTION READ ONLY",
    "MySQLdb": "SET SESSION TRANSACTION READ ONLY",
    "mysql.connector": "SET SESSION TRANSACTION READ ONLY",
    "sqlite3": "PRAGMA query_only = ON",
}
"""What makes a session read-only, by module; elsewhere ``read_only`` says it. The account should have no right to write anyway."""

_NAMED = re.compile(r"'(?:[^']|'')*'|(?<!:):(after|limit)\b")


def prepared(query: str, paramstyle: str, values: dict[str, object]) -> tuple[str, Any]:
    """A query with ``:after`` and ``:limit`` in a module's own paramstyle, and the values as it wants them.

    Text in quotes stays; ``%`` is doubled where the style needs it. Raises FeedError FEED_CONFIG for a style PEP 249 does not know.
    """
    order: list[str] = []

    def mark(match: re.Match[str]) -> str:
        name = match.group(1)
        if name is None:
            return match.group(0)
        order.append(name)
        return marks[paramstyle](name)

    marks: dict[str, Callable[[str], str]] = {
        "qmark": lambda _name: "?",
        "numeric": lambda _name: f":{len(order)}",
        "named": lambda name: f":{name}",
        "format": lambda _name: "%s",
        "pyformat": lambda name: f"%({name})s",
    }
    if paramstyle not in marks:
        raise FeedError("FEED_CONFIG", f"the module's paramstyle {paramstyle!r} is not of PEP 249", retry=False)
    if paramstyle in ("format", "pyformat"):
        query = query.replace("%", "%%")
    done = _NAMED.sub(mark, query)
    if paramstyle in ("named", "pyformat"):
        return done, {name: values[name] for name in order}
    return done, tuple(values[name] for name in order)


class Session:
    """One connection of a DB-API module, used from threads of its own under a deadline, opened when it is needed."""

    def __init__(self, module: ModuleType, connect: dict[str, Any], *, timeout_s: float, read_only: str) -> None:
        self._module, self._connect = module, connect
        self._timeout_s, self._read_only = timeout_s, read_only
        self._conn: Any = None
        self._left: threading.Thread | None = None  # one that was waited for long enough

    async def run(self, work: Callable[[Any], _T]) -> _T:
        """Give the connection to ``work`` in a thread. Raises FeedError FEED_TIMEOUT, FEED_SQL, or the one that work raised."""
        if self._left is not None and self._left.is_alive():
            raise FeedError("FEED_TIMEOUT", "the database has not answered the last query yet")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[_T] = loop.create_future()

        def settle(result: list[_T], error: FeedError | None) -> None:
            if done.done():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result[0])

        def run() -> None:
            result: list[_T] = []
            failed: FeedError | None = None
            try:
                result.append(work(self._open()))
            except FeedError as error:
                failed = error
            except Exception as error:  # outer edge of the thread: a module of somebody else's raises what it likes
                failed = FeedError("FEED_SQL", f"the database refused ({type(error).__name__})")
            with contextlib.suppress(RuntimeError):  # the loop is gone
                loop.call_soon_threadsafe(settle, result, failed)

        thread = threading.Thread(target=run, name="ils-feed", daemon=True)
        thread.start()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await done
        except TimeoutError as error:
            self._leave(thread)
            raise FeedError("FEED_TIMEOUT", f"the database did not answer within {self._timeout_s:g} s") from error
        except asyncio.CancelledError:
            self._leave(thread)
            raise
        except FeedError:
            self.close()
            raise

    def _leave(self, thread: threading.Thread) -> None:
        self._left = thread
        stuck, self._conn = self._conn, None
        for stop in ("interrupt", "cancel"):  # sqlite3's and psycopg's ways; others run on and are left alone
            with contextlib.suppress(Exception):  # as above
                getattr(stuck, stop)()

    def close(self) -> None:
        """Close the connection, also one that is broken."""
        conn, self._conn = self._conn, None
        if conn is not None:
            with contextlib.suppress(Exception):  # as above
                conn.close()

    def _open(self) -> Any:
        if self._conn is None:
            conn = self._module.connect(**self._connect)
            if self._read_only:
                cursor = conn.cursor()
                cursor.execute(self._read_only)
                cursor.close()
                conn.commit()  # PostgreSQL keeps a session's setting only if it is committed
            self._conn = conn
        return self._conn


class SqlFeed:
    """A feed over a DB-API module. ``session`` makes a connection; polls keep one, a walk over the open loans takes its own."""

    kind = "sql"

    def __init__(self, module: ModuleType, session: Callable[[], Session], changes: str, loans: str, rows: RowReader, *,
                 cursor_is_number: bool) -> None:  # fmt: skip
        self._module, self._session = module, session
        self._changes, self._loans, self._rows = changes, loans, rows
        self._number = cursor_is_number
        self._polling = session()

    @property
    def tells_loans(self) -> bool:
        """Whether a query for the open loans was configured."""
        return bool(self._loans)

    async def poll(self, after: str, limit: int) -> Batch:
        """Rows behind the cursor. Raises FeedError."""
        try:
            value: object = int(after or 0) if self._number else after
        except ValueError as error:
            raise FeedError(
                "FEED_CURSOR", "the cursor kept is no number; was ils.feed.cursor changed?", retry=False
            ) from error
        query, values = prepared(self._changes, self._module.paramstyle, {"after": value, "limit": limit})

        def run(conn: Any) -> list[dict[str, object]]:
            cursor = conn.cursor()
            try:
                cursor.execute(query, values)
                return _rows(cursor, cursor.fetchmany(limit))
            finally:
                cursor.close()
                conn.rollback()  # the next poll must see what was committed since

        found = await self._polling.run(run)
        changes: list[Change] = []
        bad: list[Quarantined] = []
        upto = after
        for row in found:
            try:
                upto = self._rows.cursor(row)
            except BadRow as error:  # behind a row without a cursor nobody could ask on
                raise FeedError("FEED_CURSOR", "a row of the view has no cursor") from error
            try:
                changes.append(self._rows.change(row))
            except BadRow as error:
                bad.append(Quarantined(upto, error.code))
        return Batch(tuple(changes), upto, tuple(bad), len(found) >= limit)

    async def open_loans(self) -> AsyncGenerator[list[LoanThere], None]:
        """Every open loan, a page at a time from one cursor. Raises FeedError."""
        query, values = prepared(self._loans, self._module.paramstyle, {})
        session = self._session()

        def begin(conn: Any) -> Any:
            cursor = conn.cursor()
            cursor.execute(query, values)
            return cursor

        try:
            cursor = await session.run(begin)
            while page := await session.run(lambda _conn: _rows(cursor, cursor.fetchmany(PAGE))):
                try:
                    yield [self._rows.loan(row) for row in page]
                except BadRow as error:
                    raise FeedError("FEED_LOANS_BAD", f"an open loan cannot be read ({error.code})") from error
        finally:
            session.close()

    async def close(self) -> None:
        """Close the connection."""
        self._polling.close()


def _rows(cursor: Any, found: Iterable[Any]) -> list[dict[str, object]]:
    names = [str(column[0]).lower() for column in cursor.description or ()]  # Oracle answers in capitals
    return [dict(zip(names, row, strict=False)) for row in found]


def make_sql_feed(table: Table, zone: str, base: Path) -> SqlFeed:
    """The feed that an ``[ils.feed]`` of kind sql describes. Raises FeedError FEED_CONFIG.

    ``module``; ``db_…`` the module's keyword arguments; ``db_password_file``; ``changes``, ``open_loans`` the queries; ``cursor``
    "number" (default) or "text"; ``timeout_s``; ``read_only`` a statement run first.
    """
    name = text(table, "module")
    try:
        module = importlib.import_module(name)
        paramstyle, connect = str(module.paramstyle), module.connect
    except (ImportError, AttributeError, ValueError) as error:
        raise FeedError("FEED_CONFIG", f"{name} is not installed or is no DB-API 2.0 module", retry=False) from error
    if not callable(connect):
        raise FeedError("FEED_CONFIG", f"{name} is no DB-API 2.0 module", retry=False)
    arguments: dict[str, Any] = {key[3:]: value for key, value in table.items() if key.startswith("db_")}
    if "password" in arguments:
        raise FeedError(
            "FEED_CONFIG", "write the password into a file and name it in ils.feed.db_password_file", retry=False
        )
    if "password_file" in arguments:
        path = base / str(arguments.pop("password_file"))
        try:
            arguments["password"] = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise FeedError("FEED_CONFIG", "ils.feed.db_password_file cannot be read", retry=False) from error
    timeout_s = number(table, "timeout_s", 20, 1, 600)
    if name == "sqlite3":
        path = base / text(table, "db_database")
        arguments["database"] = f"{path.absolute().as_uri()}?mode=ro"
        arguments |= {"uri": True, "check_same_thread": False, "timeout": min(timeout_s, 5.0)}
    changes, loans = text(table, "changes"), text(table, "open_loans", "")
    prepared("", paramstyle, {})
    if not any(match.group(1) == "after" for match in _NAMED.finditer(changes)):
        raise FeedError(
            "FEED_CONFIG", "ils.feed.changes asks for everything; write … WHERE id > :after ORDER BY id", retry=False
        )
    kind = text(table, "cursor", "number")
    if kind not in ("number", "text"):
        raise FeedError("FEED_CONFIG", 'ils.feed.cursor is "number" or "text"', retry=False)
    read_only = text(table, "read_only", _READ_ONLY.get(name, ""))

    def session() -> Session:
        return Session(module, arguments, timeout_s=timeout_s, read_only=read_only)

    return SqlFeed(module, session, changes, loans, row_reader(table, zone), cursor_is_number=kind == "number")
