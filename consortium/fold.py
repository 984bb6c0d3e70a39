"""The refold: state as a pure fold over an item's (or visit's) events in corrected time (domain §4).

``apply`` takes the next event in order; ``fold_item`` takes any order, with doubles, and gives the same state. Nothing is
read but the item's own events: what a decision found travels in the event. What an event does is a row of ``consortium.machines``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from consortium.calendar import DAY_MS
from consortium.effects import EFFECTS, Logged, conflict, who_of
from consortium.events import ITEM_KINDS, Event, Kind, encode
from consortium.facts import ItemStatus
from consortium.machines import ITEM, Guard, Row
from consortium.states import ASSUMED, ItemHistory, Loan, OutKind, Visit

__all__ = ["DUPLICATE_SCAN_MS", "Logged", "Sifted", "apply", "begin", "fold_item", "fold_visits", "sift"]

DUPLICATE_SCAN_MS = 120_000
"""A second CHECKOUT of the same item, reader and machine within this time is a double scan."""

DOUBLE_RETURN_MS = DAY_MS
"""An item handed in at two branches within this time, without a loan between, was handed in once too often."""


@dataclass(frozen=True, slots=True)
class Sifted:
    """Events once each, in order. ``doubles``: CHECKOUTs re-issued; ``forks``: where two events claim one id, the one held."""

    kept: list[Logged]
    doubles: list[str]
    forks: list[Event]


def sift(events: Iterable[Logged]) -> Sifted:
    """Events once each, in their total order, whatever the order and number they came in.

    Of two different events under one id the one whose body sorts first is held, so that the result does not depend on which came
    first. The same event re-issued under a new epoch is the same event: the original stands for both, else the first in order.
    """
    held: dict[str, Logged] = {}
    forks: set[str] = set()
    for logged in events:
        name = logged.event.name
        before = held.get(name)
        if before is None:
            held[name] = logged
        elif before.event == logged.event:
            if before.who is None:
                held[name] = logged  # the same event, its reader known by now
        else:
            forks.add(name)
            held[name] = min(before, logged, key=lambda one: encode(one.event))
    kept: dict[str, Logged] = {}
    doubles: list[str] = []
    for logged in held.values():
        root = logged.event.reissue_of or logged.event.name
        before = kept.get(root)
        if before is None:
            kept[root] = logged
            continue
        kept[root], double = (logged, before) if _earlier(logged, before, root) else (before, logged)
        if double.event.kind is Kind.CHECKOUT:
            doubles.append(double.event.name)
    ordered = sorted(kept.values(), key=lambda logged: logged.event.order)
    return Sifted(ordered, sorted(doubles), [held[name].event for name in sorted(forks)])


def _earlier(first: Logged, second: Logged, root: str) -> bool:
    """Which of an event and its re-issue stands for both: the original where it is held, else the first in order."""
    return (first.event.name != root, first.event.order) < (second.event.name != root, second.event.order)


def fold_item(owner: str, item_no: str, owner_branch: str, events: Iterable[Logged]) -> ItemHistory:
    """An item's history from its events in any order, doubled or not."""
    sifted = sift(events)
    history = begin(owner, item_no, owner_branch, sifted)
    for logged in sifted.kept:
        apply(history, logged)
    return history


def begin(owner: str, item_no: str, owner_branch: str, sifted: Sifted) -> ItemHistory:
    """An item before its first event; what sifting found is on record already."""
    history = ItemHistory(owner, item_no, owner_branch, doubles=sifted.doubles)
    for event in sifted.forks:
        conflict(history, "CF_EVENT_FORK", event, [event.name])
    return history


def apply(history: ItemHistory, logged: Logged) -> None:
    """Fold the next event, in order, into the history. Raises ValueError where it comes before the last one folded.

    A re-issued event may be one that was folded before: give it to ``fold_item`` or ``consortium.timeline`` with the others.
    """
    event = logged.event
    order = event.order
    if order <= history.last:
        raise ValueError("events are folded in order; refold the item from its start")
    history.last = order
    kind = event.kind
    for guard, effect, target in _TABLE.get((history.status, kind), ()):
        if guard is None or guard(history, logged):
            if kind in _MOVERS:
                _note_order(history, event)
            effect(history, logged)
            if target is not None:
                history.status = target
            return


# --- guards: what must hold for a row of the table ---


def _loan_of(history: ItemHistory, logged: Logged) -> Loan | None:
    """The open loan, where it is this event's reader's."""
    loan = history.loan
    return loan if loan is not None and loan.who == who_of(logged) else None


def _double_scan(history: ItemHistory, logged: Logged) -> bool:
    device, at = history.scan
    event = logged.event
    near = device == event.device and event.t_eff - at <= DUPLICATE_SCAN_MS
    return near and _loan_of(history, logged) is not None


def _renewable(history: ItemHistory, logged: Logged) -> bool:
    """Whether the loan's own terms allow this renewal; loans without terms (imported, older) leave it to the decision."""
    loan = _loan_of(history, logged)
    if loan is None:
        return False
    event = logged.event
    if not loan.terms or event.data.get("override"):
        return True
    terms = loan.terms
    window = terms.get("renew_window_days", 0) * DAY_MS
    return (
        len(loan.renewals) < terms.get("renewals", 0)
        and event.t_eff <= loan.due + terms.get("grace_days", 0) * DAY_MS
        and (not window or event.t_eff >= loan.due - window)
    )


def _has_loan(history: ItemHistory, logged: Logged) -> bool:
    return history.loan is not None


def _at_destination(history: ItemHistory, logged: Logged) -> bool:
    transit = history.transit
    return transit is not None and logged.event.branch == transit.to


def _sent_on(history: ItemHistory, logged: Logged) -> bool:
    return history.transit is not None and logged.event.data["route"]["action"] == "TRANSIT"


def _moved_after_return(history: ItemHistory, logged: Logged) -> bool:
    branch, at = history.back
    event = logged.event
    return bool(branch) and branch != event.branch != history.branch and event.t_eff - at <= DOUBLE_RETURN_MS


def _elsewhere(history: ItemHistory, logged: Logged) -> bool:
    return history.branch != logged.event.branch


def _ils(what: str) -> Callable[[ItemHistory, Logged], bool]:
    return lambda history, logged: logged.event.data.get("what") == what


def _mark_of(event: Event) -> str | None:
    """What an event says became of the item: staff's mark, or the status in a member's ILS."""
    data = event.data
    if event.kind is Kind.ILS_OBSERVED:
        return data.get("status") if data["what"] == "ITEM" else None
    return str(data["mark"])


def _marked(mark: str) -> Callable[[ItemHistory, Logged], bool]:
    return lambda history, logged: _mark_of(logged.event) == mark


def _claimable(history: ItemHistory, logged: Logged) -> bool:
    return logged.event.data["mark"] == "CLAIMED_RETURNED" and history.loan is not None


def _paid(history: ItemHistory, logged: Logged) -> bool:
    return logged.event.data["end"] == "LOST_PAID" and history.loan is not None


_GUARDS: dict[Guard, Callable[[ItemHistory, Logged], bool] | None] = {
    Guard.ALWAYS: None,
    Guard.DOUBLE_SCAN: _double_scan,
    Guard.RENEWABLE: _renewable,
    Guard.SAME_READER: lambda history, logged: _loan_of(history, logged) is not None,
    Guard.HAS_LOAN: _has_loan,
    Guard.AT_DESTINATION: _at_destination,
    Guard.SENT_ON: _sent_on,
    Guard.MOVED_AFTER_RETURN: _moved_after_return,
    Guard.ELSEWHERE: _elsewhere,
    Guard.ILS_LOAN: _ils("LOAN"),
    Guard.ILS_RENEWAL: lambda history, logged: logged.event.data["what"] == "RENEWAL" and history.loan is not None,
    Guard.ILS_RETURN: _ils("RETURN"),
    Guard.ILS_REFUSED: _ils("REFUSED"),
    Guard.ILS_DIFFERS: _ils("DIFFERS"),
    Guard.MARK_MISSING: _marked("MISSING"),
    Guard.MARK_LOST: _marked("LOST"),
    Guard.MARK_CLAIMED: _claimable,
    Guard.MARK_WITHDRAWN: _marked("WITHDRAWN"),
    Guard.MARK_FOUND: _marked("FOUND"),
    Guard.MARK_DAMAGED: _marked("DAMAGED"),
    Guard.LOST_PAID: _paid,
}

_Compiled = tuple[
    Callable[[ItemHistory, Logged], bool] | None, Callable[[ItemHistory, Logged], None], ItemStatus | None
]


def _compile() -> dict[tuple[ItemStatus, Kind], tuple[_Compiled, ...]]:
    table: dict[tuple[ItemStatus, Kind], list[_Compiled]] = {}
    for row in ITEM:
        for status in row.sources:
            table.setdefault((status, row.event), []).append(_compiled(row))
    return {key: tuple(rows) for key, rows in table.items()}


def _compiled(row: Row) -> _Compiled:
    return _GUARDS[row.guard], EFFECTS[row.effect], row.target


_TABLE = _compile()

# --- doubtful order ---

_MOVERS = frozenset(
    {Kind.CHECKOUT, Kind.RETURN, Kind.RECEIVE, Kind.TRANSIT_SENT, Kind.ITEM_MARKED, Kind.LOAN_ENDED, Kind.ILS_OBSERVED}
)
assert _MOVERS <= ITEM_KINDS

SAID_ABOUT = frozenset({"BOOKED", "REFUSED", "DIFFERS"})
"""What ILS_OBSERVED says about another event or the books: it moves no item."""


def _note_order(history: ItemHistory, event: Event) -> None:
    """Two events of different nodes closer than their clocks can tell: which came first is a person's to say."""
    if event.data.get("what") in SAID_ABOUT:
        return
    at, unc, node, name = history.moved
    if node and node != event.node and event.t_eff - at <= unc + event.t_unc:
        conflict(history, "CF_ORDER_AMBIGUOUS", event, [name, event.name])
    history.moved = (event.t_eff, event.t_unc, event.node, event.name)


# --- visits ---


def fold_visits(events: Iterable[Logged]) -> list[Visit]:
    """Visits of one reader at one branch from ENTRY, EXIT and VISIT_CLOSED in any order; an end without a visit changes nothing."""
    visits: list[Visit] = []
    for logged in sift(events).kept:
        event = logged.event
        current = visits[-1] if visits and visits[-1].t_out is None else None
        if event.kind is Kind.VISIT_CLOSED and (current is None or current.id != event.data["visit"]):
            continue
        if current is not None:
            current.t_out = event.t_eff
            current.out_kind = _OUT[event.kind]
            current.out_event = event.name
            current.out_passage = (event.data.get("passage") or ASSUMED) if event.kind is Kind.EXIT else None
        if event.kind is Kind.ENTRY:
            visits.append(
                Visit(
                    id=event.name,
                    branch=event.branch,
                    gate=event.device,
                    who=who_of(logged),
                    home=event.data["home"],
                    visitor_class=event.data["class"],
                    t_in=event.t_eff,
                    passage=event.data.get("passage") or ASSUMED,
                )
            )
    return visits


_OUT = {Kind.EXIT: OutKind.EXIT, Kind.ENTRY: OutKind.NEXT_ENTRY, Kind.VISIT_CLOSED: OutKind.INFERRED_CLOSE}
