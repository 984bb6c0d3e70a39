"""Serial lines: the same connection as any other, over a pseudo-terminal as the wire."""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers.selfcheck import Limits, Listener
from protocols.sip2 import Message, parse, seal
from tests.drivers.selfcheck.test_server import DATE, ITEM, checkout


class Wire:
    """The kiosk's end of a serial line; `path` is what the server opens, a link that can be laid anew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.master = -1
        self._sequence = 0

    def plug_in(self) -> None:
        self.master, slave = os.openpty()
        tty.setraw(slave)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(slave))
        os.set_blocking(self.master, False)
        self._slave = slave

    def pull_out(self) -> None:
        self.path.unlink(missing_ok=True)
        os.close(self.master)
        os.close(self._slave)
        self.master = -1

    def send(self, data: bytes) -> None:
        os.write(self.master, data)

    async def frame(self, end: bytes = b"\r", within: float = 3.0) -> bytes:
        data = b""
        async with asyncio.timeout(within):
            while not data.endswith(end):
                try:
                    data += os.read(self.master, 1)
                except BlockingIOError:
                    await asyncio.sleep(0.005)
        return data

    async def ask(self, body: str) -> Message:
        self.send(seal(body.encode(), str(self._sequence)) + b"\r")
        self._sequence = (self._sequence + 1) % 10
        return parse((await self.frame())[:-1])


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    found = Wire(tmp_path / "line")
    yield found
    if found.master >= 0:
        found.pull_out()


async def opened(place: Any) -> None:
    """Wait until the server has the line."""
    async with asyncio.timeout(5.0):
        while place.server.doors()[0]["state"] != "open":
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)


async def test_a_line_that_is_not_there_is_no_error_and_is_taken_when_it_comes(place: Any, wire: Wire) -> None:
    server = await place.serve(listeners=[Listener(f"pty:{wire.path}", "line")])
    await asyncio.sleep(0.1)
    assert server.doors()[0]["state"] == "PORT_MISSING"
    wire.plug_in()
    await opened(place)
    assert (await wire.ask(ITEM)).fixed == {"ok": "0"}
    assert (await wire.ask("9300CNkiosk1|COsecret|")).fixed["ok"] == "1"
    assert (await wire.ask(ITEM)).code == "18"
    assert server.public()[0]["listener"] == "line"


async def test_with_a_fixed_account_no_93_is_needed(place: Any, wire: Wire) -> None:
    wire.plug_in()
    server = await place.serve(listeners=[Listener(f"pty:{wire.path}", account="kiosk1")])
    await opened(place)
    assert (await wire.ask("9900802.00")).fixed["on_line_status"] == "Y"
    assert server.kiosks[0].account.user == "kiosk1"


async def test_silence_ends_nothing_and_a_93_begins_anew(place: Any, wire: Wire) -> None:
    told: list[bool] = []
    wire.plug_in()
    server = await place.serve(
        listeners=[Listener(f"pty:{wire.path}")],
        limits=Limits(login_s=0.1, idle_s=0.1),
        on_presence=lambda session, here: told.append(here),
    )
    await opened(place)
    await asyncio.sleep(0.4)
    assert (await wire.ask("9300CNkiosk1|COsecret|")).fixed["ok"] == "1"
    before = server.kiosks[0]
    await asyncio.sleep(0.4)
    assert (await wire.ask(ITEM)).code == "18"
    assert (await wire.ask("9300CNkiosk1|COsecret|")).fixed["ok"] == "1"
    assert server.kiosks[0] is not before
    assert told == [True, False, True]
    assert server.stats.ended_idle == 0


async def test_half_a_message_and_silence_are_asked_for_again_and_do_not_spoil_the_next(place: Any, wire: Wire) -> None:
    wire.plug_in()
    server = await place.serve(listeners=[Listener(f"pty:{wire.path}", account="kiosk1")], limits=Limits(frame_s=0.1))
    await opened(place)
    wire.send(b"11YN20261122    1937")
    assert await wire.frame() == b"96AZFEF6\r"
    assert (await wire.ask(checkout("1"))).fixed["ok"] == "1"
    assert server.stats.too_slow == 1


async def test_a_line_that_was_pulled_out_is_opened_again_and_a_repeat_is_answered_as_the_first_time(
    place: Any, wire: Wire
) -> None:
    wire.plug_in()
    server = await place.serve(listeners=[Listener(f"pty:{wire.path}", account="kiosk1")])
    await opened(place)
    first = await wire.ask(checkout("1"))
    wire.pull_out()
    async with asyncio.timeout(5.0):
        while server.kiosks:
            await asyncio.sleep(0.01)
    wire.plug_in()
    await opened(place)
    again = await wire.ask(checkout("1"))
    assert (again.fixed, again.fields) == (first.fixed, first.fields)
    assert place.library.executed == [("11", "1")]


async def test_a_long_answer_crosses_a_slow_kiosk_whole(place: Any, wire: Wire) -> None:
    wire.plug_in()
    await place.serve(listeners=[Listener(f"pty:{wire.path}", account="kiosk1")])
    await opened(place)
    for n in range(12):
        wire.send(seal(f"17{DATE}AO251020|AB{n:0250d}|".encode(), str(n % 10)) + b"\r")
    frames = []
    for _ in range(12):
        await asyncio.sleep(0.01)
        frames.append(parse((await wire.frame())[:-1]))
    assert [frame.checksum for frame in frames] == ["ok"] * 12
    assert [int(frame.get("AB")) for frame in frames] == list(range(12))


async def test_closing_the_server_closes_the_line(place: Any, wire: Wire) -> None:
    wire.plug_in()
    server = await place.serve(listeners=[Listener(f"pty:{wire.path}", account="kiosk1")])
    await opened(place)
    assert (await wire.ask(ITEM)).code == "18"
    async with asyncio.timeout(3.0):
        await server.close()
    assert server.kiosks == ()
