"""The hub asks this branch's ILS and gives it jobs, over the link."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bus import Asker, Incoming, RequestTimeout
from bus.broker import make_broker
from protocols.bus import Envelope, Kind, decode, encode, message_type, rfc3339, topics
from tests.edge.link.hub import SmallHub
from tests.edge.link.test_link import Edge
from tests.edge.site import NODE
from tests.make import NOW


@pytest.fixture
async def hub() -> AsyncIterator[SmallHub]:
    broker = make_broker("iotcore")
    made = SmallHub(await broker.start())
    await made.start()
    yield made
    await made.stop()
    await broker.stop()


async def test_an_edge_without_an_ils_answers_nothing(tmp_path: Path, hub: SmallHub) -> None:
    edge = await Edge(tmp_path, hub).online()
    asker = Asker(hub.transport, clock=edge.clock.now)
    await asker.start()
    with pytest.raises(RequestTimeout):
        await asker.ask(NODE, "item", {"item_no": "1"}, timeout_s=0.2)
    await edge.stop()


async def test_questions_are_judged_by_the_hubs_time_and_jobs_answered_once_taken(
    tmp_path: Path, hub: SmallHub
) -> None:
    """The edge's own clock is an hour behind: a deadline counts by what the hello measured."""
    edge = Edge(tmp_path, hub)
    jobs: list[Mapping[str, Any]] = []

    async def ask(name: str, data: Mapping[str, Any]) -> dict[str, Any]:
        return {"found": True, "name": name, "item_no": data["item_no"]}

    async def work(data: Mapping[str, Any]) -> dict[str, Any]:
        jobs.append(data)
        return {"org": data["org"], "of": data["of"], "state": "taken"}

    edge.link.serve_ils(ask, work)
    await edge.online()
    asker = Asker(hub.transport, clock=lambda: NOW + 3_600_000)
    await asker.start()
    assert await asker.ask(NODE, "item", {"item_no": "7"}, timeout_s=2) == {
        "found": True, "name": "item", "item_no": "7",
    }  # fmt: skip

    taken: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def heard(incoming: Incoming) -> None:
        taken.put_nowait(decode(incoming.payload).data)

    await hub.transport.subscribe(topics.WORK_REP_FILTER, heard)
    envelope = Envelope(
        id="w", source="hub", type=message_type(Kind.WORK), time=rfc3339(NOW), data={"org": "251020", "of": "n/e/1"}
    )
    await hub.transport.publish(topics.work(NODE), encode(envelope))
    assert await asyncio.wait_for(taken.get(), 2) == {"org": "251020", "of": "n/e/1", "state": "taken"}
    assert [job["of"] for job in jobs] == ["n/e/1"]
    await edge.stop()
