"""The edge's own kiosk as a reader's fingers meet it: the same requests that its page makes."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

_LIMIT = 262_144


class KioskPageError(Exception):
    """The kiosk did not answer as a kiosk does."""


class KioskPage:
    """Presses the kiosk's buttons: HTTP/1.1 with JSON, one connection a request (a demo needs no more)."""

    def __init__(self, base: str, timeout_s: float = 15.0) -> None:
        parts = urlsplit(base)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._timeout_s = timeout_s

    async def press(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One request; returns the JSON object of the answer. Raises KioskPageError or OSError."""
        payload = json.dumps(body).encode() if body is not None else b""
        origin = f"http://{self._host}:{self._port}"
        head = (
            f"{method} /kiosk/api/{path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nOrigin: {origin}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\nConnection: close\r\n\r\n"
        )
        async with asyncio.timeout(self._timeout_s):
            stream, writer = await asyncio.open_connection(self._host, self._port, limit=_LIMIT)
            try:
                writer.write(head.encode() + payload)
                await writer.drain()
                answer = b""
                while len(answer) < _LIMIT and (more := await stream.read(_LIMIT - len(answer))):
                    answer += more
            finally:
                writer.close()
        top, _, rest = answer.partition(b"\r\n\r\n")
        words = top.split(b" ", 2)
        if len(words) < 2 or not words[1].isdigit():
            raise KioskPageError("the kiosk closed the connection")
        try:
            found = json.loads(rest) if rest.strip() else {}
        except ValueError as error:
            raise KioskPageError("the kiosk's answer is not JSON") from error
        if not isinstance(found, dict):
            raise KioskPageError("the kiosk's answer is not an object")
        return {"status": int(words[1]), **found}
