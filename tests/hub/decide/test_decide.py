"""The hub's answers over fresh facts: refusals first."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from consortium.record import facts_of
from hub.decide.asked import BadRequest
from hub.decide.reservations import LASTS_MS
from hub.store import schema
from tests.hub.api.world import BRANCHES, CQU, HOUR, SCS, YLG, Edge, item
from tests.hub.core import Core, running
from tests.make import NOW


def at_gate(core: Core, org: str, token: str, **more: Any) -> dict[str, Any]:
    return {"token": token, "branch": BRANCHES[org], "device": "gate1", "direction": "IN", "t": core.now, **more}


def stack(core: Core, token: str, *numbers: int, **more: Any) -> dict[str, Any]:
    items = [{"owner": YLG, "item_no": item(YLG, n)[1]} for n in numbers]
    return {
        "branch": BRANCHES[YLG],
        "device": "kiosk1",
        "token": token,
        "pin": True,
        "items": items,
        "t": core.now,
        **more,
    }


async def code_at_gate(core: Core, org: str, token: str, **more: Any) -> str:
    answer = await core.decider.enter(core.node(org), at_gate(core, org, token, **more))
    return str(answer["record"]["c"][0])


@pytest.mark.parametrize(
    "data",
    [{}, {"token": 5}, {"token": "x" * 65}, {"tokens": []}, {"tokens": ["x"] * 9}],
)
async def test_a_request_without_sense_is_refused_with_a_code(tmp_path: Path, data: dict[str, Any]) -> None:
    async with running(tmp_path) as core:
        with pytest.raises(BadRequest) as refused:
            await core.decider.reader(core.node(YLG), data)
        assert refused.value.code == "REQUEST_FIELD"


async def test_a_stack_has_a_bound(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        with pytest.raises(BadRequest) as refused:
            await core.decider.borrow(core.node(YLG), stack(core, "t", *[0] * 31))
        assert refused.value.code == "STACK_TOO_LARGE"


async def test_enter_refuses_with_the_code_of_domain_3(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        assert await code_at_gate(core, YLG, "0" * 64) == "CARD_UNKNOWN"
        assert await code_at_gate(core, YLG, core.card(CQU, 0, CQU)) == "CARD_UNKNOWN"  # a token of another library
        assert await code_at_gate(core, YLG, core.card(YLG, 11, CQU)) == "READER_NOT_SHARED"
        assert await code_at_gate(core, SCS, core.card(SCS, 0, CQU)) == "AGR_NONE"
        token = core.card(YLG, 0, CQU)
        assert await code_at_gate(core, YLG, token, branch=BRANCHES[CQU]) == "DEVICE_UNAUTHORISED"


async def test_enter_allows_says_who_and_records_what_was_known(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        answer = await core.decider.enter(core.node(YLG), at_gate(core, YLG, core.card(YLG, 3, CQU)))
        assert answer["record"]["o"] == "ALLOW"
        assert answer["record"]["s"] == "hub"
        assert answer["home"] == CQU
        assert answer["srid"] == core.identity.srid(YLG, core.rids[CQU][3])
        facts = facts_of(answer["record"])
        assert facts.known.cards == core.now
        assert core.rids[CQU][3] not in str(answer)


async def test_enter_knows_who_is_inside(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        ylg = Edge(YLG)
        ylg.enter(NOW - HOUR, core.rids[CQU][3], CQU)
        ylg.enter(NOW - HOUR, core.rids[YLG][3], YLG)
        await core.take(ylg)
        answer = await core.decider.enter(core.node(YLG), at_gate(core, YLG, core.card(YLG, 3, CQU)))
        facts = answer["record"]["facts"]
        assert (facts["occupancy"], facts["partner_visitors"], facts["visits_today"], facts["inside"]) == (2, 1, 1, 1)


async def test_borrow_names_each_item_and_counts_its_own_reservations(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        answer = await core.decider.borrow(core.node(YLG), stack(core, core.card(YLG, 0, CQU), 0, 1, 2, 3, 4, 5))
        assert [one["codes"][0] for one in answer["answers"]] == ["OK"] * 5 + ["LIMIT_LENDER"]
        first = answer["answers"][0]
        assert (first["title"], first["type"], first["owner"]) == ("红楼梦", "BOOK", YLG)
        assert first["due"] > core.now
        assert first["basis"]
        assert first["terms"] == {"period_days": 20, "renewals": 2}
        assert answer["answers"][5]["terms"] == {}
        assert len({one["reservation"] for one in answer["answers"]}) == 6
        assert answer["answers"][5]["reservation"] is None
        assert answer["reader"]["home"] == CQU
        assert answer["reader"]["pin"] is None


async def test_a_reservation_counts_at_another_kiosk_until_it_ends(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        token = core.card(YLG, 0, CQU)
        await core.decider.borrow(core.node(YLG), stack(core, token, 0, 1, 2, 3, 4))
        again = await core.decider.borrow(core.node(YLG), stack(core, token, 5))
        assert again["answers"][0]["codes"] == ["LIMIT_LENDER"]
        core.now += LASTS_MS
        later = await core.decider.borrow(core.node(YLG), stack(core, token, 5))
        assert later["answers"][0]["codes"] == ["OK"]


async def test_asking_again_for_the_same_item_takes_the_same_place(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        token = core.card(YLG, 0, CQU)
        for _ in range(8):
            answer = await core.decider.borrow(core.node(YLG), stack(core, token, 0))
            assert answer["answers"][0]["codes"] == ["OK"]
        assert len(core.reservations) == 1


async def test_borrow_sees_the_ledger_as_it_stands_now(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        ylg = Edge(YLG)
        ylg.lend(NOW - HOUR, item(YLG, 0), core.rids[YLG][1], YLG)
        ylg.lend(NOW - HOUR, item(YLG, 1), core.rids[CQU][0], CQU)
        await core.take(ylg)
        wanted = stack(core, core.card(YLG, 0, CQU), 0, 1, 18)
        answer = await core.decider.borrow(core.node(YLG), wanted)
        assert [one["codes"][0] for one in answer["answers"]] == ["ITEM_ON_LOAN", "ITEM_ON_LOAN_SELF", "ITEM_REFERENCE"]


async def test_a_bare_number_means_the_own_item_else_the_only_one(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        own = await core.decider.item(
            core.node(YLG), {"owner": None, "item_no": item(YLG, 0)[1], "branch": BRANCHES[YLG]}
        )
        assert (own["found"], own["owner"]) == (True, YLG)
        foreign = await core.decider.item(core.node(YLG), {"owner": None, "item_no": item(CQU, 0)[1]})
        assert (foreign["found"], foreign["owner"], foreign["item"]["status"]) == (True, CQU, "SHELVED")
        assert (await core.decider.item(core.node(YLG), {"item_no": "nobody's"}))["found"] is False


async def test_a_bare_number_of_two_other_libraries_means_neither(tmp_path: Path) -> None:
    row = {"type": "BOOK", "title": "三体", "value": 1, "shareable": True, "reference": False, "shelf": "A1"}
    items = [{**row, "owner": org, "item_no": "7", "owner_branch": BRANCHES[org]} for org in (CQU, SCS)]
    async with running(tmp_path, more={"items": items}) as core:
        for org, owner in ((CQU, CQU), (SCS, SCS), (YLG, None)):
            assert (await core.decider.item(core.node(org), {"item_no": "7"}))["owner"] == owner


async def test_the_first_hold_that_waits_is_the_one_that_counts(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        owner, item_no = item(YLG, 0)
        rows = [
            {"id": f"h{n}", "rid": core.rids[CQU][who], "owner": owner, "item_no": item_no, "pickup_branch": BRANCHES[YLG],
             "placed_ms": NOW - age, "state": state}
            for n, (who, age, state) in enumerate([(2, 9, "CANCELLED"), (1, 5, "WAITING"), (0, 7, "WAITING"), (2, 8, "FILLED")])
        ]  # fmt: skip
        async with core.store.write() as conn:
            await conn.execute(schema.holds.insert(), rows)
        for who, code in ((0, "OK"), (1, "ITEM_HELD")):
            answer = await core.decider.borrow(core.node(YLG), stack(core, core.card(YLG, who, CQU), 0))
            assert answer["answers"][0]["codes"] == [code]


async def test_a_stack_that_does_not_fit_one_answer_is_asked_for_in_parts(tmp_path: Path) -> None:
    row = {
        "type": "BOOK",
        "title": "三峡库区植物图鉴" * 20,
        "value": 1,
        "shareable": True,
        "reference": False,
        "shelf": "A1",
    }
    items = [{**row, "owner": YLG, "item_no": f"{n:05d}", "owner_branch": BRANCHES[YLG]} for n in range(30)]
    async with running(tmp_path, more={"items": items}) as core:
        asked = stack(core, core.card(YLG, 0, CQU)) | {
            "items": [{"owner": YLG, "item_no": f"{n:05d}"} for n in range(30)]
        }
        answers: list[dict[str, Any]] = []
        parts = 0
        while len(answers) < 30:
            reply = await core.decider.borrow(core.node(YLG), {**asked, "items": asked["items"][len(answers) :]})
            assert len(msgspec.json.encode(reply)) < 15_500
            answers += reply["answers"]
            parts += 1
            assert reply.get("more", False) == (len(answers) < 30)
        assert parts > 1
        assert [one["item_no"] for one in answers] == [one["item_no"] for one in asked["items"]]
        assert [one["outcome"] for one in answers] == ["ALLOW"] * 5 + ["DENY"] * 25
        assert len(core.reservations) == 5  # what did not fit holds no place


async def test_an_answer_that_cannot_be_said_reserves_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        rows = [
            {
                "id": f"b{n}",
                "rid": core.rids[CQU][0],
                "issuer": CQU,
                "scope": "consortium",
                "kind": "",
                "actions": ["ENTER"],
            }
            for n in range(200)
        ]
        async with core.store.write() as conn:
            await conn.execute(schema.blocks.insert(), rows)
        with pytest.raises(BadRequest) as refused:
            await core.decider.borrow(core.node(YLG), stack(core, core.card(YLG, 0, CQU), 0))
        assert refused.value.code == "ANSWER_TOO_LARGE"
        assert len(core.reservations) == 0


async def test_of_several_tokens_the_first_that_leads_anywhere_counts(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        ylg = Edge(YLG)
        ylg.lend(NOW - HOUR, item(YLG, 1), core.rids[CQU][0], CQU)
        await core.take(ylg)
        first, second = core.card(YLG, 0, CQU), core.card(YLG, 1, CQU)
        number = core.identity.number(YLG, f"{CQU}:20000000")
        for tokens, who in (([first, second], 0), (["0" * 64, second, first], 1), ([number, first, second], 0)):
            answer = await core.decider.reader(core.node(YLG), {"tokens": tokens})
            assert answer["srid"] == core.identity.srid(YLG, core.rids[CQU][who])
            assert [one[2] for one in answer["reader"]["open_loans"]] == ([1] if who == 0 else [])


async def test_a_srid_and_a_card_must_be_the_same_person(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        other = core.identity.srid(YLG, core.rids[CQU][1])
        answer = await core.decider.borrow(core.node(YLG), stack(core, core.card(YLG, 0, CQU), 0, srid=other))
        assert answer["answers"][0]["codes"] == ["CARD_UNKNOWN"]
        by_name = await core.decider.borrow(core.node(YLG), stack(core, "x", 0) | {"token": None, "srid": other})
        assert by_name["answers"][0]["codes"] == ["OK"]


async def test_reader_by_number_pin_right_wrong_and_locked(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        tokens = [core.identity.card(YLG, "00112233"), core.identity.number(YLG, f"{CQU}:20000003")]

        async def ask(pin: str | None) -> tuple[Any, str]:
            answer = await core.decider.reader(core.node(YLG), {"tokens": tokens, "pin": pin})
            assert answer["found"]
            return answer["pin_ok"], answer["code"]

        assert await ask(None) == (None, "OK")
        assert await ask("134711") == (True, "OK")
        assert [await ask("0000") for _ in range(4)] == [(False, "PIN_WRONG")] * 4
        assert await ask("134711") == (True, "OK")  # a right one forgets the wrong ones
        assert [code for _, code in [await ask("0000") for _ in range(5)]] == ["PIN_WRONG"] * 4 + ["PIN_LOCKED"]
        assert await ask("134711") == (False, "PIN_LOCKED")
        core.now += 15 * 60_000
        assert await ask("134711") == (True, "OK")


async def test_guesses_made_at_once_do_not_pass_the_lock(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        data = {"token": core.card(YLG, 3, CQU)}
        pins = [f"{n:04d}" for n in range(19)] + ["134711"]
        answers = await asyncio.gather(*(core.decider.reader(core.node(YLG), {**data, "pin": pin}) for pin in pins))
        assert [answer["code"] for answer in answers].count("PIN_LOCKED") >= 15
        assert answers[-1]["pin_ok"] is False


async def test_an_unknown_reader_is_not_found(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        answer = await core.decider.reader(core.node(YLG), {"token": "f" * 64, "pin": "1"})
        assert (answer["found"], answer["pin_ok"], answer["code"]) == (False, None, "CARD_UNKNOWN")
