"""What an edge remembers of tags across restarts: one small SQLite file in its data folder.

Tags that wait to be mended, what staff must look at, what was written on tags, what a book drop took, and whose a tag without an
owner is. Every list is bounded. Writes go through one thread, so that no flush of the disk holds up a gate; reads are of memory, or of
one row. Nothing here is about a reader.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, TypeVar

from consortium.identity import ItemKey

__all__ = ["LEARNED_MOST", "Kept", "TagStore", "TagStoreError"]

log = logging.getLogger(__name__)

T = TypeVar("T")

Kept = Literal["repair", "flag", "written", "drop"]

MOST: dict[Kept, int] = {"repair": 1_000, "flag": 1_000, "written": 10_000, "drop": 5_000}
"""Rows kept of each list; the oldest make room."""

LEARNED_MOST = 1_000_000
"""Tags whose item was said by staff or by encoding; the oldest make room."""

_VERSION = 1
_SCHEMA = """
CREATE TABLE kept(list TEXT NOT NULL, id TEXT NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY(list, id)) WITHOUT ROWID;
CREATE INDEX ix_kept_at ON kept(list, at);
CREATE TABLE learned(uid TEXT PRIMARY KEY, owner TEXT NOT NULL, item_no TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX ix_learned_at ON learned(at);
"""
_PUT = "INSERT OR REPLACE INTO kept VALUES(?,?,?,?)"
_SHORTEN = """DELETE FROM kept WHERE list = ? AND id IN
    (SELECT id FROM kept WHERE list = ? ORDER BY at DESC, id DESC LIMIT -1 OFFSET ?)"""
_LEARN = "INSERT OR REPLACE INTO learned VALUES(?,?,?,?)"
_FORGET_OLD = "DELETE FROM learned WHERE uid IN (SELECT uid FROM learned ORDER BY at DESC, uid LIMIT -1 OFFSET ?)"


class TagStoreError(Exception):
    """The file cannot be read or written; ``code`` is TAGS_FILE. Tags go on being read and switched, nothing is remembered."""

    code = "TAGS_FILE"


class TagStore:
    """The file. ``open`` once before use; ``close`` waits for what is being written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._conn: sqlite3.Connection | None = None
        self._reads: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tags")

    def open(self, now: int) -> None:
        """Open or make the file; a damaged one is laid aside under another name. Raises TagStoreError where none can be had."""
        try:
            try:
                self._conn = _connect(self._path)
            except sqlite3.DatabaseError as error:
                if not self._path.exists() or isinstance(error, sqlite3.OperationalError):
                    raise
                aside = self._path.with_name(f"{self._path.name}.damaged-{now}")
                log.error("%s is damaged: laid aside as %s, a new one is begun", self._path.name, aside.name)
                self._path.rename(aside)
                for more in ("-wal", "-shm"):
                    self._path.with_name(self._path.name + more).unlink(missing_ok=True)
                self._conn = _connect(self._path)
            self._reads = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, isolation_level=None)
        except (sqlite3.Error, OSError) as error:
            raise TagStoreError(f"{self._path.name} cannot be opened: {error}") from error

    async def close(self) -> None:
        """Finish writing and close; safe to call twice."""
        loop = asyncio.get_running_loop()
        conn, self._conn = self._conn, None
        if conn is not None:
            await loop.run_in_executor(self._thread, conn.close)
        reads, self._reads = self._reads, None
        if reads is not None:
            reads.close()
        self._thread.shutdown(wait=False)

    # --- lists ---

    def rows(self, kept: Kept) -> list[tuple[str, int, dict[str, Any]]]:
        """Every row of a list, oldest first: id, since when (ms UTC), body. Raises TagStoreError."""
        found = self._read("SELECT id, at, body FROM kept WHERE list = ? ORDER BY at, id", (kept,))
        return [(str(row[0]), int(row[1]), dict(json.loads(row[2]))) for row in found]

    async def newest(self, kept: Kept, limit: int) -> list[tuple[str, int, dict[str, Any]]]:
        """The newest rows of a list, newest first, read on the file's own thread. Raises TagStoreError."""
        sql = "SELECT id, at, body FROM kept WHERE list = ? ORDER BY at DESC, id DESC LIMIT ?"

        def read(conn: sqlite3.Connection) -> list[tuple[str, int, dict[str, Any]]]:
            found = conn.execute(sql, (kept, limit)).fetchall()
            return [(str(row[0]), int(row[1]), dict(json.loads(row[2]))) for row in found]

        return await self._on_thread(read, "read")

    async def put(self, kept: Kept, row_id: str, at: int, body: dict[str, Any]) -> None:
        """Write a row, durably; the oldest beyond MOST go. Raises TagStoreError."""
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))

        def write(conn: sqlite3.Connection) -> None:
            conn.execute(_PUT, (kept, row_id, at, text))
            conn.execute(_SHORTEN, (kept, kept, MOST[kept]))

        await self._write(write)

    async def drop(self, kept: Kept, *row_ids: str) -> None:
        """Remove rows; those that are not there are no error. Raises TagStoreError."""
        await self._write(
            lambda conn: conn.executemany(
                "DELETE FROM kept WHERE list = ? AND id = ?", [(kept, one) for one in row_ids]
            )
        )

    # --- whose a tag is ---

    def learned(self, uid: str) -> ItemKey | None:
        """The item of a chip, as staff or an encoding said here; None where nobody did, or the file is away."""
        try:
            found = self._read("SELECT owner, item_no FROM learned WHERE uid = ?", (uid,))
        except TagStoreError:
            return None
        return ItemKey(*found[0]) if found else None

    async def learn(self, uid: str, key: ItemKey, at: int) -> None:
        """Remember the item of a chip, durably. Raises TagStoreError."""

        def write(conn: sqlite3.Connection) -> None:
            conn.execute(_LEARN, (uid, key.owner, key.item_no, at))
            if _count(conn) > LEARNED_MOST:
                conn.execute(_FORGET_OLD, (LEARNED_MOST,))

        await self._write(write)

    async def forget(self, uid: str) -> None:
        """Forget what was learned of a chip. Raises TagStoreError."""
        await self._write(lambda conn: conn.execute("DELETE FROM learned WHERE uid = ?", (uid,)))

    # --- the file ---

    def _read(self, sql: str, values: tuple[Any, ...]) -> list[Any]:
        if self._reads is None:
            raise TagStoreError("the file of tags is closed")
        try:
            return self._reads.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise TagStoreError(f"{self._path.name} cannot be read") from error

    async def _write(self, act: Callable[[sqlite3.Connection], object]) -> None:
        def write(conn: sqlite3.Connection) -> None:
            conn.execute("BEGIN IMMEDIATE")
            try:
                act(conn)
                conn.execute("COMMIT")
            except BaseException:
                if conn.in_transaction:
                    conn.execute("ROLLBACK")
                raise

        await self._on_thread(write, "written")

    async def _on_thread(self, work: Callable[[sqlite3.Connection], T], what: str) -> T:
        conn = self._conn
        if conn is None:
            raise TagStoreError("the file of tags is closed")
        try:
            # Shielded: who waits may be cancelled, what is being written ends.
            return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work, conn))
        except sqlite3.Error as error:
            raise TagStoreError(f"{self._path.name} cannot be {what}") from error


def _count(conn: sqlite3.Connection) -> int:
    return int(conn.execute("SELECT COUNT(*) FROM learned").fetchone()[0])


def _connect(path: Path) -> sqlite3.Connection:
    conn = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=2.0)
    try:
        conn.execute("PRAGMA journal_mode=WAL")
        conn.execute("PRAGMA synchronous=FULL")
        version = conn.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            conn.executescript(f"BEGIN;{_SCHEMA}PRAGMA user_version={_VERSION};COMMIT;")
        elif version != _VERSION or conn.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("another version, or damaged")
        path.chmod(0o600)
    except BaseException:
        conn.close()
        raise
    return conn
