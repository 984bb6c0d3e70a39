"""Holds folded from their own events and those of the item they wait for (domain §2; table ``consortium.machines.HOLD``)."""

from __future__ import annotations

from collections.abc import Iterable

from consortium.effects import Logged, who_of
from consortium.events import Event, Kind
from consortium.fold import sift
from consortium.states import Hold, HoldState

_ENDS = {Kind.HOLD_CANCELLED: HoldState.CANCELLED, Kind.HOLD_EXPIRED: HoldState.EXPIRED}
_SUPPLIED = frozenset({HoldState.IN_TRANSIT, HoldState.READY})


def fold_holds(events: Iterable[Logged]) -> list[Hold]:
    """The holds on one item, in the order they were placed, from the item's events in any order, doubled or not.

    An event about a hold that was never placed changes nothing; it stays in the log.
    """
    holds: dict[str, Hold] = {}
    for logged in sift(events).kept:
        event = logged.event
        kind = event.kind
        if kind is Kind.HOLD_PLACED:
            _place(holds, logged)
        elif kind in _ENDS:
            _end(holds.get(event.data["hold"]), _ENDS[kind], event)
        elif kind in (Kind.RETURN, Kind.RECEIVE):
            _routed(holds, event)
        elif kind is Kind.CHECKOUT:
            _lent(holds, logged)
    return list(holds.values())


def _place(holds: dict[str, Hold], logged: Logged) -> None:
    event = logged.event
    data = event.data
    owner, item_no = data["item"]
    name = data["hold"]
    if name not in holds:
        holds[name] = Hold(name, owner, item_no, who_of(logged), data["pickup"], event.t_eff, expiry=data.get("expiry"))


def _end(hold: Hold | None, state: HoldState, event: Event) -> None:
    if hold is not None and hold.open:
        hold.state, hold.t_end = state, event.t_eff


def _routed(holds: dict[str, Hold], event: Event) -> None:
    route = event.data["route"]
    name = route.get("hold_id")
    for hold in holds.values():
        if not hold.open:
            continue
        if hold.id != name:
            if hold.state in _SUPPLIED:
                hold.state, hold.t_ready = HoldState.WAITING, None  # the item went another way
        elif route["action"] == "HOLD":
            hold.state, hold.t_ready = HoldState.READY, event.t_eff
        elif route["action"] == "TRANSIT":
            hold.state = HoldState.IN_TRANSIT


def _lent(holds: dict[str, Hold], logged: Logged) -> None:
    event = logged.event
    who = who_of(logged)
    for hold in holds.values():
        if not hold.open:
            continue
        if hold.who == who:
            hold.state, hold.t_end, hold.loan = HoldState.FILLED, event.t_eff, event.name
        elif hold.state in _SUPPLIED:
            hold.state, hold.t_ready = HoldState.WAITING, None
