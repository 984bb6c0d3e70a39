"""The library system's SIP2 server, over TCP, TLS and serial lines.

The protocol's own rules (framing, checksum, resend, login first) are in `protocols.sip2`; here are listeners, tenants,
time limits, room, and the one call of the handler for each request. Nothing but SIP2 ever goes onto the wire, unless a
listener asks for a login prompt.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from drivers.selfcheck.accounts import Accounts
from drivers.selfcheck.connection import Connection
from drivers.selfcheck.doors import Door, open_door
from drivers.selfcheck.kiosk import Account, Handler, KioskSession
from drivers.selfcheck.listeners import Listener
from drivers.selfcheck.serving import Serving
from drivers.selfcheck.stats import Limits, Stats
from drivers.selfcheck.throttle import LoginThrottle
from drivers.selfcheck.tracing import Tracer
from protocols.sip2 import ServerSession

__all__ = ["Limits", "Sip2Server", "Stats"]


class Sip2Server(Serving):
    """Serves kiosks on its listeners; `start` it on a running event loop, `close` it on the same.

    `accounts` by any name. `clock` gives the branch's wall time (aware), which kiosks set theirs by. `on_presence` is
    called with a session and True after its login, False after its end. `tracer` takes every frame. `uniform` gives a
    number in 0..1 and spreads the attempts to open a line. `host` and `tcp_port` are short for one plain TCP listener.

    Raises ValueError where a listener names an account that does not exist, or two listeners have one name.
    """

    def __init__(
        self,
        accounts: Mapping[str, Account],
        handler: Handler,
        *,
        host: str = "127.0.0.1",
        tcp_port: int = 0,
        listeners: Sequence[Listener] = (),
        clock: Callable[[], datetime],
        limits: Limits | None = None,
        throttle: LoginThrottle | None = None,
        on_presence: Callable[[KioskSession, bool], None] | None = None,
        tracer: Tracer | None = None,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(Accounts(accounts), handler, clock, limits or Limits(), throttle or LoginThrottle())
        self.tracer = tracer
        self.on_presence = on_presence
        self.addresses: dict[str, tuple[str, int]] = {}
        self._uniform = uniform
        shown_host = f"[{host}]" if ":" in host else host
        self._listeners = tuple(listeners) or (Listener(f"tcp://{shown_host}:{tcp_port}"),)
        for listener in self._listeners:
            if listener.account is not None and self.accounts.known(listener.account) is None:
                raise ValueError(f"listener {listener.name}: there is no account {listener.account}")
        if len({listener.name for listener in self._listeners}) < len(self._listeners):
            raise ValueError("two listeners have one name")
        self._doors: list[Door] = []
        self._numbers = 0
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self) -> tuple[str, int]:
        """Open every listener; returns host and port of the first that has them, as bound, ("", 0) where none has.

        All are in `addresses` by name. Raises OSError naming the listener where its port is taken or its certificate
        cannot be used; what had been opened is closed again. A serial line that is not there now is not an error.
        """
        self.begin(asyncio.get_running_loop())
        try:
            for listener in self._listeners:
                door = open_door(listener, self.limits, self._connect, self._uniform)
                self._doors.append(door)
                try:
                    bound = await door.open()
                except OSError as error:
                    text = f"{error.strerror or error} (SIP2 listener {listener.name})"
                    raise OSError(error.errno, text) from error
                if bound is not None:
                    self.addresses[listener.name] = bound
        except BaseException:
            await self._close_doors()
            self.end()
            raise
        self._sweeper = self.loop.create_task(self._sweep())
        return next(iter(self.addresses.values()), ("", 0))

    async def close(self) -> None:
        """Stop listening, let requests under way finish for `close_s`, then end every connection."""
        for door in self._doors:
            door.shut()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        for connection in self.connections:
            connection.finish()
        if self.tasks:
            _, late = await asyncio.wait(self.tasks, timeout=self.limits.close_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for connection in (*self.connections, *self.away):
            connection.end()
        await self._close_doors()
        if self.connections or self.away:
            await self.empty.wait()
        self.end()

    async def _close_doors(self) -> None:
        await asyncio.gather(*(door.close() for door in self._doors))
        self._doors.clear()

    def reload(self, accounts: Mapping[str, Account]) -> None:
        """Take other accounts from now on.

        Sessions whose account was removed, got another password or may no longer come from where they are end after
        the request under way; the others go on, under the new settings. Raises ValueError as the constructor does.
        """
        new = Accounts(accounts)
        for listener in self._listeners:
            if listener.account is not None and new.known(listener.account) is None:
                raise ValueError(f"listener {listener.name}: there is no account {listener.account}")
        self.accounts = new
        for connection in tuple(self.connections):
            self.take_up_accounts(connection)

    @property
    def kiosks(self) -> tuple[KioskSession, ...]:
        """The sessions that are logged in now."""
        return tuple(c.kiosk for c in self.connections if c.kiosk is not None)

    def public(self) -> list[dict[str, Any]]:
        """What a page shows of each kiosk that is logged in: plain values, never a password or a number of a person."""
        return [
            {
                "connection": kiosk.connection_id,
                "listener": kiosk.listener,
                "address": kiosk.address,
                "account": kiosk.account.user,
                "institution": kiosk.account.institution,
                "location": kiosk.location,
                "since": _iso(kiosk.since),
                "last_at": _iso(kiosk.last_at),
                "messages": dict(sorted(kiosk.messages.items())),
                "dialect": kiosk.dialect.public(),
            }
            for kiosk in self.kiosks
        ]

    def doors(self) -> list[dict[str, Any]]:
        """What a page shows of each listener: name, url, state (`open`, or why not) and how many connections it has."""
        here = Counter(connection.listener.name for connection in self.connections)
        return [
            {"name": d.listener.name, "url": d.listener.url, "state": d.state, "connections": here[d.listener.name]}
            for d in self._doors
        ]

    def messages(self) -> Counter[tuple[str, str, str]]:
        """Requests since the start by (listener, account, code), of ended sessions and of those under way."""
        counted = Counter(self.stats.messages)
        for kiosk in self.kiosks:
            for code, n in kiosk.messages.items():
                counted[kiosk.listener, kiosk.account.user, code] += n
        return counted

    def _connect(self, listener: Listener, address: str | None) -> Connection:
        self._numbers += 1
        session = ServerSession(max_length=self.limits.frame_bytes, delimiters=self.accounts.delimiters)
        return Connection(self, session, self._numbers, listener, address)

    async def _sweep(self) -> None:
        """End connections whose time is up. One task for all: no timer to move at every message."""
        limits = self.limits
        idle = [listener.idle_s for listener in self._listeners if listener.idle_s is not None]
        shortest = min(limits.login_s, limits.idle_s, limits.turn_away_s, limits.frame_s, *idle)
        while True:
            await asyncio.sleep(max(0.02, min(5.0, shortest / 4)))
            self.sweep(self.loop.time())


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="seconds")
