"""The kiosk's page, its JSON interface and its event stream.

Every write is JSON from the page's own origin: a form or a foreign page can send neither. Numbers and PINs stand in bodies
only, never in a URL, and nothing here logs a body.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, select_autoescape
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from starlette.responses import Response

from edge.kiosk.texts import TEXTS
from edge.printing import Receipts
from edge.selfservice.pad import IDLE_S, WARN_S, KioskRefusal, PadKiosk
from edge.selfservice.signin import SHOW_AGAIN
from edge.trace.access import FORWARDED, is_loopback

HERE = Path(__file__).parent
KEEPALIVE_S = 10.0
MAX_STREAMS = 32
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)

Lang = Literal["zh", "en"]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")
    lang: Lang = "zh"


class IdentifyBody(_Body):
    """A reader's number or card, or the name of what was shown to the kiosk's devices, and PIN."""

    number: Annotated[str, Field(max_length=64)] = ""
    card: Annotated[str, Field(max_length=64)] = ""
    shown: Annotated[str, Field(max_length=64)] = ""
    pin: Annotated[SecretStr, Field(max_length=64)] = SecretStr("")


class SessionBody(_Body):
    """A session, as `identify` gave it."""

    session: Annotated[str, Field(max_length=64)]


class ReturnBody(_Body):
    """A return needs nobody."""


class EndBody(_Body):
    """A session to end; empty where there is none."""

    session: Annotated[str, Field(max_length=64)] = ""


class PrintBody(_Body):
    """A receipt that a loan or return offered."""

    receipt: Annotated[str, Field(max_length=64)]


class NotFromHere(Exception):
    """The request did not come from the kiosk's own page; ``code`` is stable."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


def own_origin(request: Request) -> None:
    """Let pass only JSON that no other site's page can have sent. Raises NotFromHere.

    A kiosk is reached by its address: a host name may be another site's that was pointed here (DNS rebinding).
    """
    if not _is_address(urlsplit(f"//{request.headers.get('host', '')}").hostname or ""):
        raise NotFromHere("FOREIGN_ORIGIN", 403)
    same_origin(request)


def same_origin(request: Request) -> None:
    """Let pass only JSON from a page of the host that was asked, whatever its name. Raises NotFromHere.

    Enough where a token guards the page, or `Access` its host: a name that was pointed here has no session.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json":
        raise NotFromHere("NOT_JSON", 415)
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise NotFromHere("FOREIGN_ORIGIN", 403)
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise NotFromHere("FOREIGN_ORIGIN", 403)


def own_machine(request: Request) -> bool:
    """Whether this machine itself asks, and no proxy for somebody else."""
    peer = request.client.host if request.client is not None else ""
    return is_loopback(peer) and not any(name in request.headers for name in FORWARDED)


def _is_address(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def kiosk_router(
    kiosk: PadKiosk,
    *,
    names: Callable[[], dict[str, dict[str, str]]],
    stopping: asyncio.Event,
    receipts: Receipts,
) -> APIRouter:
    """Page and interface of one kiosk. ``names`` gives {"library": {zh, en}, "branch": {zh, en}}."""
    pages = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=select_autoescape())
    router = APIRouter(prefix="/kiosk")
    api = APIRouter(prefix="/api", dependencies=[Depends(own_origin)])

    @router.get("", response_class=HTMLResponse)
    async def page() -> HTMLResponse:
        called = names()
        boot = {"texts": TEXTS, "lang": "zh", "idle_s": IDLE_S, "warn_s": WARN_S, "hears": kiosk.hears, **called}
        html = pages.get_template("kiosk.html").render(
            texts=TEXTS, boot=boot, library_zh=called["library"]["zh"], branch_zh=called["branch"]["zh"]
        )
        headers = {
            "Content-Security-Policy": _POLICY,
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        return HTMLResponse(html, headers=headers)

    @router.get("/api/pad")
    async def pad(request: Request) -> dict[str, Any]:
        return _view(kiosk, own_machine(request))

    @router.get("/api/stream")
    async def stream(request: Request) -> Response:
        if len(kiosk.changes.streams) >= MAX_STREAMS:
            return JSONResponse({"code": "RATE_LIMITED"}, status_code=503, headers={"Retry-After": "5"})
        return StreamingResponse(
            _stream(kiosk, stopping, own_machine(request)),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store"},
        )

    @api.post("/identify")
    async def identify(request: Request, body: IdentifyBody) -> dict[str, Any]:
        if body.shown and not own_machine(request):
            raise KioskRefusal(SHOW_AGAIN, body.lang, 403)
        return await kiosk.identify(
            body.number, body.card, body.pin.get_secret_value(), body.lang, shown=body.shown
        )  # fmt: skip

    @api.post("/preview")
    async def preview(body: SessionBody) -> dict[str, Any]:
        return kiosk.preview(body.session, body.lang)

    @api.post("/borrow")
    async def borrow(body: SessionBody) -> dict[str, Any]:
        return receipts.offer("borrow", await kiosk.borrow(body.session, body.lang))

    @api.post("/return")
    async def give_back(body: ReturnBody) -> dict[str, Any]:
        return receipts.offer("return", await kiosk.give_back(body.lang))

    @api.post("/print")
    async def print_receipt(body: PrintBody) -> dict[str, Any]:
        return await receipts.print(body.receipt, body.lang)

    @api.post("/end")
    async def end(body: EndBody) -> dict[str, Any]:
        kiosk.end(body.session)
        return {}

    router.include_router(api)
    return router


def mount_kiosk(app: Any, router: APIRouter) -> None:
    """Put the kiosk into an application: routes, static files and its refusals as JSON."""
    app.include_router(router)
    app.mount("/kiosk/static", StaticFiles(directory=HERE / "static"), name="kiosk-static")

    async def refused(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, KioskRefusal)
        return JSONResponse({"code": error.code, "text": error.text}, status_code=error.status)

    async def foreign(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, NotFromHere)
        return JSONResponse({"code": error.code}, status_code=error.status)

    async def invalid(_: Request, error: Exception) -> JSONResponse:
        # FastAPI's own answer repeats the input, and the input holds a number and a PIN.
        assert isinstance(error, RequestValidationError)
        fields = sorted({str(part["loc"][-1]) for part in error.errors()})
        return JSONResponse({"code": "BODY_INVALID", "fields": fields}, status_code=422)

    app.add_exception_handler(KioskRefusal, refused)
    app.add_exception_handler(NotFromHere, foreign)
    app.add_exception_handler(RequestValidationError, invalid)


def _view(kiosk: PadKiosk, here: bool) -> dict[str, Any]:
    """What the page shows; the name of a shown card signs its reader in, so only a page on this machine hears it."""
    view = kiosk.view()
    return view if here else {**view, "shown": None}


async def _stream(kiosk: PadKiosk, stopping: asyncio.Event, here: bool) -> AsyncIterator[str]:
    woken = asyncio.Event()
    kiosk.changes.streams.add(woken)
    try:
        yield f"retry: 1000\nevent: state\ndata: {_json(_view(kiosk, here))}\n\n"
        while not stopping.is_set():
            try:
                async with asyncio.timeout(KEEPALIVE_S):
                    await woken.wait()
            except TimeoutError:
                yield ": still here\n\n"
                continue
            woken.clear()
            yield f"event: state\ndata: {_json(_view(kiosk, here))}\n\n"
    finally:
        kiosk.changes.streams.discard(woken)


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
