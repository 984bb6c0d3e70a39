"""The overview: what is going on now, branch by branch, in one answer made of counts over the store."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from sqlalchemy import RowMapping, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.bundle import Policy
from hub.api.forms import time_of, time_or_none
from hub.api.lists import Query, count, fetch
from hub.api.presence import DEVICE_STATES, contact, unknown_since
from hub.api.problems import documented
from hub.api.resources import CONFLICTS, DECISIONS, DEVICES, LOANS, TRANSITS
from hub.api.schemas import DeviceOut, Names, Out, Time
from hub.api.services import Reads
from hub.auth.access import Access
from hub.store import schema as t

__all__ = ["overview", "router"]

HOUR_MS = 3_600_000
MAX_DEVICES = 1_000
"""Devices an overview carries; a consortium with more reads ``/devices`` page by page."""

router = APIRouter()


class BranchNowOut(Out):
    """A branch now. ``contact``: online, offline, silent or never; ``since`` and ``last_seen`` are null where it never connected.

    ``inside`` counts readers whose last word from that branch was an entry, ``inside_partners`` partner readers among them.
    """

    id: str
    library: str
    name: Names
    capacity: int | None
    open_now: bool
    inside: int
    inside_partners: int
    contact: str
    since: Time | None
    last_seen: Time | None
    devices: dict[str, int]


class CountsOut(Out):
    """Counts over everything that exists for the caller."""

    open_loans: int
    overdue_loans: int
    open_transits: int
    open_conflicts: int
    refusals_last_hour: int


class OverviewOut(Out):
    """What is going on at ``t``."""

    t: Time
    counts: CountsOut
    branches: list[BranchNowOut]
    devices: list[DeviceOut]


async def overview(conn: AsyncConnection, access: Access, policy: Policy | None, now: int) -> dict[str, Any]:
    """The overview as ``access`` may see it at ``now`` (ms UTC)."""
    devices = await _devices(conn, access, now)
    return {
        "t": time_of(now),
        "counts": await _counts(conn, access, now),
        "branches": await _branches(conn, access, policy, devices, now),
        "devices": devices,
    }


async def _devices(conn: AsyncConnection, access: Access, now: int) -> list[dict[str, Any]]:
    return (await fetch(conn, DEVICES, access, Query((), MAX_DEVICES), now)).items


async def _counts(conn: AsyncConnection, access: Access, now: int) -> dict[str, int]:
    still = t.loans.c.t_end.is_(None)
    denied = t.decisions.c.outcome != "ALLOW"
    return {
        "open_loans": await count(conn, LOANS, access, still),
        "overdue_loans": await count(conn, LOANS, access, still, t.loans.c.due < now),
        "open_transits": await count(conn, TRANSITS, access, t.transits.c.t_end.is_(None)),
        "open_conflicts": await count(conn, CONFLICTS, access, t.conflicts.c.state == "OPEN"),
        "refusals_last_hour": await count(conn, DECISIONS, access, denied, t.decisions.c.t >= now - HOUR_MS),
    }


async def _inside(conn: AsyncConnection) -> dict[tuple[str, str], int]:
    # Counted as decisions count it (hub.decide.facts.house): what the console shows is what BRANCH_FULL goes by.
    statement = (
        select(t.visits.c.branch, t.visits.c.visitor_class, func.count())
        .select_from(t.presence.join(t.visits, t.visits.c.id == t.presence.c.visit_id))
        .group_by(t.visits.c.branch, t.visits.c.visitor_class)
    )
    return {(branch, kind): n for branch, kind, n in (await conn.execute(statement)).all()}


async def _branches(
    conn: AsyncConnection, access: Access, policy: Policy | None, devices: list[dict[str, Any]], now: int
) -> list[dict[str, Any]]:
    if policy is None:
        return []
    inside = await _inside(conn)
    newest: dict[str, RowMapping] = {}
    for node in (await conn.execute(select(t.nodes).order_by(t.nodes.c.last_seen))).mappings():
        newest[node["branch"]] = node
    out = []
    for branch in sorted(policy.bundle.branches, key=lambda b: b.id):
        if not access.within(branch.org):
            continue
        states = dict.fromkeys(DEVICE_STATES, 0)
        for device in devices:
            if device["branch"] == branch.id:
                states[device["state"]] += 1
        link, since, seen = _link(newest.get(branch.id), now)
        out.append(
            {
                "id": branch.id,
                "library": branch.org,
                "name": {"zh": branch.name_zh, "en": branch.name_en},
                "capacity": branch.capacity or None,
                "open_now": policy.calendar_of(branch.id).is_open(now),
                "inside": sum(n for (at, _), n in inside.items() if at == branch.id),
                "inside_partners": inside.get((branch.id, "partner"), 0),
                "contact": link,
                "since": time_or_none(since),
                "last_seen": time_or_none(seen),
                "devices": states,
            }
        )
    return out


def _link(node: RowMapping | None, now: int) -> tuple[str, int | None, int | None]:
    """Contact of a branch, since when, and its last word."""
    if node is None or not node["last_seen"]:
        return "never", None, None
    link = contact(node["online"], node["last_seen"], now)
    since = node["since"] if link == "online" else unknown_since(link, node["since"], node["last_seen"])
    return link, since, node["last_seen"]


@router.get("/overview", response_model=OverviewOut, tags=["overview"], responses=documented(401, 403))
async def read_overview(ask: Reads) -> Any:
    """Branches with who is inside and how their devices are, and the counts that staff watch."""
    return await overview(ask.conn, ask.access, ask.hub.policy, ask.now)
