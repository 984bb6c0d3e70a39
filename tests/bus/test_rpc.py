"""Requests and replies over the embedded broker: refusals, deadlines, and answers that go to one place only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bus import Incoming, LinkDown, Request, Requester, RequestRefused, RequestTimeout, Responder, Transport
from bus.rpc import wall_ms
from protocols.bus import Envelope, Kind, LocalProtocolError, decode, encode, message_type, rfc3339, topics

NODE = "edge-251020-01"


class World:
    """An edge, a hub worker and a third party on one broker."""

    def __init__(self, url: str) -> None:
        self.edge, self.hub, self.other = (Transport(url, name) for name in ("edge", "hub", "other"))
        self.requester = Requester(self.edge, NODE)
        self.asked: list[Request] = []
        self.responder = Responder(
            self.hub,
            {"enter": self.enter, "borrow": self.borrow, "item": self.broken, "reader": self.huge},
            concurrency=4,
        )

    async def enter(self, request: Request) -> dict[str, Any]:
        self.asked.append(request)
        await asyncio.sleep(request.data.get("delay", 0))
        return {"outcome": "ALLOW", "echo": request.data.get("x")}

    async def borrow(self, request: Request) -> dict[str, Any]:
        raise RequestRefused("AGR_NONE", "no agreement")

    async def broken(self, request: Request) -> dict[str, Any]:
        raise RuntimeError("secret detail")

    async def huge(self, request: Request) -> dict[str, Any]:
        return {"x": "x" * 20_000}

    async def ask(self, name: str = "enter", timeout_s: float = 3.0, **data: Any) -> dict[str, Any]:
        return await self.requester.request(
            name, data, deadline_ms=wall_ms() + int(timeout_s * 1000), timeout_s=timeout_s
        )


@pytest.fixture
async def world(broker: Any) -> AsyncIterator[World]:
    made = World(broker.url)
    await made.requester.start()
    await made.responder.start()
    transports = (made.edge, made.hub, made.other)
    await asyncio.gather(*(transport.connect() for transport in transports))
    yield made
    await asyncio.gather(*(transport.close() for transport in transports))


def request_envelope(**changes: Any) -> bytes:
    data = {"deadline_at": wall_ms() + 5_000}
    fields: dict[str, Any] = {
        "id": "1",
        "source": NODE,
        "type": message_type(Kind.REQ, "enter"),
        "time": rfc3339(0),
        "data": data,
    }
    return encode(Envelope(**(fields | changes)))


async def test_refusal_of_the_hub_arrives_with_its_code(world: World) -> None:
    with pytest.raises(RequestRefused) as refusal:
        await world.ask("borrow")
    assert refusal.value.reply_code == "AGR_NONE"


async def test_fault_of_a_handler_is_an_error_without_its_details(world: World) -> None:
    with pytest.raises(RequestRefused) as refusal:
        await world.ask("item")
    assert refusal.value.reply_code == "HUB_ERROR"
    assert "secret" not in str(refusal.value)


async def test_answer_that_does_not_fit_the_bus_is_an_error(world: World) -> None:
    with pytest.raises(RequestRefused) as refusal:
        await world.ask("reader")
    assert refusal.value.reply_code == "BUS_TOO_LARGE"


async def test_request_that_nobody_handles_is_refused(world: World) -> None:
    with pytest.raises(RequestRefused) as refusal:
        await world.ask("hold")
    assert refusal.value.reply_code == "BUS_REQUEST_UNKNOWN"


async def test_request_unknown_to_the_bus_is_not_sent(world: World) -> None:
    with pytest.raises(LocalProtocolError):
        await world.ask("leave")


async def test_late_reply_is_dropped_and_counted(world: World) -> None:
    with pytest.raises(RequestTimeout):
        await world.ask(timeout_s=0.1, delay=0.3)
    await asyncio.sleep(0.5)
    assert world.requester.stats.late == 1
    assert (await world.ask(x=1))["echo"] == 1


async def test_request_past_its_deadline_is_not_worked_on(world: World) -> None:
    with pytest.raises(RequestTimeout):
        await world.requester.request("enter", {}, deadline_ms=wall_ms() - 1, timeout_s=0.3)
    assert (world.responder.stats.expired, world.asked) == (1, [])


async def test_end_of_the_link_ends_the_wait_at_once(world: World) -> None:
    asking = asyncio.create_task(world.ask(timeout_s=30, delay=20))
    await asyncio.sleep(0.1)
    world.edge.drop()
    with pytest.raises(LinkDown):
        await asyncio.wait_for(asking, 2)


async def test_answer_goes_to_the_nodes_own_topic_whatever_the_response_topic_says(world: World) -> None:
    stolen: list[Incoming] = []
    await world.other.subscribe("tongjie/v1/thief/rep", stolen.append)
    replies: list[Incoming] = []
    await world.other.subscribe(topics.rep(NODE), replies.append)
    await world.other.publish(
        topics.req(NODE, "enter"), request_envelope(), correlation=b"c" * 16, response_topic="tongjie/v1/thief/rep"
    )
    async with asyncio.timeout(5):
        while not replies:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert (replies[0].correlation, stolen) == (b"c" * 16, [])
    assert world.requester.stats.late == 1  # it never asked for that


@pytest.mark.parametrize(
    ("payload", "correlation"),
    [
        (b"{}", b"c"),
        (request_envelope(source="edge-990001-01"), b"c"),
        (request_envelope(type=message_type(Kind.REQ, "borrow")), b"c"),
        (request_envelope(data={}), b"c"),
        (request_envelope(data={"deadline_at": "soon"}), b"c"),
        (request_envelope(data={"deadline_at": True}), b"c"),
        (request_envelope(), None),
        (request_envelope(), b"c" * 65),
    ],
)
async def test_malformed_request_is_counted_and_not_answered(
    world: World, payload: bytes, correlation: bytes | None
) -> None:
    await world.other.publish(topics.req(NODE, "enter"), payload, correlation=correlation)
    async with asyncio.timeout(5):
        while not world.responder.stats.malformed:
            await asyncio.sleep(0.01)
    assert world.asked == []
    assert (await world.ask(x=2))["echo"] == 2


async def test_malformed_reply_is_counted_and_the_right_one_still_taken(broker: Any) -> None:
    async with Transport(broker.url, "edge") as edge, Transport(broker.url, "hub") as hub:
        requester = Requester(edge, NODE)
        await requester.start()

        async def answer(incoming: Incoming) -> None:
            good = Envelope(id="r", source="hub", type=message_type(Kind.REP, "enter"), time=rfc3339(0), data={"ok": 1})
            other = Envelope(id="r", source="hub", type=message_type(Kind.REP, "item"), time=rfc3339(0), data={"ok": 0})
            for payload in (b"junk", encode(other), encode(good), encode(good)):
                await hub.publish(topics.rep(NODE), payload, correlation=incoming.correlation)

        await hub.subscribe(topics.DECIDE_FILTER, answer)
        assert await requester.request("enter", {}, deadline_ms=wall_ms() + 3_000, timeout_s=3) == {"ok": 1}
        await asyncio.sleep(0.1)
        assert (requester.stats.malformed, requester.stats.answered, requester.stats.late) == (2, 1, 1)


async def test_many_requests_at_once_each_get_their_own_answer(world: World) -> None:
    answers = await asyncio.gather(*(world.ask(x=number) for number in range(50)))
    assert [answer["echo"] for answer in answers] == list(range(50))
    assert {request.node for request in world.asked} == {NODE}


async def test_request_on_the_wire_carries_deadline_and_own_reply_topic(broker: Any) -> None:
    seen: list[Incoming] = []
    async with Transport(broker.url, "edge") as edge, Transport(broker.url, "spy") as spy:
        await spy.subscribe(topics.req(NODE, "enter"), seen.append)
        requester = Requester(edge, NODE, clock=lambda: 1_740_816_000_123, token=lambda size: b"k" * size)
        await requester.start()
        with pytest.raises(RequestTimeout):
            await requester.request("enter", {"gate": "g1"}, deadline_ms=1_740_816_000_423, timeout_s=0.3)
    envelope = decode(seen[0].payload)
    assert envelope.data == {"gate": "g1", "deadline_at": 1_740_816_000_423}
    assert (envelope.source, envelope.time) == (NODE, "2025-03-01T08:00:00.123Z")
    assert (seen[0].correlation, seen[0].response_topic) == (b"k" * 16, topics.rep(NODE))
