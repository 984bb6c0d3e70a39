"""One kiosk's TCP connection: bytes to the session, its events to the server, answers back.

An asyncio Protocol rather than streams: a request costs one task and one write. A request is served by a task of its
own, so a slow one holds up this kiosk alone; what arrives meanwhile waits, and beyond a bound the socket is not read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from drivers.selfcheck.kiosk import KioskSession
from protocols.sip2 import NEED_DATA, PAUSED, Answer, Ignored, Login, Request, ServerSession

__all__ = ["READ_AHEAD", "Connection", "Served", "Serving"]

log = logging.getLogger(__name__)

READ_AHEAD = 65_536
"""Bytes of further requests that may wait while one is served."""

_BURST = 64
"""Frames without a handler (repeats, garbage) that one kiosk may have answered in a row."""


@dataclass(frozen=True, slots=True)
class Served:
    """Bytes that answer a request, and whether the connection ends with them."""

    data: bytes
    close: bool = False


class Serving(Protocol):
    """What a connection needs of its server."""

    clock: Callable[[], datetime]

    def opened(self, connection: Connection) -> bool:
        """A connection was made; False = there is no room, it is answered once and closed."""
        ...

    def closed(self, connection: Connection) -> None:
        """A connection has ended."""
        ...

    def began(self, task: asyncio.Task[None]) -> None:
        """A request's task has been started."""
        ...

    def serve(self, connection: Connection, event: Login | Request) -> Awaitable[Served]:
        """Execute a request and answer it."""
        ...

    def turn_away(self, connection: Connection, event: Login | Request) -> bytes:
        """The answer of a server that has no room."""
        ...

    def noted(self, connection: Connection, event: Answer | Ignored) -> None:
        """The session settled a frame itself."""
        ...


class Connection(asyncio.Protocol):
    """Glue between one transport and one `ServerSession`. Times are of the event loop's clock, in seconds."""

    def __init__(self, server: Serving, session: ServerSession, number: int) -> None:
        self.session = session
        self.number = number
        self.address = "?"
        self.kiosk: KioskSession | None = None
        self.task: asyncio.Task[None] | None = None
        self.has_room = True
        self._server = server
        self._loop = asyncio.get_running_loop()
        self.opened_at = self.active_at = self._loop.time()
        self._transport: asyncio.Transport | None = None
        self._reading = True
        self._writable = True
        self._finishing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A peer has connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) and peer else "?"
        self.has_room = self._server.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer has gone. A request under way is finished all the same: its answer is for the kiosk's return."""
        self._transport = None
        self._server.closed(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of the peer."""
        self.active_at = self._loop.time()
        self.session.receive(data)
        self._pump()

    def pause_writing(self) -> None:
        """The peer does not take its answers: serve nothing more until it does."""
        self._writable = False

    def resume_writing(self) -> None:
        """The peer takes its answers again."""
        self._writable = True
        self._pump()

    def finish(self) -> None:
        """Finish what is being served and take nothing more."""
        self._finishing = True

    def end(self) -> None:
        """Close at once, whatever still waits to be sent."""
        if self._transport is not None:
            self._transport.abort()

    def _pump(self) -> None:
        """Take events until one has to be waited for; after a burst, let other kiosks have their turn first."""
        for _ in range(_BURST):
            if self.task is not None or not self._writable or not self._open():
                break
            event = self.session.next_event(self._server.clock())
            if event is NEED_DATA or event is PAUSED:
                break
            self._take(event)
        else:
            self._loop.call_soon(self._pump)
        self._pace_reading()

    def _take(self, event: Answer | Ignored | Login | Request) -> None:
        if isinstance(event, Answer | Ignored):
            self._server.noted(self, event)
            if isinstance(event, Answer):
                self._send(event.data, close=not self.has_room)
        elif not self.has_room:
            self._send(self._server.turn_away(self, event), close=True)
        else:
            self.task = self._loop.create_task(self._serve(event))
            self._server.began(self.task)

    async def _serve(self, event: Login | Request) -> None:
        try:
            served = await self._server.serve(self, event)
        except Exception as error:  # the task's outer edge: this kiosk loses its connection, no other does
            log.error("kiosk %d: message %s failed: %s", self.number, event.message.code, type(error).__name__)
            self.end()
            return
        finally:
            self.task = None
        self._send(served.data, close=served.close)
        self._pump()

    def _send(self, data: bytes, *, close: bool) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(data)
        if close:
            self._transport.close()

    def _open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing() and not self._finishing

    def _pace_reading(self) -> None:
        """Stop reading a peer that sends ahead of its answers, go on when it has been caught up with."""
        wanted = self._writable and self.session.buffered <= READ_AHEAD
        if wanted == self._reading or self._transport is None or self._transport.is_closing():
            return
        self._reading = wanted
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()
