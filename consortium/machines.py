"""The state machines as tables: item, loan, transit, visit, hold (domain §4, §5).

The item's table is what the fold runs: for a state and an event type the rows are tried from top to bottom and the first whose guard
holds is taken. The others say what the item's events make of loans, transits, visits and holds. The diagrams in docs/ are drawn from
these tables, so that picture and program cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from consortium.events import Kind
from consortium.facts import ItemStatus as Item
from consortium.states import EndKind, HoldState, OutKind, TransitState


class Guard(StrEnum):
    """What must hold for a row of the item's table; the fold has one function for each."""

    ALWAYS = ""
    DOUBLE_SCAN = "same reader and machine within 120 s"
    RENEWABLE = "same reader, renewal within the loan's terms"
    SAME_READER = "same reader"
    HAS_LOAN = "a loan is open"
    AT_DESTINATION = "at the transit's destination"
    SENT_ON = "elsewhere, routed on"
    MOVED_AFTER_RETURN = "elsewhere, though handed in at another branch within 24 h"
    ELSEWHERE = "at another branch than known"
    ILS_LOAN = "the ILS lent it"
    ILS_RENEWAL = "the ILS renewed it"
    ILS_RETURN = "the ILS took it back"
    ILS_REFUSED = "the ILS refused to book it"
    ILS_DIFFERS = "the ILS's books say otherwise"
    MARK_MISSING = "marked missing"
    MARK_LOST = "marked lost"
    MARK_CLAIMED = "reader claims to have returned it"
    MARK_WITHDRAWN = "marked withdrawn"
    MARK_FOUND = "marked found"
    MARK_DAMAGED = "marked damaged"
    LOST_PAID = "paid for"


class Effect(StrEnum):
    """What a row does; the fold has one function for each."""

    DUPLICATE = "double scan, no effect"
    OPEN_LOAN = "loan opens; open transit superseded, hold filled"
    RENEW = "due moves on"
    RENEW_DISPUTED = "due as printed; conflict CF_RENEW_NOT_ALLOWED"
    RENEW_NOBODYS = "conflict CF_RENEW_NOT_ALLOWED"
    NEXT_LOAN = "first loan ends IMPLIED_RETURN, second opens; conflict CF_IMPLIED_RETURN"
    END_AND_ROUTE = "loan ends RETURN; routed"
    RECEIVE = "transit received; routed"
    MISROUTE = "leg logged, transit goes on"
    CANCEL_AND_ROUTE = "transit cancelled; routed"
    ROUTE = "routed"
    DOUBLE_RETURN = "routed; conflict CF_DOUBLE_RETURN"
    RETURN_NO_LOAN = "routed; conflict CF_RETURN_NO_LOAN"
    USE = "in-library use counted"
    FOUND = "found; an open loan ends"
    SET_ASIDE = "set aside"
    BAG = "bagged"
    SEND = "sent on its way"
    SEE = "leg logged"
    CANCEL = "transit cancelled"
    MISSING = "searched for; an open transit is lost"
    LOST = "loan stays open for charges; an open transit is lost"
    CLAIM = "loan stays open until settled"
    WITHDRAW = "leaves the stock"
    END_PAID = "loan ends LOST_PAID"
    END_BY_STAFF = "loan ends STAFF; set aside"
    EXTEND = "due moves on, never back"
    ILS_LOAN = "observed loan opens; what was open ends"
    ILS_RETURN = "loan ends RETURN, no conflict"
    ILS_REFUSED = "conflict CF_ILS_REFUSED"
    ILS_DIFFERS = "conflict CF_ILS_DIFFERS"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the item's table. ``target`` None: the event's route or mark says where to."""

    sources: tuple[Item, ...]
    event: Kind
    guard: Guard
    effect: Effect
    target: Item | None = None


_AT_HAND = (Item.SHELVED, Item.RETURNED_AT, Item.HOLD_SHELF, Item.EXCEPTION)
_LENT = (Item.ON_LOAN, Item.LOST, Item.CLAIMED_RETURNED)  # the last two may have a loan open
_GONE = (Item.MISSING, Item.LOST, Item.CLAIMED_RETURNED, Item.WITHDRAWN)
_ALL = tuple(Item)
_STAY = None


def _returns(kind: Kind) -> tuple[Row, ...]:
    return (
        Row(_LENT, kind, Guard.HAS_LOAN, Effect.END_AND_ROUTE),
        Row((Item.IN_TRANSIT,), kind, Guard.AT_DESTINATION, Effect.RECEIVE),
        Row((Item.IN_TRANSIT,), kind, Guard.SENT_ON, Effect.MISROUTE, Item.IN_TRANSIT),
        Row((Item.IN_TRANSIT,), kind, Guard.ALWAYS, Effect.CANCEL_AND_ROUTE),
        Row((Item.WITHDRAWN,), kind, Guard.ALWAYS, Effect.SET_ASIDE, Item.EXCEPTION),
        Row((Item.MISSING, Item.LOST, Item.CLAIMED_RETURNED), kind, Guard.ALWAYS, Effect.ROUTE),
        Row(_AT_HAND, kind, Guard.MOVED_AFTER_RETURN, Effect.DOUBLE_RETURN),
        Row(_AT_HAND, kind, Guard.ELSEWHERE, Effect.RETURN_NO_LOAN),
        Row(_AT_HAND, kind, Guard.ALWAYS, Effect.ROUTE),
    )


ITEM: tuple[Row, ...] = (
    Row(_LENT, Kind.CHECKOUT, Guard.DOUBLE_SCAN, Effect.DUPLICATE, _STAY),
    Row(_LENT, Kind.CHECKOUT, Guard.RENEWABLE, Effect.RENEW, Item.ON_LOAN),
    Row(_LENT, Kind.CHECKOUT, Guard.SAME_READER, Effect.RENEW_DISPUTED, Item.ON_LOAN),
    Row(_LENT, Kind.CHECKOUT, Guard.HAS_LOAN, Effect.NEXT_LOAN, Item.ON_LOAN),
    Row(_ALL, Kind.CHECKOUT, Guard.ALWAYS, Effect.OPEN_LOAN, Item.ON_LOAN),
    Row(_LENT, Kind.RENEW, Guard.RENEWABLE, Effect.RENEW, _STAY),
    Row(_LENT, Kind.RENEW, Guard.SAME_READER, Effect.RENEW_DISPUTED, _STAY),
    Row(_ALL, Kind.RENEW, Guard.ALWAYS, Effect.RENEW_NOBODYS, _STAY),
    *_returns(Kind.RETURN),
    *_returns(Kind.RECEIVE),
    Row(_GONE, Kind.IN_USE, Guard.ALWAYS, Effect.FOUND, Item.EXCEPTION),
    Row((*_AT_HAND, Item.ON_LOAN, Item.IN_TRANSIT), Kind.IN_USE, Guard.ALWAYS, Effect.USE, _STAY),
    Row((Item.IN_TRANSIT,), Kind.TRANSIT_BAGGED, Guard.ALWAYS, Effect.BAG, Item.IN_TRANSIT),
    Row((Item.IN_TRANSIT, *_AT_HAND), Kind.TRANSIT_SENT, Guard.ALWAYS, Effect.SEND, Item.IN_TRANSIT),
    Row((Item.IN_TRANSIT,), Kind.TRANSIT_SEEN, Guard.ALWAYS, Effect.SEE, Item.IN_TRANSIT),
    Row((Item.IN_TRANSIT,), Kind.TRANSIT_CANCELLED, Guard.ALWAYS, Effect.CANCEL, Item.RETURNED_AT),
    Row((*_AT_HAND, Item.IN_TRANSIT), Kind.ITEM_MARKED, Guard.MARK_MISSING, Effect.MISSING, Item.MISSING),
    Row(_ALL, Kind.ITEM_MARKED, Guard.MARK_LOST, Effect.LOST, Item.LOST),
    Row(_LENT, Kind.ITEM_MARKED, Guard.MARK_CLAIMED, Effect.CLAIM, Item.CLAIMED_RETURNED),
    Row((*_AT_HAND, Item.MISSING), Kind.ITEM_MARKED, Guard.MARK_WITHDRAWN, Effect.WITHDRAW, Item.WITHDRAWN),
    Row(_GONE, Kind.ITEM_MARKED, Guard.MARK_FOUND, Effect.FOUND, Item.EXCEPTION),
    Row(_AT_HAND, Kind.ITEM_MARKED, Guard.MARK_DAMAGED, Effect.SET_ASIDE, Item.EXCEPTION),
    Row(_LENT, Kind.LOAN_ENDED, Guard.LOST_PAID, Effect.END_PAID, Item.LOST),
    Row(_LENT, Kind.LOAN_ENDED, Guard.HAS_LOAN, Effect.END_BY_STAFF, Item.EXCEPTION),
    Row(_LENT, Kind.LOAN_EXTENDED, Guard.HAS_LOAN, Effect.EXTEND, _STAY),
    Row(_ALL, Kind.ILS_OBSERVED, Guard.ILS_LOAN, Effect.ILS_LOAN, Item.ON_LOAN),
    Row(_LENT, Kind.ILS_OBSERVED, Guard.ILS_RENEWAL, Effect.EXTEND, _STAY),
    Row(_ALL, Kind.ILS_OBSERVED, Guard.ILS_RETURN, Effect.ILS_RETURN, Item.SHELVED),
    Row((*_AT_HAND, Item.IN_TRANSIT), Kind.ILS_OBSERVED, Guard.MARK_MISSING, Effect.MISSING, Item.MISSING),
    Row(_ALL, Kind.ILS_OBSERVED, Guard.MARK_LOST, Effect.LOST, Item.LOST),
    Row((*_AT_HAND, Item.MISSING), Kind.ILS_OBSERVED, Guard.MARK_WITHDRAWN, Effect.WITHDRAW, Item.WITHDRAWN),
    Row(_ALL, Kind.ILS_OBSERVED, Guard.ILS_REFUSED, Effect.ILS_REFUSED, _STAY),
    Row(_ALL, Kind.ILS_OBSERVED, Guard.ILS_DIFFERS, Effect.ILS_DIFFERS, _STAY),
)
"""An event that no row takes changes nothing about its item; it stays in the log."""


def rows_for(status: Item, event: Kind) -> tuple[Row, ...]:
    """The rows tried for an event in a state, in order."""
    return tuple(row for row in ITEM if row.event is event and status in row.sources)


@dataclass(frozen=True, slots=True)
class Edge:
    """One line of a machine that follows from the item's events: from, what happened, to. ``source`` "" is the beginning."""

    source: str
    label: str
    target: str


def _edges(*rows: tuple[Iterable[str] | str, str, str]) -> tuple[Edge, ...]:
    out: list[Edge] = []
    for sources, label, target in rows:
        out += [Edge(source, label, target) for source in ((sources,) if isinstance(sources, str) else sources)]
    return tuple(out)


_MOVING = (
    TransitState.REQUESTED,
    TransitState.BAGGED,
    TransitState.SENT,
    TransitState.AT_HUB,
    TransitState.ARRIVED,
    TransitState.MISROUTED,
)

TRANSIT = _edges(
    ("", "RETURN, RECEIVE routed TRANSIT", TransitState.REQUESTED),
    ("", "TRANSIT_SENT of an item at hand", TransitState.SENT),
    (_MOVING, "TRANSIT_BAGGED", TransitState.BAGGED),
    (_MOVING, "TRANSIT_SENT", TransitState.SENT),
    (_MOVING, "TRANSIT_SEEN at via", TransitState.AT_HUB),
    (_MOVING, "TRANSIT_SEEN at destination", TransitState.ARRIVED),
    (_MOVING, "TRANSIT_SEEN, RETURN or RECEIVE elsewhere", TransitState.MISROUTED),
    (_MOVING, "RECEIVE, RETURN at destination", TransitState.RECEIVED),
    (_MOVING, "TRANSIT_CANCELLED, kept where it is", TransitState.CANCELLED),
    (_MOVING, "CHECKOUT", TransitState.SUPERSEDED),
    (_MOVING, "ITEM_MARKED missing or lost", TransitState.LOST),
)

OPEN = "OPEN"
LOAN = _edges(
    ("", "CHECKOUT, ILS_OBSERVED loan", OPEN),
    (OPEN, "RENEW, CHECKOUT by the same reader, LOAN_EXTENDED", OPEN),
    (OPEN, "RETURN, RECEIVE, ILS_OBSERVED return", EndKind.RETURN),
    (OPEN, "CHECKOUT by another reader", EndKind.IMPLIED_RETURN),
    (OPEN, "LOAN_ENDED paid", EndKind.LOST_PAID),
    (OPEN, "found after a claim", EndKind.CLAIMED_RETURNED),
    (OPEN, "LOAN_ENDED by staff", EndKind.STAFF),
)

INSIDE = "INSIDE"
VISIT = _edges(
    ("", "ENTRY", INSIDE),
    (INSIDE, "EXIT", OutKind.EXIT),
    (INSIDE, "next ENTRY of the same reader", OutKind.NEXT_ENTRY),
    (INSIDE, "VISIT_CLOSED at night", OutKind.INFERRED_CLOSE),
)

_WAITING = (HoldState.WAITING, HoldState.IN_TRANSIT, HoldState.READY)
HOLD = _edges(
    ("", "HOLD_PLACED", HoldState.WAITING),
    ((HoldState.WAITING, HoldState.IN_TRANSIT), "RETURN, RECEIVE routed HOLD", HoldState.READY),
    ((HoldState.WAITING, HoldState.READY), "RETURN, RECEIVE routed TRANSIT for it", HoldState.IN_TRANSIT),
    (_WAITING, "CHECKOUT by the same reader", HoldState.FILLED),
    ((HoldState.IN_TRANSIT, HoldState.READY), "CHECKOUT by another reader", HoldState.WAITING),
    (_WAITING, "HOLD_CANCELLED", HoldState.CANCELLED),
    (_WAITING, "HOLD_EXPIRED", HoldState.EXPIRED),
)
