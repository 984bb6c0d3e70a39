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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from consortium.bundle import BundleError, Policy, from_json
from consortium.facts import Assurance, CardStatus, Known
from consortium.identity import ItemKey
from edge.clock import EdgeClock
from edge.outbox import Watermark
from edge.replica import process, store
from edge.replica.rows import ItemRow, ReaderRow, ReplicaInvalid, TokenRow, change, read_item, read_reader

_T = TypeVar("_T")
_log = logging.getLogger(__name__)
_BUILD_TIMEOUT_S = 1_800.0
_MAX_ROWS = 10_000  # of one delta; a message of 16 KB holds a few hundred

_TOKEN = "SELECT srid, status, assurance, to_ms FROM tokens WHERE token = ?"  # noqa: S105 - a statement, no secret
_HOLDER = (
    "SELECT t.srid, t.status, t.assurance, t.to_ms, r.value FROM tokens t JOIN readers r USING (srid) WHERE t.token = ?"
)
_READER = "SELECT value FROM readers WHERE srid = ?"
_ITEM = "SELECT value FROM items WHERE owner = ? AND item_no = ?"
_LOANS = "SELECT owner, item_no FROM items WHERE loan_srid = ? LIMIT ?"
_HOLDS = "SELECT owner, item_no FROM items WHERE hold_srid = ? LIMIT ?"
_MAX_KEYS = 1_000  # of one reader
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


class _Step(msgspec.Struct, frozen=True):
    """A delta or watermark as it travels."""

    generation: int
    version: int
    asof_ms: int
    includes: dict[str, Any]
    rows: list[Any] = []


class Replica:
    """The replica in ``directory``. ``start`` opens what is there; without a file every read answers None and every age is endless."""

    def __init__(self, directory: Path, clock: EdgeClock) -> None:
        self._directory = directory
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

    # --- life ---

    async def start(self) -> None:
        """Open the file in use. A damaged one is as good as none: the hub is asked for a snapshot."""
        await self._in_thread(lambda: self._directory.mkdir(parents=True, exist_ok=True))
        path = store.current(self._directory)
        if path is None:
            return
        try:
            self._use(path, *(await self._in_thread(lambda: _open(path))))
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

    def _use(self, path: Path, reads: sqlite3.Connection, writes: sqlite3.Connection, policy: Policy | None) -> None:
        old = (self._reads, self._writes)
        self._path, self._reads, self._writes, self._policy = path, reads, writes, policy
        self._set_head(store.read_head(reads))
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
        row = self._one(_READER, (srid,))
        return read_reader(row[0]) if row else None

    def item(self, owner: str, item_no: str) -> ItemRow | None:
        """An item: the site's own, or a partner's that has to do with one of its branches."""
        row = self._one(_ITEM, (owner, item_no))
        return read_item(row[0]) if row else None

    def owner_of_number(self, item_no: str) -> str | None:
        """Whose a bare number is: the site's own item first, else the one of the consortium where it is unique and known here."""
        if self._head is None:
            return None
        if self._one(_ITEM, (self._head.org, item_no)) is not None:
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
        if conn is None or conn.in_transaction:
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
        step = _step(message)
        async with self._lock:
            head = self._head
            fit = self._fit(head, step, step.version - 1)
            if fit is not None:
                return fit
            assert head is not None
            new = _moved(head, step)
            policy = await self._in_thread(lambda: self._write(step.rows, new))
            if policy is not None:
                self._policy = policy
            self._set_head(new)
            return Applied(new.version)

    async def apply_watermark(self, message: Mapping[str, Any]) -> Applied | Gap:
        """Take the hub's word that nothing has changed since; Gap where it is ahead of us. Raises ReplicaInvalid."""
        step = _step(message)
        async with self._lock:
            head = self._head
            fit = self._fit(head, step, step.version)
            if fit is not None:
                return fit
            assert head is not None
            new = _moved(head, step)
            await self._in_thread(lambda: self._write([], new))
            self._set_head(new)
            return Applied(new.version)

    @staticmethod
    def _fit(head: store.Head | None, step: _Step, wanted: int) -> Applied | Gap | None:
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
        policy = None
        try:
            conn.execute("BEGIN IMMEDIATE")
            try:
                for row in rows:
                    # Row by row: each statement lets the loop's thread run, so a tap waits for one row and not for a message.
                    one = change(row)
                    if one.statement == "put_policy":
                        policy = _policy(one.values[1])
                    conn.execute(store.STATEMENTS[one.statement], one.values)
                store.write_head(conn, head)
                conn.execute("COMMIT")
            except BaseException:
                if conn.in_transaction:
                    conn.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise ReplicaInvalid("REPLICA_FILE", "the replica file cannot be written") from error
        return policy

    async def apply_snapshot(self, path: Path, manifest: Mapping[str, Any]) -> Applied:
        """Build a new file from a snapshot in another process and switch to it; reads go on from the old one until then.

        A snapshot older than what we hold changes nothing. Raises ReplicaInvalid (sha256, size, rows, policy).
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
            opened = await self._in_thread(lambda: _open(out))
            await self._in_thread(lambda: store.set_current(self._directory, out))
            self._use(out, *opened)
            await self._in_thread(lambda: store.remove_others(self._directory, out))
        return Applied(version)


def _step(message: Mapping[str, Any]) -> _Step:
    try:
        step = msgspec.convert(message, _Step)
        Watermark(step.includes["epoch"], step.includes["upto"])
    except (msgspec.ValidationError, KeyError) as error:
        raise ReplicaInvalid("REPLICA_STEP", "a delta or watermark lacks a field") from error
    if len(step.rows) > _MAX_ROWS:
        raise ReplicaInvalid("REPLICA_STEP", "a delta holds more rows than a message can")
    return step


def _moved(head: store.Head, step: _Step) -> store.Head:
    epoch, upto = step.includes["epoch"], step.includes["upto"]
    if not isinstance(epoch, str) or not isinstance(upto, int):
        raise ReplicaInvalid("REPLICA_STEP", "includes is {epoch, upto}")
    return replace(head, version=step.version, asof_ms=step.asof_ms, epoch=epoch, upto=upto)


def _policy(text: str) -> Policy:
    try:
        return Policy(from_json(text))
    except BundleError as error:
        raise ReplicaInvalid(error.code, str(error)) from error


def _open(path: Path) -> tuple[sqlite3.Connection, sqlite3.Connection, Policy | None]:
    """Both connections to a finished file, warmed, and its policy."""
    writes = store.connect(path)
    try:
        store.read_head(writes)
        row = writes.execute("SELECT body FROM policy").fetchone()
        policy = _policy(row[0]) if row else None
        reads = store.connect(path, read_only=True)
    except sqlite3.Error as error:
        writes.close()
        raise ReplicaInvalid("REPLICA_FILE", "the replica file is damaged") from error
    except ReplicaInvalid:
        writes.close()
        raise
    for sql, values in ((_TOKEN, (b"",)), (_HOLDER, (b"",)), (_READER, ("",)), (_ITEM, ("", "")), (_NUMBER, ("",))):
        reads.execute(sql, values).fetchone()
    return reads, writes, policy
