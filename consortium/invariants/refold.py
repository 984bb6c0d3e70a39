"""I6: what the hub stored is what the item's events tell, whatever order and number they came in (domain §7)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from consortium.events import ITEM_KINDS
from consortium.invariants.case import ItemCase
from consortium.invariants.finding import Finding, Offences
from consortium.invariants.reading import Seen
from consortium.invariants.reference import ToldLoan
from consortium.states import Loan

_TOLD_BY_ITEM = frozenset(
    {
        "CF_IMPLIED_RETURN",
        "CF_RENEW_NOT_ALLOWED",
        "CF_RETURN_NO_LOAN",
        "CF_DOUBLE_RETURN",
        "CF_ORDER_AMBIGUOUS",
        "CF_UNKNOWN_ITEM",
        "CF_ILS_REFUSED",
        "CF_ILS_DIFFERS",
    }
)
"""Conflict kinds that an item's own events show. The others need a reader, a card or a title beside."""


class RefoldsAlike:
    """I6, by a reference of the checker's own (``consortium.invariants.reference``) that sorts and deduplicates by itself."""

    def __init__(self) -> None:
        self._out = Offences("I6")
        self._logged = 0
        self._met = 0

    def see(self, event: Seen) -> None:
        """Count the events that an item's story needs, as the log itself has them."""
        self._logged += event.kind in ITEM_KINDS and event.item is not None

    def look(self, case: ItemCase) -> None:
        """Look at one item."""
        if not (case.events or case.strays or case.state or case.loans or case.transits or case.story.conflicts):
            return  # a conflict about a reader or a card alone
        self._out.checked += 1
        self._met += len(case.events)
        for stray in case.strays:
            self._out.add(stray, f"lies with item {case.name} and is no event about it")
        for why in _differences(case):
            self._out.add(case.name, why)

    def result(self) -> Finding:
        """What was found."""
        if self._logged != self._met:
            self._out.add("the log", f"{self._logged} events are about items, {self._met} of them lie with their item")
        return self._out.finding()


def _differences(case: ItemCase) -> Iterator[str]:
    story, state = case.story, case.state
    if state is None or not case.events:
        yield "has events and no state" if state is None else "has a state and no events"
        return
    loan, transit = story.loan, story.transit
    told: tuple[Any, ...] = (story.status, story.branch, loan.id if loan else None, transit.id if transit else None)
    kept = (
        state.status, state.branch, state.loan.id if state.loan else None, state.transit.id if state.transit else None,
    )  # fmt: skip
    if told != kept:
        yield f"is stored as {_words(kept)}; its events tell {_words(told)}"
    loans = {one.id: one for one in case.loans}
    for one in story.loans:
        stored = loans.pop(one.id, None)
        if stored is None:
            yield f"has no loan {one.id}, which its events tell"
        elif (why := _loan_difference(stored, one)) is not None:
            yield f"loan {one.id}: {why}"
    for name in loans:
        yield f"has loan {name}, which its events do not tell"
    told_transits = {one.id: (one.to, one.state) for one in story.transits}
    kept_transits = {one.id: (one.to, one.state) for one in case.transits}
    if told_transits != kept_transits:
        name = min(set(told_transits.items()) ^ set(kept_transits.items()))[0]
        yield f"transit {name} is {kept_transits.get(name)}; its events tell {told_transits.get(name)}"
    kept_conflicts = {one.id for one in case.conflicts if one.kind in _TOLD_BY_ITEM}
    for name in sorted(story.conflicts - kept_conflicts):
        yield f"has no conflict {name}, which its events show"
    for name in sorted(kept_conflicts - story.conflicts - case.settled):
        yield f"has conflict {name}, which its events do not show"


def _loan_difference(stored: Loan, told: ToldLoan) -> str | None:
    for name, is_, should in (
        ("reader", stored.who, told.who),
        ("t_out", stored.t_out, told.t_out),
        ("place", stored.place, told.place),
        ("due", stored.due, told.due),
        ("renewals", stored.renewals, [event.id for event in told.renewals]),
        ("t_end", stored.t_end, told.t_end),
        ("end_kind", stored.end_kind, told.end_kind),
        ("end_event", stored.end_event, told.end_event),
    ):
        if is_ != should:
            # Who it was is nobody's business here, not even as an id.
            return f"{name} differs" if name == "reader" else f"{name} is {is_}; its events tell {should}"
    return None


def _words(what: tuple[Any, ...]) -> str:
    status, branch, loan, transit = what
    return (
        f"{status.value} at {branch}" + (f", loan {loan}" if loan else "") + (f", transit {transit}" if transit else "")
    )
