"""hello: two histories compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from consortium.identity import CHAIN_START
from tests.hub.api.world import CQU, HOUR, YLG, Edge, item
from tests.hub.core import Core, running
from tests.make import NOW


async def hello(core: Core, edge: Edge, acked: int, chain: str, next_seq: int, **more: Any) -> dict[str, Any]:
    data = {
        "epoch": edge.epoch,
        "acked": acked,
        "chain": chain,
        "next_seq": next_seq,
        "replica": {"generation": 1, "version": 2},
    }
    return await core.hello.hello(core.node(edge.org), {**data, **more})


async def said(core: Core) -> tuple[Edge, list[str]]:
    edge = Edge(YLG)
    for n in range(4):
        edge.lend(NOW - HOUR + n, item(YLG, n), core.rids[YLG][n], YLG)
    hashes = [CHAIN_START, *(row.hash for row in edge.rows)]
    await core.take(edge)
    return edge, hashes


async def test_an_edge_whose_disk_was_restored_is_told_to_open_a_new_epoch(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        edge, hashes = await said(core)
        assert (await hello(core, edge, 2, hashes[2], 3))["epoch_ok"] is False
        assert (await hello(core, edge, 4, "a" * 64, 5))["epoch_ok"] is False
        assert (await hello(core, edge, 2, "a" * 64, 9))["epoch_ok"] is False


async def test_histories_that_agree_say_where_the_hub_stands(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        edge, hashes = await said(core)
        for acked in range(5):
            answer = await hello(core, edge, acked, hashes[acked], 8)
            assert (answer["upto"], answer["chain"], answer["epoch_ok"]) == (4, hashes[4], True)
        assert answer["t"] == core.now


async def test_a_hub_that_forgot_asks_for_what_it_lacks(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        answer = await hello(core, Edge(CQU), 40, "b" * 64, 41)
        assert (answer["upto"], answer["chain"], answer["epoch_ok"]) == (0, CHAIN_START, True)


async def test_a_replica_that_is_behind_gets_the_missing_steps_and_no_snapshot(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        edge, _ = await said(core)
        await core.spread.publish()
        core.sent.clear()
        answer = await hello(core, edge, 4, edge.last, 5)
        assert answer["manifest"] is None
        assert [(part, data["version"]) for _, part, data in core.sent] == [("delta", 3)]
        assert answer["version"] == 3


async def test_a_replica_of_another_generation_or_none_gets_a_manifest(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        edge, _ = await said(core)
        for replica in ({"generation": 0, "version": 0}, {"generation": 1, "version": 99}, None):
            answer = await hello(core, edge, 4, edge.last, 5, replica=replica)
            assert answer["manifest"]["version"] == answer["version"] == 3
            assert answer["manifest"]["includes"] == {"epoch": edge.epoch, "upto": 4}
