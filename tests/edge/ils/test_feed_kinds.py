"""Fifty loans made behind our back are found by each of the three feeds, over a real process, real files and a real HTTP server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge.ils.feed_follow import FeedFollower, make_feed
from tests.edge.bed import srid_of, until
from tests.edge.ils.feed_bed import ITEMS, PROXY, READERS, Ils, Side, csv_table, rest_table, sql_table


def _table(kind: str, ils: Ils, folder: Path) -> dict[str, Any]:
    if kind == "sql":
        return sql_table(ils, limit=7)
    if kind == "csv":
        return csv_table(folder / "drop", limit=7)
    return rest_table(ils, folder, limit=7)


def _options(kind: str, folder: Path) -> list[str]:
    return {"sql": [], "csv": ["--csv", str(folder / "drop"), "--csv-every", "0"], "rest": ["--rest-port", "0"]}[kind]


@pytest.mark.parametrize("kind", ["sql", "csv", "rest"])
async def test_fifty_loans_behind_our_back_are_found_once_by_every_feed(kind: str, tmp_path: Path) -> None:
    with Ils(tmp_path, *_options(kind, tmp_path)) as ils:
        for n, item_no in enumerate(ITEMS[:50]):
            assert "due" in ils.do("lend", number=READERS[n % 10], item_no=item_no)
            if kind == "csv" and n % 20 == 19:
                ils.do("drop")
        ils.do("lend", number=PROXY, item_no=ITEMS[60])
        if kind == "csv":
            ils.do("drop")
        async with Side(tmp_path / "edge") as side:
            table = _table(kind, ils, tmp_path)
            follower = FeedFollower(
                make_feed(table, zone="Asia/Shanghai", base=tmp_path), side.observer, table, now=side.now
            )
            await follower.start()
            await until(lambda: len(side.seen("LOAN")) >= 50, 20)
            ils.do("return", item_no=ITEMS[0])
            ils.do("renew", number=READERS[1], item_no=ITEMS[1], due="2099-01-31")
            ils.do("block", number=READERS[2])
            ils.do("charge", number=READERS[3], amount=250)
            ils.do("mark", item_no=ITEMS[70], status="MISSING")
            if kind == "csv":
                ils.do("drop")
            await until(lambda: side.seen("ITEM"), 20)
            loans = side.seen("LOAN")
            assert [e.data["item"][1] for e in loans] == ITEMS[:50]
            assert side.loans() == {item_no: srid_of(READERS[n % 10]) for n, item_no in enumerate(ITEMS[:50]) if n > 0}
            assert [e.data["what"] for e in side.seen()[50:]] == ["RETURN", "RENEWAL", "READER", "FEE", "ITEM"]
            assert side.seen("FEE")[0].data["amount"] == 250
            assert side.seen("READER")[0].data["status"] == "BLOCKED"
            shown = follower.public()
            assert (shown["state"], shown["errors"], shown["rows"]) == ("OK", 0, 56)
            await follower.stop()
            stored = b"".join(path.read_bytes() for path in (tmp_path / "edge").glob("ils-feed*"))
            assert b"R10" not in stored and PROXY.encode() not in stored
        if kind == "csv":
            left = sorted(path.name for path in (tmp_path / "drop").glob("*.csv"))
            assert len(left) <= 2 and "open-loans.csv" in left
            assert len(list((tmp_path / "drop" / "done").glob("*.csv"))) >= 3
