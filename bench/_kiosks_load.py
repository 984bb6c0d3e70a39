"""``python -m bench._kiosks_load``: kiosks that borrow and return as fast as they are answered, in a process of its own.

A plan comes as JSON on standard input: host, port, user, password, institution, seconds, and for each kiosk a list of
``[reader_no, pin, [item_no …]]``. With ``give_back`` each book is returned at once and borrowed again for ever; without,
each is borrowed once. JSON goes out: loans and returns that were confirmed, what was not (the first few screen messages),
seconds, times.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from protocols.sip2 import seal

_NO_ANSWER_S = 30.0


def _visits(plan: dict[str, Any], readers: list[Any]) -> Iterator[tuple[str, str]]:
    """("11" or "09", text) in turn."""
    institution, blank = plan["institution"], " " * 18
    while True:
        for reader_no, pin, items in readers:
            for item_no in items:
                now = f"{datetime.now():%Y%m%d    %H%M%S}"
                yield "11", f"11NN{now}{blank}AO{institution}|AA{reader_no}|AB{item_no}|AC|AD{pin}|BON|BIN|"
                if plan["give_back"]:
                    yield "09", f"09N{now}{now}AP|AO{institution}|AB{item_no}|AC|BIN|"
        if not plan["give_back"]:
            return


class _Kiosk(asyncio.Protocol):
    """One closed loop: the next request goes out as soon as the reply is in."""

    def __init__(
        self, plan: dict[str, Any], readers: list[Any], found: dict[str, Any], ended: asyncio.Future[None]
    ) -> None:
        self._plan, self._found, self._ended = plan, found, ended
        self._visits = _visits(plan, readers)
        self._got = b""
        self._sequence = 0
        self._asked: tuple[str, str] = ("93", "")
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Log in."""
        self._transport: Any = transport
        self._send("93", f"9300CN{self._plan['user']}|CO{self._plan['password']}|")

    def begin(self) -> None:
        """Borrow from now on."""
        self._next()

    def data_received(self, data: bytes) -> None:
        """Take a reply."""
        self._got += data
        if not self._got.endswith(b"\r"):
            return
        reply, self._got = self._got, b""
        code = self._asked[0]
        if code == "93":
            self._ended.set_result(None) if reply[:3] == b"941" else self._ended.set_exception(RuntimeError("no login"))
            return
        self._found["times"].append(time.perf_counter() - self._sent_at)
        if reply[2:3] == b"1":
            self._found[code] += 1
        else:
            self._found["refused"] += 1
            if len(self._found["replies"]) < 5:
                self._found["replies"].append(_shown(reply))
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        """A closed line ends the kiosk."""
        if not self._ended.done():
            self._ended.set_exception(RuntimeError("the edge closed a kiosk's line"))

    def _next(self) -> None:
        now = time.perf_counter()
        last = now > self._plan["until"]
        # Nobody leaves with a book that the next run wants to borrow.
        visit = None if last and self._asked[0] != "11" else next(self._visits, None)
        if visit is None or (last and visit[0] == "11"):
            self._found["ended_at"] = now
            if not self._ended.done():
                self._ended.set_result(None)
            return
        self._send(*visit)

    def _send(self, code: str, text: str) -> None:
        self._asked = (code, text)
        self._sent_at = time.perf_counter()
        self._transport.write(seal(text.encode(), str(self._sequence)) + b"\r")
        self._sequence = (self._sequence + 1) % 10

    def waits_for(self, ended: asyncio.Future[None]) -> None:
        """What is to be told when this kiosk has done all it will."""
        self._ended = ended


def _shown(reply: bytes) -> str:
    """The screen message of a refusal, and nothing else of it."""
    text = reply.decode("utf-8", "replace")
    return " / ".join(part[2:] for part in text.split("|") if part.startswith("AF"))[:120]


async def _run(plan: dict[str, Any]) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    found: dict[str, Any] = {"11": 0, "09": 0, "refused": 0, "replies": [], "times": [], "ended_at": 0.0}
    kiosks, logins = [], []
    for readers in plan["kiosks"]:
        ended: asyncio.Future[None] = loop.create_future()
        _, kiosk = await loop.create_connection(
            lambda readers=readers, ended=ended: _Kiosk(plan, readers, found, ended), plan["host"], plan["port"]
        )
        kiosks.append(kiosk)
        logins.append(ended)
    await asyncio.wait_for(asyncio.gather(*logins), _NO_ANSWER_S)
    began = time.perf_counter()
    plan["until"] = began + plan["seconds"]
    ends = []
    for kiosk in kiosks:
        ends.append(loop.create_future())
        kiosk.waits_for(ends[-1])
        kiosk.begin()
    await asyncio.wait_for(asyncio.gather(*ends), plan["seconds"] + _NO_ANSWER_S)
    times = sorted(found.pop("times"))
    found["seconds"] = found.pop("ended_at") - began
    found["p50_ms"], found["p99_ms"] = (
        (times[int(len(times) * share)] * 1000 if times else 0.0) for share in (0.5, 0.99)
    )
    return found


def main() -> None:
    """Entry point."""
    print(json.dumps(asyncio.run(_run(json.load(sys.stdin)))))


if __name__ == "__main__":
    main()
