"""Conflicts: whose they are, by when, how they end; and the second pass over loans that a branch made on what it knew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from consortium.events import Kind
from hub.ledger import review
from hub.store import schema
from tests.hub.api.world import BRANCHES, CQU, DAY, HOUR, MINUTE, SCS, YLG, Edge, item
from tests.hub.core import Core, running
from tests.hub.ledger.bed import by_hub, in_force, loan, only
from tests.make import NOW


async def implied(core: Core, ylg: Edge) -> dict[str, Any]:
    """An item lent while it is on loan to another."""
    ylg.lend(NOW - 9 * HOUR, item(YLG, 0), core.rids[YLG][0], YLG)
    ylg.lend(NOW - 2 * HOUR, item(YLG, 0), core.rids[CQU][1], CQU)
    await core.take(ylg)
    return await only(core, schema.conflicts)


async def test_a_conflict_says_who_settles_it_until_when_and_what_is_done_otherwise(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        found = await implied(core, Edge(YLG))
        assert (found["kind"], found["state"]) == ("CF_IMPLIED_RETURN", "OPEN")
        assert (found["library"], found["default_resolution"]) == (YLG, "END_WITHOUT_CHARGE")
        assert found["deadline"] == NOW + 7 * DAY


async def test_days_to_settle_run_from_when_the_hub_learned_of_it(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        ylg = Edge(YLG)
        ylg.lend(NOW - 50 * DAY, item(YLG, 0), core.rids[YLG][0], YLG)
        ylg.lend(NOW - 40 * DAY, item(YLG, 0), core.rids[CQU][1], CQU)
        await core.take(ylg)
        assert (await only(core, schema.conflicts))["deadline"] == NOW + 7 * DAY


async def test_what_a_rule_settles_at_once_waits_for_nobody(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        scs = Edge(SCS)
        scs.take_back(NOW - HOUR, item(YLG, 0))
        await core.take(scs)
        found = await only(core, schema.conflicts)
        assert (found["kind"], found["state"], found["resolution"]) == ("CF_RETURN_NO_LOAN", "RESOLVED", "ACCEPT")
        assert found["deadline"] is None


async def test_settling_a_conflict_nobody_found_changes_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        await by_hub(core, Kind.CONFLICT_SETTLED, {"conflict": "CF_X:nothing", "resolution": "KEEP_LOAN"})
        assert await core.rows(schema.conflicts) == []


async def test_a_settled_conflict_stays_settled_whatever_facts_say_later(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        ylg, cqu = Edge(YLG), Edge(CQU)
        conflict = await implied(core, ylg)
        override = {"actor": "staff-7", "reason": "the book was on the desk"}
        said = {"conflict": conflict["id"], "resolution": "KEEP_FIRST", "override": override}
        name = await by_hub(core, Kind.CONFLICT_SETTLED, said)
        settled = await only(core, schema.conflicts)
        assert (settled["state"], settled["resolution"], settled["settled_by"]) == ("RESOLVED", "KEEP_FIRST", name)
        cqu.take_back(NOW - 5 * HOUR, item(YLG, 0))
        await core.take(cqu)
        assert await only(core, schema.conflicts) == settled


async def test_a_conflict_that_facts_took_back_and_bring_again_stands_as_it_did(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        ylg, cqu, scs = Edge(YLG), Edge(CQU), Edge(SCS)
        before = await implied(core, ylg)
        cqu.take_back(NOW - 5 * HOUR, item(YLG, 0))
        await core.take(cqu)
        assert (await only(core, schema.conflicts, id=before["id"]))["resolution"] == "facts"
        scs.lend(NOW - 4 * HOUR, item(YLG, 0), core.rids[SCS][0], SCS)
        await core.take(scs)
        again = await only(core, schema.conflicts, id=before["id"])
        for name in ("state", "resolution", "deadline", "settled_by"):
            assert again[name] == before[name]
        assert (
            again["events"][0] == f"{scs.node}/{scs.epoch}/1"
        )  # it is about another loan now, and so another library's
        assert again["library"] == SCS


async def test_when_the_deadline_passes_the_default_is_taken_as_an_event(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        await implied(core, Edge(YLG))
        core.now += 7 * DAY - 1
        assert await core.ingest.take_defaults() == 0
        core.now += 1
        assert await core.ingest.take_defaults() == 1
        assert await core.ingest.take_defaults() == 0
        found = await only(core, schema.conflicts)
        assert (found["state"], found["resolution"]) == ("RESOLVED", "END_WITHOUT_CHARGE")
        event = (await core.rows(schema.events))[-1]
        assert (event["kind"], event["branch"]) == ("CONFLICT_SETTLED", BRANCHES[YLG])


# --- the second pass: readers ------------------------------------------------------------------------------------------


def no_limits(**more: Any) -> dict[str, Any]:
    return {"limits": [], **more}


TWO = {"limits": [{"id": "all", "scope": "reader@consortium", "max_open": 2}]}


async def test_a_loan_against_nothing_is_not_marked(tmp_path: Path) -> None:
    async with in_force(tmp_path, **no_limits()) as core:
        ylg = Edge(YLG)
        ylg.lend(NOW - HOUR, item(YLG, 0), core.rids[CQU][0], CQU)
        await core.take(ylg)
        assert (await loan(core, item(YLG, 0)[1]))["breaches"] is None
        assert await core.rows(schema.conflicts) == []


async def test_two_branches_together_exceed_a_limit_that_neither_could_see(tmp_path: Path) -> None:
    async with in_force(tmp_path, **TWO) as core:
        cqu, ylg = Edge(CQU), Edge(YLG)
        rid = core.rids[CQU][0]
        ylg.lend(NOW - 3 * HOUR, item(YLG, 0), rid, CQU)
        ylg.lend(NOW - HOUR, item(YLG, 1), rid, CQU)
        await core.take(ylg)
        assert await core.rows(schema.conflicts) == []
        cqu.lend(NOW - 2 * HOUR, item(CQU, 0), rid, CQU)  # was offline: the loan after it is now the third
        await core.take(cqu)
        found = await only(core, schema.conflicts)
        marked = await loan(core, item(YLG, 1)[1])
        assert found["id"] == f"CF_LIMIT_EXCEEDED:{marked['id']}"
        assert (found["state"], found["resolution"], found["library"]) == ("RESOLVED", "KEEP_LOAN", YLG)
        assert found["codes"] == ["LIMIT_CONSORTIUM"]
        assert (marked["breaches"], marked["flags"]) == (["POLICY_BREACH:LIMIT_CONSORTIUM"], [])
        (told,) = await core.rows(schema.corrections)
        assert (told["change"], told["subject"], told["cause"]) == (
            "CONFLICT_OPENED", found["id"], f"{cqu.node}/{cqu.epoch}/1",
        )  # fmt: skip


async def test_a_return_learned_later_takes_the_breach_back(tmp_path: Path) -> None:
    async with in_force(tmp_path, **TWO) as core:
        cqu, ylg = Edge(CQU), Edge(YLG)
        rid = core.rids[CQU][0]
        for n in range(3):
            ylg.lend(NOW - (5 - n) * HOUR, item(YLG, n), rid, CQU)
        await core.take(ylg)
        marked = await loan(core, item(YLG, 2)[1])
        assert marked["breaches"] == ["POLICY_BREACH:LIMIT_CONSORTIUM"]
        cqu.take_back(
            NOW - 4 * HOUR - MINUTE, item(YLG, 0)
        )  # in order for its item, earlier than the reader's later loans
        await core.take(cqu)
        assert (await loan(core, item(YLG, 2)[1]))["breaches"] is None
        found = await only(core, schema.conflicts)
        assert (found["state"], found["resolution"]) == ("RESOLVED", "facts")
        (told,) = await core.rows(schema.corrections)
        assert (told["change"], told["subject"]) == ("CONFLICT_DISSOLVED", found["id"])


async def test_marks_survive_what_happens_to_the_loan_later(tmp_path: Path) -> None:
    async with in_force(tmp_path, **TWO) as core:
        ylg = Edge(YLG)
        for n in range(3):
            ylg.lend(NOW - (5 - n) * HOUR, item(YLG, n), core.rids[CQU][0], CQU)
        await core.take(ylg)
        ylg.take_back(NOW - HOUR, item(YLG, 2))
        await core.take(ylg)
        marked = await loan(core, item(YLG, 2)[1])
        assert (marked["breaches"], marked["t_end"]) == (["POLICY_BREACH:LIMIT_CONSORTIUM"], NOW - HOUR)


async def block(core: Core, rid: str, at: int, **more: Any) -> None:
    row = {
        "id": "b1", "rid": rid, "issuer": CQU, "scope": "consortium", "kind": "", "actions": ["BORROW"], "from_ms": 0,
        "to_ms": None, "reason": "", **more,
    }  # fmt: skip
    async with core.store.write() as conn:
        await conn.execute(schema.blocks.insert(), row)
    await by_hub(core, Kind.BLOCK_SET, {"block": "b1", "actions": ["BORROW"], "issuer": CQU}, rid=rid, at=at)


async def test_a_loan_after_a_block_was_set_is_marked_and_one_before_it_is_not(tmp_path: Path) -> None:
    async with in_force(tmp_path, **no_limits()) as core:
        ylg = Edge(YLG)
        rid = core.rids[CQU][0]
        await block(core, rid, NOW - 2 * HOUR)
        ylg.lend(NOW - 3 * HOUR, item(YLG, 0), rid, CQU)
        ylg.lend(NOW - HOUR, item(YLG, 1), rid, CQU)
        await core.take(ylg)
        assert (await loan(core, item(YLG, 0)[1]))["breaches"] is None
        found = await only(core, schema.conflicts)
        assert (found["kind"], found["library"], found["state"]) == ("CF_READER_BLOCKED_MEANWHILE", CQU, "OPEN")
        assert found["events"] == [(await loan(core, item(YLG, 1)[1]))["id"]]


async def test_a_lifted_block_counts_for_the_time_it_was_in_force(tmp_path: Path) -> None:
    async with in_force(tmp_path, **no_limits()) as core:
        ylg = Edge(YLG)
        rid = core.rids[CQU][0]
        await block(core, rid, NOW - 5 * HOUR, to_ms=NOW - 2 * HOUR)
        ylg.lend(NOW - 3 * HOUR, item(YLG, 0), rid, CQU)
        ylg.lend(NOW - HOUR, item(YLG, 1), rid, CQU)
        await core.take(ylg)
        assert (await loan(core, item(YLG, 0)[1]))["breaches"] == ["POLICY_BREACH:BLOCK_CONSORTIUM"]
        assert (await loan(core, item(YLG, 1)[1]))["breaches"] is None


@pytest.mark.parametrize("named", [True, False])
async def test_a_card_reported_lost_marks_the_loans_made_after_it(tmp_path: Path, named: bool) -> None:
    async with in_force(tmp_path, **no_limits()) as core:
        ylg, cqu = Edge(YLG), Edge(CQU)
        rid = core.rids[CQU][0]
        ylg.lend(NOW - 3 * HOUR, item(YLG, 0), rid, CQU)
        ylg.lend(NOW - HOUR, item(YLG, 1), rid, CQU)
        await core.take(ylg)
        said = {"status": "LOST", "card": core.card(CQU, 0, CQU) if named else ""}
        cqu.say(Kind.CARD_STATUS, NOW - 2 * HOUR, said, rid=rid)
        await core.take(cqu)
        found = await only(core, schema.conflicts)
        assert (found["kind"], found["codes"]) == ("CF_CARD_REVOKED_MEANWHILE", ["CARD_LOST"])
        assert found["events"] == [(await loan(core, item(YLG, 1)[1]))["id"]]


async def test_a_loan_without_an_agreement_is_the_owners_to_settle(tmp_path: Path) -> None:
    async with in_force(tmp_path, **no_limits()) as core:
        ylg = Edge(YLG)
        ylg.lend(NOW - HOUR, item(YLG, 0), core.rids[SCS][0], SCS)
        await core.take(ylg)
        found = await only(core, schema.conflicts)
        assert (found["kind"], found["codes"], found["library"]) == ("CF_AGREEMENT_ENDED", ["AGR_NONE"], YLG)


async def test_nothing_is_judged_by_a_policy_that_was_not_in_force_then(tmp_path: Path) -> None:
    async with in_force(tmp_path, **no_limits()) as core:
        ylg = Edge(YLG)
        ylg.lend(NOW - 101 * DAY, item(YLG, 0), core.rids[SCS][0], SCS)
        await core.take(ylg)
        assert await core.rows(schema.conflicts) == []


def lend_by_hub(core: Core, edge: Edge, n: int, rid: str, decided: int) -> None:
    record = {
        "f": "borrow", "o": "ALLOW", "c": ["OK"], "pv": 3, "k": [0] * 5, "s": "hub", "m": "ONLINE", "t": decided, "facts": {}
    }  # fmt: skip
    data = {"item": list(item(YLG, n)), "type": "BOOK", "home": SCS, "due": NOW + 20 * DAY}
    edge.say(Kind.CHECKOUT, decided, data, rid=rid, decision=record)


async def test_what_the_hub_decided_itself_is_judged_again_only_where_it_comes_late(tmp_path: Path) -> None:
    async with in_force(tmp_path, **no_limits()) as core:
        ylg = Edge(YLG)
        lend_by_hub(core, ylg, 0, core.rids[SCS][0], NOW - MINUTE)
        await core.take(ylg)
        assert await core.rows(schema.conflicts) == []
        lend_by_hub(core, ylg, 1, core.rids[SCS][1], NOW - review.LASTS_MS - 1)
        await core.take(ylg)
        assert [row["kind"] for row in await core.rows(schema.conflicts)] == ["CF_AGREEMENT_ENDED"]


# --- the second pass: items --------------------------------------------------------------------------------------------


async def test_an_item_not_for_lending_that_was_lent_is_its_owners_to_settle(tmp_path: Path) -> None:
    async with in_force(tmp_path, **no_limits()) as core:
        ylg = Edge(YLG)
        ylg.lend(NOW - HOUR, item(YLG, 18), core.rids[CQU][0], CQU)
        await core.take(ylg)
        found = await only(core, schema.conflicts)
        assert (found["kind"], found["codes"], found["library"]) == ("CF_ITEM_NOT_LENDABLE", ["ITEM_REFERENCE"], YLG)


async def test_a_hold_that_a_branch_did_not_know_marks_the_loan_and_waits_on(tmp_path: Path) -> None:
    async with in_force(tmp_path, **no_limits()) as core:
        ylg, cqu = Edge(YLG), Edge(CQU)
        ylg.lend(NOW - HOUR, item(YLG, 0), core.rids[YLG][0], YLG)
        await core.take(ylg)
        data = {"item": list(item(YLG, 0)), "hold": "h1", "pickup": BRANCHES[CQU]}
        cqu.say(Kind.HOLD_PLACED, NOW - 2 * HOUR, data, rid=core.rids[CQU][0])
        await core.take(cqu)
        found = await only(core, schema.conflicts)
        assert (found["kind"], found["codes"]) == ("CF_HELD_FOR_OTHER", ["ITEM_HELD"])
        assert (await loan(core, item(YLG, 0)[1]))["breaches"] == ["POLICY_BREACH:ITEM_HELD"]
        hold = await only(core, schema.holds)
        assert (hold["rid"], hold["state"], hold["pickup_branch"]) == (core.rids[CQU][0], "WAITING", BRANCHES[CQU])


async def test_a_hold_is_folded_with_the_item_it_waits_for(tmp_path: Path) -> None:
    async with in_force(tmp_path, **no_limits()) as core:
        ylg = Edge(YLG)
        rid = core.rids[YLG][0]
        data = {"item": list(item(YLG, 0)), "hold": "h1", "pickup": BRANCHES[YLG], "expiry": NOW + DAY}
        ylg.say(Kind.HOLD_PLACED, NOW - 3 * HOUR, data, rid=rid)
        await core.take(ylg)
        route = {"action": "HOLD", "dest": BRANCHES[YLG], "reason": "HOLD", "hold_id": "h1"}
        ylg.say(Kind.RETURN, NOW - 2 * HOUR, {"item": list(item(YLG, 0)), "route": route, "code": "RETURN_HOLD"})
        await core.take(ylg)
        ready = await only(core, schema.holds)
        assert (ready["state"], ready["ready_ms"], ready["expiry_ms"]) == ("READY", NOW - 2 * HOUR, NOW + DAY)
        ylg.lend(NOW - HOUR, item(YLG, 0), rid, YLG)
        await core.take(ylg)
        filled = await only(core, schema.holds)
        assert (filled["state"], filled["ended_ms"], filled["loan_id"]) == (
            "FILLED", NOW - HOUR, f"{ylg.node}/{ylg.epoch}/3",
        )  # fmt: skip
        assert await core.rows(schema.conflicts) == []


async def test_a_holds_id_is_not_taken_by_another_item(tmp_path: Path) -> None:
    async with in_force(tmp_path, **no_limits()) as core:
        ylg, cqu = Edge(YLG), Edge(CQU)
        for edge, owner in ((ylg, YLG), (cqu, CQU)):
            data = {"item": list(item(owner, 0)), "hold": "h1", "pickup": BRANCHES[owner]}
            edge.say(Kind.HOLD_PLACED, NOW - HOUR, data, rid=core.rids[owner][0])
            await core.take(edge)
        assert (await only(core, schema.holds))["owner"] == YLG


async def test_an_ils_event_that_names_no_item_is_logged_and_folded_by_nobody(tmp_path: Path) -> None:
    async with in_force(tmp_path, **no_limits()) as core:
        ylg = Edge(YLG)
        ylg.say(Kind.ILS_OBSERVED, NOW, {"what": "READER", "as_of": NOW})
        ylg.say(Kind.ILS_OBSERVED, NOW, {"what": "LOAN", "as_of": NOW, "item": list(item(YLG, 0))})
        assert (await core.take(ylg)).rejected == ()
        found = await loan(core, item(YLG, 0)[1])
        assert (found["observed"], found["rid"]) == (True, f"ils:{ylg.node}/{ylg.epoch}/2")
        assert await core.rows(schema.conflicts) == []
