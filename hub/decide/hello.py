"""hello: what both sides hold, compared at every connect (design §3)."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.identity import CHAIN_START
from hub.decide import asked
from hub.devices.nodes import Node
from hub.ledger.log import FORK
from hub.spread.service import Spread
from hub.store.engine import Store
from hub.store.schema import cursors, events, quarantine


class Hello:
    """Answers hello: how far the hub holds the node's events, whether the histories agree, and how its replica comes up to date."""

    def __init__(self, store: Store, spread: Spread, clock: Callable[[], int]) -> None:
        self._store = store
        self._spread = spread
        self._clock = clock

    async def hello(self, node: Node, data: Mapping[str, Any]) -> dict[str, Any]:
        """Missing replica steps are sent as deltas before the answer; ``manifest`` names a snapshot where that is not enough."""
        epoch = asked.text(data, "epoch")
        acked, next_seq = asked.number(data, "acked"), asked.number(data, "next_seq", 1)
        chain = asked.text_or_none(data, "chain")
        async with self._store.read() as conn:
            upto, held = await _held(conn, node.node, epoch)
            agrees = await _agrees(conn, node.node, epoch, upto, held, acked, chain, next_seq)
        replica = data.get("replica")
        has = replica if isinstance(replica, dict) else {}
        generation, version = asked.number(has, "generation"), asked.number(has, "version")
        try:
            at, manifest = await self._spread.catch_up(node.node, node.org, generation, version)
        except KeyError as error:
            raise asked.BadRequest("SITE_UNKNOWN", "the hub has no replica for this library yet") from error
        return {
            "upto": upto,
            "chain": held,
            "epoch_ok": agrees,
            "generation": at.generation,
            "version": at.version,
            "t": self._clock(),
            "manifest": manifest,
        }


async def _held(conn: AsyncConnection, node: str, epoch: str) -> tuple[int, str]:
    query = select(cursors.c.upto, cursors.c.chain).where(cursors.c.node == node, cursors.c.epoch == epoch)
    row = (await conn.execute(query)).one_or_none()
    return (row.upto, row.chain) if row is not None else (0, CHAIN_START)


async def _agrees(
    conn: AsyncConnection, node: str, epoch: str, upto: int, held: str, acked: int, chain: str | None, next_seq: int
) -> bool:
    """Whether the node's history continues what the hub holds.

    False where the node has forgotten events that the hub has (a restored disk), or tells another story of the same numbers. A hub that
    holds less than the node was acknowledged agrees: the node checks the hub's hash against its archive and sends again.
    """
    if next_seq <= upto:
        return False
    if chain is None or acked > upto:
        return True
    if acked == upto:
        return hmac.compare_digest(chain, held)
    there = await _hash_at(conn, node, epoch, acked)
    return there is not None and hmac.compare_digest(chain, there)


async def _hash_at(conn: AsyncConnection, node: str, epoch: str, seq: int) -> str | None:
    if seq == 0:
        return CHAIN_START
    logged = select(events.c.hash).where(events.c.node == node, events.c.epoch == epoch, events.c.seq == seq)
    kept = select(quarantine.c.hash).where(
        quarantine.c.node == node, quarantine.c.epoch == epoch, quarantine.c.seq == seq, quarantine.c.code != FORK
    )
    return (await conn.execute(union_all(logged, kept))).scalars().first()
