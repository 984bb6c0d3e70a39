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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.bundle import from_json, from_plain, to_json
from consortium.entities import Block, Card, Item
from consortium.events import Kind
from consortium.identity import check_branch, check_node, check_org
from consortium.seal import FORMAT, Opened, Sealed, Trust, from_text
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
from hub.load_rows import LoadError, Person, Rows, read_people, read_stock
from hub.metrics import Metrics
from hub.policy.current import CurrentPolicy
from hub.policy.keys import register
from hub.policy.publish import publish
from hub.spread.service import Spread
from hub.spread.versions import ensure_sites
from hub.store import schema as s
from hub.store.chunks import chunks
from hub.store.engine import Store, execute_rows, upsert

_KNOWN = frozenset({"bundle", "nodes", "readers", "items", "open_loans", "staff", "api_tokens"})
_DEVICE = "import"
__all__ = ["LoadError", "Loaded", "load"]

Rids = dict[tuple[str, str], str]
"""(home, reader_no) → rid."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load wrote; ``again`` where the very file was loaded before and nothing was.

    ``cut_numbers_shared``: by library, card numbers that as a cutting cardreader sends them (Wiegand 26) stand for several cards.
    """

    readers: int = 0
    cards: int = 0
    items: int = 0
    loans: int = 0
    again: bool = False
    cut_numbers_shared: Mapping[str, int] = field(default_factory=dict)


async def load(
    store: Store,
    data: Mapping[str, Any],
    master_key: bytes,
    now: int,
    *,
    policy_key: bytes,
    trust: Trust | None = None,
    cost: PinCost | None = None,
    node: str = "hub-1",
    new_id: Callable[[], str] = lambda: secrets.token_hex(16),
) -> Loaded:
    """Write a consortium file into the store, in one transaction.

    ``now`` in ms UTC; ``policy_key`` (32 bytes) seals the bundle, which ``trust`` must then let pass (default: that key
    alone); ``new_id`` gives rids and salts.

    Raises LoadError, BundleError (SealError too), IdentityError naming what is wrong.
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
    people, stock = read_people(data.get("readers", ())), read_stock(data.get("items", ()))
    hashes = await _hash_all(people, list(data.get("staff", ())), known, hasher(cost or PinCost()))
    try:
        async with store.write() as conn:
            said: list[HubEvent] = []
            if "bundle" in data:
                offered = _offered(dict(data["bundle"]))
                if opened := await publish(conn, offered, policy_key, now, trust=trust):
                    await register(conn, policy_key, now)
                    said.append(_published(opened))
                policy.set(from_json(offered.body))
            await ensure_sites(conn, policy.orgs)
            await _write_access(conn, data, now, hashes)
            rids = await _write_readers(conn, people, known, hashes, new_id, now)
            await _write_items(conn, stock)
            records = await load_readers(conn, rids.values(), now)
            shared = await reindex(conn, identity, [*policy.orgs, HUB_SITE], records.values())
            spread = Spread(store, identity, policy, Path(), lambda: now)
            ingest = Ingest(
                store, identity, policy, Nodes(store), spread, Feed(store), Reservations(), Metrics(), lambda: now,
                node=node, epoch=f"{now:013d}-load", salt=new_id,
            )  # fmt: skip
            await ingest.record(conn, said)
            loans = await _open_loans(conn, list(data.get("open_loans", ())), {**known, **rids}, stock, ingest)
            await spread.changed(conn, policy=True)  # no delta carries all this: whoever has a replica takes a snapshot
            await conn.execute(s.imports.insert(), {"digest": digest, "t": now})
    except KeyError as error:
        raise LoadError("LOAD_MISSING", f"a row of the consortium file has no {error}") from error
    return Loaded(
        len(people), sum(len(person.cards) for person in people), len(stock), loans, cut_numbers_shared=shared
    )


def _offered(data: dict[str, Any]) -> Sealed:
    """The bundle of the file: plain, or sealed already by others (``tongjie policy sign``)."""
    if data.get("format") == FORMAT:
        return from_text(json.dumps(data, ensure_ascii=False))
    return Sealed(to_json(from_plain(data)), ())


def _published(opened: Opened) -> HubEvent:
    # Booked, as every event that no branch gave rise to, at the first branch.
    data = {"version": opened.held.version, "digest": opened.held.digest}
    return HubEvent(Kind.POLICY_PUBLISHED, min(branch.id for branch in opened.bundle.branches), _DEVICE, data)


async def _known(conn: AsyncConnection) -> dict[tuple[str, str], tuple[str, str | None]]:
    rows = await conn.execute(
        select(s.readers.c.rid, s.readers.c.home, s.readers.c.reader_no, s.readers.c.pin_verifier)
    )
    return {(row.home, row.reader_no): (row.rid, row.pin_verifier) for row in rows}


async def _hash_all(
    people: Sequence[Person],
    staff: Rows,
    known: Mapping[tuple[str, str], tuple[str, str | None]],
    hashes: Argon2Hasher,
) -> dict[tuple[str, str], str]:
    """Verifiers of PINs and passwords, made on every core: argon2 lets go of the interpreter while it works.

    A PIN is checked while a reader waits and is locked after five tries; a staff password gets argon2's full cost.
    """
    passwords = Argon2Hasher()
    wanted: dict[tuple[str, str], str] = {
        person.name: person.pin
        for person in people
        if person.pin is not None and not known.get(person.name, ("", None))[1]
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
    people: Sequence[Person],
    known: Mapping[tuple[str, str], tuple[str, str | None]],
    hashes: Mapping[tuple[str, str], str],
    new_id: Callable[[], str],
    now: int,
) -> Rids:
    rids: Rids = {}
    rows: list[dict[str, Any]] = []
    cards: list[dict[str, Any]] = []
    blocks: list[dict[str, Any]] = []
    for person in people:
        reader = person.reader
        rid, verifier = known.get(person.name, ("", None))
        rid = rids[person.name] = rid or new_id()
        rows.append(
            {
                "rid": rid, "home": reader.home, "reader_no": reader.reader_no, "category": reader.category,
                "status": reader.status.value, "valid_to_ms": reader.valid_to_ms, "shared": reader.shared,
                "age": person.age(now), "lang": reader.lang, "pin_verifier": verifier or hashes.get(person.name),
            }
        )  # fmt: skip
        cards += [_card_row(rid, card) for card in person.cards]
        blocks += [_block_row(rid, number, block) for number, block in enumerate(person.blocks)]
    await execute_rows(conn, upsert(conn, s.readers), rows)
    await execute_rows(conn, upsert(conn, s.cards), cards)
    await execute_rows(conn, upsert(conn, s.blocks), blocks)
    return rids


def _card_row(rid: str, card: Card) -> dict[str, Any]:
    return {
        "uid": card.canonical.hex(), "rid": rid, "medium": card.medium.value, "assurance": card.level.value,
        "status": card.status.value, "to_ms": card.to_ms, "issued_ms": card.issued_ms,
    }  # fmt: skip


def _block_row(rid: str, number: int, block: Block) -> dict[str, Any]:
    return {
        "id": block.id or _sha256(f"{rid}/{number}")[:32], "rid": rid, "issuer": block.issuer, "scope": block.scope.value,
        "kind": block.kind.value, "actions": sorted(action.value for action in block.actions), "from_ms": block.from_ms,
        "to_ms": block.to_ms, "reason": block.reason,
    }  # fmt: skip


async def _write_items(conn: AsyncConnection, stock: Sequence[Item]) -> None:
    rows = [
        {
            "owner": item.owner, "item_no": item.item_no, "item_type": item.item_type, "title": item.title,
            "owner_branch": item.owner_branch, "value": item.value, "shareable": item.shareable, "reference": item.reference,
            "shelf": item.shelf,
        }
        for item in stock
    ]  # fmt: skip
    for part in chunks(rows, 5_000):
        await execute_rows(conn, upsert(conn, s.items), part)


async def _open_loans(
    conn: AsyncConnection,
    wanted: Rows,
    readers: Mapping[tuple[str, str], str | tuple[str, str | None]],
    stock: Sequence[Item],
    ingest: Ingest,
) -> int:
    """Loans that are open already, as CHECKOUT events. An item that any event speaks of is left as it is."""
    types = {(item.owner, item.item_no): item.item_type for item in stock}
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
