"""I7, I18: where items are and where they go (domain §7)."""

from __future__ import annotations

from collections.abc import Iterable

from consortium.bundle import Bundle
from consortium.events import Kind
from consortium.facts import ItemStatus
from consortium.invariants.case import ItemCase
from consortium.invariants.finding import Finding, Offences

_BACK = frozenset({Kind.RETURN, Kind.RECEIVE})


class OneTransit:
    """I7: at most one open transit per item, none while the item is on loan; an ended one says when it ended."""

    def __init__(self) -> None:
        self._out = Offences("I7")

    def look(self, case: ItemCase) -> None:
        """Look at one item."""
        if not case.transits:
            return
        self._out.checked += len(case.transits)
        going = [transit for transit in case.transits if transit.open]
        if len(going) > 1:
            self._out.add(going[-1].id, f"item {case.name} is under way {len(going)} times at once")
        if going and any(loan.open for loan in case.loans):
            self._out.add(going[0].id, f"item {case.name} is under way and on loan")
        for transit in case.transits:
            if not transit.open and transit.t_end is None:
                self._out.add(transit.id, f"this transit is {transit.state.value} and does not say since when")

    def result(self) -> Finding:
        """What was found."""
        return self._out.finding()


class ReturnsLeadSomewhere:
    """I18: a return happened at, and leads to, a branch that a policy knows; then the item is there, on its way, or set aside."""

    def __init__(self, bundles: Iterable[Bundle]) -> None:
        self._out = Offences("I18")
        self._branches = {branch.id for bundle in bundles for branch in bundle.branches}

    def look(self, case: ItemCase) -> None:
        """Look at one item."""
        last = None
        for event in case.events:
            if event.kind not in _BACK:
                continue
            last = event
            self._out.checked += 1
            if event.branch not in self._branches:
                self._out.add(event.id, f"was handed in at {event.branch}, a branch that no policy knows")
            route = event.data["route"]
            if route["action"] == "TRANSIT" and route["dest"] not in self._branches:
                self._out.add(event.id, f"sends the item to {route['dest']}, a branch that no policy knows")
        if last is None or case.events[-1] is not last:
            return
        state = case.state
        if state is None:
            self._out.add(last.id, f"was handed in and item {case.name} has no state")
        elif state.status is ItemStatus.ON_LOAN:
            self._out.add(last.id, f"was handed in and item {case.name} is still on loan")
        elif state.branch not in self._branches:
            self._out.add(last.id, f"left item {case.name} at {state.branch or 'no branch'}, which no policy knows")
        elif state.status is ItemStatus.IN_TRANSIT and not any(transit.open for transit in case.transits):
            self._out.add(last.id, f"left item {case.name} under way with no transit")

    def result(self) -> Finding:
        """What was found."""
        return self._out.finding()
