"""The last lines of every kiosk, masked, in bounded memory; whoever follows one is told of each new line.

A kiosk is its account. What came before a login, or from nobody who ever logged in, is kept by listener.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

from drivers.selfcheck.tracing import TraceLine
from edge.trace.redact import MOST, redacted
from protocols.sip2.messages import REPLY_OF, TITLES

__all__ = ["Follower", "Line", "TraceBook"]

_MOST_OPEN = 16
"""Requests of one connection whose answers are waited for; older ones never get a latency."""

_MOST_CONNECTIONS = 2_000
_LINE_BYTES = 400
"""What a line costs beside its text: the object, its time, its place in the ring."""

_BEHIND = 200
"""Lines that may wait for one follower; the oldest are then left out and counted."""


class Line(NamedTuple):
    """One frame for people (a tuple, for one is made of every frame).

    ``number`` counts all lines since the start, ``ms`` is how long the answer took (answers only).
    ``note`` says in stable words what was odd: ``bad_checksum``, ``duplicate``, ``resend``, ``not_logged_in``, ``unreadable`` …
    """

    number: int
    at: datetime
    kiosk: str
    connection: int
    listener: str
    address: str
    direction: Literal["in", "out"]
    code: str
    text: str
    note: str = ""
    ms: float | None = None

    def public(self) -> dict[str, Any]:
        """As pages and ``tongjie sip2 trace`` show it."""
        return {
            "n": self.number,
            "at": self.at.isoformat(timespec="milliseconds"),
            "kiosk": self.kiosk,
            "connection": self.connection,
            "listener": self.listener,
            "address": self.address,
            "direction": self.direction,
            "code": self.code,
            "title": TITLES.get(self.code, ""),
            "text": self.text,
            "note": self.note,
            "ms": self.ms,
        }


class Follower:
    """One who follows a kiosk, or all: lines wait here until they are taken."""

    def __init__(self, kiosk: str | None) -> None:
        self.kiosk = kiosk
        self.left_out = 0
        self._lines: deque[Line] = deque()
        self._woken = asyncio.Event()

    def offer(self, line: Line) -> None:
        """Take a line if it is of the kiosk that is followed."""
        if self.kiosk is not None and line.kiosk != self.kiosk:
            return
        if len(self._lines) >= _BEHIND:
            self._lines.popleft()
            self.left_out += 1
        self._lines.append(line)
        self._woken.set()

    def wake(self) -> None:
        """Let `taken` return, with or without lines."""
        self._woken.set()

    async def taken(self, timeout_s: float) -> tuple[list[Line], int]:
        """Lines since the last time and how many were left out before them; nothing where none came in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()
        except TimeoutError:
            return [], 0
        self._woken.clear()
        lines, left_out = list(self._lines), self.left_out
        self._lines.clear()
        self.left_out = 0
        return lines, left_out


@dataclass(slots=True)
class _Ring:
    lines: deque[Line] = field(default_factory=deque)
    size: int = 0
    total: int = 0
    odd: int = 0


class TraceBook:
    """Takes a server's lines (`drivers.selfcheck.Tracer`) and keeps the last of each kiosk.

    At most ``lines`` a kiosk, ``kiosks`` of them (the one silent longest gives way) and ``most_bytes`` in all (the kiosk that holds
    most gives its oldest). ``called`` gives an account's kiosk, its device id; ``delimiter`` how it parts fields. ``ticks`` counts
    seconds for latencies. To be used on one event loop.
    """

    def __init__(
        self,
        *,
        called: Callable[[str], str] = str,
        delimiter: Callable[[str | None], str] = lambda _account: "|",
        lines: int = 500,
        kiosks: int = 64,
        most_bytes: int = 8 * 1024 * 1024,
        ticks: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._called = called
        self._delimiter = delimiter
        self._most_lines = lines
        self._most_kiosks = kiosks
        self._most_bytes = most_bytes
        self._ticks = ticks
        self._rings: OrderedDict[str, _Ring] = OrderedDict()
        self._open: OrderedDict[int, deque[tuple[str, float]]] = OrderedDict()
        self._numbers = 0
        self.size = 0
        self.followers: set[Follower] = set()

    def note(self, line: TraceLine) -> None:
        """Mask a frame and keep it; never raises for what is in it."""
        try:
            shown = redacted(line.frame, line.encoding, self._delimiter(line.account))
        except ValueError:
            shown = redacted(line.frame, "ascii", "|")
        kiosk = self._called(line.account) if line.account is not None else f"({line.listener})"
        self._numbers += 1
        kept = Line(
            self._numbers,
            line.at,
            kiosk,
            line.connection,
            line.listener,
            line.address,
            line.direction,
            shown.code,
            shown.text[:MOST],
            _together(line.note, shown.remark)[:120],
            self._latency(line, shown.code),
        )
        self._keep(kept)
        for follower in self.followers:
            follower.offer(kept)

    def kiosks(self) -> list[dict[str, Any]]:
        """Every kiosk there are lines of: name, how many came since the start, how many were odd, when the last came."""
        return [
            {
                "kiosk": name,
                "lines": ring.total,
                "odd": ring.odd,
                "kept": len(ring.lines),
                "last_at": ring.lines[-1].at.isoformat(timespec="milliseconds") if ring.lines else None,
            }
            for name, ring in self._rings.items()
        ]

    def lines(self, kiosk: str, after: int = 0) -> list[Line]:
        """What is kept of a kiosk, oldest first, with numbers above ``after``; empty for one that is not known."""
        ring = self._rings.get(kiosk)
        return [line for line in ring.lines if line.number > after] if ring is not None else []

    def follow(self, kiosk: str | None = None) -> Follower:
        """Be told of new lines of a kiosk, None = of all. Give it back with `unfollow`."""
        follower = Follower(kiosk)
        self.followers.add(follower)
        return follower

    def unfollow(self, follower: Follower) -> None:
        """Tell a follower no more."""
        self.followers.discard(follower)

    def close(self) -> None:
        """Wake all followers, for a process that ends."""
        for follower in self.followers:
            follower.wake()

    def _latency(self, line: TraceLine, code: str) -> float | None:
        """Remember a request, or say in ms how long its answer took. Answers come in the order of the requests (SIP2 2.00)."""
        if line.direction == "in":
            waiting = self._open.get(line.connection)
            if waiting is None:
                waiting = self._open[line.connection] = deque(maxlen=_MOST_OPEN)
                if len(self._open) > _MOST_CONNECTIONS:
                    self._open.popitem(last=False)
            waiting.append((code, self._ticks()))
            return None
        waiting = self._open.get(line.connection)
        while waiting:
            asked, since = waiting.popleft()
            if code in ("96", "98", REPLY_OF.get(asked)) or asked == "97":
                return round((self._ticks() - since) * 1000, 3)
        return None

    def _keep(self, line: Line) -> None:
        ring = self._rings.get(line.kiosk)
        if ring is None:
            ring = self._rings[line.kiosk] = _Ring()
            if len(self._rings) > self._most_kiosks:
                _, oldest = self._rings.popitem(last=False)
                self.size -= oldest.size
        else:
            self._rings.move_to_end(line.kiosk)
        ring.lines.append(line)
        ring.total += 1
        ring.odd += bool(line.note)
        cost = _cost(line)
        ring.size += cost
        self.size += cost
        if len(ring.lines) > self._most_lines:
            self._drop(ring)
        while self.size > self._most_bytes:
            self._drop(max(self._rings.values(), key=lambda each: each.size))

    def _drop(self, ring: _Ring) -> None:
        cost = _cost(ring.lines.popleft())
        ring.size -= cost
        self.size -= cost


def _together(note: str, remark: str) -> str:
    """What the server said of a frame and what was seen in it, each once."""
    return remark if remark.startswith(note) else f"{note} {remark}".rstrip()


def _cost(line: Line) -> int:
    return _LINE_BYTES + sys.getsizeof(line.text) + sys.getsizeof(line.note)
