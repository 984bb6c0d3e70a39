"""Ingest: batches of events in, one transaction for log, fold, projections and replica versions, and the ack after its commit.

Batches that wait while a transaction runs are committed together by the next one: an fsync costs the same for one batch as for
twenty. A batch is judged row by row before the transaction begins, so that nothing a node sends can make it fail.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.events import Kind
from consortium.identity import CHAIN_START
from hub.decide.reservations import Reservations
from hub.devices.nodes import Nodes
from hub.feed import Feed
from hub.identity.keys import Identity
from hub.ils import standing
from hub.ledger import disputes
from hub.ledger.admit import Row, admit
from hub.ledger.journal import hub_rows
from hub.ledger.log import Batch, Taken, take
from hub.ledger.project import Changed, Memory, first_branches, project
from hub.metrics import Metrics
from hub.policy.current import CurrentPolicy
from hub.spread.service import Spread
from hub.store.engine import Store

_log = logging.getLogger(__name__)
MAX_GROUP_ROWS = 2_000
"""Rows of one transaction, unless a single batch has more."""


class RowIn(Protocol):
    """A row as the bus brings it (``protocols.bus.EventRow``)."""

    @property
    def seq(self) -> int: ...
    @property
    def body(self) -> str: ...
    @property
    def hash(self) -> str: ...
    @property
    def salt(self) -> str | None: ...
    @property
    def srid(self) -> str | None: ...


class IngestRefused(Exception):
    """A batch that is not taken at all: the node is a stranger. Sending it again changes nothing; ``code`` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class IngestFailed(Exception):
    """The database did not commit; nothing was acknowledged, the node will send again."""

    code = "INGEST_FAILED"


@dataclass(frozen=True, slots=True)
class Ack:
    """What the hub holds of a stream, on disk: everything up to ``upto``; ``chain`` is the hash there."""

    epoch: str
    upto: int
    chain: str
    rejected: tuple[tuple[int, str], ...] = ()

    def to_data(self) -> dict[str, Any]:
        """The data of the ack message."""
        rejected = [{"seq": seq, "code": code} for seq, code in self.rejected]
        return {"epoch": self.epoch, "upto": self.upto, "chain": self.chain, "rejected": rejected}


@dataclass(frozen=True, slots=True)
class HubEvent:
    """An event that the hub itself gives rise to. ``data`` holds integers, strings, lists and objects only."""

    kind: Kind
    branch: str
    device: str
    data: Mapping[str, Any]
    rid: str | None = None
    decision: Mapping[str, Any] | None = None
    t_eff: int | None = None


@dataclass(slots=True)
class Committed:
    """What to tell the world once the transaction stands; made inside it, told by ``Ingest.tell``."""

    ids: list[str] = field(default_factory=list)
    taken: Taken = field(default_factory=Taken)
    changed: Changed = field(default_factory=Changed)
    also: Committed | None = None
    """What the hub itself said because of it, in the same transaction."""


@dataclass(slots=True)
class _Waiting:
    batch: Batch
    done: asyncio.Future[Ack]


def _fail(group: Sequence[_Waiting]) -> None:
    for waiting in group:
        if not waiting.done.done():
            waiting.done.set_exception(IngestFailed("the database did not commit"))
            waiting.done.exception()


class Ingest:
    """Takes batches. ``boot`` names this start of the hub in its own events."""

    def __init__(
        self,
        store: Store,
        identity: Identity,
        policy: CurrentPolicy,
        nodes: Nodes,
        spread: Spread,
        feed: Feed,
        reservations: Reservations,
        metrics: Metrics,
        clock: Callable[[], int],
        *,
        node: str = "hub-1",
        epoch: str | None = None,
        salt: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._store = store
        self._identity = identity
        self._policy = policy
        self._nodes = nodes
        self._spread = spread
        self._feed = feed
        self._reservations = reservations
        self._metrics = metrics
        self._clock = clock
        self.node = node
        self.epoch = epoch or f"{clock():013d}-{secrets.token_hex(4)}"
        self._salt = salt
        self._waiting: list[_Waiting] = []
        self._turn = asyncio.Lock()
        self._memory = Memory(identity)
        self.on_work: Callable[[set[str]], None] | None = None
        """Called after a commit with the libraries whose own ILS has new work."""

    async def batch(self, node: str, epoch: str, rows: Sequence[RowIn]) -> Ack:
        """Take consecutive rows of one node and epoch, and give the ack once they are committed.

        Raises IngestRefused NODE_UNKNOWN, IngestFailed where the database would not commit (nothing is acknowledged then).
        """
        now = self._clock()
        known = await self._nodes.find(node, now)
        if known is None:
            self._metrics.batches_refused.labels("NODE_UNKNOWN").inc()
            raise IngestRefused("NODE_UNKNOWN", "this node is not enrolled")
        if not rows:
            return Ack(epoch, 0, CHAIN_START)
        judged = [admit(node, known.org, epoch, row.seq, row.body, row.hash, row.salt, row.srid, now) for row in rows]
        waiting = _Waiting(Batch(node, known.org, epoch, judged), asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        async with self._turn:
            if not waiting.done.done():
                await self._commit(self._next_group())
        return waiting.done.result()

    def _next_group(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        rows = 0
        while self._waiting and (not group or rows + len(self._waiting[0].batch.rows) <= MAX_GROUP_ROWS):
            group.append(self._waiting.pop(0))
            rows += len(group[-1].batch.rows)
        return group

    async def _commit(self, group: Sequence[_Waiting]) -> None:
        """Commit a group and answer everybody in it. Where it fails each batch is tried alone, so that one costs only itself."""
        began = perf_counter()
        try:
            async with self._store.write() as conn:
                committed = await self.apply(conn, [waiting.batch for waiting in group])
        except Exception:  # outer edge of a transaction: whatever it was, nothing is acknowledged
            if len(group) > 1:
                for waiting in group:
                    await self._commit([waiting])
                return
            _log.exception("ingest: a batch of %s from %s was not committed", group[0].batch.epoch, group[0].batch.node)
            self._metrics.batches_refused.labels("INGEST_FAILED").inc()
            _fail(group)
            return
        except BaseException:
            _fail(group)
            raise
        for number, waiting in enumerate(group):
            cursor = committed.taken.cursors[waiting.batch.stream]
            rejected = tuple(committed.taken.rejected[number])
            waiting.done.set_result(Ack(waiting.batch.epoch, cursor.upto, cursor.chain, rejected))
        self._metrics.ingest_seconds.observe(perf_counter() - began)
        self.tell(committed)

    async def apply(self, conn: AsyncConnection, batches: Sequence[Batch]) -> Committed:
        """Log, fold, project and raise replica versions inside the caller's transaction; call ``tell`` after its commit."""
        now = self._clock()
        clocks = await self._memory.clocks.read(conn)
        taken = await take(conn, batches, now, clocks)
        changed = await project(conn, taken, self._policy.found, self._memory, clocks, now)
        if changed.rids or changed.items:
            await self._spread.changed(conn, loans_of=changed.rids, items=changed.items)
        # Before the commit: a loan that stands beside its own reservation would be counted twice, and a reader refused at the last book
        # of a limit. If the transaction fails, promises of two minutes are gone and the same events come again.
        for reservation in changed.reservations:
            self._reservations.consume(reservation)
        out = Committed(taken=taken, changed=changed)
        if said := standing.observed(taken.covered):
            moves = await standing.move(conn, said)
            born = [HubEvent(one.kind, one.branch, one.device, one.data, one.rid) for one in moves]
            if born:
                out.also = await self.record(conn, born)
                await self._spread.changed(conn, loans_of={one.rid for one in moves})
        return out

    async def record(self, conn: AsyncConnection, born: Iterable[HubEvent]) -> Committed:
        """Write events of the hub's own into the log, inside the caller's transaction; call ``tell`` after its commit.

        Whoever registered a reader calls this afterwards, with no events where there are none to tell.
        """
        rows: list[Row] = await hub_rows(
            conn, self._identity, self.node, self.epoch, list(born), self._clock(), self._salt
        )
        # With nothing to say, too: somebody may have been registered whose events wait for a name.
        committed = await self.apply(conn, [Batch(self.node, "hub", self.epoch, rows)] if rows else [])
        committed.ids = [f"{self.node}/{self.epoch}/{row.seq}" for row in rows]
        return committed

    async def take_defaults(self) -> int:
        """Settle by its default every conflict whose deadline has passed, as an event; gives how many. Call it now and then."""
        policy = self._policy.found
        if policy is None:
            return 0
        async with self._store.write() as conn:
            found = await disputes.due(conn, self._clock())
            branches = first_branches(policy)
            anywhere = min(policy.branches)  # an event that no branch gave rise to is booked at the first
            committed = await self.record(
                conn,
                [
                    HubEvent(
                        Kind.CONFLICT_SETTLED,
                        branches.get(one.owner, anywhere),
                        "deadline",
                        {"conflict": one.id, "resolution": one.default},
                    )
                    for one in found
                ],
            )
        self.tell(committed)
        return len(found)

    def tell(self, committed: Committed) -> None:
        """A transaction stands: tell the feed, the replicas and the counters."""
        taken, changed = committed.taken, committed.changed
        if taken.last_pos:
            self._feed.publish(taken.last_pos)
        if changed.rids or changed.items or committed.also is not None:
            self._spread.poke()
        if changed.work_for and self.on_work is not None:
            self.on_work(changed.work_for)
        if committed.also is not None:
            self.tell(committed.also)
        metrics = self._metrics
        if taken.logged:
            metrics.events.labels("logged").inc(taken.logged)
        if taken.duplicates:
            metrics.events.labels("duplicate").inc(taken.duplicates)
        for rejected in taken.rejected:
            for _, code in rejected:
                metrics.quarantined.labels(code).inc()
        for kind in changed.conflicts:
            metrics.conflicts.labels(kind).inc()
        if changed.refolded:
            metrics.refolds.inc(changed.refolded)
