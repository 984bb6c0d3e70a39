"""The worker on a real broker: an edge's side spoken on the wire."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bus import Incoming, Requester, RequestRefused, Transport
from bus.broker.iotcore import IotcoreBroker
from hub.config import ConfigError
from hub.load import load
from hub.store import schema
from hub.store.engine import Store
from hub.worker import HubWorker
from protocols.bus import Envelope, EventBatch, EventRow, Kind, decode, encode, message_type, rfc3339, topics
from tests.hub.api import world
from tests.hub.api.hubside import config_at
from tests.hub.api.world import BRANCHES, CQU, HOUR, YLG, Edge, item
from tests.hub.core import COST


def now() -> int:
    return time.time_ns() // 1_000_000


class Wire:
    """An edge as the bus sees it."""

    def __init__(self, link: Transport, edge: Edge) -> None:
        self.link = link
        self.edge = edge
        self.asking = Requester(link, edge.node)
        self.acks: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.replica: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()

    def _acked(self, incoming: Incoming) -> None:
        self.acks.put_nowait(decode(incoming.payload).data)

    def _told(self, incoming: Incoming) -> None:
        self.replica.put_nowait((str(topics.parse(incoming.topic).name), decode(incoming.payload).data))

    async def listen(self) -> None:
        await self.asking.start()
        await self.link.subscribe(topics.ack(self.edge.node), self._acked)
        await self.link.subscribe(f"tongjie/v1/{self.edge.node}/replica/+", self._told)

    async def send(self, rows: list[EventRow], *, source: str | None = None) -> None:
        data = EventBatch(self.edge.epoch, tuple(rows)).to_data()
        await self._say(topics.evt(self.edge.node), Kind.EVT, data, source)

    async def state(self, data: dict[str, Any]) -> None:
        await self._say(topics.state(self.edge.node), Kind.STATE, data, retain=True)

    async def _say(
        self, topic: str, kind: Kind, data: dict[str, Any], source: str | None = None, retain: bool = False
    ) -> None:
        envelope = Envelope(
            id=f"{now()}", source=source or self.edge.node, type=message_type(kind), time=rfc3339(now()), data=data
        )
        await self.link.publish(topic, encode(envelope), retain=retain)

    async def ask(self, name: str, data: dict[str, Any]) -> dict[str, Any]:
        return await self.asking.request(name, data, deadline_ms=now() + 2_000, timeout_s=3)

    async def until(self, part: str) -> dict[str, Any]:
        while True:
            name, data = await asyncio.wait_for(self.replica.get(), 5)
            if name == part:
                return data


@asynccontextmanager
async def hub_and_edge(
    folder: Path, org: str, more: dict[str, Any] | None = None
) -> AsyncIterator[tuple[HubWorker, Wire, list[str]]]:
    """A hub on a broker and one edge beside it; ``more`` replaces keys of the consortium file."""
    broker = IotcoreBroker()
    config = config_at(folder, await broker.start())
    store = await Store.open(config.database)
    await load(
        store,
        {**world.consortium_file(now()), "staff": [], **(more or {})},
        world.MASTER,
        now(),
        policy_key=world.POLICY_KEY,
        cost=COST,
    )
    await store.close()
    worker = HubWorker(config)
    await worker.start()
    link = Transport(config.broker_url, f"edge-{BRANCHES[org]}")
    try:
        wire = Wire(link, Edge(org))
        await wire.listen()
        await link.connect()
        async with asyncio.timeout(10):
            while not worker.broker_up:
                await asyncio.sleep(0.02)
        async with worker.store.read() as conn:
            query = schema.readers.select().where(schema.readers.c.home == org).order_by(schema.readers.c.reader_no)
            rids = [row.rid for row in await conn.execute(query)]
        yield worker, wire, rids
    finally:
        await link.close()
        await worker.stop()
        await broker.stop()


async def test_a_database_that_cannot_be_opened_is_one_sentence(tmp_path: Path) -> None:
    config = config_at(tmp_path, "mqtt://127.0.0.1:9")
    (tmp_path / "hub.sqlite").write_bytes(b"this is no database" * 100)
    worker = HubWorker(config)
    with pytest.raises(ConfigError) as wrong:
        await worker.start()
    await worker.stop()
    assert wrong.value.code == "CONFIG_DATABASE"


async def test_the_worker_starts_and_stops_while_the_broker_is_away(tmp_path: Path) -> None:
    worker = HubWorker(config_at(tmp_path, "mqtt://127.0.0.1:9"))
    began = time.monotonic()
    await worker.start()
    assert worker.broker_up is False
    await worker.stop()
    assert time.monotonic() - began < 3


async def test_events_decisions_and_replicas_over_a_real_broker(tmp_path: Path) -> None:
    async with hub_and_edge(tmp_path, YLG) as (worker, wire, rids):
        edge = wire.edge
        for n in range(3):
            edge.lend(now() - HOUR + n, item(YLG, n), rids[n], YLG)
        rows = edge.taken()

        await wire.send(rows, source="edge-251020-01")  # another node's words in this node's topic
        await wire.send(rows)
        assert await asyncio.wait_for(wire.acks.get(), 5) == {
            "epoch": edge.epoch,
            "upto": 3,
            "chain": rows[2].hash,
            "rejected": [],
        }
        assert wire.acks.empty()
        delta = await wire.until("delta")
        assert delta["includes"] == {"epoch": edge.epoch, "upto": 3}
        await wire.send(rows[1:])
        assert (await asyncio.wait_for(wire.acks.get(), 5))["upto"] == 3
        assert worker.metrics.registry.get_sample_value("tongjie_hub_events_total", {"result": "duplicate"}) == 2

        hello = await wire.ask(
            "hello",
            {
                "epoch": edge.epoch,
                "acked": 3,
                "chain": rows[2].hash,
                "next_seq": 4,
                "replica": {"generation": 1, "version": delta["version"]},
            },
        )
        assert (hello["upto"], hello["epoch_ok"], hello["manifest"]) == (3, True, None)

        token = worker.identity.card(YLG, "042EA1B2C3D480")
        entered = await wire.ask(
            "enter", {"token": token, "branch": BRANCHES[YLG], "device": "gate1", "direction": "IN", "t": now()}
        )
        assert entered["record"]["c"] == ["OK"]
        stack = {"branch": BRANCHES[YLG], "device": "kiosk1", "token": token, "pin": True, "t": now()}
        lent = await wire.ask(
            "borrow", {**stack, "items": [{"owner": None, "item_no": item(YLG, n)[1]} for n in (0, 5)]}
        )
        assert [one["codes"][0] for one in lent["answers"]] == ["ITEM_ON_LOAN", "OK"]
        with pytest.raises(RequestRefused) as refused:
            await wire.ask("borrow", {**stack, "items": []})
        assert refused.value.reply_code == "REQUEST_FIELD"

        async with worker.feed.subscribe() as live:
            await wire.state(
                {"online": True, "epoch": edge.epoch, "version": "0.1.0", "t": now(), "devices": world.devices(now())}
            )
            news = await live.next(5)
            assert (news["kind"], news["node"], news["online"]) == ("NODE", edge.node, True)


async def test_a_stranger_is_neither_answered_nor_taken_in(tmp_path: Path) -> None:
    async with hub_and_edge(tmp_path, CQU) as (worker, wire, rids):
        wire.edge.lend(now() - HOUR, item(CQU, 0), rids[0], CQU)
        async with worker.store.write() as conn:
            await conn.execute(schema.nodes.delete())
        await worker.nodes.refresh()
        await wire.send(wire.edge.taken())
        with pytest.raises(RequestRefused) as refused:
            await wire.ask("item", {"item_no": item(CQU, 0)[1]})
        assert refused.value.reply_code == "NODE_UNKNOWN"
        assert wire.acks.empty()


async def test_a_whole_stack_of_answers_fits_the_bus_or_says_that_there_is_more(tmp_path: Path) -> None:
    async with hub_and_edge(tmp_path, YLG) as (worker, wire, _):
        token = worker.identity.card(YLG, "042EA1B2C3D480")
        stack = {"branch": BRANCHES[YLG], "device": "kiosk1", "token": token, "pin": True, "t": now()}
        wanted = [{"owner": YLG, "item_no": item(YLG, n)[1]} for n in range(20)]
        got = await wire.ask("borrow", {**stack, "items": wanted})
        assert len(got["answers"]) == 20 or got["more"] is True
        assert [one["item_no"] for one in got["answers"]] == [one["item_no"] for one in wanted[: len(got["answers"])]]
        assert len(got["answers"]) >= 10
