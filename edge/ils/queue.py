"""What the ILS must still be told: ``ils.db``, durable, in order for each item, numbers sealed.

Whatever writes is done by one thread of its own: a flush to disk would hold up taps. What is asked often (how many wait, does anything
wait for this item) is kept in memory.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from consortium.identity import ItemKey
from consortium.mastership import Task
from edge.ils.seal import Sealer
from edge.outbox import Watermark

_T = TypeVar("_T")

DONE_MS = 30 * 86_400_000
"""How long a booking that was done is known, so that it is not done again: longer than the outbox's archive."""

DONE_ROWS = 200_000
NUMBER_MS = 86_400_000
"""How long a sealed number is kept after its last booking."""

_FRESH_MS = 600_000
_EPOCHS = 8

_MIGRATIONS = (
    """
    CREATE TABLE jobs(
        id INTEGER PRIMARY KEY, of TEXT NOT NULL UNIQUE, task TEXT NOT NULL, owner TEXT NOT NULL, item_no TEXT NOT NULL,
        t INTEGER NOT NULL, due INTEGER, home TEXT NOT NULL, srid TEXT
    );
    CREATE INDEX ix_jobs_item ON jobs(owner, item_no, t, id);
    CREATE INDEX ix_jobs_srid ON jobs(srid) WHERE srid IS NOT NULL;
    CREATE TABLE done(of TEXT PRIMARY KEY, t INTEGER NOT NULL) WITHOUT ROWID;
    CREATE INDEX ix_done_t ON done(t);
    CREATE TABLE reached(epoch TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE numbers(srid TEXT PRIMARY KEY, sealed BLOB NOT NULL, t INTEGER NOT NULL) WITHOUT ROWID;
    """,
)


class QueueFault(Exception):
    """``ils.db`` cannot be used. Codes: ILS_DB_NEWER (another version of this software made it), ILS_DB_FAULT (damaged, disk)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Job:
    """A booking that waits. ``of`` names the event it follows from and makes it unique; times ms UTC; ``srid`` where it is known."""

    of: str
    task: Task
    item: ItemKey
    t: int
    due: int | None = None
    home: str = ""
    srid: str | None = None
    id: int = 0


class Queue:
    """``now`` is ms UTC. ``open`` before use, ``close`` after; used on one event loop."""

    def __init__(self, path: Path, sealer: Sealer, *, now: Callable[[], int], most: int = 50_000) -> None:
        self._path = path
        self._sealer = sealer
        self._now = now
        self._most = most
        self._thread = ThreadPoolExecutor(1, "ils-queue")
        self._db: sqlite3.Connection | None = None
        self._items: Counter[ItemKey] = Counter()
        self._fresh: dict[str, tuple[str, int]] = {}  # srid -> number just sealed: a stack of books seals it once
        self.reached: dict[str, int] = {}
        """By epoch, the last own event that was looked at."""

    async def open(self) -> None:
        """Open or make the file. Raises QueueFault."""
        await self._run(self._open)

    def _open(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise QueueFault("ILS_DB_FAULT", f"{self._path.name} cannot be opened ({error.strerror})") from error
        db = sqlite3.connect(self._path, isolation_level=None, timeout=2.0, check_same_thread=False)
        try:
            _prepare(db)
            self.reached = dict(db.execute("SELECT epoch, seq FROM reached"))
            rows = db.execute("SELECT owner, item_no, count(*) FROM jobs GROUP BY owner, item_no")
            self._items = Counter({ItemKey(owner, item_no): n for owner, item_no, n in rows})
        except BaseException:
            db.close()
            raise
        self._db = db

    async def close(self) -> None:
        """Close the file. Safe to call twice."""
        if self._db is not None:
            db, self._db = self._db, None
            await asyncio.get_running_loop().run_in_executor(self._thread, db.close)
            self._thread.shutdown(wait=False)

    # --- what waits

    @property
    def depth(self) -> int:
        """Bookings that wait."""
        return self._items.total()

    @property
    def room(self) -> int:
        """How many more it takes."""
        return max(0, self._most - self.depth)

    @property
    def cursor(self) -> Watermark | None:
        """How far own events were looked at; None before the first."""
        epoch = max(self.reached, default=None)
        return None if epoch is None else Watermark(epoch, self.reached[epoch])

    def waits_for(self, item: ItemKey) -> bool:
        """Whether any booking of this item waits."""
        return item in self._items

    async def add(self, jobs: Sequence[Job], reached: tuple[str, int] | None = None) -> int:
        """Keep bookings, and how far (epoch, seq) own events were looked at, together; gives how many were new. Raises QueueFault."""

        def run(db: sqlite3.Connection) -> list[ItemKey]:
            new = []
            for job in jobs:
                if db.execute("SELECT 1 FROM done WHERE of = ?", (job.of,)).fetchone():
                    continue
                key = (job.item.owner, job.item.item_no)
                values = (job.of, job.task.value, *key, job.t, job.due, job.home, job.srid)
                sql = "INSERT OR IGNORE INTO jobs(of, task, owner, item_no, t, due, home, srid) VALUES(?,?,?,?,?,?,?,?)"
                if db.execute(sql, values).rowcount:
                    new.append(job.item)
            if reached is not None:
                db.execute("INSERT OR REPLACE INTO reached(epoch, seq) VALUES(?, ?)", reached)
            return new

        new = await self._transaction(run)
        self._items.update(new)
        if reached is not None:
            self.reached[reached[0]] = reached[1]
        return len(new)

    async def heads(self, most: int, without: Iterable[int] = ()) -> list[Job]:
        """The first booking of each item, the oldest first, but none of ``without`` (ids). Raises QueueFault."""
        barred = frozenset(without)

        def run(db: sqlite3.Connection) -> list[Job]:
            found = []
            for row in db.execute(
                "SELECT of, task, owner, item_no, t, due, home, srid, id FROM jobs j WHERE NOT EXISTS (SELECT 1 FROM jobs p"
                " WHERE p.owner = j.owner AND p.item_no = j.item_no AND (p.t, p.id) < (j.t, j.id)) ORDER BY t, id"
            ):
                if row[8] not in barred:
                    found.append(_job(row))
                    if len(found) >= most:
                        break
            return found

        return await self._read(run)

    async def after(self, id_: int, most: int) -> list[Job]:
        """Bookings by id, for a walk through all. Raises QueueFault."""
        sql = "SELECT of, task, owner, item_no, t, due, home, srid, id FROM jobs WHERE id > ? ORDER BY id LIMIT ?"
        return await self._read(lambda db: [_job(row) for row in db.execute(sql, (id_, most))])

    async def oldest(self) -> int | None:
        """When what waits longest happened, ms UTC. Raises QueueFault."""
        found: int | None = await self._read(lambda db: db.execute("SELECT min(t) FROM jobs").fetchone()[0])
        return found

    async def done(self, job: Job) -> None:
        """The booking is settled and its outcome recorded: forget it, know that it was. Raises QueueFault."""
        at = self._now()

        def run(db: sqlite3.Connection) -> int:
            db.execute("INSERT OR REPLACE INTO done(of, t) VALUES(?, ?)", (job.of, at))
            return db.execute("DELETE FROM jobs WHERE of = ?", (job.of,)).rowcount

        if await self._transaction(run):
            self._items[job.item] -= 1
            if self._items[job.item] <= 0:
                del self._items[job.item]

    # --- numbers

    async def remember(self, srid: str, number: str) -> None:
        """Keep under what number the ILS knows this reader. Durable on return. Raises QueueFault."""
        known, at = self._fresh.get(srid, ("", 0))
        if known == number and self._now() - at < _FRESH_MS:
            return
        row = (srid, self._sealer.seal(srid, number), self._now())
        await self._transaction(
            lambda db: db.execute("INSERT OR REPLACE INTO numbers(srid, sealed, t) VALUES(?,?,?)", row)
        )
        if len(self._fresh) >= 64:
            self._fresh.clear()
        self._fresh[srid] = (number, row[2])

    async def number(self, srid: str) -> str | None:
        """The number of a reader; None where it was never told or cannot be opened. Raises QueueFault."""
        sql = "SELECT sealed FROM numbers WHERE srid = ?"
        row = await self._read(lambda db: db.execute(sql, (srid,)).fetchone())
        return self._sealer.open(srid, row[0]) if row else None

    async def sweep(self) -> None:
        """Forget what is past its time: done bookings, and numbers that no booking needs. Raises QueueFault."""
        now = self._now()
        epochs = sorted(self.reached)[:-_EPOCHS]

        def run(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM done WHERE t < ?", (now - DONE_MS,))
            db.execute(
                "DELETE FROM done WHERE of IN (SELECT of FROM done ORDER BY t DESC LIMIT -1 OFFSET ?)", (DONE_ROWS,)
            )
            db.execute(
                "DELETE FROM numbers WHERE t < ? AND srid NOT IN (SELECT srid FROM jobs WHERE srid IS NOT NULL)",
                (now - NUMBER_MS,),
            )
            db.executemany("DELETE FROM reached WHERE epoch = ?", [(epoch,) for epoch in epochs])

        await self._transaction(run)
        for epoch in epochs:
            del self.reached[epoch]

    # --- the file

    async def _transaction(self, body: Callable[[sqlite3.Connection], _T]) -> _T:
        def run(db: sqlite3.Connection) -> _T:
            db.execute("BEGIN IMMEDIATE")
            try:
                result = body(db)
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            return result

        return await self._read(run)

    async def _read(self, body: Callable[[sqlite3.Connection], _T]) -> _T:
        db = self._db
        if db is None:
            raise QueueFault("ILS_DB_FAULT", "the bookings' file is closed")
        return await self._run(lambda: body(db))

    async def _run(self, body: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, body)
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "") or type(error).__name__
            raise QueueFault("ILS_DB_FAULT", f"{self._path.name} cannot be used ({name})") from error


def _job(row: tuple[str, str, str, str, int, int | None, str, str | None, int]) -> Job:
    of, task, owner, item_no, t, due, home, srid, id_ = row
    return Job(of, Task(task), ItemKey(owner, item_no), t, due, home, srid, id_)


def _prepare(db: sqlite3.Connection) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > len(_MIGRATIONS):
        raise QueueFault(
            "ILS_DB_NEWER", f"ils.db has version {version}, this software knows {len(_MIGRATIONS)}; update it"
        )
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("PRAGMA secure_delete=ON")
    if version and db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
        raise QueueFault("ILS_DB_FAULT", "ils.db is damaged; keep a copy for the ILS's staff and start with a new one")
    for number in range(version, len(_MIGRATIONS)):
        db.executescript(f"BEGIN; {_MIGRATIONS[number]} PRAGMA user_version={number + 1}; COMMIT;")
