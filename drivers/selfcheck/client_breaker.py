"""The circuit breaker: after failures nobody is kept waiting for a library system that is away; it is probed instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from drivers.base import Backoff

__all__ = ["Breaker", "BreakerLimits", "Circuit"]

Circuit = Literal["closed", "open", "half_open"]
"""closed: questions are asked. open: none is, a probe is due later. half_open: the probe is under way, nothing else is asked."""


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """``failures`` in a row open the circuit. Probes come after ``first_s``, doubling to ``most_s``; ``refused_s`` and its sixteenfold
    are the same for a refused login, which some systems answer by locking the account. Seconds."""

    failures: int = 3
    first_s: float = 1.0
    most_s: float = 30.0
    refused_s: float = 60.0


class Breaker:
    """``now``: seconds of a clock that never goes back; ``uniform`` gives a number in 0..1. ``changed`` is called after each change."""

    def __init__(
        self,
        limits: BreakerLimits,
        *,
        now: Callable[[], float],
        uniform: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        self._limits = limits
        self._now = now
        self._changed = changed
        self._soon = Backoff(uniform, first_s=limits.first_s, most_s=limits.most_s)
        self._late = Backoff(uniform, first_s=limits.refused_s, most_s=limits.refused_s * 16)
        self._due = 0.0
        self.state: Circuit = "closed"
        self.since = now()
        """When the state began, on the clock of ``now``."""
        self.reason = ""
        """Code of the failure that opened it; "" while it is closed."""
        self.failures = 0
        """In a row, until now."""

    @property
    def closed(self) -> bool:
        """Whether questions are asked."""
        return self.state == "closed"

    def succeeded(self) -> None:
        """An answer came."""
        self.failures = 0
        if self.state != "closed":
            self._soon.reset()
            self._late.reset()
            self._move("closed", "")

    def failed(self, reason: str, *, at_once: bool = False) -> None:
        """No answer came; ``at_once`` opens whatever the count: nobody is there, or a person must look first."""
        self.failures += 1
        if self.state == "open":
            return  # a question asked before it opened
        if self.state == "half_open" or at_once or self.failures >= self._limits.failures:
            pauses = self._late if reason == "login_refused" else self._soon
            self._due = self._now() + pauses.next_s()
            self._move("open", reason)

    def due_in(self) -> float | None:
        """Seconds until the next probe, 0 = now; None unless the circuit is open."""
        return max(0.0, self._due - self._now()) if self.state == "open" else None

    def probe(self) -> None:
        """A probe begins."""
        self._move("half_open", self.reason)

    def _move(self, state: Circuit, reason: str) -> None:
        if (state == "closed") != (self.state == "closed"):
            self.since = self._now()  # open and half open are one absence
        self.state, self.reason = state, reason
        self._changed()
