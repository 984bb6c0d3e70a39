"""Throttling of failed sign-ins: failures are counted, successes are not, and what is kept is bounded."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

__all__ = ["Throttle"]


@dataclass(slots=True)
class Throttle:
    """At most ``most`` failures of one key within ``window_ms``; ``kept`` keys are remembered, the oldest forgotten first."""

    most: int = 5
    window_ms: int = 5 * 60_000
    kept: int = 4096
    _failures: OrderedDict[str, list[int]] = field(default_factory=OrderedDict)

    def wait_ms(self, key: str, now: int) -> int:
        """How long ``key`` has to wait from ``now`` (ms), 0 = go ahead."""
        recent = [at for at in self._failures.get(key, ()) if now - at < self.window_ms]
        if len(recent) < self.most:
            return 0
        return recent[-self.most] + self.window_ms - now

    def failed(self, key: str, now: int) -> None:
        """Count a failure of ``key`` at ``now``."""
        recent = [at for at in self._failures.pop(key, ()) if now - at < self.window_ms]
        self._failures[key] = [*recent[-self.most :], now]
        while len(self._failures) > self.kept:
            self._failures.popitem(last=False)

    def passed(self, key: str) -> None:
        """Forget the failures of ``key`` after it succeeded."""
        self._failures.pop(key, None)

    def undo(self, key: str) -> None:
        """Take the last failure back: it was counted ahead of a try that then succeeded."""
        recent = self._failures.get(key)
        if recent:
            recent.pop()
