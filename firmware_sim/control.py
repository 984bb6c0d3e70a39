"""The control channel of simulated devices: JSON lines over a loopback TCP port.

``{"id": 1, "op": "tap", "card": "04A1…", "direction": "IN"}`` is answered by ``{"id": 1, "opened": true, "ms": 12.3, …}``
or ``{"id": 1, "error": CODE, "message": …}``. Answers come as they are ready, matched by ``id``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from typing import Any, Protocol

from firmware_sim.stage import StageError

MAX_LINE = 16_384
MAX_AT_ONCE = 64
"""Operations of one connection under way; further lines wait unread."""


class Doer(Protocol):
    """Whatever carries out operations: a stage, or the staff of a simulated ILS."""

    async def do(self, operation: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out one operation; raises `StageError`."""


class ControlServer:
    """Serves a stage to whoever connects from this machine."""

    def __init__(self, stage: Doer) -> None:
        self._stage = stage
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def start(self, tcp_port: int = 0) -> int:
        """Listen on 127.0.0.1 and give the port; raises `OSError` where it is taken."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", tcp_port, limit=MAX_LINE)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        if self._server is not None:
            self._server.close()
        for sink in tuple(self._connections.values()):
            sink.close()  # its reader then sees the end; asyncio 3.11 complains about a cancelled connection
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        own = asyncio.current_task()
        assert own is not None
        self._connections[own] = sink
        slots = asyncio.Semaphore(MAX_AT_ONCE)
        under_way: set[asyncio.Task[None]] = set()
        try:
            while line := await source.readline():
                await slots.acquire()
                task = asyncio.create_task(self._answer(line, sink))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                task.add_done_callback(lambda _task: slots.release())
        except ValueError:
            _say(sink, {"id": None, "error": "LINE_TOO_LONG", "message": f"a line has at most {MAX_LINE} bytes"})
        except ConnectionError:
            pass  # the player went away; what he began is dropped below
        finally:
            self._connections.pop(own, None)
            for task in under_way:
                task.cancel()
            sink.close()
            with contextlib.suppress(ConnectionError):
                await sink.wait_closed()

    async def _answer(self, line: bytes, sink: asyncio.StreamWriter) -> None:
        number: object = None
        try:
            asked = json.loads(line)
            if not isinstance(asked, dict):
                raise StageError("BAD_LINE", "a line is one JSON object")
            number = asked.get("id")
            found = await self._stage.do(asked)
            _say(sink, {"id": number, **found})
        except StageError as error:
            _say(sink, {"id": number, "error": error.code, "message": str(error)})
        except ValueError:
            _say(sink, {"id": None, "error": "BAD_LINE", "message": "a line is one JSON object"})
        with contextlib.suppress(ConnectionError):
            await sink.drain()


def _say(sink: asyncio.StreamWriter, answer: dict[str, Any]) -> None:
    if not sink.is_closing():
        sink.write(json.dumps(answer, separators=(",", ":")).encode() + b"\n")
