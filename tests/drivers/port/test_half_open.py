"""A TCP connection whose other end lost its power without a word: every way of opening one asks the kernel to notice.

The loopback cannot lose packets, so what is looked at are the sockets themselves; and that unsent orders die with their port.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial.rfc2217

from drivers.port import PortError, open_port, open_raw
from drivers.tcp_line import GONE_S

NOTICES = {
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE): 1,
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE): 15,
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL): 5,
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT): 3,
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT): 30_000,
    (socket.IPPROTO_TCP, socket.TCP_NODELAY): 1,
}


def told(line: socket.socket) -> dict[tuple[int, int], int]:
    return {option: line.getsockopt(*option) for option in NOTICES}


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def url(server: socket.socket) -> str:
    return f"tcp:127.0.0.1:{server.getsockname()[1]}"


async def test_a_connection_of_ours_notices_within_half_a_minute(server: socket.socket) -> None:
    port = await open_port(url(server))
    assert told(port._transport.get_extra_info("socket")) == NOTICES  # type: ignore[attr-defined]
    assert GONE_S == 30
    await port.close()


def test_so_does_one_of_a_polling_thread(server: socket.socket) -> None:
    port = open_raw(url(server))
    assert told(port._line) == NOTICES
    port.close()


async def test_so_does_one_that_a_device_made_to_us(server: socket.socket) -> None:
    number = server.getsockname()[1]
    server.close()
    port = await open_port(f"listen:{number}")
    with socket.create_connection(("127.0.0.1", number)):
        async with asyncio.timeout(2):
            while not port.connected:  # type: ignore[attr-defined]
                await asyncio.sleep(0.01)
        assert told(port._peer._transport.get_extra_info("socket")) == NOTICES  # type: ignore[attr-defined]
    await port.close()


async def test_so_does_one_to_a_serial_server(server: socket.socket, tmp_path: Path) -> None:
    class Server(threading.Thread):
        """As much of RFC 2217 as it takes to open a line."""

        def run(self) -> None:
            peer, _ = server.accept()
            sink = type("Sink", (), {"write": lambda _self, data: peer.sendall(data)})()
            manager = serial.rfc2217.PortManager(serial.serial_for_url("loop://"), sink)
            with peer, contextlib.suppress(OSError):
                while data := peer.recv(1024):
                    list(manager.filter(data))

    thread = Server(daemon=True)
    thread.start()
    port = await open_port(f"rfc2217://127.0.0.1:{server.getsockname()[1]}")
    assert told(port._line._socket) == NOTICES  # type: ignore[attr-defined]
    await port.close()
    await asyncio.to_thread(thread.join, 5)


@pytest.mark.parametrize("orders", [False, True])
async def test_only_orders_die_unsent_with_their_port(server: socket.socket, orders: bool) -> None:
    port = await open_port(url(server), orders=orders)
    peer, _ = server.accept()
    line = port._transport.get_extra_info("socket")  # type: ignore[attr-defined]
    assert struct.unpack("ii", line.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)) == (int(orders), 0)
    with peer:
        await port.write(b"open")
        await asyncio.sleep(0.05)
        await port.close()
        peer.settimeout(2)
        assert peer.recv(100) == b"open"
        if orders:
            with pytest.raises(ConnectionResetError):
                peer.recv(100)
        else:
            assert peer.recv(100) == b""


async def test_a_port_that_the_kernel_gave_up_is_lost(server: socket.socket) -> None:
    port = await open_port(url(server))
    peer, _ = server.accept()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    with pytest.raises(PortError) as lost:
        await port.read(1)
    assert lost.value.code == "PORT_LOST"
    await port.close()
