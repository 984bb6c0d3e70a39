"""The self-check itself: logs in, keeps its line up with back-off, and does what a reader asks of it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from firmware_sim.kiosk.accents import Accent, accent_of
from firmware_sim.kiosk.link import KioskOffline, Link
from firmware_sim.kiosk.wire import Place, TcpPlace
from protocols.sip2 import Message, Outgoing, requests

__all__ = ["LoginFailed", "SimKiosk", "SimKioskSession", "Timing"]

_BACK_OFF_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class LoginFailed(PermissionError):
    """The library system refused the kiosk's user and password, or is off line for it."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long the library system took for one request, as the reader felt it; `code` is the request's."""

    code: str
    ms: float


def _wall_time() -> datetime:
    return datetime.now().astimezone()


class SimKiosk:
    """One self-check machine on one SIP2 login, at a TCP address or, by `at`, on any line.

    A lost line is made again with growing pauses for up to `patience_s`; the request under way is then sent once more
    with its date as it was, as kiosks do. `timings` keeps the last 1000 requests. `location` becomes CP. `accent` is how
    it speaks, the standard's letter unless said otherwise; `encoding` and `terminator` change it.
    """

    def __init__(
        self,
        host: str,
        port: int,
        user: str,
        password: str,
        institution: str,
        *,
        encoding: str | None = None,
        terminator: bytes | None = None,
        accent: Accent | None = None,
        place: Place | None = None,
        location: str | None = None,
        timeout_s: float = 10.0,
        patience_s: float = 30.0,
        clock: Callable[[], datetime] = _wall_time,
    ) -> None:
        self.institution = institution
        self.location = location
        self.timings: deque[Timing] = deque(maxlen=1000)
        self.status: Message | None = None
        self.clock = clock
        self._place = place or TcpPlace(host, port)
        self._login = (user, password)
        self.accent = accent or accent_of("plain", encoding=encoding, terminator=terminator)
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._link: Link | None = None
        self._turn = asyncio.Lock()

    @classmethod
    def at(cls, place: Place, user: str, password: str, institution: str, **more: Any) -> SimKiosk:
        """A kiosk on any line (`firmware_sim.kiosk.wire.place_of`); ``more`` as in the constructor."""
        return cls("", 0, user, password, institution, place=place, **more)

    @property
    def url(self) -> str:
        """Where it is plugged in."""
        return self._place.url

    @property
    def last_ms(self) -> float:
        """How long the last request took, 0 before the first."""
        return self.timings[-1].ms if self.timings else 0.0

    async def connect(self) -> Message:
        """Connect, log in (93), ask for the status (99); returns the 98. Raises KioskOffline or LoginFailed."""
        async with self._turn:
            return await self._connect()

    async def close(self) -> None:
        """Close the line, and pull the cable out where it is one."""
        await self._hang_up()
        self._place.leave()

    async def _hang_up(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    async def session(self, reader_no: str, pin: str | None, language: str = "019") -> SimKioskSession:
        """A reader steps up to the kiosk. Nothing is sent before they do something."""
        return SimKioskSession(self, reader_no, pin, language)

    async def checkin(self, item_no: str) -> Message:
        """09: an item is put into the return slot; needs no reader."""
        location = self.location or ""
        return await self.ask(requests.checkin(self.institution, item_no, self.clock(), location=location))

    async def item(self, item_no: str) -> Message:
        """17: what an item on the pad is."""
        return await self.ask(requests.item_information(self.institution, item_no, self.clock()))

    async def ask(self, request: Outgoing) -> Message:
        """Send any request and wait for its reply. Raises KioskOffline after `patience_s`, or LoginFailed."""
        began = time.perf_counter()
        async with self._turn:
            reply = await self._ask(request)
        self.timings.append(Timing(request.code, (time.perf_counter() - began) * 1000))
        return reply

    async def _ask(self, request: Outgoing) -> Message:
        give_up_at = time.monotonic() + self._patience_s
        attempt = 0
        while True:
            try:
                if self._link is None:
                    await self._connect()
                assert self._link is not None
                return await self._link.ask(request, self._timeout_s)
            except KioskOffline:
                await self._hang_up()
                pause = _BACK_OFF_S[min(attempt, len(_BACK_OFF_S) - 1)]
                attempt += 1
                if time.monotonic() + pause > give_up_at:
                    raise
                await asyncio.sleep(pause)
            except asyncio.CancelledError:
                await self._hang_up()  # a late reply must not meet the next request
                raise

    async def _connect(self) -> Message:
        await self._hang_up()
        link = await Link.open(self._place, self.accent, self._timeout_s)
        try:
            answer = await link.ask(requests.login(*self._login, self.location), self._timeout_s)
            if answer.fixed.get("ok") != "1":
                raise LoginFailed("the library system refused this kiosk's login")
            self.status = await link.ask(requests.sc_status(), self._timeout_s)
        except (KioskOffline, LoginFailed, asyncio.CancelledError):
            await link.close()
            raise
        self._link = link
        return self.status


class SimKioskSession:
    """What one reader does at a kiosk; every method returns the reply as parsed. Raises as `SimKiosk.ask`."""

    def __init__(self, kiosk: SimKiosk, reader_no: str, pin: str | None, language: str) -> None:
        self.kiosk = kiosk
        self._reader_no = reader_no
        self._pin = pin
        self._language = language

    async def status(self) -> Message:
        """23: may this reader do anything here?"""
        kiosk = self.kiosk
        return await kiosk.ask(
            requests.reader_status(kiosk.institution, self._reader_no, self._pin, kiosk.clock(), self._language)
        )

    async def information(self, summary: str | None = None) -> Message:
        """63; `summary` is one of requests.SUMMARIES (hold, overdue, charged, fine, recall, unavailable) or None."""
        kiosk = self.kiosk
        return await kiosk.ask(
            requests.reader_information(
                kiosk.institution,
                self._reader_no,
                self._pin,
                kiosk.clock(),
                summary=summary,
                language=self._language,
            )
        )

    async def item(self, item_no: str) -> Message:
        """17."""
        return await self.kiosk.item(item_no)

    async def checkout(self, item_no: str) -> Message:
        """11: borrow, or renew what the reader already has."""
        kiosk = self.kiosk
        return await kiosk.ask(requests.checkout(kiosk.institution, self._reader_no, item_no, self._pin, kiosk.clock()))

    async def checkin(self, item_no: str) -> Message:
        """09."""
        return await self.kiosk.checkin(item_no)

    async def renew(self, item_no: str) -> Message:
        """29."""
        kiosk = self.kiosk
        return await kiosk.ask(requests.renew(kiosk.institution, self._reader_no, item_no, self._pin, kiosk.clock()))

    async def end(self) -> Message:
        """35: the reader leaves."""
        kiosk = self.kiosk
        return await kiosk.ask(requests.end_session(kiosk.institution, self._reader_no, self._pin, kiosk.clock()))
