"""The replica in use: synchronous point reads on the loop, changes applied in a thread, snapshots built in another process.

Versions follow one another by exactly one; what does not fit is a Gap, the as-of time stands still, and its age grows until a snapshot
comes. Ages run on the monotonic clock from the moment an as-of time was heard, so a wall clock set by hand makes nothing fresh.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from consortium.bundle import Policy
from consortium.facts import Assurance, CardStatus, Known
from consortium.identity import ItemKey
from consortium.seal import Held, Trust
from edge.clock import EdgeClock
from edge.outbox import Watermark
from edge.replica import process, store
from edge.replica.kept import Kept
from edge.replica.policy import PolicyGuard
from edge.replica.rows import ItemRow, ReaderRow, ReplicaInvalid, TokenRow, change, read_item, read_reader
from edge.replica.steps import Step, moved, read_step

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

HELD_FILE = "policy-held.json"
"""Version and digest of the newest policy ever taken; outside the replica's directory, whose files snapshots replace."""

_BUILD_TIMEOUT_S = 1_800.0

_TOKEN = "SELECT srid, status, assurance, to_ms FROM tokens WHERE token = ?"  # noqa: S105 - a statement, no secret
_HOLDER = (
    "SELECT t.srid, t.status, t.assurance, t.to_ms, r.value FROM tokens t JOIN readers r USING (srid) WHERE t.token = ?"
)
_READER = "SELECT value FROM readers WHERE srid = ?"
_ITEM = "SELECT value FROM items WHERE owner = ? AND item_no = ?"
_LOANS = "SELECT owner, item_no FROM items WHERE loan_srid = ? LIMIT ?"
_HOLDS = "SELECT owner, item_no FROM items WHERE hold_srid = ? LIMIT ?"
_MAX_KEYS = 1_000  # of one reader
_AFTER = "SELECT item_no FROM items WHERE owner = ? AND item_no > ? ORDER BY item_no LIMIT ?"
_NUMBER = "SELECT owner FROM numbers WHERE item_no = ?"

_STATUS = {status.value: status for status in CardStatus}
_ASSURANCE = {assurance.value: assurance for assurance in Assurance}


@dataclass(frozen=True, slots=True)
class Applied:
    """The message is part of the replica now, or was before (``changed`` False)."""

    version: int
    changed: bool = True


@dataclass(frozen=True, slots=True)
class Gap:
    """The message does not follow what we hold: fetch a snapshot. ``have`` is None without a replica."""

    have: tuple[int, int] | None
    got: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _File:
    reads: sqlite3.Connection
    writes: sqlite3.Connection
    policy: Policy | None
    held: Held | None


class Replica:
    """The replica in ``directory``. ``start`` opens what is there; without a file every read answers None and every age is endless.

    A policy is taken where ``trust`` says so; which one was the newest is noted in ``HELD_FILE`` beside the directory.
    """

    def __init__(self, directory: Path, clock: EdgeClock, trust: Trust) -> None:
        self._directory = directory
        self._guard = PolicyGuard(trust, directory.with_name(HELD_FILE), clock.now)
        self._clock = clock
        self._pool = ThreadPoolExecutor(1, "replica")
        self._lock = asyncio.Lock()
        self._reads: sqlite3.Connection | None = None
        self._writes: sqlite3.Connection | None = None
        self._path: Path | None = None
        self._head: store.Head | None = None
        self._includes: Watermark | None = None
        self._policy: Policy | None = None
        self._heard: tuple[int, int] = (0, 0)  # monotonic ms when the as-of time was heard, its age then
        self._kept = Kept()

    # --- life ---

    async def start(self) -> None:
        """Open the file in use. A damaged one is as good as none: the hub is asked for a snapshot."""
        await self._in_thread(lambda: self._directory.mkdir(parents=True, exist_ok=True))
        await self._in_thread(self._guard.load)
        path = store.current(self._directory)
        if path is None:
            return
        try:
            opened = await self._in_thread(lambda: self._open(path))
            await self._in_thread(lambda: self._took(opened))
            self._use(path, opened)
        except ReplicaInvalid as error:
            _log.error("replica: %s; asking the hub for a new one", error.code)

    async def close(self) -> None:
        """Close the files. Safe to call twice."""
        async with self._lock:
            for conn in (self._reads, self._writes):
                if conn is not None:
                    conn.close()
            self._reads = self._writes = None
            self._head = None
        self._pool.shutdown(wait=False)

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def _use(self, path: Path, opened: _File) -> None:
        old = (self._reads, self._writes)
        self._path, self._reads, self._writes, self._policy = path, opened.reads, opened.writes, opened.policy
        self._kept.forget()
        self._set_head(store.read_head(opened.reads))
        for conn in old:
            if conn is not None:
                conn.close()

    def _set_head(self, head: store.Head) -> None:
        self._head = head
        self._includes = Watermark(head.epoch, head.upto)
        self._heard = (self._clock.mono(), max(0, self._clock.now() - head.asof_ms))

    # --- reads, on the loop ---

    @property
    def ready(self) -> bool:
        """Whether there is a replica with a policy: enough to decide by."""
        return self._policy is not None

    @property
    def version(self) -> int:
        """Version held; 0 without a replica."""
        return self._head.version if self._head else 0

    @property
    def generation(self) -> int:
        """Generation held; 0 without a replica."""
        return self._head.generation if self._head else 0

    @property
    def includes(self) -> Watermark | None:
        """Which of this node's own events the replica contains; None without a replica."""
        return self._includes

    @property
    def policy(self) -> Policy | None:
        """The policy to decide by; None without one."""
        return self._policy

    def age_ms(self) -> int | None:
        """How old the replica is, by the monotonic clock; None without one."""
        if self._head is None:
            return None
        at, age = self._heard
        return age + max(0, self._clock.mono() - at)

    def known(self, now: int) -> Known:
        """The as-of times of everything here, for decisions made at ``now`` (ms UTC); 0 without a replica."""
        age = self.age_ms()
        asof = 0 if age is None else now - age
        return Known(asof, asof, asof, asof, asof)

    def token(self, token: str) -> TokenRow | None:
        """The card or number behind a token (64 hex digits)."""
        try:
            row = self._one(_TOKEN, (bytes.fromhex(token),))
        except ValueError:
            return None
        return TokenRow(row[0], _STATUS[row[1]], _ASSURANCE[row[2]], row[3]) if row else None

    def holder(self, token: str) -> tuple[TokenRow, ReaderRow] | None:
        """The card or number behind a token with its reader, in one read; None where either is missing."""
        try:
            row = self._one(_HOLDER, (bytes.fromhex(token),))
        except ValueError:
            return None
        return (TokenRow(row[0], _STATUS[row[1]], _ASSURANCE[row[2]], row[3]), read_reader(row[4])) if row else None

    def reader(self, srid: str) -> ReaderRow | None:
        """A reader."""

        def read() -> ReaderRow | None:
            row = self._one(_READER, (srid,))
            return read_reader(row[0]) if row else None

        return self._kept.get((srid,), read)

    def item(self, owner: str, item_no: str) -> ItemRow | None:
        """An item: the site's own, or a partner's that has to do with one of its branches."""

        def read() -> ItemRow | None:
            row = self._one(_ITEM, (owner, item_no))
            return read_item(row[0]) if row else None

        return self._kept.get((owner, item_no), read)

    def items_after(self, owner: str, after: str, limit: int) -> list[str]:
        """Numbers of a library's items that are known here, behind one and in their order; for walking through them all."""
        if self._reads is None:
            return []
        try:
            return [str(row[0]) for row in self._reads.execute(_AFTER, (owner, after, limit)).fetchall()]
        except sqlite3.Error as error:
            raise ReplicaInvalid("REPLICA_FILE", "the replica file cannot be read") from error

    def owner_of_number(self, item_no: str) -> str | None:
        """Whose a bare number is: the site's own item first, else the one of the consortium where it is unique and known here."""
        if self._head is None:
            return None
        if self.item(self._head.org, item_no) is not None:
            return self._head.org
        row = self._one(_NUMBER, (item_no,))
        return str(row[0]) if row else None

    def loans_of(self, srid: str) -> list[ItemKey]:
        """Items the reader has on loan, of those that are known here."""
        return self._keys(_LOANS, srid)

    def holds_of(self, srid: str) -> list[ItemKey]:
        """Items that wait for the reader, of those that are known here."""
        return self._keys(_HOLDS, srid)

    @contextlib.contextmanager
    def at_one_version(self) -> Iterator[None]:
        """Reads inside see one version, however many changes are applied meanwhile. Nothing may be awaited inside."""
        conn = self._reads
        if conn is None or conn.in_transaction or self._kept.still:
            yield
            return
        conn.execute("BEGIN")
        try:
            yield
        finally:
            conn.execute("COMMIT")

    def _one(self, sql: str, values: tuple[Any, ...]) -> Any:
        if self._reads is None:
            return None
        try:
            return self._reads.execute(sql, values).fetchone()
        except sqlite3.Error as error:
            raise ReplicaInvalid("REPLICA_FILE", "the replica file cannot be read") from error

    def _keys(self, sql: str, srid: str) -> list[ItemKey]:
        if self._reads is None:
            return []
        try:
            return [ItemKey(*row) for row in self._reads.execute(sql, (srid, _MAX_KEYS)).fetchall()]
        except sqlite3.Error as error:
            raise ReplicaInvalid("REPLICA_FILE", "the replica file cannot be read") from error

    # --- changes ---

    async def apply_delta(self, message: Mapping[str, Any]) -> Applied | Gap:
        """Apply one version step; an older one changes nothing. Raises ReplicaInvalid, and is then as before."""
        step = read_step(message)
        async with self._lock:
            head = self._head
            fit = self._fit(head, step, step.version - 1)
            if fit is not None:
                return fit
            assert head is not None
            new = moved(head, step)
            with self._kept.changing():
                policy = await self._in_thread(lambda: self._write(step.rows, new))
            if policy is not None:
                self._policy = policy
            self._set_head(new)
            return Applied(new.version)

    async def apply_watermark(self, message: Mapping[str, Any]) -> Applied | Gap:
        """Take the hub's word that nothing has changed since; Gap where it is ahead of us. Raises ReplicaInvalid."""
        step = read_step(message)
        async with self._lock:
            head = self._head
            fit = self._fit(head, step, step.version)
            if fit is not None:
                return fit
            assert head is not None
            new = moved(head, step)
            await self._in_thread(lambda: self._write([], new))
            self._set_head(new)
            return Applied(new.version)

    @staticmethod
    def _fit(head: store.Head | None, step: Step, wanted: int) -> Applied | Gap | None:
        """None where the step fits on version ``wanted``."""
        if head is not None:
            if (head.generation, head.version) == (step.generation, wanted):
                return None
            if (head.generation, head.version) > (step.generation, wanted):
                return Applied(
                    head.version, changed=False
                )  # sent before what we hold: a restore only ever raises the generation
        have = (head.generation, head.version) if head else None
        return Gap(have, (step.generation, step.version))

    def _write(self, rows: list[Any], head: store.Head) -> Policy | None:
        conn = self._writes
        if conn is None:
            raise ReplicaInvalid("REPLICA_FILE", "the replica is closed")
        policy: Policy | None = None
        held: Held | None = None
        try:
            conn.execute("BEGIN IMMEDIATE")
            try:
                for row in rows:
                    # Row by row: each statement lets the loop's thread run, so a tap waits for one row and not for a message.
                    one = change(row)
                    if one.statement == "put_policy":
                        policy, held = self._guard.open(*one.values)
                    conn.execute(store.STATEMENTS[one.statement], one.values)
                store.write_head(conn, head)
                conn.execute("COMMIT")
            except BaseException:
                if conn.in_transaction:
                    conn.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise ReplicaInvalid("REPLICA_FILE", "the replica file cannot be written") from error
        if held is not None:
            self._guard.took(held)
        return policy

    async def apply_snapshot(self, path: Path, manifest: Mapping[str, Any]) -> Applied:
        """Build a new file from a snapshot in another process and switch to it; reads go on from the old one until then.

        A snapshot older than what we hold changes nothing. Raises ReplicaInvalid (sha256, size, rows, policy and its seal).
        """
        try:
            generation, version = int(manifest["generation"]), int(manifest["version"])
        except (KeyError, TypeError, ValueError) as error:
            raise ReplicaInvalid("REPLICA_MANIFEST", "the manifest names no generation and version") from error
        if self._head is not None and (self._head.generation, self._head.version) > (generation, version):
            return Applied(self._head.version, changed=False)
        out = self._directory / f"replica-{generation}-{version}-{self._clock.mono()}.db"
        try:
            await process.run(
                "edge.replica.build", (str(path), str(out), json.dumps(dict(manifest))), timeout_s=_BUILD_TIMEOUT_S
            )
        except BaseException:
            out.unlink(missing_ok=True)
            raise
        async with self._lock:
            try:
                opened = await self._in_thread(lambda: self._open(out))
            except ReplicaInvalid:
                out.unlink(missing_ok=True)
                raise
            await self._in_thread(lambda: store.set_current(self._directory, out))
            await self._in_thread(lambda: self._took(opened))
            self._use(out, opened)
            await self._in_thread(lambda: store.remove_others(self._directory, out))
        return Applied(version)

    def _took(self, opened: _File) -> None:
        if opened.held is not None:
            self._guard.took(opened.held)

    def _open(self, path: Path) -> _File:
        """Both connections to a finished file, warmed, and its policy."""
        writes = store.connect(path)
        try:
            store.read_head(writes)
            row = writes.execute("SELECT version, body FROM policy").fetchone()
            policy, held = self._guard.open(*row) if row else (None, None)
            if held is None:
                self._guard.without()
            reads = store.connect(path, read_only=True)
        except sqlite3.Error as error:
            writes.close()
            raise ReplicaInvalid("REPLICA_FILE", "the replica file is damaged") from error
        except ReplicaInvalid:
            writes.close()
            raise
        for sql, values in ((_TOKEN, (b"",)), (_HOLDER, (b"",)), (_READER, ("",)), (_ITEM, ("", "")), (_NUMBER, ("",))):
            reads.execute(sql, values).fetchone()
        return _File(reads, writes, policy, held)
