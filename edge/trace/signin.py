"""Signing in to a page for staff: one form with the staff token, and a session whose cookie goes to that page alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from edge.trace.access import Access, NotForYou

__all__ = ["STAFF_TEMPLATES", "sign_in_routes"]

STAFF_TEMPLATES = Path(__file__).parent / "pages" / "templates"
"""The frame and the sign-in form of every page for staff; ``home`` is the page's path, ``asset`` the name of its style and script."""

_FORM_BYTES = 4_096

Page = Callable[[str, int, str], HTMLResponse]
"""(template, HTTP status, refusal) → page."""


def sign_in_routes(
    path: str,
    cookie: str,
    access: Access,
    page: Page,
    refusals: Mapping[str, str],
    refuse: Callable[[str, int], Exception],
) -> APIRouter:
    """GET and POST ``path``/sign-in. ``refusals`` says each code in words, ``refuse`` makes what the page raises for a foreign one."""
    routes = APIRouter(prefix=path)

    @routes.get("/sign-in", response_class=HTMLResponse)
    async def sign_in_page() -> HTMLResponse:
        return page("sign-in.html", 200, "")

    @routes.post("/sign-in")
    async def sign_in(request: Request) -> Response:
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise refuse("FOREIGN_ORIGIN", 403)
        try:
            session = access.sign_in(await _form_field(request, "token"))
        except NotForYou as refusal:
            return page("sign-in.html", refusal.status, refusals.get(refusal.code, refusal.code))
        answer = RedirectResponse(path, status_code=303)
        secure = request.url.scheme == "https"
        answer.set_cookie(cookie, session, httponly=True, samesite="strict", path=path, secure=secure)
        return answer

    return routes


async def _form_field(request: Request, name: str) -> str:
    """A field of a small form; empty where it is not there or the form is larger than it can be."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _FORM_BYTES:
            return ""
    return parse_qs(body.decode("utf-8", "replace"), max_num_fields=8).get(name, [""])[0]
