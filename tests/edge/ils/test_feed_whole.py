"""Booking and watching together on a real ILS: what was told comes back in the feed and is no news; at night both books agree."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from edge.ils.config import IlsConfig
from edge.own_ils import OwnIls
from tests.edge.bed import make_config, now_ms, srid_of, until
from tests.edge.ils.feed_bed import DAY, HOME, HOST, ITEMS, PROXY, READERS, Ils, Side, sql_table


def own(side: Side, ils: Ils, **more: Any) -> OwnIls:
    """Everything that an edge does with its own ILS, over this side's files."""
    config = IlsConfig(
        ils.ready["url"], user="edge", password="secret", institution=HOME, proxies={HOST: PROXY}, timeout_s=8, **more
    )
    side.observer.stop()
    found = OwnIls(
        make_config(side.data), config, facts=side.facts, replica=side.replica, outbox=side.outbox, clock=side.clock,
        wall=lambda: datetime.now(ZoneInfo("Asia/Shanghai")), on_state=lambda *_: None,
    )  # fmt: skip
    side.observer = found.observer
    return found


async def ready(parts: OwnIls) -> None:
    """Start, and wait until the ILS can be asked and told."""
    await parts.start()
    await until(lambda: parts.ils.up and not parts.ils.public()["queue"]["behind"])


async def test_what_the_edge_told_the_ils_is_no_news_when_the_feed_repeats_it(tmp_path: Path) -> None:
    with Ils(tmp_path) as ils:
        async with Side(tmp_path / "edge") as side:
            parts = own(side, ils, feed=sql_table(ils))
            await ready(parts)
            due = now_ms() + 30 * DAY
            said = await parts.ils.checkout("R1", "1001", "")
            assert said.outcome == "OK" and said.due_ms is not None
            await side.checkout("R1", "1001", due=said.due_ms, flags=("ILS",))
            await parts.ils.remember(srid_of("R2"), "R2")
            await side.checkout("R2", "1002", due=due, flags=("ILS_AWAY",))
            await side.checkout("P1", "1003", due=due, home=HOST)
            await side.give_back("1002")
            ils.do("lend", number="R3", item_no="1004")
            await until(lambda: len(side.seen("BOOKED")) >= 3, 15)
            assert ils.do("loan", item_no="1003")["loan"]["number"] == PROXY
            await until(lambda: side.seen("LOAN"), 15)
            rows = ils.do("changes")["changes"]
            await until(lambda: parts.observer.cursor == str(rows[-1]["id"]), 15)
            assert [(row["what"], row["barcode"]) for row in rows if row["operator"] == "SIP2"].count(
                ("LOAN", "1002")
            ) == 1
            assert [event.data["item"][1] for event in side.seen("LOAN", "RETURN", "RENEWAL")] == ["1004"]
            report = await parts.reconciler.run()
            assert report["healed"] == {} and report["differs"] == []
            assert parts.public()["feed"]["state"] == "OK" and parts.public()["reconciliation"]["theirs"] == 3
            await parts.stop()


async def test_without_a_feed_fifty_loans_are_found_on_touch_and_by_the_night(tmp_path: Path) -> None:
    with Ils(tmp_path) as ils:
        for n, item_no in enumerate(ITEMS[:50]):
            ils.do("lend", number=READERS[n % 10], item_no=item_no, t=now_ms() - DAY)
        async with Side(tmp_path / "edge") as side:
            parts = own(side, ils)
            await ready(parts)
            for item_no in ITEMS[:5]:
                await parts.ils.item(item_no)
            await until(lambda: len(side.seen("LOAN")) == 5)
            report = await parts.reconciler.run()
            await asyncio.sleep(0.2)
            assert list(side.loans()) == ITEMS[:50] and len(side.seen("LOAN")) == 50
            assert report["theirs"] == 50 and report["differs"] == [] and parts.public()["feed"] is None
            await parts.stop()
