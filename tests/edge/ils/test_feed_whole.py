"""Booking and watching together on a real ILS: what was told comes back in the feed and is no news; at night both books agree."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from edge.ils.config import IlsConfig
from edge.ils.feed_watch import IlsWatch
from edge.ils.ils import Ils as EdgeIls
from tests.edge.bed import BRANCH, KEY, now_ms, srid_of, until
from tests.edge.ils.feed_bed import DAY, HOME, HOST, ITEMS, PROXY, READERS, Ils, Side, sql_table

ZONE = "Asia/Shanghai"


def both(side: Side, ils: Ils, folder: Path, **more: Any) -> tuple[EdgeIls, IlsWatch]:
    """The booking and the watching side over one outbox."""
    config = IlsConfig(
        ils.ready["url"], user="edge", password="secret", institution=HOME, proxies={HOST: PROXY}, timeout_s=8, **more
    )

    def wall() -> datetime:
        return datetime.now(ZoneInfo(ZONE))

    def policy() -> Any:
        return side.replica.policy

    asked = EdgeIls(
        config, org=HOME, branch=BRANCH, policy=policy, outbox=side.outbox, clock_ms=side.now, wall=wall, data=side.data,
        key=KEY, on_state=lambda *_: None,
    )  # fmt: skip
    side.observer.stop()
    watch = IlsWatch(
        config, asked, outbox=side.outbox, facts=side.facts, replica=side.replica, policy=policy, org=HOME, branch=BRANCH,
        zone=ZONE, now=side.now, wall=wall, data=side.data, base=folder,
    )  # fmt: skip
    side.observer = watch.observer
    asked.observer = watch.observer
    return asked, watch


async def test_what_the_edge_told_the_ils_is_no_news_when_the_feed_repeats_it(tmp_path: Path) -> None:
    with Ils(tmp_path) as ils:
        async with Side(tmp_path / "edge") as side:
            asked, watch = both(side, ils, tmp_path, feed=sql_table(ils))
            await asked.start()
            await watch.start()
            await until(lambda: asked.up and not asked.public()["queue"]["behind"])
            due = now_ms() + 30 * DAY
            said = await asked.checkout("R1", "1001", "")
            assert said.outcome == "OK" and said.due_ms is not None
            await side.checkout("R1", "1001", due=said.due_ms, flags=("ILS",))
            await asked.remember(srid_of("R2"), "R2")
            await side.checkout("R2", "1002", due=due, flags=("ILS_AWAY",))
            await side.checkout("P1", "1003", due=due, home=HOST)
            await side.give_back("1002")
            ils.do("lend", number="R3", item_no="1004")
            await until(lambda: len(side.seen("BOOKED")) >= 3, 15)
            assert ils.do("loan", item_no="1003")["loan"]["number"] == PROXY
            await until(lambda: side.seen("LOAN"), 15)
            rows = ils.do("changes")["changes"]
            assert watch.follower is not None
            await until(lambda: watch.observer.cursor == str(rows[-1]["id"]), 15)
            assert [(row["what"], row["barcode"]) for row in rows if row["operator"] == "SIP2"].count(
                ("LOAN", "1002")
            ) == 1
            assert [event.data["item"][1] for event in side.seen("LOAN", "RETURN", "RENEWAL")] == ["1004"]
            report = await watch.reconciler.run()
            assert report["healed"] == {} and report["differs"] == []
            assert watch.public()["feed"]["state"] == "OK" and watch.public()["reconciliation"]["theirs"] == 3
            await watch.stop()
            await asked.stop()


async def test_without_a_feed_fifty_loans_are_found_on_touch_and_by_the_night(tmp_path: Path) -> None:
    with Ils(tmp_path) as ils:
        for n, item_no in enumerate(ITEMS[:50]):
            ils.do("lend", number=READERS[n % 10], item_no=item_no, t=now_ms() - DAY)
        async with Side(tmp_path / "edge") as side:
            asked, watch = both(side, ils, tmp_path)
            await asked.start()
            await watch.start()
            await until(lambda: asked.up and not asked.public()["queue"]["behind"])
            for item_no in ITEMS[:5]:
                await asked.item(item_no)
            await until(lambda: len(side.seen("LOAN")) == 5)
            report = await watch.reconciler.run()
            await asyncio.sleep(0.2)
            assert list(side.loans()) == ITEMS[:50] and len(side.seen("LOAN")) == 50
            assert report["theirs"] == 50 and report["differs"] == [] and watch.public()["feed"]["kind"] == "touch"
            await watch.stop()
            await asked.stop()
