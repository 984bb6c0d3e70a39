"""The simulated kiosk against the real server, and against a line that breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from drivers.selfcheck import (
    Account,
    CheckinResult,
    CheckoutResult,
    EndResult,
    ItemResult,
    KioskSession,
    ReaderResult,
    Reply,
    Sip2Server,
    StatusResult,
    refusal,
)
from firmware_sim.kiosk import KioskOffline, LoginFailed, SimKiosk
from protocols.sip2 import Message

NOW = datetime(2026, 11, 22, 19, 37, 11, tzinfo=UTC)


class Library:
    def __init__(self) -> None:
        self.executed: list[tuple[str, str]] = []

    async def handle(self, session: KioskSession, request: Message) -> Reply:
        self.executed.append((request.code, request.get("AB")))
        result = {
            "99": StatusResult(online=True),
            "23": ReaderResult(valid=True),
            "63": ReaderResult(valid=True, charged_count=1, charged=["0001"]),
            "17": ItemResult(circulation_status="03", title="红楼梦"),
            "11": CheckoutResult(ok=True, desensitize=True, title="红楼梦", due="2026-12-22"),
            "29": CheckoutResult(ok=True, renewal_ok=True),
            "09": CheckinResult(ok=True),
            "35": EndResult(),
        }[request.code]
        return result.reply(session, request, NOW)

    def on_timeout(self, session: KioskSession, request: Message) -> Reply:
        return refusal(session, request, NOW, ["OUT_OF_SERVICE"])


@pytest.fixture
def library() -> Library:
    return Library()


def new_server(library: Library, tcp_port: int = 0) -> Sip2Server:
    account = Account("kiosk1", "secret", "251020")
    return Sip2Server({"kiosk1": account}, library, tcp_port=tcp_port, clock=lambda: NOW)


@pytest.fixture
async def address(library: Library) -> AsyncIterator[tuple[str, int]]:
    server = new_server(library)
    yield await server.start()
    await server.close()


async def test_nobody_listens() -> None:
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    server.close()
    kiosk = SimKiosk(host, port, "kiosk1", "secret", "251020", patience_s=0.2)
    with pytest.raises(KioskOffline):
        await kiosk.connect()
    with pytest.raises(KioskOffline):
        await kiosk.checkin("1")


async def test_a_refused_login(address: tuple[str, int]) -> None:
    kiosk = SimKiosk(*address, "kiosk1", "wrong", "251020")
    with pytest.raises(LoginFailed):
        await kiosk.connect()


@pytest.mark.parametrize("terminator", [b"\r", b"\n", b"\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
async def test_a_reader_borrows_and_returns(
    address: tuple[str, int], library: Library, terminator: bytes, encoding: str
) -> None:
    kiosk = SimKiosk(
        *address, "kiosk1", "secret", "251020", terminator=terminator, encoding=encoding, location="理工分馆"
    )
    status = await kiosk.connect()
    assert (status.code, status.fixed["on_line_status"]) == ("98", "Y")
    reader = await kiosk.session("R1", "1234")
    replies = [
        await reader.status(),
        await reader.information("charged"),
        await reader.item("0001"),
        await reader.checkout("0001"),
        await reader.renew("0001"),
        await reader.end(),
        await kiosk.checkin("0001"),
    ]
    assert [reply.code for reply in replies] == ["24", "64", "18", "12", "30", "36", "10"]
    assert {reply.checksum for reply in replies} == {"ok"}
    assert replies[1].all("AU") == ("0001",)
    assert [timing.code for timing in kiosk.timings] == ["23", "63", "17", "11", "29", "35", "09"]
    assert 0 < kiosk.last_ms < 1000
    await kiosk.close()


async def test_a_kiosk_outlives_a_restart_of_the_server(library: Library) -> None:
    server = new_server(library)
    address = await server.start()
    kiosk = SimKiosk(*address, "kiosk1", "secret", "251020")
    await kiosk.connect()
    await server.close()
    asking = asyncio.create_task(kiosk.checkin("0001"))
    await asyncio.sleep(0.15)
    server = new_server(library, address[1])
    await server.start()
    assert (await asking).fixed["ok"] == "1"
    await kiosk.close()
    await server.close()


class BreakingLine:
    """A wire between kiosk and server that is cut once, after the server has answered a checkout and before it is heard."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.broken = False

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(*self.address)
        try:
            while request := await reader.read(4096):
                up_writer.write(request)
                answer = await up_reader.readuntil(b"\r")
                if answer.startswith(b"12") and not self.broken:
                    self.broken = True
                    return
                writer.write(answer)
        finally:
            for end in (writer, up_writer):
                end.close()


async def test_a_loan_whose_answer_was_lost_is_made_once(address: tuple[str, int], library: Library) -> None:
    line = BreakingLine(address)
    server = await asyncio.start_server(line.carry, "127.0.0.1", 0)
    kiosk = SimKiosk(*server.sockets[0].getsockname(), "kiosk1", "secret", "251020")
    await kiosk.connect()
    reader = await kiosk.session("R1", None)
    assert (await reader.checkout("0001")).fixed["ok"] == "1"
    assert line.broken
    assert [code for code, _ in library.executed].count("11") == 1
    await kiosk.close()
    server.close()
