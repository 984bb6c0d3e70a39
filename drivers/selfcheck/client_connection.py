"""One connection to a library system: requests out, replies to whoever asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from drivers.selfcheck.client_address import Wire
from drivers.selfcheck.client_errors import LoginRefused, OffLine, Unfit, Unreachable
from drivers.selfcheck.client_peer import Peer
from protocols.sip2 import NEED_DATA, Answered, ClientSession, Message, Outgoing, RemoteProtocolError, SendAgain
from protocols.sip2.requests import login, sc_status

__all__ = ["Connection"]

_CHUNK = 65_536
_FATAL = frozenset({"no_answer", "out_of_step", "frame_too_long"})


class Connection:
    """An open wire and its session; ``now`` in seconds of a clock that never goes back. Make it on the running loop.

    A reply that does not come within ``timeout_s`` is asked for again (AY kept) as often as the session's retries allow, where no other
    request is open. Whoever gives up closes the connection: a late reply must not meet the next request.
    """

    def __init__(self, wire: Wire, session: ClientSession, *, timeout_s: float, now: Callable[[], float]) -> None:
        self._wire = wire
        self._session = session
        self._timeout_s = timeout_s
        self._now = now
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._lost: Unreachable | None = None
        self.used = now()
        """When it last brought an answer."""
        self.heard = False
        """Whether any answer ever came on it."""
        self._listener = asyncio.create_task(self._listen(), name="sip2-client")

    @property
    def open(self) -> bool:
        """Whether it can be asked."""
        return self._lost is None

    @property
    def idle(self) -> bool:
        """Whether nobody waits for an answer."""
        return not self._waiting

    @property
    def room(self) -> int:
        """How many more requests may be sent now."""
        return self._session.room if self.open else 0

    async def greet(
        self, peer: Peer, credentials: tuple[str, str, str | None] | None, *, status: bool
    ) -> Message | None:
        """Log in with (user, password, location) and, with ``status``, ask 99; gives the 98.

        Raises LoginRefused, Unfit (a 98 without version), OffLine, Unreachable.
        """
        if credentials is not None:
            reply = await self._first(peer, login(*credentials))
            if reply.code == "98":
                raise OffLine
            if reply.fixed.get("ok") != "1":
                raise LoginRefused
        if not status:
            return None
        try:
            reply = await (self.call(sc_status()) if self.heard else self._first(peer, sc_status()))
        except RemoteProtocolError as error:
            if error.message_code == "98":
                raise Unfit from error
            raise
        if reply.fixed.get("on_line_status") == "N":
            raise OffLine
        return reply

    async def _first(self, peer: Peer, request: Outgoing) -> Message:
        """The first question of a connection: its answer shows how the peer speaks, silence that it may want another way."""
        try:
            reply = await self.call(request)
        except Unreachable:
            if not self.heard:
                peer.silent()
            raise
        peer.heard(self._session, reply)
        return reply

    async def call(self, request: Outgoing | str) -> Message:
        """The reply to a request, or to a text typed by hand.

        Raises Unreachable (the connection is then closed), RemoteProtocolError for a reply that cannot be understood,
        LocalProtocolError for a request that cannot be written.
        """
        if self._lost is not None:
            raise self._gone()
        session = self._session
        data = session.send_text(request) if isinstance(request, str) else session.send(request)
        number = session.sent
        reply: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[number] = reply
        try:
            while True:
                await self._write(data)
                try:
                    async with asyncio.timeout(self._timeout_s):
                        return await asyncio.shield(reply)
                except TimeoutError:
                    data = self._after_silence()
        except BaseException:
            if not reply.done():
                self.lose(Unreachable("The connection was given up over a question without an answer.", "lost"))
            raise
        finally:
            self._waiting.pop(number, None)
            if reply.done() and not reply.cancelled():
                reply.exception()  # nobody else looks at it

    def _after_silence(self) -> bytes:
        """What to send once more; raises Unreachable where that would not help."""
        silent = Unreachable("The library system did not answer in time.", "timeout")
        if len(self._waiting) > 1 or not self._session.waiting:
            raise silent
        try:
            return self._session.timed_out()
        except RemoteProtocolError as error:
            raise silent from error

    async def _write(self, data: bytes) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._wire.write(data)
        except (OSError, TimeoutError) as error:
            lost = Unreachable("The connection to the library system was lost.", "lost")
            self.lose(lost)
            raise lost from error

    async def close(self) -> None:
        """Close it; whoever waits hears that it was lost."""
        self.lose(Unreachable("The connection to the library system is closed.", "lost"))
        await asyncio.wait([self._listener])

    def lose(self, why: Unreachable) -> None:
        """Give the connection up; it closes in its own task."""
        if self._lost is None:
            self._lost = why
            self._session.give_up()
            self._listener.cancel()
            for reply in self._waiting.values():
                if not reply.done():
                    reply.set_exception(self._gone())

    def _gone(self) -> Unreachable:
        lost = self._lost
        return Unreachable(str(lost), lost.code) if lost is not None else Unreachable("It is closed.", "lost")

    async def _listen(self) -> None:
        try:
            while data := await self._wire.read(_CHUNK):
                self._session.receive(data)
                while await self._took():
                    pass
            self.lose(Unreachable("The library system closed the connection.", "lost"))
        except OSError:
            self.lose(Unreachable("The connection to the library system was lost.", "lost"))
        finally:
            await self._wire.close()

    async def _took(self) -> bool:
        """Take one event; False once there is none."""
        try:
            event = self._session.next_event()
        except RemoteProtocolError as error:
            if error.code in _FATAL:
                raise_as = "no_answer" if error.code == "frame_too_long" else error.code
                self.lose(Unreachable(str(error), raise_as))
                return False
            self._answer(next(iter(self._waiting), 0), error)
            return True
        if event is NEED_DATA:
            return False
        if isinstance(event, Answered):
            self._answer(event.to, event.message)
        elif isinstance(event, SendAgain):
            await self._wire.write(event.data)
        return True

    def _answer(self, number: int, what: Message | RemoteProtocolError) -> None:
        self.heard = True
        self.used = self._now()
        reply = self._waiting.get(number)
        if reply is None or reply.done():
            return
        if isinstance(what, Message):
            reply.set_result(what)
        else:
            reply.set_exception(what)
