"""The gate page, its JSON interface and its event stream; for those alone whom the staff token lets pass.

Every write is JSON from the page's own origin: a form or a foreign page can send neither.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, select_autoescape
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from edge.gatepages.board import GateBoard, PressRefused
from edge.gatepages.texts import ACCESS, CODES, TEXTS
from edge.kiosk.routes import NotFromHere, same_origin
from edge.trace.access import Access, NotForYou
from edge.trace.signin import STAFF_TEMPLATES, sign_in_routes

__all__ = ["COOKIE", "GatePages", "mount_gates"]

HERE = Path(__file__).parent / "pages"
COOKIE = "tongjie_gate"
LOOK_S = 2.0
"""Seconds after which counts are painted anew without an alarm."""

KEEPALIVE_S = 10.0
MAX_STREAMS = 16
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class PressBody(BaseModel):
    """A press: which device, and what."""

    model_config = ConfigDict(extra="forbid")
    device: Annotated[str, Field(max_length=64)]
    command: Annotated[str, Field(max_length=24)]


class _NotStaff(Exception):
    """The page is not shown; ``code`` as in `NotForYou`."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


@dataclass(frozen=True, slots=True)
class GatePages:
    """What the page stands on. ``names`` gives {"library": {zh, en}, "branch": {zh, en}}."""

    board: GateBoard
    access: Access
    names: Callable[[], Mapping[str, Mapping[str, str]]]
    stopping: asyncio.Event


def _router(pages: GatePages) -> APIRouter:
    templates = Environment(
        loader=FileSystemLoader([HERE / "templates", STAFF_TEMPLATES]), autoescape=select_autoescape()
    )

    def staff(request: Request) -> None:
        try:
            pages.access.check(request)
        except NotForYou as refusal:
            raise _NotStaff(refusal.code, refusal.status) from refusal

    routes = APIRouter(prefix="/gate", dependencies=[Depends(staff)])

    def page(name: str, status: int = 200, **more: Any) -> HTMLResponse:
        called = pages.names()
        boot = {"texts": TEXTS, "codes": CODES, **called, **more}
        html = templates.get_template(name).render(
            texts=TEXTS, boot=boot, branch_zh=called["branch"]["zh"], home="/gate", asset="gates"
        )
        return HTMLResponse(html, status_code=status, headers=_HEADERS)

    @routes.get("", response_class=HTMLResponse)
    async def index() -> HTMLResponse:
        return page("gates.html")

    @routes.get("/api/state")
    async def state() -> JSONResponse:
        return JSONResponse(pages.board.view(), headers=_HEADERS)

    @routes.get("/api/stream")
    async def stream() -> Response:
        if len(pages.board.alarms.changed) >= MAX_STREAMS:
            raise _NotStaff("RATE_LIMITED", 503)
        return StreamingResponse(_stream(pages), media_type="text/event-stream", headers=_HEADERS)

    @routes.post("/api/press", dependencies=[Depends(same_origin)])
    async def press(body: PressBody) -> JSONResponse:
        await pages.board.press(body.device, body.command)
        return JSONResponse({"code": "OK"}, headers=_HEADERS)

    def signing_in(name: str, status: int, refused: str) -> HTMLResponse:
        return page(name, status, refused=refused)

    open_routes = sign_in_routes("/gate", COOKIE, pages.access, signing_in, ACCESS["zh"], _NotStaff)
    parent = APIRouter()
    parent.include_router(open_routes)
    parent.include_router(routes)
    return parent


def mount_gates(app: FastAPI, pages: GatePages) -> None:
    """Put the gate page into an application: routes, static files, refusals."""
    app.mount("/gate/static", StaticFiles(directory=HERE / "static"), name="gate-static")
    app.include_router(_router(pages))

    async def not_staff(request: Request, error: Exception) -> Response:
        assert isinstance(error, _NotStaff)
        if error.code == "TOKEN_NEEDED" and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/gate/sign-in", status_code=303)
        texts = {"text": ACCESS["zh"].get(error.code, ""), "text_en": ACCESS["en"].get(error.code, "")}
        return JSONResponse({"code": error.code, **texts}, status_code=error.status, headers=_HEADERS)

    async def refused(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, PressRefused)
        return JSONResponse({"code": error.code}, status_code=error.status, headers=_HEADERS)

    async def foreign(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, NotFromHere)
        return JSONResponse({"code": error.code}, status_code=error.status, headers=_HEADERS)

    app.add_exception_handler(_NotStaff, not_staff)
    app.add_exception_handler(PressRefused, refused)
    app.add_exception_handler(NotFromHere, foreign)


async def _stream(pages: GatePages) -> AsyncIterator[str]:
    """The whole view at each alarm, and where a count or a state changed; a comment now and then."""
    woken, sent, quiet_s = asyncio.Event(), "", 0.0
    streams = pages.board.alarms.changed
    streams.add(woken)
    try:
        yield "retry: 1000\n\n"
        while not pages.stopping.is_set():
            text = json.dumps(pages.board.view(), ensure_ascii=False, separators=(",", ":"))
            if text != sent:
                sent, quiet_s = text, 0.0
                yield f"event: state\ndata: {text}\n\n"
            elif quiet_s >= KEEPALIVE_S:
                quiet_s = 0.0
                yield ": still here\n\n"
            try:
                async with asyncio.timeout(LOOK_S):
                    await woken.wait()
            except TimeoutError:
                quiet_s += LOOK_S
            woken.clear()
    finally:
        streams.discard(woken)
