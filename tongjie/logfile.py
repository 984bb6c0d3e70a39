"""A log export: a hub's log and projections as JSON lines, for whoever checks it elsewhere (docs/checker.md).

The first line is the header, the last says how many lines there are, and every line between is one row: ``{"event": {…}}``. Readers
stand in it under pseudonyms made with a key that nobody keeps, and what their events' bodies commit to is left out, unless the export
is made with identity.
"""

from __future__ import annotations

import gzip
import hashlib
import hmac
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, cast

import msgspec
from sqlalchemy import JSON, Connection, Select, Table, and_, create_engine, select
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateIndex, CreateTable

from hub.store import schema

FORMAT = 1
MAX_LINE = 48 * 1024 * 1024
"""Longest line taken, in bytes: a sealed policy bundle is the longest thing in a log."""

_AT_ONCE = 2_000
_KINDS: dict[str, Table] = {
    "cursor": schema.cursors,
    "bundle": schema.bundles,
    "key": schema.policy_keys,
    "event": schema.events,
    "identity": schema.subjects,
    "quarantine": schema.quarantine,
    "item": schema.items,
    "state": schema.item_state,
    "loan": schema.loans,
    "transit": schema.transits,
    "conflict": schema.conflicts,
    "visit": schema.visits,
    "charge": schema.charges,
}
"""What a line may be, and the table it comes from. Catalogue items go out only where something happened to them."""

_PREFIXED = ("erased:", "ils:")
_WANTED = frozenset({"event", "loan", "visit"})


class LogFileError(Exception):
    """An export that cannot be written or read; ``code`` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


# --- writing ---


def export(
    connection: Connection,
    path: Path,
    *,
    with_identity: bool = False,
    told: Callable[[int], None] = lambda lines: None,
) -> int:
    """Write the log behind this connection to a new file, gzipped where its name ends in .gz; gives the number of lines.

    ``told`` hears now and then how many lines are written. The file appears under its name when it is whole. Raises LogFileError
    LOG_EXISTS, LOG_WRITE.
    """
    if path.exists():
        raise LogFileError("LOG_EXISTS", f"{path} is there already; name another file with -o")
    part = path.with_name(path.name + ".part")
    try:
        # Nobody else reads it while it grows, and where it names readers nobody else does afterwards.
        with os.fdopen(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as raw:
            lines = _write(connection, raw, path.suffix == ".gz", with_identity, told)
        if not with_identity:
            part.chmod(0o644)
        part.rename(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        reason = error.strerror or type(error).__name__
        raise LogFileError("LOG_WRITE", f"{path} cannot be written ({reason}); name another file with -o") from error
    return lines


def _write(connection: Connection, raw: IO[bytes], packed: bool, identity: bool, told: Callable[[int], None]) -> int:
    out = cast("IO[bytes]", gzip.GzipFile("", "wb", 6, raw, mtime=0)) if packed else raw
    lines = 1
    encode = msgspec.json.Encoder().encode
    mask = (lambda rid: rid) if identity else _pseudonyms(os.urandom(32))
    out.write(encode({"tongjie_log": FORMAT, "identity": identity}) + b"\n")
    for kind, table in _KINDS.items():
        if kind == "identity" and not identity:
            continue
        names = [str(column.name) for column in table.columns]
        query = _query(kind, table).execution_options(yield_per=_AT_ONCE)
        with connection.execute(query) as result:
            for part in result.partitions():
                for values in part:
                    row = dict(zip(names, values, strict=True))
                    if not identity:
                        _mask(kind, row, mask)
                    out.write(encode({kind: row}) + b"\n")
                lines += len(part)
                told(lines)
    lines += 1
    out.write(encode({"end": {"lines": lines}}) + b"\n")
    if packed:
        out.close()
    return lines


def _query(kind: str, table: Table) -> Select[Any]:
    query = select(table)
    if kind == "item":
        state = schema.item_state.c
        same = and_(table.c.owner == state.owner, table.c.item_no == state.item_no)
        return select(table).select_from(table.join(schema.item_state, same))
    return query.order_by(*table.primary_key.columns)


def _pseudonyms(key: bytes) -> Callable[[str], str]:
    @lru_cache(maxsize=100_000)
    def mask(rid: str) -> str:
        if rid.startswith(_PREFIXED):
            return rid  # nobody's id: made from the event
        return hmac.new(key, rid.encode(), hashlib.sha256).hexdigest()[:32]

    return mask


def _mask(kind: str, row: dict[str, Any], mask: Callable[[str], str]) -> None:
    if kind in _WANTED and row["rid"] is not None:
        row["rid"] = mask(row["rid"])
    elif kind == "item":
        row["title"] = ""  # the checker has no use for it, and beside a loan it says what somebody read
    elif kind == "state":
        memory = msgspec.json.decode(row["history"])
        for loan in memory.get("loans", ()):
            loan["who"] = mask(loan["who"])
        row["history"] = msgspec.json.encode(memory).decode()


# --- reading ---


def load(path: Path, database: Path, told: Callable[[int], None] = lambda lines: None) -> None:
    """Put an export into a new SQLite file as a hub would keep it, line by line. Raises LogFileError, OSError, sqlite3.Error.

    LOG_FORMAT (no export), LOG_VERSION, LOG_LINE (a line that is too long, or no row), LOG_TRUNCATED (it ends too early).
    """
    engine = create_engine(f"sqlite:///{database}", poolclass=NullPool)
    tables = {kind: _Filler(table) for kind, table in _KINDS.items()}
    with engine.begin() as setting_up:
        for table in _KINDS.values():
            setting_up.execute(CreateTable(table))
    connection = sqlite3.connect(database, isolation_level=None)
    try:
        connection.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; BEGIN")
        for number, kind, raw in _lines(path):
            filler = tables.get(kind)
            if filler is None:
                raise LogFileError("LOG_LINE", f"line {number} of the export is of a kind this software does not know")
            filler.take(connection, raw, number)
            if number % _AT_ONCE == 0:
                told(number)
        for filler in tables.values():
            filler.flush(connection)
        connection.execute("COMMIT")
    finally:
        connection.close()
    with engine.begin() as setting_up:
        for index in schema.events.indexes:
            if index.name == "ix_events_item":
                setting_up.execute(CreateIndex(index))


def _lines(path: Path) -> Iterator[tuple[int, str, msgspec.Raw]]:
    """Every row's line with its number, after the header and up to the end mark."""
    decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
    number = 0
    with _opened(path) as file:
        _header(_line(file, 1))
        number = 1
        while True:
            number += 1
            line = _line(file, number)
            if not line.endswith(b"\n"):
                raise LogFileError(
                    "LOG_TRUNCATED", f"the export ends in line {number} and is not whole; export it again"
                )
            try:
                found = decode(line)
                (kind,) = found
            except (msgspec.DecodeError, ValueError, RecursionError) as error:
                raise LogFileError("LOG_LINE", f"line {number} of the export is no row; export it again") from error
            if kind == "end":
                _end(found[kind], number)
                return
            yield number, kind, found[kind]


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return cast("IO[bytes]", gzip.open(path, "rb")) if packed else path.open("rb")


def _line(file: IO[bytes], number: int) -> bytes:
    try:
        line = file.readline(MAX_LINE + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise LogFileError(
            "LOG_TRUNCATED", f"the export breaks off after line {number - 1}; export it again"
        ) from error
    if len(line) > MAX_LINE:
        raise LogFileError("LOG_LINE", f"line {number} of the export is longer than {MAX_LINE} bytes")
    return line


def _header(line: bytes) -> None:
    try:
        header = msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        header = {}
    if "tongjie_log" not in header:
        raise LogFileError("LOG_FORMAT", "this is no log export; make one with: tongjie log export -o FILE")
    if header["tongjie_log"] != FORMAT:
        raise LogFileError(
            "LOG_VERSION", f"this software reads log exports of version {FORMAT}; update it to read others"
        )


class _End(msgspec.Struct):
    lines: int


def _end(raw: msgspec.Raw, number: int) -> None:
    try:
        said = msgspec.json.decode(raw, type=_End).lines
    except msgspec.DecodeError:
        said = -1
    if said != number:
        raise LogFileError("LOG_TRUNCATED", f"the export has {number} lines and says {said}; export it again")


class _Filler:
    """Takes rows of one table: checked, put away by the thousand."""

    def __init__(self, table: Table) -> None:
        fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
        self._packed: list[str] = []
        for column in table.columns:
            kind: Any = Any if isinstance(column.type, JSON) else column.type.python_type
            if isinstance(column.type, JSON):
                self._packed.append(str(column.name))
            fields.append((str(column.name), kind | None, None) if column.nullable else (str(column.name), kind))
        shape = msgspec.defstruct(f"{table.name}_row", fields, kw_only=True)
        self._decode = msgspec.json.Decoder(shape).decode
        names = [str(column.name) for column in table.columns]
        columns = ", ".join(f'"{name}"' for name in names)
        self._statement = f'INSERT INTO "{table.name}" ({columns}) VALUES ({", ".join("?" * len(names))})'  # noqa: S608
        self._waiting: list[tuple[Any, ...]] = []

    def take(self, connection: sqlite3.Connection, raw: msgspec.Raw, number: int) -> None:
        """One row."""
        try:
            row = self._decode(raw)
        except (msgspec.DecodeError, RecursionError) as error:
            raise LogFileError("LOG_LINE", f"line {number} of the export is no row ({error})") from error
        for name in self._packed:
            value = getattr(row, name)
            setattr(row, name, None if value is None else msgspec.json.encode(value).decode())
        self._waiting.append(msgspec.structs.astuple(row))
        if len(self._waiting) >= _AT_ONCE:
            self.flush(connection)

    def flush(self, connection: sqlite3.Connection) -> None:
        """Put away what waits."""
        if not self._waiting:
            return
        try:
            connection.executemany(self._statement, self._waiting)
        except (sqlite3.IntegrityError, OverflowError) as error:
            raise LogFileError("LOG_LINE", f"the export has a row that no hub could hold ({error})") from error
        self._waiting.clear()
