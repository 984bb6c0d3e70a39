"""A kiosk's line to the library system: one request at a time, resends as the standard has them."""

from __future__ import annotations

import asyncio

from firmware_sim.kiosk.accents import Accent
from firmware_sim.kiosk.wire import Place, Wire
from protocols.sip2 import NEED_DATA, Answered, ClientSession, Message, Outgoing, RemoteProtocolError, SendAgain

__all__ = ["KioskOffline", "Link"]


class KioskOffline(ConnectionError):
    """The library system cannot be reached or does not answer; the kiosk goes on trying at its next request."""


class Link:
    """One session on one wire, in the kiosk's accent. Times in seconds."""

    def __init__(self, wire: Wire, accent: Accent) -> None:
        self._wire = wire
        self._accent = accent
        self._session = ClientSession(
            encoding=accent.encoding, terminator=accent.terminator, error_detection=accent.error_detection
        )
        self._sent = 0

    @classmethod
    async def open(cls, place: Place, accent: Accent, timeout_s: float) -> Link:
        """Connect. Raises KioskOffline."""
        try:
            async with asyncio.timeout(timeout_s):
                return cls(await place.open(), accent)
        except OSError as error:
            raise KioskOffline("the library system does not accept connections") from error

    async def ask(self, request: Outgoing, timeout_s: float) -> Message:
        """Send a request and wait for its reply, sent again with its AY kept when none comes in time.

        Raises KioskOffline when retries are used up or the line is lost; the link is then to be closed.
        """
        text = self._accent.sealed(self._accent.text(request), self._sent % 10)
        self._sent += 1
        try:
            await self._write(self._session.send_text(text))
            while True:
                try:
                    async with asyncio.timeout(timeout_s):
                        return await self._answer()
                except TimeoutError:
                    await self._write(self._session.timed_out())
        except OSError as error:
            raise KioskOffline("the line to the library system was lost") from error
        except RemoteProtocolError as error:
            raise KioskOffline("the library system gives no usable answer") from error

    async def close(self) -> None:
        """Close the line; never waits longer than a second for the peer."""
        await self._wire.close()

    async def _write(self, data: bytes) -> None:
        """Send, in as many segments as the accent has."""
        step = max(1, -(-len(data) // self._accent.pieces))
        for at in range(0, len(data), step):
            if at:
                await asyncio.sleep(0.002)  # else the segments become one
            self._wire.write(data[at : at + step])

    async def _answer(self) -> Message:
        while True:
            event = self._session.next_event()
            if event is NEED_DATA:
                data = await self._wire.read()
                if not data:
                    raise ConnectionResetError("closed by the library system")
                self._session.receive(data)
            elif isinstance(event, Answered):
                return event.message
            elif isinstance(event, SendAgain):
                self._wire.write(event.data)
