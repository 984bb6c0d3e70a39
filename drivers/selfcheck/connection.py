"""One kiosk's connection, over TCP, TLS or a serial line alike: bytes to the session, its events to the server, answers back.

An asyncio protocol rather than streams, and no task where none is needed: a request that is answered from memory costs
one read and one write. One that waits gets a task of its own, so a slow request holds up this kiosk alone; what arrives
meanwhile waits, and beyond a bound the peer is not read.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, cast

from drivers.selfcheck.accounts import bare_address
from drivers.selfcheck.kiosk import Account, KioskSession
from drivers.selfcheck.listeners import Listener
from drivers.selfcheck.prompt import NOTHING_YET, Credentials, LoginPrompt, Sip2Begins
from drivers.selfcheck.stats import READ_AHEAD
from protocols.sip2 import NEED_DATA, PAUSED, Answer, Ignored, Login, Request, ServerSession

if TYPE_CHECKING:
    from drivers.selfcheck.sip2 import Sip2Server

__all__ = ["Connection"]

log = logging.getLogger(__name__)

_TURN = 8
"""Frames that one kiosk may have answered in a row before the others have their turn."""
_PACE_S = 0.001


class Connection(asyncio.BufferedProtocol):
    """Glue between one transport and one `ServerSession`. Times are of the event loop's clock, in seconds.

    `task` is the request that is being waited for. `preset` is who the peer is without a 93. `has_room` is False for a
    peer that is answered once and closed. `leaving` closes the connection after the answer under way.
    """

    def __init__(
        self, server: Sip2Server, session: ServerSession, number: int, listener: Listener, address: str | None = None
    ) -> None:
        self.session = session
        self.number = number
        self.listener = listener
        self.address = address or "?"
        self.kiosk: KioskSession | None = None
        self.preset: Account | None = None
        self.task: asyncio.Task[bytes] | None = None
        self.overdue = False
        self.has_room = True
        self.leaving = False
        self.opened_at = self.active_at = server.loop.time()
        self.partial_since: float | None = None
        self._server = server
        self._loop = server.loop
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._prompt: LoginPrompt | None = LoginPrompt() if listener.login_prompt else None
        self._reading = True
        self._writable = True
        self._finishing = False
        self._waiting = False
        self._credit = float(server.limits.ahead_burst)
        self._credit_at = self.opened_at

    # --- what the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A peer has connected."""
        self._transport = transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        if self.address == "?":
            peer = transport.get_extra_info("peername")
            if isinstance(peer, tuple) and peer:
                self.address = bare_address(str(peer[0]))
        self.has_room = self._server.opened(self)
        if self._prompt is not None:
            transport.write(self._prompt.take_questions())

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer has gone. A request under way is finished all the same: its answer is for the kiosk's return."""
        self._transport = None
        self._server.closed(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """The server's one buffer: what is read is taken before anybody else reads."""
        return self._server.read_buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes of the peer are in the buffer."""
        self.received(bytes(self._server.read_buffer[:nbytes]))

    def eof_received(self) -> bool:
        """The peer sends no more: close once its answers are out."""
        return False

    def received(self, data: bytes) -> None:
        """Bytes of the peer."""
        self.active_at = self._loop.time()
        if self._prompt is not None:
            self._prompt.receive(data)
            self._converse()
            return
        self.session.receive(data)
        if self.task is None and not self._waiting:
            self._pump()
        else:
            self._pace_reading()

    def pause_writing(self) -> None:
        """The peer does not take its answers: serve nothing more until it does."""
        self._writable = False

    def resume_writing(self) -> None:
        """The peer takes its answers again."""
        self._writable = True
        self._pump()

    # --- what the server calls

    @property
    def is_line(self) -> bool:
        """Whether this is a serial line, which has no connection to end."""
        return self.listener.scheme == "line"

    def finish(self) -> None:
        """Finish what is being served and take nothing more."""
        self._finishing = True

    def end(self) -> None:
        """Close at once, whatever still waits to be sent."""
        if self._transport is not None:
            self._transport.abort()

    def leave(self) -> None:
        """Close after the request under way, at once where there is none."""
        self.leaving = True
        if self.task is None and self._transport is not None:
            self._transport.close()

    def too_slow(self) -> None:
        """The message that has begun does not end: ask for it again."""
        self.partial_since = None
        answer = self.session.give_up(rest_comes=not self.is_line)
        self._server.settled(self, answer)
        self._write(answer.data)

    # --- requests

    def _pump(self) -> None:
        """Take events until one has to be waited for; after some, let other kiosks have their turn first."""
        session, server, out, served = self.session, self._server, b"", 0
        self._waiting = False
        while self.task is None and self._writable and not self._finishing and not self.leaving:
            if served and not self._may_go_on(served):
                break
            event = session.next_event(server.wall if self._loop.time() < server.wall_until else server.now())
            if event is NEED_DATA or event is PAUSED:
                break
            served += 1
            data = (
                self._serve(event)
                if type(event) is Request and server.tracer is None and self.has_room
                else self._take(event)
            )
            if data is not None:
                out = out + data if out else data
            if not session.buffered:
                break
        if out:
            self._write(out)
        if session.buffered:
            if served or self.partial_since is None:
                self.partial_since = self.active_at
            self._pace_reading()
        else:
            self.partial_since = None
            if not self._reading:
                self._pace_reading()

    def _take(self, event: Answer | Ignored | Login | Request) -> bytes | None:
        """The bytes that answer an event, None where they come later or not at all."""
        server = self._server
        if isinstance(event, Answer):
            server.settled(self, event)
            self.leaving = self.leaving or not self.has_room
            return event.data
        if isinstance(event, Ignored):
            server.settled(self, event)
            return None
        if server.tracer is not None:
            server.trace(self, "in", self.session.frame, "")
        if not self.has_room:
            self.leaving = True
            data = server.turn_away(self, event)
            if server.tracer is not None:
                server.trace(self, "out", data, "no_room")
            return data
        answer = self._serve(event)
        if answer is not None and server.tracer is not None:
            server.trace(self, "out", answer, "")
        return answer

    def _serve(self, event: Login | Request) -> bytes | None:
        """Have a request executed: its answer, None where it has to be waited for."""
        try:
            outcome = self._server.serve(self, event)
        except Exception as error:  # the request's outer edge: this kiosk loses its connection, no other does
            self._failed(event.message.code, error)
            return None
        if type(outcome) is bytes:
            return outcome
        assert isinstance(outcome, asyncio.Task)
        self.task = outcome
        self._server.began(outcome)
        if isinstance(event, Request):
            self._timer = self._loop.call_later(self._server.limits.handler_s, self._time_is_up)
        outcome.add_done_callback(self._answered)
        return None

    def _answered(self, task: asyncio.Task[bytes]) -> None:
        """A request that had to be waited for is done."""
        self.task = None
        self.overdue = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if task.cancelled():
            return  # the server is closing
        error = task.exception()
        if error is not None:
            self._failed("of a kiosk", error)
            return
        if self._server.tracer is not None:
            self._server.trace(self, "out", task.result(), "")
        self._write(task.result())
        self._pump()

    def _time_is_up(self) -> None:
        if self.task is not None and self.task.cancel():
            self.overdue = True

    def _failed(self, code: str, error: BaseException) -> None:
        log.error("kiosk %d: message %s failed: %s", self.number, code, type(error).__name__)
        self.end()

    # --- a login prompt

    def _converse(self) -> None:
        """Ask for a user and a password until they are right, then go over to SIP2."""
        prompt = self._prompt
        assert prompt is not None
        if self.task is not None or self._transport is None:
            return
        event = prompt.next_event()
        self._transport.write(prompt.take_questions())
        if isinstance(event, Sip2Begins):
            self._prompt = None
            self.received(event.data)
        elif isinstance(event, Credentials):
            self.task = self._loop.create_task(self._check(prompt, event))
            self._server.began(self.task)
            self.task.add_done_callback(self._prompted)
        elif event is not NOTHING_YET:
            self._transport.close()

    async def _check(self, prompt: LoginPrompt, typed: Credentials) -> bytes:
        if await self._server.login(self, typed.user, typed.password, ""):
            self.session.logged_in()
            return prompt.accepted()
        prompt.refused()
        return b""

    def _prompted(self, task: asyncio.Task[bytes]) -> None:
        self.task = None
        if task.cancelled() or self._transport is None:
            return
        error = task.exception()
        if error is not None:
            self._failed("of a login prompt", error)
            return
        self._transport.write(task.result())
        if self.leaving:
            self._transport.close()
        else:
            self._converse()

    # --- bytes out, and who may be read

    def _write(self, data: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.write(data)
        if self.leaving and self.task is None:
            transport.close()

    def _may_go_on(self, served: int) -> bool:
        """Whether a kiosk that has sent ahead of its answers may have one more now; if not, it is called again."""
        limits = self._server.limits
        now = self._loop.time()
        self._credit = min(float(limits.ahead_burst), self._credit + (now - self._credit_at) * limits.ahead_per_s)
        self._credit_at = now
        if self._credit < 1.0:
            self._server.stats.paced += 1
            self._waiting = True
            self._loop.call_later(_PACE_S, self._pump)
            return False
        if served >= _TURN:
            self._waiting = True
            self._loop.call_soon(self._pump)
            return False
        self._credit -= 1.0
        return True

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
