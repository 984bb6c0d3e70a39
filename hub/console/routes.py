"""The staff console's pages: overview, loans, transits, devices, refusals, conflicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import RedirectResponse, Response

from consortium.bundle import Policy
from hub.api.forms import time_of
from hub.api.lists import Query, Resource, count, fetch, parse_query
from hub.api.overview import HOUR_MS, overview
from hub.api.problems import Problem
from hub.api.resources import CONFLICTS, DECISIONS, DEVICES, LOANS, TRANSITS
from hub.api.services import Services, services_of, signed_in
from hub.auth.access import Access
from hub.auth.sessions import Session
from hub.console.pages import View, render
from hub.console.words import pick
from hub.store import schema as t

__all__ = ["LANG_COOKIE", "router", "view_of"]

LANG_COOKIE = "tj_lang"
FEED_BACKLOG = 40
"""Rows of the feed that a page begins with."""

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Page:
    """A page request by somebody signed in."""

    hub: Services
    session: Session
    access: Access
    policy: Policy | None
    view: View
    now: int

    def shared(self, here: str, path: str) -> dict[str, Any]:
        """What every page's frame shows."""
        return {
            "here": here,
            "path": path,
            "who": self.session.username,
            "library": self.access.library,
            "csrf": self.hub.sessions.csrf(self.session),
            "now": time_of(self.now),
        }


def view_of(request: Request, policy: Policy | None, library: str) -> View:
    """The view in the language of the request's cookie or browser."""
    lang = pick(request.cookies.get(LANG_COOKIE), request.headers.get("accept-language", ""))
    return View(lang, policy, library)


async def _open(request: Request, conn: AsyncConnection) -> Page | None:
    hub = services_of(request)
    now = hub.clock()
    found = await signed_in(request, conn, now)
    if found is None or not found[1].allows("read"):
        return None
    session, access = found
    policy = hub.policy
    return Page(hub, session, access, policy, view_of(request, policy, access.library), now)


def _to_login(request: Request) -> Response:
    wanted = request.url.path if request.url.path != "/" else ""
    return RedirectResponse(f"/login?next={wanted}" if wanted else "/login", 303)


async def _refusals(page: Page, conn: AsyncConnection, limit: int) -> list[dict[str, Any]]:
    return (
        await fetch(conn, DECISIONS, page.access, Query((t.decisions.c.outcome != "ALLOW",), limit), page.now)
    ).items


@router.get("/")
async def show_overview(request: Request) -> Response:
    """Branches, devices, counts, recent refusals and the live feed."""
    async with services_of(request).worker.store.read() as conn:
        page = await _open(request, conn)
        if page is None:
            return _to_login(request)
        state = await overview(conn, page.access, page.policy, page.now)
        refusals = await _refusals(page, conn, 8)
        newest = (await conn.execute(select(func.max(t.events.c.pos)))).scalar() or 0
    names = {code: page.view.name(code) for code in _known(page.policy)}
    return render(
        "overview.html", page.view, state=state, refusals=refusals, names=names,
        feed_after=max(0, newest - FEED_BACKLOG), **page.shared("overview", "/"),
    )  # fmt: skip


def _known(policy: Policy | None) -> list[str]:
    return [] if policy is None else [*policy.libraries, *policy.branches]


@router.get("/fragment/overview")
async def refresh_overview(request: Request) -> Response:
    """The part of the overview that changes, as the page holds it."""
    async with services_of(request).worker.store.read() as conn:
        page = await _open(request, conn)
        if page is None:
            return Response(status_code=401)
        state = await overview(conn, page.access, page.policy, page.now)
        refusals = await _refusals(page, conn, 8)
    return render("overview_now.html", page.view, state=state, refusals=refusals, now=time_of(page.now))


async def _table(
    request: Request,
    here: str,
    resource: Resource,
    defaults: dict[str, str],
    extra: tuple[ColumnElement[bool], ...] = (),
) -> Response:
    """A page of one list: its filters come from the address, ``extra`` conditions from the page."""
    async with services_of(request).worker.store.read() as conn:
        page = await _open(request, conn)
        if page is None:
            return _to_login(request)
        given = {name: value for name, value in request.query_params.items() if value}
        asked = {**defaults, **given} if "f" not in given else given
        asked.pop("f", None)
        chosen = {name: value for name, value in asked.items() if value != "any"}
        late = chosen.pop("overdue", None)
        conditions = (*extra, t.loans.c.due < page.now) if late and resource is LOANS else extra
        try:
            query = parse_query(resource, [*chosen.items()])
            rows = await fetch(
                conn, resource, page.access, Query((*query.where, *conditions), query.limit, query.cursor), page.now
            )
            total = await count(conn, resource, page.access, *query.where, *conditions)
        except Problem as problem:
            return render(
                "error.html", page.view, problem.status, message=problem.title, code=problem.code,
                **page.shared(here, request.url.path),
            )  # fmt: skip
    branches = [] if page.policy is None else [b.id for b in page.policy.bundle.branches]
    libraries = [] if page.policy is None else [b.org for b in page.policy.bundle.libraries]
    return render(
        f"{here}.html", page.view, rows=rows.items, next_cursor=rows.next_cursor, total=total, asked=asked,
        first="cursor" not in chosen, branches=branches, libraries=libraries, hour_ago=time_of(page.now - HOUR_MS),
        **page.shared(here, request.url.path),
    )  # fmt: skip


@router.get("/loans")
async def show_loans(request: Request) -> Response:
    """Loans, the open ones first asked for."""
    return await _table(request, "loans", LOANS, {"open": "true"})


@router.get("/transits")
async def show_transits(request: Request) -> Response:
    """Transits, the open ones first asked for."""
    return await _table(request, "transits", TRANSITS, {"open": "true"})


@router.get("/devices")
async def show_devices(request: Request) -> Response:
    """Every device with its state, since when, and when it was last seen."""
    return await _table(request, "devices", DEVICES, {})


@router.get("/refusals")
async def show_refusals(request: Request) -> Response:
    """Decisions that did not allow."""
    return await _table(request, "refusals", DECISIONS, {}, (t.decisions.c.outcome != "ALLOW",))


@router.get("/conflicts")
async def show_conflicts(request: Request) -> Response:
    """Facts that disagree, the open ones first asked for."""
    return await _table(request, "conflicts", CONFLICTS, {"state": "OPEN"})
