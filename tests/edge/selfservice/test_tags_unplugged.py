"""The line to the pad is cut in the midst of a stack: no loan is lost, none is invented, and every tag is set right afterwards."""

from __future__ import annotations

import asyncio
from pathlib import Path

from consortium.agreement import LimitScope, LimitSet
from consortium.events import Kind
from tests.edge.bed import policy_text, standard_rows, until, write_replica
from tests.edge.pads import IN_STOCK, ON_LOAN, Pads, book, edge_over, kiosk_of, seen, signed_in

MOST = 8
"""Loans that this reader may have: the last two of the stack are refused."""


async def test_unplugging_in_the_midst_of_a_stack_loses_no_loan(tmp_path: Path) -> None:
    pads = Pads(tmp_path, baudrate=38400)
    limits = (LimitSet("lender", LimitScope.LENDER, MOST),)
    write_replica(tmp_path, standard_rows(), policy=policy_text(limits=limits))
    try:
        async with edge_over(tmp_path, pads) as bed:
            numbers = [str(number) for number in range(1001, 1011)]
            chips = range(1, 11)
            pads.put(*(book(number, chip) for number, chip in zip(numbers, chips, strict=True)))
            tags = bed.agent.pads["pad1"]
            await seen(tags, 10)
            session = await signed_in(bed)
            borrowing = asyncio.create_task(kiosk_of(bed).borrow(session, "zh"))
            await until(lambda: 0 < pads.afi(*chips).count(ON_LOAN) < 10)  # some are switched, some are not
            pads.cut()
            answer = await borrowing
            confirmed = {item["item_no"] for item in answer["items"] if item["outcome"] == "ALLOW"}
            unfinished = {
                item["item_no"] for item in answer["items"] if item["outcome"] == "ALLOW" and not item["unsecured"]
            }
            lent = [event.data["item"][1] for event in bed.events(Kind.CHECKOUT)]
            assert sorted(lent) == sorted(confirmed)  # each confirmed loan is durable, once, and no other
            assert len(lent) == MOST
            assert unfinished
            assert {key.item_no for key in tags.put_back} == unfinished
            standing = dict(zip(numbers, pads.afi(*chips), strict=True))
            # What was refused is secured: a tag is never opened before its loan is written.
            assert all(standing[number] == IN_STOCK for number in numbers if number not in confirmed)
            pads.mend()
            await until(lambda: not tags.put_back, timeout_s=15)
            standing = dict(zip(numbers, pads.afi(*chips), strict=True))
            assert {number for number, afi in standing.items() if afi == ON_LOAN} == confirmed
            assert [event.data["item"][1] for event in bed.events(Kind.CHECKOUT)] == lent
    finally:
        pads.close()
