"""What the hub's HTTP side works with, and how a request becomes somebody's request."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPBearer
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.bundle import Policy
from hub.api.problems import Problem
from hub.auth.access import Access
from hub.auth.sessions import COOKIE, Session, Sessions
from hub.auth.staff import access_of_staff, staff_row
from hub.auth.throttle import Throttle
from hub.auth.tokens import access_of_token

if TYPE_CHECKING:
    from hub.worker import HubWorker

__all__ = [
    "Administers",
    "AdministersWrites",
    "Asking",
    "CallerSchemes",
    "Decides",
    "Reads",
    "Services",
    "Writes",
    "Writing",
    "authenticate",
    "bearer",
    "services_of",
    "signed_in",
]


def system_clock() -> int:
    """Now, in ms UTC."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class Services:
    """The worker and what only HTTP needs beside it."""

    worker: HubWorker
    sessions: Sessions
    clock: Callable[[], int] = system_clock
    sign_in: Throttle = field(default_factory=Throttle)
    sign_in_address: Throttle = field(default_factory=lambda: Throttle(most=30))
    streams: int = 0

    @property
    def policy(self) -> Policy | None:
        """The policy in force, None before the first bundle was loaded: the one decisions go by."""
        return self.worker.policy.found


@dataclass(frozen=True, slots=True)
class Asking:
    """A request with who asks, when, and a connection to read with."""

    hub: Services
    access: Access
    now: int
    conn: AsyncConnection


CallerSchemes = [
    Depends(HTTPBearer(auto_error=False, scheme_name="token", description="An API token, `tj_…`.")),
    Depends(APIKeyCookie(name=COOKIE, auto_error=False, scheme_name="session", description="A console session.")),
]
"""Named in OpenAPI only; ``authenticate`` is what checks."""


def services_of(request: Request) -> Services:
    """The services of the application that serves this request."""
    found: Services = request.app.state.services
    return found


def bearer(request: Request) -> str | None:
    """The bearer token of the request, None where it has none."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" and token.strip() else None


async def signed_in(request: Request, conn: AsyncConnection, now: int) -> tuple[Session, Access] | None:
    """The console session of the request and its access; None where there is none that still holds."""
    hub = services_of(request)
    cookie = request.cookies.get(COOKIE)
    session = hub.sessions.read(cookie, now) if cookie else None
    if session is None:
        return None
    row = await staff_row(conn, session.username)
    if row is None or not hub.sessions.fits(session, row):
        return None
    return session, access_of_staff(row)


async def authenticate(request: Request, conn: AsyncConnection, now: int) -> Access:
    """Who asks. Raises Problem 401 TOKEN_NEEDED or TOKEN_INVALID, and 403 CSRF for a session's write without its token."""
    token = bearer(request)
    if token is not None:
        access = await access_of_token(conn, token, now)
        if access is None:
            raise Problem(
                401,
                "TOKEN_INVALID",
                "This token is unknown, revoked or expired.",
                headers={"www-authenticate": "Bearer"},
            )
        return access
    found = await signed_in(request, conn, now)
    if found is None:
        raise Problem(
            401, "TOKEN_NEEDED", "Send an API token: Authorization: Bearer tj_…", headers={"www-authenticate": "Bearer"}
        )
    session, access = found
    if request.method not in ("GET", "HEAD") and not services_of(request).sessions.csrf_fits(
        session, request.headers.get("x-csrf-token", "")
    ):
        raise Problem(403, "CSRF", "Reload the page and try again.")
    return access


def _check_scope(access: Access, scope: str) -> None:
    if not access.allows(scope):
        raise Problem(403, "SCOPE_MISSING", f"This needs the scope {scope!r}.")


def _asks(scope: str) -> Callable[[Request], AsyncIterator[Asking]]:
    async def dependency(request: Request) -> AsyncIterator[Asking]:
        hub = services_of(request)
        now = hub.clock()
        async with hub.worker.store.read() as conn:
            access = await authenticate(request, conn, now)
            _check_scope(access, scope)
            yield Asking(hub, access, now, conn)

    return dependency


@dataclass(frozen=True, slots=True)
class Writing:
    """A request that writes: it opens its own transaction."""

    hub: Services
    access: Access
    now: int


def _writes(scope: str) -> Callable[[Request], Awaitable[Writing]]:
    async def dependency(request: Request) -> Writing:
        hub = services_of(request)
        now = hub.clock()
        async with hub.worker.store.read() as conn:
            access = await authenticate(request, conn, now)
        _check_scope(access, scope)
        return Writing(hub, access, now)

    return dependency


Reads = Annotated[Asking, Depends(_asks("read"), scope="function")]
"""A request by somebody who may read, with a connection open for its length."""
Decides = Annotated[Asking, Depends(_asks("decide"), scope="function")]
"""A request by somebody who may ask for decisions."""
Administers = Annotated[Asking, Depends(_asks("admin"), scope="function")]
"""A request to read what administrators read."""
Writes = Annotated[Writing, Depends(_writes("write"))]
"""A request that sets or lifts blocks."""
AdministersWrites = Annotated[Writing, Depends(_writes("admin"))]
"""A request that changes the hub's administration."""
