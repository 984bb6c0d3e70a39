"""The index from a library's names to the hub's: (library, srid) → rid and (library, token) → rid and card.

An HMAC cannot be undone, so each library's tokens and srids are written down when a reader or card changes.

At its own library a card is also known by what is left of its number on a line that has no room for all of it (Wiegand 26 and such).
Where two cards of the library are left with the same, neither is known by it: the token stands in the index with nobody behind it, and
stays so, as a card that was replaced may still be in somebody's pocket.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, bindparam, delete, select
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
    for where in _where({token: record.home for record in found for token, _ in cut[record.rid]}):
        query = select(site_tokens.c.token).where(where, site_tokens.c.rid == _NOBODY)
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
    # A card may have been another reader's, at another library: there nothing else would take its cut numbers away.
    for part in chunks([card.uid for record in found for card in record.cards]):
        await conn.execute(delete(site_tokens).where(site_tokens.c.uid.in_(part)))
    cut = {record.rid: _cut(identity, record) for record in found}
    known, fresh = await _contested(conn, ((token, r.home, uid) for r in found for token, uid in cut[r.rid]))
    names = [{"org": org, "srid": identity.srid(org, r.rid), "rid": r.rid} for r in found for org in orgs]
    shared = Shared.split(numbers, cut, known | fresh.keys())
    shown: list[dict[str, Any]] = [
        {"org": org, "token": token, "rid": record.rid, "uid": uid}
        for record in found
        for org in orgs
        for token, uid in tokens_at(identity, org, record, shared)
    ]
    shown += _nobodys(fresh)
    for names_part in chunks(names):
        await execute_rows(conn, insert_new(conn, site_readers), names_part)
    for shown_part in chunks(shown):
        await execute_rows(conn, upsert(conn, site_tokens), shown_part)
    counts = Counter(fresh.values())
    warn_of_shared(counts)
    return dict(counts)


async def add_cut_numbers(
    conn: AsyncConnection, identity: Identity, held: Iterable[tuple[str, str, str]]
) -> dict[str, int]:
    """Add the cut numbers of cards, given as (home, rid, UID), to an index that has all else of them.

    Gives, by library, how many turned out to be shared, as ``reindex`` does, and logs nothing.
    """
    shown = [(token, home, rid, uid) for home, rid, uid in held for token in identity.cut_card(home, uid)]
    known, fresh = await _contested(conn, ((token, home, uid) for token, home, _, uid in shown))
    rows: list[dict[str, Any]] = [
        {"org": home, "token": token, "rid": rid, "uid": uid}
        for token, home, rid, uid in shown
        if token not in known and token not in fresh
    ]
    for part in chunks(rows + _nobodys(fresh)):
        await execute_rows(conn, upsert(conn, site_tokens), part)
    return dict(Counter(fresh.values()))


def _nobodys(tokens: Mapping[str, str]) -> list[dict[str, Any]]:
    """Rows of tokens that nobody gets, with their library."""
    return [{"org": org, "token": token, "rid": _NOBODY, "uid": None} for token, org in tokens.items()]


async def _contested(
    conn: AsyncConnection, cut: Iterable[tuple[str, str, str]]
) -> tuple[frozenset[str], dict[str, str]]:
    """Of cut tokens, given as (token, home, card's UID), those that nobody gets: long known ones, and new ones with their library."""
    card_of: dict[str, tuple[str, str]] = {}
    fresh = {token: home for token, home, uid in cut if card_of.setdefault(token, (home, uid))[1] != uid}
    known: set[str] = set()
    for where in _where({token: home for token, (home, _) in card_of.items()}):
        query = select(site_tokens.c.token, site_tokens.c.rid, site_tokens.c.uid).where(where)
        for token, rid, uid in await conn.execute(query):
            home, mine = card_of[token]
            if rid == _NOBODY:
                known.add(token)
            elif uid != mine:  # the same card with another reader is one card still
                fresh[token] = home
    return frozenset(known), {token: home for token, home in fresh.items() if token not in known}


def _where(homes: Mapping[str, str]) -> Iterator[ColumnElement[bool]]:
    """Conditions that find these tokens, given with their library: by the primary key: a token alone is sought in every row."""
    by_home: dict[str, list[str]] = {}
    for token, home in homes.items():
        by_home.setdefault(home, []).append(token)
    for home, tokens in by_home.items():
        for part in chunks(tokens):
            yield (site_tokens.c.org == home) & site_tokens.c.token.in_(part)


def warn_of_shared(counts: Mapping[str, int]) -> None:
    """Log, by library, how many cut numbers several of its cards share; never the numbers."""
    for org, count in sorted(counts.items()):
        _log.warning(
            "library %s: %d cut card numbers stand for more than one card; such a card is not known at cardreaders "
            "that cut (Wiegand 26)", org, count,
        )  # fmt: skip


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
