"""A SIP2 client (SC) over TCP: for the desk of a systems librarian and for asking a branch's own ILS."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from protocols.sip2 import NEED_DATA, Answered, ClientSession, Message, Outgoing, RemoteProtocolError, SendAgain
from protocols.sip2.requests import login, sc_status

__all__ = ["LoginRefused", "Sip2Client", "Unreachable"]


class Unreachable(ConnectionError):
    """The library system cannot be reached or has gone silent; worth trying again later. `code` is `unreachable`."""

    code = "unreachable"


class LoginRefused(PermissionError):
    """The library system does not know this user and password; trying again will not help. `code`: `login_refused`."""

    code = "login_refused"


class Sip2Client:
    """One connection, made when first needed and made again after a loss; calls are served one after another.

    A reply that does not come within `timeout_s` is asked for again (AY kept) up to `retries` times. A call that loses
    its connection is sent once more on a new one, with its date as it was, so that the other side can know it again.
    """

    def __init__(
        self,
        host: str,
        tcp_port: int,
        *,
        user: str | None = None,
        password: str = "",
        location: str | None = None,
        encoding: str = "utf-8",
        error_detection: bool = True,
        timeout_s: float = 10.0,
        connect_timeout_s: float = 5.0,
        retries: int = 2,
    ) -> None:
        self._host = host
        self._tcp_port = tcp_port
        self._user = user
        self._password = password
        self._location = location
        self._encoding = encoding
        self._error_detection = error_detection
        self._timeout_s = timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._retries = retries
        self._session: ClientSession | None = None
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def connect(self) -> None:
        """Connect and log in, where a user was given. Raises Unreachable or LoginRefused."""
        async with self._turn:
            if self._streams is None:
                await self._connect()

    async def call(self, request: Outgoing | str) -> Message:
        """Send a request, or a text typed by hand, and return its reply.

        Raises Unreachable, LoginRefused, or RemoteProtocolError for a reply that cannot be understood.
        """
        async with self._turn:
            fresh = self._streams is None
            if fresh:
                await self._connect()
            try:
                return await self._exchange(request)
            except Unreachable:
                if fresh:
                    raise
            await self._connect()
            return await self._exchange(request)

    async def status(self) -> Message:
        """99 → 98."""
        return await self.call(sc_status())

    async def close(self) -> None:
        """Close the connection, if there is one."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()
            try:
                await asyncio.wait_for(streams[1].wait_closed(), self._connect_timeout_s)
            except (OSError, TimeoutError):
                streams[1].transport.abort()

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                self._streams = await asyncio.open_connection(self._host, self._tcp_port)
        except (OSError, TimeoutError) as error:
            raise Unreachable(f"No SIP2 server answers at {self._host}:{self._tcp_port}.") from error
        self._session = ClientSession(
            encoding=self._encoding, error_detection=self._error_detection, retries=self._retries
        )
        if self._user is not None:
            reply = await self._exchange(login(self._user, self._password, self._location))
            if reply.fixed.get("ok") != "1":
                await self.close()
                raise LoginRefused("The library system refused this user and password.")

    async def _exchange(self, request: Outgoing | str) -> Message:
        session, streams = self._session, self._streams
        if session is None or streams is None:
            raise Unreachable("The connection to the library system is closed.")
        reader, writer = streams
        data = session.send_text(request) if isinstance(request, str) else session.send(request)
        try:
            while True:
                writer.write(data)
                reply = await self._reply(session, reader, writer)
                if reply is not None:
                    return reply
                data = session.timed_out()
        except (OSError, RemoteProtocolError) as error:
            session.give_up()
            if isinstance(error, RemoteProtocolError) and error.code != "no_answer":
                raise
            await self.close()
            raise Unreachable("The library system gave no usable answer in time, or closed the connection.") from error
        except BaseException:
            await self.close()  # cancelled: a late reply must not meet the next request
            raise

    async def _reply(
        self, session: ClientSession, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Message | None:
        """The reply, or None when none came in time."""
        try:
            async with asyncio.timeout(self._timeout_s):
                while True:
                    event = session.next_event()
                    if event is NEED_DATA:
                        data = await reader.read(65_536)
                        if not data:
                            raise ConnectionResetError("closed by the library system")
                        session.receive(data)
                    elif isinstance(event, Answered):
                        return event.message
                    elif isinstance(event, SendAgain):
                        writer.write(event.data)
        except TimeoutError:
            return None
