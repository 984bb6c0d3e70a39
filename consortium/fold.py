"""The refold: state as a pure fold over an item's (or visit's) events in corrected time (domain §4).

``apply`` takes the next event in order; ``fold_item`` takes any order, with doubles, and gives the same state. Nothing is
read but the item's own events: what a decision found travels in the event.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from consortium.events import Event, Kind
from consortium.facts import ItemStatus
from consortium.states import (
    Conflict,
    EndKind,
    Fate,
    ItemHistory,
    Loan,
    OutKind,
    Transit,
    TransitState,
    Visit,
)

DUPLICATE_SCAN_MS = 120_000
"""A second CHECKOUT of the same item, reader and machine within this time is a double scan."""


@dataclass(frozen=True, slots=True)
class Logged:
    """An event as the hub logged it: with the reader it was about, resolved (None = nobody or erased)."""

    event: Event
    who: str | None = None


def fold_item(owner: str, item_no: str, owner_branch: str, events: Iterable[Logged]) -> ItemHistory:
    """An item's history from its events in any order, doubled or not."""
    history = ItemHistory(owner, item_no, owner_branch)
    for logged in _in_order(events):
        apply(history, logged)
    return history


def _in_order(events: Iterable[Logged]) -> list[Logged]:
    return sorted({logged.event.id: logged for logged in events}.values(), key=lambda logged: logged.event.order)


def apply(history: ItemHistory, logged: Logged) -> None:
    """Fold the next event, in order, into the history. Raises ValueError where it comes before the last one folded."""
    event = logged.event
    if event.order <= history.last:
        raise ValueError("events are folded in order; refold the item from its start")
    history.last = event.order
    _HANDLERS[event.kind](history, logged)


def _who(logged: Logged) -> str:
    # An erased reader still differs from any other: the commitment in the body stays.
    return logged.who or f"erased:{logged.event.subject or logged.event.id}"


def _checkout(history: ItemHistory, logged: Logged) -> None:
    event = logged.event
    event_id = str(event.id)
    who = _who(logged)
    loan = history.loan
    if loan is not None:
        if loan.who == who:
            if loan.device == event.device and event.t_eff - loan.t_out <= DUPLICATE_SCAN_MS:
                history.fates[event_id] = Fate.DUPLICATE
                return
            loan.due = max(loan.due, event.data["due"])
            loan.renewals.append(event_id)
            history.fates[event_id] = Fate.RENEWAL
            return
        _end_loan(loan, event, EndKind.IMPLIED_RETURN)
        _conflict(history, "CF_IMPLIED_RETURN", event, [loan.id, event_id])
    transit = history.transit
    if transit is not None:
        transit.state = TransitState.SUPERSEDED
        transit.t_end = event.t_eff
    history.loans.append(
        Loan(
            id=event_id,
            owner=history.owner,
            item_no=history.item_no,
            item_type=event.data["type"],
            who=who,
            home=event.data["home"],
            place=event.branch,
            device=event.device,
            t_out=event.t_eff,
            due=event.data["due"],
            basis=list(event.data.get("basis", ())),
            flags=list(event.data.get("flags", ())),
        )
    )
    history.fates[event_id] = Fate.LOAN
    history.status = ItemStatus.ON_LOAN
    history.branch = event.branch


def _renew(history: ItemHistory, logged: Logged) -> None:
    loan = history.loan
    if loan is None or loan.who != _who(logged):
        _conflict(history, "CF_RENEW_NOT_ALLOWED", logged.event, [str(logged.event.id)])
        return
    loan.due = max(loan.due, logged.event.data["due"])
    loan.renewals.append(str(logged.event.id))


def _return(history: ItemHistory, logged: Logged) -> None:
    event = logged.event
    loan = history.loan
    if loan is not None:
        _end_loan(loan, event, EndKind.RETURN)
    elif history.status is ItemStatus.IN_TRANSIT:
        _arrive(history, event)
        return
    elif history.branch != event.branch:
        _conflict(history, "CF_RETURN_NO_LOAN", event, [str(event.id)])
    _route(history, event)


def _receive(history: ItemHistory, logged: Logged) -> None:
    if history.loan is not None or history.status is not ItemStatus.IN_TRANSIT:
        _return(history, logged)
        return
    _arrive(history, logged.event)


def _arrive(history: ItemHistory, event: Event) -> None:
    transit = history.transit
    if transit is not None:
        if event.branch == transit.to:
            transit.state = TransitState.RECEIVED
            transit.t_end = event.t_eff
        elif event.data["route"]["action"] == "TRANSIT":
            # Seen at a branch it was not going to: the same journey goes on from here.
            transit.legs.append(event.branch)
            transit.state = TransitState.MISROUTED
            transit.to = event.data["route"]["dest"]
            history.branch = event.branch
            return
        else:
            transit.state = TransitState.CANCELLED
            transit.t_end = event.t_eff
    _route(history, event)


def _sent(history: ItemHistory, logged: Logged) -> None:
    transit = history.transit
    if transit is not None:
        transit.state = TransitState.SENT
        transit.t_sent = logged.event.t_eff


def _route(history: ItemHistory, event: Event) -> None:
    route = event.data["route"]
    action = route["action"]
    history.branch = event.branch
    if action == "TRANSIT":
        history.status = ItemStatus.IN_TRANSIT
        history.transits.append(
            Transit(
                id=str(event.id),
                owner=history.owner,
                item_no=history.item_no,
                start=event.branch,
                to=route["dest"],
                reason=route.get("reason", "HOME"),
                state=TransitState.REQUESTED,
                t_open=event.t_eff,
                via=route.get("via"),
            )
        )
    elif action == "HOLD":
        history.status = ItemStatus.HOLD_SHELF
    elif action == "DESK":
        history.status = ItemStatus.EXCEPTION
    elif action == "HOLD_HERE":
        history.status = ItemStatus.RETURNED_AT
    else:
        history.status = ItemStatus.SHELVED
        if action == "STAY":
            history.circ_branch = event.branch


def _end_loan(loan: Loan, event: Event, kind: EndKind) -> None:
    loan.t_end = max(event.t_eff, loan.t_out)
    loan.end_kind = kind
    loan.end_event = str(event.id)
    loan.end_place = event.branch


def _conflict(history: ItemHistory, kind: str, event: Event, events: list[str]) -> None:
    history.conflicts.append(Conflict(f"{kind}:{event.id}", kind, history.owner, history.item_no, events, event.t_eff))


_HANDLERS = {
    Kind.CHECKOUT: _checkout,
    Kind.RENEW: _renew,
    Kind.RETURN: _return,
    Kind.RECEIVE: _receive,
    Kind.TRANSIT_SENT: _sent,
}


def fold_visits(events: Iterable[Logged]) -> list[Visit]:
    """Visits of one reader at one branch from ENTRY and EXIT events in any order; an EXIT without a visit changes nothing."""
    visits: list[Visit] = []
    for logged in _in_order(events):
        event = logged.event
        current = visits[-1] if visits and visits[-1].t_out is None else None
        if current is not None:
            current.t_out = event.t_eff
            current.out_kind = OutKind.EXIT if event.kind is Kind.EXIT else OutKind.NEXT_ENTRY
            current.out_event = str(event.id)
        if event.kind is Kind.ENTRY:
            visits.append(
                Visit(
                    id=str(event.id),
                    branch=event.branch,
                    gate=event.device,
                    who=_who(logged),
                    home=event.data["home"],
                    visitor_class=event.data["class"],
                    t_in=event.t_eff,
                )
            )
    return visits
