"""Items folded from their events: state, loans, transits, conflicts.

The fold's memory of an item is its ``ItemHistory`` with only the open loan and transit in it: the next event can change nothing
else. An event that comes after the last one folded is applied to that memory. Whatever may change what was told already makes the item
fold again from the log: an event that comes late, one that is said again under a new epoch, a clock that was measured better, a
stranger who becomes known. What the new fold no longer finds is taken out of the projections, and every difference is told as a
correction. The log itself is never touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import and_, delete, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.clocks import Clocks
from consortium.corrections import Correction, Projection, diff
from consortium.events import ITEM_KINDS, decode
from consortium.fold import Logged, apply, fold_item
from consortium.identity import org_of_branch
from consortium.states import Conflict, ItemHistory, Loan
from hub.ledger import disputes
from hub.ledger.items import Key, among, split
from hub.ledger.rows import decode_history, is_person, loan_of, loan_row, state_row, transit_of, transit_row
from hub.store.chunks import chunks
from hub.store.engine import execute_rows, upsert
from hub.store.schema import conflicts, cursors, events, item_state, items, loans, subjects, transits

_KINDS = [kind.value for kind in ITEM_KINDS]


@dataclass(frozen=True, slots=True)
class Redone:
    """An item that was folded again: as it was told before, as it is now, which event made it necessary, what differs."""

    before: Projection
    after: ItemHistory
    cause: str
    changes: list[Correction]

    @property
    def key(self) -> Key:
        """(owner, item_no)."""
        return (self.after.owner, self.after.item_no)


@dataclass(slots=True)
class ItemsChanged:
    """What the folds moved: items with the libraries that had them in their replica before, readers whose loans changed.

    ``opened`` and ``ended`` are loans that events in their order opened and ended; what folded again stands in ``redone``.
    """

    items: dict[Key, frozenset[str]] = field(default_factory=dict)
    rids: set[str] = field(default_factory=set)
    conflicts: list[str] = field(default_factory=list)
    opened: list[Loan] = field(default_factory=list)
    ended: list[Loan] = field(default_factory=list)
    redone: list[Redone] = field(default_factory=list)


async def fold_in(
    conn: AsyncConnection,
    logged: Sequence[Logged],
    first_branch: Mapping[str, str],
    now: int,
    *,
    again: Mapping[Key, str] | None = None,
    clocks: Clocks | None = None,
) -> ItemsChanged:
    """Fold these events of items. ``first_branch``: library → its first branch, home of items that no catalogue knows.

    ``again``: items to be folded from the log whatever came, with the event that is the reason. ``now`` in ms UTC.
    """
    groups: dict[Key, list[Logged]] = {key: [] for key in again or ()}
    for one in logged:
        assert one.event.item is not None
        groups.setdefault(one.event.item, []).append(one)
    out = ItemsChanged()
    known = await _memories(conn, list(groups), first_branch)
    late: dict[Key, str] = dict(again or {})
    folded: list[ItemHistory] = []
    for key, new in groups.items():
        history = known[key]
        out.items[key] = _sites(history)
        new.sort(key=_order)
        if key in late:
            continue
        if new[0].event.order <= history.last or any(one.event.reissue_of for one in new):
            late[key] = new[0].event.name
            continue
        out.rids.update([loan.who for loan in history.loans])
        before = {loan.id for loan in history.loans}
        for one in new:
            apply(history, one)
        folded.append(history)
        out.opened += [loan for loan in history.loans if loan.id not in before]
        out.ended += [loan for loan in history.loans if not loan.open]
    out.redone = await _redo(conn, late, known, clocks)
    await _retract(conn, out.redone)
    both = [*folded, *(one.after for one in out.redone)]
    for history in both:
        out.rids.update([loan.who for loan in history.loans])
        out.conflicts += [conflict.kind for conflict in history.conflicts]
    for redone in out.redone:
        out.rids.update(loan.who for loan in redone.before.loans.values())
    out.rids = {rid for rid in out.rids if is_person(rid)}
    await _write(conn, both, now)
    return out


def _order(one: Logged) -> tuple[int, str, str, int]:
    return one.event.order


def _sites(history: ItemHistory) -> frozenset[str]:
    places = {history.owner, org_of_branch(history.branch)}
    if history.loan is not None:
        places.add(org_of_branch(history.loan.place))
    if history.transit is not None:
        places.add(org_of_branch(history.transit.to))
    return frozenset(place for place in places if place)


_MEMORY = select(item_state.c.owner, item_state.c.item_no, item_state.c.history).where(among(item_state))


async def _memories(
    conn: AsyncConnection, keys: Sequence[Key], first_branch: Mapping[str, str]
) -> dict[Key, ItemHistory]:
    out: dict[Key, ItemHistory] = {}
    for part in chunks(keys):
        wanted = set(part)
        for row in await conn.execute(_MEMORY, split(part)):
            if (row.owner, row.item_no) in wanted:
                out[row.owner, row.item_no] = decode_history(row.history)
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


async def _redo(
    conn: AsyncConnection, late: Mapping[Key, str], known: Mapping[Key, ItemHistory], clocks: Clocks | None
) -> list[Redone]:
    if not late:
        return []
    before = await told_before(conn, {key: known[key] for key in late})
    logged = await from_log(conn, list(late), _KINDS, clocks)
    out = []
    for key, cause in late.items():
        after = fold_item(*key, known[key].owner_branch, logged[key])
        out.append(Redone(before[key], after, cause, diff(before[key], Projection.of(after))))
    return out


async def from_log(
    conn: AsyncConnection, keys: Sequence[Key], kinds: Sequence[str], clocks: Clocks | None
) -> dict[Key, list[Logged]]:
    """The events of these kinds inside the prefixes, by item, as clocks and readers are known now."""
    out: dict[Key, list[Logged]] = {key: [] for key in keys}
    e, s, c = events.c, subjects.c, cursors.c
    held = events.join(cursors, and_(c.node == e.node, c.epoch == e.epoch, e.seq <= c.upto)).outerjoin(
        subjects, and_(e.node == s.node, e.epoch == s.epoch, e.seq == s.seq)
    )
    for part in chunks(keys):
        query = (
            select(e.owner, e.item_no, e.body, e.rid, s.srid)
            .select_from(held)
            .where(tuple_(e.owner, e.item_no).in_(part), e.kind.in_(kinds))
        )
        for row in await conn.execute(query):
            event = decode(row.body)
            if clocks is not None:
                event = clocks.corrected(event)
            out[row.owner, row.item_no].append(Logged(event, row.rid, unknown=row.rid is None and row.srid is not None))
    return out


async def told_before(conn: AsyncConnection, known: Mapping[Key, ItemHistory]) -> dict[Key, Projection]:
    """What was told of these items so far: the projections as stored, conflicts of the fold alone."""
    out = {key: Projection(*key, history.status, history.branch, {}, {}, {}) for key, history in known.items()}
    for part in chunks(list(known)):
        for row in await conn.execute(select(loans).where(tuple_(loans.c.owner, loans.c.item_no).in_(part))):
            out[row.owner, row.item_no].loans[row.id] = loan_of(row)
        for row in await conn.execute(select(transits).where(tuple_(transits.c.owner, transits.c.item_no).in_(part))):
            out[row.owner, row.item_no].transits[row.id] = transit_of(row)
        standing = conflicts.c.resolution.is_(None) | (conflicts.c.resolution != disputes.FACTS)
        query = select(
            conflicts.c.id, conflicts.c.kind, conflicts.c.owner, conflicts.c.item_no, conflicts.c.events,
            conflicts.c.t.label("at"),
        ).where(
            tuple_(conflicts.c.owner, conflicts.c.item_no).in_(part), standing,
            conflicts.c.kind.not_in(sorted(disputes.REVIEW_KINDS)),
        )  # fmt: skip
        for row in await conn.execute(query):
            found = Conflict(row.id, row.kind, row.owner, row.item_no, row.events, row.at)
            out[row.owner, row.item_no].conflicts[row.id] = found
    return out


async def _retract(conn: AsyncConnection, redone: Sequence[Redone]) -> None:
    """Take out of the projections what a fold from the start no longer finds; a conflict is resolved by the facts instead."""
    gone_loans: list[str] = []
    gone_transits: list[str] = []
    gone_conflicts: list[str] = []
    for one in redone:
        gone_loans += one.before.loans.keys() - {loan.id for loan in one.after.loans}
        gone_transits += one.before.transits.keys() - {transit.id for transit in one.after.transits}
        gone_conflicts += one.before.conflicts.keys() - {conflict.id for conflict in one.after.conflicts}
    gone_conflicts += [f"{kind}:{loan}" for loan in gone_loans for kind in disputes.REVIEW_KINDS]
    for ids in chunks(gone_loans):
        await conn.execute(delete(loans).where(loans.c.id.in_(ids)))
    for ids in chunks(gone_transits):
        await conn.execute(delete(transits).where(transits.c.id.in_(ids)))
    await disputes.dissolve(conn, gone_conflicts)


async def _write(conn: AsyncConnection, histories: Sequence[ItemHistory], now: int) -> None:
    await execute_rows(conn, upsert(conn, item_state), [state_row(history) for history in histories])
    statement = upsert(conn, loans, keep=("breaches",))  # what the second pass found stays until it looks again
    await execute_rows(conn, statement, [loan_row(loan) for history in histories for loan in history.loans])
    moved = [transit_row(transit) for history in histories for transit in history.transits]
    await execute_rows(conn, upsert(conn, transits), moved)
    found = [disputes.Dispute(one, history.loans) for history in histories for one in history.conflicts]
    if found:
        await disputes.open_(conn, found, now)
