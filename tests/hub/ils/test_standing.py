"""What an ILS says of its own readers stands as a block of its library, and is lifted by its own word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from consortium.events import Kind
from hub.store import schema
from tests.hub.api.world import BRANCHES, CQU, HOUR, MINUTE, YLG, Edge
from tests.hub.core import Core
from tests.hub.ils.bed import keeping
from tests.make import NOW


def says(edge: Edge, at: int, status: str, rid: str | None) -> None:
    edge.say(Kind.ILS_OBSERVED, at, {"what": "READER", "as_of": at, "status": status}, rid=rid, device="ils")


async def kinds(core: Core) -> list[str]:
    return [row["kind"] for row in await core.rows(schema.events) if row["kind"].startswith("BLOCK_")]


async def enter(core: Core, n: int = 3) -> Any:
    """What stops the reader's next loan at another library."""
    stack = {"branch": BRANCHES[CQU], "device": "k", "token": core.card(CQU, n, YLG), "pin": True, "items": [
        {"owner": CQU, "item_no": "00000001"}]}  # fmt: skip
    return (await core.decider.borrow(core.node(CQU), stack))["answers"][0]["codes"][0]


async def test_blocked_and_active_again(tmp_path: Path) -> None:
    async with keeping(tmp_path) as core:
        await core.spread.watermark()
        ylg, rid = Edge(YLG), core.rids[YLG][3]
        assert await enter(core) == "OK"
        says(ylg, NOW - HOUR, "BLOCKED", rid)
        says(ylg, NOW - HOUR + 1, "EXPIRED", rid)
        await core.take(ylg)
        (row,) = await core.rows(schema.blocks)
        assert (row["issuer"], row["kind"], row["scope"], row["to_ms"]) == (YLG, "ILS", "issuer", None)
        assert await kinds(core) == ["BLOCK_SET"]
        assert await enter(core) == "BLOCK_HOME"
        await core.spread.publish()
        told = [row for _, part, data in core.sent if part == "delta" for row in data["rows"] if row[0] == "reader"]
        assert any(row[2]["blocks"] for row in told)
        says(ylg, NOW - MINUTE, "ACTIVE", rid)
        await core.take(ylg)
        assert await kinds(core) == ["BLOCK_SET", "BLOCK_LIFTED"]
        assert await enter(core) == "OK"
        says(ylg, NOW - 1, "BLOCKED", rid)
        await core.take(ylg)
        (row,) = await core.rows(schema.blocks)
        assert (row["from_ms"], row["to_ms"]) == (NOW - 1, None)


async def test_an_older_word_that_comes_late_changes_nothing(tmp_path: Path) -> None:
    async with keeping(tmp_path) as core:
        ylg, rid = Edge(YLG), core.rids[YLG][3]
        says(ylg, NOW - HOUR, "BLOCKED", rid)
        says(ylg, NOW - MINUTE, "ACTIVE", rid)
        await core.take(ylg)
        says(ylg, NOW - 2 * MINUTE, "BLOCKED", rid)
        await core.take(ylg)
        assert await enter(core) == "OK"


async def test_a_library_speaks_for_its_own_readers_and_for_somebody_known(tmp_path: Path) -> None:
    async with keeping(tmp_path) as core:
        ylg = Edge(YLG)
        says(ylg, NOW - HOUR, "BLOCKED", core.rids[CQU][0])
        says(ylg, NOW - HOUR, "BLOCKED", "f" * 32)
        says(ylg, NOW - HOUR, "BLOCKED", None)
        says(ylg, NOW - HOUR, "MOVED", core.rids[YLG][0])
        says(ylg, NOW - HOUR, "ACTIVE", core.rids[YLG][0])
        ack = await core.take(ylg)
        assert ack.rejected == ()
        assert await core.rows(schema.blocks) == []
        assert await kinds(core) == []


async def test_a_batch_sent_twice_blocks_once(tmp_path: Path) -> None:
    async with keeping(tmp_path) as core:
        ylg = Edge(YLG)
        says(ylg, NOW - HOUR, "BLOCKED", core.rids[YLG][3])
        rows = ylg.taken()
        await core.take(ylg, rows)
        await core.take(ylg, rows)
        assert await kinds(core) == ["BLOCK_SET"]
