"""What a check says in the end, and the bounded list of what offended."""

from __future__ import annotations

from dataclasses import dataclass

MOST_NAMED = 100
"""Offending events that a finding names; the rest are counted."""
_MOST_TOLD = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One invariant's result: ``holds``, ``broken`` or ``not-checked``; how many things were looked at; what offends.

    ``offending`` names at most 100 events (or items, visits, loans where no event is at fault), ``why`` says of each what is wrong,
    ``total`` is how many there are. ``note`` tells the first ones in words, or why nothing was checked.
    """

    invariant: str
    status: str
    checked: int
    offending: tuple[str, ...]
    note: str
    why: tuple[str, ...] = ()
    total: int = 0


class Offences:
    """Collects what offends one invariant, and counts what was looked at."""

    __slots__ = ("_named", "checked", "invariant", "not_checked", "total")

    def __init__(self, invariant: str) -> None:
        self.invariant = invariant
        self.checked = 0
        self.total = 0
        self.not_checked = ""
        self._named: dict[str, str] = {}

    def add(self, what: str, why: str) -> None:
        """This offends; ``why`` is a sentence's end: "ID: why". What offends twice is counted and told once."""
        if what in self._named:
            return
        self.total += 1
        if len(self._named) < MOST_NAMED:
            self._named[what] = why

    def finding(self) -> Finding:
        """The result. An offence outweighs a reason for not having looked at everything."""
        named = tuple(self._named)
        why = tuple(self._named.values())
        if self.total:
            told = [f"{one}: {what}" for one, what in list(self._named.items())[:_MOST_TOLD]]
            if self.total > len(told):
                told.append(f"and {self.total - len(told)} more")
            return Finding(self.invariant, "broken", self.checked, named, "; ".join(told), why, self.total)
        if self.not_checked:
            return Finding(self.invariant, "not-checked", self.checked, (), self.not_checked)
        return Finding(self.invariant, "holds", self.checked, (), "")
