"""One item's events kept in order, with snapshots: an event in the past folds its item again from there, and nothing else.

Closed loans and transits never change again, so a snapshot is the open ones and a few counts; going back to it is cutting lists short.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from consortium.corrections import Correction, Projection, diff
from consortium.fold import Logged, apply, begin, sift
from consortium.states import ItemHistory, Loan, Transit

EVERY = 16
"""Events between two snapshots."""

Order = tuple[int, str, str, int]


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """The history after ``n`` events: scalars in ``plain``, lists by their length, open things as copies."""

    n: int
    plain: tuple[object, ...]
    loans: int
    loan: Loan | None
    transits: int
    transit: Transit | None
    conflicts: int


_SCALARS = ("status", "branch", "circ_branch", "last", "hold_id", "uses", "scan", "moved", "back")


T = TypeVar("T", Loan, Transit)


def _copy(value: T) -> T:
    """A copy that later folding does not reach: the record and the lists in it."""
    made = object.__new__(type(value))
    for name in value.__slots__:
        part = getattr(value, name)
        setattr(made, name, list(part) if type(part) is list else part)
    return made


class Timeline:
    """An item's history that takes events in any order, one by one, and always equals ``fold_item`` over all of them."""

    __slots__ = ("_again", "_events", "_keys", "_roots", "_snapshots", "history")

    def __init__(self, owner: str, item_no: str, owner_branch: str, events: Iterable[Logged] = ()) -> None:
        self.history = ItemHistory(owner, item_no, owner_branch)
        self._events: list[Logged] = []
        self._keys: list[Order] = []
        self._roots: dict[str, Logged] = {}
        self._again: list[Logged] = []  # came under an id, or as a re-issue of one, that was held already
        self._snapshots: list[_Snapshot] = []
        given = list(events)
        if given:
            self._rebuild(given)

    def __len__(self) -> int:
        return len(self._events)

    def insert(self, logged: Logged) -> list[Correction]:
        """Take an event, whenever it happened. Gives what it changed of what was told before; nothing for one that is known."""
        event = logged.event
        root = event.reissue_of or event.name
        known = self._roots.get(root)
        if known is not None:
            if known.event == event and (known.who == logged.who or logged.who is None):
                return []
            # Its reader became known, it was re-issued, or two events claim one id: rare, so all is folded again.
            before = Projection.of(self.history)
            self._again.append(logged)
            self._rebuild([*self._events, *self._again])
            return diff(before, Projection.of(self.history))
        self._roots[root] = logged
        place = bisect_right(self._keys, event.order)
        if place == len(self._keys):
            return self._fold_on([logged])
        snapshot = self._snapshots[place // EVERY]
        again = [*self._events[snapshot.n : place], logged, *self._events[place:]]
        return self._fold_on(again, snapshot)

    def _fold_on(self, events: list[Logged], snapshot: _Snapshot | None = None) -> list[Correction]:
        """Fold these events, from a snapshot or from where the history stands, and tell what changed."""
        at = snapshot or self._snapshot()
        # What is closed at that point stays as it is; only the last loan and transit may be open there.
        start = (max(at.loans - 1, 0), max(at.transits - 1, 0), at.conflicts)
        before = Projection.of(self.history, *start)
        self._restore(at)  # puts copies in place, so that ``before`` keeps what it saw
        for logged in events:
            self._push(logged)
        return diff(before, Projection.of(self.history, *start))

    def _push(self, logged: Logged) -> None:
        if len(self._events) % EVERY == 0:
            self._snapshots.append(self._snapshot())
        apply(self.history, logged)
        self._events.append(logged)
        self._keys.append(logged.event.order)

    def _snapshot(self) -> _Snapshot:
        history = self.history
        loan, transit = history.loan, history.transit
        return _Snapshot(
            len(self._events),
            tuple(getattr(history, name) for name in _SCALARS),
            len(history.loans),
            loan and _copy(loan),
            len(history.transits),
            transit and _copy(transit),
            len(history.conflicts),
        )

    def _restore(self, snapshot: _Snapshot) -> None:
        history = self.history
        for name, value in zip(_SCALARS, snapshot.plain, strict=True):
            setattr(history, name, value)
        del history.loans[snapshot.loans :], history.transits[snapshot.transits :]
        del history.conflicts[snapshot.conflicts :]
        if snapshot.loan is not None:
            history.loans[-1] = _copy(snapshot.loan)
        if snapshot.transit is not None:
            history.transits[-1] = _copy(snapshot.transit)
        for logged in self._events[snapshot.n :]:
            history.fates.pop(logged.event.name, None)
        del self._events[snapshot.n :], self._keys[snapshot.n :]
        del self._snapshots[snapshot.n // EVERY :]

    def _rebuild(self, events: list[Logged]) -> None:
        old = self.history
        sifted = sift(events)
        self.history = begin(old.owner, old.item_no, old.owner_branch, sifted)
        self._events, self._keys, self._snapshots = [], [], []
        self._roots = {one.event.reissue_of or one.event.name: one for one in sifted.kept}
        kept = {id(one) for one in sifted.kept}
        self._again = [one for one in events if id(one) not in kept]
        for one in sifted.kept:
            self._push(one)
