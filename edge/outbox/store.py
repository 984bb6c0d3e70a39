"""The outbox's file: schema, and every statement that touches it.

Positions (``pos``) count rows of the file for ever; within an epoch ``seq = pos - base``. One integer key, rows only ever
appended at the end, and a hole in ``seq`` is impossible without a hole in ``pos``. The head (seq and chain hash) is written in the
transaction of the rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from consortium.events import Kind
from consortium.identity import CHAIN_START
from edge.outbox.errors import OutboxFault, OutboxFull
from edge.outbox.rows import Kept, Watermark
from protocols.bus import EventRow

_VERSION = 1
_PAGE = 4096
_SCHEMA = """
CREATE TABLE epochs(
    epoch TEXT PRIMARY KEY,
    base  INTEGER NOT NULL,            -- pos of seq 0
    acked INTEGER NOT NULL DEFAULT 0,  -- highest seq the hub holds
    upto  INTEGER                      -- last seq that counts, once the epoch is over; above it events were issued again
) WITHOUT ROWID;
CREATE TABLE events(
    pos INTEGER PRIMARY KEY, kind TEXT NOT NULL, created_ms INTEGER NOT NULL, size INTEGER NOT NULL,
    body TEXT NOT NULL, hash TEXT NOT NULL, salt TEXT, srid TEXT
);
CREATE TABLE rejected(pos INTEGER PRIMARY KEY, code TEXT NOT NULL, t INTEGER NOT NULL);
CREATE TABLE memos(key TEXT PRIMARY KEY, value BLOB NOT NULL, created_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX ix_memos_created ON memos(created_ms);
CREATE TABLE meta(key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
"""


@dataclass(slots=True)
class Head:
    """Where the chain stands: the running epoch, the pos of its seq 0, the last seq and its hash."""

    epoch: str
    base: int
    seq: int
    chain: str
    acked: int


@dataclass(frozen=True, slots=True)
class NewRow:
    """A row to insert."""

    pos: int
    kind: Kind
    created_ms: int
    size: int
    body: str
    hash: str
    salt: str | None
    srid: str | None
    memo: tuple[str, bytes] | None = None


def as_outbox_error(error: sqlite3.Error) -> OutboxFull | OutboxFault:
    """The typed form of what SQLite said."""
    name = getattr(error, "sqlite_errorname", "") or str(error)
    if name.startswith("SQLITE_FULL") or "full" in str(error):
        return OutboxFull("the disk has no room for another event; free some space")
    return OutboxFault(f"the outbox file cannot be used ({name})")


def connect(path: Path, *, max_file_mib: int = 0, create: bool = False) -> sqlite3.Connection:
    """Open the file for one thread's use (WAL, synchronous FULL). Raises OutboxFault, OutboxFull."""
    try:
        conn = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=64, timeout=5.0)
        try:
            if create:
                _prepare(conn, max_file_mib)
            conn.execute("PRAGMA synchronous=FULL")
        except BaseException:
            conn.close()
            raise
    except sqlite3.Error as error:
        raise as_outbox_error(error) from error
    return conn


def _prepare(conn: sqlite3.Connection, max_file_mib: int) -> None:
    (version,) = conn.execute("PRAGMA user_version").fetchone()
    if version not in (0, _VERSION):
        raise OutboxFault(f"the outbox file has version {version}, this software knows {_VERSION}; update it")
    conn.execute("PRAGMA journal_mode=WAL")
    if version == 0:
        conn.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={_VERSION}; COMMIT;")
    elif conn.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
        raise OutboxFault("the outbox file is damaged; keep a copy for the hub's desk and start with a new one")
    if max_file_mib:
        conn.execute(f"PRAGMA max_page_count={max_file_mib * 1024 * 1024 // _PAGE}")


def read_head(conn: sqlite3.Connection) -> Head | None:
    """The head of the chain; None in a new file."""
    row = conn.execute(
        "SELECT epoch, base, acked FROM epochs WHERE upto IS NULL ORDER BY epoch DESC LIMIT 1"
    ).fetchone()
    if row is None:
        return None
    epoch, base, acked = row
    seq, chain = conn.execute("SELECT value FROM meta WHERE key = 'head'").fetchone()[0].split(" ")
    return Head(epoch, base, int(seq), chain, acked)


def open_epoch(conn: sqlite3.Connection, epoch: str) -> Head:
    """Begin an epoch after everything in the file (inside the caller's transaction)."""
    (last,) = conn.execute("SELECT coalesce(max(pos), 0) FROM events").fetchone()
    (highest,) = conn.execute("SELECT coalesce(max(base), 0) FROM epochs").fetchone()
    head = Head(epoch, max(last, highest + _kept_seq(conn)), 0, CHAIN_START, 0)
    conn.execute("INSERT INTO epochs(epoch, base) VALUES(?, ?)", (epoch, head.base))
    write_head(conn, head)
    return head


def _kept_seq(conn: sqlite3.Connection) -> int:
    kept = conn.execute("SELECT value FROM meta WHERE key = 'head'").fetchone()
    return int(kept[0].split(" ")[0]) if kept else 0


def close_epoch(conn: sqlite3.Connection, epoch: str, upto: int) -> None:
    """The epoch ends: what follows ``upto`` is issued again elsewhere and counts no more."""
    conn.execute("UPDATE epochs SET upto = ?, acked = min(acked, ?) WHERE epoch = ?", (upto, upto, epoch))


def write_head(conn: sqlite3.Connection, head: Head) -> None:
    """Keep last seq and chain hash, in the transaction of the rows they speak of."""
    conn.execute("INSERT OR REPLACE INTO meta(key, value) VALUES('head', ?)", (f"{head.seq} {head.chain}",))


def insert(conn: sqlite3.Connection, rows: list[NewRow], head: Head) -> int:
    """Insert rows with their memos and keep the head they end at (inside the caller's transaction); gives how many."""
    conn.executemany(
        "INSERT INTO events(pos, kind, created_ms, size, body, hash, salt, srid) VALUES(?,?,?,?,?,?,?,?)",
        [(r.pos, r.kind.value, r.created_ms, r.size, r.body, r.hash, r.salt, r.srid) for r in rows],
    )
    memos = [(r.memo[0], r.memo[1], r.created_ms) for r in rows if r.memo]
    if memos:
        put_memos(conn, memos)
    write_head(conn, head)
    return len(rows)


def put_memos(conn: sqlite3.Connection, memos: list[tuple[str, bytes, int]]) -> None:
    """Remember (key, value, ms) rows; the last one of a key stays."""
    conn.executemany("INSERT OR REPLACE INTO memos(key, value, created_ms) VALUES(?,?,?)", memos)


def set_acked(conn: sqlite3.Connection, epoch: str, acked: int) -> None:
    """Set how far the hub holds this epoch."""
    conn.execute("UPDATE epochs SET acked = ? WHERE epoch = ?", (acked, epoch))


def put_rejected(conn: sqlite3.Connection, rows: Iterable[tuple[int, str, int]]) -> None:
    """Note (pos, code, ms) that the hub put into quarantine."""
    conn.executemany("INSERT OR REPLACE INTO rejected(pos, code, t) VALUES(?,?,?)", rows)


def unsent(
    conn: sqlite3.Connection, base: int, after_seq: int, limit_bytes: int, most: int
) -> list[tuple[EventRow, int]]:
    """Rows after ``after_seq`` with their size on the wire, in order, up to ``limit_bytes`` but one at least."""
    out: list[tuple[EventRow, int]] = []
    used = 0
    found = conn.execute(
        "SELECT pos, size, body, hash, salt, srid FROM events WHERE pos > ? ORDER BY pos LIMIT ?",
        (base + after_seq, most),
    )
    for pos, size, body, digest, salt, srid in found:
        if pos != base + after_seq + len(out) + 1 or (out and used + size > limit_bytes):
            break
        out.append((EventRow(pos - base, body, digest, salt, srid), size))
        used += size
    found.close()
    return out


def hash_at(conn: sqlite3.Connection, head: Head, seq: int) -> str | None:
    """The chain hash at ``seq`` of the running epoch; None where the row is not kept."""
    if seq == 0:
        return CHAIN_START
    if seq == head.seq:
        return head.chain
    row = conn.execute("SELECT hash FROM events WHERE pos = ?", (head.base + seq,)).fetchone()
    return row[0] if row and seq < head.seq else None


def counting(
    conn: sqlite3.Connection, kinds: frozenset[Kind], after: Watermark | None, since_ms: int
) -> Iterator[Kept]:
    """Events of these kinds that count (not issued again), after the watermark and created since then, in order."""
    first = _pos_since(conn, since_ms)
    epochs = conn.execute("SELECT epoch, base, upto FROM epochs ORDER BY base, epoch").fetchall()
    marks = ",".join("?" * len(kinds))
    for place, (epoch, base, upto) in enumerate(epochs):
        end = base + upto if upto is not None else 1 << 62
        if place + 1 < len(epochs):
            end = min(end, epochs[place + 1][1])
        begin = max(base, first - 1)
        if after is not None:
            if epoch < after.epoch:
                continue
            if epoch == after.epoch:
                begin = max(begin, base + after.upto)
        for pos, kind, body, srid, created in conn.execute(
            "SELECT pos, kind, body, srid, created_ms FROM events WHERE pos > ? AND pos <= ?"  # noqa: S608 - marks only
            f" AND kind IN ({marks}) ORDER BY pos",
            (begin, end, *(k.value for k in kinds)),
        ):
            yield Kept(epoch, pos - base, Kind(kind), body, srid, created)


def _pos_since(conn: sqlite3.Connection, since_ms: int) -> int:
    """The first position created since then, by halving: positions and times rise together, and the archive may hold millions."""
    low, high = conn.execute("SELECT coalesce(min(pos), 1), coalesce(max(pos), 0) + 1 FROM events").fetchone()
    while low < high:
        middle = (low + high) // 2
        row = conn.execute("SELECT created_ms FROM events WHERE pos >= ? ORDER BY pos LIMIT 1", (middle,)).fetchone()
        if row is not None and row[0] < since_ms:
            low = middle + 1
        else:
            high = middle
    return int(low)


def tail(conn: sqlite3.Connection, head: Head, after_seq: int) -> list[tuple[int, str, str | None, str | None, int]]:
    """(seq, body, salt, srid, created_ms) of the running epoch after ``after_seq``, in order."""
    rows = conn.execute(
        "SELECT pos, body, salt, srid, created_ms FROM events WHERE pos > ? ORDER BY pos", (head.base + after_seq,)
    )
    return [(pos - head.base, body, salt, srid, created) for pos, body, salt, srid, created in rows]


def sweep(
    conn: sqlite3.Connection,
    head: Head,
    *,
    before_ms: int,
    keep_rows: int,
    memo_before_ms: int,
    memo_rows: int,
    most: int,
) -> int:
    """Delete up to ``most`` delivered events that are past the archive's age or number, and old memos; gives how many events went.

    Only what the hub acked is ever deleted.
    """
    delivered = head.base + head.acked
    (first,) = conn.execute("SELECT coalesce(min(pos), 0) FROM events").fetchone()
    surplus = max(0, delivered - first + 1 - keep_rows) if first else 0
    gone = conn.execute(
        "DELETE FROM events WHERE pos IN (SELECT pos FROM"
        " (SELECT pos, created_ms FROM events WHERE pos <= ? ORDER BY pos LIMIT ?) WHERE created_ms < ? OR pos < ?)",
        (delivered, most, before_ms, first + surplus),
    ).rowcount
    conn.execute("DELETE FROM rejected WHERE pos < ?", (first,))
    conn.execute("DELETE FROM memos WHERE created_ms < ?", (memo_before_ms,))
    (memos,) = conn.execute("SELECT count(*) FROM memos").fetchone()
    if memos > memo_rows:
        conn.execute(
            "DELETE FROM memos WHERE key IN (SELECT key FROM memos ORDER BY created_ms LIMIT ?)", (memos - memo_rows,)
        )
    return gone
