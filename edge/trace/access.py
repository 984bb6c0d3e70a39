"""Who may see a trace: this machine itself, or staff with the token of the configuration.

Item numbers and titles stand in a trace beside the time of day, so it is never shown to whoever finds the page: without a token
only requests from this machine to its own loopback address are answered, and none at all where the edge listens further out.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import time
from collections import deque
from collections.abc import Callable
from urllib.parse import urlsplit

from fastapi import Request

__all__ = ["COOKIE", "FORWARDED", "LEAST_TOKEN", "Access", "NotForYou", "is_loopback"]

COOKIE = "tongjie_trace"
LEAST_TOKEN = 24
"""Characters of a token; a shorter one could be guessed."""

_SESSION_S = 8 * 3600.0
_MOST_SESSIONS = 32
_MOST_FAILURES = 10
_FAILURES_S = 60.0
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")
"""Headers by which a proxy says that it asks for somebody else."""


class NotForYou(Exception):
    """The trace is not shown; ``code`` is LOOPBACK_ONLY, TOKEN_NEEDED, TOKEN_NOT_CONFIGURED, TOKEN_WRONG or RATE_LIMITED."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


def is_loopback(host: str) -> bool:
    """Whether a host of the configuration or of a Host header is this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Access:
    """Decides each request. ``token`` None: loopback only. ``host`` is where the edge listens. ``ticks`` counts seconds. ``cookie``
    is the name of its session: pages with another path have another.

    Raises ValueError for a token that is too short.
    """

    def __init__(
        self, token: str | None, host: str, *, ticks: Callable[[], float] = time.monotonic,
        new_session: Callable[[], str] = lambda: secrets.token_urlsafe(32), cookie: str = COOKIE,
    ) -> None:  # fmt: skip
        if token is not None and len(token) < LEAST_TOKEN:
            raise ValueError(f"the token of the trace has at least {LEAST_TOKEN} characters")
        self._token = None if token is None else _digest(token)
        self._host = host
        self._ticks = ticks
        self._new_session = new_session
        self._cookie = cookie
        self._sessions: dict[bytes, float] = {}
        self._failures: deque[float] = deque(maxlen=_MOST_FAILURES)

    @property
    def by_token(self) -> bool:
        """Whether there is a token to sign in with."""
        return self._token is not None

    def check(self, request: Request) -> None:
        """Let a request pass. Raises NotForYou."""
        if self._token is None:
            self._only_this_machine(request)
            return
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and given:
            self._same(given.strip())
            return
        session = request.cookies.get(self._cookie, "")
        until = self._sessions.get(_digest(session)) if session else None
        if until is None or until < self._ticks():
            raise NotForYou("TOKEN_NEEDED", 401)

    def sign_in(self, token: str) -> str:
        """A session for the right token: the cookie's value, good for eight hours. Raises NotForYou."""
        if self._token is None:
            raise NotForYou("TOKEN_NOT_CONFIGURED", 403)
        self._same(token)
        now = self._ticks()
        self._sessions = {key: until for key, until in self._sessions.items() if until > now}
        while len(self._sessions) >= _MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        session = self._new_session()
        self._sessions[_digest(session)] = now + _SESSION_S
        return session

    def _only_this_machine(self, request: Request) -> None:
        if not is_loopback(self._host):
            raise NotForYou("TOKEN_NOT_CONFIGURED", 403)
        peer = request.client.host if request.client is not None else ""
        # A name may be another site's that was pointed here, and a proxy on this machine answers for others.
        asked = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
        if not is_loopback(peer) or not is_loopback(asked) or any(name in request.headers for name in FORWARDED):
            raise NotForYou("LOOPBACK_ONLY", 403)

    def _same(self, given: str) -> None:
        now = self._ticks()
        recent = sum(1 for at in self._failures if now - at < _FAILURES_S)
        if recent >= _MOST_FAILURES:
            raise NotForYou("RATE_LIMITED", 429)
        if self._token is None or not hmac.compare_digest(_digest(given), self._token):
            self._failures.append(now)
            raise NotForYou("TOKEN_WRONG", 401)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
