"""How long to wait before the next attempt: doubling, with jitter, so that a hundred edges do not return in one second."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

__all__ = ["Backoff"]


@dataclass(slots=True)
class Backoff:
    """Delays in seconds: about `first_s`, doubled each time up to `most_s`, each drawn from its upper half."""

    first_s: float = 0.2
    most_s: float = 10.0
    attempts: int = 0

    def next(self, rng: Random) -> float:
        """The delay before the next attempt."""
        full: float = min(self.most_s, self.first_s * 2 ** min(self.attempts, 32))
        self.attempts += 1
        return full * rng.uniform(0.5, 1.0)

    def reset(self) -> None:
        """An attempt held: begin small again."""
        self.attempts = 0
