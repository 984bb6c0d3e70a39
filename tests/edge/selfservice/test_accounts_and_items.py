"""What a kiosk is shown of a reader's account (63) and of an item (17, 19)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from consortium.agreement import PolicyRule
from consortium.events import Kind
from edge.sip2_config import AccountConfig
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
from tests.edge.selfservice.messages import AT, checkin, checkout, every, get, information, instant_of, logged_in
from tests.make import HOME, HOST

DAY_MS = 24 * HOUR_MS
WAITING = {"hold_srid": srid_of("R1")}
EXPIRY = now_ms() + 100 * DAY_MS


def rows() -> list[Any]:
    out = {"status": "ON_LOAN", "loan_srid": srid_of("R4"), "due": now_ms() + DAY_MS}
    return [
        *standard_rows(),
        *Rows.reader("R9", valid_to_ms=EXPIRY, open_loans=[[HOME, "BOOK", 1, 1], [HOST, "BOOK", 2, 2]]),
        *Rows.item("3009", status="ON_LOAN", loan_srid=srid_of("R9"), due=now_ms() + DAY_MS),
        *Rows.item("3101", status="HOLD_SHELF", **WAITING),
        *Rows.item("3102", status="IN_TRANSIT", transit_to=BRANCH, **WAITING),
        *Rows.item("3103", **out, **WAITING),
        *Rows.item("3104", **out, recalled=now_ms(), holds=4),
        *Rows.item("3105", type="CD"),
        *[row for n in range(5) for row in Rows.item(f"32{n:02d}", status="ON_LOAN", loan_srid=srid_of("R4"),
                                                     due=now_ms() - DAY_MS + n)],
    ]  # fmt: skip


@pytest.fixture
async def bed(tmp_path: Path) -> AsyncIterator[Bed]:
    write_replica(tmp_path, rows())
    accounts = (
        AccountConfig("kiosk1", "secret", HOME, "kiosk1"),
        AccountConfig("initials", "secret", HOME, "kiosk2", names="initials", lang="en"),
    )
    async with Bed(make_config(tmp_path, accounts=accounts)) as running:
        yield running


@pytest.fixture
async def kiosk(bed: Bed) -> AsyncIterator[RawKiosk]:
    async with logged_in(bed) as raw:
        yield raw


class TestHoldsOfAReader:
    async def test_what_lies_ready_and_what_is_awaited_are_two_lists_with_their_counts(self, kiosk: RawKiosk) -> None:
        ready = await kiosk.ask(information(summary="Y         "))
        awaited = await kiosk.ask(information(summary="     Y    "))
        for reply in (ready, awaited):
            assert (reply[37:41], reply[57:61]) == ("0001", "0002")
        assert (every(ready, "AS"), every(ready, "CD")) == (["3101"], [])
        assert (every(awaited, "AS"), every(awaited, "CD")) == ([], ["3102", "3103"])

    async def test_an_item_that_arrives_becomes_ready(self, kiosk: RawKiosk) -> None:
        """As the hub's rows tell it: here nothing but the counts may move together."""
        await kiosk.ask(checkin("3102"))
        reply = await kiosk.ask(information(summary="Y         "))
        assert int(reply[37:41]) == len(every(reply, "AS"))


class TestLists:
    @pytest.mark.parametrize(
        ("window", "shown"),
        [("", 5), ("BP2|BQ3|", 2), ("BP00002|BQ   3|", 2), ("BP4|", 2), ("BQ2|", 2), ("BP9|BQ12|", 0), ("BPx|BQ2|", 2)],
    )
    async def test_a_window_of_the_list(self, kiosk: RawKiosk, window: str, shown: int) -> None:
        reply = await kiosk.ask(information("R4", summary=" Y        ", more=window))
        assert reply[41:45] == "0005"  # the count is the whole list's
        assert len(every(reply, "AT")) == shown

    async def test_counts_agree_with_the_lists_and_the_rest_is_said(self, kiosk: RawKiosk) -> None:
        reply = await kiosk.ask(information("R9"))
        assert (reply[45:49], every(reply, "AU")) == ("0001", ["3009"])
        assert every(reply, "AF")[-1] == "另有文献借自其他馆,未列出"

    async def test_expiry_home_and_no_name(self, bed: Bed, kiosk: RawKiosk) -> None:
        reply = await kiosk.ask(information("R9"))
        expiry = get(reply, "PA")
        assert expiry is not None
        assert abs(instant_of(f"{expiry}    000000") - EXPIRY) < DAY_MS
        assert (get(reply, "AQ"), get(reply, "AE")) == (HOME, "")

    async def test_texts_follow_the_language_asked_for(self, kiosk: RawKiosk) -> None:
        for lang, screen in (
            ("019", "有逾期未还"),
            ("027", "有逾期未还"),
            ("001", "Overdue items"),
            ("005", "Overdue items"),
        ):
            assert get(await kiosk.ask(information("R2", lang=lang)), "AF") == f"{screen} (BLOCK_OVERDUE)"


async def test_initials_are_shown_where_the_account_and_the_home_allow_it(
    tmp_path: Path, hub: Hub, broker: Any
) -> None:
    write_replica(tmp_path, rows())
    hub.answers["reader"] = lambda data: {
        "found": True, "srid": srid_of("X1"), "home": HOST, "pin_ok": True, "initials": "Z.W.",
        "token": {"status": "ACTIVE", "assurance": "LOW", "to_ms": None},
        "reader": {"home": HOST, "category": "UG", "status": "ACTIVE", "shared": True, "age": 20, "blocks": [], "open_loans": []},
    }  # fmt: skip
    accounts = tuple(AccountConfig(name, "secret", HOME, name, names=name) for name in ("none", "initials"))
    async with Bed(make_config(tmp_path, broker_url=broker.url, accounts=accounts)) as bed:
        await until(lambda: bed.agent.link.online)
        for name, shown in (("none", ""), ("initials", "Z.W.")):
            async with logged_in(bed, name) as kiosk:
                assert get(await kiosk.ask(information("X1")), "AE") == shown


class TestItems:
    @pytest.mark.parametrize(
        ("number", "status", "queue", "media"),
        [("3101", "08", "1", "001"), ("3102", "10", "1", "001"), ("3103", "04", "1", "001"), ("3104", "07", "4", "001"),
         ("3105", "03", None, "006")],
    )  # fmt: skip
    async def test_standing_queue_and_media(
        self, kiosk: RawKiosk, number: str, status: str, queue: str | None, media: str
    ) -> None:
        reply = await kiosk.ask(f"17{AT}AO{HOME}|AB{number}|AC|")
        assert (reply[2:4], get(reply, "CF"), get(reply, "CK")) == (status, queue, media)
        assert (get(reply, "AQ"), get(reply, "BG")) == (BRANCH, HOME)
        assert (get(reply, "CJ") is not None) == (status == "07")

    @pytest.mark.parametrize(
        ("number", "word", "screen"),
        [("99999", "DAMAGED", "未识别的文献 (ITEM_UNKNOWN)"), ("1001", "blue cover", "不记录文献属性 (NOT_KEPT)"),
         ("1001", "", "不记录文献属性 (NOT_KEPT)")],
    )  # fmt: skip
    async def test_properties_that_nobody_keeps_are_not_claimed_to_be_kept(
        self, bed: Bed, kiosk: RawKiosk, number: str, word: str, screen: str
    ) -> None:
        reply = await kiosk.ask(f"19{AT}AO{HOME}|AB{number}|CH{word}|AC|")
        assert reply.startswith("200")
        assert get(reply, "AF") == screen
        assert bed.events(Kind.ITEM_MARKED) == []

    async def test_damaged_means_something(self, bed: Bed, kiosk: RawKiosk) -> None:
        reply = await kiosk.ask(f"19{AT}AO{HOME}|AB1001|CHdamaged|AC|")
        assert reply.startswith("201")
        (event,) = bed.events(Kind.ITEM_MARKED)
        assert event.data == {"item": [HOME, "1001"], "mark": "DAMAGED"}


class TestDeposit:
    @pytest.fixture
    async def bed(self, tmp_path: Path) -> AsyncIterator[Bed]:
        rules = (PolicyRule("general", lend=True, period_days=30, deposit=5000),)
        write_replica(tmp_path, standard_rows(), policy=policy_text(rules=rules))
        async with Bed(make_config(tmp_path)) as running:
            yield running

    @pytest.mark.parametrize("more", ["", "BON|"])
    async def test_a_fee_that_nobody_acknowledged_is_named_and_nothing_lent(
        self, bed: Bed, kiosk: RawKiosk, more: str
    ) -> None:
        reply = await kiosk.ask(checkout("1001", more=more))
        assert reply.startswith("120N")
        assert (get(reply, "BT"), get(reply, "BV"), get(reply, "BH")) == ("01", "50.00", "CNY")
        assert get(reply, "AF") == "请先确认费用 (FEE_DUE)"
        assert bed.events(Kind.CHECKOUT, Kind.REFUSED) == []

    async def test_acknowledged_it_is_lent(self, bed: Bed, kiosk: RawKiosk) -> None:
        await kiosk.ask(checkout("1001", more="BON|"))
        assert (await kiosk.ask(checkout("1001", more="BOY|"))).startswith("121N")
        assert len(bed.events(Kind.CHECKOUT)) == 1


class TestReceipts:
    async def test_a_loan_prints_title_due_and_place_and_nothing_of_the_reader(self, bed: Bed, kiosk: RawKiosk) -> None:
        lines = every(await kiosk.ask(checkout("1001")), "AG")
        (event,) = bed.events(Kind.CHECKOUT)
        assert lines == ["书名 1001", f"应还日期 {bed.agent.due_text(event.data['due'])}", "馆"]
        assert "R1" not in "".join(lines)

    async def test_lines_are_cut_to_the_printer(self, kiosk: RawKiosk) -> None:
        await kiosk.ask("9900042.00")
        assert all(len(line) <= 4 for line in every(await kiosk.ask(checkout("1001")), "AG"))

    async def test_a_return_prints_where_the_item_goes(self, kiosk: RawKiosk) -> None:
        assert every(await kiosk.ask(checkin("2002")), "AG") == ["书名 2002", "送往 馆"]
