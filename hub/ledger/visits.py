"""Visits folded from ENTRY and EXIT, per reader and branch.

A reader's last event and open visit stand in ``presence``; what comes after them is folded onto them, what comes late makes the
reader's visits at that branch fold again from the log. An erased reader's visit stands alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

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


async def fold_in(conn: AsyncConnection, logged: Sequence[Logged]) -> int:
    """Fold these events into visits; gives how many readers' visits had to be folded from the start."""
    groups: dict[Place, list[Logged]] = {}
    alone: list[Visit] = []
    for one in logged:
        if one.who is None:
            alone += fold_visits([one])
        else:
            groups.setdefault((one.who, one.event.branch), []).append(one)
    known = await _known(conn, list(groups))
    late = [place for place, new in groups.items() if min(e.event.order for e in new) <= _last(known.get(place))]
    from_log = await _logged(conn, late)
    visit_rows = [_visit_row(visit) for visit in alone]
    presence_rows = []
    for place, new in groups.items():
        if place in from_log:
            folded = fold_visits([*from_log[place], *new])
            last = max(one.event.order for one in (*from_log[place], *new))
        else:
            folded = fold_visits([*_seed(known.get(place)), *new])
            last = max(one.event.order for one in new)
        visit_rows += [_visit_row(visit) for visit in folded]
        open_visit = folded[-1].id if folded and folded[-1].t_out is None else None
        presence_rows.append(
            {"rid": place[0], "branch": place[1], "t_eff": last[0], "node": last[1], "epoch": last[2], "seq": last[3],
             "visit_id": open_visit}
        )  # fmt: skip
    await execute_rows(conn, upsert(conn, visits), visit_rows)
    await execute_rows(conn, upsert(conn, presence), presence_rows)
    return len(late)


_KNOWN = (
    select(*presence.c, visits.c.gate, visits.c.home, visits.c.visitor_class, visits.c.t_in)
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
        {"home": row.home, "class": row.visitor_class},
    )  # fmt: skip
    return [Logged(entry, row.rid)]


async def _logged(conn: AsyncConnection, places: Sequence[Place]) -> dict[Place, list[Logged]]:
    out: dict[Place, list[Logged]] = {place: [] for place in places}
    inside = (cursors.c.node == events.c.node) & (cursors.c.epoch == events.c.epoch) & (events.c.seq <= cursors.c.upto)
    for part in chunks(places):
        query = (
            select(events.c.body, events.c.rid, events.c.branch)
            .select_from(events.join(cursors, inside))
            .where(tuple_(events.c.rid, events.c.branch).in_(part), events.c.kind.in_(_KINDS))
        )
        for row in await conn.execute(query):
            out[row.rid, row.branch].append(Logged(decode(row.body), row.rid))
    return out


def _visit_row(visit: Visit) -> dict[str, Any]:
    return {
        "id": visit.id, "branch": visit.branch, "gate": visit.gate, "rid": visit.who, "home": visit.home,
        "visitor_class": visit.visitor_class, "t_in": visit.t_in, "t_out": visit.t_out,
        "out_kind": visit.out_kind.value if visit.out_kind else None, "out_event": visit.out_event,
    }  # fmt: skip
