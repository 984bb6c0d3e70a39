"""The staff station's page, its JSON interface and its event stream; for those alone whom the staff token lets pass.

Every write is JSON from the page's own origin: a form or a foreign page can send neither.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, select_autoescape
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from edge.kiosk.routes import same_origin
from edge.station.station import Order, Station, StationRefusal
from edge.station.texts import ACCESS, FINDINGS, TEXTS
from edge.trace.access import Access, NotForYou
from edge.trace.signin import STAFF_TEMPLATES, sign_in_routes
from protocols.iso28560 import TagFormat

__all__ = ["StationPages", "mount_station"]

HERE = Path(__file__).parent / "pages"
COOKIE = "tongjie_station"
KEEPALIVE_S = 10.0
MAX_STREAMS = 16
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

Lang = Literal["zh", "en"]
Name = Annotated[str, Field(max_length=64)]
Uid = Annotated[str, Field(max_length=128)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")
    lang: Lang = "zh"


class _OnPad(_Body):
    pad: Name


class EncodeBody(_OnPad):
    """What to write; ``uid`` empty = the tag that lies there."""

    item: Annotated[str, Field(max_length=96)]
    uid: Uid = ""
    format: TagFormat | None = None
    parts: Annotated[int, Field(ge=1, le=255)] = 1
    part: Annotated[int, Field(ge=1, le=255)] = 1
    replace: bool = False
    new: bool = False


class ConvertBody(_OnPad):
    """Which tag into which format; ``confirmed`` names what may be lost."""

    uid: Uid
    format: TagFormat
    confirmed: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=64)] = []


class OwnerBody(_OnPad):
    """Whose a tag is."""

    uid: Uid
    owner: Annotated[str, Field(max_length=16)]


class RepairBody(_OnPad):
    """The whole stack of a pad."""


class NoteBody(_Body):
    """A note that somebody looked at."""

    id: Annotated[str, Field(max_length=200)]


class NotStaff(Exception):
    """The station is not shown; ``code`` as in `NotForYou`."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


@dataclass(frozen=True, slots=True)
class StationPages:
    """What the pages stand on. ``names`` gives {"library": {zh, en}, "branch": {zh, en}}."""

    station: Station
    access: Access
    names: Callable[[], Mapping[str, Mapping[str, str]]]
    stopping: asyncio.Event


def _router(pages: StationPages) -> APIRouter:
    templates = Environment(
        loader=FileSystemLoader([HERE / "templates", STAFF_TEMPLATES]), autoescape=select_autoescape()
    )
    station = pages.station

    def staff(request: Request) -> None:
        try:
            pages.access.check(request)
        except NotForYou as refusal:
            raise NotStaff(refusal.code, refusal.status) from refusal

    routes = APIRouter(prefix="/station", dependencies=[Depends(staff)])
    writes = APIRouter(prefix="/station/api", dependencies=[Depends(staff), Depends(same_origin)])

    def page(name: str, status: int = 200, **more: Any) -> HTMLResponse:
        called = pages.names()
        boot = {"texts": TEXTS, "findings": FINDINGS, **called, **more}
        html = templates.get_template(name).render(
            texts=TEXTS, boot=boot, branch_zh=called["branch"]["zh"], home="/station", asset="station"
        )
        return HTMLResponse(html, status_code=status, headers=_HEADERS)

    @routes.get("", response_class=HTMLResponse)
    async def index() -> HTMLResponse:
        return page("station.html")

    @routes.get("/api/state")
    async def state(pad: Annotated[str, Query(max_length=64)] = "") -> JSONResponse:
        return JSONResponse(station.view(pad), headers=_HEADERS)

    @routes.get("/api/written")
    async def written(limit: Annotated[int, Query(ge=1, le=1_000)] = 100) -> JSONResponse:
        return JSONResponse({"written": await station.written(limit)}, headers=_HEADERS)

    @routes.get("/api/stream")
    async def stream(pad: Annotated[str, Query(max_length=64)] = "") -> Response:
        if len(station.streams) >= MAX_STREAMS:
            raise StationRefusal("RATE_LIMITED")
        station.view(pad)  # an unknown pad is refused before the stream begins
        return StreamingResponse(_stream(pages, pad), media_type="text/event-stream", headers=_HEADERS)

    @writes.post("/encode")
    async def encode(body: EncodeBody) -> Any:
        order = Order(body.item, body.uid, body.format, body.parts, body.part, body.replace, body.new)
        return await _told(station, body.lang, station.encode(body.pad, order))

    @writes.post("/convert")
    async def convert(body: ConvertBody) -> Any:
        return await _told(station, body.lang, station.convert(body.pad, body.uid, body.format, body.confirmed))

    @writes.post("/owner")
    async def owner(body: OwnerBody) -> Any:
        return await _told(station, body.lang, station.owner(body.pad, body.uid, body.owner))

    @writes.post("/repair")
    async def repair(body: RepairBody) -> Any:
        return await _told(station, body.lang, station.repair(body.pad))

    @writes.post("/seen")
    async def seen(body: NoteBody) -> Any:
        return await _told(station, body.lang, station.seen(body.id))

    @writes.post("/empty-drop")
    async def empty_drop(body: RepairBody) -> Any:
        return await _told(station, body.lang, station.empty_drop(body.pad))

    def signing_in(name: str, status: int, refused: str) -> HTMLResponse:
        return page(name, status, refused=refused)

    open_routes = sign_in_routes("/station", COOKIE, pages.access, signing_in, ACCESS["zh"], NotStaff)
    parent = APIRouter()
    for each in (open_routes, routes, writes):
        parent.include_router(each)
    return parent


async def _told(station: Station, lang: str, work: Awaitable[dict[str, Any] | None]) -> Any:
    """What came of it, or its refusal in the page's language. What has begun goes on though the page is gone."""
    task = asyncio.ensure_future(work)
    station.running.add(task)
    task.add_done_callback(station.ended)
    try:
        return await asyncio.shield(task) or {}
    except StationRefusal as refusal:
        return JSONResponse(refusal.plain(lang), status_code=refusal.status, headers=_HEADERS)


def mount_station(app: FastAPI, pages: StationPages) -> None:
    """Put the station into an application: routes, static files, refusals."""
    app.mount("/station/static", StaticFiles(directory=HERE / "static"), name="station-static")
    app.include_router(_router(pages))

    async def refused(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, StationRefusal)
        return JSONResponse(error.plain("zh"), status_code=error.status, headers=_HEADERS)

    async def not_staff(request: Request, error: Exception) -> Response:
        assert isinstance(error, NotStaff)
        if error.code == "TOKEN_NEEDED" and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/station/sign-in", status_code=303)
        body = {
            "code": error.code,
            "text": ACCESS["zh"].get(error.code, ""),
            "text_en": ACCESS["en"].get(error.code, ""),
        }
        return JSONResponse(body, status_code=error.status, headers=_HEADERS)

    app.add_exception_handler(StationRefusal, refused)
    app.add_exception_handler(NotStaff, not_staff)


async def _stream(pages: StationPages, pad: str) -> AsyncIterator[str]:
    """The whole view after each change of it, a comment now and then."""
    woken, sent = asyncio.Event(), ""
    pages.station.streams.add(woken)
    try:
        yield "retry: 1000\n\n"
        while not pages.stopping.is_set():
            text = json.dumps(pages.station.view(pad), ensure_ascii=False, separators=(",", ":"))
            if text != sent:
                sent = text
                yield f"event: state\ndata: {text}\n\n"
            try:
                async with asyncio.timeout(KEEPALIVE_S):
                    await woken.wait()
            except TimeoutError:
                yield ": still here\n\n"
            woken.clear()
    finally:
        pages.station.streams.discard(woken)
