"""Snapshots: a library's whole replica as one gzip file of JSON lines, built beside the hub's work.

The rows are the library's and the first line is the node's, because ``includes`` names that node's events. So a file is two
gzip members: a small head for each node and one body that all of the library's nodes share.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import msgspec
from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.bundle import Policy, from_json
from hub.identity.index import shared_by
from hub.identity.keys import Identity
from hub.identity.readers import load_readers
from hub.ledger.items import first_holds, item_query, item_record, owners_of
from hub.spread.rows import Row, item_rows, knows, policy_row, reader_row, token_rows
from hub.spread.versions import Includes, Version, includes_of, versions_of
from hub.store.chunks import chunks
from hub.store.connect import make_engine
from hub.store.schema import bundles, item_state, items, loans, readers, transits


@dataclass(frozen=True, slots=True)
class Body:
    """A library's rows at one version, as a gzip member on disk."""

    at: Version
    path: Path
    asof_ms: int
    includes: Includes
    rows: int


def build(url: str, identity: Identity, org: str, folder: Path, now: int) -> Body:
    """Write the body of a library's snapshot. Blocks: run it in a thread; it opens a database connection of its own."""
    return asyncio.run(_build(url, identity, org, folder, now))


async def _build(url: str, identity: Identity, org: str, folder: Path, now: int) -> Body:
    engine = make_engine(url, pooled=False)
    if engine.dialect.name != "sqlite":
        engine = engine.execution_options(isolation_level="REPEATABLE READ")
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{org}.{os.getpid()}.part"
    try:
        async with engine.connect() as conn:
            at = (await versions_of(conn, [org]))[org]
            includes = (await includes_of(conn, [org])).get(org, {})
            with gzip.open(part, "wb", compresslevel=6) as out:
                rows = await _write_rows(conn, identity, org, out, now)
    finally:
        await engine.dispose()
    path = folder / f"{org}-{at.generation}-{at.version}.body.gz"
    part.replace(path)
    return Body(at, path, now, includes, rows)


async def _write_rows(conn: AsyncConnection, identity: Identity, org: str, out: gzip.GzipFile, now: int) -> int:
    newest = select(bundles).order_by(bundles.c.version.desc()).limit(1)
    row = (await conn.execute(newest)).one_or_none()
    if row is None:
        return 0
    policy = Policy(from_json(row.body))
    count = _put(out, [policy_row(row.version, row.sealed)])
    homes = [home for home in policy.libraries if home == org or policy.covering(home, org)]
    query = select(readers.c.rid).where(or_(readers.c.home == org, (readers.c.home.in_(homes)) & readers.c.shared))
    rids = list((await conn.execute(query.order_by(readers.c.rid))).scalars())
    for part in chunks(rids):
        records = await load_readers(conn, part, now)
        shared = await shared_by(conn, identity, records.values())
        for record in records.values():
            if knows(policy, org, record):
                count += _put(out, [reader_row(policy, identity, org, record)])
                count += _put(out, token_rows(policy, identity, org, record, shared))
    return count + await _write_items(conn, identity, org, out)


async def _write_items(conn: AsyncConnection, identity: Identity, org: str, out: gzip.GzipFile) -> int:
    waiting = await first_holds(conn)
    prefix = f"{org}-%"
    there = or_(
        items.c.owner == org,
        item_state.c.branch.like(prefix),
        loans.c.place.like(prefix),
        transits.c.to.like(prefix),
    )
    records = [
        item_record(row, waiting.get((row.owner, row.item_no))) for row in await conn.execute(item_query().where(there))
    ]
    count = 0
    foreign = await owners_of(conn, (record.item_no for record in records if record.owner != org))
    for record in records:
        rows = item_rows(identity, org, record, foreign.get(record.item_no, (record.owner,)))
        count += _put(out, [row for row in rows if row[2] is not None])
    return count


def _put(out: gzip.GzipFile, rows: list[Row]) -> int:
    for row in rows:
        out.write(msgspec.json.encode(row) + b"\n")
    return len(rows)


def assemble(body: Body, node: str, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Write a node's snapshot file from a body; gives it with its manifest. Blocks."""
    epoch, upto = body.includes.get(node, ("", 0))
    counters = {"generation": body.at.generation, "version": body.at.version}
    head = {"org": body.at.org, **counters, "asof_ms": body.asof_ms, "includes": {"epoch": epoch, "upto": upto}}
    path = folder / f"{body.at.org}-{body.at.generation}-{body.at.version}-{node}.gz"
    part = path.with_suffix(".part")
    with part.open("wb") as out, body.path.open("rb") as rows:
        out.write(gzip.compress(msgspec.json.encode(head) + b"\n", mtime=0))
        shutil.copyfileobj(rows, out)
        out.flush()
        os.fsync(out.fileno())
    digest = hashlib.sha256()
    with part.open("rb") as file:
        for block in _blocks(file):
            digest.update(block)
    size = part.stat().st_size
    part.replace(path)
    manifest = {
        **head,
        "url": f"/replica/{body.at.org}/snapshot",
        "sha256": digest.hexdigest(),
        "size": size,
        "signature": None,
    }
    return path, manifest


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(1 << 20):
        yield block


def sweep(folder: Path, org: str, keep: set[Path]) -> None:
    """Delete a library's snapshot files that nobody was told of lately."""
    for path in folder.glob(f"{org}-*.gz"):
        if path not in keep:
            path.unlink(missing_ok=True)
