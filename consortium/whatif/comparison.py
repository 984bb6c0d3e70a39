"""How a draft's answers compare with those that were given: counts by code, by home and host, by category, and due dates."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TypeVar

from consortium.decision import Decision

NEWLY_ALLOWED, NEWLY_REFUSED, OTHERWISE, SAME = "newly_allowed", "newly_refused", "otherwise", "same"
UNEXPLAINED, MOOT = "unexplained", "moot"

Group = TypeVar("Group", str, tuple[str, str])


def verdict_on(before: Decision, after: Decision) -> str:
    """How two answers to one question compare. OTHERWISE: allowed or refused as before, but with another first code, another due
    instant or another route."""
    if before.outcome is not after.outcome and (before.allowed or after.allowed):
        return NEWLY_ALLOWED if after.allowed else NEWLY_REFUSED
    same = (
        before.codes[:1] == after.codes[:1]
        and before.due_ms == after.due_ms
        and before.outcome is after.outcome
        and before.route == after.route
    )
    return SAME if same else OTHERWISE


@dataclass(slots=True)
class Counts:
    """How many decisions, and how they compare."""

    n: int = 0
    allowed_before: int = 0
    allowed_after: int = 0
    newly_allowed: int = 0
    newly_refused: int = 0
    otherwise: int = 0

    def add(self, before: bool, after: bool, verdict: str) -> None:
        """Count one comparison: whether it was allowed, whether it would be, and how the two compare."""
        self.n += 1
        self.allowed_before += before
        self.allowed_after += after
        if verdict != SAME:
            setattr(self, verdict, getattr(self, verdict) + 1)


@dataclass(slots=True)
class DueDates:
    """Loans and renewals that both worlds allow, and whose due instants differ. ``total_ms`` is later minus earlier, summed."""

    compared: int = 0
    earlier: int = 0
    later: int = 0
    total_ms: int = 0

    @property
    def mean_ms(self) -> int:
        """By how much the changed ones move on average, ms; below 0 = earlier."""
        changed = self.earlier + self.later
        return round(self.total_ms / changed) if changed else 0

    def add(self, before: int, after: int) -> None:
        """Count one pair of due instants, ms."""
        self.compared += 1
        self.earlier += after < before
        self.later += after > before
        self.total_ms += after - before


@dataclass(slots=True)
class WhatIf:
    """What a draft would have changed. ``by_code`` counts (before, after) codes, ``by_home_host`` by (home, host), ``by_category`` by
    (home, category); ``examples`` names events of each outcome. ``moot``: decisions that would not have been asked for."""

    decisions: int = 0
    unexplained: int = 0
    moot: int = 0
    total: Counts = field(default_factory=Counts)
    by_function: dict[str, Counts] = field(default_factory=dict)
    by_code: Counter[tuple[str, str]] = field(default_factory=Counter)
    by_home_host: dict[tuple[str, str], Counts] = field(default_factory=dict)
    by_category: dict[tuple[str, str], Counts] = field(default_factory=dict)
    due: DueDates = field(default_factory=DueDates)
    examples: dict[str, list[str]] = field(default_factory=dict)

    @property
    def same(self) -> int:
        """Decisions that stay as they were in every respect."""
        return self.total.n - self.total.newly_allowed - self.total.newly_refused - self.total.otherwise

    def add(self, before: Decision, after: Decision, home: str, host: str, category: str | None) -> str:
        """Count one comparison and return its verdict; ``category`` None where the reader is not known."""
        verdict, was, would_be = verdict_on(before, after), before.allowed, after.allowed
        self.total.add(was, would_be, verdict)
        _of(self.by_function, before.function).add(was, would_be, verdict)
        _of(self.by_home_host, (home, host)).add(was, would_be, verdict)
        if category is not None:
            _of(self.by_category, (home, category)).add(was, would_be, verdict)
        self.by_code[before.primary, after.primary] += 1
        if before.due_ms is not None and after.due_ms is not None:
            self.due.add(before.due_ms, after.due_ms)
        return verdict


def _of(counts: dict[Group, Counts], group: Group) -> Counts:
    found = counts.get(group)
    if found is None:
        found = counts[group] = Counts()
    return found
