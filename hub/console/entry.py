"""Sign-in, sign-out and the language switch."""

from __future__ import annotations

import secrets
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request
from starlette.responses import FileResponse, RedirectResponse, Response

from hub.api.problems import Problem
from hub.api.services import services_of, signed_in
from hub.auth.access import ALL
from hub.auth.sessions import COOKIE, SESSION_MS
from hub.auth.staff import check_password, staff_row
from hub.console.pages import STATIC, render
from hub.console.routes import LANG_COOKIE, view_of
from hub.console.words import LANGS

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

YEAR_S = 365 * 24 * 3600


def _safe(path: str) -> str:
    """A path of this site to go on to; anything else leads to the overview."""
    plain = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if plain and len(path) <= 200 else "/"


def _foreign(request: Request) -> bool:
    """Whether a form was posted from another site. Browsers name the origin; programs that do not are nobody's browser."""
    origin = request.headers.get("origin")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return True
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host", "")


def _login_page(
    request: Request, status: int = 200, *, message: str = "", username: str = "", goal: str = "/"
) -> Response:
    view = view_of(request, None, ALL)
    return render("login.html", view, status, message=message, username=username, goal=goal, path="/login")


@router.get("/login")
async def show_login(request: Request) -> Response:
    """The sign-in page."""
    return _login_page(request, goal=_safe(request.query_params.get("next", "/")))


@router.post("/login")
async def sign_in(
    request: Request,
    username: Annotated[str, Form(max_length=64)] = "",
    password: Annotated[str, Form(max_length=256)] = "",
    next: Annotated[str, Form(max_length=200)] = "/",
) -> Response:
    """Sign in: failures are throttled by name and address together, and by address."""
    hub = services_of(request)
    now = hub.clock()
    view = view_of(request, None, ALL)
    goal = _safe(next)
    if _foreign(request):
        return _login_page(request, 403, message=view.say("login.foreign"), goal=goal)
    address = request.client.host if request.client else ""
    named = f"{username}\x1f{address}"
    wait = max(hub.sign_in.wait_ms(named, now), hub.sign_in_address.wait_ms(address, now))
    if wait:
        seconds = -(-wait // 1000)
        page = _login_page(request, 429, message=view.say("login.wait", s=seconds), username=username, goal=goal)
        page.headers["retry-after"] = str(seconds)
        return page
    # Counted before the check, so that many at once get no more tries than one after another.
    hub.sign_in.failed(named, now)
    hub.sign_in_address.failed(address, now)
    async with hub.worker.store.read() as conn:
        row = await staff_row(conn, username)
    if not await check_password(row, password) or row is None:
        return _login_page(request, 401, message=view.say("login.wrong"), username=username, goal=goal)
    hub.sign_in.passed(named)
    hub.sign_in_address.undo(address)
    cookie, _ = hub.sessions.open(row, secrets.token_bytes(16), now)
    answer = RedirectResponse(goal, 303)
    secure = hub.worker.config.base_url.startswith("https://")
    answer.set_cookie(
        COOKIE, cookie, max_age=SESSION_MS // 1000, httponly=True, samesite="lax", secure=secure, path="/"
    )
    return answer


@router.post("/logout")
async def sign_out(request: Request, csrf: Annotated[str, Form(max_length=64)] = "") -> Response:
    """Sign out. Raises Problem 403 CSRF where the form was not ours."""
    hub = services_of(request)
    async with hub.worker.store.read() as conn:
        found = await signed_in(request, conn, hub.clock())
    if found is not None and (_foreign(request) or not hub.sessions.csrf_fits(found[0], csrf)):
        raise Problem(403, "CSRF", "Reload the page and try again.")
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax")
    return answer


@router.get("/lang/{lang}")
async def switch_language(request: Request, lang: str) -> Response:
    """Speak another language from now on, and go back to the page."""
    answer = RedirectResponse(_safe(request.query_params.get("back", "/")), 303)
    if lang in LANGS:
        answer.set_cookie(LANG_COOKIE, lang, max_age=YEAR_S, samesite="lax", path="/")
    return answer


@router.get("/favicon.ico")
async def favicon() -> Response:
    """The icon, for browsers that ask without being told."""
    return FileResponse(STATIC / "favicon.svg", media_type="image/svg+xml")
