"""Where a library system answers, and the byte stream to it: TCP, TLS or a serial line."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import dataclass
from typing import Literal, Protocol
from urllib.parse import urlsplit

from drivers.base import ConfigurationError
from drivers.port import Port, PortError, open_port, parse_url
from drivers.selfcheck.client_errors import Unreachable

__all__ = ["DEFAULT_TCP_PORT", "Address", "Wire"]

DEFAULT_TCP_PORT = 6001
"""Where no port is given: what SIPServer, Koha and most others listen on. The standard names none."""

_CLOSE_S = 1.0


class Wire(Protocol):
    """An open byte stream. Every method raises OSError once it is lost."""

    async def read(self, most: int) -> bytes:
        """Wait for bytes and give at most ``most``; b"" at its end."""

    async def write(self, data: bytes) -> None:
        """Send all of it."""

    async def close(self) -> None:
        """Close it, within a second."""


class _Stream:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self, most: int) -> bytes:
        return await self._reader.read(most)

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def close(self) -> None:
        self._writer.close()
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self._writer.transport.abort()


class _Line:
    def __init__(self, port: Port) -> None:
        self._port = port

    async def read(self, most: int) -> bytes:
        try:
            return await self._port.read(most)
        except PortError as error:
            raise ConnectionResetError(str(error)) from error

    async def write(self, data: bytes) -> None:
        try:
            await self._port.write(data)
        except PortError as error:
            raise ConnectionResetError(str(error)) from error

    async def close(self) -> None:
        with contextlib.suppress(PortError):
            await self._port.close()


@dataclass(frozen=True, slots=True)
class Address:
    """``sip2://HOST[:PORT]`` is TCP, ``sip2s://…`` TLS, ``serial:PATH?baudrate=…`` and ``pty:PATH`` a line (drivers.port)."""

    scheme: Literal["sip2", "sip2s", "line"]
    host: str = ""
    tcp_port: int = 0
    line: str = ""

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read one; raises `ConfigurationError` BAD_URL."""
        scheme = text.partition(":")[0]
        if scheme in ("serial", "pty"):
            parse_url(text)
            return cls("line", line=text)
        try:
            parts = urlsplit(text)
            host, tcp_port = parts.hostname, parts.port
        except ValueError:
            host, tcp_port = None, None
        if scheme not in ("sip2", "sip2s") or not host or tcp_port == 0 or "@" in text or text.endswith(":"):
            raise ConfigurationError(
                "BAD_URL", "a library system is sip2://HOST:PORT, sip2s://HOST:PORT (TLS) or serial:PATH?baudrate=9600"
            )
        return cls("sip2s" if scheme == "sip2s" else "sip2", host, tcp_port or DEFAULT_TCP_PORT)

    @property
    def single(self) -> bool:
        """Whether there can be one connection only."""
        return self.scheme == "line"

    def __str__(self) -> str:
        if self.scheme == "line":
            return self.line.partition("?")[0]
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.tcp_port}"

    async def open(self, timeout_s: float, tls: ssl.SSLContext | None = None) -> Wire:
        """Connect; ``tls`` is what to trust for ``sip2s`` (None: the system's roots). Raises Unreachable."""
        try:
            if self.scheme == "line":
                return _Line(await open_port(self.line, timeout_s=timeout_s))
            context = None
            if self.scheme == "sip2s":
                context = tls or await asyncio.to_thread(ssl.create_default_context)
            async with asyncio.timeout(timeout_s):
                return _Stream(*await asyncio.open_connection(self.host, self.tcp_port, ssl=context))
        except ssl.SSLCertVerificationError as error:
            raise Unreachable(f"The certificate of {self} is not trusted.", "certificate") from error
        except (OSError, TimeoutError, PortError) as error:
            raise Unreachable(f"No SIP2 server answers at {self}.") from error
