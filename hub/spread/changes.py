"""Which rows of which libraries a change touches; called inside the transaction that makes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.bundle import Policy
from hub.identity.index import shared_by, with_namesakes
from hub.identity.keys import Identity
from hub.identity.readers import load_readers
from hub.ledger.items import Key, load_items, owners_of
from hub.spread.rows import Row, item_rows, knows, reader_row, token_rows, withheld_rows
from hub.spread.versions import Committed, raise_versions


async def readers_changed(
    conn: AsyncConnection, identity: Identity, policy: Policy, orgs: Iterable[str], rids: Iterable[str], now: int
) -> dict[str, list[Row]]:
    """Rows of readers whose card, status or sharing may have changed: tokens too, of namesakes as well."""
    records = await load_readers(conn, await with_namesakes(conn, rids), now)
    shared = await shared_by(conn, identity, records.values())
    out: dict[str, list[Row]] = {}
    for org in orgs:
        rows = out.setdefault(org, [])
        for record in records.values():
            rows.append(reader_row(policy, identity, org, record))
            rows += token_rows(policy, identity, org, record, shared)
            rows += withheld_rows(org, record, shared)
    return out


async def loans_changed(
    conn: AsyncConnection, identity: Identity, policy: Policy, orgs: Iterable[str], rids: Iterable[str], now: int
) -> dict[str, list[Row]]:
    """Rows of readers of whom only loans or blocks changed, at the libraries that know them."""
    records = await load_readers(conn, rids, now)
    return {
        org: [reader_row(policy, identity, org, record) for record in records.values() if knows(policy, org, record)]
        for org in orgs
    }


async def items_changed(
    conn: AsyncConnection, identity: Identity, orgs: Iterable[str], before: Mapping[Key, frozenset[str]]
) -> dict[str, list[Row]]:
    """Rows of items, at the libraries that have them now or had them before."""
    records = await load_items(conn, before)
    owners = await owners_of(conn, (record.item_no for record in records.values()))
    out: dict[str, list[Row]] = {org: [] for org in orgs}
    for key, record in records.items():
        for org in (record.sites | before[key]) & out.keys():
            out[org] += item_rows(identity, org, record, owners.get(record.item_no, ()))
    return out


async def write_steps(
    conn: AsyncConnection, found: Iterable[Mapping[str, list[Row]]], committed: Committed, now: int
) -> None:
    """One version step (or several, where it is much) of each library that has rows."""
    merged: dict[str, list[Row]] = {}
    for rows_of in found:
        for org, rows in rows_of.items():
            merged.setdefault(org, []).extend(rows)
    changes = {org: rows for org, rows in merged.items() if rows}
    if changes:
        await raise_versions(conn, changes, committed, now)
