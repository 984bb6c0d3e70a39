"""Loading a consortium file: policy, nodes, readers, items, open loans, staff and API tokens from one JSON object.

Loading the same file again changes nothing. A reader is known again by (home, reader_no) and keeps rid and PIN; open loans enter as
events of the hub's node through the same log and fold as everything else.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.bundle import from_plain
from consortium.events import Kind
from consortium.identity import canonical_uid, check_branch, check_node, check_org
from hub.config import PinCost
from hub.decide.pins import hasher
from hub.decide.reservations import Reservations
from hub.devices.nodes import Nodes
from hub.feed import Feed
from hub.identity.index import reindex
from hub.identity.keys import Identity
from hub.identity.readers import load_readers
from hub.ingest import HubEvent, Ingest
from hub.metrics import Metrics
from hub.policy.current import CurrentPolicy, publish
from hub.spread.service import Spread
from hub.spread.versions import ensure_sites
from hub.store.chunks import chunks
from hub.store.engine import Store, execute_rows, insert_new, upsert
from hub.store.schema import api_tokens, blocks, cards, events, imports, items, nodes, readers, staff

_KNOWN = frozenset({"bundle", "nodes", "readers", "items", "open_loans", "staff", "api_tokens"})
_DEVICE = "import"


class LoadError(ValueError):
    """A consortium file that cannot be loaded; the message names the row. Nothing of it was written. ``code`` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load wrote; all zero where the file was loaded before."""

    readers: int = 0
    cards: int = 0
    items: int = 0
    loans: int = 0
    again: bool = False


async def load(
    store: Store,
    data: Mapping[str, Any],
    master_key: bytes,
    now: int,
    *,
    cost: PinCost | None = None,
    node: str = "hub-1",
    new_id: Callable[[], str] = lambda: secrets.token_hex(16),
) -> Loaded:
    """Write a consortium file into the store, in one transaction. ``now`` in ms UTC; ``new_id`` gives rids.

    Raises LoadError, BundleError, IdentityError naming what is wrong.
    """
    unknown = data.keys() - _KNOWN
    if unknown:
        raise LoadError("LOAD_KEY", f"a consortium file has no {', '.join(sorted(unknown))}")
    digest = hashlib.sha256(json.dumps(data, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
    async with store.read() as conn:
        if (await conn.execute(select(imports.c.digest).where(imports.c.digest == digest))).scalar_one_or_none():
            return Loaded(again=True)
        known = await _known_readers(conn)
    bundle = from_plain(dict(data["bundle"])) if "bundle" in data else None
    secrets_made = await _hash_all(data, known, cost or PinCost())
    policy = CurrentPolicy()
    await policy.refresh(store)
    identity = Identity(master_key)
    async with store.write() as conn:
        if bundle is not None:
            await publish(conn, bundle)
            policy.set(bundle)
        await ensure_sites(conn, policy.orgs)
        await _rows(conn, data, now, secrets_made)
        rids = await _readers(conn, data.get("readers", ()), known, secrets_made, new_id)
        records = await load_readers(conn, rids.values(), now)
        await reindex(conn, identity, [*policy.orgs, "hub"], records.values())
        loans = await _loans(conn, store, data.get("open_loans", ()), {**known, **rids}, identity, policy, node, now)
        # no delta can carry all this: whoever has a replica takes a snapshot
        spread = Spread(store, identity, policy, _nowhere(store), lambda: now)
        await spread.changed(conn, policy=True)
        await conn.execute(imports.insert(), {"digest": digest, "t": now})
    n_cards = sum(len(row.get("cards", ())) for row in data.get("readers", ()))
    return Loaded(len(data.get("readers", ())), n_cards, len(data.get("items", ())), loans)
