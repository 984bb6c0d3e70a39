"""The hub's core on a real SQLite file, without bus or HTTP, at a time the test sets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Table, select

from hub.config import PinCost
from hub.decide.blocking import Blocking
from hub.decide.hello import Hello
from hub.decide.holding import Holding
from hub.decide.paying import Paying
from hub.decide.pins import Pins, hasher
from hub.decide.renewing import Renewer
from hub.decide.reservations import Reservations
from hub.decide.service import Decider
from hub.devices.board import Board
from hub.devices.nodes import Node, Nodes
from hub.feed import Feed
from hub.identity.keys import Identity
from hub.ingest import Ingest
from hub.load import load
from hub.metrics import Metrics
from hub.policy.current import CurrentPolicy
from hub.spread import Spread
from hub.store import schema
from hub.store.engine import Store
from tests.hub.api import world
from tests.make import NOW

COST = PinCost(1, 1024, 1)
PROJECTIONS = ("item_state", "loans", "transits", "visits", "conflicts", "decisions", "presence")


class Core:
    """Everything the worker makes, wired by hand. ``sent`` is what the replicas were told: (node, part, data)."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.now = NOW
        self.store = store
        self.folder = folder
        self.identity = Identity(world.MASTER)
        self.policy = CurrentPolicy()
        self.nodes = Nodes(store)
        self.metrics = Metrics()
        self.feed = Feed(store)
        self.reservations = Reservations()
        self.spread = Spread(store, self.identity, self.policy, folder / "replica", self.clock)
        self.sent: list[tuple[str, str, dict[str, Any]]] = []
        self.spread.send = self._send
        numbers = iter(range(1, 1_000_000))
        self.ingest = Ingest(
            store,
            self.identity,
            self.policy,
            self.nodes,
            self.spread,
            self.feed,
            self.reservations,
            self.metrics,
            self.clock,
            epoch="1795300000000-hub",
            salt=lambda: f"{next(numbers):032x}",
        )
        self.pins = Pins(hasher(COST))
        self.decider = Decider(
            store, self.identity, self.policy, self.reservations, self.pins, self.metrics, self.clock
        )
        clock = self.clock
        self.renewer = Renewer(store, self.identity, self.policy, self.metrics, clock)
        self.holding = Holding(store, self.policy, self.ingest, clock, most=3)
        self.paying = Paying(store, self.ingest, clock)
        self.blocking = Blocking(store, self.ingest, self.spread, clock)
        self.hello = Hello(store, self.spread, self.clock)
        self.board = Board(store, self.nodes, self.metrics)
        self.rids: dict[str, list[str]] = {}

    def clock(self) -> int:
        return self.now

    async def _send(self, node: str, part: str, data: dict[str, Any]) -> None:
        self.sent.append((node, part, data))

    def node(self, org: str) -> Node:
        return Node(f"edge-{world.BRANCHES[org]}", org, world.BRANCHES[org])

    def srid(self, org: str, home: str, n: int) -> str:
        """What ``org`` calls the n-th reader of ``home``."""
        return self.identity.srid(org, self.rids[home][n])

    async def take(self, edge: world.Edge, rows: Any = None) -> Any:
        """What an edge has said since the last time, or these rows."""
        return await self.ingest.batch(edge.node, edge.epoch, edge.taken() if rows is None else rows)

    async def rows(self, table: Table) -> list[dict[str, Any]]:
        """A whole table, in the order of its primary key."""
        async with self.store.read() as conn:
            found = await conn.execute(select(table).order_by(*table.primary_key.columns))
            return [dict(row._mapping) for row in found]

    async def heard(self) -> list[dict[str, Any]]:
        """The log without what the hub itself said (a policy was published, loans were imported)."""
        return [row for row in await self.rows(schema.events) if not row["node"].startswith("hub-")]

    async def projections(self) -> dict[str, list[dict[str, Any]]]:
        """Everything folded, to be compared; a conflict that later facts resolved tells of the order of arrival, not of the facts."""
        found = {name: await self.rows(schema.metadata.tables[name]) for name in PROJECTIONS}
        found["conflicts"] = [row for row in found["conflicts"] if row["resolution"] != "facts"]
        return found

    def card(self, org: str, n: int, home: str) -> str:
        """The token that the n-th reader's card of ``home`` has at ``org``."""
        first = {world.CQU: 10, world.YLG: 40, world.SCS: 70}[home]
        return self.identity.card(org, f"04{first + n:02X}A1B2C3D480")


@asynccontextmanager
async def running(folder: Path, *, more: dict[str, Any] | None = None) -> AsyncIterator[Core]:
    """A core with the small consortium loaded; ``more`` replaces keys of the consortium file."""
    folder.mkdir(parents=True, exist_ok=True)
    store = await Store.open(f"sqlite+aiosqlite:///{folder / 'hub.sqlite'}")
    core = Core(store, folder)
    numbers = iter(range(1, 1_000_000))
    file = {**world.consortium_file(NOW), "staff": [], **(more or {})}
    await load(
        store, file, world.MASTER, NOW, policy_key=world.POLICY_KEY, cost=COST, new_id=lambda: f"{next(numbers):032x}"
    )
    await core.policy.refresh(store)
    for row in sorted(await core.rows(schema.readers), key=lambda one: str(one["reader_no"])):
        core.rids.setdefault(row["home"], []).append(row["rid"])
    try:
        yield core
    finally:
        await core.feed.stop()
        await core.spread.stop()
        await store.close()


def edges() -> dict[str, world.Edge]:
    """An edge of each library, with nothing said yet."""
    return {org: world.Edge(org) for org in world.BRANCHES}
