"""hold: placed, cancelled and changed as the hub's own events; refusals first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hub.decide.asked import BadRequest
from hub.store import schema
from tests.hub.api import world
from tests.hub.api.world import BRANCHES, CQU, DAY, HOUR, SCS, YLG, Edge, item
from tests.hub.core import Core, running
from tests.make import NOW


def holdable(folder: Path, *, hold: bool = True, rule: bool | None = True) -> Any:
    """A core whose agreement covers holds and whose rule says that items may be requested."""
    bundle = world.bundle(NOW)
    if hold:
        bundle["agreements"][0]["services"].append("HOLD")
    if rule is not None:
        bundle["rules"][0]["holdable"] = rule
    return running(folder, more={"bundle": bundle})


def wish(core: Core, who: tuple[str, int], what: tuple[str, str] | None = None, **more: Any) -> dict[str, Any]:
    owner, item_no = what or item(YLG, 0)
    return {
        "branch": BRANCHES[YLG], "device": "kiosk1", "srid": core.srid(YLG, *who), "mode": "+", "owner": owner,
        "item_no": item_no, "pickup": None, "expiry": None, **more,
    }  # fmt: skip


async def code(core: Core, data: dict[str, Any]) -> str:
    answer = await core.holding.hold(core.node(YLG), data)
    return str(answer["codes"][0])


@pytest.mark.parametrize("wrong", [{"mode": "x"}, {"mode": "++"}, {"srid": None}, {"expiry": 5}, {"item_no": ""}])
async def test_a_request_without_sense_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    async with holdable(tmp_path) as core:
        with pytest.raises(BadRequest):
            await core.holding.hold(core.node(YLG), wish(core, (YLG, 0)) | wrong)


async def test_who_may_not_is_told_why_and_nothing_is_written(tmp_path: Path) -> None:
    async with holdable(tmp_path) as core:
        ylg = Edge(YLG)
        ylg.lend(NOW - HOUR, item(YLG, 5), core.rids[YLG][0], YLG)
        await core.take(ylg)
        before = len(await core.rows(schema.events))
        assert await code(core, wish(core, (YLG, 0), srid="f" * 32)) == "CARD_UNKNOWN"
        assert await code(core, wish(core, (YLG, 0), (YLG, "nobody's"))) == "ITEM_UNKNOWN"
        assert await code(core, wish(core, (YLG, 0), item(YLG, 5))) == "ITEM_ON_LOAN_SELF"
        assert await code(core, wish(core, (YLG, 0), item(YLG, 18))) == "ITEM_REFERENCE"
        assert await code(core, wish(core, (CQU, 0), item(YLG, 19))) == "ITEM_NOT_SHARED"
        assert await code(core, wish(core, (CQU, 11))) == "READER_NOT_SHARED"
        assert await code(core, wish(core, (SCS, 0))) == "AGR_NONE"
        assert await code(core, wish(core, (YLG, 0), pickup="990001-99")) == "AGR_SERVICE_OFF"
        assert await code(core, wish(core, (YLG, 0), pickup=BRANCHES[SCS])) == "AGR_NONE"
        assert await code(core, wish(core, (YLG, 0), branch=BRANCHES[CQU])) == "DEVICE_UNAUTHORISED"
        assert len(await core.rows(schema.events)) == before
        assert await core.rows(schema.holds) == []


async def test_a_partner_needs_the_service_and_everybody_a_rule_that_says_so(tmp_path: Path) -> None:
    async with holdable(tmp_path / "a", hold=False) as core:
        assert await code(core, wish(core, (CQU, 0))) == "AGR_SERVICE_OFF"
        assert await code(core, wish(core, (YLG, 0))) == "OK"
    for n, rule in enumerate((None, False)):
        async with holdable(tmp_path / f"b{n}", rule=rule) as core:
            assert await code(core, wish(core, (YLG, 0))) == "RULE_NONE"


async def test_a_block_and_the_limit_stop_a_hold(tmp_path: Path) -> None:
    async with holdable(tmp_path) as core:
        for n in range(3):
            assert await code(core, wish(core, (YLG, 0), item(YLG, n))) == "OK"
        assert await code(core, wish(core, (YLG, 0), item(YLG, 3))) == "LIMIT_CONSORTIUM"
        row = {
            "id": "b", "rid": core.rids[YLG][1], "issuer": YLG, "scope": "issuer", "kind": "FEES", "actions": ["HOLD"],
            "from_ms": 0, "reason": "",
        }  # fmt: skip
        async with core.store.write() as conn:
            await conn.execute(schema.blocks.insert(), row)
        assert await code(core, wish(core, (YLG, 1))) == "BLOCK_FEES"


async def test_a_hold_is_an_event_a_row_and_a_place_in_the_queue(tmp_path: Path) -> None:
    async with holdable(tmp_path) as core:
        first = await core.holding.hold(core.node(YLG), wish(core, (YLG, 0), expiry=NOW + DAY))
        core.now += 1_000
        second = await core.holding.hold(core.node(YLG), wish(core, (CQU, 0), pickup=BRANCHES[CQU]))
        assert (first["outcome"], first["queue"], first["available"], first["title"]) == ("ALLOW", 1, True, "红楼梦")
        assert (second["queue"], second["available"]) == (2, False)
        rows = {row["id"]: row for row in await core.rows(schema.holds)}
        assert (rows[first["hold"]]["rid"], rows[first["hold"]]["expiry_ms"]) == (core.rids[YLG][0], NOW + DAY)
        assert rows[second["hold"]]["pickup_branch"] == BRANCHES[CQU]
        event = next(row for row in await core.rows(schema.events) if row["kind"] == "HOLD_PLACED")
        assert (event["node"], event["branch"], event["device"]) == ("hub-1", BRANCHES[YLG], "kiosk1")
        assert core.rids[YLG][0] not in event["body"]
        told = (await core.decider.item(core.node(YLG), {"owner": YLG, "item_no": item(YLG, 0)[1]}))["item"]
        assert (told["holds"], told["hold_srid"]) == (2, core.srid(YLG, YLG, 0))


async def test_the_same_wish_twice_is_refused_and_the_same_transaction_answered_alike(tmp_path: Path) -> None:
    async with holdable(tmp_path) as core:
        data = wish(core, (YLG, 0), transaction="k1/1")
        first = await core.holding.hold(core.node(YLG), {**data, "deadline_at": 1})
        assert await core.holding.hold(core.node(YLG), {**data, "deadline_at": 2}) == first
        again = await core.holding.hold(core.node(YLG), wish(core, (YLG, 0), transaction="k1/2"))
        assert (again["outcome"], again["codes"], again["hold"]) == ("DENY", ["ITEM_HELD"], first["hold"])
        with pytest.raises(BadRequest) as reused:
            await core.holding.hold(core.node(YLG), wish(core, (YLG, 1), transaction="k1/1"))
        assert reused.value.code == "TRANSACTION_REUSED"
        assert len(await core.rows(schema.holds)) == 1


async def test_only_the_readers_own_hold_is_cancelled(tmp_path: Path) -> None:
    async with holdable(tmp_path) as core:
        placed = await core.holding.hold(core.node(YLG), wish(core, (YLG, 0)))
        core.now += 1_000
        assert await code(core, wish(core, (YLG, 1), mode="-")) == "ITEM_UNKNOWN"
        assert await code(core, wish(core, (YLG, 0), mode="-", branch=BRANCHES[CQU])) == "DEVICE_UNAUTHORISED"
        gone = await core.holding.hold(core.node(YLG), wish(core, (YLG, 0), mode="-"))
        assert (gone["outcome"], gone["hold"]) == ("ALLOW", placed["hold"])
        assert [row["state"] for row in await core.rows(schema.holds)] == ["CANCELLED"]
        assert await code(core, wish(core, (YLG, 0), mode="-")) == "ITEM_UNKNOWN"


async def test_a_change_keeps_the_place_in_the_queue(tmp_path: Path) -> None:
    async with holdable(tmp_path) as core:
        assert await code(core, wish(core, (YLG, 0), mode="*")) == "ITEM_UNKNOWN"
        for who in ((CQU, 0), (YLG, 0), (YLG, 1)):
            assert await code(core, wish(core, who)) == "OK"
            core.now += 1_000
        changed = await core.holding.hold(
            core.node(YLG), wish(core, (CQU, 0), mode="*", pickup=BRANCHES[CQU], expiry=NOW + 9 * DAY)
        )
        assert (changed["outcome"], changed["queue"]) == ("ALLOW", 1)
        waiting = [row for row in await core.rows(schema.holds) if row["state"] == "WAITING"]
        waiting.sort(key=lambda row: (row["placed_ms"], row["id"]))
        assert [row["rid"] for row in waiting] == [core.rids[CQU][0], core.rids[YLG][0], core.rids[YLG][1]]
        assert (waiting[0]["pickup_branch"], waiting[0]["expiry_ms"]) == (BRANCHES[CQU], NOW + 9 * DAY)


async def test_what_lies_ready_is_changed_by_a_person(tmp_path: Path) -> None:
    async with holdable(tmp_path) as core:
        placed = await core.holding.hold(core.node(YLG), wish(core, (YLG, 0)))
        ylg = Edge(YLG)
        route = {"action": "HOLD", "dest": BRANCHES[YLG], "reason": "HOLD", "hold_id": placed["hold"]}
        ylg.say(world.Kind.RETURN, NOW + 5, {"item": list(item(YLG, 0)), "route": route, "code": "RETURN_HOLD"})
        await core.take(ylg)
        answer = await core.holding.hold(core.node(YLG), wish(core, (YLG, 0), mode="*", pickup=BRANCHES[YLG]))
        assert (answer["outcome"], answer["codes"]) == ("REFER", ["OUT_OF_SERVICE"])
