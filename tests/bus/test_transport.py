"""The transport against peers that refuse, are silent, talk nonsense or are slow; and its own bounds."""

from __future__ import annotations

import asyncio
import struct
import time
from random import Random
from typing import Any

import pytest

from bus import (
    ConnectFailed,
    ConnectRefused,
    Incoming,
    LinkDown,
    PublishRefused,
    QueueFull,
    SubscribeRefused,
    TooLarge,
    Transport,
    WrongUse,
)
from bus.backoff import Backoff

T = "tongjie/v1/edge-251020-01"


def quick(**options: Any) -> dict[str, Any]:
    return {"backoff": Backoff(0.01, 0.05), "rng": Random(1), "connect_timeout_s": 0.5} | options


def publish_packet(topic: str, payload: bytes, mid: int) -> bytes:
    body = struct.pack("!H", len(topic)) + topic.encode() + struct.pack("!H", mid) + b"\x00" + payload
    assert len(body) < 128
    return bytes([0x32, len(body)]) + body


async def eventually(condition: Any, timeout_s: float = 5.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


# ---- refusals ----


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:1883",
        "http://h:1",
        "mqtt://",
        "mqtt://h:0",
        "mqtt://h:99999",
        "mqtt://h/x",
        "mqtt://u:p@h",
        "mqtt://h?x=1",
    ],
)
async def test_address_that_is_none_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(WrongUse) as refusal:
        Transport(url, "a")
    assert "u:p" not in str(refusal.value)


async def test_nobody_there_is_said_at_once() -> None:
    one = Transport("mqtt://127.0.0.1:1", "a", **quick())
    with pytest.raises(ConnectFailed):
        await one.connect()
    assert not one.connected
    await one.close()


async def test_silent_peer_costs_only_the_timeout(peer: Any) -> None:
    peer.answer = lambda kind, packet: b""
    one = Transport(peer.url, "a", **quick())
    began = time.monotonic()
    with pytest.raises(ConnectFailed):
        await one.connect()
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("answer", ["2003008700", "20030086" + "00"])
async def test_refused_connect_says_the_reason_code(peer: Any, answer: str) -> None:
    peer.answer = lambda kind, packet: bytes.fromhex(answer)
    one = Transport(peer.url, "a", **quick())
    with pytest.raises(ConnectRefused) as refusal:
        await one.connect()
    assert refusal.value.fields["reason"] == bytes.fromhex(answer)[3]


@pytest.mark.parametrize(
    "nonsense", ["", "ff00", "20ffffffffff", "2003000005", b"HTTP/1.1 400\r\n\r\n".hex(), "32020001"]
)
async def test_nonsense_instead_of_connack_is_a_failed_connect(peer: Any, nonsense: str) -> None:
    def answer(kind: int, packet: bytes) -> bytes:
        asyncio.get_running_loop().call_soon(peer.writers[-1].close)
        return bytes.fromhex(nonsense)

    peer.answer = answer
    one = Transport(peer.url, "a", **quick())
    with pytest.raises(LinkDown):
        await one.connect()
    await one.close()


@pytest.mark.parametrize(
    "nonsense", ["f0", "3203ffff00", "32050003" + "ff" * 3, "400400", "40020001ff", "9003" + "00" * 3, "d00100"]
)
async def test_nonsense_later_ends_the_link_and_a_new_one_is_made(peer: Any, nonsense: str) -> None:
    one = Transport(peer.url, "a", **quick())
    await one.connect()
    peer.writers[-1].write(bytes.fromhex(nonsense))
    peer.writers[-1].close()
    await eventually(lambda: one.stats.connects == 2)
    await one.close()


async def test_publish_without_a_link_fails_at_once() -> None:
    one = Transport("mqtt://127.0.0.1:1", "a", **quick())
    with pytest.raises(LinkDown):
        await one.publish(f"{T}/evt", b"")


@pytest.mark.parametrize("topic", ["", "a/+", "a/#"])
async def test_publish_to_a_filter_is_refused(topic: str) -> None:
    with pytest.raises(WrongUse):
        Transport("mqtt://127.0.0.1:1", "a").post(topic, b"")


async def test_negative_puback_raises_with_its_reason(peer: Any) -> None:
    def answer(kind: int, packet: bytes) -> bytes:
        if kind == 1:
            return bytes.fromhex("2003000000")
        length = struct.unpack("!H", packet[1:3])[0]
        return b"\x40\x03" + packet[3 + length : 5 + length] + b"\x97" if kind == 3 else b""

    peer.answer = answer
    async with Transport(peer.url, "a", **quick()) as one:
        with pytest.raises(PublishRefused) as refusal:
            await one.publish(f"{T}/evt", b"x")
        assert refusal.value.fields["reason"] == 0x97  # quota exceeded
        assert one.connected


async def test_refused_subscription_raises_and_is_forgotten(peer: Any) -> None:
    peer.answer = lambda kind, packet: {1: bytes.fromhex("2003000000"), 8: b"\x90\x04" + packet[1:3] + b"\x00\x87"}.get(
        kind, b""
    )
    async with Transport(peer.url, "a", **quick()) as one:
        with pytest.raises(SubscribeRefused):
            await one.subscribe(f"{T}/ack", lambda incoming: None)
        peer.writers[-1].close()
        await eventually(lambda: one.stats.connects == 2)  # it is not asked for again


async def test_same_filter_twice_is_refused() -> None:
    one = Transport("mqtt://127.0.0.1:1", "a")
    await one.subscribe(f"{T}/ack", lambda incoming: None)
    with pytest.raises(WrongUse):
        await one.subscribe(f"{T}/ack", lambda incoming: None)


async def test_packet_above_the_brokers_maximum_is_not_sent(peer: Any) -> None:
    peer.answer = lambda kind, packet: bytes.fromhex("2008000005") + b"\x27" + struct.pack("!I", 100)
    async with Transport(peer.url, "a", **quick()) as one:
        with pytest.raises(TooLarge):
            await one.publish(f"{T}/evt", b"x" * 101)
        assert peer.kinds() == [1]


# ---- bounds ----


async def test_unanswered_publishes_are_bounded_and_all_fail_when_the_link_ends(peer: Any) -> None:
    async with Transport(peer.url, "a", **quick(out_queue=100)) as one:
        waiting = [one.post(f"{T}/evt", b"%d" % number) for number in range(100)]
        with pytest.raises(QueueFull):
            one.post(f"{T}/evt", b"one too many")
        await eventually(lambda: peer.kinds().count(3) == 64)  # the window
        peer.writers[-1].close()
        results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5)
        assert {type(result) for result in results} == {LinkDown}
        await eventually(lambda: one.stats.connects == 2)
        await asyncio.sleep(0.05)
        assert peer.kinds().count(3) == 64  # nothing old is sent behind its owner's back


async def test_window_obeys_the_brokers_receive_maximum(peer: Any) -> None:
    peer.answer = lambda kind, packet: bytes.fromhex("2006000003210005") if kind == 1 else b""
    async with Transport(peer.url, "a", **quick()) as one:
        waiting = [one.post(f"{T}/evt", b"") for _ in range(20)]
        await asyncio.sleep(0.1)
        assert peer.kinds().count(3) == 5
        peer.writers[-1].write(bytes.fromhex("40020001" + "40020002"))
        await eventually(lambda: peer.kinds().count(3) == 7)
        assert [done.done() for done in waiting[:3]] == [True, True, False]


async def test_slow_handler_stops_the_reading_and_loses_nothing(broker: Any) -> None:
    done: list[bytes] = []
    gate = asyncio.Event()

    async def slow(incoming: Incoming) -> None:
        await gate.wait()
        done.append(incoming.payload)

    async with Transport(broker.url, "b", in_queue=20) as listener, Transport(broker.url, "a") as sender:
        await listener.subscribe(f"{T}/evt", slow)
        for begin in range(0, 400, 50):
            await asyncio.gather(*(sender.publish(f"{T}/evt", b"%d" % number) for number in range(begin, begin + 50)))
        await eventually(lambda: listener.stats.received >= 20)
        await asyncio.sleep(0.1)
        assert listener.stats.received < 100
        gate.set()
        await eventually(lambda: len(done) == 400)
        assert done == [b"%d" % number for number in range(400)]


async def test_oversized_message_is_dropped_and_counted(peer: Any) -> None:
    heard: list[Incoming] = []
    async with Transport(peer.url, "a", **quick(max_payload=10)) as one:
        one._inbox.add("t", heard.append, 1, 1)
        peer.writers[-1].write(publish_packet("t", b"x" * 11, 1) + publish_packet("t", b"x" * 10, 2))
        await eventually(lambda: len(heard) == 1)
        assert one.stats.oversized == 1
        await eventually(lambda: peer.kinds().count(4) == 2)


# ---- handlers ----


async def test_handler_that_raises_is_counted_and_its_message_acked(broker: Any) -> None:
    heard: list[bytes] = []

    def broken(incoming: Incoming) -> None:
        if incoming.payload == b"poison":
            raise RuntimeError("broken")
        heard.append(incoming.payload)
        incoming.ack()

    async def also_broken(incoming: Incoming) -> None:
        broken(incoming)

    async with Transport(broker.url, "b", manual_ack=True) as listener, Transport(broker.url, "a") as sender:
        await listener.subscribe(f"{T}/evt", broken)
        await listener.subscribe(f"{T}/work", also_broken)
        for topic in (f"{T}/evt", f"{T}/work"):
            await sender.publish(topic, b"poison")
            await sender.publish(topic, b"good")
        await eventually(lambda: heard == [b"good", b"good"])
        assert listener.stats.handler_errors == 2
        assert listener.stats.connects == 1


async def test_concurrent_handlers_overlap_and_single_ones_do_not(broker: Any) -> None:
    under_way, most = 0, 0

    async def handler(incoming: Incoming) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.02)
        under_way -= 1

    async with Transport(broker.url, "b") as listener, Transport(broker.url, "a") as sender:
        for concurrency in (1, 4):
            most = 0
            await listener.subscribe(f"{T}/evt", handler, concurrency=concurrency)
            await asyncio.gather(*(sender.publish(f"{T}/evt", b"") for _ in range(8)))
            await asyncio.sleep(0.3)
            assert most == concurrency
            listener.unsubscribe(f"{T}/evt")


async def test_acks_wait_for_their_turn_on_the_wire(peer: Any) -> None:
    kept: list[Incoming] = []
    async with Transport(peer.url, "a", **quick(manual_ack=True)) as one:
        one._inbox.add("t", kept.append, 1, 1)
        peer.writers[-1].write(b"".join(publish_packet("t", b"", mid) for mid in (7, 8, 9)))
        await eventually(lambda: len(kept) == 3)
        kept[2].ack()
        kept[1].ack()
        kept[1].ack()
        await asyncio.sleep(0.05)
        assert peer.kinds().count(4) == 0
        kept[0].ack()
        await eventually(lambda: peer.kinds().count(4) == 3)
        assert [packet[1:3] for packet in peer.packets if packet[0] >> 4 == 4] == [
            b"\x00\x07",
            b"\x00\x08",
            b"\x00\x09",
        ]


# ---- life ----


async def test_start_waits_for_a_broker_that_comes_later(broker: Any) -> None:
    await broker.stop()
    one = Transport(broker.url, "a", **quick())
    one.start()
    assert not await one.wait_connected(0.2)
    await broker.start()
    assert await one.wait_connected(5)
    await one.close()


async def test_listeners_hear_every_connection_and_one_that_raises_harms_nobody(peer: Any) -> None:
    heard: list[object] = []

    async def broken(session: object) -> None:
        raise RuntimeError("broken")

    one = Transport(peer.url, "a", **quick())
    one.on_connect(broken)
    one.on_connect(lambda session: heard.append(session.number))
    one.on_disconnect(lambda reason: heard.append(type(reason)))
    await one.connect()
    await eventually(lambda: heard == [1])
    one.drop()
    await eventually(lambda: heard == [1, LinkDown, 2])
    await one.close()
    assert one.stats.handler_errors == 2


async def test_birth_that_hangs_does_not_keep_the_link_from_coming_back(peer: Any) -> None:
    async def hangs(session: object) -> None:
        await asyncio.Event().wait()

    one = Transport(peer.url, "a", **quick())
    one.on_connect(hangs)
    await one.connect()
    one.drop()
    await eventually(lambda: one.stats.connects == 2)
    await one.close()


async def test_close_says_disconnect_and_leaves_no_task(peer: Any) -> None:
    before = asyncio.all_tasks()
    one = Transport(peer.url, "a", **quick())

    async def handler(incoming: Incoming) -> None: ...

    await one.subscribe("a", lambda incoming: None)
    peer.answer = lambda kind, packet: {1: bytes.fromhex("2003000000"), 8: b"\x90\x04" + packet[1:3] + b"\x00\x01"}.get(
        kind, b""
    )
    await one.connect()
    await one.subscribe("b", handler)
    await one.close()
    await one.close()
    await eventually(lambda: 14 in peer.kinds())
    assert {task for task in asyncio.all_tasks() - before if "bus" in task.get_name()} == set()


async def test_close_while_it_connects_ends_the_wait(peer: Any) -> None:
    peer.answer = lambda kind, packet: b""
    one = Transport(peer.url, "a", **quick(connect_timeout_s=5.0))
    connecting = asyncio.create_task(one.connect())
    await asyncio.sleep(0.05)
    await one.close()
    with pytest.raises(LinkDown):
        await asyncio.wait_for(connecting, 1)


async def test_dead_peer_is_noticed_by_the_keepalive(peer: Any) -> None:
    one = Transport(peer.url, "a", **quick(keepalive_s=1))
    await one.connect()
    await eventually(lambda: one.stats.connects == 2, 5)  # PINGREQ is never answered
    await one.close()


def test_backoff_doubles_within_its_bounds_and_begins_again() -> None:
    backoff, rng = Backoff(0.2, 10.0), Random(7)
    delays = [backoff.next(rng) for _ in range(40)]
    for number, delay in enumerate(delays):
        full = min(10.0, 0.2 * 2**number)
        assert full / 2 <= delay <= full
    assert len(set(delays)) == 40
    backoff.reset()
    assert backoff.next(rng) <= 0.2
