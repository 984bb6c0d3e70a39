"""The live feed and what branches say of themselves."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from hub.store import schema
from tests.hub.api import world
from tests.hub.api.world import BRANCHES, CQU, HOUR, MINUTE, YLG, Edge, item
from tests.hub.core import edges, running
from tests.make import NOW

PUBLISHED = 1
"""Position of the event that the loaded policy was published."""


async def test_the_feed_says_nothing_about_a_person(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        three = edges()
        world.a_day(three, core.rids, NOW)
        for edge in three.values():
            await core.take(edge)
        rows = await core.feed.since(0, 1000)
        assert len(rows) == len(await core.rows(schema.events))
        text = json.dumps(rows)
        for secret in ("srid", "salt", "subject", "body", "facts"):
            assert f'"{secret}"' not in text
        for row in await core.rows(schema.subjects):
            assert row["srid"] not in text
            assert row["salt"] not in text
        for rid in core.rids[CQU] + core.rids[YLG]:
            assert rid not in text


async def test_a_loan_and_a_refusal_in_the_feed(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        ylg = Edge(YLG)
        ylg.lend(NOW - HOUR, item(YLG, 0), core.rids[CQU][0], CQU)
        ylg.refuse(NOW - MINUTE, "CARD_LOST", CQU)
        ylg.take_back(NOW, item(CQU, 0))
        await core.take(ylg)
        lent, refused, returned = await core.feed.since(PUBLISHED)
        assert lent["item"] == {"owner": YLG, "item_no": item(YLG, 0)[1], "title": "红楼梦"}
        assert (lent["kind"], lent["home"], lent["outcome"], lent["codes"]) == ("CHECKOUT", CQU, "ALLOW", ["OK"])
        assert (refused["codes"], refused["outcome"], refused["item"]) == (["CARD_LOST"], "DENY", None)
        assert returned["route"] == {"action": "TRANSIT", "dest": BRANCHES[CQU], "reason": "HOME"}
        assert [row["pos"] for row in (lent, refused, returned)] == [PUBLISHED + n for n in (1, 2, 3)]
        assert (lent["t_eff"], lent["t_arr"]) == (NOW - HOUR, NOW)


async def test_listeners_get_every_row_once_and_in_order(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        await core.feed.start()
        async with core.feed.subscribe() as live, core.feed.subscribe() as other:
            ylg = Edge(YLG)
            for n in range(6):
                ylg.lend(NOW - HOUR, item(YLG, n), core.rids[YLG][n], YLG)
                await core.take(ylg)
            got = [(await live.next(2))["pos"] for _ in range(6)]
            assert got == [PUBLISHED + n for n in range(1, 7)]
            assert (await other.next(2))["pos"] == PUBLISHED + 1
            with pytest.raises(TimeoutError):
                await live.next(0.05)
        assert core.feed.listeners == 0


async def test_a_slow_listener_is_told_to_resync_and_holds_up_nobody(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        await core.feed.start()
        async with core.feed.subscribe(limit=3) as slow, core.feed.subscribe() as quick:
            ylg = Edge(YLG)
            for n in range(8):
                ylg.enter(NOW - HOUR + n, core.rids[YLG][n], YLG)
            await core.take(ylg)
            assert [(await quick.next(2))["pos"] for _ in range(8)] == [PUBLISHED + n for n in range(1, 9)]
            await asyncio.sleep(0.01)
            got = [await slow.next(1)]
            assert got[0]["kind"] == "RESYNC"


async def test_a_branch_that_says_goodbye_is_offline_since_then(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        node = f"edge-{BRANCHES[CQU]}"
        birth = {"online": True, "epoch": "e", "version": "0.1", "t": NOW, "devices": world.devices(NOW)}
        news = await core.board.state(node, birth, retained=False, now=NOW)
        assert news == {"kind": "NODE", "node": node, "branch": BRANCHES[CQU], "online": True, "since": NOW}
        assert await core.board.state(node, birth, retained=False, now=NOW + 10_000) is None
        assert await core.board.state(node, {"online": False}, retained=False, now=NOW + 12_000) is not None
        (row,) = [row for row in await core.rows(schema.nodes) if row["node"] == node]
        assert (row["online"], row["since"], row["last_seen"]) == (False, NOW + 12_000, NOW + 10_000)
        assert len(await core.rows(schema.devices)) == 3
        assert await core.board.state(node, {"online": False}, retained=True, now=NOW + 99_000) is None
        (row,) = [row for row in await core.rows(schema.nodes) if row["node"] == node]
        assert row["since"] == NOW + 12_000


async def test_an_old_birth_told_again_makes_nobody_seen_now(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        node = f"edge-{BRANCHES[CQU]}"
        birth = {"online": True, "epoch": "e", "version": "0.1", "t": NOW - HOUR, "devices": world.devices(NOW - HOUR)}
        await core.board.state(node, birth, retained=True, now=NOW)
        (row,) = [row for row in await core.rows(schema.nodes) if row["node"] == node]
        assert row["last_seen"] == NOW - HOUR
        assert {row["last_seen"] for row in await core.rows(schema.devices)} == {NOW - HOUR}


async def test_strangers_and_nonsense_change_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        assert await core.board.state("edge-nobody", {"online": True}, retained=False, now=NOW) is None
        node = f"edge-{BRANCHES[CQU]}"
        odd = {
            "online": True,
            "t": "x",
            "devices": {"a": 5, "": {}, "b" * 65: {}, "c": {"state": "burning", "facts": 1, "since": -4}},
        }
        await core.board.state(node, odd, retained=False, now=NOW)
        (row,) = await core.rows(schema.devices)
        assert (row["id"], row["state"], row["kind"], row["facts"], row["since"]) == (
            "c",
            "unknown",
            "unknown",
            {},
            NOW,
        )
