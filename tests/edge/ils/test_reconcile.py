"""The nightly reconciliation: where the ILS is in charge its word heals ours, everything else is reported once with an owner."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from edge.ils.feed_asking import AskedLoans
from edge.ils.feed_follow import FeedFollower, make_feed
from edge.ils.feeds import FeedError
from edge.ils.port import ItemSaid
from edge.ils.reconcile import Reconciler, Source, _seconds_until
from tests.edge.bed import now_ms, srid_of, until
from tests.edge.ils.feed_bed import DAY, HOME, HOST, ITEMS, PROXY, READERS, Ils, Side, rows, seed, sql_table

LONG_AGO = now_ms() - 10 * DAY
DUE = now_ms() + 20 * DAY
DUE_DAY = datetime.fromtimestamp(DUE / 1000, UTC).date().isoformat()


def out(number: str, **more: Any) -> dict[str, Any]:
    """A replica row's fields of an item on loan."""
    return {
        "status": "ON_LOAN",
        "loan_srid": srid_of(number),
        "due": DUE,
        "t_out": LONG_AGO,
        "place": f"{HOME}-01",
        **more,
    }


def there(item_no: str, number: str, due: str = DUE_DAY, t_out: int = LONG_AGO) -> dict[str, Any]:
    """A loan in the ILS's seed."""
    return {"item_no": item_no, "number": number, "due": due, "t_out": t_out}


def reconciler(side: Side, source: Source, **more: Any) -> Reconciler:
    """One over this edge's side."""
    return Reconciler(
        source, side.observer, side.facts, side.replica, org=HOME, policy=lambda: side.replica.policy, now=side.now,
        wall=lambda: datetime.now(UTC), work=side.data, **more,
    )  # fmt: skip


def feed(ils: Ils, folder: Path) -> Any:
    return make_feed(sql_table(ils), zone="Asia/Shanghai", base=folder)


async def test_without_an_answer_nothing_is_compared_and_the_report_says_so(tmp_path: Path) -> None:
    async def silent(_item_no: str) -> ItemSaid | None:
        return None

    async with Side(tmp_path / "edge", replica_rows=rows(i1001=out("R1"))) as side:
        with pytest.raises(FeedError) as refused:
            await reconciler(side, AskedLoans(silent, side.replica, HOME, pause_s=0)).run()
        assert refused.value.code == "ILS_AWAY"
        assert side.seen() == []
        nightly = reconciler(side, AskedLoans(silent, side.replica, HOME, pause_s=0), every_s=0.05)
        await nightly.start()
        await until(lambda: nightly.public()["state"] == "FAILED")
        assert nightly.public()["code"] == "ILS_AWAY"
        await nightly.stop()
        assert not (side.data / "ils-reconcile.db").exists()


async def test_the_word_of_the_ils_heals_own_loans_of_own_readers(tmp_path: Path) -> None:
    loans = [there("1001", "R1"), there("1002", "R2"), there("1003", "R3", due="2099-01-31"), there("1005", "STRANGER")]
    ours = rows(i1002=out("R1"), i1003=out("R3"), i1004=out("R4"))
    with Ils(tmp_path, seeded=seed(loans=loans)) as ils:
        async with Side(tmp_path / "edge", replica_rows=ours) as side:
            night = reconciler(side, feed(ils, tmp_path))
            report = await night.run()
            assert report["healed"] == {"LOAN": 3, "RENEWAL": 1, "RETURN": 1}
            assert (report["theirs"], report["ours"], report["items"]) == (4, 3, len(ITEMS))
            assert report["differs"] == []
            assert side.loans() == {
                "1001": srid_of("R1"), "1002": srid_of("R2"), "1003": srid_of("R3"), "1005": None,
            }  # fmt: skip
            assert side.seen("LOAN")[0].t_eff == LONG_AGO // 1000 * 1000
            again = await night.run()
            assert again["healed"] == {} and again["differs"] == []


async def test_partner_loans_are_ours_and_a_difference_is_reported_once_with_its_owner(tmp_path: Path) -> None:
    loans = [there("1001", PROXY), there("1002", PROXY, due="2099-01-31"), there("1004", PROXY)]
    ours = rows(
        i1002=out("P1"),
        i1003=out("P1"),
        i1004=out("P1", due=DUE),
        i1005=out("P1", place=f"{HOST}-01"),
        i1006=out("R1", place=f"{HOST}-01"),
    )
    with Ils(tmp_path, seeded=seed(loans=loans)) as ils:
        async with Side(tmp_path / "edge", replica_rows=ours) as side:
            night = reconciler(side, feed(ils, tmp_path))
            report = await night.run()
            assert report["healed"] == {} and report["reported"] == 5
            assert {(e.data["item"][1], e.data["status"], e.data["home"]) for e in side.seen("DIFFERS")} == {
                ("1001", "ONLY_THEIRS", HOME), ("1002", "DUE", HOME), ("1003", "ONLY_OURS", HOME), ("1005", "ONLY_OURS", HOST),
                ("1006", "ONLY_OURS", HOST),
            }  # fmt: skip
            assert {"how": "ONLY_OURS", "owner": HOST, "n": 2} in report["differs"]
            assert (await night.run())["reported"] == 0
            ils.do("return", item_no="1001")
            ils.do("return", item_no="1002")
            third = await night.run()
            assert third["reported"] == 1  # 1002: the loan is gone there now; 1001 agrees
            assert side.seen("DIFFERS")[-1].data["status"] == "ONLY_OURS"
            assert all(row["how"] == "ONLY_OURS" for row in third["differs"])


async def test_a_booking_under_way_and_a_loan_of_this_minute_are_no_differences(tmp_path: Path) -> None:
    with Ils(tmp_path) as ils:
        async with Side(tmp_path / "edge") as side:
            await side.checkout("R1", "1001", due=DUE, flags=("ILS_AWAY",), t=LONG_AGO)
            await side.checkout("R2", "1002", due=DUE, flags=("ILS",))
            ils.do("lend", number="R3", item_no="1003")
            report = await reconciler(side, feed(ils, tmp_path)).run()
            assert report["waiting"] == 3 and report["healed"] == {} and side.seen() == []


async def test_a_healing_that_changed_nothing_is_not_repeated_but_reported(tmp_path: Path) -> None:
    """Our later return stands: a loan from before it cannot open again, so a person must look."""
    with Ils(tmp_path, seeded=seed(loans=[there("1001", "R1")])) as ils:
        async with Side(tmp_path / "edge", replica_rows=rows()) as side:
            name = await side.give_back("1001", t=now_ms() - DAY)
            await side.booked("1001", name, "CHECKIN")
            night = reconciler(side, feed(ils, tmp_path))
            side.observer.record = _nothing  # type: ignore[method-assign] # the hub's fold would not open it either
            await night.run()
            del side.observer.record  # type: ignore[method-assign]
            report = await night.run()
            assert report["reported"] == 1 and report["differs"] == [{"how": "ONLY_THEIRS", "owner": HOME, "n": 1}]


async def _nothing(*_: object) -> None:
    return None


async def test_what_a_feed_still_has_is_taken_before_anything_is_compared(tmp_path: Path) -> None:
    with Ils(tmp_path) as ils:
        for n, item_no in enumerate(ITEMS[:50]):
            ils.do("lend", number=READERS[n % 10], item_no=item_no, t=LONG_AGO)
        async with Side(tmp_path / "edge") as side:
            table = sql_table(ils, limit=20)
            follower = FeedFollower(
                make_feed(table, zone="Asia/Shanghai", base=tmp_path), side.observer, table, now=side.now
            )
            report = await reconciler(side, follower.feed, before=follower.catch_up).run()
            assert len(side.seen("LOAN")) == 50 and report["healed"] == {} and report["differs"] == []
            await follower.stop()


async def test_without_any_feed_fifty_loans_are_found_by_asking_for_every_item(tmp_path: Path) -> None:
    with Ils(tmp_path) as ils:
        for n, item_no in enumerate(ITEMS[:50]):
            ils.do("lend", number=READERS[n % 10], item_no=item_no, t=LONG_AGO)
        async with Side(tmp_path / "edge") as side:
            sip = ils.sip()

            async def ask(item_no: str) -> ItemSaid | None:
                said = await asyncio.to_thread(lambda: sip.ask(f"17{'20261123    120000'}AO{HOME}|AB{item_no}|"))
                due = said.partition("|AH")[2].partition("|")[0]
                return ItemSaid(said[2:4], due_ms=DUE if due else None)

            gate = asyncio.Lock()

            async def one_at_a_time(item_no: str) -> ItemSaid | None:
                async with gate:
                    return await ask(item_no)

            await side.observer.touch_item(ITEMS[0], await one_at_a_time(ITEMS[0]) or ItemSaid("01"))
            assert list(side.loans()) == ITEMS[:1]
            report = await reconciler(side, AskedLoans(one_at_a_time, side.replica, HOME, pause_s=0)).run()
            assert report["healed"] == {"LOAN": 49} and list(side.loans()) == ITEMS[:50]
            assert (await reconciler(side, AskedLoans(one_at_a_time, side.replica, HOME, pause_s=0)).run())[
                "healed"
            ] == {}
            sip.close()


def test_the_next_run_is_at_the_hour_of_the_branchs_own_wall_clock() -> None:
    assert _seconds_until(datetime(2026, 11, 23, 2, 30), 3, 0) == 1_800
    assert _seconds_until(datetime(2026, 11, 23, 3, 0), 3, 0) == 86_400
