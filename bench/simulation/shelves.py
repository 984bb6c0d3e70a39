"""Where items stand, and which one a reader takes: few are wanted often, many seldom (a power law)."""

from __future__ import annotations

import random
from bisect import bisect

from bench.simulation.truth import TrueItem


class Shelves:
    """The open shelves of all branches. Taking, putting back and choosing cost the same however many items there are."""

    def __init__(self, branches: list[str], items: int, chance: random.Random, exponent: float = 0.8) -> None:
        self._chance = chance
        self._on: dict[str, list[TrueItem]] = {branch: [] for branch in branches}
        self._at: dict[int, tuple[str, int]] = {}
        total, self._weights = 0.0, []
        for rank in range(1, items + 1):
            total += rank**-exponent
            self._weights.append(total)

    def put(self, item: TrueItem, branch: str) -> None:
        """It stands on the shelf of that branch."""
        shelf = self._on[branch]
        self._at[item.n] = (branch, len(shelf))
        shelf.append(item)

    def take(self, item: TrueItem) -> bool:
        """Take it from whatever shelf it is on; False where it is on none."""
        if item.n not in self._at:
            return False
        branch, place = self._at.pop(item.n)
        shelf = self._on[branch]
        last = shelf.pop()
        if last is not item:
            shelf[place] = last
            self._at[last.n] = (branch, place)
        return True

    def wanted(self) -> int:
        """The number of an item that somebody wants."""
        return min(bisect(self._weights, self._chance.random() * self._weights[-1]), len(self._weights) - 1)

    def choose(self, branch: str, items: list[TrueItem]) -> TrueItem | None:
        """What a reader takes at a branch: something popular where it is in, else whatever stands there."""
        for _ in range(6):
            item = items[self.wanted()]
            if self._at.get(item.n, ("", 0))[0] == branch:
                return item
        shelf = self._on[branch]
        return self._chance.choice(shelf) if shelf else None
