"""The port layer on real ptys, sockets and an RFC 2217 server of the serial library."""

from __future__ import annotations

import asyncio
import os
import pty
import socket
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial
import serial.rfc2217

from drivers.base import Backoff, ConfigurationError
from drivers.port import MAX_BUFFER, PortError, open_port, open_raw, parse_url


class Cable:
    """A pty: `path` is what a driver opens, `device` the file descriptor of the other end."""

    def __init__(self) -> None:
        self.device, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)

    def cut(self) -> None:
        for fd in (self.device, self._slave):
            if fd >= 0:
                os.close(fd)
        self.device = self._slave = -1


@pytest.fixture
def cable() -> Iterator[Cable]:
    made = Cable()
    yield made
    made.cut()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "serial:",
        "pty:",
        "tcp:host",
        "tcp:host:0",
        "tcp:host:65536",
        "tcp::1",
        "usb:1-2",
        "serial:/dev/x?baudrate=fast",
        "serial:/dev/x?baudrate=12",
        "serial:/dev/x?parity=X",
        "serial:/dev/x?stopbits=2",
        "/dev/ttyS0",
    ],
)
def test_a_url_that_is_none_is_refused_and_says_what_one_looks_like(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_url(url)
    assert refused.value.code == "BAD_URL"
    assert not refused.value.retry
    assert "serial:PATH" in str(refused.value)


def test_settings_in_the_url_win_over_the_drivers_own() -> None:
    line = parse_url("serial:/dev/ttyS0?baudrate=57600&parity=n", baudrate=38400, parity="E")
    assert (line.path, line.baudrate, line.parity) == ("/dev/ttyS0", 57600, "N")
    line = parse_url("rfc2217://[::1]:4001", baudrate=38400, parity="E")
    assert (line.host, line.tcp_port, line.baudrate, line.parity) == ("::1", 4001, 38400, "E")


async def test_a_port_that_is_not_there_is_missing_and_worth_trying_again(tmp_path: Path) -> None:
    for url in (f"serial:{tmp_path}/none", f"pty:{tmp_path}/none"):
        with pytest.raises(PortError) as missing:
            await open_port(url)
        assert (missing.value.code, missing.value.retry) == ("PORT_MISSING", True)
        with pytest.raises(PortError, match="no such port"):
            open_raw(url)


async def test_a_plain_file_is_no_port(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(PortError) as missing:
        await open_port(f"serial:{tmp_path}/file")
    assert missing.value.code == "PORT_MISSING"


async def test_a_port_in_use_is_busy_until_it_is_closed(cable: Cable) -> None:
    first = await open_port(f"pty:{cable.path}")
    for open_again in (
        lambda: open_port(f"pty:{cable.path}"),
        lambda: asyncio.to_thread(open_raw, f"pty:{cable.path}"),
    ):
        with pytest.raises(PortError) as busy:
            await open_again()
        assert busy.value.code == "PORT_BUSY"
    await first.close()
    await first.close()
    await (await open_port(f"pty:{cable.path}")).close()


async def test_nobody_listening_is_unreachable() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        for scheme in ("tcp:", "rfc2217://"):
            with pytest.raises(PortError) as away:
                await open_port(f"{scheme}127.0.0.1:{closed.getsockname()[1]}")
            assert away.value.code == "PORT_UNREACHABLE"


async def test_an_even_parity_line_opens_twice_on_a_pty(cable: Cable) -> None:
    """A pty has no parity bit; asking for it a second time fails with EINVAL if it is not left out."""
    for _ in range(3):
        port = await open_port(f"serial:{cable.path}?parity=E", baudrate=38400)
        await port.close()


async def test_bytes_go_both_ways_whatever_the_split(cable: Cable) -> None:
    port = await open_port(f"pty:{cable.path}")
    await port.write(b"\x02\x00\xff\r\n\x11\x13")
    assert await asyncio.to_thread(os.read, cable.device, 100) == b"\x02\x00\xff\r\n\x11\x13"
    for byte in b"\x00\x03\x04\x0d\x0a\x11\x13\x1a\xff":
        os.write(cable.device, bytes([byte]))
        assert await port.read(100) == bytes([byte])
    os.write(cable.device, b"abcdef")
    assert await port.read(2) + await port.read(100) == b"abcdef"
    await port.close()


async def test_a_read_given_up_loses_no_bytes(cable: Cable) -> None:
    port = await open_port(f"pty:{cable.path}")
    for _ in range(20):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await port.read(1)
    os.write(cable.device, b"still here")
    found = b""
    while len(found) < 10:
        found += await port.read(3)
    assert found == b"still here"
    await port.close()


async def test_discard_forgets_what_came_and_nothing_after(cable: Cable) -> None:
    port = await open_port(f"pty:{cable.path}")
    os.write(cable.device, b"late answer")
    await asyncio.sleep(0.02)
    assert port.discard() == 11
    os.write(cable.device, b"new")
    assert await port.read(10) == b"new"
    await port.close()


async def test_a_cut_cable_is_told_to_the_reading_and_the_writing(cable: Cable) -> None:
    port = await open_port(f"pty:{cable.path}")
    reading = asyncio.create_task(port.read(1))
    await asyncio.sleep(0.01)
    cable.cut()
    with pytest.raises(PortError) as lost:
        await asyncio.wait_for(reading, 2)
    assert lost.value.code == "PORT_LOST"
    with pytest.raises(PortError):
        await port.write(b"x")
    await port.close()


async def test_a_flood_that_nobody_reads_is_held_back_and_arrives_whole() -> None:
    flood = os.urandom(1 << 20)

    async def pour(_source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        sink.write(flood)
        await sink.drain()
        sink.close()

    server = await asyncio.start_server(pour, "127.0.0.1", 0)
    port = await open_port(f"tcp:127.0.0.1:{server.sockets[0].getsockname()[1]}")
    await asyncio.sleep(0.2)
    assert len(port._inbox) < MAX_BUFFER * 5  # one chunk of the loop may overshoot
    found = b""
    while len(found) < len(flood):
        found += await port.read(65536)
    with pytest.raises(PortError):
        await port.read(1)
    assert found == flood
    await port.close()
    server.close()


async def test_tcp_is_sent_at_once() -> None:
    server = await asyncio.start_server(lambda _source, _sink: None, "127.0.0.1", 0)
    port = await open_port(f"tcp:127.0.0.1:{server.sockets[0].getsockname()[1]}")
    peer = port._transport.get_extra_info("socket")
    assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    await port.close()
    server.close()


def test_a_polled_line_tells_empty_from_gone(cable: Cable) -> None:
    port = open_raw(f"pty:{cable.path}")
    assert [port.read(64) for _ in range(3)] == [b"", b"", b""]
    os.write(cable.device, b"ab")
    assert port.read(64) == b"ab"
    assert port.write(b"cd") == 2
    cable.cut()
    for act in (lambda: port.read(64), lambda: port.write(b"x")):
        with pytest.raises(PortError) as lost:
            act()
        assert lost.value.code == "PORT_LOST"
    port.close()


class LineWithoutModem(serial.Serial):
    """A pty has no modem lines to ask for."""

    cts = dsr = ri = cd = property(lambda _self: False)
    rts = dtr = property(lambda _self: False, lambda _self, _on: None)


class Rfc2217Server:
    """The serial library's own RFC 2217 port manager in front of a pty, for one client."""

    def __init__(self, path: str) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.tcp_port = self.listener.getsockname()[1]
        self._line = LineWithoutModem(path, timeout=0)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        peer, _ = self.listener.accept()
        peer.settimeout(0.02)

        class Sink:
            def write(self, data: bytes) -> None:
                peer.sendall(data)

        manager = serial.rfc2217.PortManager(self._line, Sink())
        with peer:
            while self.listener.fileno() >= 0:
                try:
                    data = peer.recv(1024)
                    if not data:
                        return
                    self._line.write(b"".join(manager.filter(data)))
                except TimeoutError:
                    pass
                if waiting := self._line.read(self._line.in_waiting):
                    peer.sendall(b"".join(manager.escape(waiting)))

    def close(self) -> None:
        self.listener.close()
        self._thread.join(2)
        self._line.close()


async def test_a_line_behind_rfc2217_reads_writes_and_says_when_the_server_went(cable: Cable) -> None:
    server = Rfc2217Server(cable.path)
    port = await open_port(f"rfc2217://127.0.0.1:{server.tcp_port}?baudrate=38400")
    await port.write(b"\x02\xff\x00")
    assert await asyncio.to_thread(os.read, cable.device, 10) == b"\x02\xff\x00"
    os.write(cable.device, b"\xff\x01ok")
    found = b""
    while len(found) < 4:
        found += await asyncio.wait_for(port.read(10), 3)
    assert found == b"\xff\x01ok"
    server.close()
    with pytest.raises(PortError) as lost:
        await asyncio.wait_for(port.read(1), 5)
    assert lost.value.code == "PORT_LOST"
    await port.close()


def test_waits_between_attempts_grow_spread_and_start_again() -> None:
    calm = Backoff(lambda: 0.5, first_s=0.2, most_s=1.0)
    assert [calm.next_s() for _ in range(4)] == [0.2, 0.4, 0.8, 1.0]
    calm.reset()
    assert calm.next_s() == 0.2
    assert Backoff(lambda: 0.0).next_s() < Backoff(lambda: 1.0).next_s()


async def test_a_device_that_takes_nothing_stops_nobody_else_and_is_given_up(
    cable: Cable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drivers.port.WRITE_TIMEOUT_S", 0.3)
    port = await open_port(f"pty:{cable.path}")
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    other = asyncio.create_task(tick())

    async def pour() -> None:
        for _ in range(64):
            await port.write(bytes(4096))

    with pytest.raises(PortError) as stuck:
        await pour()
    assert (stuck.value.code, stuck.value.retry) == ("PORT_STUCK", True)
    assert ticks > 5
    other.cancel()
    await port.close()


async def test_what_a_slow_device_takes_late_arrives_whole(cable: Cable) -> None:
    port = await open_port(f"pty:{cable.path}")
    sent = bytes(range(256)) * 64
    await port.write(sent)
    got = b""
    async with asyncio.timeout(5):
        while len(got) < len(sent):
            await asyncio.sleep(0.001)
            got += os.read(cable.device, 4096)
    assert got == sent
    await port.close()
