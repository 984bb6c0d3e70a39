"""Listeners opened: plain TCP by the event loop's own server; TLS and PROXY headers by an accept loop; serial lines for ever."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import Any, Protocol

from drivers.base import Backoff, ConfigurationError, DeviceOffline
from drivers.port import open_port
from drivers.selfcheck.accounts import bare_address, within
from drivers.selfcheck.connection import Connection
from drivers.selfcheck.line import LineTransport
from drivers.selfcheck.listeners import Listener
from drivers.selfcheck.proxy import ProxyHeaderError, read_proxy_header
from drivers.selfcheck.stats import Limits
from drivers.selfcheck.tls import Certificate

__all__ = ["Connect", "Door", "open_door"]

log = logging.getLogger(__name__)

Connect = Callable[[Listener, str | None], Connection]
"""Makes the protocol of a new connection; the address is given where the transport does not tell it."""

_BACKOFF_MOST_S = 5.0
_TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Door(Protocol):
    """One listener, opened."""

    listener: Listener
    state: str
    """`open`, `closed`, or why a line is not there (a code of `drivers.port`)."""

    async def open(self) -> tuple[str, int] | None:
        """Begin; gives host and port as bound, None for a line. Raises OSError."""
        ...

    def shut(self) -> None:
        """Let nobody more in."""
        ...

    async def close(self) -> None:
        """Shut, and end what belongs to the door."""
        ...


def open_door(listener: Listener, limits: Limits, connect: Connect, uniform: Callable[[], float]) -> Door:
    """The door of a listener, not yet open."""
    if listener.scheme == "line":
        return _LineDoor(listener, connect, uniform)
    if listener.tls is not None or listener.proxy_header:
        return _GuardedDoor(listener, limits, connect)
    return _TcpDoor(listener, limits, connect)


async def _bind(listener: Listener, backlog: int) -> socket.socket:
    """A listening socket; `[::]` takes IPv4 peers too."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(listener.host, listener.tcp_port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    both = family == socket.AF_INET6 and address[0] == "::" and socket.has_dualstack_ipv6()
    bound = socket.create_server(
        (str(address[0]), listener.tcp_port), family=family, backlog=backlog, dualstack_ipv6=both
    )
    bound.setblocking(False)
    return bound


def _where(bound: socket.socket) -> tuple[str, int]:
    name = bound.getsockname()
    return str(name[0]), int(name[1])


class _TcpDoor:
    """Plain TCP."""

    def __init__(self, listener: Listener, limits: Limits, connect: Connect) -> None:
        self.listener = listener
        self.state = "closed"
        self._limits = limits
        self._connect = connect
        self._server: asyncio.Server | None = None

    async def open(self) -> tuple[str, int]:
        bound = await _bind(self.listener, self._limits.backlog)
        self._server = await asyncio.get_running_loop().create_server(
            lambda: self._connect(self.listener, None), sock=bound, backlog=self._limits.backlog
        )
        self.state = "open"
        return _where(bound)

    def shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self.state = "closed"

    async def close(self) -> None:
        self.shut()


class _GuardedDoor:
    """TCP whose peers first have to get through a PROXY header, a TLS handshake, or both, each in a task of its own."""

    def __init__(self, listener: Listener, limits: Limits, connect: Connect) -> None:
        self.listener = listener
        self.state = "closed"
        self._limits = limits
        self._connect = connect
        self._bound: socket.socket | None = None
        self._certificate: Certificate | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._guarded: set[asyncio.Task[None]] = set()

    async def open(self) -> tuple[str, int]:
        if self.listener.tls is not None:
            self._certificate = Certificate(self.listener.tls)
        self._bound = await _bind(self.listener, self._limits.backlog)
        self._accepting = asyncio.get_running_loop().create_task(self._accept(self._bound))
        self.state = "open"
        return _where(self._bound)

    def shut(self) -> None:
        if self._accepting is not None:
            self._accepting.cancel()
        for task in self._guarded:
            task.cancel()
        self.state = "closed"

    async def close(self) -> None:
        self.shut()
        if self._accepting is not None:
            await asyncio.gather(self._accepting, *self._guarded, return_exceptions=True)
            self._accepting = None
        if self._bound is not None:
            self._bound.close()
            self._bound = None

    async def _accept(self, bound: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        most = self._limits.connections + self._limits.turned_away
        while True:
            try:
                peer, address = await loop.sock_accept(bound)
            except OSError as error:
                # The peer has gone again, or there is no file descriptor left: that passes.
                log.warning("listener %s: accepting failed: %s", self.listener.name, error.strerror)
                await asyncio.sleep(0.1 if error.errno in _TOO_MANY_FILES else 0.0)
                continue
            if len(self._guarded) >= most:
                peer.close()
                continue
            task = loop.create_task(self._guard(peer, bare_address(str(address[0]))))
            self._guarded.add(task)
            task.add_done_callback(self._guarded.discard)

    async def _guard(self, peer: socket.socket, address: str) -> None:
        """See one peer through, or close it; it gets not a byte from us that is not TLS's."""
        loop = asyncio.get_running_loop()
        context = None if self._certificate is None else self._certificate.context(loop.time())
        options: dict[str, Any] = {"ssl": context}
        if context is not None:
            options["ssl_handshake_timeout"] = self._limits.handshake_s
        try:
            async with asyncio.timeout(self._limits.handshake_s):
                origin = await self._origin(peer, address)
                await loop.connect_accepted_socket(lambda: self._connect(self.listener, origin), peer, **options)
        except (OSError, EOFError, ProxyHeaderError) as error:  # TimeoutError and ssl.SSLError are OSErrors
            log.info(
                "listener %s: peer at %s closed: %s", self.listener.name, address, str(error) or type(error).__name__
            )
            peer.close()
        except BaseException:
            peer.close()
            raise

    async def _origin(self, peer: socket.socket, address: str) -> str:
        if not self.listener.proxy_header:
            return address
        if not within(address, self.listener.proxies):
            raise ProxyHeaderError("it is none of the proxies")
        loop = asyncio.get_running_loop()

        async def receive(n: int) -> bytes:
            data = b""
            while len(data) < n:
                more = await loop.sock_recv(peer, n - len(data))
                if not more:
                    raise EOFError("the peer closed within its PROXY header")
                data += more
            return data

        return bare_address(await read_proxy_header(receive) or address)


class _LineDoor:
    """A serial line: opened, served until it is lost, opened again, for ever."""

    def __init__(self, listener: Listener, connect: Connect, uniform: Callable[[], float]) -> None:
        self.listener = listener
        self.state = "closed"
        self._connect = connect
        self._backoff = Backoff(uniform, most_s=_BACKOFF_MOST_S)
        self._running: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self._running = asyncio.get_running_loop().create_task(self._run())

    def shut(self) -> None:
        """Nobody comes in at a line; it goes on until it is closed."""

    async def close(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            self._running = None
        self.state = "closed"

    async def _run(self) -> None:
        while True:
            try:
                port = await open_port(self.listener.url)
            except (DeviceOffline, ConfigurationError) as error:
                if self.state != error.code:
                    log.warning("listener %s: %s (%s), tried again for ever", self.listener.name, error, error.code)
                self.state = error.code
            else:
                self.state = "open"
                log.info("listener %s: the line is open", self.listener.name)
                transport = LineTransport(port, self._connect(self.listener, "line"))
                self.state = await transport.run()
                if transport.heard:
                    self._backoff.reset()
                log.warning("listener %s: the line was lost (%s)", self.listener.name, self.state)
            await asyncio.sleep(self._backoff.next_s())
