"""A whole hub for tests: broker, worker and HTTP on free ports, with the small consortium loaded and a day's events taken in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
from sqlalchemy import select

from bus.broker.iotcore import IotcoreBroker
from hub.app import create_app, listen
from hub.config import HubConfig, PinCost, write_key
from hub.load import load
from hub.store.engine import Store
from hub.store.schema import readers
from hub.worker import HubWorker
from tests.hub.api import world


def config_at(folder: Path, broker_url: str) -> HubConfig:
    """A configuration whose data lies in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = {"master.key": world.MASTER, "policy.key": world.POLICY_KEY}
    for name, raw in keys.items():
        if not (folder / name).exists():
            write_key(folder / name, raw)
    return HubConfig(
        data=folder,
        database=f"sqlite+aiosqlite:///{folder / 'hub.sqlite'}",
        broker_url=broker_url,
        master_key_file=folder / "master.key",
        policy_key_file=folder / "policy.key",
        http_port=0,
        pin=PinCost(1, 1024, 1),
    )


@dataclass
class Hub:
    """A running hub as a test sees it."""

    url: str
    worker: HubWorker
    client: httpx2.AsyncClient
    clock: Clock
    rids: dict[str, list[str]] = field(default_factory=dict)
    edges: dict[str, world.Edge] = field(default_factory=dict)

    async def get(self, path: str, token: str | None = "all", **more: Any) -> httpx2.Response:
        return await self.client.get(path, headers=bearer(token, more.pop("headers", None)), **more)

    async def post(self, path: str, body: Any, token: str | None = "all", **more: Any) -> httpx2.Response:
        return await self.client.post(path, json=body, headers=bearer(token, more.pop("headers", None)), **more)

    async def delete(self, path: str, token: str | None = "all", **more: Any) -> httpx2.Response:
        return await self.client.delete(path, headers=bearer(token, more.pop("headers", None)), **more)

    async def take_in(self) -> None:
        """Hand over what the edges have said since the last time."""
        for edge in self.edges.values():
            if rows := edge.taken():
                ack = await self.worker.ingest.batch(edge.node, edge.epoch, rows)
                assert ack.rejected == (), ack.rejected

    async def devices_say(self, org: str, devices: dict[str, Any]) -> None:
        """A branch's word of its devices, as its edge publishes it."""
        edge = self.edges[org]
        now = self.clock()
        data = {"online": True, "epoch": edge.epoch, "version": "0.1.0", "t": now, "devices": devices}
        await self.worker.board.state(edge.node, data, retained=False, now=now)

    async def goes_away(self, org: str) -> None:
        """A branch's last will."""
        told = await self.worker.board.state(self.edges[org].node, {"online": False}, retained=False, now=self.clock())
        if told is not None:
            self.worker.feed.announce(told)


def bearer(token: str | None, headers: dict[str, str] | None = None) -> dict[str, str]:
    """Headers with one of the world's tokens, by its name; a text that is no name goes as it is."""
    out = dict(headers or {})
    if token is not None:
        out["authorization"] = f"Bearer {world.TOKENS[token][0] if token in world.TOKENS else token}"
    return out


@dataclass
class Clock:
    """The real clock, moved by ``ahead`` ms."""

    ahead: int = 0

    def __call__(self) -> int:
        import time

        return time.time_ns() // 1_000_000 + self.ahead


@asynccontextmanager
async def serving(worker: HubWorker, clock: Clock) -> AsyncIterator[str]:
    """HTTP over a running worker, on a free port; gives the address."""
    listener = listen("127.0.0.1", 0)
    settings = uvicorn.Config(
        create_app(worker, clock=clock),
        timeout_graceful_shutdown=1,
        lifespan="off",
        log_level="warning",
        access_log=False,
    )
    server = uvicorn.Server(settings)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def running(folder: Path, *, loaded: bool = True, day: bool = True) -> AsyncIterator[Hub]:
    """A hub; ``loaded`` with the consortium file, ``day`` with a day's events."""
    clock = Clock()
    broker = IotcoreBroker()
    config = config_at(folder, await broker.start())
    if loaded:
        store = await Store.open(config.database)
        await load(
            store, world.consortium_file(clock()), world.MASTER, clock(), policy_key=world.POLICY_KEY, cost=config.pin
        )
        await store.close()
    worker = HubWorker(config)
    await worker.start()
    try:
        async with serving(worker, clock) as url, httpx2.AsyncClient(base_url=url, timeout=10) as client:
            hub = Hub(url, worker, client, clock)
            if loaded:
                await _fill(hub, day)
            yield hub
    finally:
        await worker.stop()
        await broker.stop()


async def _fill(hub: Hub, day: bool) -> None:
    async with hub.worker.store.read() as conn:
        for row in await conn.execute(select(readers.c.home, readers.c.rid).order_by(readers.c.reader_no)):
            hub.rids.setdefault(row.home, []).append(row.rid)
    hub.edges = {org: world.Edge(org) for org in world.BRANCHES}
    if day:
        world.a_day(hub.edges, hub.rids, hub.clock())
        await hub.take_in()
        await hub.devices_say(world.CQU, world.devices(hub.clock(), pad="degraded"))
        await hub.devices_say(world.YLG, world.devices(hub.clock()))
        await hub.devices_say(world.SCS, world.devices(hub.clock()))
        await hub.goes_away(world.SCS)
