"""From events newly inside a prefix to every projection, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.bundle import Policy
from consortium.events import ITEM_KINDS, VISIT_KINDS, Event, Kind
from consortium.fold import Logged
from hub.ledger import histories, visits
from hub.ledger.items import Key
from hub.store.engine import execute_rows, insert_new, upsert
from hub.store.schema import decisions, devices


@dataclass(slots=True)
class Changed:
    """What the projections moved: what replicas and counters have to hear of. ``reservations`` were consumed by a CHECKOUT."""

    items: dict[Key, frozenset[str]] = field(default_factory=dict)
    rids: set[str] = field(default_factory=set)
    conflicts: list[str] = field(default_factory=list)
    reservations: list[str] = field(default_factory=list)
    refolded: int = 0


def first_branches(policy: Policy | None) -> dict[str, str]:
    """Each library's first branch: where an item that no catalogue knows is at home."""
    out: dict[str, str] = {}
    for branch in sorted(policy.branches.values(), key=lambda one: one.id) if policy else ():
        out.setdefault(branch.org, branch.id)
    return out


async def project(conn: AsyncConnection, covered: Sequence[Logged], policy: Policy | None) -> Changed:
    """Fold and project these events."""
    out = Changed()
    of_items = [one for one in covered if one.event.kind in ITEM_KINDS]
    if of_items:
        moved = await histories.fold_in(conn, of_items, first_branches(policy))
        out.items, out.rids, out.conflicts, out.refolded = moved.items, moved.rids, moved.conflicts, moved.refolded
    of_visits = [one for one in covered if one.event.kind in VISIT_KINDS]
    if of_visits:
        out.refolded += await visits.fold_in(conn, of_visits)
    taken = [row for one in covered if (row := _decision_row(one.event)) is not None]
    await execute_rows(conn, insert_new(conn, decisions), taken)
    await _devices(conn, [one.event for one in covered if one.event.kind is Kind.DEVICE])
    out.reservations = [
        one.event.data["reservation"]
        for one in covered
        if one.event.kind is Kind.CHECKOUT and "reservation" in one.event.data
    ]
    return out


def _decision_row(event: Event) -> dict[str, Any] | None:
    record = event.decision
    if record is None:
        return None
    return {
        "id": str(event.id), "function": record["f"], "outcome": record["o"], "primary_code": record["c"][0],
        "codes": record["c"], "branch": event.branch, "device": event.device, "home": event.data.get("home"),
        "t": record.get("t", event.t_eff), "source": record["s"], "mode": record["m"], "policy_version": record["pv"],
        "record": record,
    }  # fmt: skip


async def _devices(conn: AsyncConnection, events: Sequence[Event]) -> None:
    """The last word of each device in this batch; one that comes late changes nothing that is newer."""
    if not events:
        return
    rows = {}
    for event in sorted(events, key=lambda one: one.order):
        facts = {"reason": event.data["reason"]} if isinstance(event.data.get("reason"), str) else {}
        rows[event.node, event.device] = {
            "id": event.device, "node": event.node, "branch": event.branch, "kind": event.data["kind"],
            "state": event.data["state"], "since": event.t_eff, "last_seen": event.t_eff, "facts": facts,
        }  # fmt: skip
    statement = upsert(conn, devices, newer="since")
    await execute_rows(conn, statement, list(rows.values()))
