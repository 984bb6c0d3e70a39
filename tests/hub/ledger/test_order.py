"""Whatever order branches report in, the ledger ends the same: the fold, the second pass, the holds, what loans cost."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from consortium.charges import overdue_charge
from consortium.events import Kind
from hub.ledger.rows import loan_of
from hub.store import schema
from protocols.bus import EventRow
from tests.hub.api.world import BRANCHES, CQU, DAY, HOUR, YLG, Edge, item
from tests.hub.core import Core
from tests.hub.ledger.bed import by_hub, in_force, lend
from tests.make import NOW

LIMITS = [{"id": "all", "scope": "reader@consortium", "max_open": 2}]


def stories(core: Core, chance: random.Random) -> dict[str, list[EventRow]]:
    """Two branches lend, take back, hold and renew the same few items for the same few readers, each by its own clock."""
    edges = {CQU: Edge(CQU), YLG: Edge(YLG)}
    readers = [*core.rids[CQU][:2], *core.rids[YLG][:1]]
    at = NOW - 60 * DAY
    for n in range(36):
        at += chance.randrange(1, 30) * HOUR
        edge = edges[chance.choice((CQU, YLG))]
        thing = item(chance.choice((CQU, YLG)), chance.randrange(3))
        who = chance.choice(readers)
        home = YLG if who in core.rids[YLG] else CQU
        match chance.randrange(7):
            case 0 | 1 | 2:
                lend(edge, at, thing, who, home, due=at + chance.randrange(1, 12) * HOUR)
            case 3 | 4:
                edge.take_back(at, thing)
            case 5:
                data = {"item": list(thing), "hold": f"h{n}", "pickup": BRANCHES[edge.org]}
                edge.say(Kind.HOLD_PLACED, at, data, rid=who)
            case _:
                data = {"item": list(thing), "home": home, "due": at + 5 * DAY}
                edge.say(Kind.RENEW, at, data, rid=who)
    return {org: edge.taken() for org, edge in edges.items()}


async def ledger(core: Core) -> dict[str, Any]:
    """What stands in the end, without what tells of the order of arrival."""
    conflicts = [row for row in await core.rows(schema.conflicts) if row["resolution"] != "facts"]
    states = [{**row, "history": ""} for row in await core.rows(schema.item_state)]
    return {
        "loans": await core.rows(schema.loans),
        "transits": await core.rows(schema.transits),
        "states": states,
        "conflicts": sorted(conflicts, key=lambda row: str(row["id"])),
        "holds": await core.rows(schema.holds),
    }


async def told(folder: Path, seed: int, order: random.Random | None) -> dict[str, Any]:
    async with in_force(folder, limits=LIMITS) as core:
        await by_hub(core, Kind.CLOCK_CORRECTED, {
            "node": f"edge-{BRANCHES[YLG]}", "epoch": Edge(YLG).epoch, "first": 3, "last": 9, "offset": 40 * HOUR, "unc": 9,
        })  # fmt: skip
        left = stories(core, random.Random(seed))
        edges = {org: Edge(org) for org in left}
        while any(left.values()):
            orgs = sorted(org for org, rows in left.items() if rows)
            org = order.choice(orgs) if order else orgs[0]
            most = order.randrange(1, 6) if order else len(left[org])
            rows, left[org] = left[org][:most], left[org][most:]
            assert (await core.take(edges[org], rows)).rejected == ()
        await no_loan_costs_more_than_its_events_say(core)
        return await ledger(core)


async def no_loan_costs_more_than_its_events_say(core: Core) -> None:
    paid: dict[str, int] = {}
    for row in await core.rows(schema.charges):
        paid[row["loan"]] = paid.get(row["loan"], 0) + row["amount"]
    async with core.store.read() as conn:
        loans = {row.id: loan_of(row) for row in await conn.execute(select(schema.loans))}
    assert paid
    for name, amount in paid.items():
        most = overdue_charge(core.policy.policy, loans[name], NOW) if name in loans else 0
        assert 0 <= amount <= most


@pytest.mark.parametrize("seed", [0, 4, 12, 13, 27])
async def test_the_ledger_is_the_same_in_whatever_order_branches_report(tmp_path: Path, seed: int) -> None:
    whole = await told(tmp_path / "whole", seed, None)
    assert await told(tmp_path / "pieces", seed, random.Random(seed)) == whole
    assert any(row["breaches"] for row in whole["loans"])
