"""One item's events kept in order, with snapshots: an event in the past folds its item again from there, and nothing else.

Closed loans and transits never change again, so a snapshot is the open ones and a few counts; going back to it is cutting lists short.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace
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

    def moved(self, n: int, loans: int, transits: int, conflicts: int) -> _Snapshot:
        """The same point, after so many more of each came before it."""
        return replace(
            self, n=self.n + n, loans=self.loans + loans, transits=self.transits + transits,
            conflicts=self.conflicts + conflicts,
        )  # fmt: skip


_SCALARS = ("status", "branch", "circ_branch", "last", "hold_id", "uses", "scan", "moved", "back")


T = TypeVar("T", Loan, Transit)


def _copy(value: T) -> T:
    """A copy that later folding does not reach: the record and the lists in it."""
    made = object.__new__(type(value))
    for name in value.__slots__:
        part = getattr(value, name)
        setattr(made, name, list(part) if type(part) is list else part)
    return made


class _Told:
    """What a history says at one moment: its lists as they are now, and where the item is."""

    __slots__ = ("conflicts", "history", "loans", "place", "transits")

    def __init__(self, history: ItemHistory) -> None:
        self.history = history
        self.loans, self.transits, self.conflicts = history.loans[:], history.transits[:], history.conflicts[:]
        self.place = (history.status, history.branch)

    def grown(self, before: _Told) -> tuple[int, int, int]:
        """How many more loans, transits and conflicts there are."""
        return (
            len(self.loans) - len(before.loans),
            len(self.transits) - len(before.transits),
            len(self.conflicts) - len(before.conflicts),
        )

    def since(self, start: _Snapshot, end: _Snapshot | None = None) -> Projection:
        """What can have changed between two snapshots: what is closed at the first stays, but its last loan and transit may be open."""
        ends = (None, None, None) if end is None else (end.loans, end.transits, end.conflicts)
        loans = self.loans[max(start.loans - 1, 0) : ends[0]]
        transits = self.transits[max(start.transits - 1, 0) : ends[1]]
        conflicts = self.conflicts[start.conflicts : ends[2]]
        return Projection(
            self.history.owner, self.history.item_no, *self.place, {one.id: one for one in loans},
            {one.id: one for one in transits}, {one.id: one for one in conflicts},
        )  # fmt: skip


class _Old:
    """A timeline as it stood before an event came into its past."""

    __slots__ = ("events", "keys", "plain", "snapshots", "told")

    def __init__(self, timeline: Timeline) -> None:
        self.told = _Told(timeline.history)
        self.plain = tuple(getattr(timeline.history, name) for name in _SCALARS)
        self.events, self.keys, self.snapshots = timeline._events[:], timeline._keys[:], timeline._snapshots[:]


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
            if logged in self._again:
                return []
            # Its reader became known, it was re-issued, or two events claim one id: rare, so all is folded again.
            before = Projection.of(self.history)
            self._again.append(logged)
            self._rebuild([*self._events, *self._again])
            return diff(before, Projection.of(self.history))
        self._roots[root] = logged
        place = bisect_right(self._keys, event.order)
        return self._append(logged) if place == len(self._keys) else self._insert_at(place, logged)

    def _append(self, logged: Logged) -> list[Correction]:
        """Fold the next event in order; only the last loan and transit can change, and what it adds is new."""
        at = self._snapshot()
        before = _Told(self.history).since(at)
        self._put_back(at)  # copies, so that ``before`` keeps what it saw
        self._push(logged)
        return diff(before, _Told(self.history).since(at))

    def _insert_at(self, place: int, logged: Logged) -> list[Correction]:
        """Fold again from the snapshot before ``place`` until the history is where it was before: from there on nothing changes."""
        old = _Old(self)
        first = bisect_right(self._snapshots, place, key=lambda one: one.n) - 1
        start = old.snapshots[first]
        self._put_back(start)
        del self._events[start.n :], self._keys[start.n :], self._snapshots[first + 1 :]
        for one in (*old.events[start.n : place], logged):
            self._push(one)
        done, joined = place, None
        for number, mark in enumerate(old.snapshots[first + 1 :], start=first + 1):
            for one in old.events[done : mark.n]:
                self._push(one)
            done = mark.n
            if self._stands_at(mark):
                joined = mark
                self._join(number, old)
                break
        else:
            for one in old.events[done:]:
                self._push(one)
        now = _Told(self.history)
        until = None if joined is None else joined.moved(1, *now.grown(old.told))
        return diff(old.told.since(start, joined), now.since(start, until))

    def _stands_at(self, mark: _Snapshot) -> bool:
        """Whether the history is now what it was at a snapshot, so that the events after it do what they did."""
        history = self.history
        plain = all(getattr(history, name) == value for name, value in zip(_SCALARS, mark.plain, strict=True))
        return plain and history.loan == mark.loan and history.transit == mark.transit

    def _join(self, number: int, old: _Old) -> None:
        """Take over what the old history made of the events after its snapshot ``number``."""
        history, mark = self.history, old.snapshots[number]
        more = (
            len(self._events) - mark.n,
            len(history.loans) - mark.loans,
            len(history.transits) - mark.transits,
            len(history.conflicts) - mark.conflicts,
        )
        told = old.told
        if mark.loan is not None:
            history.loans[-1] = told.loans[mark.loans - 1]  # the same loan, as it went on
        if mark.transit is not None:
            history.transits[-1] = told.transits[mark.transits - 1]
        history.loans += told.loans[mark.loans :]
        history.transits += told.transits[mark.transits :]
        history.conflicts += told.conflicts[mark.conflicts :]
        for name, value in zip(_SCALARS, old.plain, strict=True):
            setattr(history, name, value)
        self._events += old.events[mark.n :]
        self._keys += old.keys[mark.n :]
        self._snapshots += [one.moved(*more) for one in old.snapshots[number:]]

    def _push(self, logged: Logged) -> None:
        if not self._snapshots or len(self._events) - self._snapshots[-1].n >= EVERY:
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

    def _put_back(self, snapshot: _Snapshot) -> None:
        """Make the history what it was at a snapshot. Fates stay: folding a CHECKOUT again says its fate again."""
        history = self.history
        for name, value in zip(_SCALARS, snapshot.plain, strict=True):
            setattr(history, name, value)
        del history.loans[snapshot.loans :], history.transits[snapshot.transits :]
        del history.conflicts[snapshot.conflicts :]
        if snapshot.loan is not None:
            history.loans[-1] = _copy(snapshot.loan)
        if snapshot.transit is not None:
            history.transits[-1] = _copy(snapshot.transit)

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
