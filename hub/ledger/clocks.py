"""Clocks measured better, later: CLOCK_CORRECTED events as the ledger reads them (domain §1).

The corrections are events of the log and nothing else. Each transaction asks whether the log has more of them than this process has
read, because another worker may have written one, or a transaction that had written one was rolled back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import bindparam, func, literal_column, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.clocks import Clocks, Correction
from consortium.events import HOLD_KINDS, ITEM_KINDS, VISIT_KINDS, Kind, decode
from hub.ledger.items import Key
from hub.store.chunks import chunks
from hub.store.schema import IS_RARE, events

_IS_CORRECTION = (IS_RARE, events.c.kind == literal_column("'CLOCK_CORRECTED'"))
# Newest by position, told without ORDER BY: to give an order SQLite would walk the log itself and not the index of rare kinds.
_POS = select(func.max(events.c.pos)).where(*_IS_CORRECTION).scalar_subquery()
_NEWEST = select(events.c.pos, events.c.hash).where(events.c.pos == _POS)
_ALL = select(events.c.body).where(*_IS_CORRECTION)


class ClockBook:
    """The corrections in the log, read again where the log has others than those read last."""

    __slots__ = ("_clocks", "_newest")

    def __init__(self) -> None:
        self._newest: tuple[int, str] | None = None
        self._clocks: Clocks | None = None

    async def read(self, conn: AsyncConnection) -> Clocks | None:
        """The clocks as the log knows them at this point of the transaction; None = nothing was ever corrected."""
        row = (await conn.execute(_NEWEST)).one_or_none()
        newest = None if row is None else (row.pos, row.hash)
        if newest != self._newest:
            bodies = (await conn.execute(_ALL)).scalars()
            self._clocks = Clocks(decode(body) for body in bodies) if newest is not None else None
            self._newest = newest
        return self._clocks


@dataclass(slots=True)
class Moved:
    """What a correction concerns: items and readers' visits by place, each with the CLOCK_CORRECTED that moved it."""

    items: dict[Key, str] = field(default_factory=dict)
    visits: dict[tuple[str, str], str] = field(default_factory=dict)
    holds: set[Key] = field(default_factory=set)
    alone: list[tuple[str, str, int]] = field(default_factory=list)
    """Events of visits that are nobody's: (node, epoch, seq)."""


_PLACE = update(events).where(events.c.pos == bindparam("at")).values(t_eff=bindparam("t"))
_ITEMS = frozenset(kind.value for kind in ITEM_KINDS)
_HOLDS = frozenset(kind.value for kind in HOLD_KINDS)
_VISITS = frozenset(kind.value for kind in VISIT_KINDS)


async def move(conn: AsyncConnection, clocks: Clocks, found: Sequence[tuple[str, Correction]]) -> Moved:
    """Let the log's own column of times follow these corrections (name of the event, what it says); tells what has to fold again."""
    out = Moved()
    for name, one in found:
        query = select(
            events.c.pos, events.c.kind, events.c.branch, events.c.owner, events.c.item_no, events.c.rid, events.c.body,
            events.c.seq,
        ).where(
            events.c.node == one.node, events.c.epoch == one.epoch, events.c.seq.between(one.first, one.last)
        )  # fmt: skip
        rows = (await conn.execute(query)).all()
        for row in rows:
            if row.owner is not None and row.kind in _ITEMS:
                out.items[row.owner, row.item_no] = name
            elif row.owner is not None and row.kind in _HOLDS:
                out.holds.add((row.owner, row.item_no))
            elif row.kind in _VISITS and row.rid is not None:
                out.visits[row.rid, row.branch] = name
            elif row.kind == Kind.ENTRY.value:
                out.alone.append((one.node, one.epoch, row.seq))
        for part in chunks(rows):
            times = [{"at": row.pos, "t": clocks.corrected(decode(row.body)).t_eff} for row in part]
            await conn.execute(_PLACE, times)
    return out
