"""A kiosk's TCP line to the library system: one request at a time, resends as the standard has them."""

from __future__ import annotations

import asyncio

from protocols.sip2 import NEED_DATA, Answered, ClientSession, Message, Outgoing, RemoteProtocolError, SendAgain

__all__ = ["KioskOffline", "Link"]


class KioskOffline(ConnectionError):
    """The library system cannot be reached or does not answer; the kiosk goes on trying at its next request."""


class Link:
    """One TCP connection and its `ClientSession`. Times in seconds."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, session: ClientSession) -> None:
        self._reader = reader
        self._writer = writer
        self._session = session

    @classmethod
    async def open(cls, host: str, tcp_port: int, session: ClientSession, timeout_s: float) -> Link:
        """Connect. Raises KioskOffline."""
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_connection(host, tcp_port)
        except OSError as error:
            raise KioskOffline("the library system does not accept connections") from error
        return cls(reader, writer, session)

    async def ask(self, request: Outgoing, timeout_s: float) -> Message:
        """Send a request and wait for its reply, sent again with its AY kept when none comes in time.

        Raises KioskOffline when retries are used up or the line is lost; the link is then to be closed.
        """
        try:
            self._writer.write(self._session.send(request))
            while True:
                try:
                    async with asyncio.timeout(timeout_s):
                        return await self._answer()
                except TimeoutError:
                    self._writer.write(self._session.timed_out())
        except OSError as error:
            raise KioskOffline("the line to the library system was lost") from error
        except RemoteProtocolError as error:
            raise KioskOffline("the library system gives no usable answer") from error

    async def close(self) -> None:
        """Close the line; never waits longer than a second for the peer."""
        self._writer.close()
        try:
            async with asyncio.timeout(1.0):
                await self._writer.wait_closed()
        except OSError:
            self._writer.transport.abort()

    async def _answer(self) -> Message:
        while True:
            event = self._session.next_event()
            if event is NEED_DATA:
                data = await self._reader.read(65_536)
                if not data:
                    raise ConnectionResetError("closed by the library system")
                self._session.receive(data)
            elif isinstance(event, Answered):
                return event.message
            elif isinstance(event, SendAgain):
                self._writer.write(event.data)
