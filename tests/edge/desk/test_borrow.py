"""Lending: who decides, what is promised, and when."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from consortium.bundle import Policy, from_json
from consortium.decision import Outcome
from consortium.decisions import may_borrow
from consortium.events import Kind
from consortium.facts import BorrowFacts
from consortium.record import facts_of
from edge.answers import Answer, Identified, ItemRef
from edge.config import OutboxConfig
from edge.outbox import Draft
from edge.selfservice.identify import Presented
from edge.selfservice.pin import SessionPin
from tests.edge.bed import (
    BRANCH,
    HOUR_MS,
    PIN,
    Bed,
    Hub,
    make_config,
    policy_text,
    srid_of,
    standard_rows,
    write_replica,
)
from tests.make import HOME, HOST


async def reader(bed: Bed, number: str, pin: str = "") -> Identified:
    """A reader identified at a kiosk."""
    found = await bed.agent.identifier.identify(number, pin, device="kiosk1", trusts_card=False, session=SessionPin())
    assert isinstance(found, Presented)
    return found.reader


async def borrow(bed: Bed, who: Identified, *numbers: str, device: str = "kiosk1") -> list[Answer]:
    """Lend items by bare number."""
    return await bed.agent.desk.borrow(who, [ItemRef(None, number) for number in numbers], device)


def told(owner: str, item_no: str, outcome: str = "ALLOW", **more: Any) -> dict[str, Any]:
    """One answer of the hub."""
    return {"record": {"f": "borrow", "o": outcome, "c": ["OK"], "s": "hub"}, "owner": owner, "item_no": item_no, "type": "BOOK",
            "title": "书", "outcome": outcome, "codes": ["OK"], "due": 1_800_000_000_000, "basis": ["a@1"], "reservation": "r1",
            **more}  # fmt: skip


class TestRefusals:
    async def test_a_blocked_reader_is_refused_and_the_refusal_is_told(self, bed: Bed) -> None:
        (answer,) = await borrow(bed, await reader(bed, "R2"), "1001")
        assert (answer.outcome, answer.code) == (Outcome.DENY, "BLOCK_OVERDUE")
        (event,) = await bed.settled(Kind.REFUSED)
        assert event.data == {"function": "borrow", "codes": ["BLOCK_OVERDUE"], "home": HOME, "item": [HOME, "1001"]}
        assert bed.subjects(Kind.REFUSED) == [srid_of("R2")]
        assert bed.events(Kind.CHECKOUT) == []

    async def test_a_partners_item_unknown_here_is_not_decided_while_the_hub_is_away(self, bed: Bed) -> None:
        (answer,) = await bed.agent.desk.borrow(await reader(bed, "R1"), [ItemRef(HOST, "9999")], "kiosk1")
        assert (answer.outcome, answer.code) == (Outcome.REFER, "NOT_DECIDABLE_OFFLINE")
        assert bed.events(Kind.CHECKOUT) == []

    async def test_a_partner_with_nothing_but_a_number_is_refused_without_asking(self, hub_bed: Bed, hub: Hub) -> None:
        (answer,) = await borrow(hub_bed, await reader(hub_bed, "P1"), "1001")
        assert answer.code == "CARD_ASSURANCE_LOW"
        assert [name for name, _ in hub.asked] == []

    async def test_what_the_hub_refuses_is_refused_with_its_record(self, hub_bed: Bed, hub: Hub) -> None:
        hub.answers["borrow"] = lambda data: {"answers": [told(HOST, "2002", "DENY", codes=["AGR_QUOTA"], due=None)]}
        (answer,) = await borrow(hub_bed, await reader(hub_bed, "R1"), "2002")
        assert (answer.outcome, answer.code) == (Outcome.DENY, "AGR_QUOTA")
        (event,) = await hub_bed.settled(Kind.REFUSED)
        assert event.decision is not None
        assert event.decision["s"] == "hub"

    async def test_nothing_is_lent_where_nothing_can_be_recorded(self, tmp_path: Path) -> None:
        write_replica(tmp_path, standard_rows())
        async with Bed(make_config(tmp_path, outbox=OutboxConfig(max_rows=10))) as bed:
            who = await reader(bed, "R1")
            while bed.agent.outbox.depth < 10:
                await bed.agent.desk.give_back(ItemRef(HOME, "1009"), "kiosk1")
            (answer,) = await borrow(bed, who, "1001")
            assert (answer.outcome, answer.code, answer.recorded) == (Outcome.REFER, "OUT_OF_SERVICE", None)
            assert bed.events(Kind.CHECKOUT) == []

    async def test_without_a_policy_nothing_is_lent(self, tmp_path: Path) -> None:
        write_replica(tmp_path, standard_rows())
        async with Bed(make_config(tmp_path)) as bed:
            who = await reader(bed, "R1")
        async with Bed(make_config(tmp_path / "new")) as bare:
            (answer,) = await borrow(bare, who, "1001")
            assert answer.code == "NOT_DECIDABLE_OFFLINE"

    async def test_a_stack_cannot_pass_the_limit(self, bed: Bed) -> None:
        answers = await borrow(bed, await reader(bed, "R1"), *(str(number) for number in range(1001, 1008)))
        assert [answer.code for answer in answers] == ["OK"] * 5 + ["LIMIT_LENDER"] * 2

    async def test_facts_older_than_eight_hours_lend_nothing_while_the_hub_is_away(self, tmp_path: Path) -> None:
        write_replica(tmp_path, standard_rows(), age_ms=9 * HOUR_MS)
        async with Bed(make_config(tmp_path)) as bed:
            (answer,) = await borrow(bed, await reader(bed, "R1"), "1001")
            assert answer.code == "NOT_DECIDABLE_OFFLINE"


class TestOwnCirculation:
    async def test_own_reader_and_own_item_are_lent_without_asking_anybody(self, hub_bed: Bed, hub: Hub) -> None:
        (answer,) = await borrow(hub_bed, await reader(hub_bed, "R1"), "1001")
        assert answer.ok
        assert hub.asked == []

    async def test_the_loan_is_durable_before_it_is_promised(self, bed: Bed, tmp_path: Path) -> None:
        (answer,) = await borrow(bed, await reader(bed, "R1"), "1001")
        other = sqlite3.connect(tmp_path / "outbox.db")  # another connection sees only what was committed
        rows = other.execute("SELECT srid FROM events WHERE kind = 'CHECKOUT'").fetchall()
        other.close()
        assert rows == [(srid_of("R1"),)]
        (event,) = bed.events(Kind.CHECKOUT)
        assert answer.recorded == str(event.id)
        assert event.data["item"] == [HOME, "1001"]
        assert event.data["due"] == answer.due_ms
        assert event.data["home"] == HOME
        assert "flags" not in event.data

    async def test_the_recorded_decision_can_be_derived_again(self, bed: Bed) -> None:
        await borrow(bed, await reader(bed, "R1", PIN), "1001")
        (event,) = bed.events(Kind.CHECKOUT)
        assert event.decision is not None
        facts = facts_of(event.decision)
        assert isinstance(facts, BorrowFacts)
        again = may_borrow(Policy(from_json(bed.agent.replica.policy and policy_text())), facts, event.decision["t"])
        assert (again.outcome.value, list(again.codes), again.due_ms) == ("ALLOW", ["OK"], event.data["due"])

    async def test_the_same_loan_asked_twice_at_once_is_one(self, bed: Bed) -> None:
        who = await reader(bed, "R1")
        first, second = await asyncio.gather(borrow(bed, who, "1001"), borrow(bed, who, "1001"))
        assert first == second
        assert first[0].ok
        assert len(bed.events(Kind.CHECKOUT)) == 1

    async def test_two_readers_cannot_both_take_one_item(self, bed: Bed) -> None:
        one, other = await reader(bed, "R1"), await reader(bed, "R4")
        answers = await asyncio.gather(borrow(bed, one, "1001"), borrow(bed, other, "1001", device="kiosk2"))
        assert sorted(answer.code for (answer,) in answers) == ["ITEM_ON_LOAN", "OK"]
        assert len(bed.events(Kind.CHECKOUT)) == 1

    async def test_stacks_in_opposite_order_do_not_wait_for_each_other(self, bed: Bed) -> None:
        one, other = await reader(bed, "R1"), await reader(bed, "R4")
        async with asyncio.timeout(5):
            answers = await asyncio.gather(
                borrow(bed, one, "1001", "1002"), borrow(bed, other, "1002", "1001", device="kiosk2")
            )
        assert sum(answer.ok for stack in answers for answer in stack) == 2

    async def test_what_an_ils_lent_to_nobody_we_know_is_somebody_elses(self, bed: Bed) -> None:
        seen = {"what": "LOAN", "as_of": 1, "item": [HOME, "1001"], "due": 1_900_000_000_000}
        await bed.agent.outbox.append(Draft(Kind.ILS_OBSERVED, BRANCH, "ils", seen))
        (answer,) = await borrow(bed, await reader(bed, "R1"), "1001")
        assert answer.code == "ITEM_ON_LOAN"

    async def test_a_second_loan_of_ones_own_loan_is_named_so(self, bed: Bed) -> None:
        who = await reader(bed, "R1")
        await borrow(bed, who, "1001")
        (answer,) = await borrow(bed, who, "1001")
        assert answer.code == "ITEM_ON_LOAN_SELF"

    async def test_old_facts_are_asked_of_the_hub_and_lent_degraded_where_it_is_away(self, tmp_path: Path) -> None:
        write_replica(tmp_path, standard_rows(), age_ms=HOUR_MS)
        async with Bed(make_config(tmp_path)) as bed:
            answers = await borrow(bed, await reader(bed, "R1"), "1001", "1002", "1003")
            assert [answer.code for answer in answers] == ["OK", "OK", "LIMIT_OFFLINE"]
            events = bed.events(Kind.CHECKOUT)
            assert [event.data["flags"] for event in events] == [["OFFLINE"], ["OFFLINE"]]
            assert [event.decision and event.decision["m"] for event in events] == ["OFFLINE", "OFFLINE"]


class TestPartners:
    async def test_a_stack_with_partners_is_one_question_and_keeps_the_hubs_words(self, hub_bed: Bed, hub: Hub) -> None:
        hub.answers["borrow"] = lambda data: {
            "answers": [
                told(item["owner"], item["item_no"], reservation=f"r{n}") for n, item in enumerate(data["items"])
            ]
        }
        hub.answers["reader"] = lambda data: {"found": True, "pin_ok": True}
        who = await reader(hub_bed, "P1", PIN)
        answers = await borrow(hub_bed, who, "1001", "2002")
        assert [answer.ok for answer in answers] == [True, True]
        questions = [data for name, data in hub.asked if name == "borrow"]
        assert len(questions) == 1
        assert questions[0]["items"] == [{"owner": HOME, "item_no": "1001"}, {"owner": HOST, "item_no": "2002"}]
        assert (questions[0]["srid"], questions[0]["pin"]) == (srid_of("P1"), True)
        events = hub_bed.events(Kind.CHECKOUT)
        assert [event.data["reservation"] for event in events] == ["r0", "r1"]
        assert all(event.decision is not None and event.decision["s"] == "hub" for event in events)
        assert all("flags" not in event.data for event in events)

    async def test_what_did_not_fit_into_the_hubs_message_is_asked_again(self, hub_bed: Bed, hub: Hub) -> None:
        hub.answers["borrow"] = lambda data: {
            "answers": [told(item["owner"], item["item_no"]) for item in data["items"][:1]],
            **({"more": True} if len(data["items"]) > 1 else {}),
        }
        who = replace(await reader(hub_bed, "P1"), pin=True)
        answers = await borrow(hub_bed, who, "1001", "1002", "2002")
        assert [answer.ok for answer in answers] == [True] * 3
        assert [len(data["items"]) for _, data in hub.asked] == [3, 2, 1]
        assert all("flags" not in event.data for event in hub_bed.events(Kind.CHECKOUT))

    async def test_while_the_hub_thinks_nobody_else_takes_the_item(self, hub_bed: Bed, hub: Hub) -> None:
        hub.answers["borrow"] = lambda data: {"answers": [told(HOME, "1001")]}
        hub.thinks_s = 0.3
        partner, own = replace(await reader(hub_bed, "P1"), pin=True), await reader(hub_bed, "R1")
        asking = asyncio.create_task(borrow(hub_bed, partner, "1001"))
        await asyncio.sleep(0.1)
        (late,) = await borrow(hub_bed, own, "1001", device="kiosk2")
        assert (await asking)[0].ok
        assert late.code == "ITEM_ON_LOAN"
        assert len(hub_bed.events(Kind.CHECKOUT)) == 1

    async def test_only_what_is_not_ours_is_asked(self, hub_bed: Bed, hub: Hub) -> None:
        hub.answers["borrow"] = lambda data: {"answers": [told(HOST, "2002")]}
        answers = await borrow(hub_bed, await reader(hub_bed, "R1"), "1001", "2002")
        assert [answer.ok for answer in answers] == [True, True]
        assert [data["items"] for _, data in hub.asked] == [[{"owner": HOST, "item_no": "2002"}]]

    async def test_a_silent_hub_costs_one_deadline_and_then_none(self, hub_bed: Bed, hub: Hub) -> None:
        who = replace(await reader(hub_bed, "P1"), pin=True)
        link = hub_bed.agent.link
        before = link.asked
        (first,) = await borrow(hub_bed, who, "1001")
        assert first.ok
        assert (link.asked - before, link.timeouts, link.online) == (1, 1, False)
        # The next reader is not made to wait: nobody is asked, though this hub would answer a hello at once.
        await asyncio.sleep(0.3)
        (second,) = await borrow(hub_bed, who, "1002")
        assert second.ok
        assert (link.asked - before, link.timeouts) == (1, 1)
        assert [event.data["flags"] for event in hub_bed.events(Kind.CHECKOUT)] == [["OFFLINE"], ["OFFLINE"]]

    @pytest.mark.parametrize(
        "answer",
        [
            {},
            {"answers": []},
            {"answers": [{"item_no": "1001"}]},
            {"answers": [told(HOME, "1001", due=None)]},
            {"answers": "all of them"},
        ],
    )
    async def test_an_answer_that_is_none_counts_as_no_answer(
        self, hub_bed: Bed, hub: Hub, answer: dict[str, Any]
    ) -> None:
        hub.answers["borrow"] = lambda data: answer
        (given,) = await borrow(hub_bed, replace(await reader(hub_bed, "P1"), pin=True), "1001")
        assert given.ok
        (event,) = hub_bed.events(Kind.CHECKOUT)
        assert event.data["flags"] == ["OFFLINE"]

    async def test_an_untrusted_clock_lends_nothing_to_partners(self, tmp_path: Path) -> None:
        write_replica(tmp_path, standard_rows())
        async with Bed(make_config(tmp_path), trusted=False) as bed:
            (answer,) = await borrow(bed, replace(await reader(bed, "P1"), pin=True), "1001")
            assert answer.code == "CLOCK_UNTRUSTED"
            (own,) = await borrow(bed, await reader(bed, "R1"), "1002")
            assert own.ok
