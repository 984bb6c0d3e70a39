"""What each row of the item's table does to its history (``consortium.machines``).

Effects read the event and the history, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from consortium.events import Event, Kind
from consortium.facts import ItemStatus
from consortium.machines import Effect
from consortium.states import Conflict, EndKind, Fate, ItemHistory, Loan, Transit, TransitState


@dataclass(frozen=True, slots=True)
class Logged:
    """An event as the hub logged it, with the reader it was about.

    ``who`` None: nobody, erased, or, with ``unknown``, somebody whose token no library has registered yet.
    """

    event: Event
    who: str | None = None
    unknown: bool = False


def who_of(logged: Logged) -> str:
    """The reader of an event. An erased one still differs from any other: the commitment in the body stays."""
    return logged.who or f"erased:{logged.event.subject or logged.event.name}"


def conflict(history: ItemHistory, kind: str, event: Event, events: list[str]) -> None:
    """Note that facts disagree."""
    history.conflicts.append(
        Conflict(f"{kind}:{event.name}", kind, history.owner, history.item_no, events, event.t_eff)
    )


# --- loans ---


def _duplicate(history: ItemHistory, logged: Logged) -> None:
    history.fates[logged.event.name] = Fate.DUPLICATE


def _open_loan(history: ItemHistory, logged: Logged) -> None:
    event = logged.event
    data = event.data
    event_id = event.name
    _leave_transit(history, event, TransitState.SUPERSEDED)
    history.loans.append(
        Loan(
            id=event_id,
            owner=history.owner,
            item_no=history.item_no,
            item_type=data["type"],
            who=who_of(logged),
            home=data["home"],
            place=event.branch,
            device=event.device,
            t_out=event.t_eff,
            due=data["due"],
            basis=list(data.get("basis", ())),
            flags=list(data.get("flags", ())),
            terms=dict(data.get("terms", ())),
        )
    )
    history.fates[event_id] = Fate.LOAN
    history.branch = event.branch
    history.hold_id = None
    history.scan = (event.device, event.t_eff)
    if logged.unknown:
        conflict(history, "CF_UNKNOWN_CARD", event, [event_id])


def _next_loan(history: ItemHistory, logged: Logged) -> None:
    loan = history.loan
    assert loan is not None
    event = logged.event
    _end_loan(loan, event, EndKind.IMPLIED_RETURN)
    conflict(history, "CF_IMPLIED_RETURN", event, [loan.id, event.name])
    _open_loan(history, logged)


def _renew(history: ItemHistory, logged: Logged) -> None:
    loan = history.loan
    assert loan is not None
    event = logged.event
    event_id = event.name
    loan.due = max(loan.due, event.data["due"])
    loan.renewals.append(event_id)
    if event.kind is Kind.CHECKOUT:  # the item was scanned again
        history.fates[event_id] = Fate.RENEWAL
        history.scan = (event.device, event.t_eff)


def _renew_disputed(history: ItemHistory, logged: Logged) -> None:
    _renew(history, logged)
    conflict(history, "CF_RENEW_NOT_ALLOWED", logged.event, [logged.event.name])


def _renew_nobodys(history: ItemHistory, logged: Logged) -> None:
    conflict(history, "CF_RENEW_NOT_ALLOWED", logged.event, [logged.event.name])


def _extend(history: ItemHistory, logged: Logged) -> None:
    loan = history.loan
    assert loan is not None
    loan.due = max(loan.due, logged.event.data.get("due") or 0)


def _end_loan(loan: Loan, event: Event, kind: EndKind) -> None:
    loan.t_end = max(event.t_eff, loan.t_out)
    loan.end_kind = kind
    loan.end_event = event.name
    loan.end_place = event.branch
    credit = event.data.get("t_credit")
    if credit is not None:
        # A drop box is emptied later than it is filled: never before the loan, never later than the scan.
        loan.t_credit = min(loan.t_end, max(loan.t_out, credit))


def _end_paid(history: ItemHistory, logged: Logged) -> None:
    loan = history.loan
    assert loan is not None
    _end_loan(loan, logged.event, EndKind.LOST_PAID)


def _end_by_staff(history: ItemHistory, logged: Logged) -> None:
    loan = history.loan
    assert loan is not None
    _end_loan(loan, logged.event, EndKind.STAFF)
    history.branch = logged.event.branch


def _ils_loan(history: ItemHistory, logged: Logged) -> None:
    event = logged.event
    data = event.data
    loan = history.loan
    who = logged.who or f"ils:{event.name}"
    if loan is not None and loan.who == who:
        loan.due = max(loan.due, data.get("due") or 0)
        return
    if loan is not None:
        _end_loan(loan, event, EndKind.RETURN)
    _leave_transit(history, event, TransitState.SUPERSEDED)
    history.loans.append(
        Loan(
            id=event.name,
            owner=history.owner,
            item_no=history.item_no,
            item_type=data.get("type", ""),
            who=who,
            home=data.get("home") or history.owner,
            place=event.branch,
            device=event.device,
            t_out=event.t_eff,
            due=data.get("due") or event.t_eff,
            observed=True,
        )
    )
    history.branch = event.branch
    history.hold_id = None


def _ils_disagrees(kind: str) -> Callable[[ItemHistory, Logged], None]:
    def note(history: ItemHistory, logged: Logged) -> None:
        event = logged.event
        about = event.data.get("ref")
        conflict(history, kind, event, [about, event.name] if about else [event.name])

    return note


def _ils_return(history: ItemHistory, logged: Logged) -> None:
    event = logged.event
    loan, transit = history.loan, history.transit
    if loan is not None:
        _end_loan(loan, event, EndKind.RETURN)
    if transit is not None:
        arrived = event.branch == transit.to
        _leave_transit(history, event, TransitState.RECEIVED if arrived else TransitState.CANCELLED)
    history.branch = event.branch
    history.hold_id = None
    history.back = (event.branch, event.t_eff)


# --- returns and routes ---


def _end_and_route(history: ItemHistory, logged: Logged) -> None:
    loan = history.loan
    assert loan is not None
    _end_loan(loan, logged.event, EndKind.RETURN)
    _route(history, logged)


def _receive(history: ItemHistory, logged: Logged) -> None:
    _leave_transit(history, logged.event, TransitState.RECEIVED)
    _route(history, logged)


def _cancel_and_route(history: ItemHistory, logged: Logged) -> None:
    _leave_transit(history, logged.event, TransitState.CANCELLED)
    _route(history, logged)


def _misroute(history: ItemHistory, logged: Logged) -> None:
    """Seen at a branch it was not going to: the same journey goes on from here."""
    transit = history.transit
    assert transit is not None
    event = logged.event
    transit.legs.append(event.branch)
    transit.state = TransitState.MISROUTED
    transit.to = event.data["route"]["dest"]
    history.branch = event.branch


def _double_return(history: ItemHistory, logged: Logged) -> None:
    conflict(history, "CF_DOUBLE_RETURN", logged.event, [logged.event.name])
    _route(history, logged)


def _return_no_loan(history: ItemHistory, logged: Logged) -> None:
    conflict(history, "CF_RETURN_NO_LOAN", logged.event, [logged.event.name])
    _route(history, logged)


_BY_ACTION = {
    "SHELVE": ItemStatus.SHELVED,
    "STAY": ItemStatus.SHELVED,
    "HOLD": ItemStatus.HOLD_SHELF,
    "DESK": ItemStatus.EXCEPTION,
    "HOLD_HERE": ItemStatus.RETURNED_AT,
    "TRANSIT": ItemStatus.IN_TRANSIT,
}


def _route(history: ItemHistory, logged: Logged) -> None:
    event = logged.event
    route = event.data["route"]
    action = route["action"]
    history.status = _BY_ACTION[action]
    history.branch = event.branch
    if event.kind is Kind.RETURN:
        history.back = (event.branch, event.t_eff)
    history.hold_id = route.get("hold_id") if action == "HOLD" else None
    if action == "TRANSIT":
        _open_transit(
            history, event, route["dest"], route.get("reason", "HOME"), TransitState.REQUESTED, route.get("via"),
            route.get("hold_id"),
        )  # fmt: skip
    elif action == "STAY":
        history.circ_branch = event.branch
    elif action == "DESK" and route.get("reason") == "UNKNOWN":
        conflict(history, "CF_UNKNOWN_ITEM", event, [event.name])


# --- transits ---


def _open_transit(
    history: ItemHistory,
    event: Event,
    to: str,
    reason: str,
    state: TransitState,
    via: str | None = None,
    hold_id: str | None = None,
) -> Transit:
    transit = Transit(
        id=event.name, owner=history.owner, item_no=history.item_no, start=event.branch, to=to, reason=reason,
        state=state, t_open=event.t_eff, via=via, hold_id=hold_id,
    )  # fmt: skip
    history.transits.append(transit)
    return transit


def _leave_transit(history: ItemHistory, event: Event, state: TransitState) -> None:
    transit = history.transit
    if transit is not None:
        transit.state = state
        transit.t_end = event.t_eff


def _bag(history: ItemHistory, logged: Logged) -> None:
    transit = history.transit
    if transit is not None:
        transit.state = TransitState.BAGGED
        transit.bag = logged.event.data.get("bag")


def _send(history: ItemHistory, logged: Logged) -> None:
    event = logged.event
    transit = history.transit
    if transit is None:
        # What had to wait here, or staff sends by hand, begins its journey now.
        transit = _open_transit(history, event, event.data["to"], "MANUAL", TransitState.SENT, None, history.hold_id)
        history.branch = event.branch
        history.hold_id = None
    transit.state = TransitState.SENT
    transit.t_sent = event.t_eff
    transit.bag = event.data.get("bag", transit.bag)


def _see(history: ItemHistory, logged: Logged) -> None:
    transit = history.transit
    if transit is None:
        return
    event = logged.event
    transit.legs.append(event.branch)
    if event.branch == transit.to:
        transit.state = TransitState.ARRIVED
    elif event.branch == transit.via:
        transit.state = TransitState.AT_HUB
    else:
        transit.state = TransitState.MISROUTED
    history.branch = event.branch


def _cancel(history: ItemHistory, logged: Logged) -> None:
    _leave_transit(history, logged.event, TransitState.CANCELLED)
    history.branch = logged.event.branch


# --- marks ---


def _use(history: ItemHistory, logged: Logged) -> None:
    history.uses += 1
    if history.loan is None and history.transit is None:
        history.branch = logged.event.branch  # it lies there on a table


def _found(history: ItemHistory, logged: Logged) -> None:
    event = logged.event
    loan = history.loan
    if loan is not None:
        claimed = history.status is ItemStatus.CLAIMED_RETURNED
        _end_loan(loan, event, EndKind.CLAIMED_RETURNED if claimed else EndKind.RETURN)
    if event.kind is Kind.IN_USE:
        history.uses += 1
    history.branch = event.branch


def _set_aside(history: ItemHistory, logged: Logged) -> None:
    history.branch = logged.event.branch
    history.hold_id = None


def _gone(history: ItemHistory, logged: Logged) -> None:
    _leave_transit(history, logged.event, TransitState.LOST)
    history.hold_id = None


def _nothing(history: ItemHistory, logged: Logged) -> None:
    """The row alone says what changes."""


EFFECTS: dict[Effect, Callable[[ItemHistory, Logged], None]] = {
    Effect.DUPLICATE: _duplicate,
    Effect.OPEN_LOAN: _open_loan,
    Effect.RENEW: _renew,
    Effect.RENEW_DISPUTED: _renew_disputed,
    Effect.RENEW_NOBODYS: _renew_nobodys,
    Effect.NEXT_LOAN: _next_loan,
    Effect.END_AND_ROUTE: _end_and_route,
    Effect.RECEIVE: _receive,
    Effect.MISROUTE: _misroute,
    Effect.CANCEL_AND_ROUTE: _cancel_and_route,
    Effect.ROUTE: _route,
    Effect.DOUBLE_RETURN: _double_return,
    Effect.RETURN_NO_LOAN: _return_no_loan,
    Effect.USE: _use,
    Effect.FOUND: _found,
    Effect.SET_ASIDE: _set_aside,
    Effect.BAG: _bag,
    Effect.SEND: _send,
    Effect.SEE: _see,
    Effect.CANCEL: _cancel,
    Effect.MISSING: _gone,
    Effect.LOST: _gone,
    Effect.CLAIM: _nothing,
    Effect.WITHDRAW: _nothing,
    Effect.END_PAID: _end_paid,
    Effect.END_BY_STAFF: _end_by_staff,
    Effect.EXTEND: _extend,
    Effect.ILS_LOAN: _ils_loan,
    Effect.ILS_RETURN: _ils_return,
    Effect.ILS_REFUSED: _ils_disagrees("CF_ILS_REFUSED"),
    Effect.ILS_DIFFERS: _ils_disagrees("CF_ILS_DIFFERS"),
}
"""The function of each effect."""
