"""Loading a consortium file: policy, nodes, readers, items, open loans, staff and API tokens from one JSON object.

Loading the same file again changes nothing. A reader is known again by (home, reader_no) and keeps rid and PIN; open loans enter
as events of the hub's node, through the same log and fold as everything else.
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
from pathlib import Path
from typing import Any

from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.bundle import from_plain
from consortium.events import Kind
from consortium.identity import ItemKey, canonical_uid, check_branch, check_node, check_org
from hub.config import PinCost
from hub.decide.pins import hasher
from hub.decide.reservations import Reservations
from hub.devices.nodes import Nodes
from hub.feed import Feed
from hub.identity.index import reindex
from hub.identity.keys import HUB_SITE, Identity
from hub.identity.readers import load_readers
from hub.ingest import HubEvent, Ingest
from hub.ledger.items import Key
from hub.metrics import Metrics
from hub.policy.current import CurrentPolicy, publish
from hub.spread.service import Spread
from hub.spread.versions import ensure_sites
from hub.store import schema as s
from hub.store.chunks import chunks
from hub.store.engine import Store, execute_rows, upsert

_KNOWN = frozenset({"bundle", "nodes", "readers", "items", "open_loans", "staff", "api_tokens"})
_DEVICE = "import"
Rows = Sequence[Mapping[str, Any]]
Rids = dict[tuple[str, str], str]
"""(home, reader_no) → rid."""


class LoadError(ValueError):
    """A consortium file that cannot be loaded; the message names the place. Nothing of it was written. ``code`` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load wrote; ``again`` where the very file was loaded before and nothing was."""

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
    """Write a consortium file into the store, in one transaction. ``now`` in ms UTC; ``new_id`` gives rids and salts.

    Raises LoadError, BundleError, IdentityError naming what is wrong.
    """
    if unknown := data.keys() - _KNOWN:
        raise LoadError("LOAD_KEY", f"a consortium file has no {', '.join(sorted(unknown))}")
    digest = hashlib.sha256(json.dumps(data, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
    async with store.read() as conn:
        if (await conn.execute(select(s.imports.c.digest).where(s.imports.c.digest == digest))).first():
            return Loaded(again=True)
        known = await _known(conn)
    policy = CurrentPolicy()
    await policy.refresh(store)
    identity = Identity(master_key)
    people, stock = list(data.get("readers", ())), list(data.get("items", ()))
    hashes = await _hash_all(people, list(data.get("staff", ())), known, hasher(cost or PinCost()))
    try:
        async with store.write() as conn:
            if "bundle" in data:
                bundle = from_plain(dict(data["bundle"]))
                await publish(conn, bundle)
                policy.set(bundle)
            await ensure_sites(conn, policy.orgs)
            await _write_access(conn, data, now, hashes)
            rids = await _write_readers(conn, people, known, hashes, new_id)
            await _write_items(conn, stock)
            records = await load_readers(conn, rids.values(), now)
            await reindex(conn, identity, [*policy.orgs, HUB_SITE], records.values())
            spread = Spread(store, identity, policy, Path(), lambda: now)
            ingest = Ingest(
                store, identity, policy, Nodes(store), spread, Feed(store), Reservations(), Metrics(), lambda: now,
                node=node, epoch=f"{now:013d}-load", salt=new_id,
            )  # fmt: skip
            loans = await _open_loans(conn, list(data.get("open_loans", ())), {**known, **rids}, stock, ingest)
            await spread.changed(conn, policy=True)  # no delta carries all this: whoever has a replica takes a snapshot
            await conn.execute(s.imports.insert(), {"digest": digest, "t": now})
    except KeyError as error:
        raise LoadError("LOAD_MISSING", f"a row of the consortium file has no {error}") from error
    return Loaded(len(people), sum(len(row.get("cards", ())) for row in people), len(stock), loans)


async def _known(conn: AsyncConnection) -> dict[tuple[str, str], tuple[str, str | None]]:
    rows = await conn.execute(
        select(s.readers.c.rid, s.readers.c.home, s.readers.c.reader_no, s.readers.c.pin_verifier)
    )
    return {(row.home, row.reader_no): (row.rid, row.pin_verifier) for row in rows}


async def _hash_all(
    people: Rows, staff: Rows, known: Mapping[tuple[str, str], tuple[str, str | None]], hashes: Argon2Hasher
) -> dict[tuple[str, str], str]:
    """Verifiers of PINs and passwords, made on every core: argon2 lets go of the interpreter while it works.

    A PIN is checked while a reader waits and is locked after five tries; a staff password gets argon2's full cost.
    """
    passwords = Argon2Hasher()
    wanted: dict[tuple[str, str], str] = {
        (row["home"], row["reader_no"]): row["pin"]
        for row in people
        if row.get("pin") and not known.get((row["home"], row["reader_no"]), ("", None))[1]
    }
    wanted.update({("", row["username"]): row["password"] for row in staff})

    def work() -> list[str]:
        with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
            return list(pool.map(lambda entry: (hashes if entry[0][0] else passwords).hash(entry[1]), wanted.items()))

    return dict(zip(wanted, await asyncio.to_thread(work), strict=True))


async def _write_access(
    conn: AsyncConnection, data: Mapping[str, Any], now: int, hashes: Mapping[tuple[str, str], str]
) -> None:
    """Nodes, staff and API tokens; a token is kept as its SHA-256."""
    enrolled = [
        {
            "node": check_node(row["node"]), "org": check_org(row["org"]), "branch": check_branch(row["branch"]),
            "token_hash": _sha256(row["token"]), "online": False, "since": 0, "last_seen": 0, "facts": {},
        }
        for row in data.get("nodes", ())
    ]  # fmt: skip
    keep = ("online", "since", "last_seen", "version", "epoch", "facts")
    await execute_rows(conn, upsert(conn, s.nodes, keep=keep), enrolled)
    people = [
        {
            "username": row["username"],
            "password_hash": hashes["", row["username"]],
            "role": row["role"],
            "library": row["library"],
        }
        for row in data.get("staff", ())
    ]
    await execute_rows(conn, upsert(conn, s.staff), people)
    tokens = [
        {
            "id": _sha256(row["token"])[:16], "name": row["name"], "token_hash": _sha256(row["token"]),
            "scopes": list(row["scopes"]), "library": row["library"], "created_ms": now, "expires_ms": None,
        }
        for row in data.get("api_tokens", ())
    ]  # fmt: skip
    await execute_rows(conn, upsert(conn, s.api_tokens, keep=("created_ms",)), tokens)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def _write_readers(
    conn: AsyncConnection,
    people: Rows,
    known: Mapping[tuple[str, str], tuple[str, str | None]],
    hashes: Mapping[tuple[str, str], str],
    new_id: Callable[[], str],
) -> Rids:
    rids: Rids = {}
    rows: list[dict[str, Any]] = []
    cards: list[dict[str, Any]] = []
    blocks: list[dict[str, Any]] = []
    for row in people:
        name = (check_org(row["home"]), str(row["reader_no"]))
        rid, verifier = known.get(name, ("", None))
        rid = rids[name] = rid or new_id()
        rows.append(
            {
                "rid": rid, "home": name[0], "reader_no": name[1], "category": row["category"],
                "status": row.get("status", "ACTIVE"), "valid_to_ms": row.get("valid_to_ms"),
                "shared": bool(row.get("shared")), "age": row.get("age"), "lang": row.get("lang", "zh"),
                "pin_verifier": verifier or hashes.get(name),
            }
        )  # fmt: skip
        cards += [_card_row(rid, card) for card in row.get("cards", ())]
        blocks += [_block_row(rid, number, block) for number, block in enumerate(row.get("blocks", ()))]
    await execute_rows(conn, upsert(conn, s.readers), rows)
    await execute_rows(conn, upsert(conn, s.cards), cards)
    await execute_rows(conn, upsert(conn, s.blocks), blocks)
    return rids


def _card_row(rid: str, card: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "uid": canonical_uid(card["uid"]).hex(), "rid": rid, "medium": card.get("medium", "CPU"),
        "assurance": card.get("assurance", "LOW"), "status": card.get("status", "ACTIVE"), "to_ms": card.get("to_ms"),
        "issued_ms": card.get("issued_ms", 0),
    }  # fmt: skip


def _block_row(rid: str, number: int, block: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": block.get("id") or _sha256(f"{rid}/{number}")[:32], "rid": rid, "issuer": check_org(block["issuer"]),
        "scope": block.get("scope", "issuer"), "kind": block.get("kind", ""), "actions": list(block["actions"]),
        "from_ms": block.get("from_ms", 0), "to_ms": block.get("to_ms"), "reason": block.get("reason", ""),
    }  # fmt: skip


async def _write_items(conn: AsyncConnection, stock: Rows) -> None:
    rows = []
    for row in stock:
        key = ItemKey(check_org(row["owner"]), str(row["item_no"]))
        rows.append(
            {
                "owner": key.owner, "item_no": key.item_no, "item_type": _type(row), "title": row["title"],
                "owner_branch": check_branch(row["owner_branch"]), "value": row.get("value", 0),
                "shareable": row.get("shareable", True), "reference": row.get("reference", False), "shelf": row.get("shelf"),
            }
        )  # fmt: skip
    for part in chunks(rows, 5_000):
        await execute_rows(conn, upsert(conn, s.items), part)


def _type(row: Mapping[str, Any]) -> str:
    return str(row["item_type"] if "item_type" in row else row["type"])


async def _open_loans(
    conn: AsyncConnection,
    wanted: Rows,
    readers: Mapping[tuple[str, str], str | tuple[str, str | None]],
    stock: Rows,
    ingest: Ingest,
) -> int:
    """Loans that are open already, as CHECKOUT events. An item that any event speaks of is left as it is."""
    types = {(row["owner"], row["item_no"]): _type(row) for row in stock}
    touched = await _touched(conn, ((row["owner"], row["item_no"]) for row in wanted))
    born: list[HubEvent] = []
    for row in sorted(wanted, key=lambda one: (one["t_out"], one["owner"], one["item_no"])):
        key = (row["owner"], row["item_no"])
        if key in touched:
            continue
        found = readers.get((row["home"], row["reader_no"]))
        if found is None or key not in types:
            raise LoadError(
                "LOAD_LOAN", f"an open loan of {key[0]}/{key[1]} names a reader or item that the file does not have"
            )
        rid = found if isinstance(found, str) else found[0]
        data = {
            "item": list(key), "type": types[key], "home": row["home"], "due": row["due"], "basis": [], "flags": ["IMPORTED"],
        }  # fmt: skip
        born.append(HubEvent(Kind.CHECKOUT, check_branch(row["place"]), _DEVICE, data, rid, t_eff=row["t_out"]))
    await ingest.record(conn, born)
    return len(born)


async def _touched(conn: AsyncConnection, keys: Iterable[Key]) -> set[Key]:
    """Those of the items that the ledger has a state of."""
    wanted = set(keys)
    out: set[Key] = set()
    for part in chunks(sorted({owner for owner, _ in wanted})):
        query = select(s.item_state.c.owner, s.item_state.c.item_no).where(s.item_state.c.owner.in_(part))
        out.update((row.owner, row.item_no) for row in await conn.execute(query))
    return out & wanted
