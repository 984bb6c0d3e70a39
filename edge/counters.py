"""People counted, by the quarter of an hour: counters and confirmed passages side by side, and how far they drift apart.

Each period of each counting device becomes one PEOPLE_COUNTED event: at every quarter of the hour, at the branch's midnight, and when
the edge stops. A counter's fault is its own: what it missed is said (``missing``), what it invents shows as drift.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Any

from consortium.events import Kind
from drivers.base import Command, DeviceEvent, DeviceState, DriverError, PeopleCounted, ResetCounter
from edge.metrics import Metrics
from edge.outbox import Draft, Outbox

log = logging.getLogger(__name__)

PERIOD_S = 900
LOOK_S = 30.0
"""Longest sleep before the clock is looked at again: it may have been set meanwhile."""

_MINUTE_MS = 60_000
_MOST = (1 << 31) - 1
_SIDE = {"tailgated": "tailgated", "wrong_way": "tailgated", "unopened": "unopened", "not_taken": "not_taken"}
_SIDES = frozenset(_SIDE.values())
_THROUGH = frozenset({"confirmed", "free"})

Execute = Callable[[str, Command], Awaitable[None]]


@dataclass(slots=True)
class Tally:
    """One device since ``since`` (ms UTC). ``away_since`` while it does not answer; ``missing_ms`` is what that came to."""

    by: str
    since: int
    came: int = 0
    left: int = 0
    reset: bool = False
    side: dict[str, int] = field(default_factory=dict)
    away_since: int | None = None
    missing_ms: int = 0

    def missing(self, until: int) -> int:
        """Minutes of the period without an answer, begun ones counted."""
        away = until - max(self.away_since, self.since) if self.away_since is not None else 0
        return -(-(self.missing_ms + away) // _MINUTE_MS)

    @property
    def counted(self) -> bool:
        """Whether anything was counted."""
        return bool(self.came or self.left or self.side or self.reset)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to tell."""
        return not (self.counted or self.missing_ms or self.away_since)


@dataclass(slots=True)
class _Today:
    """What one device counted since the branch's midnight, full periods only."""

    came: int = 0
    left: int = 0
    side: dict[str, int] = field(default_factory=dict)


class Counters:
    """The counts of one branch. ``now`` ms UTC, ``zone`` the branch's; ``on_fact`` is told small facts about a device."""

    def __init__(
        self,
        outbox: Outbox,
        metrics: Metrics,
        *,
        branch: str,
        now: Callable[[], int],
        zone: Callable[[], tzinfo],
        on_fact: Callable[[str, str, int], None],
        execute: Execute,
    ) -> None:
        self._outbox = outbox
        self._metrics = metrics
        self._branch = branch
        self._now = now
        self._zone = zone
        self._on_fact = on_fact
        self._execute = execute
        self._tallies: dict[str, Tally] = {}
        self._today: dict[str, _Today] = {}
        self._compared: dict[str, str] = {}
        self._resets: set[str] = set()
        self._day = 0
        self._due = 0

    def add(self, device: str, by: str, *, compared_with: str = "", reset_at_midnight: bool = False) -> None:
        """Count at a device: ``by`` "counter" or "passages". ``compared_with`` names the gate a counter stands beside ("" = all)."""
        self._tallies[device] = Tally(by, self._now())
        self._compared[device] = compared_with
        if reset_at_midnight:
            self._resets.add(device)

    def load(self) -> None:
        """Take up today's counts from the outbox; after both have started."""
        now = self._now()
        self._day, self._due = self._midnight(now), self._next(now)
        for tally in self._tallies.values():
            tally.since = now
        for kept in self._outbox.counting(frozenset({Kind.PEOPLE_COUNTED}), None, self._day):
            body = json.loads(kept.body)
            data = body["data"]
            if body["device"] in self._tallies and data["until"] > self._day:
                self._sum(body["device"], data)

    def _sum(self, device: str, data: Mapping[str, Any]) -> None:
        today = self._today.setdefault(device, _Today())
        today.came += data["came"]
        today.left += data["left"]
        for name in _SIDES & data.keys():
            today.side[name] = today.side.get(name, 0) + data[name]

    # --- what is counted ---

    def notice(self, event: DeviceEvent) -> None:
        """Take an event of the devices; those of devices that do not count are passed by."""
        tally = self._tallies.get(event.device)
        if tally is None:
            return
        if isinstance(event, PeopleCounted) and tally.by == "counter":
            tally.came += event.came
            tally.left += event.left
            tally.reset |= event.reset
            self._metrics.people.labels(self._metrics.library, event.device, "IN").inc(event.came)
            self._metrics.people.labels(self._metrics.library, event.device, "OUT").inc(event.left)
            self._show(event.device)
        elif isinstance(event, DeviceState):
            self._state(tally, event.state == "offline")

    def _state(self, tally: Tally, away: bool) -> None:
        now = self._now()
        if away and tally.away_since is None:
            tally.away_since = now
        elif not away and tally.away_since is not None:
            tally.missing_ms += max(0, now - max(tally.away_since, tally.since))
            tally.away_since = None

    def passed(self, device: str, direction: str, what: str) -> None:
        """Take what became of an opening (`edge.passages.Told`)."""
        tally = self._tallies.get(device)
        if tally is None:
            return
        if what in _SIDE:
            name = _SIDE[what]
            tally.side[name] = tally.side.get(name, 0) + 1
            self._on_fact(device, name, self.beside(device)[name])
        if tally.by == "passages" and (what in _THROUGH or what in ("tailgated", "unopened", "wrong_way")):
            if direction == "OUT":
                tally.left += 1
            else:
                tally.came += 1
        self._show_drift()

    # --- what is told ---

    def today(self, device: str) -> tuple[int, int]:
        """Persons in and out at a device since the branch's midnight."""
        tally, past = self._tallies[device], self._today.get(device, _Today())
        return past.came + tally.came, past.left + tally.left

    def beside(self, device: str) -> dict[str, int]:
        """What did not fit at a device since the branch's midnight: ``tailgated``, ``unopened``, ``not_taken``, where there was any."""
        told, now = self._today.get(device, _Today()).side, self._tallies[device].side
        return {name: told.get(name, 0) + now.get(name, 0) for name in sorted(told.keys() | now.keys())}

    def drift(self, device: str) -> int | None:
        """How many more came in by this counter than by the gates it is compared with; None where there is nothing to compare."""
        if self._tallies[device].by != "counter":
            return None
        other = self._compared[device]
        gates = [name for name, tally in self._tallies.items() if tally.by == "passages" and other in ("", name)]
        return self.today(device)[0] - sum(self.today(gate)[0] for gate in gates) if gates else None

    def _show(self, device: str) -> None:
        came, left = self.today(device)
        self._on_fact(device, "came_today", came)
        self._on_fact(device, "left_today", left)
        self._show_drift()

    def _show_drift(self) -> None:
        for device in self._tallies:
            drift = self.drift(device)
            if drift is not None:
                self._on_fact(device, "drift", drift)

    def public(self) -> dict[str, dict[str, int | None]]:
        """Today's counts by device, for pages."""
        return {
            device: {
                "came": self.today(device)[0],
                "left": self.today(device)[1],
                "drift": self.drift(device),
                "missing_min": tally.missing(self._now()),
                "since": tally.since,
                **self.beside(device),
            }
            for device, tally in self._tallies.items()
        }

    # --- periods ---

    def _midnight(self, now: int) -> int:
        local = datetime.fromtimestamp(now / 1000, self._zone())
        return int(local.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()) * 1000

    def _next(self, now: int) -> int:
        """The next end of a period: a quarter of the hour, or midnight where the zone's is no such."""
        local = datetime.fromtimestamp(now / 1000, self._zone())
        tomorrow = (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        quarter = (now // (PERIOD_S * 1000) + 1) * PERIOD_S * 1000
        return min(quarter, int(tomorrow.timestamp()) * 1000)

    async def run(self) -> None:
        """End every period when it is due, until cancelled."""
        while True:
            await asyncio.sleep(min(LOOK_S, max(0.05, (self._due - self._now()) / 1000)))
            await self.look()

    async def look(self) -> None:
        """End the period where it is over by the clock now."""
        now = self._now()
        if self._due - PERIOD_S * 1000 <= now < self._due:
            return
        # A clock that was set back or far ahead ends the period too: it begins anew with the time as it is known now.
        self.write(min(now, self._due) if now >= self._due else now)
        self._due = self._next(now)
        midnight = self._midnight(now)
        if midnight != self._day:
            self._day = midnight
            over = {device: self.beside(device) for device in self._tallies}
            self._today.clear()
            for device, names in over.items():
                self._show(device)
                for name in names:
                    self._on_fact(device, name, 0)
            await self._reset()

    async def _reset(self) -> None:
        for device in sorted(self._resets):
            try:
                await self._execute(device, ResetCounter())
            except DriverError as error:
                log.warning("counter %s was not reset at midnight: %s", device, error.code)

    def write(self, until: int, *, idle: bool = True) -> None:
        """Tell each device's period, and begin the next; a gate at which nothing happened is not told, without ``idle`` no device."""
        for device, tally in self._tallies.items():
            since = min(tally.since, until)
            if tally.counted or (idle and not (tally.empty and tally.by == "passages")):
                drift = self.drift(device)
                data: dict[str, Any] = {
                    "came": min(tally.came, _MOST), "left": min(tally.left, _MOST), "since": since, "until": until, "by": tally.by,
                    "missing": tally.missing(until), "reset": int(tally.reset), **tally.side,
                }  # fmt: skip
                if drift is not None:
                    data["drift"] = max(-_MOST, min(drift, _MOST))
                self._outbox.append_nowait(Draft(Kind.PEOPLE_COUNTED, self._branch, device, data))
                if until > self._day:
                    self._sum(device, data)
            fresh = Tally(tally.by, until, away_since=tally.away_since)
            self._tallies[device] = fresh

    def close(self) -> None:
        """The edge stops: what was counted so far is told."""
        self.write(self._now())

    def finish(self) -> None:
        """The devices have stopped: what they counted since `close` is told, where they did."""
        self.write(self._now(), idle=False)
