"""A small library behind the server, and kiosks made of nothing but a socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from drivers.selfcheck import (
    Account,
    CheckinResult,
    CheckoutResult,
    EndResult,
    ItemResult,
    KioskSession,
    ReaderResult,
    RenewAllResult,
    Reply,
    Sip2Server,
    StatusResult,
    refusal,
)
from protocols.sip2 import Message, parse, seal

NOW = datetime(2026, 11, 22, 19, 37, 11, tzinfo=UTC)
ACCOUNTS = {
    "kiosk1": Account("kiosk1", "secret", "251020", "hall"),
    "gbk": Account("gbk", "secret", "251020", encoding="gbk"),
    "few": Account("few", "secret", "251020", max_connections=2),
}


class Library:
    """A handler that lends anything; what it executed is in `executed`. Items named SLOW, FAULT, FAULTY behave so."""

    def __init__(self) -> None:
        self.executed: list[tuple[str, str]] = []
        self.sessions: list[KioskSession] = []
        self.slow = asyncio.Event()

    async def handle(self, session: KioskSession, request: Message) -> Reply:
        item_no, reader_no = request.get("AB"), request.get("AA")
        self.sessions.append(session)
        if item_no.startswith("SLOW"):
            await self.slow.wait()
        if item_no == "FAULT":
            raise RuntimeError(f"a fault that names {reader_no}")
        if item_no == "FAULTY":
            return Reply({"ok": "1"})
        self.executed.append((request.code, item_no))
        return self._reply(request.code, item_no, reader_no).reply(session, request, NOW)

    def on_timeout(self, session: KioskSession, request: Message) -> Reply:
        return refusal(session, request, NOW, ["暂停服务 OUT_OF_SERVICE"])

    def _reply(self, code: str, item_no: str, reader_no: str) -> Any:
        return {
            "99": StatusResult(online=True),
            "23": ReaderResult(valid=True, valid_password=True),
            "63": ReaderResult(valid=True, charged_count=3, charged=["1", "2", "3"]),
            "17": ItemResult(circulation_status="03", title="红楼梦|下"),
            "11": CheckoutResult(ok=item_no != "NO", desensitize=True, title="红楼梦", due="2026-12-22"),
            "09": CheckinResult(ok=True, title="红楼梦", permanent_location="理工分馆", sort_bin="1"),
            "35": EndResult(),
            "65": RenewAllResult(ok=True, renewed=["1"], unrenewed=["2"]),
        }[code]


class Line:
    """A kiosk's socket: bytes out, frames in, nothing of our code between but the checksum."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.sequence = 0

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def wire(self, body: str, end: bytes = b"\r", encoding: str = "utf-8") -> bytes:
        sequence, self.sequence = self.sequence, (self.sequence + 1) % 10
        return seal(body.encode(encoding), str(sequence)) + end

    async def frame(self, end: bytes = b"\r", within: float = 2.0) -> bytes:
        async with asyncio.timeout(within):
            return await self.reader.readuntil(end)

    async def ask(self, body: str, encoding: str = "utf-8") -> Message:
        self.send(self.wire(body, encoding=encoding))
        return parse((await self.frame())[:-1], encoding)

    async def login(self, user: str = "kiosk1", password: str = "secret") -> Message:
        return await self.ask(f"9300CN{user}|CO{password}|")

    async def silent(self, within: float = 0.05) -> bool:
        """Whether nothing comes for a while."""
        try:
            async with asyncio.timeout(within):
                return await self.reader.read(1) == b"nothing"
        except TimeoutError:
            return True

    async def closed(self, within: float = 2.0) -> bool:
        """Whether the server closes the line."""
        async with asyncio.timeout(within):
            try:
                return await self.reader.read() == b""
            except ConnectionResetError:
                return True

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


class Place:
    """A server with its library, and lines into it."""

    def __init__(self) -> None:
        self.library = Library()
        self.server: Sip2Server | None = None
        self.accounts = dict(ACCOUNTS)
        self.address = ("127.0.0.1", 0)
        self.lines: list[Line] = []

    async def serve(self, **options: Any) -> Sip2Server:
        self.server = Sip2Server(self.accounts, self.library, clock=lambda: NOW, **options)
        self.address = await self.server.start()
        return self.server

    async def dial(self, listener: str | None = None, **options: Any) -> Line:
        """A line to the first listener, or to one by name; options are asyncio's (ssl …)."""
        assert self.server is not None
        address = self.address if listener is None else self.server.addresses[listener]
        line = Line(*await asyncio.open_connection(*address, **options))
        self.lines.append(line)
        return line

    async def kiosk(self, user: str = "kiosk1") -> Line:
        line = await self.dial()
        assert (await line.login(user)).fixed["ok"] == "1"
        return line


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    found = Place()
    yield found
    found.library.slow.set()
    for line in found.lines:
        line.writer.transport.abort()
    if found.server is not None:
        await found.server.close()
