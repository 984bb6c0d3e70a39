"""A port on which the device connects to us: one at a time, and a device that forgot its connection may come back."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from drivers.base import ConfigurationError
from drivers.listening import ListeningPort
from drivers.port import PortError, open_port, open_raw, parse_url


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture
async def port() -> AsyncIterator[tuple[ListeningPort, int]]:
    number = free_port()
    made = await open_port(f"listen:{number}")
    assert isinstance(made, ListeningPort)
    yield made, number
    await made.close()


@pytest.mark.parametrize("url", ["listen:", "listen:0", "listen:x", "listen:127.0.0.1:0", "listen:127.0.0.1:65536"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_url(url)


def test_without_an_address_only_this_machine_may_connect() -> None:
    assert parse_url("listen:10001").host == "127.0.0.1"
    assert parse_url("listen:0.0.0.0:10001").host == "0.0.0.0"


def test_a_polling_thread_cannot_be_connected_to() -> None:
    with pytest.raises(ConfigurationError):
        open_raw("listen:10001")


async def test_a_taken_address_is_busy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(PortError) as taken:
        await open_port(f"listen:{other.getsockname()[1]}")
    assert taken.value.code == "PORT_BUSY"


async def test_bytes_written_while_no_device_is_there_are_lost(port: tuple[ListeningPort, int]) -> None:
    listening, number = port
    await listening.write(b"nobody")
    source, sink = await asyncio.open_connection("127.0.0.1", number)
    sink.write(b"hello")
    assert await asyncio.wait_for(listening.read(100), 2) == b"hello"
    await listening.write(b"you")
    assert await asyncio.wait_for(source.read(100), 2) == b"you"
    sink.close()


async def test_a_device_from_elsewhere_is_turned_away_while_one_is_there(port: tuple[ListeningPort, int]) -> None:
    listening, number = port
    _, first = await asyncio.open_connection("127.0.0.1", number)
    await asyncio.sleep(0.05)
    other, other_sink = await asyncio.open_connection("127.0.0.1", number, local_addr=("127.0.0.2", 0))
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(other.readexactly(1), 2)
    other_sink.close()
    assert (listening.connected, listening.turned_away, listening.connections) == (True, 1, 1)
    first.write(b"still here")
    assert await asyncio.wait_for(listening.read(100), 2) == b"still here"
    first.close()


async def test_a_device_that_forgot_its_connection_replaces_it_and_half_a_frame_with_it(
    port: tuple[ListeningPort, int],
) -> None:
    listening, number = port
    _, old = await asyncio.open_connection("127.0.0.1", number)
    old.write(b"half a fr")
    await asyncio.sleep(0.05)
    _, new = await asyncio.open_connection("127.0.0.1", number)
    await asyncio.sleep(0.05)
    new.write(b"whole")
    assert await asyncio.wait_for(listening.read(100), 2) == b"whole"
    assert listening.connections == 2
    new.close()
    old.close()


async def test_a_device_that_floods_is_dropped(port: tuple[ListeningPort, int]) -> None:
    listening, number = port
    _, sink = await asyncio.open_connection("127.0.0.1", number)
    sink.write(bytes(1_000_000))
    async with asyncio.timeout(5):
        while listening.connections == 0 or listening.connected:
            await asyncio.sleep(0.01)
    assert listening.discard() < 400_000
    sink.close()


async def test_a_closed_port_is_free_again(port: tuple[ListeningPort, int]) -> None:
    listening, number = port
    await listening.close()
    again = await open_port(f"listen:{number}")
    await again.close()
