"""The demo's ILS: what is lent behind our back, what happens while it is away, and how the report counts both."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from consortium.events import Kind, decode
from edge.clock import EdgeClock
from edge.outbox import Draft, Outbox
from firmware_sim.consortium import build
from tests.least import LEAST
from tongjie.demo.ils import BEHIND, NAME, IlsDay, IlsLayout, behind_items, outcome, proxy, seed, settled, write_seed
from tongjie.demo.layout import python
from tongjie.demo.supervisor import Child, Supervisor

LIBRARY, BRANCH = "990001", "990001-01"


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    return build(1, int(time.time() * 1000))


@pytest.fixture
def layout(tmp_path: Path) -> IlsLayout:
    return IlsLayout(LIBRARY, BRANCH, 0, 0, tmp_path, "secret-of-the-ils")


def day_of(layout: IlsLayout, supervisor: Supervisor, data: dict[str, Any], seconds: float) -> IlsDay:
    readers = [row["reader_no"] for row in data["readers"] if row["home"] == LIBRARY and not row["case"]][:60]
    return IlsDay(layout, supervisor, behind_items(data, LIBRARY), readers, seconds)


class Books:
    """An edge's outbox into which a test writes what happened."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "outbox.db"
        self._outbox = Outbox(self.path, f"edge-{BRANCH}", EdgeClock())

    async def __aenter__(self) -> Books:
        await self._outbox.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._outbox.close()

    async def add(self, kind: Kind, item_no: str, owner: str = LIBRARY, **more: Any) -> str:
        """Write an event about an item and give its name."""
        data = {**LEAST[kind], "item": [owner, item_no], **more}
        decision = DECISION if kind is Kind.CHECKOUT else None
        done = await self._outbox.append(Draft(kind, BRANCH, "kiosk1", data, srid="a" * 32, decision=decision))
        return decode(done.body).name


DECISION = {"f": "borrow", "o": "ALLOW", "c": ["OK"], "pv": 1, "k": [1, 1, 1, 1, 1], "s": "edge", "m": "ONLINE"}


def test_the_books_hold_the_librarys_own_and_a_nameless_account_for_each_partner(data: dict[str, Any]) -> None:
    found = seed(data, LIBRARY)
    own = {row["reader_no"] for row in data["readers"] if row["home"] == LIBRARY}
    assert {patron["number"] for patron in found["patrons"]} == own | {
        proxy(org) for org in ("251020", LIBRARY, "990002")
    }
    assert {patron["number"] for patron in found["patrons"] if patron.get("proxy")} & own == set()
    assert {row["item_no"] for row in found["items"]} == {r["item_no"] for r in data["items"] if r["owner"] == LIBRARY}
    assert {loan["item_no"] for loan in found["loans"]} == {
        loan["item_no"] for loan in data["open_loans"] if loan["owner"] == LIBRARY
    }


def test_what_is_lent_behind_our_back_belongs_to_nobody_else(data: dict[str, Any]) -> None:
    items = {row["item_no"]: row for row in data["items"] if row["owner"] == LIBRARY}
    chosen = behind_items(data, LIBRARY)
    assert len(set(chosen)) == BEHIND
    assert not any(items[item_no]["free"] for item_no in chosen)


async def test_a_day_of_the_ils_lends_goes_away_and_comes_back(
    data: dict[str, Any], layout: IlsLayout, tmp_path: Path
) -> None:
    (tmp_path / "seed.json").write_text(write_seed(data, layout), "utf-8")
    supervisor = Supervisor(lambda _text: None)
    child = Child(NAME, python(*layout.words()), tmp_path / "ils.log", env=layout.environment())
    try:
        ready = await supervisor.start(child)
        layout.control = int(ready["control"])
        day = day_of(layout, supervisor, data, 5.0)
        assert layout.password not in " ".join(child.argv)
        await day.run()
        assert (len(day.lent), supervisor.paused(NAME)) == (BEHIND, False)
        assert day.away_from is not None
        assert day.away_until is not None
        assert day.away_until - day.away_from >= 2_900
        with sqlite3.connect(layout.books) as books:
            lent = {row[0] for row in books.execute("SELECT item_no FROM loans")}
        assert set(day.lent) <= lent
    finally:
        await supervisor.stop_all(2.0)


async def test_the_report_counts_what_was_found_and_what_was_booked(
    data: dict[str, Any], layout: IlsLayout, tmp_path: Path
) -> None:
    day = day_of(layout, Supervisor(lambda _text: None), data, 10.0)
    day.lent = day.items[:3]
    async with Books(tmp_path) as books:
        await books.add(Kind.RETURN, "9900000901")
        await asyncio.sleep(0.005)  # clearly before the outage: both are told in whole milliseconds
        day.away_from = int(time.time() * 1000)
        await books.add(Kind.ILS_OBSERVED, day.lent[0], what="LOAN")
        await books.add(Kind.ILS_OBSERVED, day.lent[1], what="RETURN")
        away = await books.add(Kind.CHECKOUT, "9900000900", flags=["ILS_AWAY"])
        back = await books.add(Kind.RETURN, "9900000902")
        await books.add(Kind.RETURN, "9900000903", flags=["ILS"])
        await books.add(Kind.RETURN, "C0000001", owner="251020")
        still = await settled(data, books.path, day, 0.0)
        assert still.public() == {"behind_our_back": 3, "found": 1, "while_away": 2, "booked": 0, "refused": 0}
        assert not still.complete
        await books.add(Kind.ILS_OBSERVED, "9900000900", what="BOOKED", ref=away, status="CHECKOUT")
        await books.add(Kind.ILS_OBSERVED, "9900000902", what="REFUSED", ref=back, status="CHECKIN")
        for item_no in day.lent[1:]:
            await books.add(Kind.ILS_OBSERVED, item_no, what="LOAN")
        day.away_until = int(time.time() * 1000)
        found = outcome(data, books.path, day)
        assert found.public() == {"behind_our_back": 3, "found": 3, "while_away": 2, "booked": 1, "refused": 1}
        assert found.complete


def test_an_edge_that_wrote_nothing_found_nothing(data: dict[str, Any], layout: IlsLayout, tmp_path: Path) -> None:
    day = day_of(layout, Supervisor(lambda _text: None), data, 10.0)
    day.lent = day.items[:2]
    assert outcome(data, tmp_path / "outbox.db", day).public()["found"] == 0
