"""A SIP2 client (SC) of one connection: for the desk of a systems librarian. A branch's own ILS is asked by `client_pool`."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Self

from drivers.selfcheck.client_address import Address
from drivers.selfcheck.client_connection import Connection
from drivers.selfcheck.client_errors import LoginRefused, OffLine, Unfit, Unreachable
from drivers.selfcheck.client_peer import Peer
from drivers.selfcheck.client_pool import Exchanged, PoolState, Sip2Pool
from drivers.selfcheck.client_repeat import may_repeat
from protocols.sip2 import Message, Outgoing
from protocols.sip2.requests import sc_status

__all__ = [
    "Address",
    "Exchanged",
    "LoginRefused",
    "OffLine",
    "Peer",
    "PoolState",
    "Sip2Client",
    "Sip2Pool",
    "Unfit",
    "Unreachable",
]


class Sip2Client:
    """One connection, made when first needed and made again after a loss; calls are served one after another.

    A reply that does not come within `timeout_s` is asked for again (AY kept) up to `retries` times. A call that loses
    its connection is sent once more on a new one where that is safe (`may_repeat`), with its date as it was, so that
    the other side can know it again. `address` overrides `host` and `tcp_port`, for TLS and serial lines.
    """

    def __init__(
        self,
        host: str = "",
        tcp_port: int = 0,
        *,
        address: Address | None = None,
        user: str | None = None,
        password: str = "",
        location: str | None = None,
        encoding: str = "utf-8",
        error_detection: bool = True,
        timeout_s: float = 10.0,
        connect_timeout_s: float = 5.0,
        retries: int = 2,
    ) -> None:
        self._address = address or Address("sip2", host, tcp_port)
        self._credentials = None if user is None else (user, password, location)
        self._peer = Peer(encoding=encoding, terminator=b"\r", error_detection=error_detection)
        self._timeout_s = timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._retries = retries
        self._line: Connection | None = None
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
            await self._ready()

    async def call(self, request: Outgoing | str) -> Message:
        """Send a request, or a text typed by hand, and return its reply.

        Raises Unreachable, LoginRefused, or RemoteProtocolError for a reply that cannot be understood.
        """
        async with self._turn:
            fresh = self._line is None
            line = await self._ready()
            try:
                return await line.call(request)
            except Unreachable:
                await self.close()
                if fresh or not may_repeat(request):
                    raise
            line = await self._ready()
            return await line.call(request)

    async def status(self) -> Message:
        """99 → 98."""
        return await self.call(sc_status())

    async def close(self) -> None:
        """Close the connection, if there is one."""
        line, self._line = self._line, None
        if line is not None:
            await line.close()

    async def _ready(self) -> Connection:
        if self._line is not None and self._line.open:
            return self._line
        await self.close()
        wire = await self._address.open(self._connect_timeout_s)
        session = self._peer.session(depth=1, retries=self._retries)
        self._line = Connection(wire, session, timeout_s=self._timeout_s, now=time.monotonic)
        try:
            await self._line.greet(self._peer, self._credentials, status=False)
        except BaseException:
            await self.close()
            raise
        return self._line
