"""The players' end of the control channel: taps cards and moves tags at a simulated branch."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from typing import Any

MAX_LINE = 65_536


class SimBranchError(Exception):
    """The simulated branch refused an operation (``code`` from it) or went away (``code`` GONE)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Tap:
    """What a tap led to: the gate opened after ``ms``, showed red (``denied``), or nothing happened.

    ``heard`` is False where no panel listened to the cardreader.
    """

    opened: bool
    denied: bool
    ms: float
    heard: bool


class SimBranchClient:
    """One connection to the control port of a simulated branch; operations may run side by side."""

    def __init__(self, tcp_port: int, *, host: str = "127.0.0.1", timeout_s: float = 10.0) -> None:
        self._address = (host, tcp_port)
        self._timeout_s = timeout_s
        self._sink: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._last_id = 0

    async def connect(self) -> None:
        """Connect; raises `OSError` where nobody listens."""
        source, self._sink = await asyncio.open_connection(*self._address, limit=MAX_LINE)
        self._reading = asyncio.create_task(self._read(source))

    async def close(self) -> None:
        """Disconnect; operations under way raise `SimBranchError` GONE."""
        if self._sink is not None:
            self._sink.close()
            with contextlib.suppress(ConnectionError):
                await self._sink.wait_closed()
            self._sink = None
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
            self._reading = None

    async def tap(self, card: str, direction: str = "IN", *, timeout_s: float = 3.0, device: str | None = None) -> Tap:
        """Hold a card (hex of its bytes as the cardreader sends them) before the way IN or OUT of a gate."""
        found = await self.do("tap", card=card, direction=direction, timeout_s=timeout_s, **_at(device))
        return Tap(found["opened"], found["denied"], found["ms"], found["heard"])

    async def place(
        self,
        uid: str,
        *,
        dsfid: int | None = None,
        afi: int | None = None,
        blocks: str | None = None,
        device: str | None = None,
    ) -> int:
        """Lay a tag on the pad and give its AFI; what is left out stays as the tag has it (new: 3E, 07, empty)."""
        given = {"dsfid": dsfid, "afi": afi, "blocks": blocks}
        said = {name: value for name, value in given.items() if value is not None}
        found = await self.do("place", uid=uid, **said, **_at(device))
        return int(found["afi"])

    async def lift(self, uid: str, *, device: str | None = None) -> int | None:
        """Lift a tag and give the AFI it has now, None where it does not lie there."""
        found = await self.do("lift", uid=uid, **_at(device))
        return None if found["afi"] is None else int(found["afi"])

    async def pad(self, *, device: str | None = None) -> list[dict[str, Any]]:
        """The tags on the pad: uid, dsfid, afi."""
        return list((await self.do("pad", **_at(device)))["tags"])

    async def do(self, op: str, **arguments: Any) -> dict[str, Any]:
        """Carry out any operation of the stage; raises `SimBranchError`."""
        sink = self._sink
        if sink is None or self._reading is None or self._reading.done():
            raise SimBranchError("GONE", "the simulated branch is not connected")
        self._last_id += 1
        number = self._last_id
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            sink.write(json.dumps({"id": number, "op": op, **arguments}).encode() + b"\n")
            async with asyncio.timeout(self._timeout_s):
                await sink.drain()
                found = await answer
        except (TimeoutError, ConnectionError) as error:
            raise SimBranchError("GONE", "the simulated branch does not answer") from error
        finally:
            self._waiting.pop(number, None)
        if "error" in found:
            raise SimBranchError(str(found["error"]), str(found.get("message", "")))
        return found

    async def _read(self, source: asyncio.StreamReader) -> None:
        try:
            while line := await source.readline():
                found = json.loads(line)
                waiting = self._waiting.get(found.get("id"))
                if waiting is not None and not waiting.done():
                    waiting.set_result(found)
        except (ConnectionError, ValueError):
            pass  # told to everyone waiting, below
        finally:
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(SimBranchError("GONE", "the simulated branch went away"))


def _at(device: str | None) -> dict[str, str]:
    return {} if device is None else {"device": device}
