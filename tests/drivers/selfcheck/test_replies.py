"""Replies on the wire: what is sent, what is left out, what is echoed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from drivers.selfcheck import (
    Account,
    CheckinResult,
    CheckoutResult,
    FeeResult,
    HoldResult,
    ItemResult,
    ItemUpdateResult,
    KioskSession,
    ReaderResult,
    RenewAllResult,
    Reply,
    StatusResult,
    refusal,
)
from protocols.sip2 import LAYOUTS, REPLY_OF, Dialect, Message, parse

NOW = datetime(2026, 11, 22, 19, 37, 11, tzinfo=UTC)
DATE = "20261122    193711"


def session(**more: Any) -> KioskSession:
    """A kiosk of one account."""
    return KioskSession(Account("k", "p", "251020", **more), 1, Dialect(), "hall", "019")


def sent(result: Any, request: Message | None = None, kiosk: KioskSession | None = None) -> Reply:
    """A result as the reply to a request."""
    message = request or Message("11", {}, (("AA", "R1"), ("AB", "1001")))
    return result.reply(kiosk or session(), message, NOW)  # type: ignore[no-any-return]


def values(reply: Reply, name: str) -> list[str]:
    """All values of a field."""
    return [value for field, value in reply.fields if field == name]


class TestRefusal:
    @pytest.mark.parametrize("code", sorted(REPLY_OF))
    def test_every_request_has_a_negative_reply_that_fits_its_layout(self, code: str) -> None:
        request = Message(code, {}, (("AA", "R1"), ("AB", "1001")))
        reply = refusal(session(), request, NOW, ["暂停服务"])
        layout = LAYOUTS[reply.code or REPLY_OF[code]]
        for name, start, end in layout.parts:
            assert len(reply.fixed[name]) == end - start, name
        assert reply.fixed.get("ok", "0") in ("0", "N")
        assert reply.fixed.get("payment_accepted", "N") == "N"
        assert reply.fixed.get("item_properties_ok", "0") == "0"
        if code != "93":
            assert ("AF", "暂停服务") in reply.fields

    def test_what_stands_on_the_wire_can_be_read_back(self) -> None:
        reply = sent(CheckoutResult(ok=True, title="红|楼梦", due="2026-12-22"))
        text = "12" + "".join(reply.fixed.values()) + "".join(f"{name}{value}|" for name, value in reply.fields)
        again = parse(text.encode(), "utf-8")
        assert (again.fixed["ok"], again.get("AJ")) == ("1", "红｜楼梦")


class TestHold:
    def test_a_refused_hold_shows_no_place(self) -> None:
        reply = sent(HoldResult(ok=False, screen=["x"]))
        assert reply.fixed == {"ok": "0", "available": "N", "transaction_date": DATE}
        assert values(reply, "BR") == []

    def test_a_placed_one_shows_queue_branch_and_expiry(self) -> None:
        reply = sent(HoldResult(ok=True, available=True, queue=0, pickup="b", expires=DATE, title="t"))
        assert reply.fixed["available"] == "Y"
        assert [values(reply, name) for name in ("BR", "BS", "BW", "AB", "AJ")] == [
            ["0"],
            ["b"],
            [DATE],
            ["1001"],
            ["t"],
        ]


class TestFees:
    def test_groups_stand_in_the_order_they_came(self) -> None:
        groups = [("CG", "2"), ("FA", "1.00"), ("CG", "1"), ("FA", "2.00"), ("FG", "z")]
        reply = sent(FeeResult(ok=True, transaction_id="17", groups=groups))
        assert [pair for pair in reply.fields if pair[0] in ("CG", "FA", "FG")] == groups
        assert values(reply, "BK") == ["17"]

    def test_without_an_id_there_is_none(self) -> None:
        assert values(sent(FeeResult(ok=False)), "BK") == []


class TestItems:
    def test_properties_are_echoed_only_where_they_were_kept(self) -> None:
        assert values(sent(ItemUpdateResult(ok=False)), "CH") == []
        assert values(sent(ItemUpdateResult(ok=True, properties="DAMAGED")), "CH") == ["DAMAGED"]

    def test_recall_and_queue_stand_only_where_there_are_any(self) -> None:
        plain = sent(ItemResult(circulation_status="03"))
        assert (values(plain, "CJ"), values(plain, "CF")) == ([], [])
        busy = sent(ItemResult(circulation_status="07", recall_date=DATE, hold_queue=3))
        assert (values(busy, "CJ"), values(busy, "CF")) == ([DATE], ["3"])


class TestCheckin:
    def test_empty_routing_is_left_out_unless_the_account_wants_it(self) -> None:
        assert values(sent(CheckinResult(ok=True)), "CT") == []
        always = session(always_checkin_fields=frozenset(("CT", "CV")))
        reply = sent(CheckinResult(ok=True), kiosk=always)
        assert (values(reply, "CT"), values(reply, "CV"), values(reply, "CL")) == ([""], [""], [])

    def test_a_return_that_was_not_taken_secures_nothing(self) -> None:
        assert sent(CheckinResult(ok=False)).fixed["resensitize"] == "N"


class TestReader:
    def information(self, summary: str, *more: tuple[str, str]) -> Message:
        return Message("63", {"language": "019", "summary": summary}, (("AA", "R1"), *more))

    def test_counts_not_known_are_blank_and_never_zero(self) -> None:
        reply = sent(ReaderResult(valid=True, fine_count=None), self.information(" " * 10))
        assert (reply.fixed["fine_items_count"], reply.fixed["hold_items_count"]) == ("    ", "0000")

    def test_only_the_list_asked_for_is_sent_in_its_window(self) -> None:
        result = ReaderResult(valid=True, charged=["1", "2", "3"], holds=["9"])
        reply = sent(result, self.information("  Y       ", ("BP", "2"), ("BQ", "3")))
        assert (values(reply, "AU"), values(reply, "AS")) == (["2", "3"], [])

    def test_expiry_belongs_to_the_long_form(self) -> None:
        result = ReaderResult(valid=True, expiry="20271231")
        assert values(sent(result, self.information(" " * 10)), "PA") == ["20271231"]
        assert values(sent(result, Message("23", {}, ())), "PA") == []

    def test_every_flag_has_its_place(self) -> None:
        reply = sent(ReaderResult(valid=False, status=frozenset(("charge_denied", "excessive_fees"))))
        assert reply.fixed["patron_status"] == "Y" + " " * 10 + "Y  "


class TestStatus:
    def test_what_is_supported_is_one_letter_each(self) -> None:
        reply = sent(StatusResult(online=True, supported=frozenset(("23", "65"))), Message("99", {}, ()))
        assert values(reply, "BX") == ["Y" + "N" * 14 + "Y"]
        assert reply.code == "98"


def test_renew_all_counts_what_it_lists() -> None:
    reply = sent(RenewAllResult(ok=True, renewed=["1"], unrenewed=["2", "3"]))
    assert (reply.fixed["renewed_count"], reply.fixed["unrenewed_count"]) == ("0001", "0002")
    assert (values(reply, "BM"), values(reply, "BN")) == (["1"], ["2", "3"])
