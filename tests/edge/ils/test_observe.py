"""What a row of a feed becomes: no second loan for what we did ourselves, no reader's number anywhere, the right event for the rest."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from consortium.identity import ItemKey
from edge.ils.feeds import Batch, Change, Quarantined, What
from edge.ils.port import ItemSaid, ReaderSaid
from tests.edge.bed import now_ms, srid_of
from tests.edge.ils.feed_bed import DAY, HOME, PROXY, Side

LATER = now_ms() + 30 * DAY


@pytest.fixture
async def side(tmp_path: Path) -> AsyncIterator[Side]:
    async with Side(tmp_path / "edge") as found:
        yield found


_n = 0


def row(what: str, item_no: str = "", reader_no: str = "", **more: Any) -> Change:
    """A row of a feed, read."""
    global _n
    _n += 1
    fields = {"cursor": str(_n), "t_ms": now_ms(), "due_ms": LATER if what in ("LOAN", "RENEWAL") else None, **more}
    return Change(what=What(what), item_no=item_no, reader_no=reader_no, **fields)


async def take(side: Side, *changes: Change) -> list[dict[str, Any]]:
    """Hand rows over; gives the data of all that was observed so far."""
    assert await side.observer.take(Batch(changes, changes[-1].cursor))
    return [event.data for event in side.seen() if event.data["what"] != "BOOKED"]


# --- no news ---


async def test_a_loan_to_a_partners_account_is_ours_already(side: Side) -> None:
    assert await take(side, row("LOAN", "1001", PROXY), row("RENEWAL", "1001", PROXY)) == []


async def test_a_loan_that_the_ils_made_for_our_kiosk_is_not_made_twice_even_when_it_ended_meanwhile(
    side: Side,
) -> None:
    at = now_ms()
    await side.checkout("R1", "1001", due=LATER, flags=("ILS",), t=at - 5_000)
    await side.give_back("1001", flags=("ILS",), t=at - 2_000)
    assert (
        await take(side, row("LOAN", "1001", "R1", t_ms=at - 4_000), row("RETURN", "1001", "R1", t_ms=at - 1_000)) == []
    )


async def test_a_loan_told_to_the_ils_hours_later_is_known_by_its_true_date_and_by_the_date_it_was_told(
    side: Side,
) -> None:
    at = now_ms()
    name = await side.checkout("R1", "1001", due=LATER, flags=("ILS_AWAY",), t=at - 5 * 3_600_000)
    back = await side.give_back("1001", t=at - 4 * 3_600_000)
    await side.booked("1001", name, "CHECKOUT")
    await side.booked("1001", back, "CHECKIN")
    assert (
        await take(side, row("LOAN", "1001", "R1", t_ms=at - 5 * 3_600_000), row("RETURN", "1001", "R1", t_ms=at)) == []
    )


async def test_a_second_loan_of_the_same_item_to_the_same_reader_is_news(side: Side) -> None:
    at = now_ms()
    await side.checkout("R1", "1001", due=LATER, flags=("ILS",), t=at - 60_000)
    await side.give_back("1001", flags=("ILS",), t=at - 50_000)
    found = await take(
        side, row("LOAN", "1001", "R1", t_ms=at - 60_000), row("RETURN", "1001", "R1", t_ms=at - 50_000),
        row("LOAN", "1001", "R1", t_ms=at - 10_000),
    )  # fmt: skip
    assert [data["what"] for data in found] == ["LOAN"]


async def test_a_loan_to_another_reader_does_not_pass_for_ours(side: Side) -> None:
    await side.checkout("R1", "1001", due=LATER, flags=("ILS",), t=now_ms() - 1_000)
    assert [d["what"] for d in await take(side, row("LOAN", "1001", "R2"))] == ["LOAN"]
    assert side.loans()["1001"] == srid_of("R2")


async def test_a_return_of_what_is_not_out_as_far_as_we_know_is_no_news(side: Side) -> None:
    assert await take(side, row("RETURN", "1001", "R1")) == []


async def test_a_checkin_that_the_hub_gave_as_work_is_known_when_its_row_comes(tmp_path: Path) -> None:
    from tests.edge.ils.feed_bed import rows

    out = {
        "status": "ON_LOAN",
        "loan_srid": srid_of("R1"),
        "due": LATER,
        "t_out": now_ms() - DAY,
        "place": f"{HOME}-01",
    }
    async with Side(tmp_path / "edge", replica_rows=rows(i1001=out)) as side:
        await side.booked("1001", "edge-990001-01/0000000000001-00000000/7", "CHECKIN")
        assert await take(side, row("RETURN", "1001", "R1")) == []


async def test_an_item_that_the_consortium_does_not_know_is_counted_and_left_to_the_reconciliation(side: Side) -> None:
    assert await take(side, row("LOAN", "77777", "R1")) == []
    assert side.observer.public()["counts"]["item_unknown"] == 1


# --- news ---


async def test_a_loan_names_the_reader_by_site_id_and_a_stranger_by_token_never_by_number(side: Side) -> None:
    found = await take(side, row("LOAN", "1001", "R1"), row("LOAN", "1002", "STRANGER"))
    assert [set(data) for data in found] == [
        {"what", "as_of", "item", "home", "due", "type"}, {"what", "as_of", "item", "home", "due", "type", "ref"},
    ]  # fmt: skip
    assert found[1]["ref"] == side.facts.tokens_of_number("STRANGER")[0]
    assert [event.subject is None for event in side.seen()] == [False, True]
    assert "STRANGER" not in json.dumps([row.body for row, _ in side.outbox.unsent(0, 1_000_000)])


async def test_what_happened_there_keeps_its_time_and_says_when_we_learned_it(side: Side) -> None:
    at = now_ms() - 3_600_000
    await take(side, row("LOAN", "1001", "R1", t_ms=at), row("RETURN", "1001", "R1", t_ms=now_ms() + DAY))
    loan, back = side.seen()
    assert loan.t_eff == at and loan.data["as_of"] > at
    assert back.t_eff <= now_ms()  # a clock that runs ahead makes nothing happen tomorrow


async def test_a_late_row_does_not_undo_what_happened_after_it(side: Side) -> None:
    await side.give_back("1001")
    await take(side, row("LOAN", "1001", "R1", t_ms=now_ms() - 3_600_000))
    assert [event.data["what"] for event in side.seen()] == ["LOAN"]
    assert side.loans() == {}


async def test_a_later_due_date_is_a_renewal_and_the_same_day_is_not(side: Side) -> None:
    await take(side, row("LOAN", "1001", "R1"))
    found = await take(
        side, row("RENEWAL", "1001", "R1", due_ms=LATER + 3_600_000), row("RENEWAL", "1001", "R1", due_ms=LATER + 14 * DAY),
        row("LOAN", "1001", "R1", due_ms=LATER + 28 * DAY),
    )  # fmt: skip
    assert [(d["what"], d["due"]) for d in found[1:]] == [("RENEWAL", LATER + 14 * DAY), ("RENEWAL", LATER + 28 * DAY)]


async def test_a_renewal_of_a_loan_nobody_told_us_of_is_that_loan(side: Side) -> None:
    assert [d["what"] for d in await take(side, row("RENEWAL", "1001", "R1"))] == ["LOAN"]


async def test_readers_fees_and_items_become_events(side: Side) -> None:
    found = await take(
        side, row("READER", reader_no="R1", status="EXPIRED"), row("FEE", reader_no="R2", amount=1250, currency="CNY"),
        row("ITEM", "1001", status="LOST"), row("ITEM", "1001", status="LOST"), row("ITEM", "1001", status="AVAILABLE"),
        row("READER", reader_no=PROXY, status="BLOCKED"),
    )  # fmt: skip
    assert [(d["what"], d.get("status"), d.get("amount")) for d in found] == [
        ("READER", "EXPIRED", None), ("FEE", None, 1250), ("ITEM", "LOST", None), ("RETURN", None, None),
    ]  # fmt: skip


# --- the cursor ---


async def test_the_cursor_stands_behind_rows_that_made_no_event_and_bad_ones_are_set_aside(side: Side) -> None:
    await side.observer.take(Batch((row("RETURN", "1001", "R1", cursor="41"),), "42", (Quarantined("42", "ROW_DATE"),)))
    assert side.observer.cursor == "42"
    await side.stop()
    await side.start()
    assert side.observer.cursor == "42"
    assert side.observer.public()["quarantine"] == {"ROW_DATE": 1}


async def test_a_damaged_file_costs_no_row_and_no_start(side: Side) -> None:
    await take(side, row("LOAN", "1001", "R1", cursor="41"))
    await side.stop()
    (side.data / "ils-feed.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 8_000)
    await side.start()
    assert side.observer.cursor == "41"
    assert (side.data / "ils-feed.db.damaged").exists()


async def test_a_row_that_may_be_the_echo_of_a_booking_under_way_waits_for_its_answer_but_not_for_ever(
    side: Side,
) -> None:
    waiting = {ItemKey(HOME, "1001")}
    shift = [0]
    side.observer._now = lambda: side.now() + shift[0]
    side.observer.waits_for = waiting.__contains__
    batch = Batch(
        (row("LOAN", "1002", "R2"), row("LOAN", "1001", "R1", cursor="held"), row("LOAN", "1003", "R3")), "end"
    )
    assert not await side.observer.take(batch)
    assert list(side.loans()) == ["1002"]
    shift[0] = 61_000
    assert await side.observer.take(Batch(batch.changes[1:], "end"))
    assert list(side.loans()) == ["1001", "1002", "1003"]


# --- on touch ---


async def test_a_touched_item_that_is_out_there_is_a_loan_of_an_unknown_reader_once(side: Side) -> None:
    for _ in range(2):
        await side.observer.touch_item("1001", ItemSaid("04", due_ms=LATER))
    await side.observer.touch_item("1002", ItemSaid("03"))
    assert [(e.data["what"], e.subject) for e in side.seen()] == [("LOAN", None)]
    await side.observer.touch_item("1001", ItemSaid("04", due_ms=LATER + 7 * DAY))
    await side.observer.touch_item("1001", ItemSaid("03"))
    await side.observer.touch_item("1003", ItemSaid("13"))
    assert [e.data["what"] for e in side.seen()] == ["LOAN", "RENEWAL", "RETURN", "ITEM"]


async def test_a_touched_item_whose_booking_is_under_way_or_that_a_partner_has_is_left_alone(side: Side) -> None:
    await side.checkout("R1", "1001", due=LATER, flags=("ILS_AWAY",))
    await side.observer.touch_item("1001", ItemSaid("03"))
    name = await side.checkout("P1", "1002", due=LATER, home="990001")
    await side.booked("1002", name, "CHECKOUT")
    await side.observer.touch_item("1002", ItemSaid("03"))
    assert side.seen("RETURN") == []


async def test_a_touched_reader_is_recorded_when_the_ils_says_otherwise_than_before(side: Side) -> None:
    srid = srid_of("R1")
    for said in (ReaderSaid(True, fees=0), ReaderSaid(False, blocked=True, fees=300), ReaderSaid(False, blocked=True, fees=300),
                 ReaderSaid(True, fees=0)):  # fmt: skip
        await side.observer.touch_reader(srid, "R1", said)
    assert [(e.data["what"], e.data.get("status"), e.data.get("amount")) for e in side.seen()] == [
        ("READER", "BLOCKED", None), ("FEE", None, 300), ("READER", "ACTIVE", None), ("FEE", None, 0),
    ]  # fmt: skip


async def test_touch_says_nothing_where_a_feed_tells_it(side: Side) -> None:
    side.observer.fed = True
    await side.observer.touch_item("1001", ItemSaid("04", due_ms=LATER))
    await side.observer.touch_reader(srid_of("R1"), "R1", ReaderSaid(False, blocked=True))
    assert side.seen() == []
