"""The replica's file: schema, statements, its head.

One file is one generation's line of versions. A snapshot makes a new file, and the small text file ``current`` names the one in use;
it is replaced atomically, so a power cut leaves the old replica or the new one, never a half.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.replica.rows import Change, ReplicaInvalid

_VERSION = 1
SCHEMA = """
CREATE TABLE tokens(token BLOB PRIMARY KEY, srid TEXT NOT NULL, status TEXT NOT NULL, assurance TEXT NOT NULL, to_ms INTEGER)
    WITHOUT ROWID;
CREATE TABLE readers(srid TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE items(owner TEXT NOT NULL, item_no TEXT NOT NULL, value BLOB NOT NULL, loan_srid TEXT, hold_srid TEXT,
    PRIMARY KEY(owner, item_no)) WITHOUT ROWID;
CREATE INDEX ix_items_loan ON items(loan_srid) WHERE loan_srid IS NOT NULL;
CREATE INDEX ix_items_hold ON items(hold_srid) WHERE hold_srid IS NOT NULL;
CREATE TABLE numbers(item_no TEXT PRIMARY KEY, owner TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE policy(one INTEGER PRIMARY KEY CHECK(one = 1), version INTEGER NOT NULL, body TEXT NOT NULL);
CREATE TABLE head(
    one INTEGER PRIMARY KEY CHECK(one = 1), org TEXT NOT NULL, generation INTEGER NOT NULL, version INTEGER NOT NULL,
    asof_ms INTEGER NOT NULL, epoch TEXT NOT NULL, upto INTEGER NOT NULL
);
"""

STATEMENTS = {
    "put_token": "INSERT OR REPLACE INTO tokens VALUES(?,?,?,?,?)",
    "del_token": "DELETE FROM tokens WHERE token = ?",
    "put_reader": "INSERT OR REPLACE INTO readers VALUES(?,?)",
    "del_reader": "DELETE FROM readers WHERE srid = ?",
    "put_item": "INSERT OR REPLACE INTO items VALUES(?,?,?,?,?)",
    "del_item": "DELETE FROM items WHERE owner = ? AND item_no = ?",
    "put_number": "INSERT OR REPLACE INTO numbers VALUES(?,?)",
    "del_number": "DELETE FROM numbers WHERE item_no = ?",
    "put_policy": "INSERT OR REPLACE INTO policy VALUES(1,?,?)",
}


@dataclass(frozen=True, slots=True)
class Head:
    """What a replica file is: its place in the line of versions, as of when (hub's ms UTC), and which own events it contains."""

    org: str
    generation: int
    version: int
    asof_ms: int
    epoch: str
    upto: int


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open a replica file (WAL, synchronous NORMAL: what a power cut loses, the hub sends again). Raises ReplicaInvalid."""
    try:
        conn = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=64, timeout=5.0)
        try:
            conn.execute("PRAGMA journal_mode=WAL")
            conn.execute("PRAGMA synchronous=NORMAL")
            conn.execute("PRAGMA mmap_size=1073741824")
            if read_only:
                conn.execute("PRAGMA query_only=1")
            (version,) = conn.execute("PRAGMA user_version").fetchone()
        except BaseException:
            conn.close()
            raise
    except sqlite3.Error as error:
        raise ReplicaInvalid("REPLICA_FILE", "the replica file cannot be opened") from error
    if version != _VERSION:
        conn.close()
        raise ReplicaInvalid("REPLICA_FILE", "the replica file is of another version of this software")
    return conn


def create(path: Path) -> sqlite3.Connection:
    """A new file, fast and unsafe until ``finish``: nobody reads it before."""
    conn = sqlite3.connect(path, isolation_level=None)
    conn.execute("PRAGMA journal_mode=OFF")
    conn.execute("PRAGMA synchronous=OFF")
    conn.execute("PRAGMA cache_size=-65536")
    conn.executescript(SCHEMA + f"PRAGMA user_version={_VERSION};")
    return conn


def apply(conn: sqlite3.Connection, changes: Sequence[Change]) -> None:
    """Write changes in order; runs of one statement go in one call."""
    start = 0
    while start < len(changes):
        statement = changes[start].statement
        end = start
        while end < len(changes) and changes[end].statement == statement:
            end += 1
        conn.executemany(STATEMENTS[statement], [c.values for c in changes[start:end]])
        start = end


def write_head(conn: sqlite3.Connection, head: Head) -> None:
    """Set the head."""
    conn.execute(
        "INSERT OR REPLACE INTO head VALUES(1,?,?,?,?,?,?)",
        (head.org, head.generation, head.version, head.asof_ms, head.epoch, head.upto),
    )


def read_head(conn: sqlite3.Connection) -> Head:
    """The head. Raises ReplicaInvalid for a file without one."""
    row = conn.execute("SELECT org, generation, version, asof_ms, epoch, upto FROM head").fetchone()
    if row is None:
        raise ReplicaInvalid("REPLICA_FILE", "the replica file was never finished")
    return Head(*row)


def current(directory: Path) -> Path | None:
    """The file in use; None where there is none yet."""
    try:
        name = (directory / "current").read_text().strip()
    except OSError:
        return None
    path = directory / name
    return path if name and "/" not in name and path.is_file() else None


def set_current(directory: Path, path: Path) -> None:
    """Put ``path`` into use, atomically and durably."""
    beside = directory / "current.new"
    with beside.open("w") as file:
        file.write(path.name)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, directory / "current")


def remove_others(directory: Path, keep: Path) -> None:
    """Delete replica files that are not in use."""
    for path in directory.glob("replica-*"):
        if not path.name.startswith(keep.name):
            path.unlink(missing_ok=True)
