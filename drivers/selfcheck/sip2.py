"""The library system's SIP2 server over TCP.

The protocol's own rules (framing, checksum, resend, login first) are in `protocols.sip2`; here are accounts, time limits,
room, and the one call of the handler for each request. Nothing but SIP2 ever goes onto the wire.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from drivers.selfcheck.connection import READ_AHEAD, Connection, Served
from drivers.selfcheck.kiosk import Account, Handler, KioskSession, Reply, find_account
from drivers.selfcheck.replay import Replays
from drivers.selfcheck.replies import login_reply, refusal
from drivers.selfcheck.throttle import LoginThrottle
from protocols.sip2 import Answer, Ignored, LocalProtocolError, Login, Message, Request, ServerSession, shown
from protocols.sip2.server import offline_status

__all__ = ["Limits", "Sip2Server", "Stats"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a server; times in seconds.

    `idle_s` is at least ten minutes in the field: kiosks keep alive with a 99 every 5 to 7. Beyond `connections` a peer
    is answered that the system is off line and closed; beyond `turned_away` more it is closed at once. `handler_s` is
    how long a request may take before the kiosk is told that it cannot be done now. `frame_bytes` is at most 65,536, the
    bytes that are read ahead; more raises ValueError.
    """

    connections: int = 1000
    turned_away: int = 1000
    login_s: float = 60.0
    idle_s: float = 600.0
    turn_away_s: float = 5.0
    handler_s: float = 5.0
    close_s: float = 2.0
    frame_bytes: int = 16_384
    backlog: int = 1024

    def __post_init__(self) -> None:
        if not 0 < self.frame_bytes <= READ_AHEAD:
            raise ValueError(f"frame_bytes must be 1 to {READ_AHEAD}")


@dataclass(slots=True)
class Stats:
    """Counts since the start: for metrics and the device's page. `settled` is by reason: resend, bad_checksum …"""

    connections: int = 0
    turned_away: int = 0
    logins: int = 0
    login_failures: int = 0
    requests: int = 0
    replayed: int = 0
    timeouts: int = 0
    handler_errors: int = 0
    ended_idle: int = 0
    settled: Counter[str] = field(default_factory=Counter)


class Sip2Server:
    """Serves kiosks on one TCP port; `start` it on a running event loop, `close` it on the same.

    `clock` gives the branch's wall time (aware), which kiosks set theirs by. `on_presence` is called with a session and
    True after its login, False after its end.
    """

    def __init__(
        self,
        accounts: Mapping[str, Account],
        handler: Handler,
        *,
        host: str = "127.0.0.1",
        tcp_port: int = 0,
        clock: Callable[[], datetime],
        limits: Limits | None = None,
        throttle: LoginThrottle | None = None,
        on_presence: Callable[[KioskSession, bool], None] | None = None,
    ) -> None:
        self.clock = clock
        self.limits = limits or Limits()
        self.stats = Stats()
        self._accounts = accounts
        self._handler = handler
        self._host = host
        self._tcp_port = tcp_port
        self._throttle = throttle or LoginThrottle()
        self._on_presence = on_presence
        self._replays = Replays()
        self._connections: set[Connection] = set()
        self._away: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._empty = asyncio.Event()
        self._numbers = 0
        self._listener: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self) -> tuple[str, int]:
        """Listen; returns host and port as bound. Raises OSError where the port is taken."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            self._connect, self._host, self._tcp_port, backlog=self.limits.backlog
        )
        self._sweeper = loop.create_task(self._sweep())
        host, port = self._listener.sockets[0].getsockname()[:2]
        return str(host), int(port)

    async def close(self) -> None:
        """Stop listening, let requests under way finish for `close_s`, then end every connection."""
        if self._listener is not None:
            self._listener.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        for connection in self._connections:
            connection.finish()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=self.limits.close_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for connection in (*self._connections, *self._away):
            connection.end()
        if self._connections or self._away:
            await self._empty.wait()

    @property
    def kiosks(self) -> tuple[KioskSession, ...]:
        """The sessions that are logged in now."""
        return tuple(c.kiosk for c in self._connections if c.kiosk is not None)

    def _connect(self) -> Connection:
        self._numbers += 1
        return Connection(self, ServerSession(max_length=self.limits.frame_bytes), self._numbers)

    # --- what a connection asks of its server

    def opened(self, connection: Connection) -> bool:
        """Take a connection in, or among those that are turned away."""
        self._empty.clear()
        if len(self._connections) < self.limits.connections:
            self.stats.connections += 1
            self._connections.add(connection)
            return True
        self.stats.turned_away += 1
        self._away.add(connection)
        if len(self._away) > self.limits.turned_away:
            connection.end()
        return False

    def closed(self, connection: Connection) -> None:
        """Forget a connection; a request of it may still be under way and is finished."""
        self._connections.discard(connection)
        self._away.discard(connection)
        self._set_kiosk(connection, None)
        if not self._connections and not self._away:
            self._empty.set()

    def turn_away(self, connection: Connection, event: Login | Request) -> bytes:
        """94 with ok 0, or 98 off line."""
        if isinstance(event, Login):
            return connection.session.answer({"ok": "0"}, ())
        return connection.session.answer(*offline_status(self.clock()), code="98")

    def noted(self, connection: Connection, event: Answer | Ignored) -> None:
        """Count and log what the session settled itself; never a value of the message."""
        self.stats.settled[event.reason] += 1
        level = logging.WARNING if isinstance(event, Ignored) or event.reason == "unreadable" else logging.INFO
        log.log(level, "kiosk %d: message %s: %s", connection.number, event.code, event.reason)

    def began(self, task: asyncio.Task[None]) -> None:
        """A request is being served; `close` waits for it even when its kiosk has gone."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def serve(self, connection: Connection, event: Login | Request) -> Served:
        """Check a login, or have a request executed."""
        if event.message.replaced:
            log.warning("kiosk %d: message %s: bytes that are no text", connection.number, event.message.code)
        if isinstance(event, Login):
            return await self._login(connection, event.message)
        kiosk = connection.kiosk
        if kiosk is None:
            raise LocalProtocolError("state", "A request was passed on before login.")
        return Served(await self._request(connection, kiosk, event.message))

    # --- login

    async def _login(self, connection: Connection, message: Message) -> Served:
        now, user = asyncio.get_running_loop().time, message.get("CN")
        account = find_account(self._accounts, user, message.get("CO"))
        wait = self._throttle.wait(connection.address, user, now(), right=account is not None)
        if wait:
            await asyncio.sleep(wait)
        if account is None or wait is None:
            self.stats.login_failures += 1
            if wait is not None:
                self._throttle.failed(connection.address, now())
            self._set_kiosk(connection, None)
            log.warning("kiosk %d: login refused%s", connection.number, "" if wait is not None else ", too many before")
            return Served(self._answer(connection, login_reply(False)))
        self._throttle.succeeded(connection.address, user)
        others = sum(1 for kiosk in self.kiosks if kiosk.account is account and kiosk is not connection.kiosk)
        if others >= account.max_connections:
            self.stats.turned_away += 1
            return Served(self._answer(connection, login_reply(False)), close=True)
        self.stats.logins += 1
        connection.session.use_encoding(account.encoding)
        location = message.get("CP") or account.location
        dialect = connection.session.dialect
        self._set_kiosk(connection, KioskSession(account, connection.number, dialect, location, account.language))
        return Served(self._answer(connection, login_reply(True)))

    def _set_kiosk(self, connection: Connection, kiosk: KioskSession | None) -> None:
        before, connection.kiosk = connection.kiosk, kiosk
        if self._on_presence is None:
            return
        if before is not None:
            self._on_presence(before, False)
        if kiosk is not None:
            self._on_presence(kiosk, True)

    # --- requests

    async def _request(self, connection: Connection, kiosk: KioskSession, message: Message) -> bytes:
        self.stats.requests += 1
        language = message.fixed.get("language", "000")
        if language.isdigit() and language != "000":
            kiosk.language = language
        tracing = log.isEnabledFor(logging.DEBUG)
        if tracing:
            log.debug("kiosk %d > %s", connection.number, shown(message))
        reply = await self._executed(kiosk, message)
        if tracing:
            log.debug("kiosk %d < %s", connection.number, reply.code or f"reply to {message.code}")
        try:
            return self._answer(connection, reply)
        except LocalProtocolError as error:
            # A faulty reply must not leave the kiosk without one; the request stays open for the refusal.
            self.stats.handler_errors += 1
            log.error("kiosk %d: reply to %s cannot be sent: %s", connection.number, message.code, error.code)
            return self._answer(connection, refusal(kiosk, message, self.clock()))

    async def _executed(self, kiosk: KioskSession, message: Message) -> Reply:
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self.limits.handler_s):
                reply, before = await self._replays.once(
                    kiosk.account, message, now, lambda: self._handler.handle(kiosk, message)
                )
        except TimeoutError:
            self.stats.timeouts += 1
            log.warning("kiosk %d: message %s not done in time", kiosk.connection_id, message.code)
            return self._handler.on_timeout(kiosk, message)
        except Exception as error:  # the handler's outer edge: a kiosk is always answered
            self.stats.handler_errors += 1
            log.error("kiosk %d: message %s failed: %s", kiosk.connection_id, message.code, type(error).__name__)
            return self._handler.on_timeout(kiosk, message)
        if before:
            self.stats.replayed += 1
            log.info("kiosk %d: message %s answered as the first time", kiosk.connection_id, message.code)
        return reply

    def _answer(self, connection: Connection, reply: Reply) -> bytes:
        return connection.session.answer(reply.fixed, reply.fields, code=reply.code)

    # --- time limits

    async def _sweep(self) -> None:
        """End connections whose time is up. One task for all: no timer to move at every message."""
        loop = asyncio.get_running_loop()
        limits = self.limits
        pause = max(0.02, min(5.0, limits.login_s / 4, limits.idle_s / 4, limits.turn_away_s / 4))
        while True:
            await asyncio.sleep(pause)
            now = loop.time()
            late = [c for c in self._away if now - c.opened_at > limits.turn_away_s]
            for connection in self._connections:
                if connection.task is not None:
                    continue
                not_logged_in = connection.kiosk is None and now - connection.opened_at > limits.login_s
                if not_logged_in or now - connection.active_at > limits.idle_s:
                    late.append(connection)
            for connection in late:
                self.stats.ended_idle += 1
                log.info("kiosk %d: ended, silent or not logged in for too long", connection.number)
                connection.end()
