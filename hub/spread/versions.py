"""Versions of a library's replica: raised, with the rows that changed, in the transaction that changed them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.spread.rows import Row
from hub.store.engine import execute_rows, insert, insert_new, upsert
from hub.store.schema import cursors, nodes, site_deltas, sites

MAX_ROWS_BYTES = 13_000
"""Bytes of rows in one delta: a message has 16,384, and the envelope and the counters need their part."""

Includes = dict[str, tuple[str, int]]
"""node → (epoch, upto): the node's events that a version contains."""

Committed = Callable[[Sequence[str]], Awaitable[dict[str, Includes]]]
"""What the last commit contained of these libraries' nodes, read beside the transaction under way."""


@dataclass(frozen=True, slots=True)
class Version:
    """(generation, n) of a library's replica."""

    org: str
    generation: int
    version: int


@dataclass(frozen=True, slots=True)
class Delta:
    """One version step. ``rows`` is None where only a snapshot carries it."""

    org: str
    version: int
    t: int
    rows: list[Row] | None
    includes: Includes


async def versions_of(conn: AsyncConnection, orgs: Iterable[str]) -> dict[str, Version]:
    """The present version of each of these libraries that has one."""
    query = select(sites).where(sites.c.org.in_(list(orgs)))
    return {row.org: Version(row.org, row.generation, row.version) for row in await conn.execute(query)}


async def ensure_sites(conn: AsyncConnection, orgs: Sequence[str]) -> None:
    """Give every library that has none its first version."""
    await execute_rows(conn, insert_new(conn, sites), [{"org": org, "generation": 1, "version": 1} for org in orgs])


async def includes_of(conn: AsyncConnection, orgs: Iterable[str]) -> dict[str, Includes]:
    """For each library, what the hub holds of each of its nodes' present epoch."""
    out: dict[str, Includes] = {}
    joined = nodes.outerjoin(cursors, cursors.c.node == nodes.c.node)
    query = (
        select(nodes.c.org, nodes.c.node, cursors.c.epoch, cursors.c.upto)
        .select_from(joined)
        .where(nodes.c.org.in_(list(orgs)))
        .order_by(nodes.c.node, cursors.c.epoch)  # epochs sort by their beginning: the last one stays
    )
    for row in await conn.execute(query):
        out.setdefault(row.org, {})[row.node] = (row.epoch or "", row.upto or 0)
    return out


def pieces(rows: Sequence[Row]) -> list[list[bytes]] | None:
    """The rows, encoded, in pieces that fit a delta each; None where one row alone does not."""
    out: list[list[bytes]] = [[]]
    size = 0
    for row in rows:
        text = msgspec.json.encode(row)
        if len(text) > MAX_ROWS_BYTES:
            return None
        if size + len(text) + 1 > MAX_ROWS_BYTES:
            out.append([])
            size = 0
        out[-1].append(text)
        size += len(text) + 1
    return out


async def raise_versions(
    conn: AsyncConnection, changes: Mapping[str, Sequence[Row] | None], committed: Committed, now: int
) -> None:
    """Write version steps for these libraries; None = a step that only a snapshot carries.

    Of several pieces only the last says that this transaction's events are contained: a piece that promised them early would make the
    edge forget what the next piece brings. ``committed`` tells what was contained before this transaction.
    """
    versions = await versions_of(conn, changes)
    includes = await includes_of(conn, changes)
    deltas: list[dict[str, Any]] = []
    raised: list[dict[str, Any]] = []
    for org, rows in changes.items():
        if org not in versions or (rows is not None and not rows):
            continue
        parts = None if rows is None else pieces(rows)
        before = await committed([org]) if parts is not None and len(parts) > 1 else {}
        at = versions[org].version
        for number, part in enumerate(parts if parts is not None else [None]):
            at += 1
            last = parts is None or number == len(parts) - 1
            text = None if part is None else (b"[" + b",".join(part) + b"]").decode()
            holds = includes.get(org, {}) if last else before.get(org, {})
            deltas.append(
                {"org": org, "version": at, "t": now, "rows": text, "includes": msgspec.json.encode(holds).decode()}
            )
        raised.append({"org": org, "generation": versions[org].generation, "version": at})
    await execute_rows(conn, insert(conn, site_deltas), deltas)
    await execute_rows(conn, upsert(conn, sites), raised)


async def deltas_after(conn: AsyncConnection, org: str, version: int, *, limit: int = 2_000) -> list[Delta]:
    """The version steps after ``version``, in order, as far as they are kept."""
    kept = site_deltas.c
    # a row's own ``t`` is the whole row to SQLAlchemy: the column needs another name
    query = select(kept.version, kept.t.label("at_ms"), kept.rows, kept.includes).where(
        kept.org == org, kept.version > version
    )
    return [
        Delta(
            org, row.version, row.at_ms, msgspec.json.decode(row.rows) if row.rows is not None else None,
            msgspec.json.decode(row.includes, type=Includes),
        )
        for row in await conn.execute(query.order_by(site_deltas.c.version).limit(limit))
    ]  # fmt: skip


async def forget_before(conn: AsyncConnection, t: int, *, most: int = 20_000) -> None:
    """Drop version steps older than ``t``, and all but the last ``most`` of each library."""
    await conn.execute(delete(site_deltas).where(site_deltas.c.t < t))
    newest = select(site_deltas.c.org, func.max(site_deltas.c.version).label("top")).group_by(site_deltas.c.org)
    for row in (await conn.execute(newest)).all():
        old = (site_deltas.c.org == row.org) & (site_deltas.c.version <= row.top - most)
        await conn.execute(delete(site_deltas).where(old))
