"""Kiosks that behave badly beside kiosks that do not: silence, half messages, floods, endless frames, wrong passwords."""

from __future__ import annotations

import asyncio
from typing import Any

from drivers.selfcheck import Limits
from tests.drivers.selfcheck.test_server import ITEM, checkout, waiting_bytes


async def asked(line: Any, times: int) -> list[float]:
    """How long each of so many answers took, in seconds, sorted."""
    clock = asyncio.get_running_loop().time
    took = []
    for _ in range(times):
        began = clock()
        assert (await line.ask(ITEM)).code == "18"
        took.append(clock() - began)
    return sorted(took)


async def test_half_a_message_is_asked_for_again_and_its_rest_is_dropped(place: Any) -> None:
    server = await place.serve(limits=Limits(frame_s=0.1))
    line = await place.kiosk()
    data = line.wire(checkout("1"))
    line.send(data[:30])
    assert await line.frame() == b"96AZFEF6\r"
    line.send(data[30:])
    assert await line.silent()
    line.send(data)
    assert (await line.frame())[:3] == b"121"
    assert place.library.executed == [("11", "1")]
    assert server.stats.too_slow == 1


async def test_a_message_that_comes_byte_by_byte_for_ever_is_asked_for_again_once(place: Any) -> None:
    await place.serve(limits=Limits(frame_s=0.1))
    line = await place.kiosk()
    for _ in range(40):
        line.send(b"1")
        await asyncio.sleep(0.01)
    assert await line.frame() == b"96AZFEF6\r"
    assert await line.silent()
    assert waiting_bytes(place) < 100


async def test_fifty_half_messages_delay_nobody(place: Any) -> None:
    await place.serve()
    for _ in range(50):
        (await place.kiosk()).send(b"11YN20261122    1937")
    assert (await asked(await place.kiosk(), 50))[45] < 0.1


async def test_a_flood_is_answered_in_full_but_at_its_own_pace_and_delays_nobody(place: Any) -> None:
    server = await place.serve(limits=Limits(ahead_burst=8, ahead_per_s=2000))
    flood, quick = await place.kiosk(), await place.kiosk()
    flood.send(b"".join(flood.wire(ITEM) for _ in range(1000)))
    assert (await asked(quick, 30))[27] < 0.1
    assert server.stats.paced > 0
    assert [(await flood.frame())[:2] for _ in range(1000)] == [b"18"] * 1000


async def test_two_or_three_requests_at_once_are_not_held_up(place: Any) -> None:
    server = await place.serve()
    line = await place.kiosk()
    for _ in range(20):
        line.send(line.wire(ITEM) + line.wire("9900802.00") + line.wire(checkout("1")))
        assert [(await line.frame())[:2] for _ in range(3)] == [b"18", b"98", b"12"]
        await asyncio.sleep(0.005)
    assert server.stats.paced == 0


async def test_an_endless_frame_costs_no_memory_and_delays_nobody(place: Any) -> None:
    await place.serve()
    line, quick = await place.kiosk(), await place.kiosk()
    for _ in range(50):
        line.send(b"x" * 100_000)
    await asked(quick, 20)
    assert waiting_bytes(place) < 100_000
    line.send(b"\r")
    assert await line.frame() == b"96AZFEF6\r"


async def test_guessing_passwords_is_slowed_down_and_does_not_keep_the_others_out(place: Any) -> None:
    server = await place.serve()
    await place.kiosk()
    guessers = [await place.dial() for _ in range(30)]
    for line in guessers:
        line.send(line.wire("9300CNkiosk1|COguess|"))
    clock = asyncio.get_running_loop().time
    began = clock()
    await place.kiosk()
    assert clock() - began < 1.0
    await asyncio.sleep(0.1)
    assert server.stats.login_failures < 30
    assert server.stats.refused["throttled"] > 0


async def test_a_keepalive_every_few_minutes_is_enough(place: Any) -> None:
    server = await place.serve(limits=Limits(idle_s=0.3))
    alive, silent = await place.kiosk(), await place.kiosk()
    for _ in range(6):
        assert (await alive.ask("9900802.00")).code == "98"
        await asyncio.sleep(0.1)
    assert await silent.closed()
    assert server.stats.ended_idle == 1
    assert Limits().idle_s >= 600
