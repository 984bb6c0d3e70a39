"""Receipts: what stands on them, what never does, and a printer in trouble that costs nobody a loan."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from drivers.base import DeviceOffline, DeviceRefused, Receipt
from drivers.selfcheck.receipt import PrinterError
from edge.metrics import Metrics
from edge.printing import MOST_ITEMS, MOST_OFFERED, OFFER_S, TEXTS, Receipts, Slip, receipt_of, say
from firmware_sim.branch_client import SimBranchClient
from tests.edge.bed import PIN, Machines, standard_rows, tag, write_replica
from tests.edge.entrance.doors import Hall, Paper, failure
from tests.edge.fixtures import machines
from tests.edge.kiosk.test_kiosk import Page
from tests.make import HOME

__all__ = ["machines"]

NAMES = {
    "library": {"zh": "重庆大学图书馆", "en": "Chongqing University Library"},
    "branch": {"zh": "总馆", "en": "Main"},
}
AT = datetime(2026, 3, 2, 10, 5)


def item(number: int = 1, **more: Any) -> dict[str, Any]:
    """An item as the kiosk answers it."""
    return {"owner": HOME, "item_no": f"{1000 + number}", "title": f"红楼梦 {number}", "outcome": "ALLOW", "code": "OK",
            "due": "2026-04-01", **more}  # fmt: skip


class Desk:
    """Receipts over one printer of this test."""

    def __init__(self, *, printer: bool = True) -> None:
        self.now = 0.0
        self.paper = Hall().factory("paper")("printer1", "", {}) if printer else None
        assert self.paper is None or isinstance(self.paper, Paper)
        numbers = iter(range(1000))
        self.receipts = Receipts(
            lambda: self.paper, names=lambda: NAMES, wall=lambda: AT, metrics=Metrics(HOME),
            mono=lambda: self.now, new_id=lambda: f"r{next(numbers)}",
        )  # fmt: skip

    @property
    def printed(self) -> list[Receipt]:
        """What came out."""
        assert isinstance(self.paper, Paper)
        return self.paper.done


def lines(receipt: Receipt) -> list[str]:
    """The text of a receipt."""
    return [line.text for line in receipt.lines]


class TestRefusals:
    async def test_without_a_printer_nothing_is_offered(self) -> None:
        desk = Desk(printer=False)
        answer = desk.receipts.offer("borrow", {"items": [item()], "reader": {}})
        assert answer == {"items": [item()], "reader": {}, "receipt": None}

    async def test_a_transaction_in_which_nothing_was_done_offers_none(self) -> None:
        desk = Desk()
        assert desk.receipts.offer("borrow", {"items": [item(outcome="DENY")]})["receipt"] is None

    @pytest.mark.parametrize("name", ["", "r0", "r1"])
    async def test_an_unknown_receipt_is_not_printed(self, name: str) -> None:
        desk = Desk()
        answer = await desk.receipts.print(name, "en")
        assert answer == {"printed": False, "code": "NOTHING_TO_PRINT", "text": "There is nothing to print"}

    async def test_an_old_offer_is_nobodys_any_more(self) -> None:
        desk = Desk()
        name = desk.receipts.offer("borrow", {"items": [item()]})["receipt"]
        desk.now = OFFER_S + 1
        assert (await desk.receipts.print(name, "zh"))["code"] == "NOTHING_TO_PRINT"

    async def test_offers_are_bounded(self) -> None:
        desk = Desk()
        names = [desk.receipts.offer("borrow", {"items": [item()]})["receipt"] for _ in range(MOST_OFFERED + 1)]
        assert (await desk.receipts.print(names[0], "zh"))["code"] == "NOTHING_TO_PRINT"
        assert (await desk.receipts.print(names[1], "zh"))["printed"]

    @pytest.mark.parametrize(
        ("code", "text"),
        [
            ("PAPER_OUT", "没有凭条：打印机缺纸"),
            ("COVER_OPEN", "没有凭条：打印机盖未合上"),
            ("DEVICE_OFFLINE", "没有凭条：打印机故障"),
        ],
    )
    async def test_what_did_not_come_out_can_be_asked_for_again(self, code: str, text: str) -> None:
        desk = Desk()
        assert isinstance(desk.paper, Paper)
        desk.paper.fails.append(failure(code, DeviceOffline))
        name = desk.receipts.offer("borrow", {"items": [item()]})["receipt"]
        assert await desk.receipts.print(name, "zh") == {"printed": False, "code": code, "text": text}
        assert (await desk.receipts.print(name, "zh"))["printed"]
        assert len(desk.printed) == 1

    async def test_what_may_have_come_out_is_not_printed_twice(self) -> None:
        desk = Desk()
        assert isinstance(desk.paper, Paper)
        desk.paper.fails.append(failure("UNCERTAIN", DeviceRefused))
        name = desk.receipts.offer("borrow", {"items": [item()]})["receipt"]
        assert (await desk.receipts.print(name, "zh"))["text"] == TEXTS["NO_RECEIPT"][0]
        assert (await desk.receipts.print(name, "zh"))["code"] == "NOTHING_TO_PRINT"

    async def test_half_a_receipt_is_called_that(self) -> None:
        desk = Desk()
        assert isinstance(desk.paper, Paper)
        desk.paper.fails.append(PrinterError("PAPER_OUT", "", uncertain=True))
        name = desk.receipts.offer("borrow", {"items": [item()]})["receipt"]
        told = await desk.receipts.print(name, "en")
        assert (told["code"], told["text"]) == ("PAPER_OUT", "The receipt may not be complete")


class TestReceipt:
    async def test_a_receipt_is_printed_once(self) -> None:
        desk = Desk()
        name = desk.receipts.offer("borrow", {"items": [item()]})["receipt"]
        assert await desk.receipts.print(name, "en") == {"printed": True, "code": "OK", "text": "Receipt printed"}
        assert (await desk.receipts.print(name, "en"))["code"] == "NOTHING_TO_PRINT"

    def test_a_loan_in_chinese(self) -> None:
        slip = Slip("borrow", (item(1), item(2, title="")), AT, 0)
        assert lines(receipt_of(slip, NAMES, "zh")) == [
            "重庆大学图书馆", "总馆", "借书凭条", "2026-03-02 10:05", "", "1. 红楼梦 1", "   1001  应还 2026-04-01",
            "2. （无题名）", "   1002  应还 2026-04-01", "", "共 2 件", "请妥善保管",
        ]  # fmt: skip

    def test_a_return_in_english(self) -> None:
        back = item(1, due=None, dest="990001-01", dest_name={"zh": "甲馆", "en": "Partner Main"})
        text = lines(receipt_of(Slip("return", (back, item(2, due=None)), AT, 0), NAMES, "en"))
        assert text[2:4] == ["Return receipt", "2026-03-02 10:05"]
        assert text[6:9] == ["   1001  Goes to Partner Main", "2. 红楼梦 2", "   1002"]

    def test_a_long_title_and_a_high_stack_are_cut(self) -> None:
        slip = Slip("borrow", tuple(item(n, title="题" * 500) for n in range(MOST_ITEMS + 5)), AT, 0)
        text = lines(receipt_of(slip, NAMES, "zh"))
        assert max(len(line) for line in text) <= 100
        assert "另有 5 件未列出" in text

    @pytest.mark.parametrize("key", list(TEXTS))
    def test_every_text_is_in_both_languages(self, key: str) -> None:
        assert len({say(key, "zh", n=1), say(key, "en", n=1)}) == 2


class TestAtTheKiosk:
    async def test_a_loan_goes_through_whatever_the_printer_does(self, tmp_path: Path, machines: Machines) -> None:
        hall = Hall()
        write_replica(tmp_path, standard_rows())
        async with hall.bed(tmp_path, *machines.devices("pad1"), ("printer1", "paper", {})) as running:
            base = await running.serve()
            page, player = Page(base), machines.client()
            await player.connect()
            try:
                await self.borrow(hall, page, player)
            finally:
                await player.lift("E004010000001005")
                await player.close()
                await page.http.aclose()

    async def borrow(self, hall: Hall, page: Page, player: SimBranchClient) -> None:
        """Borrow one book, with paper missing at first."""
        await player.place("E004010000001005", dsfid=0x3E, afi=0x07, blocks=tag("1005"))
        for _ in range(500):
            if (await page.pad())["items"]:
                break
        session = await page.sign_in("R1", PIN)
        hall.at["printer1"].fails.append(failure("PAPER_OUT", DeviceOffline))
        status, answer = await page.press("borrow", {"session": session})
        assert (status, answer["items"][0]["outcome"]) == (200, "ALLOW")
        body = {"receipt": answer["receipt"], "lang": "en"}
        status, told = await page.press("print", body)
        assert (status, told["printed"], told["code"]) == (200, False, "PAPER_OUT")
        assert told["text"] == "No receipt: out of paper"
        status, told = await page.press("print", body)
        assert (status, told["printed"]) == (200, True)
        (receipt,) = hall.at["printer1"].done
        text = "\n".join(lines(receipt))
        assert "书名 1005" in text and "1005  Due 20" in text
        assert "R1" not in text
