"""What a late event changed: old and new projection compared, told as new records (domain §6, reconciliation 4).

Nothing is deleted or overwritten silently: whoever was told the old state is told the difference.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from consortium.facts import ItemStatus
from consortium.states import Conflict, ItemHistory, Loan, Transit


class Change(StrEnum):
    """What kind of difference a correction tells."""

    LOAN_OPENED = "LOAN_OPENED"
    LOAN_WITHDRAWN = "LOAN_WITHDRAWN"
    LOAN_ENDED = "LOAN_ENDED"
    LOAN_REOPENED = "LOAN_REOPENED"
    LOAN_CHANGED = "LOAN_CHANGED"
    TRANSIT_OPENED = "TRANSIT_OPENED"
    TRANSIT_WITHDRAWN = "TRANSIT_WITHDRAWN"
    TRANSIT_CHANGED = "TRANSIT_CHANGED"
    CONFLICT_OPENED = "CONFLICT_OPENED"
    CONFLICT_CHANGED = "CONFLICT_CHANGED"
    CONFLICT_DISSOLVED = "CONFLICT_DISSOLVED"
    ITEM_MOVED = "ITEM_MOVED"


@dataclass(frozen=True, slots=True)
class Correction:
    """One difference: what changed about which loan, transit, conflict or item, with the values before and after (plain)."""

    change: Change
    subject: str
    owner: str
    item_no: str
    before: dict[str, Any]
    after: dict[str, Any]


@dataclass(slots=True)
class Projection:
    """What was told of an item: its loans, transits and conflicts by id, and where it is."""

    owner: str
    item_no: str
    status: ItemStatus
    branch: str
    loans: dict[str, Loan]
    transits: dict[str, Transit]
    conflicts: dict[str, Conflict]

    @classmethod
    def of(cls, history: ItemHistory, loans: int = 0, transits: int = 0, conflicts: int = 0) -> Projection:
        """A history's projections, from the given places of its lists on; the records themselves, not copies."""
        return cls(
            history.owner,
            history.item_no,
            history.status,
            history.branch,
            {one.id: one for one in history.loans[loans:]},
            {one.id: one for one in history.transits[transits:]},
            {one.id: one for one in history.conflicts[conflicts:]},
        )


def diff(before: Projection, after: Projection) -> list[Correction]:
    """Every difference between two projections of an item, loans first, in the order of their ids."""
    out: list[Correction] = []

    def note(change: Change, subject: str, old: Any, new: Any) -> None:
        was, is_ = _plain(old), _plain(new)
        if old is not None and new is not None:
            changed = [name for name in is_ if was[name] != is_[name]]
            was, is_ = {name: was[name] for name in changed}, {name: is_[name] for name in changed}
        out.append(Correction(change, subject, after.owner, after.item_no, was, is_))

    for name in _names(before.loans, after.loans):
        old, new = before.loans.get(name), after.loans.get(name)
        if old != new:
            note(_loan_change(old, new), name, old, new)
    for name in _names(before.transits, after.transits):
        was, is_ = before.transits.get(name), after.transits.get(name)
        if was != is_:
            change = Change.TRANSIT_OPENED if was is None else Change.TRANSIT_CHANGED
            note(Change.TRANSIT_WITHDRAWN if is_ is None else change, name, was, is_)
    for name in _names(before.conflicts, after.conflicts):
        known, found = before.conflicts.get(name), after.conflicts.get(name)
        if known != found:
            change = Change.CONFLICT_OPENED if known is None else Change.CONFLICT_CHANGED
            note(Change.CONFLICT_DISSOLVED if found is None else change, name, known, found)
    place, now = (before.status, before.branch), (after.status, after.branch)
    if place != now:
        item = f"{after.owner}/{after.item_no}"
        was_at, is_at = ({"status": status.value, "branch": branch} for status, branch in (place, now))
        out.append(Correction(Change.ITEM_MOVED, item, after.owner, after.item_no, was_at, is_at))
    return out


def _names(before: Iterable[str], after: Iterable[str]) -> list[str]:
    return sorted({*before, *after})


def _loan_change(old: Loan | None, new: Loan | None) -> Change:
    if old is None:
        return Change.LOAN_OPENED
    if new is None:
        return Change.LOAN_WITHDRAWN
    if old.open != new.open:
        return Change.LOAN_REOPENED if new.open else Change.LOAN_ENDED
    return Change.LOAN_CHANGED


def _plain(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    out = {spec.name: getattr(value, spec.name) for spec in dataclasses.fields(value)}
    # Lists are copied: folding on makes them longer, and what was told stays as it was told.
    return {name: list(part) if isinstance(part, list) else getattr(part, "value", part) for name, part in out.items()}
