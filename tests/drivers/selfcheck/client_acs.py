"""Library systems made of nothing but a socket: they answer by the book, or misbehave as a test tells them to."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import Awaitable, Callable

STATUS = "98YYYYNN10000320261122    193711{version}AO990001|{bx}AM{name}|"
DATE = "20261122    193711"


def seal(text: str, sequence: str, encoding: str = "utf-8") -> bytes:
    """A message with AY and AZ, without its end."""
    body = text.encode(encoding) + b"AY" + sequence.encode() + b"AZ"
    return body + b"%04X" % (-sum(body) & 0xFFFF)


class Peer:
    """One connection as the library system sees it."""

    def __init__(self, acs: Acs, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.acs = acs
        self.reader = reader
        self.writer = writer
        self.number = acs.connections

    def say(self, text: str, sequence: str | None) -> None:
        """Send one message, numbered as the request was."""
        acs = self.acs
        plain = sequence is None or not acs.detection
        self.writer.write((text.encode(acs.encoding) if plain else seal(text, sequence or "", acs.encoding)) + acs.end)

    def hang_up(self) -> None:
        """Close it without a word."""
        self.writer.transport.abort()


Way = Callable[[Peer, str, str | None], Awaitable[None]]


class Acs:
    """A library system on a free port. ``received``: every request as text, without AY and AZ; ``way`` answers other than by the book.

    ``takes``: the one terminator it knows (pysip2 takes CR alone). ``detection`` False: it speaks without AY and AZ.
    """

    def __init__(
        self,
        *,
        end: bytes = b"\r",
        takes: bytes | None = None,
        encoding: str = "utf-8",
        detection: bool = True,
        version: str = "2.00",
        bx: str = "BXYYYYYYYYYYYYYYYY|",
        name: str = "理工大学图书馆",
        login: str = "941",
    ) -> None:
        self.end, self.encoding, self.detection = end, encoding, detection
        self.takes = takes
        self.status = STATUS.format(version=version, bx=bx, name=name)
        self.login = login
        self.way: Way | None = None
        self.received: list[str] = []
        self.connections = 0
        self.open = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._peers: set[Peer] = set()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"sip2://127.0.0.1:{self.port}"

    def asked(self, code: str) -> list[str]:
        """What was asked with this code."""
        return [text for text in self.received if text.startswith(code)]

    async def start(self, *, tls: ssl.SSLContext | None = None) -> Acs:
        """Listen, on the port it had before if it had one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
        for peer in tuple(self._peers):
            peer.hang_up()
        while self._peers:
            await asyncio.sleep(0.005)

    async def __aenter__(self) -> Acs:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        peer = Peer(self, reader, writer)
        self._peers.add(peer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                frame = await reader.readuntil(self.takes or b"\r")
                raw = frame.strip(b"\r\n")
                if not raw:
                    continue
                text, sequence = raw.decode(self.encoding, "replace"), None
                if raw[-9:-7] == b"AY":
                    text, sequence = text[:-9], chr(raw[-7])
                self.received.append(text)
                if self.way is not None:
                    await self.way(peer, text, sequence)
                else:
                    await self.by_the_book(peer, text, sequence)
        self.open -= 1
        self._peers.discard(peer)
        writer.close()

    async def by_the_book(self, peer: Peer, text: str, sequence: str | None) -> None:
        """The right answer."""
        answer = self.right(text)
        if answer is not None:
            peer.say(answer, sequence)

    def right(self, text: str) -> str | None:
        """The right answer's text, None for a code it does not know."""
        found = re.search(r"(?:\||\d)AB([^|]*)\|", text)
        item_no = found[1] if found else ""
        return {
            "93": self.login,
            "99": self.status,
            "17": f"18030201{DATE}AB{item_no}|AJ红楼梦|",
            "11": f"121NNY{DATE}AO990001|AA1|AB{item_no}|AJ红楼梦|AH2026-12-22|",
            "09": f"101YNN{DATE}AO990001|AB{item_no}|AQ总馆|",
            "37": f"38Y{DATE}AO990001|AA1|",
        }.get(text[:2])
