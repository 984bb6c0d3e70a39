"""fee: what is owed, and exact payments of it, once each. block: a kiosk's own blocks and no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from consortium.events import Kind
from hub.decide.asked import BadRequest
from hub.store import schema
from tests.hub.api.world import BRANCHES, CQU, DAY, SCS, YLG, Edge, item
from tests.hub.core import Core
from tests.hub.ledger.bed import by_hub, in_force, lend
from tests.make import NOW


def ask(core: Core, who: tuple[str, int], at: str = YLG, **more: Any) -> dict[str, Any]:
    return {"branch": BRANCHES[at], "device": "kiosk1", "srid": core.srid(at, *who), **more}


def pay(core: Core, amount: int, transaction: str, who: tuple[str, int] = (CQU, 0), **more: Any) -> dict[str, Any]:
    fields = {"amount": amount, "currency": "CNY", "fee_type": "04", "payment_type": "00", "loan": None}
    return ask(core, who, transaction=transaction, **(fields | more))


async def owing(core: Core) -> list[dict[str, Any]]:
    """Two loans of a partner's reader come back late, 100 and 50 minor units; gives what is listed."""
    ylg = Edge(YLG)
    for n, days in enumerate((10, 5)):
        lend(ylg, NOW - 40 * DAY + n, item(YLG, n), core.rids[CQU][0], CQU, due=NOW - days * DAY - n)
        ylg.take_back(NOW - 10 + n, item(YLG, n))
    await core.take(ylg)
    listed = await core.paying.fee(core.node(YLG), ask(core, (CQU, 0), list=True))
    charges: list[dict[str, Any]] = listed["charges"]
    assert (listed["currency"], listed["total"]) == ("CNY", sum(one["amount"] for one in charges))
    assert [one["amount"] for one in charges] == [100, 50]
    return charges


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": 0}, {"amount": -5}, {"amount": True}, {"amount": 1 << 40}, {"currency": None}, {"transaction": ""},
        {"fee_type": "1"}, {"payment_type": "日元"},
    ],
)  # fmt: skip
async def test_a_payment_without_sense_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    async with in_force(tmp_path) as core:
        with pytest.raises(BadRequest) as refused:
            await core.paying.fee(core.node(YLG), pay(core, 10, "t") | wrong)
        assert refused.value.code == "REQUEST_FIELD"


async def test_nobody_pays_more_than_is_owed_in_another_currency_or_elsewhere(tmp_path: Path) -> None:
    async with in_force(tmp_path) as core:
        charges = await owing(core)

        async def refused(data: dict[str, Any], at: str = YLG) -> str:
            answer = await core.paying.fee(core.node(at), data)
            assert answer["accepted"] is False
            return str(answer["codes"][0])

        assert await refused(pay(core, 151, "a")) == "PAY_TOO_MUCH"
        assert await refused(pay(core, 51, "b", loan=charges[1]["loan"])) == "PAY_TOO_MUCH"
        assert await refused(pay(core, 10, "c", currency="USD")) == "PAY_CURRENCY"
        assert await refused(pay(core, 10, "d", loan="edge-x/e/1")) == "PAY_NOTHING_OWED"
        assert await refused(pay(core, 10, "e", (YLG, 0))) == "PAY_NOTHING_OWED"
        assert await refused(pay(core, 10, "f", srid="f" * 32)) == "CARD_UNKNOWN"
        assert await refused(pay(core, 10, "g", branch=BRANCHES[CQU])) == "DEVICE_UNAUTHORISED"
        elsewhere = pay(core, 10, "h") | {"branch": BRANCHES[SCS], "srid": core.srid(SCS, CQU, 0)}
        assert await refused(elsewhere, SCS) == "PAY_NOTHING_OWED"  # neither home nor lender
        assert await core.rows(schema.payments) == []


async def test_a_payment_goes_to_one_loan_or_to_the_oldest_and_is_made_once(tmp_path: Path) -> None:
    async with in_force(tmp_path) as core:
        charges = await owing(core)
        one = await core.paying.fee(core.node(YLG), pay(core, 20, "a", loan=charges[1]["loan"]))
        assert (one["accepted"], one["codes"], one["transaction"], one["left"]) == (True, ["OK"], "a", 130)
        both = await core.paying.fee(core.node(YLG), pay(core, 110, "b"))
        assert both["left"] == 20
        assert await core.paying.fee(core.node(YLG), pay(core, 110, "b") | {"deadline_at": 7}) == both
        left = await core.paying.fee(core.node(YLG), ask(core, (CQU, 0), list=True))
        assert [(row["loan"], row["amount"]) for row in left["charges"]] == [(charges[1]["loan"], 20)]
        assert left["charges"][0]["title"] == "平凡的世界"
        with pytest.raises(BadRequest) as reused:
            await core.paying.fee(core.node(YLG), pay(core, 11, "b"))
        assert reused.value.code == "TRANSACTION_REUSED"
        rows = await core.rows(schema.payments)
        assert sorted(row["amount"] for row in rows) == [10, 20, 100]
        said = [row for row in await core.rows(schema.events) if row["kind"] == "CHARGE_PAID"]
        assert {row["node"] for row in said} == {"hub-1"}
        assert all(row["rid"] == core.rids[CQU][0] for row in said)
        assert core.rids[CQU][0] not in str([row["body"] for row in said])


async def test_the_home_library_collects_too_and_another_sees_nothing(tmp_path: Path) -> None:
    async with in_force(tmp_path) as core:
        await owing(core)
        at_home = await core.paying.fee(core.node(CQU), ask(core, (CQU, 0), CQU, list=True))
        assert at_home["total"] == 150
        elsewhere = await core.paying.fee(core.node(SCS), ask(core, (CQU, 0), SCS, list=True))
        assert (elsewhere["charges"], elsewhere["total"]) == ([], 0)


async def test_a_waived_charge_is_owed_no_longer(tmp_path: Path) -> None:
    async with in_force(tmp_path) as core:
        charges = await owing(core)
        data = {"item": list(item(YLG, 0)), "loan": charges[0]["loan"], "amount": 100}
        await by_hub(core, Kind.CHARGE_WAIVED, data, rid=core.rids[CQU][0])
        left = await core.paying.fee(core.node(YLG), ask(core, (CQU, 0), list=True))
        assert left["total"] == 50


async def test_a_block_needs_sense_rights_and_somebody(tmp_path: Path) -> None:
    async with in_force(tmp_path) as core:
        for wrong in ({"enable": None}, {"enable": 1}, {"enable": False, "text": "x" * 201}):
            with pytest.raises(BadRequest):
                await core.blocking.block(core.node(YLG), ask(core, (CQU, 0), **wrong))
        foreign = ask(core, (CQU, 0), enable=False, branch=BRANCHES[CQU])
        assert await core.blocking.block(core.node(YLG), foreign) == {"ok": False, "codes": ["DEVICE_UNAUTHORISED"]}
        nobody = ask(core, (CQU, 0), enable=False, srid="f" * 32)
        assert await core.blocking.block(core.node(YLG), nobody) == {"ok": False, "codes": ["CARD_UNKNOWN"]}
        assert await core.rows(schema.blocks) == []


async def test_a_kiosks_block_stops_the_reader_here_and_its_text_leaves_for_nowhere(tmp_path: Path) -> None:
    async with in_force(tmp_path) as core:
        await core.spread.watermark()
        data = ask(core, (CQU, 0), enable=False, retained=True, text="left the card in the machine")
        for _ in range(2):
            assert await core.blocking.block(core.node(YLG), data) == {"ok": True, "codes": ["OK"]}
        (row,) = await core.rows(schema.blocks)
        assert (row["issuer"], row["scope"], row["kind"], row["to_ms"]) == (YLG, "issuer", "KIOSK", None)
        assert row["reason"] == "[card retained] left the card in the machine"
        await core.spread.publish()
        told = str(core.sent) + str([one["body"] for one in await core.rows(schema.events)])
        assert "KIOSK" in told
        assert "machine" not in told
        answer = await core.decider.reader(core.node(YLG), {"tokens": [core.card(YLG, 0, CQU)]})
        assert [one["kind"] for one in answer["reader"]["blocks"]] == ["KIOSK"]


async def test_enabling_lifts_what_a_kiosk_of_this_library_set_and_nothing_else(tmp_path: Path) -> None:
    async with in_force(tmp_path) as core:
        rid = core.rids[CQU][0]
        staff = {
            "id": "staff", "rid": rid, "issuer": YLG, "scope": "issuer", "kind": "", "actions": ["BORROW"], "from_ms": 0,
            "reason": "",
        }  # fmt: skip
        async with core.store.write() as conn:
            await conn.execute(schema.blocks.insert(), staff)
        for at in (YLG, CQU):
            await core.blocking.block(core.node(at), ask(core, (CQU, 0), at, enable=False))
        core.now += 1_000
        lifted = await core.blocking.block(core.node(YLG), ask(core, (CQU, 0), enable=True))
        assert (lifted["ok"], {*lifted["codes"]}) == (True, {"BLOCK_HERE", "BLOCK_HOME"})  # what still stands
        ended = {(row["issuer"], row["kind"]): row["to_ms"] for row in await core.rows(schema.blocks)}
        assert ended == {(YLG, ""): None, (YLG, "KIOSK"): core.now, (CQU, "KIOSK"): None}
        assert await core.blocking.block(core.node(YLG), ask(core, (CQU, 1), enable=True)) == {
            "ok": True,
            "codes": ["OK"],
        }
        said = [row["kind"] for row in await core.rows(schema.events) if row["kind"].startswith("BLOCK")]
        assert sorted(said) == ["BLOCK_LIFTED", "BLOCK_SET", "BLOCK_SET"]
