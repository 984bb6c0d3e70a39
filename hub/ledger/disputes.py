"""Conflicts as they stand: whose each is, by when, and what became of it (``consortium.conflicts``)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.conflicts import assign
from consortium.events import Event
from consortium.states import Conflict, Loan
from hub.store.chunks import chunks
from hub.store.engine import execute_rows, upsert
from hub.store.schema import conflicts

FACTS = "facts"
"""Resolution of a conflict that later facts took back: nobody had to settle it."""

REVIEW_KINDS = frozenset(
    {
        "CF_READER_BLOCKED_MEANWHILE",
        "CF_CARD_REVOKED_MEANWHILE",
        "CF_AGREEMENT_ENDED",
        "CF_LIMIT_EXCEEDED",
        "CF_HELD_FOR_OTHER",
        "CF_ITEM_NOT_LENDABLE",
    }
)
"""Kinds that the second pass finds (``hub.ledger.review``); the fold of an item finds the others."""


@dataclass(frozen=True, slots=True)
class Dispute:
    """A conflict to be written: with the loans of its item, and the codes that speak against one of them."""

    conflict: Conflict
    loans: Sequence[Loan] = ()
    codes: tuple[str, ...] = ()


async def open_(conn: AsyncConnection, found: Sequence[Dispute], now: int) -> None:
    """Write these conflicts down; one that facts had taken back stands again.

    Of one that is there already, later facts may change what it is about and so whose it is, never what became of it or by when.
    """
    statement = upsert(conn, conflicts, keep=("state", "resolution", "deadline", "settled_by"))
    await execute_rows(conn, statement, [_row(one, now) for one in found])
    for ids in chunks(sorted({one.conflict.id for one in found})):
        again = conflicts.c.id.in_(ids) & (conflicts.c.resolution == FACTS)
        by_rule = conflicts.c.deadline.is_(None) & (conflicts.c.default_resolution != "")
        # Both conditions speak of the row as it was: the rule's first, then what is still "facts".
        settled = {"state": "RESOLVED", "resolution": conflicts.c.default_resolution}
        await conn.execute(update(conflicts).where(again & by_rule).values(settled))
        await conn.execute(update(conflicts).where(again).values(state="OPEN", resolution=None))


async def dissolve(conn: AsyncConnection, ids: Iterable[str]) -> None:
    """Later facts agree: these are resolved, unless somebody settled them, which stays on record."""
    for part in chunks(sorted(set(ids))):
        gone = conflicts.c.id.in_(part) & conflicts.c.settled_by.is_(None)
        await conn.execute(update(conflicts).where(gone).values(state="RESOLVED", resolution=FACTS))


async def standing(conn: AsyncConnection, ids: Iterable[str]) -> list[str]:
    """Those of these conflicts that there are and that facts have not taken back, by id."""
    out: list[str] = []
    for part in chunks(sorted(set(ids))):
        query = select(conflicts.c.id).where(
            conflicts.c.id.in_(part), conflicts.c.resolution.is_(None) | (conflicts.c.resolution != FACTS)
        )
        out += (await conn.execute(query.order_by(conflicts.c.id))).scalars()
    return out


async def settle(conn: AsyncConnection, events: Iterable[Event]) -> None:
    """Take what CONFLICT_SETTLED events say, the last one last. One about a conflict that nobody found changes nothing."""
    for event in sorted(events, key=lambda one: one.order):
        settled = {"state": "RESOLVED", "resolution": event.data["resolution"], "settled_by": event.name}
        await conn.execute(update(conflicts).where(conflicts.c.id == event.data["conflict"]).values(settled))


@dataclass(frozen=True, slots=True)
class Due:
    """A conflict whose deadline has passed, and what is done then. ``owner``: library of its item, which always has a branch."""

    id: str
    owner: str
    default: str


async def due(conn: AsyncConnection, now: int, *, most: int = 200) -> list[Due]:
    """Open conflicts whose deadline has passed, the oldest first."""
    query = (
        select(conflicts.c.id, conflicts.c.owner, conflicts.c.default_resolution)
        .where(conflicts.c.state == "OPEN", conflicts.c.deadline <= now)
        .order_by(conflicts.c.deadline, conflicts.c.id)
        .limit(most)
    )
    return [Due(*row) for row in await conn.execute(query)]


def _row(one: Dispute, now: int) -> dict[str, Any]:
    conflict = one.conflict
    # Days to settle it run from when the hub learned of it: what an offline branch brings late is not overdue on arrival.
    # The loan it names says whose it is; one that ended with such an event only where none is named.
    named = [loan for loan in one.loans if loan.id in conflict.events]
    assigned = assign(replace(conflict, t=max(conflict.t, now)), named or one.loans)
    by_rule = assigned.by_rule
    return {
        "id": conflict.id, "kind": conflict.kind, "owner": conflict.owner, "item_no": conflict.item_no,
        "events": conflict.events, "t": conflict.t, "state": "RESOLVED" if by_rule else "OPEN",
        "resolution": assigned.default.value if by_rule else None, "library": assigned.library,
        "deadline": None if by_rule else assigned.deadline, "default_resolution": assigned.default.value,
        "codes": list(one.codes) or None,
    }  # fmt: skip
