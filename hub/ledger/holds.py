"""Holds folded from their own events and those of the item they wait for (``consortium.holds``).

A title's holds are few and its history is short, so an item that somebody waits for folds its holds anew whenever it moves.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.clocks import Clocks
from consortium.events import HOLD_KINDS, Kind
from consortium.fold import Logged
from consortium.holds import fold_holds
from consortium.states import Hold, HoldState
from hub.ledger.histories import from_log
from hub.ledger.items import Key, among, split
from hub.store.chunks import chunks
from hub.store.engine import execute_rows, upsert
from hub.store.schema import holds

_MOVES = frozenset({Kind.CHECKOUT, Kind.RETURN, Kind.RECEIVE})
_KINDS = sorted(kind.value for kind in HOLD_KINDS | _MOVES)
_WAITED_FOR = select(holds).where(among(holds))


async def fold_in(
    conn: AsyncConnection, covered: Sequence[Logged], redone: Set[Key], clocks: Clocks | None
) -> dict[Key, list[Hold]]:
    """Fold the holds of every item that these events are about, or that was folded again; gives all holds on them, by item."""
    spoken_of: set[Key] = {one.event.item for one in covered if one.event.kind in HOLD_KINDS and one.event.item}
    moved: set[Key] = {one.event.item for one in covered if one.event.kind in _MOVES and one.event.item}
    known = await on(conn, sorted(spoken_of | moved | set(redone)))
    waiting = {key for key, found in known.items() if any(hold.open for hold in found)}
    again = sorted(spoken_of | waiting | (known.keys() & redone))
    if not again:
        return known
    logged = await from_log(conn, again, _KINDS, clocks)
    folded = [hold for key in again for hold in fold_holds(logged[key])]
    # A hold's id is its own for ever: another item's hold does not get it by saying it.
    owners: dict[str, Key] = {}
    for part in chunks([hold.id for hold in folded]):
        query = select(holds.c.id, holds.c.owner, holds.c.item_no).where(holds.c.id.in_(part))
        owners.update({row.id: (row.owner, row.item_no) for row in await conn.execute(query)})
    mine = [
        hold for hold in folded if owners.setdefault(hold.id, (hold.owner, hold.item_no)) == (hold.owner, hold.item_no)
    ]
    await execute_rows(conn, upsert(conn, holds), [_row(hold) for hold in mine])
    for key in again:
        kept = {hold.id: hold for hold in known.get(key, ())}
        kept.update({hold.id: hold for hold in mine if (hold.owner, hold.item_no) == key})
        known[key] = list(kept.values())
    return known


async def on(conn: AsyncConnection, keys: Sequence[Key]) -> dict[Key, list[Hold]]:
    """Every hold there is or was on these items, by item; items without any are left out."""
    out: dict[Key, list[Hold]] = {}
    for part in chunks(keys):
        wanted = set(part)
        for row in await conn.execute(_WAITED_FOR, split(part)):
            if (row.owner, row.item_no) not in wanted:
                continue
            hold = Hold(
                row.id, row.owner, row.item_no, row.rid, row.pickup_branch, row.placed_ms, HoldState(row.state), row.expiry_ms,
                row.ready_ms, row.ended_ms, row.loan_id,
            )  # fmt: skip
            out.setdefault((row.owner, row.item_no), []).append(hold)
    return out


def _row(hold: Hold) -> dict[str, Any]:
    return {
        "id": hold.id, "rid": hold.who, "owner": hold.owner, "item_no": hold.item_no, "pickup_branch": hold.pickup,
        "placed_ms": hold.t, "state": hold.state.value, "expiry_ms": hold.expiry, "ready_ms": hold.t_ready,
        "ended_ms": hold.t_end, "loan_id": hold.loan,
    }  # fmt: skip
