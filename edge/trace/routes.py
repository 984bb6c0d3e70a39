"""The trace pages, their JSON, their event stream and the download. All of it only reads; one POST signs in."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.responses import Response

from edge.trace.access import COOKIE, Access, NotForYou
from edge.trace.book import TraceBook
from edge.trace.kiosks import Kiosks
from edge.trace.report import report
from edge.trace.signin import sign_in_routes
from edge.trace.texts import NOTES, REFUSALS, TEXTS, TITLES_ZH

__all__ = ["Pages", "mount_trace"]

HERE = Path(__file__).parent / "pages"
KEEPALIVE_S = 10.0
MAX_STREAMS = 16
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Pages:
    """What the pages stand on. ``names`` gives {"library": {zh, en}, "branch": {zh, en}}, ``wall`` the branch's time of day."""

    book: TraceBook
    kiosks: Kiosks
    access: Access
    software: str
    names: Callable[[], Mapping[str, Mapping[str, str]]]
    wall: Callable[[], datetime]
    stopping: asyncio.Event


class _NoKiosk(Exception):
    """There is no kiosk of that name."""


def _router(pages: Pages) -> APIRouter:
    """All routes below /trace. Each but the sign-in is for those whom `Access` lets pass."""
    templates = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=select_autoescape())
    routes = APIRouter(prefix="/trace", dependencies=[Depends(pages.access.check)])

    def page(name: str, status: int = 200, **more: Any) -> HTMLResponse:
        called = pages.names()
        boot = {"texts": TEXTS, "titles_zh": TITLES_ZH, "notes": NOTES, "software": pages.software, **called, **more}
        html = templates.get_template(name).render(
            texts=TEXTS, boot=boot, branch_zh=called["branch"]["zh"], home="/trace", asset="trace"
        )
        return HTMLResponse(html, status_code=status, headers=_HEADERS)

    def known(kiosk: str) -> dict[str, Any]:
        found = pages.kiosks.one(kiosk)
        if found is None:
            raise _NoKiosk
        return found

    @routes.get("", response_class=HTMLResponse)
    async def index() -> HTMLResponse:
        return page("kiosks.html")

    @routes.get("/api/kiosks")
    async def kiosks() -> JSONResponse:
        return JSONResponse({"software": pages.software, "kiosks": pages.kiosks.all()}, headers=_HEADERS)

    @routes.get("/api/lines")
    async def lines(kiosk: str, after: Annotated[int, Query(ge=0)] = 0) -> JSONResponse:
        found = known(kiosk)
        kept = [line.public() for line in pages.book.lines(kiosk, after)]
        return JSONResponse({"kiosk": found, "lines": kept}, headers=_HEADERS)

    @routes.get("/api/stream")
    async def stream(
        request: Request, kiosk: str | None = None, after: Annotated[int | None, Query(ge=0)] = None
    ) -> Response:
        if kiosk is not None:
            known(kiosk)
        if len(pages.book.followers) >= MAX_STREAMS:
            raise NotForYou("RATE_LIMITED", 503)
        last = request.headers.get("last-event-id", "")
        sent = int(last) if last.isascii() and last.isdigit() and len(last) < 16 else after
        return StreamingResponse(_stream(pages, kiosk, sent), media_type="text/event-stream", headers=_HEADERS)

    @routes.get("/api/download")
    async def download(kiosk: str) -> PlainTextResponse:
        text = report(known(kiosk), pages.book.lines(kiosk), software=pages.software, at=pages.wall())
        safe = re.sub(r"[^A-Za-z0-9._-]", "_", kiosk)[:64]
        named = {"Content-Disposition": f'attachment; filename="sip2-trace-{safe}.txt"'}
        return PlainTextResponse(text, headers={**_HEADERS, **named})

    # A kiosk that never logged in is called by its listener, whose name may be a URL.
    @routes.get("/{kiosk:path}", response_class=HTMLResponse)
    async def one(kiosk: str) -> HTMLResponse:
        known(kiosk)
        return page("kiosk.html", kiosk=kiosk)

    def signing_in(name: str, status: int, refused: str) -> HTMLResponse:
        return page(name, status, refused=refused)

    open_routes = sign_in_routes("/trace", COOKIE, pages.access, signing_in, REFUSALS["zh"], NotForYou)
    parent = APIRouter()
    parent.include_router(open_routes)
    parent.include_router(routes)
    return parent


def mount_trace(app: FastAPI, pages: Pages) -> None:
    """Put the trace into an application: routes, static files, refusals."""
    app.mount("/trace/static", StaticFiles(directory=HERE / "static"), name="trace-static")
    app.include_router(_router(pages))

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, NotForYou)
        wants_page = "text/html" in request.headers.get("accept", "")
        if wants_page and error.code == "TOKEN_NEEDED":
            return RedirectResponse("/trace/sign-in", status_code=303)
        body = {
            "code": error.code,
            "text": REFUSALS["en"].get(error.code, ""),
            "text_zh": REFUSALS["zh"].get(error.code, ""),
        }
        return JSONResponse(body, status_code=error.status, headers=_HEADERS)

    async def missing(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, _NoKiosk)
        return JSONResponse({"code": "NO_SUCH_KIOSK"}, status_code=404, headers=_HEADERS)

    app.add_exception_handler(NotForYou, refused)
    app.add_exception_handler(_NoKiosk, missing)


async def _stream(pages: Pages, kiosk: str | None, sent: int | None) -> AsyncIterator[str]:
    """New lines as they come; before them those of one kiosk above ``sent``, where that is given."""
    follower = pages.book.follow(kiosk)
    try:
        yield "retry: 1000\n\n"
        if kiosk is not None and sent is not None:
            for line in pages.book.lines(kiosk, sent):
                sent = line.number
                yield _event("line", line.public(), line.number)
        while not pages.stopping.is_set():
            lines, left_out = await follower.taken(KEEPALIVE_S)
            if left_out:
                yield _event("left-out", {"lines": left_out})
            for line in lines:
                if sent is None or line.number > sent:
                    yield _event("line", line.public(), line.number)
            if not lines:
                yield ": still here\n\n"
    finally:
        pages.book.unfollow(follower)


def _event(kind: str, data: dict[str, Any], number: int | None = None) -> str:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    head = f"event: {kind}\n" if number is None else f"event: {kind}\nid: {number}\n"
    return f"{head}data: {text}\n\n"
