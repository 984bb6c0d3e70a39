"""Visits folded from ENTRY and EXIT, per reader and branch.

A reader's last event and open visit stand in ``presence``; what comes after them is folded onto them, what comes late or is said
again makes the reader's visits at that branch fold again from the log. The visit of an erased or unregistered reader stands alone.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import bindparam, delete, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.clocks import Clocks
from consortium.events import VISIT_KINDS, Event, Kind, decode
from consortium.fold import Logged, fold_visits
from consortium.identity import EventId
from consortium.states import Visit
from hub.store.chunks import chunks
from hub.store.engine import execute_rows, upsert
from hub.store.schema import cursors, events, presence, visits

_KINDS = [kind.value for kind in VISIT_KINDS]
Place = tuple[str, str]
"""(rid, branch)."""


async def fold_in(
    conn: AsyncConnection, logged: Sequence[Logged], again: Collection[Place] = (), clocks: Clocks | None = None
) -> int:
    """Fold these events into visits; gives how many readers' visits had to be folded from the start.

    ``again``: readers and branches to be folded from the log whatever came.
    """
    groups: dict[Place, list[Logged]] = {place: [] for place in again}
    alone: list[Visit] = []
    for one in logged:
        if one.who is None:
            alone += fold_visits([one])
        else:
            groups.setdefault((one.who, one.event.branch), []).append(one)
    known = await _known(conn, list(groups))
    late = [place for place, new in groups.items() if place in again or _comes_late(new, known.get(place))]
    from_log = await _logged(conn, late, clocks)
    visit_rows = [_visit_row(visit) for visit in alone]
    presence_rows = []
    for place, new in groups.items():
        if place in from_log:
            new = from_log[place]
            folded = fold_visits(new)
        else:
            folded = fold_visits([*_seed(known.get(place)), *new])
        visit_rows += [_visit_row(visit) for visit in folded]
        if not new:
            continue
        last = max(one.event.order for one in new)
        open_visit = folded[-1].id if folded and folded[-1].t_out is None else None
        presence_rows.append(
            {"rid": place[0], "branch": place[1], "t_eff": last[0], "node": last[1], "epoch": last[2], "seq": last[3],
             "visit_id": open_visit}
        )  # fmt: skip
    for part in chunks(late):
        await conn.execute(delete(visits).where(tuple_(visits.c.rid, visits.c.branch).in_(part)))
    await execute_rows(conn, upsert(conn, visits), visit_rows)
    await execute_rows(conn, upsert(conn, presence), presence_rows)
    return len(late)


def _comes_late(new: Sequence[Logged], row: Any) -> bool:
    return any(one.event.reissue_of for one in new) or min(one.event.order for one in new) <= _last(row)


async def fold_alone(conn: AsyncConnection, names: Sequence[tuple[str, str, int]], clocks: Clocks) -> None:
    """Fold the visits of these ENTRY events again, which are nobody's and stand alone."""
    found: list[Visit] = []
    for part in chunks(names):
        query = select(events.c.body).where(
            tuple_(events.c.node, events.c.epoch, events.c.seq).in_(part), events.c.rid.is_(None)
        )
        for body in (await conn.execute(query)).scalars():
            found += fold_visits([Logged(clocks.corrected(decode(body)))])
    await execute_rows(conn, upsert(conn, visits), [_visit_row(visit) for visit in found])


_KNOWN = (
    select(*presence.c, visits.c.gate, visits.c.home, visits.c.visitor_class, visits.c.t_in, visits.c.passage)
    .select_from(presence.outerjoin(visits, visits.c.id == presence.c.visit_id))
    .where(tuple_(presence.c.rid, presence.c.branch).in_(bindparam("places", expanding=True)))
)


async def _known(conn: AsyncConnection, places: Sequence[Place]) -> dict[Place, Any]:
    out: dict[Place, Any] = {}
    for part in chunks(places):
        out.update({(row.rid, row.branch): row for row in await conn.execute(_KNOWN, {"places": part})})
    return out


def _last(row: Any) -> tuple[int, str, str, int]:
    return (0, "", "", 0) if row is None else (row.t_eff, row.node, row.epoch, row.seq)


def _seed(row: Any) -> list[Logged]:
    """The open visit as the ENTRY that began it: all that the fold reads of it stands in the visit."""
    if row is None or row.visit_id is None:
        return []
    at = EventId.parse(row.visit_id)
    entry = Event(
        at.node, at.epoch, at.seq, Kind.ENTRY, row.branch, row.gate, row.t_in, row.t_in, 0, 0, "",
        {"home": row.home, "class": row.visitor_class, "passage": row.passage},
    )  # fmt: skip
    return [Logged(entry, row.rid)]


async def _logged(conn: AsyncConnection, places: Sequence[Place], clocks: Clocks | None) -> dict[Place, list[Logged]]:
    out: dict[Place, list[Logged]] = {place: [] for place in places}
    inside = (cursors.c.node == events.c.node) & (cursors.c.epoch == events.c.epoch) & (events.c.seq <= cursors.c.upto)
    for part in chunks(places):
        query = (
            select(events.c.body, events.c.rid, events.c.branch)
            .select_from(events.join(cursors, inside))
            .where(tuple_(events.c.rid, events.c.branch).in_(part), events.c.kind.in_(_KINDS))
        )
        for row in await conn.execute(query):
            event = decode(row.body)
            out[row.rid, row.branch].append(Logged(event if clocks is None else clocks.corrected(event), row.rid))
    return out


def _visit_row(visit: Visit) -> dict[str, Any]:
    return {
        "id": visit.id, "branch": visit.branch, "gate": visit.gate, "rid": visit.who, "home": visit.home,
        "visitor_class": visit.visitor_class, "t_in": visit.t_in, "t_out": visit.t_out,
        "out_kind": visit.out_kind.value if visit.out_kind else None, "out_event": visit.out_event,
        "passage": visit.passage, "out_passage": visit.out_passage,
    }  # fmt: skip
