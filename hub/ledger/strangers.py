"""Readers that nobody had registered when their events came: found again once a library has (domain §6, CF_UNKNOWN_CARD).

Who a logged event was about is the hub's own reading of the srid beside it, kept in a column of its own: setting that later changes
nothing of the event. What was folded without it folds again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, delete, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.events import HOLD_KINDS, ITEM_KINDS, VISIT_KINDS
from consortium.fold import Logged
from hub.ledger.items import Key
from hub.store.chunks import chunks
from hub.store.schema import events, site_readers, strangers, subjects

_W, _E, _S, _R = strangers.c, events.c, subjects.c, site_readers.c
_NOW_CALLED = (  # a subquery, so that every database begins with the strangers, who are few, and not with the log
    select(_R.rid)
    .select_from(subjects.join(site_readers, _R.srid == _S.srid))
    .where(_S.node == _W.node, _S.epoch == _W.epoch, _S.seq == _W.seq, _R.org == _W.org)
    .correlate(strangers)
    .scalar_subquery()
)
_FOUND = select(_W.node, _W.epoch, _W.seq, _NOW_CALLED.label("rid")).where(_NOW_CALLED.is_not(None))
_LOGGED = select(_E.node, _E.epoch, _E.seq, _E.pos, _E.kind, _E.branch, _E.owner, _E.item_no)
_NAME = update(events).where(_E.pos == bindparam("at")).values(rid=bindparam("who"))
_FORGET = delete(strangers).where(
    _W.node == bindparam("of_node"), _W.epoch == bindparam("of_epoch"), _W.seq == bindparam("of_seq")
)
_ITEMS = frozenset(kind.value for kind in ITEM_KINDS)
_HOLDS = frozenset(kind.value for kind in HOLD_KINDS)
_VISITS = frozenset(kind.value for kind in VISIT_KINDS)


@dataclass(slots=True)
class Recognised:
    """What folds again now that its reader is known: items and visits by place, each with the event that is the reason."""

    names: dict[str, str] = field(default_factory=dict)
    """Every event recognised: its id → rid."""
    items: dict[Key, str] = field(default_factory=dict)
    visits: dict[tuple[str, str], str] = field(default_factory=dict)
    holds: set[Key] = field(default_factory=set)


def named(one: Logged, met: Recognised) -> Logged:
    """An event with its reader, where they were just recognised."""
    rid = met.names.get(one.event.name)
    return one if rid is None else Logged(one.event, rid)


async def recognise(conn: AsyncConnection) -> Recognised:
    """Give every logged event whose reader has been registered since its rid."""
    out = Recognised()
    called = {(row.node, row.epoch, row.seq): row.rid for row in await conn.execute(_FOUND)}
    rows: list[Any] = []
    for part in chunks(list(called)):
        rows += await conn.execute(_LOGGED.where(tuple_(_E.node, _E.epoch, _E.seq).in_(part)))
    for row in sorted(rows, key=lambda one: int(one.pos)):
        rid = called[row.node, row.epoch, row.seq]
        name = f"{row.node}/{row.epoch}/{row.seq}"
        out.names[name] = rid
        if row.owner is not None and row.kind in _ITEMS:
            out.items.setdefault((row.owner, row.item_no), name)
        elif row.owner is not None and row.kind in _HOLDS:
            out.holds.add((row.owner, row.item_no))
        elif row.kind in _VISITS:
            out.visits.setdefault((rid, row.branch), name)
    for some in chunks(rows):
        await conn.execute(_NAME, [{"at": row.pos, "who": called[row.node, row.epoch, row.seq]} for row in some])
        done = [{"of_node": row.node, "of_epoch": row.epoch, "of_seq": row.seq} for row in some]
        await conn.execute(_FORGET, done)
    return out
