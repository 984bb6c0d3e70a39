"""Items, loans, transits, visits and the conflicts between facts."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Row, and_, false, or_, true

from consortium.conflicts import KINDS
from hub.api import schemas
from hub.api.forms import time_of, time_or_none
from hub.api.lists import Filter, Resource
from hub.api.resources.base import at_branch_of, flag, own, placed, ref, rid_shown, still_open, texts, times, titled
from hub.auth.access import Access
from hub.store import schema as t


def _item(row: Row[Any], access: Access, now: int) -> dict[str, Any]:
    return {
        "item": ref(row),
        "title": row.title,
        "item_type": row.item_type,
        "owner_branch": row.owner_branch,
        "shareable": row.shareable,
        "reference": row.reference,
        "shelf": row.shelf,
        "status": row.status or "SHELVED",
        "branch": row.branch or row.owner_branch,
    }


def _items_visible(access: Access) -> ColumnElement[bool]:
    if access.everywhere:
        return true()
    here = at_branch_of(t.item_state.c.branch, access.library)
    return or_(t.items.c.owner == access.library, t.items.c.shareable.is_(True), here)


_never_moved = t.item_state.c.status.is_(None)
ITEMS = Resource(
    "items", "item",
    t.items.outerjoin(
        t.item_state, and_(t.items.c.owner == t.item_state.c.owner, t.items.c.item_no == t.item_state.c.item_no)
    ),
    (t.items, t.item_state.c.status, t.item_state.c.branch),
    (t.items.c.owner, t.items.c.item_no), (t.items.c.owner, t.items.c.item_no), (str, str), _items_visible, _item,
    {
        **texts(t.items, "owner", "item_no", "item_type", "owner_branch", "shelf"),
        "shareable": flag(t.items.c.shareable),
        "reference": flag(t.items.c.reference),
        "status": Filter(
            lambda value: or_(t.item_state.c.status == value, _never_moved if value == "SHELVED" else false())
        ),
        "branch": Filter(
            lambda value: or_(t.item_state.c.branch == value, and_(_never_moved, t.items.c.owner_branch == value))
        ),
    },
    schemas.ItemOut, newest_first=False,
)  # fmt: skip


def _loan(row: Row[Any], access: Access, now: int) -> dict[str, Any]:
    return {
        "id": row.id,
        "item": ref(row),
        "title": row.title,
        "item_type": row.item_type,
        "rid": rid_shown(row.rid),
        "home": row.home,
        "lender": row.lender,
        "place": row.place,
        "device": row.device,
        "t_out": time_of(row.t_out),
        "due": time_of(row.due),
        "basis": row.basis,
        "flags": [*row.flags, *(row.breaches or ())],
        "renewals": len(row.renewals),
        "open": row.t_end is None,
        "t_end": time_or_none(row.t_end),
        "end_kind": row.end_kind,
        "end_place": row.end_place,
    }


def _loans_visible(access: Access) -> ColumnElement[bool]:
    if access.everywhere:
        return true()
    return or_(t.loans.c.home == access.library, t.loans.c.owner == access.library, t.loans.c.lender == access.library)


LOANS = Resource(
    "loans", "loan", titled(t.loans), (t.loans, t.items.c.title), (t.loans.c.id,), (t.loans.c.t_out, t.loans.c.id),
    (int, str), _loans_visible, _loan,
    {
        **texts(t.loans, "owner", "item_no", "item_type", "rid", "home", "lender", "place", "device", "end_kind", "end_place"),
        **times(t.loans.c.t_out),
        "open": still_open(t.loans.c.t_end),
        "due_before": Filter(lambda value: t.loans.c.due < value, "time", "due before this time"),
    },
    schemas.LoanOut,
)  # fmt: skip


def _transit(row: Row[Any], access: Access, now: int) -> dict[str, Any]:
    return {
        "id": row.id,
        "item": ref(row),
        "title": row.title,
        "start": row.start,
        "to": row.to,
        "via": row.via,
        "reason": row.reason,
        "state": row.state,
        "open": row.t_end is None,
        "t_open": time_of(row.t_open),
        "t_sent": time_or_none(row.t_sent),
        "t_end": time_or_none(row.t_end),
        "legs": row.legs,
    }


def _transits_visible(access: Access) -> ColumnElement[bool]:
    if access.everywhere:
        return true()
    org = access.library
    return or_(t.transits.c.owner == org, at_branch_of(t.transits.c.start, org), at_branch_of(t.transits.c.to, org))


TRANSITS = Resource(
    "transits", "transit", titled(t.transits), (t.transits, t.items.c.title), (t.transits.c.id,),
    (t.transits.c.t_open, t.transits.c.id), (int, str), _transits_visible, _transit,
    {
        **texts(t.transits, "owner", "item_no", "start", "to", "via", "reason", "state"),
        **times(t.transits.c.t_open),
        "open": still_open(t.transits.c.t_end),
    },
    schemas.TransitOut,
)  # fmt: skip


def _visit(row: Row[Any], access: Access, now: int) -> dict[str, Any]:
    return {
        "id": row.id,
        "branch": row.branch,
        "gate": row.gate,
        "rid": rid_shown(row.rid),
        "home": row.home,
        "visitor_class": row.visitor_class,
        "open": row.t_out is None,
        "t_in": time_of(row.t_in),
        "t_out": time_or_none(row.t_out),
        "out_kind": row.out_kind,
        "passage": row.passage,
        "out_passage": row.out_passage,
    }


VISITS = Resource(
    "visits", "visit", t.visits, (t.visits,), (t.visits.c.id,), (t.visits.c.t_in, t.visits.c.id), (int, str),
    placed(t.visits.c.branch), _visit,
    {
        **texts(t.visits, "branch", "gate", "rid", "home", "visitor_class", "out_kind", "passage"),
        **times(t.visits.c.t_in),
        "open": still_open(t.visits.c.t_out),
    },
    schemas.VisitOut,
)  # fmt: skip


def _conflict(row: Row[Any], access: Access, now: int) -> dict[str, Any]:
    known = KINDS.get(row.kind)
    return {
        "id": row.id,
        "kind": row.kind,
        "item": ref(row),
        "text": {"zh": known.zh, "en": known.en} if known is not None else {"zh": row.kind, "en": row.kind},
        "events": row.events,
        "t": time_of(row._mapping["t"]),
        "state": row.state,
        "library": row.library,
        "deadline": time_or_none(row.deadline),
        "default_resolution": row.default_resolution,
        "resolution": row.resolution,
        "settled_by": row.settled_by,
        "codes": row.codes or [],
    }


def _conflicts_visible(access: Access) -> ColumnElement[bool]:
    if access.everywhere:
        return true()
    return or_(t.conflicts.c.owner == access.library, t.conflicts.c.library == access.library)


CONFLICTS = Resource(
    "conflicts", "conflict", t.conflicts, (t.conflicts,), (t.conflicts.c.id,), (t.conflicts.c.t, t.conflicts.c.id),
    (int, str), _conflicts_visible, _conflict,
    {
        **texts(t.conflicts, "kind", "owner", "item_no", "state", "library", "resolution"),
        **times(t.conflicts.c.t),
        "due_before": Filter(lambda value: t.conflicts.c.deadline < value, "time", "its deadline is before this time"),
    },
    schemas.ConflictOut,
)  # fmt: skip


def _correction(row: Row[Any], access: Access, now: int) -> dict[str, Any]:
    return {
        "id": row.id,
        "pos": row.pos,
        "t": time_of(row._mapping["t"]),
        "cause": row.cause,
        "change": row.change,
        "subject": row.subject,
        "item": ref(row),
        "before": row.before,
        "after": row.after,
    }


_NO_ADDRESS = ()  # records are read in their order and have no address of their own

CORRECTIONS = Resource(
    "corrections", "correction", t.corrections, (t.corrections,), _NO_ADDRESS, (t.corrections.c.id,), (int,),
    own(t.corrections.c.owner), _correction,
    {
        **texts(t.corrections, "cause", "change", "subject", "owner", "item_no"),
        **times(t.corrections.c.t),
        "after": Filter(lambda value: t.corrections.c.id > value, "int", "id, exclusive"),
    },
    schemas.CorrectionOut,
)  # fmt: skip


def _charge(row: Row[Any], access: Access, now: int) -> dict[str, Any]:
    return {
        "id": row.id,
        "loan": row.loan,
        "item": ref(row),
        "home": row.home,
        "lender": row.lender,
        "amount": row.amount,
        "cause": row.cause,
        "t": time_of(row._mapping["t"]),
        "pos": row.pos,
    }


def _charges_visible(access: Access) -> ColumnElement[bool]:
    if access.everywhere:
        return true()
    mine = access.library
    return or_(t.charges.c.home == mine, t.charges.c.owner == mine, t.charges.c.lender == mine)


CHARGES = Resource(
    "charges", "charge", t.charges, (t.charges,), _NO_ADDRESS, (t.charges.c.id,), (int,), _charges_visible, _charge,
    {**texts(t.charges, "loan", "owner", "item_no", "home", "lender", "cause"), **times(t.charges.c.t)}, schemas.ChargeOut,
)  # fmt: skip
