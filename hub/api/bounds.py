"""The outer edge of HTTP: bodies bounded in size and time, a trace id, and headers that keep a browser honest."""

from __future__ import annotations

import asyncio
import re
import secrets
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.api.problems import Problem, problem_response

__all__ = ["MAX_BODY", "Bounds"]

MAX_BODY: Final = 262_144
"""Bytes of a request body."""
BODY_SECONDS: Final = 20.0
"""How long a client may take to send its body."""

_TRACE = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")

HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
}


class Bounds:
    """ASGI middleware around the whole application; answers, streams among them, pass through it as they come."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        known = _TRACE.fullmatch(headers.get("traceparent", ""))
        scope["tongjie.trace"] = known[1] if known else secrets.token_hex(16)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                out = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    out.setdefault(name, value)
            await send(message)

        try:
            body = await asyncio.wait_for(_body(receive, headers), BODY_SECONDS)
        except TimeoutError:
            body = Problem(408, "BODY_TOO_SLOW", f"A request body has to arrive within {BODY_SECONDS:.0f} seconds.")
        if body is None:
            return
        if isinstance(body, Problem):
            await problem_response(Request(scope), body)(scope, receive, answer)
            return
        given = False

        async def replay() -> Message:
            nonlocal given
            if given:  # what follows the body is the disconnect, for which a stream waits as long as it lives
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, replay, answer)


async def _body(receive: Receive, headers: Headers) -> bytes | Problem | None:
    """The whole body, the problem with it, or None where the client went away."""
    too_large = Problem(413, "BODY_TOO_LARGE", f"A request body has at most {MAX_BODY} bytes.")
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > MAX_BODY:
        return too_large
    parts: list[bytes] = []
    seen = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        seen += len(parts[-1])
        if seen > MAX_BODY:
            return too_large
        if not message.get("more_body", False):
            return b"".join(parts)
