"""The live stream over a real socket: order, resuming, scope, resync, branches that come and go."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from hub.api import stream
from tests.hub.api import world
from tests.hub.api.hubside import Hub, bearer
from tests.hub.api.test_access import is_problem

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Listener:
    def __init__(self, answer: httpx2.Response) -> None:
        self._lines = answer.aiter_lines()

    async def next(self, seconds: float = 5) -> tuple[str, int | None, dict[str, Any]]:
        """The next event: (name, id, data)."""
        name, pos, data = "", None, None
        async with asyncio.timeout(seconds):
            async for line in self._lines:
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("id: "):
                    pos = int(line[4:])
                elif line.startswith("data: "):
                    data = json.loads(line[6:])
                elif not line and data is not None:
                    return name, pos, data
        raise AssertionError("the stream ended")


@asynccontextmanager
async def listening(hub: Hub, token: str = "all", query: str = "", **headers: str) -> AsyncIterator[Listener]:
    url = f"/api/v1/stream{query}"
    async with hub.client.stream("GET", url, headers=bearer(token, headers)) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Listener(answer)


async def newest(hub: Hub) -> int:
    return int((await hub.get("/api/v1/events?limit=1")).json()["items"][0]["pos"])


@pytest.mark.parametrize("text", ["abc", "-1", "1e3", "٣"])
async def test_a_position_that_is_none_is_refused(hub: Hub, text: str) -> None:
    headers = {**bearer("all"), "last-event-id": text.encode()}
    answer = await hub.client.get("/api/v1/stream", headers=headers)
    is_problem(answer, 422, "POSITION_INVALID")


async def test_an_event_arrives_with_its_times_and_without_anybody(hub: Hub) -> None:
    edge, rid = hub.edges[world.YLG], hub.rids[world.CQU][7]
    async with listening(hub) as live:
        await asyncio.sleep(0.2)
        edge.lend(hub.clock() - 100, world.item(world.YLG, 14), rid, world.CQU)
        await hub.take_in()
        name, pos, data = await live.next()
    assert (name, data["pos"], data["kind"]) == ("event", pos, "CHECKOUT")
    assert data["item"] == {"owner": world.YLG, "item_no": "10000014", "title": world.TITLES[14]}
    assert data["t_eff"] < data["t_arr"]
    assert data["data"]["due"].endswith("Z")
    text = json.dumps(data)
    assert not {"rid", "srid", "salt", "body", "subject"} & set(data)
    assert rid not in text
    assert edge.said[-1].srid not in text


async def test_a_client_that_comes_back_gets_what_it_missed_in_order(hub: Hub) -> None:
    edge = hub.edges[world.YLG]
    start = await newest(hub)
    for n in range(5):
        edge.refuse(hub.clock() - 50 + n, "CARD_LOST", world.CQU)
    await hub.take_in()
    async with listening(hub, **{"last-event-id": str(start)}) as live:
        got = [(await live.next())[1] for _ in range(3)]
    assert got == [start + 1, start + 2, start + 3]
    async with listening(hub, query=f"?after={start}", **{"last-event-id": str(start + 3)}) as live:
        assert [(await live.next())[1] for _ in range(2)] == [start + 4, start + 5]
        edge.refuse(hub.clock(), "CARD_LOST", world.CQU)
        await hub.take_in()
        assert (await live.next())[1] == start + 6


async def test_a_library_hears_its_own_places_and_its_own_items_alone(hub: Hub) -> None:
    async with listening(hub, "cqu") as live:
        await asyncio.sleep(0.2)
        hub.edges[world.YLG].refuse(hub.clock(), "CARD_LOST", world.CQU)
        hub.edges[world.SCS].take_back(hub.clock(), world.item(world.CQU, 5))
        await hub.take_in()
        _, _, data = await live.next()
    assert (data["kind"], data["branch"]) == ("RETURN", "990002-01")


async def test_a_position_of_another_log_or_too_long_ago_is_answered_by_resync(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = await newest(hub)
    async with listening(hub, query="?after=999999") as live:
        assert await live.next() == ("resync", last, {"pos": last})
    monkeypatch.setattr(stream, "BACKLOG", 3)
    async with listening(hub, query="?after=1") as live:
        assert (await live.next())[0] == "resync"


async def test_a_client_that_is_too_slow_is_told_to_resync_and_goes_on(hub: Hub) -> None:
    edge = hub.edges[world.YLG]
    async with listening(hub) as live:
        await asyncio.sleep(0.2)
        (listener,) = list(hub.worker.feed._listeners)
        for _ in range(600):  # more than a listener's queue holds, at one go
            listener.push({"kind": "REFUSED", "pos": 0, "branch": "990001-01"})
        while (got := await live.next())[0] != "resync":
            pass
        assert got[1] == await newest(hub)
        edge.refuse(hub.clock(), "CARD_LOST", world.CQU)
        await hub.take_in()
        assert (await live.next())[2]["kind"] == "REFUSED"


async def test_a_branch_that_comes_or_goes_is_told_to_those_it_concerns(hub: Hub) -> None:
    async with listening(hub, "all") as every, listening(hub, "cqu") as own:
        await asyncio.sleep(0.2)
        await hub.goes_away(world.YLG)
        await hub.goes_away(world.CQU)
        name, _, data = await every.next()
        assert (name, data["branch"], data["online"]) == ("node", "990001-01", False)
        assert (await own.next())[2]["branch"] == "251020-01"
    for org in (world.YLG, world.CQU):
        data = {"online": True, "epoch": "e", "t": hub.clock(), "devices": world.devices(hub.clock())}
        await hub.worker.board.state(hub.edges[org].node, data, retained=False, now=hub.clock())


async def test_more_streams_than_can_be_held_are_refused(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MAX_STREAMS", 0)
    answer = await hub.get("/api/v1/stream")
    is_problem(answer, 503, "STREAMS_FULL")
    assert answer.headers["retry-after"] == "5"


async def test_a_stream_that_ended_is_counted_no_more(hub: Hub) -> None:
    async with listening(hub):
        await asyncio.sleep(0.1)
    async with asyncio.timeout(5):
        while hub.worker.feed.listeners:
            await asyncio.sleep(0.02)
