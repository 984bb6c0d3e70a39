"""The ledger's projections are the fold of the log, however it came about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from consortium.events import ITEM_KINDS, VISIT_KINDS, Kind, decode
from consortium.fold import Logged, fold_item, fold_visits
from hub.ledger.rows import decode_history
from hub.store import schema
from tests.hub.api.world import BRANCHES, CQU, HOUR, MINUTE, SCS, YLG, Edge, a_day, item
from tests.hub.core import Core, edges, running
from tests.make import NOW


async def folded(core: Core) -> tuple[dict[str, Any], dict[str, Any]]:
    """Loans and transits by id, folded here from the whole log, and as stored."""
    by_item: dict[tuple[str, str], list[Logged]] = {}
    by_reader: dict[tuple[str, str], list[Logged]] = {}
    for row in await core.rows(schema.events):
        logged = Logged(decode(row["body"]), row["rid"])
        if logged.event.kind in ITEM_KINDS:
            by_item.setdefault((row["owner"], row["item_no"]), []).append(logged)
        elif logged.event.kind in VISIT_KINDS:
            by_reader.setdefault((row["rid"], row["branch"]), []).append(logged)
    histories = [fold_item(*key, f"{key[0]}-01", found) for key, found in by_item.items()]
    wanted = {
        "loans": {
            loan.id: (loan.who, loan.due, loan.t_end, loan.end_kind, loan.renewals)
            for h in histories
            for loan in h.loans
        },
        "transits": {t.id: (t.to, t.state, t.t_end, t.legs) for h in histories for t in h.transits},
        "items": {(h.owner, h.item_no): (h.status, h.branch, h.circ_branch, h.last) for h in histories},
        "conflicts": {c.id for h in histories for c in h.conflicts},
        "visits": {v.id: (v.t_in, v.t_out, v.out_kind) for found in by_reader.values() for v in fold_visits(found)},
    }
    stored: dict[str, Any] = {
        "loans": {
            r["id"]: (r["rid"], r["due"], r["t_end"], r["end_kind"], r["renewals"])
            for r in await core.rows(schema.loans)
        },
        "transits": {r["id"]: (r["to"], r["state"], r["t_end"], r["legs"]) for r in await core.rows(schema.transits)},
        "items": {
            (r["owner"], r["item_no"]): (r["status"], r["branch"], r["circ_branch"], decode_history(r["history"]).last)
            for r in await core.rows(schema.item_state)
        },
        "conflicts": {r["id"] for r in await core.rows(schema.conflicts) if r["state"] == "OPEN"},
        "visits": {r["id"]: (r["t_in"], r["t_out"], r["out_kind"]) for r in await core.rows(schema.visits)},
    }
    return wanted, stored


async def test_a_day_as_stored_is_the_fold_of_its_log(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        three = edges()
        a_day(three, core.rids, NOW)
        for edge in three.values():
            assert (await core.take(edge)).rejected == ()
        wanted, stored = await folded(core)
        assert stored == wanted
        assert len(stored["loans"]) > 10
        assert len(stored["transits"]) >= 2
        assert stored["conflicts"]


async def test_a_late_return_ends_the_loan_that_was_open_then_and_takes_the_conflict_back(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        first, second = core.rids[YLG][0], core.rids[CQU][1]
        cqu, ylg = Edge(CQU), Edge(YLG)
        ylg.lend(NOW - 9 * HOUR, item(YLG, 0), first, YLG)
        ylg.lend(NOW - 2 * HOUR, item(YLG, 0), second, CQU)
        await core.take(ylg)
        assert [c["state"] for c in await core.rows(schema.conflicts)] == ["OPEN"]
        cqu.take_back(NOW - 5 * HOUR, item(YLG, 0))  # it had been handed in elsewhere; that branch was offline
        await core.take(cqu)
        wanted, stored = await folded(core)
        assert stored == wanted
        (conflict,) = await core.rows(schema.conflicts)
        assert (conflict["state"], conflict["resolution"]) == ("RESOLVED", "facts")
        ended = next(loan for loan in await core.rows(schema.loans) if loan["rid"] == first)
        assert (ended["end_kind"], ended["end_place"], ended["t_end"]) == ("RETURN", BRANCHES[CQU], NOW - 5 * HOUR)


async def test_a_checkout_that_comes_late_turns_the_later_one_into_its_renewal(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        reader = core.rids[YLG][0]
        scs, ylg = Edge(SCS), Edge(YLG)
        ylg.lend(NOW - HOUR, item(YLG, 3), reader, YLG)
        await core.take(ylg)
        scs.lend(NOW - 5 * HOUR, item(YLG, 3), reader, YLG)
        await core.take(scs)
        wanted, stored = await folded(core)
        assert stored == wanted
        (loan,) = await core.rows(schema.loans)
        assert loan["place"] == BRANCHES[SCS]
        assert len(loan["renewals"]) == 1


async def test_the_memory_of_an_item_does_not_grow_with_its_past(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        ylg = Edge(YLG)
        for n in range(40):
            ylg.lend(NOW - (100 - 2 * n) * HOUR, item(YLG, 0), core.rids[YLG][n % 3], YLG)
            ylg.take_back(NOW - (99 - 2 * n) * HOUR, item(YLG, 0))
            await core.take(ylg)
        state = next(row for row in await core.rows(schema.item_state) if row["item_no"] == item(YLG, 0)[1])
        assert len(state["history"]) < 600
        assert len(await core.rows(schema.loans)) == 40
        wanted, stored = await folded(core)
        assert stored == wanted


async def test_late_visits_fold_again_and_an_exit_before_its_entry_closes_it(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        reader = core.rids[YLG][0]
        ylg = Edge(YLG)
        ylg.leave(NOW - 3 * HOUR, reader)
        await core.take(ylg)
        assert await core.rows(schema.visits) == []
        ylg.enter(NOW - 4 * HOUR, reader, YLG)
        await core.take(ylg)
        (visit,) = await core.rows(schema.visits)
        assert (visit["t_out"], visit["out_kind"]) == (NOW - 3 * HOUR, "EXIT")
        ylg.enter(NOW - 2 * HOUR, reader, YLG)
        ylg.enter(NOW - HOUR, reader, YLG)
        await core.take(ylg)
        wanted, stored = await folded(core)
        assert stored == wanted
        assert [row["visit_id"] for row in await core.rows(schema.presence)] == [f"{ylg.node}/{ylg.epoch}/4"]


async def test_a_device_event_that_comes_late_changes_nothing_newer(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        ylg = Edge(YLG)
        ylg.say(Kind.DEVICE, NOW - MINUTE, {"state": "offline", "kind": "gate"}, device="gate1")
        await core.take(ylg)
        ylg.say(Kind.DEVICE, NOW - HOUR, {"state": "online", "kind": "gate"}, device="gate1")
        await core.take(ylg)
        (device,) = await core.rows(schema.devices)
        assert (device["state"], device["since"]) == ("offline", NOW - MINUTE)


async def test_two_branches_may_call_a_device_by_the_same_name(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        for edge in edges().values():
            edge.say(Kind.DEVICE, NOW, {"state": "online", "kind": "gate"}, device="gate1")
            await core.take(edge)
        assert len(await core.rows(schema.devices)) == 3


async def test_decisions_are_kept_as_they_were_taken(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        ylg = Edge(YLG)
        ylg.refuse(NOW - MINUTE, "AGR_NONE", SCS)
        await core.take(ylg)
        (kept,) = await core.rows(schema.decisions)
        assert (kept["outcome"], kept["primary_code"], kept["home"]) == ("DENY", "AGR_NONE", SCS)
        assert kept["record"] == msgspec.json.decode((await core.heard())[0]["body"])["decision"]


@pytest.mark.parametrize("route", [{"action": "TRANSIT"}, {"action": "NOWHERE"}, {"action": "TRANSIT", "dest": 5}])
async def test_a_route_that_no_fold_could_follow_is_kept_out_of_the_log(tmp_path: Path, route: dict[str, Any]) -> None:
    async with running(tmp_path) as core:
        ylg = Edge(YLG)
        ylg.say(Kind.RETURN, NOW, {"item": list(item(YLG, 0)), "route": route, "code": "RETURN_HOME"})
        assert (await core.take(ylg)).rejected == ((1, "EVENT_DATA"),)
