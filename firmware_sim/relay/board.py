"""A relay board with a turnstile wired to it: coils, inputs and the people between them. No I/O; the time is an argument."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Board", "Wiring"]

KEPT = 256


@dataclass(frozen=True, slots=True)
class Wiring:
    """Numbers from 0, -1 = not wired. ``active_low`` coils release when they drop."""

    coils: int = 8
    inputs: int = 8
    coil_in: int = 0
    coil_out: int = -1
    active_low: frozenset[int] = frozenset()
    passage_in: int = 0
    passage_out: int = 1
    door: int = 2
    fire: int = 3


@dataclass(slots=True)
class _Relay:
    on: bool = False
    back_at: float = math.inf
    """When the board's own timer turns it over again."""
    welded: bool | None = None


@dataclass(slots=True)
class Board:
    """The board itself; after power-up every relay has dropped. ``log`` keeps the last switchings: (coil, on, time)."""

    wiring: Wiring
    watchdog_s: float = 0.0
    """Without a question for so long every relay drops; 0 = never."""
    relays: list[_Relay] = field(init=False)
    contacts: list[bool] = field(init=False)
    log: deque[tuple[int, bool, float]] = field(init=False)
    asked_at: float = 0.0

    def __post_init__(self) -> None:
        self.relays = [_Relay() for _ in range(self.wiring.coils)]
        self.contacts = [False] * self.wiring.inputs
        self.log = deque(maxlen=KEPT)

    def lose_power(self, now: float) -> None:
        """Every relay drops, timers and watchdog are forgotten; a welded contact stays where it is."""
        for coil in range(len(self.relays)):
            self._switch(coil, False, now)
        self.watchdog_s = 0.0

    def tick(self, now: float) -> None:
        """Let timers run out until ``now``."""
        for coil, relay in enumerate(self.relays):
            if relay.back_at <= now:
                self._switch(coil, not relay.on, relay.back_at)
        if self.watchdog_s and now - self.asked_at > self.watchdog_s:
            for coil in range(len(self.relays)):
                self._switch(coil, False, now)

    def write(self, coil: int, on: bool, now: float) -> None:
        """Switch a relay for good."""
        self._switch(coil, on, now)

    def flash(self, coil: int, on: bool, tenths: int, now: float) -> None:
        """Switch a relay for so long and back."""
        self._switch(coil, on, now)
        self.relays[coil].back_at = now + tenths / 10

    def _switch(self, coil: int, on: bool, now: float) -> None:
        relay = self.relays[coil]
        relay.back_at = math.inf
        if relay.on != on:
            relay.on = on
            self.log.append((coil, on, now))

    def weld(self, coil: int, state: bool | None) -> None:
        """Weld a relay's contact in a state, or mend it (None)."""
        self.relays[coil].welded = state

    def states(self, now: float) -> list[bool]:
        """What the relays really are."""
        self.tick(now)
        return [relay.on if relay.welded is None else relay.welded for relay in self.relays]

    def unlocked(self, direction: str, now: float) -> bool:
        """Whether the turnstile lets somebody pass that way."""
        wiring = self.wiring
        coil = wiring.coil_out if direction == "OUT" and wiring.coil_out >= 0 else wiring.coil_in
        return self.states(now)[coil] != (coil in wiring.active_low)

    def describe(self, now: float) -> dict[str, Any]:
        """Coils, inputs, what is unlocked, and the last switchings with the milliseconds since they happened."""
        return {
            "coils": self.states(now),
            "inputs": list(self.contacts),
            "unlocked": [way for way in ("IN", "OUT") if self.unlocked(way, now)],
            "log": [{"coil": coil, "on": on, "ago_ms": round((now - at) * 1000)} for coil, on, at in self.log],
        }
