"""The card's side of vpcd, the virtual cardreader: a card is there while its connection is.

vpcd can also dial a listening card (DEVICENAME host:port). That is of no use for cards that come and go: vpcd 3.3 of Debian 12 reads an
empty ATR as a reason to wait for ever, and when a dialled card closes its connection it waits on descriptor -1, which aborts pcscd.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Protocol

from firmware_sim.pty import LineError
from protocols.pcsc import Apdu, AskAtr, CardEnd, VpcdError

READ = 4096
_RETRY_S = 0.1

Address = tuple[str, int] | str
"""(host, tcp_port), or the path of a Unix socket behind which `firmware_sim.pcsc.namespace` has vpcd's port."""


class Talker(Protocol):
    """What answers vpcd for the card that is there now."""

    @property
    def atr(self) -> bytes:
        """The card's ATR; empty = there is no card."""

    async def answer(self, apdu: bytes) -> bytes | None:
        """The answer to a command; None = the card was pulled away."""


def quick(connection: socket.socket) -> None:
    """Acknowledge what comes next at once; the kernel forgets it, so say it before every receive.

    vpcd sends length and body apart and waits for the acknowledgement of the first: else 44 ms an APDU.
    """
    if connection.family != socket.AF_UNIX:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


async def converse(connection: socket.socket, card: Talker) -> None:
    """Answer vpcd until the connection ends, the card is gone, or vpcd says what no vpcd says."""
    loop = asyncio.get_running_loop()
    end = CardEnd()
    while True:
        quick(connection)
        data = await loop.sock_recv(connection, READ)
        if not data:
            return
        end.receive(data)
        while (request := end.next_request()) is not None:
            if isinstance(request, AskAtr):
                if not card.atr:
                    return
                await loop.sock_sendall(connection, end.answer(card.atr))
            elif isinstance(request, Apdu):
                answer = await card.answer(request.data)
                if answer is None:
                    return
                await loop.sock_sendall(connection, end.answer(answer))


async def dial(address: Address) -> socket.socket:
    """Connect to vpcd; raises `OSError`."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    connection = socket.socket(family)
    connection.setblocking(False)
    try:
        if family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(connection, address)
    except BaseException:  # also where we were cancelled: nothing stays open
        connection.close()
        raise
    return connection


class VpcdLine:
    """One card's place at one virtual cardreader; where no vpcd is yet, or no more, it is tried again."""

    def __init__(self, url: str, address: Address, card: Talker) -> None:
        self.url = url
        self._address = address
        self._card = card
        self._task: asyncio.Task[None] | None = None

    async def insert(self) -> None:
        """The card came: connect."""
        await self.remove()
        self._task = asyncio.get_running_loop().create_task(self._present())

    async def remove(self) -> None:
        """The card went: break the connection."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _present(self) -> None:
        while self._card.atr:
            try:
                connection = await dial(self._address)
            except OSError:
                await asyncio.sleep(_RETRY_S)
                continue
            try:
                with contextlib.suppress(OSError, VpcdError):
                    await converse(connection, self._card)
            finally:
                connection.close()


def open_vpcd(url: str, card: Talker) -> VpcdLine:
    """Make the card's end of ``vpcd:HOST:PORT`` or ``vpcd:/PATH`` (a Unix socket); raises `LineError` BAD_URL."""
    scheme, _, rest = url.partition(":")
    if scheme == "vpcd" and rest.startswith("/") and len(rest) < 100:
        return VpcdLine(url, rest, card)
    host, _, number = rest.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if scheme == "vpcd" and host and number.isascii() and number.isdigit() and 0 < int(number) < 65536:
        return VpcdLine(url, (host, int(number)), card)
    raise LineError("BAD_URL", "a virtual card sits at vpcd:HOST:PORT or vpcd:/PATH-OF-A-SOCKET")
