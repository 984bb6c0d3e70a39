"""What every connection asks of its server: room, logins, requests, limits of time. No listener is known here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from drivers.selfcheck.accounts import Accounts, Why
from drivers.selfcheck.kiosk import Account, Handler, KioskSession, Reply
from drivers.selfcheck.replay import KEPT, Replays, outcome_of
from drivers.selfcheck.replies import login_reply, refusal
from drivers.selfcheck.shaping import given, sent
from drivers.selfcheck.stats import READ_AHEAD, Limits, Stats
from drivers.selfcheck.stepping import Stepper
from drivers.selfcheck.throttle import LoginThrottle
from drivers.selfcheck.tracing import TraceLine, Tracer
from protocols.sip2 import Answer, Ignored, LocalProtocolError, Login, Message, Request, shown
from protocols.sip2.server import offline_status

if TYPE_CHECKING:
    from drivers.selfcheck.connection import Connection

__all__ = ["Serving"]

log = logging.getLogger(__name__)

_COARSE_S = 0.05
"""How old the wall time may be that the protocol's 60 s window and a page's last message are measured by."""


class Serving:
    """The part of a server that serves; `begin` it on a running loop before the first connection, `end` it after the last."""

    loop: asyncio.AbstractEventLoop

    def __init__(
        self,
        accounts: Accounts,
        handler: Handler,
        clock: Callable[[], datetime],
        limits: Limits,
        throttle: LoginThrottle,
    ) -> None:
        self.accounts = accounts
        self.clock = clock
        self.limits = limits
        self.stats = Stats()
        self.tracer: Tracer | None = None
        self.on_presence: Callable[[KioskSession, bool], None] | None = None
        self.connections: set[Connection] = set()
        self.away: set[Connection] = set()
        self.tasks: set[asyncio.Task[bytes]] = set()
        self.empty = asyncio.Event()
        self.read_buffer = memoryview(bytearray(READ_AHEAD))
        self._handler = handler
        self._throttle = throttle
        self._replays = Replays()
        self._stepper: Stepper | None = None
        self.wall = clock()
        self.wall_until = float("-inf")
        self._debugging = False

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Serve on this loop."""
        self.loop = loop
        self._stepper = Stepper(loop)

    def end(self) -> None:
        """Serve no more."""
        if self._stepper is not None:
            self._stepper.close()
            self._stepper = None

    def now(self) -> datetime:
        """The branch's wall time as of this call; kept in `wall` until `wall_until` for those who need it coarsely."""
        self.wall, self.wall_until = self.clock(), self.loop.time() + _COARSE_S
        self._debugging = log.isEnabledFor(logging.DEBUG)
        return self.wall

    # --- room

    def opened(self, connection: Connection) -> bool:
        """Take a connection in, or among those that are turned away; False = it is answered once and closed."""
        self.empty.clear()
        self.stats.opened[connection.listener.name] += 1
        if len(self.connections) < self.limits.connections:
            self.stats.connections += 1
            self.connections.add(connection)
            self._preset(connection)
            return True
        self.stats.turned_away += 1
        self.away.add(connection)
        if len(self.away) > self.limits.turned_away:
            connection.end()
        return False

    def _preset(self, connection: Connection) -> None:
        """Who a peer is before it says so: the listener's own account, or one whose addresses hold the peer."""
        listener = connection.listener
        if listener.account is not None:
            connection.preset = self.accounts.known(listener.account)
        elif not listener.login_required:
            connection.preset = self.accounts.at(connection.address, listener.name)
        if connection.preset is not None:
            connection.session.logged_in()
            _tell(connection, connection.preset)

    def closed(self, connection: Connection) -> None:
        """Forget a connection; a request of it may still be under way and is finished."""
        self.connections.discard(connection)
        self.away.discard(connection)
        self._set_kiosk(connection, None)
        if not self.connections and not self.away:
            self.empty.set()

    def turn_away(self, connection: Connection, event: Login | Request) -> bytes:
        """The answer of a server that has no room: 94 with ok 0, or 98 off line."""
        if isinstance(event, Login):
            return connection.session.answer({"ok": "0"}, ())
        return connection.session.answer(*offline_status(self.clock()), code="98")

    def settled(self, connection: Connection, event: Answer | Ignored) -> None:
        """Count and log what the session settled itself; never a value of the message."""
        self.stats.settled[event.reason] += 1
        level = logging.WARNING if isinstance(event, Ignored) or event.reason == "unreadable" else logging.INFO
        if log.isEnabledFor(level):
            log.log(level, "kiosk %d: message %s: %s", connection.number, event.code, event.reason)
        if self.tracer is not None:
            self.trace(connection, "in", connection.session.frame, event.reason)
            if isinstance(event, Answer):
                self.trace(connection, "out", event.data, event.reason)

    def trace(self, connection: Connection, direction: Literal["in", "out"], frame: bytes, note: str) -> None:
        """Tell the tracer of a frame; only called where there is one."""
        assert self.tracer is not None
        self.tracer.note(
            TraceLine(
                self.clock(),
                connection.number,
                connection.listener.name,
                connection.address,
                None if connection.kiosk is None else connection.kiosk.account.user,
                direction,
                frame.rstrip(b"\r\n"),
                connection.session.dialect.encoding,
                note,
            )
        )

    def began(self, task: asyncio.Task[bytes]) -> None:
        """A request waits; `close` waits for it even when its kiosk has gone."""
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def serve(self, connection: Connection, event: Login | Request) -> bytes | asyncio.Task[bytes]:
        """Check a login, or have a request executed: the answer, or the task that will have it."""
        assert self._stepper is not None
        message = event.message
        if message.replaced:
            log.warning("kiosk %d: message %s: bytes that are no text", connection.number, message.code)
        if isinstance(event, Login):
            return self._stepper.start(self._login(connection, message))
        kiosk = connection.kiosk or self._enter_preset(connection)
        if kiosk is None:
            connection.leaving = True
            return self.turn_away(connection, event)
        return self._stepper.start(self._request(connection, kiosk, message))

    # --- login

    async def _login(self, connection: Connection, message: Message) -> bytes:
        ok = await self.login(connection, message.get("CN"), message.get("CO"), message.get("CP"))
        reply = login_reply(ok)
        return connection.session.answer(reply.fixed, reply.fields, code=reply.code)

    async def login(self, connection: Connection, user: str, password: str, location: str) -> bool:
        """Whether this user may log in here now; if so the connection has its session. A wrong one may have to wait."""
        time = self.loop.time
        found = self.accounts.find(
            user, password, address=connection.address, listener=connection.listener.name, location=location
        )
        account, why = found.account, found.why
        wait = self._throttle.wait(connection.address, user, time(), right=account is not None)
        if wait:
            await asyncio.sleep(wait)
        if wait is None:
            return self._refused(connection, "throttled")
        if account is None:
            self._throttle.failed(connection.address, time())
            return self._refused(connection, why or "unknown_user")
        self._throttle.succeeded(connection.address, user)
        if not self._has_room_for(account, connection):
            connection.leaving = True
            return self._refused(connection, "too_many")
        self._enter(connection, account, user, location)
        return True

    def _refused(self, connection: Connection, why: Why) -> bool:
        self.stats.refused[why] += 1
        if why == "too_many":
            self.stats.turned_away += 1
        else:
            self.stats.login_failures += 1
            self._set_kiosk(connection, None)
        log.warning(
            "kiosk %d: login refused: %s (listener %s, address %s)",
            connection.number, why, connection.listener.name, connection.address,
        )  # fmt: skip
        return False

    def _has_room_for(self, account: Account, connection: Connection) -> bool:
        here = (c.kiosk for c in self.connections if c is not connection)
        return sum(1 for kiosk in here if kiosk is not None and kiosk.account is account) < account.max_connections

    def _enter_preset(self, connection: Connection) -> KioskSession | None:
        """The session of a peer that need not log in, made at its first request; None where its account is full."""
        account = connection.preset
        if account is None or not self._has_room_for(account, connection):
            self._refused(connection, "unknown_user" if account is None else "too_many")
            return None
        return self._enter(connection, account, account.user, "")

    def _enter(self, connection: Connection, account: Account, user: str, location: str) -> KioskSession:
        self.stats.logins += 1
        _tell(connection, account)
        kiosk = KioskSession(
            account,
            connection.number,
            connection.session.dialect,
            location or account.location,
            account.language,
            user=user,
            listener=connection.listener.name,
            address=connection.address,
            since=self.clock(),
        )
        self._set_kiosk(connection, kiosk)
        return kiosk

    def _set_kiosk(self, connection: Connection, kiosk: KioskSession | None) -> None:
        before, connection.kiosk = connection.kiosk, kiosk
        if before is not None:
            for code, n in before.messages.items():
                self.stats.messages[before.listener, before.account.user, code] += n
        if self.on_presence is None:
            return
        if before is not None:
            self.on_presence(before, False)
        if kiosk is not None:
            self.on_presence(kiosk, True)

    def take_up_accounts(self, connection: Connection) -> None:
        """Hold a connection to the accounts as they are now; one that may not go on ends after its request."""
        kiosk, account = connection.kiosk, connection.preset
        if account is not None:
            connection.preset = self.accounts.still(account, connection.address, connection.listener.name, None)
        if kiosk is None:
            if account is not None and connection.preset is None:
                connection.leave()
            return
        location = kiosk.location if account is None else None
        still = self.accounts.still(kiosk.account, connection.address, connection.listener.name, location)
        if still is None:
            log.info("kiosk %d: its account has changed, the session ends", connection.number)
            connection.leave()
        elif still is not kiosk.account:
            kiosk.account = still
            _tell(connection, still)

    # --- requests

    async def _request(self, connection: Connection, kiosk: KioskSession, message: Message) -> bytes:
        code, account = message.code, kiosk.account
        self.stats.requests += 1
        kiosk.messages[code] += 1
        kiosk.last_at = self.wall
        if "language" in message.fixed:
            language = message.fixed["language"]
            if language != "000" and language.isdigit():
                kiosk.language = language
        if account.trim is not None:
            message = given(message, account.trim)
        if self._debugging:
            log.debug("kiosk %d > %s", connection.number, shown(message))
        try:
            if code in KEPT:
                reply = await self._transaction(kiosk, message)
            else:
                reply = await self._handler.handle(kiosk, message)
        except asyncio.CancelledError:
            if not connection.overdue:
                raise  # the server is closing
            reply = self._too_late(connection, kiosk, message)
        except Exception as error:  # the handler's outer edge: a kiosk is always answered
            self.stats.handler_errors += 1
            log.error("kiosk %d: message %s failed: %s", connection.number, code, type(error).__name__)
            reply = self._handler.on_timeout(kiosk, message)
        is_status = code == "99" or reply.code == "98"
        if is_status or account.hide_fields:
            reply = sent(reply, account, is_status)
        try:
            return connection.session.answer(reply.fixed, reply.fields, code=reply.code)
        except LocalProtocolError as error:
            # A faulty reply must not leave the kiosk without one; the request stays open for the refusal.
            self.stats.handler_errors += 1
            log.error("kiosk %d: reply to %s cannot be sent: %s", connection.number, code, error.code)
            reply = refusal(kiosk, message, self.clock())
            return connection.session.answer(reply.fixed, reply.fields, code=reply.code)

    async def _transaction(self, kiosk: KioskSession, message: Message) -> Reply:
        """Execute a transaction, or answer it as the first time."""
        before, mine = self._replays.look(kiosk.account, message, self.loop.time())
        if before is not None:
            self.stats.replayed += 1
            log.info("kiosk %d: message %s answered as the first time", kiosk.connection_id, message.code)
            return before.reply or await outcome_of(before)
        if mine is None:
            return await self._handler.handle(kiosk, message)
        try:
            reply = await self._handler.handle(kiosk, message)
        except BaseException as error:
            self._replays.failed(mine, error)
            raise
        self._replays.done(mine, reply)
        return reply

    def _too_late(self, connection: Connection, kiosk: KioskSession, message: Message) -> Reply:
        """The answer of a request whose time is up; its cancellation ends here."""
        connection.overdue = False
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()
        self.stats.timeouts += 1
        log.warning("kiosk %d: message %s not done in time", connection.number, message.code)
        return self._handler.on_timeout(kiosk, message)

    # --- time limits

    def sweep(self, now: float) -> None:
        """End what has been silent or unknown for too long, ask again for messages that do not end."""
        limits = self.limits
        late = [c for c in self.away if now - c.opened_at > limits.turn_away_s]
        for connection in tuple(self.connections):
            if connection.task is not None:
                continue
            if connection.partial_since is not None and now - connection.partial_since > limits.frame_s:
                self.stats.too_slow += 1
                connection.too_slow()
            if connection.is_line:
                continue
            idle_s = connection.listener.idle_s or limits.idle_s
            unknown = connection.kiosk is None and connection.preset is None
            if now - connection.active_at > idle_s or (unknown and now - connection.opened_at > limits.login_s):
                late.append(connection)
        for connection in late:
            self.stats.ended_idle += 1
            log.info("kiosk %d: ended, silent or not logged in for too long", connection.number)
            connection.end()


def _tell(connection: Connection, account: Account) -> None:
    """Tell the protocol session how the kiosks of an account speak."""
    connection.session.use(
        encoding=None if account.encoding == "auto" else account.encoding,
        terminator=account.terminator,
        error_detection=account.error_detection,
        delimiter=account.delimiter,
    )
