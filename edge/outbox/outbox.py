"""The outbox as the rest of the edge sees it: append and await, hand out what the hub lacks, take its acks."""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from consortium.events import CLASS_OF, EventClass, Kind
from consortium.identity import CHAIN_START
from edge.clock import EdgeClock, Stamp
from edge.outbox import store, writer
from edge.outbox.errors import OutboxClosed, OutboxError, OutboxFault, OutboxFull
from edge.outbox.rows import Draft, Kept, Memo, OutboxLimits, Recorded, Watermark
from protocols.bus import EventRow

_SHARE = {EventClass.PRESENCE: (1, 2), EventClass.VISIT: (4, 5), EventClass.CIRCULATION: (1, 1)}


class Observer(Protocol):
    """Who follows the edge's own events, on the loop: ``accepted`` at append, then ``recorded`` or ``failed`` for the same ticket.

    ``renumbered``: events were issued again under a new epoch; read the file anew.
    """

    def accepted(self, ticket: int, draft: Draft, stamp: Stamp) -> None: ...
    def recorded(self, ticket: int, recorded: Recorded) -> None: ...
    def failed(self, ticket: int) -> None: ...
    def renumbered(self) -> None: ...


@dataclass(slots=True)
class OutboxStats:
    """Counters since start. ``dropped`` and ``failed`` count events that were not recorded, by class."""

    recorded: int = 0
    dropped: dict[str, int] = field(default_factory=lambda: {c.value: 0 for c in EventClass})
    failed: dict[str, int] = field(default_factory=lambda: {c.value: 0 for c in EventClass})
    rejected: int = 0


class Outbox:
    """One edge's outbox file. ``start`` before use, ``close`` after; used on one event loop.

    ``salt`` makes the random part of a subject. ``after_epoch``: an epoch known to be older (the replica's), so that a new file's epoch
    sorts behind it even where the clock went back.
    """

    def __init__(
        self,
        path: Path,
        node: str,
        clock: EdgeClock,
        *,
        limits: OutboxLimits | None = None,
        salt: Callable[[], str] = lambda: secrets.token_hex(16),
        after_epoch: str | None = None,
    ) -> None:
        self.node = node
        self.limits = limits or OutboxLimits()
        self.stats = OutboxStats()
        self._path = path
        self._clock = clock
        self._salt = salt
        self._after_epoch = after_epoch
        self._observers: list[Observer] = []
        self._writer: writer.Writer | None = None
        self._reads: sqlite3.Connection | None = None
        self._lock_fd: int | None = None
        self._buffer: list[writer.Append] = []
        self._pending = 0
        self._tickets = 0
        self._head = store.Head("", 0, 0, CHAIN_START, 0)

    # --- life ---

    async def start(self) -> None:
        """Open or make the file. Raises OutboxFault (in use, damaged, read-only, newer), OutboxFull."""
        conn, self._reads, self._head = await asyncio.to_thread(self._open)
        now = self._clock.now
        self._writer = writer.Writer(conn, self.node, _copy(self._head), self.limits, now, asyncio.get_running_loop())
        self._writer.start()

    def _open(self) -> tuple[sqlite3.Connection, sqlite3.Connection, store.Head]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock_fd = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._unlock()
            raise OutboxFault("another program uses this outbox; two edges must not share a data directory") from error
        except OSError as error:
            raise OutboxFault(f"the outbox's directory cannot be used ({error.strerror})") from error
        try:
            conn = store.connect(self._path, max_file_mib=self.limits.max_file_mib, create=True)
            try:
                head = store.read_head(conn)
                if head is None:
                    conn.execute("BEGIN IMMEDIATE")
                    head = store.open_epoch(conn, self._new_epoch(self._after_epoch))
                    conn.execute("COMMIT")
                return conn, store.connect(self._path), head
            except sqlite3.Error as error:
                conn.close()
                raise store.as_outbox_error(error) from error
        except OutboxError:
            self._unlock()
            raise

    def _unlock(self) -> None:
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    async def close(self) -> None:
        """Write what was accepted and close the file. Safe to call twice."""
        if self._writer is None or self._reads is None:
            return
        self._flush()
        stopping, self._writer = self._writer, None
        await asyncio.to_thread(stopping.stop)
        await asyncio.sleep(0)  # the answers of the last group are in the loop's queue
        self._reads.close()
        self._unlock()

    def observe(self, observer: Observer) -> None:
        """Tell ``observer`` of every event from now on."""
        self._observers.append(observer)

    # --- in ---

    def append(self, draft: Draft, memo: Memo | None = None) -> asyncio.Future[Recorded]:
        """Record an event; the future is done when it is durable, together with ``memo`` where one is given.

        Raises at once OutboxFull where this class of event may take no more rows and OutboxClosed; the future raises OutboxFull (disk),
        OutboxFault or DraftInvalid. Whoever cancels the future only stops waiting: the event is recorded.
        """
        future: asyncio.Future[Recorded] = asyncio.get_running_loop().create_future()

        def answer(result: Recorded | None, error: OutboxError | None) -> None:
            if not future.done():
                if result is not None:
                    future.set_result(result)
                else:
                    future.set_exception(error or OutboxFault("no answer"))

        self._accept(draft, memo, answer)
        return future

    def append_nowait(self, draft: Draft) -> bool:
        """Record a visit or presence without waiting for the disk. False where there is no room; it is then counted as dropped."""
        try:
            self._accept(draft, None, None)
        except OutboxError:
            self.stats.dropped[CLASS_OF[draft.kind].value] += 1
            return False
        return True

    def _accept(self, draft: Draft, memo: Memo | None, answer: writer.Done | None) -> None:
        if self._writer is None:
            raise OutboxClosed("the outbox is closed")
        kind_class = CLASS_OF[draft.kind]
        parts, of = _SHARE[kind_class]
        if self.depth >= self.limits.max_rows * parts // of:
            raise OutboxFull(f"the outbox takes no more {kind_class.value} events until the hub answers")
        self._tickets += 1
        ticket = self._tickets
        stamp = self._clock.stamp(draft.t_eff)
        if draft.t_unc > stamp.t_unc:
            stamp = replace(stamp, t_unc=draft.t_unc)

        def done(result: Recorded | None, error: OutboxError | None) -> None:
            self._pending -= 1
            if result is not None:
                self.stats.recorded += 1
                self._head.seq, self._head.chain = result.event_id.seq, result.hash
            else:
                self.stats.failed[kind_class.value] += 1
            if answer is not None:
                answer(result, error)
            for observer in self._observers:
                if result is not None:
                    observer.recorded(ticket, result)
                else:
                    observer.failed(ticket)

        salt = self._salt() if draft.srid is not None else None
        self._pending += 1
        if not self._buffer:
            # One turn of the loop later: whoever else appends in this turn shares the group, and its fsync.
            asyncio.get_running_loop().call_soon(self._flush)
        self._buffer.append(writer.Append(draft, stamp, salt, memo, done))
        for observer in self._observers:
            observer.accepted(ticket, draft, stamp)

    def _flush(self) -> None:
        if self._buffer and self._writer is not None:
            self._writer.put(self._buffer)
            self._buffer = []

    async def remember(self, key: str, value: bytes) -> None:
        """Keep a memo that belongs to no event (a refusal that must be repeated alike). Durable on return. Raises OutboxError."""
        now = self._clock.now()

        def run(conn: sqlite3.Connection, head: store.Head) -> tuple[object, store.Head]:
            store.put_memos(conn, [(key, value, now)])
            return None, head

        await self._job(run)

    def memo(self, key: str) -> bytes | None:
        """What was remembered under this key, for a day; a point read."""
        row = self._read().execute("SELECT value FROM memos WHERE key = ?", (key,)).fetchone()
        return bytes(row[0]) if row else None

    # --- out ---

    @property
    def epoch(self) -> str:
        """The running epoch."""
        return self._head.epoch

    @property
    def last_seq(self) -> int:
        """Highest durable sequence number of the running epoch; 0 before the first."""
        return self._head.seq

    @property
    def acked_seq(self) -> int:
        """Highest sequence number of the running epoch that the hub holds."""
        return self._head.acked

    @property
    def depth(self) -> int:
        """Events the hub is not known to hold, those on their way to the disk included."""
        return self._head.seq - self._head.acked + self._pending

    def oldest_ms(self) -> int | None:
        """When the oldest undelivered event was recorded, ms UTC; None where all are delivered."""
        first = self._head.base + self._head.acked + 1
        row = self._read().execute("SELECT created_ms FROM events WHERE pos = ?", (first,)).fetchone()
        return int(row[0]) if row else None

    def unsent(self, after_seq: int, limit_bytes: int) -> list[tuple[EventRow, int]]:
        """Durable rows of the running epoch after ``after_seq`` with their bytes on the wire, in order, up to ``limit_bytes``."""
        return store.unsent(self._read(), self._head.base, after_seq, limit_bytes, 512)

    def hash_at(self, seq: int) -> str | None:
        """The chain hash at ``seq`` of the running epoch (0: what the first event chains to); None where it is not kept any more."""
        return store.hash_at(self._read(), self._head, seq)

    def acked(self, epoch: str, upto: int, rejected: Sequence[tuple[int, str]] = ()) -> None:
        """The hub holds everything of ``epoch`` up to ``upto``; ``rejected`` are (seq, code) it keeps in quarantine.

        Older acks and those of another epoch change nothing.
        """
        if self._writer is None or epoch != self._head.epoch or not self._head.acked < upto <= self._head.seq:
            return
        self._head.acked = upto
        self.stats.rejected += len(rejected)
        self._writer.note_acked(epoch, upto, list(rejected))

    async def rewind(self, upto: int) -> bool:
        """The hub holds less than it acked (restored from a backup): everything after ``upto`` is undelivered again.

        False where rows it lacks have left the archive; then only a new epoch helps.
        """
        row = self._read().execute("SELECT 1 FROM events WHERE pos = ?", (self._head.base + upto + 1,)).fetchone()
        if row is None and upto < self._head.seq:
            return False

        def run(conn: sqlite3.Connection, head: store.Head) -> tuple[object, store.Head]:
            store.set_acked(conn, head.epoch, upto)
            head.acked = upto
            return None, head

        self._head.acked = upto
        if self._writer is not None:
            self._writer.note_acked(self._head.epoch, upto, [])
        await self._job(run)
        return True

    async def begin_epoch(self, after_seq: int) -> str:
        """Our history and the hub's disagree: open a new epoch and issue every event after ``after_seq`` again in it, marked so.

        Gives the new epoch. Raises OutboxError; then the old epoch goes on.
        """
        epoch = self._new_epoch(self._head.epoch)

        def run(conn: sqlite3.Connection, head: store.Head) -> tuple[object, store.Head]:
            fresh = writer.reissue(conn, head, after_seq, epoch)
            return _copy(fresh), fresh

        def switch(result: object) -> None:
            assert isinstance(result, store.Head)
            self._head = result
            for observer in self._observers:
                observer.renumbered()

        await self._job(run, switch)
        return epoch

    async def _job(
        self,
        run: Callable[[sqlite3.Connection, store.Head], tuple[object, store.Head]],
        then: Callable[[object], None] | None = None,
    ) -> None:
        if self._writer is None:
            raise OutboxClosed("the outbox is closed")
        self._flush()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(result: object, error: OutboxError | None) -> None:
            try:
                if error is None and then is not None:
                    then(result)  # before any later event is told: its seq belongs to the new head
            finally:
                if not future.done():
                    if error is None:
                        future.set_result(None)
                    else:
                        future.set_exception(error)

        self._writer.put(writer.Job(run, done))
        await future

    # --- back ---

    def counting(self, kinds: frozenset[Kind], after: Watermark | None, since_ms: int = 0) -> list[Kept]:
        """Own events of these kinds after the watermark and created since then that count, in order; for rebuilding what they mean."""
        return list(store.counting(self._read(), kinds, after, since_ms))

    def _read(self) -> sqlite3.Connection:
        if self._reads is None or self._writer is None:
            raise OutboxClosed("the outbox is closed")
        return self._reads

    def _new_epoch(self, after: str | None) -> str:
        at = self._clock.now()
        if after and after[:13].isdigit():
            at = max(at, int(after[:13]) + 1)
        return f"{at:013d}-{secrets.token_hex(4)}"


def _copy(head: store.Head) -> store.Head:
    return store.Head(head.epoch, head.base, head.seq, head.chain, head.acked)
