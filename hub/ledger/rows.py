"""Loans, transits and items as they stand in the projections, and back."""

from __future__ import annotations

from typing import Any

import msgspec

from consortium.identity import org_of_branch
from consortium.states import EndKind, ItemHistory, Loan, Transit, TransitState

_NOBODY = ("erased:", "ils:")


def is_person(rid: str) -> bool:
    """Whether this names a reader the hub knows, and not somebody erased, unregistered, or known to an ILS alone."""
    return not rid.startswith(_NOBODY)


def encode_history(history: ItemHistory) -> str:
    """The fold's memory of an item as JSON, closed loans and transits left out."""
    memory = ItemHistory(
        history.owner, history.item_no, history.owner_branch, history.status, history.branch, history.circ_branch,
        [loan for loan in history.loans[-1:] if loan.open], [transit for transit in history.transits[-1:] if transit.open],
        last=history.last, hold_id=history.hold_id, uses=history.uses, scan=history.scan, moved=history.moved,
        back=history.back,
    )  # fmt: skip
    return msgspec.json.encode(memory).decode()


_HISTORIES = msgspec.json.Decoder(ItemHistory)


def decode_history(text: str) -> ItemHistory:
    """The memory back."""
    return _HISTORIES.decode(text)


def state_row(history: ItemHistory) -> dict[str, Any]:
    """A row of ``item_state``."""
    loan, transit = history.loan, history.transit
    return {
        "owner": history.owner, "item_no": history.item_no, "status": history.status.value, "branch": history.branch,
        "circ_branch": history.circ_branch, "loan_id": loan.id if loan else None, "transit_id": transit.id if transit else None,
        "history": encode_history(history),
    }  # fmt: skip


def loan_row(loan: Loan) -> dict[str, Any]:
    """A row of ``loans``; what the second pass finds against the loan is not in it."""
    return {
        "id": loan.id, "owner": loan.owner, "item_no": loan.item_no, "item_type": loan.item_type, "rid": loan.who,
        "home": loan.home, "lender": org_of_branch(loan.place), "place": loan.place, "device": loan.device,
        "t_out": loan.t_out, "due": loan.due, "basis": loan.basis, "flags": loan.flags, "renewals": loan.renewals,
        "t_end": loan.t_end, "end_kind": loan.end_kind.value if loan.end_kind else None, "end_event": loan.end_event,
        "end_place": loan.end_place, "terms": loan.terms, "t_credit": loan.t_credit, "observed": loan.observed,
    }  # fmt: skip


def loan_of(row: Any) -> Loan:
    """The loan of a row of ``loans``, whatever other columns stand in it."""
    return Loan(
        row.id, row.owner, row.item_no, row.item_type, row.rid, row.home, row.place, row.device, row.t_out, row.due,
        row.basis, row.flags, row.renewals, row.t_end, EndKind(row.end_kind) if row.end_kind else None, row.end_event,
        row.end_place, row.terms or {}, row.t_credit, bool(row.observed),
    )  # fmt: skip


def transit_row(transit: Transit) -> dict[str, Any]:
    """A row of ``transits``."""
    return {
        "id": transit.id, "owner": transit.owner, "item_no": transit.item_no, "start": transit.start, "to": transit.to,
        "via": transit.via, "reason": transit.reason, "state": transit.state.value, "t_open": transit.t_open,
        "t_sent": transit.t_sent, "t_end": transit.t_end, "legs": transit.legs, "bag": transit.bag,
        "hold_id": transit.hold_id,
    }  # fmt: skip


def transit_of(row: Any) -> Transit:
    """The transit of a row of ``transits``."""
    return Transit(
        row.id, row.owner, row.item_no, row.start, row.to, row.reason, TransitState(row.state), row.t_open, row.via,
        row.t_sent, row.t_end, row.legs, row.bag, row.hold_id,
    )  # fmt: skip
