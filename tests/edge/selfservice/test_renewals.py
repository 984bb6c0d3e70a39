"""Renewing at a kiosk: 29, 65 and the second checkout of one's own loan."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from consortium.agreement import PolicyRule
from consortium.events import Kind
from tests.edge.bed import (
    BRANCH,
    HOUR_MS,
    Bed,
    Hub,
    RawKiosk,
    Rows,
    make_config,
    now_ms,
    policy_text,
    srid_of,
    standard_rows,
    until,
    write_replica,
)
from tests.edge.selfservice.messages import AT, checkout, every, get, logged_in, renew, renew_all
from tests.make import HOME, HOST

DAY_MS = 24 * HOUR_MS
TERMS = {"period_days": 30, "renewals": 1}


def lent(number: str, who: str = "R1", *, owner: str = HOME, due_days: int = 3, **more: Any) -> list[Any]:
    """Rows of an item that is on loan, with what an edge needs to renew it."""
    now = now_ms()
    loan = {"status": "ON_LOAN", "loan_srid": srid_of(who), "due": now + due_days * DAY_MS, "t_out": now - 20 * DAY_MS,
            "place": BRANCH, "terms": TERMS, "renewed": 0, **more}  # fmt: skip
    return Rows.item(number, owner=owner, **loan)


def rows() -> list[Any]:
    return [
        *standard_rows(),
        *lent("3001"),
        *lent("3002", renewed=1),
        *lent("3003", hold_srid=srid_of("R4")),
        *lent("3004", "R4"),
    ]


@pytest.fixture
async def bed(tmp_path: Path) -> AsyncIterator[Bed]:
    """An edge whose rules renew once, hub away."""
    rules = (PolicyRule("general", lend=True, period_days=30, renewals=1),)
    write_replica(tmp_path, rows(), policy=policy_text(rules=rules))
    async with Bed(make_config(tmp_path)) as running:
        yield running


@pytest.fixture
async def kiosk(bed: Bed) -> AsyncIterator[RawKiosk]:
    async with logged_in(bed) as raw:
        yield raw


class TestRefusals:
    @pytest.mark.parametrize(
        ("item_no", "screen"),
        [
            ("3002", "续借次数已满 (RENEW_LIMIT)"),
            ("3003", "他人已预约 (RENEW_HELD)"),
            ("3004", "已借出(请交服务台) (ITEM_ON_LOAN)"),
            ("1001", "未识别的文献 (ITEM_UNKNOWN)"),
            ("99999", "未识别的文献 (ITEM_UNKNOWN)"),
        ],
    )
    async def test_it_says_no_and_why(self, bed: Bed, kiosk: RawKiosk, item_no: str, screen: str) -> None:
        reply = await kiosk.ask(renew(item_no))
        assert reply.startswith("300N")
        assert get(reply, "AF") == screen
        assert bed.events(Kind.RENEW) == []

    async def test_a_partners_item_is_not_renewed_twice_offline(self, tmp_path: Path) -> None:
        more = lent("8001", owner=HOST, place=BRANCH)
        write_replica(tmp_path, [*standard_rows(), *more], policy=policy_text(
            rules=(PolicyRule("general", lend=True, period_days=30, renewals=5),)))  # fmt: skip
        async with Bed(make_config(tmp_path)) as bed, logged_in(bed) as kiosk:
            first = await kiosk.ask(renew("8001"))
            assert first.startswith("301Y"), first
            (event,) = bed.events(Kind.RENEW)
            assert event.data["flags"] == ["OFFLINE"]
            second = await kiosk.ask(renew("8001", at="20261122    101501"))
            assert get(second, "AF") == "网络中断,请到服务台 (NOT_DECIDABLE_OFFLINE)"


class TestRenew:
    async def test_own_loan_of_own_item_is_renewed_here_though_the_hub_is_away(self, bed: Bed, kiosk: RawKiosk) -> None:
        reply = await kiosk.ask(renew("3001"))
        assert reply.startswith("301Y")
        (event,) = bed.events(Kind.RENEW)
        assert event.data["item"] == [HOME, "3001"]
        assert event.data["due"] > now_ms() + 29 * DAY_MS
        assert get(reply, "AH") == bed.agent.due_text(event.data["due"])
        assert "flags" not in event.data
        assert event.decision is not None
        assert event.decision["f"] == "renew"

    async def test_the_second_renewal_counts_the_first_that_the_replica_does_not_know_yet(
        self, kiosk: RawKiosk
    ) -> None:
        await kiosk.ask(renew("3001"))
        reply = await kiosk.ask(renew("3001", at="20261122    102000"))
        assert get(reply, "AF") == "续借次数已满 (RENEW_LIMIT)"

    async def test_a_loan_made_here_today_can_be_renewed_by_its_own_terms(self, bed: Bed, kiosk: RawKiosk) -> None:
        await kiosk.ask(checkout("1001"))
        reply = await kiosk.ask(renew("1001"))
        assert (
            get(reply, "AF") == "未到续借期 (RENEW_EARLY)"
        )  # known, its turn has not come: nothing would be gained today
        assert bed.events(Kind.RENEW) == []

    async def test_a_title_among_the_readers_loans_is_enough(self, bed: Bed, kiosk: RawKiosk) -> None:
        assert (await kiosk.ask(renew("", more="AJ书名 3001|"))).startswith("301Y")
        assert [event.data["item"] for event in bed.events(Kind.RENEW)] == [[HOME, "3001"]]

    async def test_a_repeat_is_answered_as_the_first_time(self, bed: Bed) -> None:
        replies = []
        for _ in range(2):
            async with logged_in(bed) as kiosk:  # another connection, as after a loss
                replies.append(await kiosk.ask(renew("3001")))
        assert replies[0][24:] == replies[1][24:]
        assert len(bed.events(Kind.RENEW)) == 1


class TestCheckoutOfOnesOwnLoan:
    async def test_a_kiosk_that_allows_renewals_gets_one(self, bed: Bed, kiosk: RawKiosk) -> None:
        reply = await kiosk.ask(checkout("3001", flags="YN"))
        assert reply.startswith("121Y")
        assert (len(bed.events(Kind.RENEW)), bed.events(Kind.CHECKOUT)) == (1, [])

    async def test_a_kiosk_that_does_not_is_told_whose_it_is(self, bed: Bed, kiosk: RawKiosk) -> None:
        reply = await kiosk.ask(checkout("3001", flags="NN"))
        assert reply.startswith("120Y")
        assert bed.events(Kind.RENEW) == []

    async def test_a_checkin_that_failed_at_the_kiosk_leaves_the_loan_as_it_is(self, bed: Bed, kiosk: RawKiosk) -> None:
        reply = await kiosk.ask(checkout("3001", more="BIY|"))
        assert reply.startswith("121Y")
        assert get(reply, "AF") == "仍在您名下 (ALREADY_YOURS)"
        assert bed.events(Kind.CHECKOUT, Kind.RENEW) == []


class TestRenewAll:
    async def test_each_loan_is_named_with_what_became_of_it(self, bed: Bed, kiosk: RawKiosk) -> None:
        reply = await kiosk.ask(renew_all())
        assert reply.startswith("6610001" + "0002")
        assert every(reply, "BM") == ["3001"]
        assert every(reply, "BN") == ["3002", "3003"]
        assert "续借次数已满 (RENEW_LIMIT)" in every(reply, "AF")
        assert len(bed.events(Kind.RENEW)) == 1

    async def test_a_repeat_renews_nothing_again_and_says_the_same(self, bed: Bed) -> None:
        replies = []
        for _ in range(2):
            async with logged_in(bed) as kiosk:
                replies.append(await kiosk.ask(renew_all()))
        assert replies[0][:11] == replies[1][:11]
        assert len(bed.events(Kind.RENEW)) == 1

    async def test_without_a_date_it_is_answered_all_the_same(self, kiosk: RawKiosk) -> None:
        reply = await kiosk.ask(f"65AO{HOME}|AAR1|AD2468|")
        assert reply.startswith("6610001")

    async def test_who_has_nothing_is_told_so(self, kiosk: RawKiosk) -> None:
        reply = await kiosk.ask(renew_all("P1").replace("AD2468|", ""))
        assert reply.startswith("6610000" + "0000")
        assert every(reply, "AF") == ["没有可续借的文献"]

    async def test_what_is_not_ours_is_one_question_to_the_hub(self, tmp_path: Path, hub: Hub, broker: Any) -> None:
        more = [*lent("8001", owner=HOST, place=f"{HOST}-01"), *lent("8002", owner=HOST, place=f"{HOST}-01")]
        rules = (PolicyRule("general", lend=True, period_days=30, renewals=1),)
        write_replica(tmp_path, [*rows(), *more], policy=policy_text(rules=rules))
        due = now_ms() + 40 * DAY_MS
        hub.answers["renew"] = lambda data: {
            "answers": [
                {"item_no": item["item_no"], "owner": item["owner"], "outcome": "ALLOW" if item["item_no"] == "8001" else "DENY",
                 "codes": ["OK"] if item["item_no"] == "8001" else ["RENEW_HELD"], "due": due, "record": {"f": "renew", "s": "hub"}}
                for item in data["items"]
            ]
        }  # fmt: skip
        async with Bed(make_config(tmp_path, broker_url=broker.url)) as bed:
            await until(lambda: bed.agent.link.online)
            async with logged_in(bed) as kiosk:
                reply = await kiosk.ask(renew_all(at=AT))
            assert sorted(every(reply, "BM")) == ["3001", f"{HOST}:8001"]
            assert sorted(every(reply, "BN")) == ["3002", "3003", f"{HOST}:8002"]
            assert [name for name, _ in hub.asked] == ["renew"]
            due_of = {event.data["item"][1]: event.data["due"] for event in bed.events(Kind.RENEW)}
            assert due_of["8001"] == due
