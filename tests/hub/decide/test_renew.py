"""renew: may_renew over fresh facts for a stack; refusals first. Nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from consortium.decisions import may_renew
from consortium.facts import RenewFacts
from consortium.record import facts_of
from hub.decide.asked import BadRequest
from hub.store import schema
from tests.hub.api import world
from tests.hub.api.world import BRANCHES, CQU, DAY, HOUR, YLG, Edge, item
from tests.hub.core import Core, running
from tests.hub.ledger.bed import lend
from tests.make import NOW


def stack(core: Core, srid: str | None, *numbers: int, **more: Any) -> dict[str, Any]:
    items = [{"owner": YLG, "item_no": item(YLG, n)[1]} for n in numbers]
    return {"branch": BRANCHES[YLG], "device": "kiosk1", "srid": srid, "token": None, "items": items, **more}


async def codes(core: Core, data: dict[str, Any]) -> list[str]:
    answer = await core.renewer.renew(core.node(YLG), data)
    return [one["codes"][0] for one in answer["answers"]]


async def test_a_stack_without_reader_or_beyond_its_bound_is_no_question(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        with pytest.raises(BadRequest) as nobody:
            await core.renewer.renew(core.node(YLG), stack(core, None, 0))
        with pytest.raises(BadRequest) as many:
            await core.renewer.renew(core.node(YLG), stack(core, "s", *[0] * 31))
        assert (nobody.value.code, many.value.code) == ("REQUEST_FIELD", "STACK_TOO_LARGE")


async def test_each_item_gets_its_own_answer_in_order(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        ylg = Edge(YLG)
        out = NOW - 10 * DAY
        lend(ylg, out, item(YLG, 0), core.rids[YLG][0], YLG, due=out + 20 * DAY)
        lend(ylg, out, item(YLG, 1), core.rids[YLG][1], YLG, due=out + 20 * DAY)
        lend(ylg, out, item(YLG, 2), core.rids[YLG][0], YLG, due=NOW - HOUR)
        lend(ylg, out, item(YLG, 3), core.rids[YLG][0], YLG, due=out + 20 * DAY)
        await core.take(ylg)
        async with core.store.write() as conn:
            row = {
                "id": "h1", "rid": core.rids[YLG][4], "owner": YLG, "item_no": item(YLG, 3)[1], "pickup_branch": BRANCHES[YLG],
                "placed_ms": NOW - DAY, "state": "WAITING",
            }  # fmt: skip
            await conn.execute(schema.holds.insert(), row)
        before = len(await core.rows(schema.events))
        data = stack(core, core.srid(YLG, YLG, 0), 0, 1, 2, 3, 4, 99)
        answer = await core.renewer.renew(core.node(YLG), data)
        told = [one["codes"][0] for one in answer["answers"]]
        assert told == ["OK", "ITEM_ON_LOAN", "RENEW_OVERDUE", "RENEW_HELD", "ITEM_UNKNOWN", "ITEM_UNKNOWN"]
        first = answer["answers"][0]
        assert (first["title"], first["type"], first["owner"], first["item_no"]) == ("红楼梦", "BOOK", *item(YLG, 0))
        assert first["due"] > out + 20 * DAY
        assert first["terms"]["period_days"] == 30  # today's rule is the more generous one
        assert (answer["home"], answer["srid"]) == (YLG, data["srid"])
        assert len(await core.rows(schema.events)) == before


async def test_the_record_gives_the_same_answer_again(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        ylg = Edge(YLG)
        lend(ylg, NOW - 10 * DAY, item(YLG, 0), core.rids[YLG][0], YLG, due=NOW + DAY)
        await core.take(ylg)
        answer = await core.renewer.renew(core.node(YLG), stack(core, core.srid(YLG, YLG, 0), 0))
        record = answer["answers"][0]["record"]
        facts = facts_of(record)
        assert isinstance(facts, RenewFacts)
        again = may_renew(core.policy.policy, facts, record["t"], source="hub")
        assert (again.outcome, again.due_ms) == ("ALLOW", answer["answers"][0]["due"])
        assert record["s"] == "hub"


async def test_renewals_already_made_count_and_a_foreign_branch_is_not_ours_to_ask_for(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        ylg = Edge(YLG)
        lend(ylg, NOW - 10 * DAY, item(YLG, 0), core.rids[YLG][0], YLG, due=NOW + DAY)
        for n in range(2):
            data = {"item": list(item(YLG, 0)), "home": YLG, "due": NOW + (n + 2) * DAY}
            ylg.say(world.Kind.RENEW, NOW - DAY + n, data, rid=core.rids[YLG][0])
        await core.take(ylg)
        srid = core.srid(YLG, YLG, 0)
        assert await codes(core, stack(core, srid, 0)) == ["RENEW_LIMIT"]
        assert await codes(core, stack(core, srid, 0, branch=BRANCHES[CQU])) == ["DEVICE_UNAUTHORISED"]


async def test_an_items_row_says_what_a_renewal_is_decided_by(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        ylg = Edge(YLG)
        lend(ylg, NOW - 10 * DAY, item(YLG, 0), core.rids[YLG][0], YLG, due=NOW + DAY)
        ylg.say(
            world.Kind.RENEW,
            NOW - DAY,
            {"item": list(item(YLG, 0)), "home": YLG, "due": NOW + 9 * DAY},
            rid=core.rids[YLG][0],
        )
        await core.take(ylg)
        row = (await core.decider.item(core.node(YLG), {"owner": YLG, "item_no": item(YLG, 0)[1]}))["item"]
        said = {name: row[name] for name in ("t_out", "place", "renewed", "due", "call_number")}
        assert said == {
            "t_out": NOW - 10 * DAY, "place": BRANCHES[YLG], "renewed": 1, "due": NOW + 9 * DAY, "call_number": "A0",
        }  # fmt: skip
        assert row["terms"]["renewals"] == 2
        free = (await core.decider.item(core.node(YLG), {"owner": YLG, "item_no": item(YLG, 1)[1]}))["item"]
        assert not {"t_out", "place", "terms", "renewed", "holds"} & free.keys()
        await core.spread.publish()
        await core.spread.watermark()
        ylg.take_back(NOW, item(YLG, 0))
        await core.take(ylg)
        await core.spread.publish()
        rows = [row for _, part, data in core.sent if part == "delta" for row in data["rows"]]
        assert [row[2].get("t_out") for row in rows if row[0] == "item"] == [None]
