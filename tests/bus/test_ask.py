"""The hub's questions to one edge, and its jobs, over the embedded broker: refusals and deadlines first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from bus import Answerer, Asker, Incoming, RequestRefused, RequestTimeout, Transport
from bus.rpc import wall_ms
from protocols.bus import Envelope, Kind, LocalProtocolError, decode, encode, message_type, rfc3339, topics

NODE, OTHER = "edge-251020-01", "edge-990001-01"


class World:
    """A hub worker and two edges on one broker."""

    def __init__(self, url: str) -> None:
        self.hub, self.edge, self.other = (Transport(url, name) for name in ("hub", "edge", "other"))
        self.asker = Asker(self.hub)
        self.answerer = Answerer(self.edge, NODE, self.answer, self.take)
        self.asked: list[tuple[str, Mapping[str, Any]]] = []
        self.jobs: list[Mapping[str, Any]] = []
        self.taken: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def answer(self, name: str, data: Mapping[str, Any]) -> dict[str, Any]:
        self.asked.append((name, data))
        await asyncio.sleep(data.get("delay", 0))
        if data.get("refuse"):
            raise RequestRefused("ILS_AWAY", "not now")
        if data.get("break"):
            raise RuntimeError("secret detail")
        return {"found": True, "pad": "x" * data.get("pad", 0)}

    async def take(self, data: Mapping[str, Any]) -> dict[str, Any]:
        if data.get("refuse"):
            raise RequestRefused("ILS_DISK", "")
        if data.get("break"):
            raise RuntimeError
        await asyncio.sleep(data.get("delay", 0))
        self.jobs.append(data)
        return {"org": data["org"], "of": data["of"], "state": "taken"}

    async def ask(self, timeout_s: float = 2.0, node: str = NODE, **data: Any) -> dict[str, Any]:
        return await self.asker.ask(node, "item", data, timeout_s=timeout_s)

    async def give(self, **data: Any) -> None:
        envelope = Envelope(id="w", source="hub", type=message_type(Kind.WORK), time=rfc3339(wall_ms()), data=data)
        await self.hub.publish(topics.work(NODE), encode(envelope))

    async def _taken(self, incoming: Incoming) -> None:
        self.taken.put_nowait(decode(incoming.payload).data)

    async def start(self) -> None:
        await self.asker.start()
        await self.answerer.start()
        await self.hub.subscribe(topics.WORK_REP_FILTER, self._taken)
        await asyncio.gather(*(one.connect() for one in (self.hub, self.edge, self.other)))


@pytest.fixture
async def world(broker: Any) -> AsyncIterator[World]:
    made = World(broker.url)
    await made.start()
    yield made
    await asyncio.gather(*(one.close() for one in (made.hub, made.edge, made.other)))


async def test_a_node_that_does_not_listen_costs_the_deadline_and_no_more(world: World) -> None:
    began = asyncio.get_running_loop().time()
    with pytest.raises(RequestTimeout):
        await world.ask(0.2, node=OTHER)
    assert asyncio.get_running_loop().time() - began < 1.0


async def test_a_slow_answer_is_not_waited_for_and_is_dropped_when_it_comes(world: World) -> None:
    with pytest.raises(RequestTimeout):
        await world.ask(0.1, delay=5)
    assert (await world.ask())["found"] is True
    assert world.answerer.stats.expired == 1  # the edge gave it up too


async def test_a_refusal_and_a_fault_are_told_by_code_and_nothing_of_the_fault_gets_out(world: World) -> None:
    with pytest.raises(RequestRefused) as refused:
        await world.ask(refuse=True)
    assert refused.value.reply_code == "ILS_AWAY"
    with pytest.raises(RequestRefused) as broken:
        await world.ask(**{"break": True})
    assert (broken.value.reply_code, "secret" in str(broken.value)) == ("EDGE_ERROR", False)


async def test_a_name_the_bus_does_not_know_is_our_own_fault(world: World) -> None:
    with pytest.raises(LocalProtocolError):
        await world.asker.ask(NODE, "borrow", {}, timeout_s=1)


async def test_an_answer_from_another_node_counts_for_nothing(world: World) -> None:
    """Whoever learns the correlation still cannot speak for the node that was asked."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    await world.other.subscribe(
        f"tongjie/v1/{OTHER}/ask/+", lambda incoming: heard.put_nowait(incoming.correlation or b"")
    )
    asking = asyncio.create_task(world.ask(1.0, node=OTHER))
    correlation = await asyncio.wait_for(heard.get(), 2)
    type_ = message_type(Kind.ASK_REP, "item")
    for node, source in ((NODE, NODE), (OTHER, NODE), (NODE, OTHER)):
        envelope = Envelope(id="x", source=source, type=type_, time=rfc3339(wall_ms()), data={"found": False})
        await world.other.publish(topics.ask_rep(node), encode(envelope), correlation=correlation)
    envelope = Envelope(id="x", source=OTHER, type=type_, time=rfc3339(wall_ms()), data={"found": True})
    await world.other.publish(topics.ask_rep(OTHER), encode(envelope), correlation=correlation)
    assert await asking == {"found": True}
    assert world.asker.stats.malformed == 3


async def test_several_questions_at_once_each_get_their_own_answer(world: World) -> None:
    answers = await asyncio.gather(*(world.ask(pad=n, delay=0.05 * (n % 3)) for n in range(8)))
    assert [len(answer["pad"]) for answer in answers] == list(range(8))
    name, data = world.asked[0]
    assert name == "item"
    assert abs(data["deadline_at"] - wall_ms()) < 5_000


async def test_an_answer_too_large_for_the_bus_is_no_answer(world: World) -> None:
    with pytest.raises(RequestTimeout):
        await world.ask(0.3, pad=20_000)
    assert world.answerer.stats.failed == 1


async def test_a_job_that_could_not_be_kept_is_not_answered(world: World) -> None:
    await world.give(org="251020", of="a", refuse=True)
    await world.give(org="251020", of="b", **{"break": True})
    await world.give(org="251020", of="c")
    assert (await asyncio.wait_for(world.taken.get(), 2))["of"] == "c"
    assert (world.answerer.stats.refused, world.answerer.stats.failed, world.answerer.stats.taken) == (1, 1, 1)


async def test_jobs_are_taken_in_the_order_they_were_given(world: World) -> None:
    for n in range(20):
        await world.give(org="251020", of=str(n), delay=0.02 if n % 5 == 0 else 0)
    told = [(await asyncio.wait_for(world.taken.get(), 5))["of"] for _ in range(20)]
    assert told == [str(n) for n in range(20)]
    assert [job["of"] for job in world.jobs] == told
