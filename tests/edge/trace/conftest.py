"""An edge's trace over real sockets: a SIP2 server with a few kiosks, and the pages served beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx2
import uvicorn
from fastapi import FastAPI

from drivers.selfcheck import Account, Sip2Server
from edge.sip2_config import AccountConfig
from edge.trace import Pages, TraceBook, mount_trace
from edge.trace.access import Access
from edge.trace.kiosks import Kiosks, book_of
from firmware_sim.kiosk import SimKiosk
from tests.browser.conftest import chromium, opened
from tests.drivers.selfcheck.conftest import Library

__all__ = ["Site", "chromium", "opened", "site"]

NUMBER, PIN, PASSWORD = "R2026000042", "246813", "kiosk-secret"
TOKEN = "a-token-of-more-than-24-characters"
NAMES = {
    "library": {"zh": "重庆大学图书馆", "en": "Chongqing University Library"},
    "branch": {"zh": "虎溪馆", "en": "Huxi"},
}


@dataclass
class Site:
    """What runs: addresses of the SIP2 server and of the pages, and the book between them."""

    sip2: tuple[str, int]
    url: str
    book: TraceBook

    def kiosk(self, password: str = PASSWORD, **more: object) -> SimKiosk:
        """A kiosk that is switched off."""
        return SimKiosk(*self.sip2, "kiosk1", password, "251020", patience_s=1.0, **more)  # type: ignore[arg-type]

    def client(self, **headers: str) -> httpx2.AsyncClient:
        """A browser without a screen."""
        return httpx2.AsyncClient(base_url=self.url, headers=headers, timeout=10)


@asynccontextmanager
async def site(*, token: str | None = None, host: str = "127.0.0.1") -> AsyncIterator[Site]:
    """Run it; ``host`` is where the edge says that it listens."""
    accounts = (
        AccountConfig("kiosk1", PASSWORD, "251020", "251020-01-kiosk1"),
        AccountConfig("sorter1", PASSWORD, "251020", "251020-01-sorter1", encoding="gb18030", kind="sorter"),
    )
    book = book_of(accounts)
    server = Sip2Server(
        {a.user: Account(a.user, PASSWORD, "251020") for a in accounts},
        Library(),
        clock=lambda: datetime.now(UTC),
        tracer=book,
    )
    stopping = asyncio.Event()
    app = FastAPI()
    kiosks = Kiosks(book, accounts, server.public)
    access = Access(token, host)
    mount_trace(app, Pages(book, kiosks, access, "0.1.0", lambda: NAMES, lambda: datetime.now(UTC), stopping))
    http = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None, timeout_graceful_shutdown=1))
    http.capture_signals = _NoSignals  # type: ignore[method-assign]
    serving = asyncio.create_task(http.serve())
    address = await server.start()
    try:
        while not http.started:
            await asyncio.sleep(0.01)
        tcp_port = http.servers[0].sockets[0].getsockname()[1]
        yield Site(address, f"http://127.0.0.1:{tcp_port}", book)
    finally:
        stopping.set()
        book.close()
        http.should_exit = True
        await serving
        await server.close()


class _NoSignals:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None
