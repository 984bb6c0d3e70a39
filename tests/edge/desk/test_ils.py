"""A branch whose own ILS keeps its loans: it is asked, its word is recorded, and its being away refuses nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from consortium.agreement import Master, Mastership
from consortium.decisions import accept_return, may_borrow, may_renew
from consortium.events import Event, Kind
from consortium.record import facts_of
from edge.ils.port import IlsPort
from tests.edge.bed import (
    BRANCH,
    Bed,
    Rows,
    make_config,
    now_ms,
    policy_text,
    srid_of,
    standard_rows,
    write_replica,
)
from tests.edge.desk.ils import DAY_MS, Books
from tests.edge.selfservice.messages import AT, checkin, checkout, date, every, get, information, logged_in, renew
from tests.make import HOME, HOST, Make

OTHER_BRANCH = f"{HOME}-02"


def rows() -> list[Any]:
    loan = {"status": "ON_LOAN", "loan_srid": srid_of("R1"), "due": now_ms() + DAY_MS, "t_out": now_ms() - 9 * DAY_MS,
            "place": BRANCH, "terms": {"period_days": 30, "renewals": 1}}  # fmt: skip
    return [
        *standard_rows(),
        *Rows.reader("R7", pin=None),
        *Rows.item("3001", **loan),
        *Rows.item("1050", hold_srid=srid_of("P1")),
    ]


def policy() -> str:
    """All libraries; the home keeps its own loans and readers."""
    masters = Mastership(loans=Master.ILS, readers=Master.ILS)
    kept = tuple(replace(one, masters=masters) if one.org == HOME else one for one in Make.bundle().libraries)
    return policy_text(libraries=kept)


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.fixture
async def bed(tmp_path: Path, books: Books) -> AsyncIterator[Bed]:
    write_replica(tmp_path, rows(), policy=policy())
    async with Bed(make_config(tmp_path)) as running:
        port: IlsPort = books
        running.agent.desk.ils = port
        running.agent.identifier.ils = port
        yield running


def one(bed: Bed, kind: Kind) -> Event:
    (event,) = bed.events(kind)
    return event


class TestLoans:
    async def test_what_we_refuse_is_not_asked_of_it(self, bed: Bed, books: Books) -> None:
        async with logged_in(bed) as kiosk:
            assert (
                get(await kiosk.ask(checkout("1050")), "AF") == "已被预约 (ITEM_HELD)"
            )  # a partner waits: no ILS knows that
            assert get(await kiosk.ask(checkout("1001", "R3")), "AF") == "此卡已挂失 (CARD_LOST)"
        assert books.loans == {}

    async def test_what_it_refuses_is_refused_in_both_our_words_and_its_own(self, bed: Bed, books: Books) -> None:
        books.refused["R1"] = "欠款未清"
        async with logged_in(bed) as kiosk:
            reply = await kiosk.ask(checkout("1001"))
        assert every(reply, "AF") == ["图书馆系统未通过,请到服务台 (ILS_REFUSED)", "欠款未清"]
        assert bed.events(Kind.CHECKOUT) == []
        (event,) = await bed.settled(Kind.REFUSED)
        assert event.data["codes"] == ["ILS_REFUSED"]

    async def test_what_it_lends_is_lent_until_it_says(self, bed: Bed, books: Books) -> None:
        async with logged_in(bed) as kiosk:
            reply = await kiosk.ask(checkout("1001"))
        assert reply.startswith("121N")
        assert every(reply, "AF") == ["通过 (OK)", "祝您阅读愉快"]
        event = one(bed, Kind.CHECKOUT)
        assert (event.data["due"], event.data["basis"], event.data["flags"]) == (books.due(), ["ILS"], ["ILS"])
        assert books.loans == {"1001": "R1"}

    async def test_the_number_goes_to_it_without_the_library_typed_before_it(self, bed: Bed, books: Books) -> None:
        async with logged_in(bed) as kiosk:
            await kiosk.ask(checkout("1001", f"{HOME}:R1"))
        assert books.loans == {"1001": "R1"}

    async def test_where_its_due_date_cannot_be_read_our_own_is_used(self, bed: Bed, books: Books) -> None:
        books.due_known = False
        async with logged_in(bed) as kiosk:
            assert (await kiosk.ask(checkout("1001"))).startswith("121N")
        assert one(bed, Kind.CHECKOUT).data["due"] > now_ms() + 29 * DAY_MS

    async def test_while_it_is_away_our_rules_lend_and_it_is_told_later(self, bed: Bed, books: Books) -> None:
        books.down = True
        async with logged_in(bed) as kiosk:
            assert (await kiosk.ask(checkout("1001"))).startswith("121N")
        event = one(bed, Kind.CHECKOUT)
        assert event.data["flags"] == ["ILS_AWAY"]
        assert event.data["basis"] != ["ILS"]
        assert books.remembered == {srid_of("R1"): "R1"}

    async def test_a_loan_it_knows_as_this_readers_is_a_renewal(self, bed: Bed, books: Books) -> None:
        books.loans["3001"] = "R1"
        async with logged_in(bed) as kiosk:
            reply = await kiosk.ask(checkout("3001"))
        assert reply.startswith("121Y")
        assert (one(bed, Kind.RENEW).data["flags"], bed.events(Kind.CHECKOUT)) == (["ILS"], [])

    async def test_partners_are_none_of_its_business(self, bed: Bed, books: Books) -> None:
        async with logged_in(bed) as kiosk:
            await kiosk.ask(checkout("2002"))
            await kiosk.ask(checkout("1001", "P1", None))
        assert [question for question, _ in books.asked if question == "checkout"] == []

    async def test_what_happened_off_line_is_recorded_and_its_reader_remembered(self, bed: Bed, books: Books) -> None:
        async with logged_in(bed) as kiosk:
            await kiosk.ask(checkout("1001", at=date(3_600_000), flags="NY"))
        assert "ILS" not in one(bed, Kind.CHECKOUT).data["flags"]
        assert (books.loans, books.remembered) == ({}, {srid_of("R1"): "R1"})


class TestRenewals:
    async def test_its_no_is_ours(self, bed: Bed, books: Books) -> None:
        async with logged_in(bed) as kiosk:
            reply = await kiosk.ask(renew("3001"))
        assert reply.startswith("300")
        assert every(reply, "AF")[-1] == "不是您的书"
        assert bed.events(Kind.RENEW) == []

    async def test_its_yes_is_recorded_with_its_date(self, bed: Bed, books: Books) -> None:
        books.loans["3001"] = "R1"
        async with logged_in(bed) as kiosk:
            assert (await kiosk.ask(renew("3001"))).startswith("301Y")
        event = one(bed, Kind.RENEW)
        assert (event.data["due"], event.data["flags"]) == (books.due(), ["ILS"])

    async def test_a_loan_that_only_it_knows_is_renewed_all_the_same(self, bed: Bed, books: Books) -> None:
        books.loans["1002"] = "R1"
        async with logged_in(bed) as kiosk:
            assert (await kiosk.ask(renew("1002"))).startswith("301Y")
        assert one(bed, Kind.RENEW).decision is None

    async def test_while_it_is_away_our_rules_renew(self, bed: Bed, books: Books) -> None:
        books.down = True
        async with logged_in(bed) as kiosk:
            assert (await kiosk.ask(renew("3001"))).startswith("301Y")
        assert one(bed, Kind.RENEW).data["flags"] == ["ILS_AWAY"]
        assert books.remembered == {srid_of("R1"): "R1"}


class TestReturns:
    async def test_what_it_takes_back_is_flagged_as_known_to_it(self, bed: Bed, books: Books) -> None:
        async with logged_in(bed) as kiosk:
            reply = await kiosk.ask(checkin("3001"))
        assert get(reply, "AF") == "已还 (RETURN_HOME)"
        assert one(bed, Kind.RETURN).data["flags"] == ["ILS"]

    @pytest.mark.parametrize(
        ("alert", "pickup", "action", "cv"), [("01", BRANCH, "HOLD", "01"), ("99", "", "DESK", "99"), ("04", "", "SHELVE", "04")]
    )  # fmt: skip
    async def test_its_holds_change_the_way(
        self, bed: Bed, books: Books, alert: str, pickup: str, action: str, cv: str
    ) -> None:
        books.alerts["3001"], books.holds["3001"] = alert, pickup
        async with logged_in(bed) as kiosk:
            reply = await kiosk.ask(checkin("3001"))
        assert get(reply, "CV") == cv
        assert one(bed, Kind.RETURN).data["route"]["action"] == action

    async def test_a_hold_at_another_branch_sends_it_there(self, bed: Bed, books: Books) -> None:
        books.alerts["3001"], books.holds["3001"] = "02", f"{HOST}-01"
        async with logged_in(bed) as kiosk:
            reply = await kiosk.ask(checkin("3001"))
        assert (get(reply, "CV"), get(reply, "CT")) == ("02", f"{HOST}-01")

    @pytest.mark.parametrize("how", ["away", "refused"])
    async def test_a_return_is_never_refused_nor_lost(self, bed: Bed, books: Books, how: str) -> None:
        books.down = how == "away"
        books.refused["3001"] = "不在借"
        async with logged_in(bed) as kiosk:
            assert (await kiosk.ask(checkin("3001"))).startswith("101Y")
        assert "flags" not in one(bed, Kind.RETURN).data

    async def test_a_partners_item_is_not_told_to_it(self, bed: Bed, books: Books) -> None:
        async with logged_in(bed) as kiosk:
            await kiosk.ask(checkin("2002"))
        assert books.asked == []


class TestWhatItKnows:
    async def test_a_pin_that_only_it_knows_is_checked_there(self, bed: Bed, books: Books) -> None:
        books.pins["R7"] = "1357"
        async with logged_in(bed) as kiosk:
            assert get(await kiosk.ask(information("R7", "0000")), "CQ") == "N"
            assert get(await kiosk.ask(information("R7", "1357")), "CQ") == "Y"

    async def test_fees_and_standing_are_its_own(self, bed: Bed, books: Books) -> None:
        books.refused["R1"] = "x"
        async with logged_in(bed) as kiosk:
            reply = await kiosk.ask(information())
        assert (get(reply, "BV"), get(reply, "BH"), get(reply, "BL")) == ("12.50", "CNY", "N")
        assert reply[2] == "Y"

    async def test_an_items_standing_is_its_own(self, bed: Bed, books: Books) -> None:
        books.loans["1001"] = "somebody"
        async with logged_in(bed) as kiosk:
            reply = await kiosk.ask(f"17{AT}AO{HOME}|AB1001|AC|")
        assert reply[2:4] == "04"
        assert get(reply, "AH")


async def test_every_decision_of_a_day_can_be_derived_again(bed: Bed, books: Books) -> None:
    """I8, over all ways a transaction may go where an ILS has its say."""
    books.loans["3001"] = "R1"
    books.holds["1003"], books.alerts["1003"] = BRANCH, "01"
    books.alerts["1004"] = "99"
    async with logged_in(bed) as kiosk:
        for message in (
            checkout("1001"), renew("3001"), checkin("1003"), checkin("1004"), checkout("1050"), checkin("2002"),
            checkout("1011", at=date(3_600_000), flags="NY"), checkout("1002", "NOBODY", at=date(3_600_000), flags="NY"),
            renew("1007", at=date(3_600_000), flags="NY"),
        ):  # fmt: skip
            await kiosk.ask(message)
        books.down = True
        await kiosk.ask(checkout("1005"))
        books.down, books.refused["R1"] = False, "nein"
        await kiosk.ask(checkout("1006"))
    await bed.settled(Kind.REFUSED, 2)
    policy = bed.agent.replica.policy
    assert policy is not None
    decide: dict[str, Any] = {"borrow": may_borrow, "renew": may_renew, "return": accept_return}
    decided = [event for event in bed.events() if event.decision is not None]
    assert len(decided) == 10
    for event in decided:
        assert event.decision is not None
        facts = facts_of(event.decision)
        again = decide[event.decision["f"]](policy, facts, event.decision["t"])
        assert (again.outcome.value, list(again.codes)) == (event.decision["o"], event.decision["c"])
        if again.route is not None:
            assert (again.route.action, again.route.dest) == (
                event.data["route"]["action"],
                event.data["route"]["dest"],
            )
        elif again.due_ms is not None:
            assert event.data["due"] >= again.due_ms
