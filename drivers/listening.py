"""A port on which the device connects to us: gates in notification mode, converters that call a host.

One device at a time. A newer connection from the same address replaces the one before, which a device that lost its power
has forgotten and never closed; from another address it is turned away while the first is there, which a device that is gone is
for `drivers.tcp_line.GONE_S` seconds more.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from drivers.tcp_line import watch

__all__ = ["ListeningPort"]

MAX_UNSENT = 65536
"""Bytes not taken by a device that has stopped reading; more is dropped with its connection."""


class _Inbox(Protocol):
    def put(self, data: bytes) -> None: ...
    def check(self) -> None: ...
    def discard(self) -> int: ...
    async def take(self, n: int) -> bytes: ...
    def __len__(self) -> int: ...


class ListeningPort:
    """A `drivers.port.Port` that stays open while devices come and go; bytes written while none is there are lost."""

    def __init__(self, inbox: _Inbox) -> None:
        self._inbox = inbox
        self._server: asyncio.Server | None = None
        self._peer: _Peer | None = None
        self.connections = 0
        """Devices that connected so far."""
        self.turned_away = 0

    @classmethod
    async def listen(cls, host: str, tcp_port: int, inbox: _Inbox) -> ListeningPort:
        """Listen; raises `OSError`."""
        port = cls(inbox)
        port._server = await asyncio.get_running_loop().create_server(lambda: _Peer(port), host, tcp_port, backlog=4)
        return port

    @property
    def connected(self) -> bool:
        """Whether a device is there."""
        return self._peer is not None

    def came(self, peer: _Peer) -> bool:
        """A device connected; False turns it away."""
        if self._peer is not None:
            if self._peer.address != peer.address:
                self.turned_away += 1
                return False
            self._peer.drop()
        self._peer = peer
        self.connections += 1
        self._inbox.discard()  # half a frame of the connection before
        return True

    def went(self, peer: _Peer) -> None:
        """A device is gone."""
        if self._peer is peer:
            self._peer = None

    def heard(self, peer: _Peer, data: bytes) -> bool:
        """Bytes of a device; False drops it: it sends what nobody reads."""
        if self._peer is peer:
            self._inbox.put(data)
        return len(self._inbox) < MAX_UNSENT

    async def read(self, n: int) -> bytes:
        """Wait for at least one byte of whatever device is there and give at most ``n``."""
        return await self._inbox.take(n)

    async def write(self, data: bytes) -> None:
        """Send to the device that is there."""
        self._inbox.check()
        if self._peer is not None:
            self._peer.send(data)

    def discard(self) -> int:
        """Forget bytes received and not read; gives their number."""
        return self._inbox.discard()

    async def close(self) -> None:
        """Drop the device and listen no more."""
        if self._peer is not None:
            self._peer.drop()
            self._peer = None
        if self._server is not None:
            self._server.close()
            self._server = None


class _Peer(asyncio.Protocol):
    """One connection."""

    def __init__(self, port: ListeningPort) -> None:
        self._port = port
        self._transport: asyncio.Transport | None = None
        self.address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.address = str(transport.get_extra_info("peername", ("",))[0])
        watch(transport.get_extra_info("socket"))
        if not self._port.came(self):
            transport.abort()

    def data_received(self, data: bytes) -> None:
        if not self._port.heard(self, data):
            self.drop()

    def connection_lost(self, exc: Exception | None) -> None:
        self._port.went(self)

    def send(self, data: bytes) -> None:
        if self._transport is not None:
            if self._transport.get_write_buffer_size() > MAX_UNSENT:
                self.drop()
            else:
                self._transport.write(data)

    def drop(self) -> None:
        if self._transport is not None:
            self._transport.abort()
