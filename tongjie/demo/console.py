"""A console that listens like a browser's does: how long after it happened an event is seen there."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from datetime import datetime

import httpx2

KEPT = 20_000
_AGAIN_S = 0.5


class Listener:
    """Reads the hub's live stream and keeps, for every event of a branch, now less the event's own time, in ms.

    Edge and hub share this machine's clock in a demo; what is left of clock error is in ``t_unc`` of the events.
    """

    def __init__(self, hub: str, token: str) -> None:
        self._address = f"{hub}/api/v1/stream"
        self._token = token
        self._last: str | None = None
        self.samples: deque[float] = deque(maxlen=KEPT)

    async def run(self) -> None:
        """Listen until cancelled; a stream that ends is taken up again where it was."""
        timeout = httpx2.Timeout(10.0, read=60.0)
        async with httpx2.AsyncClient(timeout=timeout, headers={"Authorization": f"Bearer {self._token}"}) as client:
            while True:
                try:
                    await self._listen(client)
                except httpx2.HTTPError:
                    await asyncio.sleep(_AGAIN_S)

    async def _listen(self, client: httpx2.AsyncClient) -> None:
        headers = {"Last-Event-ID": self._last} if self._last is not None else {}
        async with client.stream("GET", self._address, headers=headers) as answer:
            if answer.status_code != 200:
                await asyncio.sleep(_AGAIN_S)
                return
            kind = ""
            async for line in answer.aiter_lines():
                name, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if name == "event":
                    kind = value
                elif name == "id":
                    self._last = value
                elif name == "data" and kind == "event":
                    self._seen(json.loads(value))

    def _seen(self, event: dict[str, object]) -> None:
        happened = event.get("t_eff")
        node = str(event.get("node", ""))
        if isinstance(happened, str) and not node.startswith("hub"):
            at = datetime.fromisoformat(happened.replace("Z", "+00:00")).timestamp()
            self.samples.append(max(0.0, (time.time() - at) * 1000))
