"""Sorters and book drops: bins by rule, the exception bin, an emptied drop's batch."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from consortium.events import Kind
from edge.sip2_config import AccountConfig, BinRule
from tests.edge.bed import BRANCH, HOUR_MS, Bed, Rows, make_config, now_ms, srid_of, standard_rows, write_replica
from tests.edge.selfservice.messages import checkin, date, get, instant_of, logged_in
from tests.make import HOME, HOST

DAY_MS = 24 * HOUR_MS
BINS = (
    BinRule("7", action="TRANSIT", dest=f"{HOST}-01"),
    BinRule("5", media="006"),
    BinRule("4", collection="REF"),
    BinRule("6", call_number="TP3"),
    BinRule("2", action="SHELVE"),
)


def rows() -> list[Any]:
    return [
        *standard_rows(),
        *Rows.item("4001", type="CD"),
        *Rows.item("4002", collection="REF"),
        *Rows.item("4003", call_number="TP312/7"),
        *Rows.item("4004", call_number="I247"),
        *Rows.item("4005", type="CD", owner=HOST, branch=BRANCH),
    ]


def account(kind: str = "sorter", **more: Any) -> AccountConfig:
    return AccountConfig("kiosk1", "secret", HOME, "sorter1", kind=kind, bins=BINS, exception_bin="8", **more)


@pytest.mark.parametrize(
    ("item_no", "bin_no", "alert"),
    [("99999", "8", "99"), ("4001", "5", None), ("4002", "4", None), ("4003", "6", None), ("4004", "2", None),
     ("4005", "7", "04"), ("2002", "7", "04")],
)  # fmt: skip
async def test_the_first_rule_that_fits_names_the_bin(
    tmp_path: Path, item_no: str, bin_no: str, alert: str | None
) -> None:
    write_replica(tmp_path, rows())
    async with Bed(make_config(tmp_path, accounts=(account(),))) as bed, logged_in(bed) as sorter:
        reply = await sorter.ask(checkin(item_no))
        assert reply.startswith("101Y")
        assert (get(reply, "CL"), get(reply, "CV")) == (bin_no, alert)
        assert reply[5] == ("Y" if alert else "N")


async def test_a_tag_that_cannot_be_read_goes_to_the_exception_bin(tmp_path: Path) -> None:
    write_replica(tmp_path, rows())
    async with Bed(make_config(tmp_path, accounts=(account(),))) as bed, logged_in(bed) as sorter:
        reply = await sorter.ask(checkin(""))
        assert reply.startswith("100N")
        assert (get(reply, "CL"), get(reply, "CV")) == ("8", "99")


async def test_without_rules_the_usual_bins_hold(tmp_path: Path) -> None:
    write_replica(tmp_path, rows())
    plain = AccountConfig("kiosk1", "secret", HOME, "sorter1", kind="sorter")
    async with Bed(make_config(tmp_path, accounts=(plain,))) as bed, logged_in(bed) as sorter:
        bins = [get(await sorter.ask(checkin(number)), "CL") for number in ("1001", "2002", "99999")]
        assert bins == ["1", "3", "9"]


async def test_sixty_items_pass_a_sorter_well_inside_a_minute(tmp_path: Path) -> None:
    """One item a second is what a sorter brings; here they come as fast as they go."""
    numbers = [str(number) for number in range(5000, 5060)]
    more = [row for n, number in enumerate(numbers) for row in Rows.item(number, type="CD" if n % 2 else "BOOK",
            status="ON_LOAN", loan_srid=srid_of("R1"), due=now_ms() + DAY_MS)]  # fmt: skip
    write_replica(tmp_path, [*rows(), *more])
    async with Bed(make_config(tmp_path, accounts=(account(),))) as bed, logged_in(bed) as sorter:
        started, slowest, bins = time.perf_counter(), 0.0, []
        for number in numbers:
            one = time.perf_counter()
            bins.append(get(await sorter.ask(checkin(number)), "CL"))
            slowest = max(slowest, time.perf_counter() - one)
        took = time.perf_counter() - started
        assert bins == ["2", "5"] * 30
        assert len(bed.events(Kind.RETURN)) == 60
        assert took < 60
        assert slowest < 1.0  # each is answered before the next one comes


class TestDrop:
    async def test_the_batch_counts_from_when_the_drop_was_emptied_and_the_scan_is_now(self, tmp_path: Path) -> None:
        due = now_ms() - 2 * DAY_MS
        loan = Rows.item("3001", status="ON_LOAN", loan_srid=srid_of("R1"), due=due, t_out=now_ms() - 30 * DAY_MS)
        write_replica(tmp_path, [*rows(), *loan])
        opened = date(3 * DAY_MS)
        async with Bed(make_config(tmp_path, accounts=(account("drop"),))) as bed, logged_in(bed) as drop:
            assert (await drop.ask(checkin("3001", date(), returned=opened))).startswith("101Y")
            (event,) = bed.events(Kind.RETURN)
            assert event.data["t_credit"] == instant_of(opened)
            assert abs(now_ms() - event.t_eff) < 60_000

    async def test_never_before_the_loan_itself(self, tmp_path: Path) -> None:
        out = now_ms() - DAY_MS
        loan = Rows.item("3001", status="ON_LOAN", loan_srid=srid_of("R1"), due=now_ms() + DAY_MS, t_out=out)
        write_replica(tmp_path, [*rows(), *loan])
        async with Bed(make_config(tmp_path, accounts=(account("drop"),))) as bed, logged_in(bed) as drop:
            await drop.ask(checkin("3001", date(), returned=date(3 * DAY_MS)))
            assert bed.events(Kind.RETURN)[0].data["t_credit"] == out

    @pytest.mark.parametrize("returned", [" " * 18, "20991231    120000", "19990101    120000", "20260231    999999"])
    async def test_a_date_that_cannot_be_credits_nothing(self, tmp_path: Path, returned: str) -> None:
        write_replica(tmp_path, rows())
        async with Bed(make_config(tmp_path, accounts=(account("drop"),))) as bed, logged_in(bed) as drop:
            reply = await drop.ask(checkin("1012", date(), returned=returned))
            assert reply.startswith("101Y")
            for event in bed.events(Kind.RETURN):
                assert "t_credit" not in event.data
