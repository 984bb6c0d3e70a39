"""The index from a library's names to the hub's: (library, srid) → rid and (library, token) → rid and card.

An HMAC cannot be undone, so each library's tokens and srids are written down when a reader or card changes.

At its own library a card is also known by what is left of its number on a line that has no room for all of it (Wiegand 26 and such).
Where two cards of the library are left with the same, neither is known by it: the token stands in the index with nobody behind it, and
stays so, as a card that was replaced may still be in somebody's pocket.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.identity.keys import Identity, bare_number_means
from hub.identity.readers import ReaderRecord
from hub.store.chunks import chunks
from hub.store.engine import execute_rows, insert_new, upsert
from hub.store.schema import readers, site_readers, site_tokens

_log = logging.getLogger(__name__)

_NOBODY = ""
"""The rid of a token that several cards would have."""

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


Cut = list[tuple[str, str]]
"""(token, card's UID) of the cut forms of one reader's cards."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What more than one may go by: ``numbers`` with all who have them; by rid the cut card numbers that are one card's alone
    (``cut``), and the tokens of those that are not (``withheld``)."""

    numbers: Holders = field(default_factory=dict)
    cut: Mapping[str, Cut] = field(default_factory=dict)
    withheld: Mapping[str, list[str]] = field(default_factory=dict)

    @classmethod
    def split(cls, numbers: Holders, cut: Mapping[str, Cut], contested: Collection[str]) -> Shared:
        """From the cut forms of everybody and the tokens that nobody gets."""
        alone = {rid: [one for one in tokens if one[0] not in contested] for rid, tokens in cut.items()}
        withheld = {rid: [token for token, _ in tokens if token in contested] for rid, tokens in cut.items()}
        return cls(numbers, alone, withheld)


async def shared_by(conn: AsyncConnection, identity: Identity, records: Iterable[ReaderRecord]) -> Shared:
    """What these readers share with others; the index must be written already."""
    found = list(records)
    cut = {record.rid: _cut(identity, record) for record in found}
    contested: set[str] = set()
    for part in chunks([token for tokens in cut.values() for token, _ in tokens]):
        query = select(site_tokens.c.token).where(site_tokens.c.token.in_(part), site_tokens.c.rid == _NOBODY)
        contested.update((await conn.execute(query)).scalars())
    return Shared.split(await holders_of(conn, (record.reader_no for record in found)), cut, contested)


def _cut(identity: Identity, record: ReaderRecord) -> Cut:
    return [(token, card.uid) for card in record.cards for token in identity.cut_card(record.home, card.uid)]


def tokens_at(identity: Identity, org: str, record: ReaderRecord, shared: Shared) -> list[tuple[str, str | None]]:
    """(token, card's UID or None) of every way in which a library may meet the reader."""
    out: list[tuple[str, str | None]] = [(identity.card(org, card.uid), card.uid) for card in record.cards]
    out.append((identity.number(org, f"{record.home}:{record.reader_no}"), None))
    if bare_number_means(org, shared.numbers.get(record.reader_no, [])) == record.rid:
        out.append((identity.number(org, record.reader_no), None))
    if org == record.home:
        out += shared.cut.get(record.rid, ())
    return out


async def reindex(
    conn: AsyncConnection, identity: Identity, orgs: Sequence[str], records: Iterable[ReaderRecord]
) -> dict[str, int]:
    """Write down anew how these readers are called at every library. Give namesakes with them.

    Gives, by library, how many cut card numbers several of its cards now turned out to share; they are logged without the numbers.
    """
    found = list(records)
    numbers = await holders_of(conn, (record.reader_no for record in found))
    for part in chunks([record.rid for record in found]):
        await conn.execute(delete(site_tokens).where(site_tokens.c.rid.in_(part)))
    cut = {record.rid: _cut(identity, record) for record in found}
    known, fresh = await _contested(conn, found, cut)
    names = [{"org": org, "srid": identity.srid(org, r.rid), "rid": r.rid} for r in found for org in orgs]
    shared = Shared.split(numbers, cut, known | fresh.keys())
    shown: list[dict[str, Any]] = [
        {"org": org, "token": token, "rid": record.rid, "uid": uid}
        for record in found
        for org in orgs
        for token, uid in tokens_at(identity, org, record, shared)
    ]
    shown += [{"org": org, "token": token, "rid": _NOBODY, "uid": None} for token, org in fresh.items()]
    for names_part in chunks(names):
        await execute_rows(conn, insert_new(conn, site_readers), names_part)
    for shown_part in chunks(shown):
        await execute_rows(conn, upsert(conn, site_tokens), shown_part)
    return _reported(fresh)


async def _contested(
    conn: AsyncConnection, records: Iterable[ReaderRecord], cut: Mapping[str, Cut]
) -> tuple[frozenset[str], dict[str, str]]:
    """Cut tokens of these readers' cards that nobody gets: those long known, and those that turn out so now, with their library."""
    card_of: dict[str, tuple[str, str]] = {}
    fresh: dict[str, str] = {}
    for record in records:
        for token, uid in cut[record.rid]:
            if card_of.setdefault(token, (record.home, uid))[1] != uid:
                fresh[token] = record.home
    known: set[str] = set()
    for part in chunks(list(card_of)):
        query = select(site_tokens.c.token, site_tokens.c.rid, site_tokens.c.uid).where(site_tokens.c.token.in_(part))
        for token, rid, uid in await conn.execute(query):
            home, mine = card_of[token]
            if rid == _NOBODY:
                known.add(token)
            elif uid != mine:  # the same card with another reader is one card still
                fresh[token] = home
    return frozenset(known), {token: home for token, home in fresh.items() if token not in known}


def _reported(fresh: Mapping[str, str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for org in fresh.values():
        counts[org] = counts.get(org, 0) + 1
    for org, count in sorted(counts.items()):
        _log.warning(
            "library %s: %d cut card numbers stand for more than one card; such a card is not known at cardreaders "
            "that cut (Wiegand 26)", org, count,
        )  # fmt: skip
    return counts


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
