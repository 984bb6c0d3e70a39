"""Where a kiosk is plugged in: ``tcp:HOST:PORT``, ``tls:HOST:PORT``, or ``pty:LINK``, the kiosk's end of a serial cable."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from firmware_sim.pty import PtyLine

__all__ = ["Cable", "Place", "TcpPlace", "Wire", "place_of"]

_WAITING_BYTES = 262_144


class Wire(Protocol):
    """Bytes both ways. Everything may raise OSError where the line is lost."""

    async def read(self) -> bytes:
        """What came, at least one byte; empty where the other end has closed."""
        ...

    def write(self, data: bytes) -> None:
        """Send."""
        ...

    async def close(self) -> None:
        """Let go of the line; never waits longer than a second for the peer."""
        ...


class Place(Protocol):
    """Somewhere to connect to, as often as needed."""

    @property
    def url(self) -> str:
        """As it is written."""
        ...

    async def open(self) -> Wire:
        """Connect. Raises OSError; a cable that cannot be laid raises `firmware_sim.pty.LineError`."""
        ...

    def leave(self) -> None:
        """Pull the cable out for good, where there is one."""
        ...


class _Streams:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        return await self._reader.read(65_536)

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    async def close(self) -> None:
        self._writer.close()
        try:
            async with asyncio.timeout(1.0):
                await self._writer.wait_closed()
        except OSError:
            self._writer.transport.abort()


@dataclass(frozen=True, slots=True)
class TcpPlace:
    """A TCP port, under TLS where a context is given."""

    host: str
    tcp_port: int
    context: ssl.SSLContext | None = None

    @property
    def url(self) -> str:
        """As it was written."""
        return f"{'tls' if self.context is not None else 'tcp'}:{self.host}:{self.tcp_port}"

    async def open(self) -> Wire:
        """Connect; the server's certificate must be for this host."""
        return _Streams(*await asyncio.open_connection(self.host, self.tcp_port, ssl=self.context))

    def leave(self) -> None:
        """Nothing stays."""


class Cable:
    """A serial cable whose other end is found at a link. It stays plugged in between sessions: a serial line has no connection."""

    def __init__(self, link: str) -> None:
        self._line = PtyLine(link)
        self.url = self._line.url
        self._plugged = False
        self._waiting = bytearray()
        self._came = asyncio.Event()

    async def open(self) -> Wire:
        """Plug in, once; what came before is of another session and is forgotten. Raises LineError."""
        if not self._plugged:
            self._line.plug(self._take)
            self._plugged = True
        self._waiting.clear()
        self._came.clear()
        return self

    def leave(self) -> None:
        """Pull the cable out and remove the link."""
        if self._plugged:
            self._line.unplug()
            self._plugged = False

    async def read(self) -> bytes:
        """What came; waits for ever on a silent line."""
        await self._came.wait()
        self._came.clear()
        data = bytes(self._waiting)
        self._waiting.clear()
        return data

    def write(self, data: bytes) -> None:
        """Send; what nobody reads is lost, as on a wire."""
        self._line.write(data)

    async def close(self) -> None:
        """The cable stays; only what has come is forgotten."""
        self._waiting.clear()

    def _take(self, data: bytes) -> None:
        self._waiting += data
        del self._waiting[:-_WAITING_BYTES]
        self._came.set()


def place_of(url: str, *, ca: Path | None = None, certificate: Path | None = None, key: Path | None = None) -> Place:
    """The place of a URL. Raises ValueError for one that is none, OSError for files that cannot be used.

    ``ca`` is whom a tls server's certificate must come from, the system's authorities where it is None; ``certificate`` and ``key`` are
    the kiosk's own, for a server that asks for one.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "pty" and rest:
        return Cable(rest)
    host, _, number = rest.removeprefix("//").rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if scheme not in ("tcp", "tls") or not host or not (number.isascii() and number.isdigit()) or int(number) > 65_535:
        raise ValueError("a kiosk connects to tcp:HOST:PORT or tls:HOST:PORT, or sits at pty:LINK")
    if scheme == "tcp":
        return TcpPlace(host, int(number))
    context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return TcpPlace(host, int(number), context)
