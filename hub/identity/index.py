"""The index from a library's names to the hub's: (library, srid) → rid and (library, token) → rid and card.

An HMAC cannot be undone, so each library's tokens and srids are written down when a reader or card changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import bindparam, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.identity.keys import Identity, bare_number_means
from hub.identity.readers import ReaderRecord
from hub.store.chunks import chunks
from hub.store.engine import execute_rows, insert_new, upsert
from hub.store.schema import readers, site_readers, site_tokens

Holders = dict[str, list[tuple[str, str]]]
"""reader_no → (rid, home) of everybody who has it."""


async def holders_of(conn: AsyncConnection, numbers: Iterable[str]) -> Holders:
    """Everybody in the consortium who has one of these reader numbers."""
    out: Holders = {}
    for part in chunks(sorted(set(numbers))):
        query = select(readers.c.rid, readers.c.home, readers.c.reader_no).where(readers.c.reader_no.in_(part))
        for row in await conn.execute(query.order_by(readers.c.home)):
            out.setdefault(row.reader_no, []).append((row.rid, row.home))
    return out


async def with_namesakes(conn: AsyncConnection, rids: Iterable[str]) -> set[str]:
    """These readers and all who share a number with one of them: one's coming changes what the number means."""
    wanted = set(rids)
    numbers: set[str] = set()
    for part in chunks(sorted(wanted)):
        query = select(readers.c.reader_no).where(readers.c.rid.in_(part))
        numbers.update((await conn.execute(query)).scalars())
    for holders in (await holders_of(conn, numbers)).values():
        wanted.update(rid for rid, _ in holders)
    return wanted


def tokens_at(identity: Identity, org: str, record: ReaderRecord, holders: Holders) -> list[tuple[str, str | None]]:
    """(token, card's UID or None) of every way in which a library may meet the reader."""
    out: list[tuple[str, str | None]] = [(identity.card(org, card.uid), card.uid) for card in record.cards]
    out.append((identity.number(org, f"{record.home}:{record.reader_no}"), None))
    if bare_number_means(org, holders.get(record.reader_no, [])) == record.rid:
        out.append((identity.number(org, record.reader_no), None))
    return out


async def reindex(
    conn: AsyncConnection, identity: Identity, orgs: Sequence[str], records: Iterable[ReaderRecord]
) -> None:
    """Write down anew how these readers are called at every library. Give namesakes with them."""
    found = list(records)
    holders = await holders_of(conn, (record.reader_no for record in found))
    for part in chunks([record.rid for record in found]):
        await conn.execute(delete(site_tokens).where(site_tokens.c.rid.in_(part)))
    names = [{"org": org, "srid": identity.srid(org, r.rid), "rid": r.rid} for r in found for org in orgs]
    shown = [
        {"org": org, "token": token, "rid": record.rid, "uid": uid}
        for record in found
        for org in orgs
        for token, uid in tokens_at(identity, org, record, holders)
    ]
    for names_part in chunks(names):
        await execute_rows(conn, insert_new(conn, site_readers), names_part)
    for shown_part in chunks(shown):
        await execute_rows(conn, upsert(conn, site_tokens), shown_part)


_CALLED = select(site_readers.c.srid, site_readers.c.rid).where(
    site_readers.c.org == bindparam("org"), site_readers.c.srid.in_(bindparam("srids", expanding=True))
)


async def readers_of(conn: AsyncConnection, names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """(org, srid) → rid for those that are known."""
    by_org: dict[str, set[str]] = {}
    for org, srid in names:
        by_org.setdefault(org, set()).add(srid)
    out: dict[tuple[str, str], str] = {}
    for org, srids in by_org.items():
        for part in chunks(sorted(srids)):
            rows = await conn.execute(_CALLED, {"org": org, "srids": part})
            out.update({(org, srid): rid for srid, rid in rows})
    return out
