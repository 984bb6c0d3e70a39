"""Readers as the whole log knows them, for the second pass: loans, blocks and cards on one line of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import BindParameter, and_, bindparam, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.events import Kind
from consortium.facts import BlockFacts, CardStatus
from consortium.identity import org_of_branch
from consortium.review import ReaderTimeline
from consortium.states import Loan
from hub.identity.keys import HUB_SITE, Identity
from hub.ledger.items import Key
from hub.store.chunks import chunks
from hub.store.schema import IS_RARE, blocks, cards, events, items, loans, readers


@dataclass(slots=True)
class Person:
    """One reader: the timeline, what loans are marked with already, and which of their items are not for lending."""

    timeline: ReaderTimeline
    marked: dict[str, frozenset[str]] = field(default_factory=dict)
    reference: set[Key] = field(default_factory=set)


_READ = (
    "id", "owner", "item_no", "item_type", "rid", "home", "place", "device", "t_out", "due", "flags", "t_end", "observed",
    "breaches",
)  # fmt: skip
_WHO: BindParameter[list[str]] = bindparam("rids", expanding=True)
_READERS = select(readers.c.rid, readers.c.home, readers.c.category, readers.c.age).where(readers.c.rid.in_(_WHO))
_LOANS = (
    select(*(loans.c[name] for name in _READ), items.c.value, items.c.reference)
    .select_from(loans.outerjoin(items, and_(items.c.owner == loans.c.owner, items.c.item_no == loans.c.item_no)))
    .where(loans.c.rid.in_(_WHO), or_(loans.c.t_end.is_(None), loans.c.t_end > bindparam("since")))
)
_BLOCKS = select(blocks).where(blocks.c.rid.in_(_WHO))
_CARDS = select(cards.c.rid, cards.c.uid, cards.c.status, cards.c.issued_ms).where(cards.c.rid.in_(_WHO))
_SAID = select(events.c.rid, events.c.kind, events.c.branch, events.c.t_eff, events.c.body).where(
    IS_RARE, events.c.rid.in_(_WHO)
)


async def persons(conn: AsyncConnection, identity: Identity, since: Mapping[str, int]) -> dict[str, Person]:
    """These readers by rid, with every loan that was open at or after the instant given for each (ms UTC)."""
    out: dict[str, Person] = {}
    for part in chunks(sorted(since)):
        given = {"rids": part}
        found = list(await conn.execute(_READERS, given))
        lent: dict[str, list[Any]] = {}
        earliest = min(since[rid] for rid in part)
        for row in await conn.execute(_LOANS, {**given, "since": earliest}):
            lent.setdefault(row.rid, []).append(row)
        blocked = _by_reader(await conn.execute(_BLOCKS, given))
        said = _by_reader(await conn.execute(_SAID, given))
        held = _by_reader(await conn.execute(_CARDS, {"rids": sorted(said)})) if said else {}
        for rid, home, category, age in found:
            rows = [row for row in lent.get(rid, ()) if row.t_end is None or row.t_end > since[rid]]
            told = _Said(said.get(rid, ()))
            timeline = ReaderTimeline(
                home, category, [_judged(row) for row in rows], told.blocks(blocked.get(rid, ())),
                told.cards(identity, held.get(rid, ())), age, {(row.owner, row.item_no): row.value or 0 for row in rows},
            )  # fmt: skip
            marked = {row.id: frozenset(row.breaches) for row in rows if row.breaches}
            out[rid] = Person(timeline, marked, {(row.owner, row.item_no) for row in rows if row.reference})
    return out


def _judged(row: Any) -> Loan:
    """A loan as far as the second pass reads it."""
    return Loan(
        row.id, row.owner, row.item_no, row.item_type, row.rid, row.home, row.place, row.device, row.t_out, row.due,
        flags=row.flags, t_end=row.t_end, observed=row.observed,
    )  # fmt: skip


def _by_reader(rows: Any) -> dict[str, list[Any]]:
    out: dict[str, list[Any]] = {}
    for row in rows:
        out.setdefault(row.rid, []).append(row)
    return out


class _Said:
    """What events said of a reader's blocks and cards."""

    __slots__ = ("_cards", "_set_at")

    def __init__(self, rows: Sequence[Any]) -> None:
        self._set_at: dict[str, int] = {}
        self._cards: list[tuple[str, str, int, CardStatus]] = []
        for row in rows:
            data = msgspec.json.decode(row.body)["data"]
            if row.kind == Kind.BLOCK_SET.value:
                self._set_at[data["block"]] = row.t_eff
            elif row.kind == Kind.CARD_STATUS.value:
                org = org_of_branch(row.branch)
                self._cards.append((org, data.get("card", ""), row.t_eff, CardStatus(data["status"])))

    def blocks(self, rows: Sequence[Any]) -> tuple[BlockFacts, ...]:
        """The reader's blocks, the lifted ones too: a lifted block stays as a row that ended.

        Nobody could know of a block before it was set, so none is in force earlier, whatever it says.
        """
        return tuple(
            BlockFacts(
                row.issuer, row.scope, frozenset(row.actions), row.kind, max(row.from_ms, self._set_at.get(row.id, 0)),
                row.to_ms,
            )
            for row in rows
        )  # fmt: skip

    def cards(self, identity: Identity, rows: Sequence[Any]) -> list[tuple[str, int, CardStatus]]:
        """What became of each card. An event names one by its token, at the library where it was said or at the hub, or,
        with nothing, the only one there is."""
        if not self._cards:
            return []
        out: list[tuple[str, int, CardStatus]] = []
        spoken_of: set[str] = set()
        for org, name, at, status in self._cards:
            meant = [
                row.uid
                for row in rows
                if name in (identity.card(org, row.uid), identity.card(HUB_SITE, row.uid))
                or (not name and len(rows) == 1)
            ]
            spoken_of.update(meant)
            out += [(uid, at, status) for uid in meant]
        # A card was in use from when it was issued; one that is out of use and no event says since when tells nothing.
        out += [
            (row.uid, row.issued_ms, CardStatus.ACTIVE)
            for row in rows
            if row.uid in spoken_of or row.status == CardStatus.ACTIVE.value
        ]
        return out
