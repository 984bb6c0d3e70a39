"""What a people counter's totals mean since the last reading: never a negative number, never a crowd that cannot have been."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Delta", "PeopleTally"]

MODULUS = 1 << 32
"""The counter has four bytes for each direction."""
MOST_PER_S, SPARE = 5, 20
"""Nobody brings more people a second through one gate; and some to spare, for a reading that came late."""


@dataclass(frozen=True, slots=True)
class Delta:
    """People since the last reading; ``reset`` where the counter itself started anew."""

    came: int
    left: int
    reset: bool


class PeopleTally:
    """Follows both totals of one counter."""

    def __init__(self) -> None:
        self._last: tuple[int, int] | None = None
        self._at = 0.0

    @property
    def totals(self) -> tuple[int, int]:
        """The totals read last, (0, 0) before the first reading."""
        return self._last or (0, 0)

    def zeroed(self, now: float) -> None:
        """We have set the counter to zero at ``now`` (monotonic seconds)."""
        self._last, self._at = (0, 0), now

    def take(self, total_in: int, total_out: int, now: float) -> Delta | None:
        """Take a reading; None where nothing moved. The first is only where we begin: who came before is not ours to count."""
        last, most = self._last, int((now - self._at) * MOST_PER_S) + SPARE
        self._last, self._at = (total_in, total_out), now
        if last is None or last == self._last:
            return None
        came, began_in = _since(last[0], total_in, most)
        left, began_out = _since(last[1], total_out, most)
        return Delta(came, left, began_in or began_out)


def _since(last: int, now: int, most: int) -> tuple[int, bool]:
    """People of one direction, and whether its count began anew: over the end, from zero, or with a jump nobody can explain."""
    moved = (now - last) % MODULUS
    if moved <= most:
        return moved, now < last
    return (now if now <= most and now < last else 0), True
