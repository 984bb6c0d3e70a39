"""Connections to one library system: logged in, shared, made again, given up in time."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from drivers.selfcheck.client_address import Address
from drivers.selfcheck.client_breaker import Breaker, BreakerLimits, Circuit
from drivers.selfcheck.client_connection import Connection
from drivers.selfcheck.client_errors import CircuitOpen, OffLine, PoolBusy, Unreachable
from drivers.selfcheck.client_peer import Peer
from drivers.selfcheck.client_repeat import may_repeat
from protocols.sip2 import BX_ORDER, Message, Outgoing, RemoteProtocolError
from protocols.sip2.requests import sc_status

__all__ = ["Exchanged", "PoolState", "Sip2Pool"]

Credentials = tuple[str, str, str | None]
"""User, password, location code."""

_AGAIN = frozenset({"lost", "out_of_step"})
_REFUSED_MORE_S = 10.0
"""How long no further connection is tried where the library system took some and refused the next."""


@dataclass(frozen=True, slots=True)
class PoolState:
    """The circuit and, where it is not closed, the code of the failure. ``since``: seconds on the pool's clock."""

    circuit: Circuit
    since: float
    reason: str


@dataclass(frozen=True, slots=True)
class Exchanged:
    """A reply. ``again``: the connection went while it was asked and it was sent a second time; the first may have been executed."""

    message: Message
    again: bool = False


@dataclass(slots=True, eq=False)
class _Turn:
    """A caller who waits for a connection; ``come`` is done when it should look."""

    come: asyncio.Future[None]


class Sip2Pool:
    """One library system behind up to ``connections`` connections, each logged in and asked 99 before use.

    ``login``: (user, password, location) or None for none. ``pipeline``: open requests a connection, told apart by AY; most systems
    answer one at a time, which is the default. A question gets ``deadline_s``, connecting included; a connection in the making goes on
    without it, for the next. A request whose connection went is sent once more on another where that is safe (`may_repeat`).
    ``breaker`` says when nothing more is asked: after failures in a row, at once where nobody is there, the login is refused or 98 says
    off line. It is then probed with a new login and 99. ``keepalive_s``: idle connections are asked 99 that often.
    ``changed`` hears each new state, on the loop. Used on one event loop; ``start`` first, ``close`` at the end, or ``async with``.
    """

    def __init__(
        self,
        address: str,
        *,
        login: Credentials | None = None,
        connections: int = 4,
        pipeline: int = 1,
        peer: Peer | None = None,
        deadline_s: float = 10.0,
        reply_s: float | None = None,
        connect_timeout_s: float = 5.0,
        retries: int = 0,
        keepalive_s: float = 240.0,
        breaker: BreakerLimits | None = None,
        tls: ssl.SSLContext | None = None,
        now: Callable[[], float] = time.monotonic,
        uniform: Callable[[], float] = random.random,
        changed: Callable[[PoolState], None] = lambda state: None,
    ) -> None:
        self.address = Address.parse(address)
        self.peer = peer or Peer()
        self.status: Message | None = None
        """The last 98."""
        self._login = login
        self._most = 1 if self.address.single else connections
        self._pipeline = pipeline
        self._deadline_s = deadline_s
        self._reply_s = reply_s or deadline_s
        self._connect_timeout_s = connect_timeout_s
        self._retries = retries
        self._keepalive_s = keepalive_s
        self._tls = tls
        self._now = now
        self._changed = changed
        self._breaker = Breaker(breaker or BreakerLimits(), now=now, uniform=uniform, changed=self._moved)
        self._lines: list[Connection] = []
        self._opening: asyncio.Task[None] | None = None
        self._no_more_until = 0.0
        self._queue: deque[_Turn] = deque()
        self._keeper: asyncio.Task[None] | None = None
        self._stirred = asyncio.Event()
        self._running = False

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def start(self) -> None:
        """Begin: the first connection is made at once, in the background."""
        self._running = True
        self._open_one()
        self._keeper = asyncio.create_task(self._keep(), name="sip2-pool")

    async def close(self) -> None:
        """Close every connection. Safe to call twice."""
        self._running = False
        tasks = [task for task in (self._keeper, self._opening) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        lines, self._lines = self._lines, []
        for line in lines:
            await line.close()
        self._call_off()

    # --- what it says of itself

    @property
    def up(self) -> bool:
        """Whether a question would be asked now."""
        return self._running and self._breaker.closed

    @property
    def state(self) -> PoolState:
        """The circuit, since when and why."""
        return PoolState(self._breaker.state, self._breaker.since, self._breaker.reason)

    def supports(self, code: str) -> bool:
        """Whether the last 98 offers this request; without BX everything is believed to be offered."""
        offered = self.status.get("BX") if self.status is not None else ""
        place = BX_ORDER.index(code) if code in BX_ORDER else len(offered)
        return offered[place : place + 1] != "N"

    def public(self) -> dict[str, Any]:
        """What may be shown: no numbers of readers, no password."""
        return {
            "address": str(self.address),
            "circuit": self._breaker.state,
            "reason": self._breaker.reason,
            "for_s": round(self._now() - self._breaker.since),
            "connections": sum(line.open for line in self._lines),
            "pipeline": 1 if self.peer.one_at_a_time else self._pipeline,
            "speaks": self.peer.public(),
        }

    # --- asking

    async def call(self, request: Outgoing | str, *, deadline_s: float | None = None) -> Message:
        """The reply to a request; see `exchange`."""
        return (await self.exchange(request, deadline_s=deadline_s)).message

    async def exchange(self, request: Outgoing | str, *, deadline_s: float | None = None) -> Exchanged:
        """The reply to a request, within ``deadline_s``.

        Raises Unreachable or one of its kinds (OffLine, CircuitOpen, PoolBusy), LoginRefused, Unfit; RemoteProtocolError for a reply
        that cannot be understood; LocalProtocolError for a request that cannot be written.
        """
        if not self.up:
            raise CircuitOpen
        asked = False
        try:
            async with asyncio.timeout(deadline_s or self._deadline_s):
                again = repeated = False
                while True:
                    line = await self._free_line()
                    asked = True
                    try:
                        reply = await line.call(request)
                    except Unreachable as error:
                        if error.code == "out_of_step":
                            self.peer.one_at_a_time = True
                        if again or error.code not in _AGAIN or not may_repeat(request):
                            raise
                        again = True
                        continue
                    finally:
                        self._stir()
                    if reply.code == "98" and not self._is_status(request):
                        # It wants its state known first (SIP2 2.00, ACS Status); the request is then repeated.
                        self._learn(reply)
                        if repeated:
                            raise Unreachable("The library system answers its status instead.", "no_answer")
                        repeated = True
                        continue
                    if reply.code == "98":
                        self._learn(reply)
                    self._breaker.succeeded()
                    return Exchanged(reply, again)
        except TimeoutError as error:
            if not asked and self._lines and all(line.open for line in self._lines):
                raise PoolBusy from error
            self._breaker.failed("timeout")
            raise Unreachable("The library system did not answer in time.", "timeout") from error
        except RemoteProtocolError:
            self._breaker.succeeded()  # it is there, whatever it said
            raise
        except Unreachable as error:
            if asked:
                self._breaker.failed(error.code, at_once=isinstance(error, OffLine))
            raise

    @staticmethod
    def _is_status(request: Outgoing | str) -> bool:
        return (request[:2] if isinstance(request, str) else request.code) == "99"

    def _learn(self, status: Message) -> None:
        self.status = status
        if status.fixed.get("on_line_status") == "N":
            raise OffLine

    # --- connections

    async def _free_line(self) -> Connection:
        """A connection with room, first come first served; a new one where there may be one more. Raises what connecting raised."""
        turn = _Turn(asyncio.get_running_loop().create_future())
        self._queue.append(turn)
        try:
            while True:
                self._lines = [line for line in self._lines if line.open]
                free = max((line for line in self._lines if line.room > 0), key=lambda line: line.room, default=None)
                if free is not None and self._queue[0] is turn:
                    return free
                if not self.up:
                    raise CircuitOpen
                if free is None:
                    self._open_one()
                turn.come = asyncio.get_running_loop().create_future()
                await turn.come
        finally:
            self._queue.remove(turn)
            if turn.come.done() and not turn.come.cancelled():
                turn.come.exception()  # nobody else looks at it
            self._stir()

    def _open_one(self) -> asyncio.Task[None] | None:
        """The connection in the making, begun if there may be one more; None where there may not."""
        if self._opening is not None and not self._opening.done():
            return self._opening
        if not self._running or len(self._lines) >= self._most or (self._lines and self._now() < self._no_more_until):
            return None
        self._opening = asyncio.create_task(self._open(), name="sip2-connect")
        self._opening.add_done_callback(self._opened)
        return self._opening

    async def _open(self) -> None:
        line: Connection | None = None
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                wire = await self.address.open(self._connect_timeout_s, self._tls)
                session = self.peer.session(depth=self._pipeline, retries=self._retries)
                line = Connection(wire, session, timeout_s=self._reply_s, now=self._now)
                status = await line.greet(self.peer, self._login, status=True)
        except TimeoutError as error:
            if line is not None:
                await line.close()
                if not line.heard:
                    self.peer.silent()
            raise Unreachable("The library system takes the connection and says nothing.", "timeout") from error
        except BaseException:
            if line is not None:
                await line.close()
            raise
        self.status = status
        self._lines.append(line)

    def _opened(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            failure = task.exception()
            if failure is None:
                if not self._breaker.closed:
                    self._breaker.succeeded()  # else a question must be answered: a greeting alone forgives no failures
            elif any(line.open for line in self._lines):
                self._no_more_until = (
                    self._now() + _REFUSED_MORE_S
                )  # it serves those it has: no failure, no more of them
            else:
                self._call_off(failure)
                code = getattr(failure, "code", "unreadable")
                self._breaker.failed(code, at_once=True)
        self._stir()

    # --- keeping

    async def _keep(self) -> None:
        while True:
            due = self._breaker.due_in()
            if due is None:
                await self._refresh()
                await self._sleep(min(self._keepalive_s / 4, 30.0))
            elif due > 0:
                await self._sleep(due)
            else:
                await self._probe()

    async def _probe(self) -> None:
        """A new connection with login and 99, or the only one asked 99: what it says moves the circuit."""
        lines, self._lines = self._lines, []
        self._breaker.probe()
        for line in lines:
            await line.close()
        opening = self._open_one()
        if opening is not None:
            await asyncio.wait({opening})

    async def _refresh(self) -> None:
        """99 on connections that were idle for long; one that does not answer is closed."""
        for line in [line for line in self._lines if line.idle and self._now() - line.used >= self._keepalive_s]:
            try:
                async with asyncio.timeout(self._connect_timeout_s):
                    self._learn(await line.call(sc_status()))
            except OffLine as error:
                self._breaker.failed(error.code, at_once=True)
            except (Unreachable, RemoteProtocolError, TimeoutError):
                line.lose(Unreachable("The connection to the library system was lost.", "lost"))
        if not any(line.open for line in self._lines):
            self._open_one()  # so that its state is true though nobody asks

    async def _sleep(self, seconds: float) -> None:
        self._stirred.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stirred.wait()

    def _moved(self) -> None:
        self._stirred.set()
        self._call_off()
        self._changed(self.state)

    def _stir(self) -> None:
        """There may be room: whoever came first looks."""
        if self._queue and not self._queue[0].come.done():
            self._queue[0].come.set_result(None)

    def _call_off(self, why: BaseException | None = None) -> None:
        """Everybody who waits for a connection looks again, or hears why there will be none."""
        for turn in self._queue:
            if not turn.come.done():
                if why is None:
                    turn.come.set_result(None)
                else:
                    turn.come.set_exception(why)
