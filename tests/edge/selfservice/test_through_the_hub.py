"""What only the hub may do for a reader at a kiosk: holds, fees, blocks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edge.config import AccountConfig
from tests.edge.bed import BRANCH, PIN, Bed, Hub, RawKiosk, make_config, standard_rows, write_replica
from tests.edge.selfservice.messages import AT, date, every, get, information, instant_of, logged_in
from tests.make import HOME, HOST

CHARGES = [
    {"loan": "edge-a/1/7", "item_no": "1001", "owner": HOME, "title": "红楼梦", "type": "04", "amount": 250},
    {"loan": "edge-a/1/9", "item_no": "2002", "owner": HOST, "title": "书", "type": "04", "amount": 100},
]


def hold(mode: str = "+", item: str = "AB2002|", at: str = AT, more: str = "") -> str:
    """15."""
    return f"15{mode}{at}AO{HOME}|AAR1|AD{PIN}|{item}{more}"


def fee(amount: str, currency: str = "CNY", at: str = AT, more: str = "") -> str:
    """37."""
    return f"37{at}0400{currency}BV{amount}|AO{HOME}|AAR1|AD{PIN}|{more}"


def block(at: str = AT, number: str = "R1") -> str:
    """01."""
    return f"01Y{at}AO{HOME}|AL捡到的卡|AA{number}|AC|"


def enable(at: str = AT, pin: str = PIN) -> str:
    """25."""
    return f"25{at}AO{HOME}|AAR1|AC|AD{pin}|"


class Till:
    """A hub's ledger for fees: takes each transaction once, refuses more than is owed."""

    def __init__(self, currency: str = "CNY") -> None:
        self.currency = currency
        self.paid: dict[str, dict[str, Any]] = {}

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        if data.get("list"):
            return {"currency": self.currency, "charges": CHARGES, "total": 350}
        owed = next((c["amount"] for c in CHARGES if c["loan"] == data["loan"]), 350)
        if data["currency"] != self.currency or data["amount"] > owed:
            return {"accepted": False, "codes": ["PAY_TOO_MUCH"], "transaction": data["transaction"], "left": 350}
        self.paid[data["transaction"]] = data
        left = 350 - sum(payment["amount"] for payment in self.paid.values())
        return {"accepted": True, "codes": [], "transaction": data["transaction"], "left": left}


@pytest.fixture
async def kiosk(hub_bed: Bed) -> AsyncIterator[RawKiosk]:
    async with logged_in(hub_bed) as raw:
        yield raw


def asked(hub: Hub, name: str) -> list[dict[str, Any]]:
    return [data for question, data in hub.asked if question == name and not data.get("list")]


class TestOffline:
    """An edge must not do these on its own (domain §6); it says so, and changes nothing."""

    @pytest.mark.parametrize(
        ("message", "start"),
        [(hold(), "160N"), (fee("2.50"), "38N"), (block(), "24"), (enable(), "26"), (hold("-"), "160N")],
    )
    async def test_it_is_refused_with_the_reason(self, bed: Bed, message: str, start: str) -> None:
        async with logged_in(bed) as kiosk:
            reply = await kiosk.ask(message)
            assert reply.startswith(start)
            assert get(reply, "AF") == "网络中断,请到服务台 (NOT_DECIDABLE_OFFLINE)"
        assert {event.kind.value for event in bed.events()} <= {"DEVICE"}


class TestHolds:
    async def test_a_hold_is_placed_with_its_place_in_the_queue(self, hub: Hub, kiosk: RawKiosk) -> None:
        hub.answers["hold"] = lambda data: {
            "outcome": "ALLOW", "codes": ["OK"], "hold": "h1", "queue": 3, "available": False, "title": "书", "owner": HOST,
            "item_no": "2002",
        }  # fmt: skip
        until = date(-30 * 86_400_000)
        reply = await kiosk.ask(hold(more=f"BS{HOME}-02|BW{until}|"))
        assert reply.startswith("161N")
        assert (get(reply, "BR"), get(reply, "BS"), get(reply, "AB")) == ("3", f"{HOME}-02", f"{HOST}:2002")
        assert get(reply, "AF") == "预约成功 (HOLD_PLACED)"
        (data,) = asked(hub, "hold")
        assert (data["mode"], data["owner"], data["item_no"], data["pickup"]) == ("+", HOST, "2002", f"{HOME}-02")
        assert data["expiry"] == instant_of(until)

    async def test_it_is_fetched_here_where_the_kiosk_names_no_branch(self, hub: Hub, kiosk: RawKiosk) -> None:
        hub.answers["hold"] = lambda data: {"outcome": "ALLOW", "codes": ["OK"], "queue": 1, "available": True}
        assert (await kiosk.ask(hold())).startswith("161Y")
        assert asked(hub, "hold")[0]["pickup"] == BRANCH

    async def test_a_refusal_carries_the_hubs_reason(self, hub: Hub, kiosk: RawKiosk) -> None:
        hub.answers["hold"] = lambda data: {"outcome": "DENY", "codes": ["AGR_SERVICE_OFF"]}
        assert get(await kiosk.ask(hold()), "AF") == "协议不含此项服务 (AGR_SERVICE_OFF)"

    async def test_a_repeat_is_not_asked_again(self, hub_bed: Bed, hub: Hub) -> None:
        hub.answers["hold"] = lambda data: {"outcome": "ALLOW", "codes": ["OK"], "queue": 1}
        replies = []
        for _ in range(2):
            async with logged_in(hub_bed) as kiosk:
                replies.append((await kiosk.ask(hold()))[22:])
        assert replies[0] == replies[1]
        assert len(asked(hub, "hold")) == 1

    @pytest.mark.parametrize("message", [hold("x"), hold(item="")])
    async def test_what_names_no_item_or_no_mode_is_refused_unasked(
        self, hub: Hub, kiosk: RawKiosk, message: str
    ) -> None:
        assert (await kiosk.ask(message)).startswith("160N")
        assert asked(hub, "hold") == []


class TestFees:
    @pytest.mark.parametrize("amount", ["", "0", "-1.00", "1.005", "NaN", "1e3", "9" * 30])
    async def test_what_is_no_amount_is_refused_unasked(self, hub: Hub, kiosk: RawKiosk, amount: str) -> None:
        reply = await kiosk.ask(fee(amount))
        assert reply.startswith("38N")
        assert get(reply, "AF") == "金额无效 (AMOUNT_INVALID)"
        assert asked(hub, "fee") == []

    async def test_more_than_is_owed_is_refused(self, hub: Hub, kiosk: RawKiosk) -> None:
        till = hub.answers["fee"] = Till()
        assert (await kiosk.ask(fee("9.00"))).startswith("38N")
        before = len(asked(hub, "fee"))
        reply = await kiosk.ask(fee("3.00", at=date(), more="CG1001|"))
        assert get(reply, "AF") == "金额超过应缴费用 (PAY_TOO_MUCH)"
        assert len(asked(hub, "fee")) == before  # the list said so already
        assert till.paid == {}

    async def test_the_whole_is_paid_in_minor_units_once(self, hub_bed: Bed, hub: Hub) -> None:
        till = hub.answers["fee"] = Till()
        replies = []
        for _ in range(2):
            async with logged_in(hub_bed) as kiosk:
                replies.append(await kiosk.ask(fee("3.50", more="BKterminal-17|")))
        assert replies[0].startswith("38Y")
        assert get(replies[0], "BK") == "terminal-17"
        assert replies[0][21:] == replies[1][21:]
        (data,) = till.paid.values()
        assert (data["amount"], data["currency"], data["loan"], data["fee_type"]) == (350, "CNY", None, "04")

    async def test_a_payment_named_by_the_kiosk_is_the_same_at_another_time(self, hub_bed: Bed, hub: Hub) -> None:
        till = hub.answers["fee"] = Till()
        for n in range(2):
            async with logged_in(hub_bed) as kiosk:
                await kiosk.ask(fee("1.00", at=date(n * 60_000), more="BKterminal-18|"))
        assert len(till.paid) == 1

    @pytest.mark.parametrize(
        ("currency", "text", "units"), [("JPY", "500", 500), ("KWD", "1.250", 1250), ("EUR", "1,50", 150), ("CLF", "0.0100", 100)]
    )  # fmt: skip
    async def test_any_currency_of_iso_4217(
        self, hub: Hub, kiosk: RawKiosk, currency: str, text: str, units: int
    ) -> None:
        hub.answers["fee"] = lambda data: {"accepted": True, "left": 0}
        assert (await kiosk.ask(fee(text, currency))).startswith("38Y")
        (data,) = asked(hub, "fee")
        assert (data["amount"], data["currency"]) == (units, currency)

    async def test_a_yen_has_no_minor_unit(self, hub: Hub, kiosk: RawKiosk) -> None:
        assert (await kiosk.ask(fee("5.50", "JPY"))).startswith("38N")
        assert asked(hub, "fee") == []

    async def test_single_charges_are_paid_by_item_or_loan(self, hub: Hub, kiosk: RawKiosk) -> None:
        till = hub.answers["fee"] = Till()
        assert (await kiosk.ask(fee("2.00", more="CG1001|"))).startswith("38Y")
        assert (await kiosk.ask(fee("1.00", at=date(), more=f"CG{HOST}:2002|"))).startswith("38Y")
        assert [(data["loan"], data["amount"]) for data in till.paid.values()] == [
            ("edge-a/1/7", 200),
            ("edge-a/1/9", 100),
        ]

    async def test_groups_keep_their_order(self, hub: Hub, kiosk: RawKiosk) -> None:
        till = hub.answers["fee"] = Till()
        groups = f"CG{HOST}:2002|FA1.00|FBx|CG1001|FA2.50|FBy|"
        reply = await kiosk.ask(fee("3.50", more=groups))
        assert reply.startswith("38Y")
        assert groups in reply
        assert [data["loan"] for data in till.paid.values()] == ["edge-a/1/9", "edge-a/1/7"]

    @pytest.mark.parametrize("more", ["CG7777|", "CG1001|FA1.00|CG2002|FA9.00|", "CG1001|FA1.00|"])
    async def test_parts_that_do_not_fit_pay_nothing(self, hub: Hub, kiosk: RawKiosk, more: str) -> None:
        till = hub.answers["fee"] = Till()
        assert (await kiosk.ask(fee("3.50", more=more))).startswith("38N")
        assert till.paid == {}

    async def test_a_payment_that_broke_off_between_two_charges_is_finished_by_its_repeat(
        self, hub_bed: Bed, hub: Hub
    ) -> None:
        till = Till()

        def falters(data: dict[str, Any]) -> dict[str, Any]:
            if data.get("list") and till.paid:
                return {"currency": "CNY", "charges": CHARGES[:1], "total": 250}  # the other is paid and gone
            if till.paid and not breaks.pop(0):
                return {"accepted": False, "codes": ["OUT_OF_SERVICE"]}
            return till(data)

        breaks = [False, True, True]
        hub.answers["fee"] = falters
        message = fee("3.50", more=f"CG{HOST}:2002|CG1001|")
        for start in ("38N", "38Y"):
            async with logged_in(hub_bed) as kiosk:
                assert (await kiosk.ask(message)).startswith(start)
        assert sorted(data["loan"] for data in till.paid.values()) == ["edge-a/1/7", "edge-a/1/9"]

    async def test_the_account_lists_what_is_owed(self, hub: Hub, kiosk: RawKiosk) -> None:
        hub.answers["fee"] = Till()
        reply = await kiosk.ask(information(summary="   Y      "))
        assert reply[49:53] == "0002"
        assert (get(reply, "BV"), get(reply, "BH")) == ("3.50", "CNY")
        assert every(reply, "AV") == ["1001 2.50 红楼梦", f"{HOST}:2002 1.00 书"]

    async def test_what_nobody_could_be_asked_about_is_blank_and_not_zero(self, bed: Bed) -> None:
        async with logged_in(bed) as kiosk:
            reply = await kiosk.ask(information(summary="   Y      "))
        assert reply[49:53] == "    "
        assert get(reply, "BV") is None

    async def test_a_kiosk_that_cannot_read_blanks_gets_zeros_for_counts_that_nobody_knows(
        self, tmp_path: Path
    ) -> None:
        write_replica(tmp_path, standard_rows())
        accounts = (AccountConfig("kiosk1", "secret", HOME, "kiosk1", blank_counts=False),)
        async with Bed(make_config(tmp_path, accounts=accounts)) as bed, logged_in(bed) as kiosk:
            reply = await kiosk.ask(information(summary="   Y      "))
        assert reply[49:53] == "0000"
        assert get(reply, "BV") is None


class TestBlocks:
    async def test_a_block_is_set_by_the_hub_and_shown(self, hub: Hub, kiosk: RawKiosk) -> None:
        hub.answers["block"] = lambda data: {"ok": True, "codes": []}
        reply = await kiosk.ask(block())
        assert reply.startswith("24YYYY")
        assert get(reply, "BL") == "N"
        (data,) = asked(hub, "block")
        assert (data["enable"], data["retained"], data["text"]) == (False, True, "捡到的卡")

    async def test_a_card_nobody_knows_cannot_be_blocked(self, hub: Hub, kiosk: RawKiosk) -> None:
        hub.answers["reader"] = lambda data: {"found": False}
        assert get(await kiosk.ask(block(number="NOBODY")), "AF") == "未识别的读者卡 (CARD_UNKNOWN)"
        assert asked(hub, "block") == []

    async def test_a_wrong_pin_enables_nobody(self, hub: Hub, kiosk: RawKiosk) -> None:
        reply = await kiosk.ask(enable(pin="0000"))
        assert get(reply, "AF") == "密码错误 (PIN_WRONG)"
        assert asked(hub, "block") == []

    async def test_enabling_is_said_to_the_hub(self, hub: Hub, kiosk: RawKiosk) -> None:
        hub.answers["block"] = lambda data: {"ok": True, "codes": []}
        reply = await kiosk.ask(enable())
        assert reply.startswith("26    ")
        assert get(reply, "AF") == "读者证已恢复 (ENABLED)"

    async def test_the_hub_may_refuse(self, hub: Hub, kiosk: RawKiosk) -> None:
        hub.answers["block"] = lambda data: {"ok": False, "codes": ["BLOCK_HOME"]}
        assert get(await kiosk.ask(enable()), "AF") == "请联系所属馆 (BLOCK_HOME)"
