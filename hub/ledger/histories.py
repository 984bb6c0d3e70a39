"""Items folded from their events: state, loans, transits, conflicts.

The fold's memory of an item is its ``ItemHistory`` with only the open loan and transit in it: the next event can change nothing
else. An event that comes after the last one folded is applied to that memory; one that comes late makes the item fold again from
the log, and what the new fold no longer finds is taken out of the projections. The log itself is never touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import bindparam, delete, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.events import ITEM_KINDS, decode
from consortium.fold import Logged, apply, fold_item
from consortium.identity import org_of_branch
from consortium.states import Conflict, ItemHistory, Loan, Transit
from hub.ledger.items import Key
from hub.store.chunks import chunks
from hub.store.engine import execute_rows, insert_new, upsert
from hub.store.schema import conflicts, cursors, events, item_state, items, loans, transits

_KINDS = [kind.value for kind in ITEM_KINDS]
_ERASED = "erased:"


@dataclass(slots=True)
class ItemsChanged:
    """What the folds moved: items with the libraries that had them in their replica before, readers whose loans changed."""

    items: dict[Key, frozenset[str]] = field(default_factory=dict)
    rids: set[str] = field(default_factory=set)
    conflicts: list[str] = field(default_factory=list)
    refolded: int = 0


def encode_history(history: ItemHistory) -> str:
    """The fold's memory of an item as JSON, closed loans and transits left out."""
    memory = ItemHistory(
        history.owner, history.item_no, history.owner_branch, history.status, history.branch, history.circ_branch,
        [loan for loan in history.loans[-1:] if loan.open], [transit for transit in history.transits[-1:] if transit.open],
        last=history.last,
    )  # fmt: skip
    return msgspec.json.encode(memory).decode()


def decode_history(text: str) -> ItemHistory:
    """The memory back."""
    return msgspec.json.decode(text, type=ItemHistory)


async def fold_in(conn: AsyncConnection, logged: Sequence[Logged], first_branch: dict[str, str]) -> ItemsChanged:
    """Fold these events of items. ``first_branch``: library → its first branch, home of items that no catalogue knows."""
    groups: dict[Key, list[Logged]] = {}
    for one in logged:
        assert one.event.item is not None
        groups.setdefault(one.event.item, []).append(one)
    out = ItemsChanged()
    known = await _memories(conn, list(groups), first_branch)
    late: list[Key] = []
    folded: list[ItemHistory] = []
    for key, new in groups.items():
        history = known[key]
        out.items[key] = _sites(history)
        new.sort(key=lambda one: one.event.order)
        if new[0].event.order <= history.last:
            late.append(key)
            continue
        out.rids.update(loan.who for loan in history.loans)
        for one in new:
            apply(history, one)
        folded.append(history)
    again = await _refold(conn, late, known)
    out.refolded = len(again)
    await _retract(conn, again, out)
    for history in (*folded, *again):
        out.rids.update(loan.who for loan in history.loans)
        out.conflicts += [conflict.kind for conflict in history.conflicts]
    out.rids = {rid for rid in out.rids if not rid.startswith(_ERASED)}
    await _write(conn, [*folded, *again])
    return out


def _sites(history: ItemHistory) -> frozenset[str]:
    places = {history.owner, org_of_branch(history.branch)}
    if history.loan is not None:
        places.add(org_of_branch(history.loan.place))
    if history.transit is not None:
        places.add(org_of_branch(history.transit.to))
    return frozenset(place for place in places if place)


_MEMORY = select(item_state.c.history).where(
    tuple_(item_state.c.owner, item_state.c.item_no).in_(bindparam("keys", expanding=True))
)


async def _memories(conn: AsyncConnection, keys: Sequence[Key], first_branch: dict[str, str]) -> dict[Key, ItemHistory]:
    out: dict[Key, ItemHistory] = {}
    for part in chunks(keys):
        for text in (await conn.execute(_MEMORY, {"keys": part})).scalars():
            history = decode_history(text)
            out[history.owner, history.item_no] = history
    fresh = [key for key in keys if key not in out]
    for part in chunks(fresh):
        homes = select(items.c.owner, items.c.item_no, items.c.owner_branch).where(
            tuple_(items.c.owner, items.c.item_no).in_(part)
        )
        for row in await conn.execute(homes):
            out[row.owner, row.item_no] = ItemHistory(row.owner, row.item_no, row.owner_branch)
    for key in fresh:
        if key not in out:
            out[key] = ItemHistory(*key, first_branch.get(key[0], ""))
    return out


async def _refold(conn: AsyncConnection, keys: Sequence[Key], known: dict[Key, ItemHistory]) -> list[ItemHistory]:
    logged: dict[Key, list[Logged]] = {key: [] for key in keys}
    inside = (cursors.c.node == events.c.node) & (cursors.c.epoch == events.c.epoch) & (events.c.seq <= cursors.c.upto)
    for part in chunks(keys):
        query = (
            select(events.c.owner, events.c.item_no, events.c.body, events.c.rid)
            .select_from(events.join(cursors, inside))
            .where(tuple_(events.c.owner, events.c.item_no).in_(part), events.c.kind.in_(_KINDS))
        )
        for row in await conn.execute(query):
            logged[row.owner, row.item_no].append(Logged(decode(row.body), row.rid))
    return [fold_item(*key, known[key].owner_branch, found) for key, found in logged.items()]


async def _retract(conn: AsyncConnection, again: Sequence[ItemHistory], out: ItemsChanged) -> None:
    """Take out of the projections what a fold from the start no longer finds; a conflict is resolved by the facts instead."""
    keys = [(history.owner, history.item_no) for history in again]
    loans_now = {loan.id for history in again for loan in history.loans}
    transits_now = {transit.id for history in again for transit in history.transits}
    conflicts_now = {conflict.id for history in again for conflict in history.conflicts}
    for part in chunks(keys):
        stored = await conn.execute(
            select(loans.c.id, loans.c.rid).where(tuple_(loans.c.owner, loans.c.item_no).in_(part))
        )
        gone = []
        for row in stored:
            out.rids.add(row.rid)
            if row.id not in loans_now:
                gone.append(row.id)
        found = select(transits.c.id).where(tuple_(transits.c.owner, transits.c.item_no).in_(part))
        left = [one for one in (await conn.execute(found)).scalars() if one not in transits_now]
        found = select(conflicts.c.id).where(
            tuple_(conflicts.c.owner, conflicts.c.item_no).in_(part), conflicts.c.state != "RESOLVED"
        )
        settled = [one for one in (await conn.execute(found)).scalars() if one not in conflicts_now]
        for ids in chunks(gone):
            await conn.execute(delete(loans).where(loans.c.id.in_(ids)))
        for ids in chunks(left):
            await conn.execute(delete(transits).where(transits.c.id.in_(ids)))
        for ids in chunks(settled):
            await conn.execute(
                update(conflicts).where(conflicts.c.id.in_(ids)).values(state="RESOLVED", resolution="facts")
            )
    for ids in chunks(sorted(conflicts_now)):
        reopened = (conflicts.c.id.in_(ids)) & (conflicts.c.resolution == "facts")
        await conn.execute(update(conflicts).where(reopened).values(state="OPEN", resolution=None))


async def _write(conn: AsyncConnection, histories: Sequence[ItemHistory]) -> None:
    await execute_rows(conn, upsert(conn, item_state), [_state_row(history) for history in histories])
    await execute_rows(conn, upsert(conn, loans), [_loan_row(loan) for history in histories for loan in history.loans])
    moved = [_transit_row(transit) for history in histories for transit in history.transits]
    await execute_rows(conn, upsert(conn, transits), moved)
    found = [_conflict_row(conflict) for history in histories for conflict in history.conflicts]
    await execute_rows(conn, insert_new(conn, conflicts), found)


def _state_row(history: ItemHistory) -> dict[str, Any]:
    loan, transit = history.loan, history.transit
    return {
        "owner": history.owner, "item_no": history.item_no, "status": history.status.value, "branch": history.branch,
        "circ_branch": history.circ_branch, "loan_id": loan.id if loan else None,
        "transit_id": transit.id if transit else None, "history": encode_history(history),
    }  # fmt: skip


def _loan_row(loan: Loan) -> dict[str, Any]:
    return {
        "id": loan.id, "owner": loan.owner, "item_no": loan.item_no, "item_type": loan.item_type, "rid": loan.who,
        "home": loan.home, "lender": org_of_branch(loan.place), "place": loan.place, "device": loan.device,
        "t_out": loan.t_out, "due": loan.due, "basis": loan.basis, "flags": loan.flags, "renewals": loan.renewals,
        "t_end": loan.t_end, "end_kind": loan.end_kind.value if loan.end_kind else None, "end_event": loan.end_event,
        "end_place": loan.end_place,
    }  # fmt: skip


def _transit_row(transit: Transit) -> dict[str, Any]:
    return {
        "id": transit.id, "owner": transit.owner, "item_no": transit.item_no, "start": transit.start, "to": transit.to,
        "via": transit.via, "reason": transit.reason, "state": transit.state.value, "t_open": transit.t_open,
        "t_sent": transit.t_sent, "t_end": transit.t_end, "legs": transit.legs,
    }  # fmt: skip


def _conflict_row(conflict: Conflict) -> dict[str, Any]:
    return {
        "id": conflict.id, "kind": conflict.kind, "owner": conflict.owner, "item_no": conflict.item_no,
        "events": conflict.events, "t": conflict.t, "state": "OPEN", "resolution": None,
    }  # fmt: skip
