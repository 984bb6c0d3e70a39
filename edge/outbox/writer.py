"""The writer thread: takes what the loop handed over, makes events of it, and commits them in groups.

One thread writes, so order is the order of the queue. A group is whatever came while the last one was being synced (at most ``batch``
rows): with 32 producers one fsync carries 32 events. Futures are resolved after COMMIT, all of a group in one call into the loop.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from consortium.events import MAX_BODY, Event, EventError, decode, encode
from consortium.identity import EventId, chain, subject
from edge.clock import Stamp
from edge.outbox import store
from edge.outbox.errors import DraftInvalid, OutboxError, OutboxFault
from edge.outbox.rows import Draft, Memo, OutboxLimits, Recorded
from protocols.bus import BATCH_OVERHEAD, EventRow, ProtocolError, row_size

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

ROW_LIMIT = 16_000 - BATCH_OVERHEAD
"""Bytes an event may take on the wire: what fits one message with its envelope."""

REISSUE_ROOM = 256
"""Bytes kept free in a body, so that the event can be issued again with the id it had."""

_ACK_WRITTEN_S = 1.0
_SWEEP_ROWS = 500
_SWEEP_EVERY_S = 30.0


class Done(Protocol):
    """What the loop is told about one append: ``result`` or ``error``."""

    def __call__(self, result: Recorded | None, error: OutboxError | None) -> None: ...


@dataclass(frozen=True, slots=True)
class Append:
    """An event to make, with the instant it happened and who waits for it."""

    draft: Draft
    stamp: Stamp
    salt: str | None
    memo: Memo | None
    done: Done


@dataclass(frozen=True, slots=True)
class Job:
    """Anything else that writes, in its own transaction: ``run(connection, head)`` gives a result and the head after it."""

    run: Callable[[sqlite3.Connection, store.Head], tuple[object, store.Head]]
    done: Callable[[object, OutboxError | None], None]


class Writer:
    """Owns the file's only writing connection. ``head`` changes after a commit only; ``sweeping`` gives the archive's bounds."""

    def __init__(
        self,
        conn: sqlite3.Connection,
        node: str,
        head: store.Head,
        limits: OutboxLimits,
        now_ms: Callable[[], int],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._conn = conn
        self._node = node
        self._limits = limits
        self._now_ms = now_ms
        self._loop = loop
        self._queue: queue.SimpleQueue[list[Append] | Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._lock = threading.Lock()
        self._acked: tuple[str, int] | None = None
        self._rejected: list[tuple[int, str]] = []
        self.head = head
        self.commits = 0

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(self, work: list[Append] | Job) -> None:
        """Hand work over; it is done in order."""
        self._queue.put(work)

    def note_acked(self, epoch: str, acked: int, rejected: list[tuple[int, str]]) -> None:
        """The hub holds this much: written with the next group or within a second. Losing it costs a resend, nothing else.

        ``rejected`` are (seq, code). Called on the loop.
        """
        with self._lock:
            self._acked = (epoch, acked)
            self._rejected += rejected

    def stop(self) -> None:
        """Write what was handed over and end; blocks until the thread is gone."""
        self._queue.put(None)
        self._thread.join()
        self._conn.close()

    def _run(self) -> None:
        swept = time.monotonic()
        running = True
        while running:
            group: list[Append] = []
            job: Job | None = None
            try:
                work = self._queue.get(timeout=_ACK_WRITTEN_S)
            except queue.Empty:
                self._idle()
                if time.monotonic() - swept > _SWEEP_EVERY_S:
                    self._sweep()
                    swept = time.monotonic()
                continue
            while True:
                if work is None:
                    running = False
                    break
                if isinstance(work, Job):
                    job = work  # it comes after what was handed over before it
                    break
                group += work
                if len(group) >= self._limits.batch:
                    break
                try:
                    work = self._queue.get_nowait()
                except queue.Empty:
                    break
            for start in range(0, len(group), self._limits.batch):
                self._commit(group[start : start + self._limits.batch])
            if job is not None:
                self._do(job)
            if time.monotonic() - swept > _SWEEP_EVERY_S:
                self._sweep()
                swept = time.monotonic()
        self._idle()

    def _idle(self) -> None:
        if self._acked is not None:
            try:
                self._transaction(lambda: True)
            except OutboxError:
                return  # the next append tells somebody

    # --- a group of events ---

    def _commit(self, group: list[Append]) -> None:
        head = copy.copy(self.head)
        answers: list[tuple[Done, Recorded | None, OutboxError | None]] = []
        try:
            rows = self._rows(head, group, answers)
            if rows:
                self._transaction(lambda: store.insert(self._conn, rows, head))
                self._move(head)
        except OutboxError as error:
            answers = [(done, None, failed or error) for done, _, failed in answers]
        except Exception:  # outer edge of the writer: whoever waits must hear it, and the next group must be served
            _log.exception("outbox: a group of %d events failed", len(group))
            answers = [(work.done, None, OutboxFault("the outbox failed; see the log")) for work in group]
        self.commits += 1
        self._tell(lambda: _answer(answers))

    def _rows(
        self,
        head: store.Head,
        group: list[Append],
        answers: list[tuple[Done, Recorded | None, OutboxError | None]],
    ) -> list[store.NewRow]:
        rows: list[store.NewRow] = []
        created_ms = self._now_ms()
        for work in group:
            try:
                row, recorded = self._make(head, work, created_ms)
            except DraftInvalid as error:
                answers.append((work.done, None, error))
                continue
            rows.append(row)
            answers.append((work.done, recorded, None))
        return rows

    def _make(self, head: store.Head, work: Append, created_ms: int) -> tuple[store.NewRow, Recorded]:
        """The next event of the chain; moves ``head``. Raises DraftInvalid and then leaves ``head`` alone."""
        draft, stamp, seq = work.draft, work.stamp, head.seq + 1
        event = Event(
            node=self._node,
            epoch=head.epoch,
            seq=seq,
            kind=draft.kind,
            branch=draft.branch,
            device=draft.device,
            t_dev=stamp.t_dev,
            t_eff=stamp.t_eff,
            t_unc=stamp.t_unc,
            mono=stamp.mono,
            boot=stamp.boot,
            data=draft.data,
            subject=subject(work.salt, draft.srid) if work.salt and draft.srid else None,
            decision=draft.decision,
        )
        return link_event(head, event, work.salt, draft.srid if work.salt else None, created_ms, work.memo)

    def _transaction(self, body: Callable[[], _T]) -> _T:
        with self._lock:
            acked, rejected = self._acked, list(self._rejected)
        try:
            self._conn.execute("BEGIN IMMEDIATE")
            try:
                result = body()
                if acked is not None:
                    self._write_acked(*acked, rejected)
                self._conn.execute("COMMIT")
            except BaseException:
                if self._conn.in_transaction:
                    self._conn.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise store.as_outbox_error(error) from error
        if acked is not None:
            with self._lock:
                if self._acked == acked:
                    self._acked = None
                del self._rejected[: len(rejected)]
        return result

    def _move(self, head: store.Head) -> None:
        if head.epoch == self.head.epoch:
            head.acked = self.head.acked  # the same transaction may have written an ack
        self.head = head

    def _write_acked(self, epoch: str, acked: int, rejected: list[tuple[int, str]]) -> None:
        if epoch != self.head.epoch:
            return  # the epoch ended meanwhile and its tail was issued again
        store.set_acked(self._conn, epoch, acked)
        self.head.acked = acked
        if rejected:
            now = self._now_ms()
            store.put_rejected(self._conn, [(self.head.base + seq, code, now) for seq, code in rejected])

    def _tell(self, what: Callable[[], object]) -> None:
        try:
            self._loop.call_soon_threadsafe(what)
        except RuntimeError:
            return  # the loop is gone; what is durable is found in the file

    # --- other work ---

    def _do(self, job: Job) -> None:
        result: object = None
        error: OutboxError | None = None
        try:
            result, head = self._transaction(lambda: job.run(self._conn, copy.copy(self.head)))
            self._move(head)
        except OutboxError as failed:
            error = failed
        except Exception:  # outer edge of the writer, as in _commit
            _log.exception("outbox: a job failed")
            error = OutboxFault("the outbox failed; see the log")
        self._tell(lambda: job.done(result, error))

    def _sweep(self) -> None:
        now, limits = self._now_ms(), self._limits
        try:
            while (
                self._transaction(
                    lambda: store.sweep(
                        self._conn,
                        self.head,
                        before_ms=now - limits.archive_ms,
                        keep_rows=limits.archive_rows,
                        memo_before_ms=now - limits.memo_ms,
                        memo_rows=limits.memo_rows,
                        most=_SWEEP_ROWS,
                    )
                )
                and self._queue.empty()
            ):
                pass
        except OutboxError:
            return  # a full or failing disk shows at the next append, which has somebody to tell


def _answer(answers: list[tuple[Done, Recorded | None, OutboxError | None]]) -> None:
    for done, recorded, error in answers:
        try:
            done(recorded, error)
        except (
            Exception
        ):  # outer edge of a loop callback: one observer's fault must not leave the others waiting for ever
            _log.exception("outbox: an observer failed")


def link_event(
    head: store.Head, event: Event, salt: str | None, srid: str | None, created_ms: int, memo: Memo | None = None
) -> tuple[store.NewRow, Recorded]:
    """Chain ``event`` to ``head`` and move it. Raises DraftInvalid where the hub would not take the event or it cannot travel."""
    room = 0 if event.reissue_of else REISSUE_ROOM
    try:
        body = encode(event)
        decode(body)  # what the hub would put into quarantine is never promised
        digest = chain(head.chain, body)
        size = row_size(EventRow(event.seq, body, digest, salt, srid))
    except EventError as error:
        raise DraftInvalid(error.code, str(error)) from error
    except ProtocolError as error:
        raise DraftInvalid(error.code, "the reader's id or salt cannot travel") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise DraftInvalid("EVENT_NOT_JSON", "the event's data has no form in JSON") from error
    if size > ROW_LIMIT - room or len(body.encode()) > MAX_BODY - room:
        raise DraftInvalid("EVENT_TOO_LONG", f"the event is too long to travel ({size} bytes on the wire)")
    head.seq, head.chain = event.seq, digest
    row = store.NewRow(head.base + event.seq, event.kind, created_ms, size, body, digest, salt, srid, memo)
    return row, Recorded(EventId(event.node, event.epoch, event.seq), body, digest)


def reissue(conn: sqlite3.Connection, old: store.Head, after_seq: int, epoch: str) -> store.Head:
    """Begin ``epoch`` and issue every event of the old one after ``after_seq`` again in it (inside the caller's transaction).

    Times, reader and data stay; ``reissue_of`` names the id it had, so that the hub can know a double.
    """
    again = store.tail(conn, old, after_seq)
    store.close_epoch(conn, old.epoch, min(after_seq, old.seq))
    head = store.open_epoch(conn, epoch)
    for _, body, salt, srid, created_ms in again:
        event = decode(body)
        first = event.reissue_of or str(event.id)
        row, _ = link_event(
            head, replace(event, epoch=epoch, seq=head.seq + 1, reissue_of=first), salt, srid, created_ms
        )
        store.insert(conn, [row], head)
    return head
