"""An embedded broker, and a peer that answers MQTT packets with whatever bytes a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from bus.broker import IotcoreBroker

CONNACK_OK = bytes.fromhex("2003000000")


class RawPeer:
    """A TCP server that reads MQTT packets and sends what `answer(type, packet)` gives; packet types are the high nibble."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []
        self.connections = 0
        self.answer: Callable[[int, bytes], bytes] = lambda kind, packet: CONNACK_OK if kind == 1 else b""
        self.writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"mqtt://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self.writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        try:
            while True:
                head = await reader.readexactly(1)
                length = shift = 0
                while True:
                    byte = (await reader.readexactly(1))[0]
                    length |= (byte & 127) << shift
                    shift += 7
                    if byte < 128:
                        break
                packet = head + await reader.readexactly(length)  # without its length
                self.packets.append(packet)
                writer.write(self.answer(head[0] >> 4, packet))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def kinds(self) -> list[int]:
        return [packet[0] >> 4 for packet in self.packets]


@pytest.fixture
async def peer() -> AsyncIterator[RawPeer]:
    """A raw peer that accepts CONNECT and says nothing else."""
    raw = RawPeer()
    await raw.start()
    yield raw
    await raw.stop()


@pytest.fixture
async def broker() -> AsyncIterator[IotcoreBroker]:
    """The embedded broker on a free port."""
    provider = IotcoreBroker()
    await provider.start()
    yield provider
    await provider.stop()
