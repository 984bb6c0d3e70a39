"""Everything the hub knows of some readers, read with one statement a table: cards, blocks, open loans."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.facts import Assurance, BlockFacts, CardFacts, CardStatus, OpenLoans, ReaderFacts
from hub.store.chunks import chunks
from hub.store.schema import blocks, cards, items, loans, readers


@dataclass(frozen=True, slots=True)
class CardRecord:
    """One card of a reader."""

    uid: str
    medium: str
    assurance: str
    status: str
    to_ms: int | None
    issued_ms: int

    @property
    def facts(self) -> CardFacts:
        """What decisions read of it."""
        return CardFacts(CardStatus(self.status), Assurance(self.assurance), self.to_ms)

    @property
    def row(self) -> dict[str, Any]:
        """Its standing as a replica row has it."""
        return {"status": self.status, "assurance": self.assurance, "to_ms": self.to_ms}


NO_CARD = CardRecord("", "", "LOW", "ACTIVE", None, 0)
"""What stands for the card of a reader who has none and is known by number."""


@dataclass(frozen=True, slots=True)
class ReaderRecord:
    """One reader, whole. ``blocks`` are those not over; ``open_loans`` counted by lender and item type."""

    rid: str
    home: str
    reader_no: str
    category: str
    status: str
    valid_to_ms: int | None
    shared: bool
    age: int | None
    pin_verifier: str | None
    cards: tuple[CardRecord, ...] = ()
    blocks: tuple[BlockFacts, ...] = ()
    open_loans: tuple[OpenLoans, ...] = ()

    @property
    def card(self) -> CardRecord:
        """The newest card, by which a number is judged."""
        return max(self.cards, key=lambda card: (card.issued_ms, card.uid), default=NO_CARD)

    def blocks_at(self, org: str) -> tuple[BlockFacts, ...]:
        """The blocks that matter at a library; only their issuer's own machines learn the kind (M12)."""
        seen = (b for b in self.blocks if b.scope == "consortium" or b.issuer in (org, self.home))
        return tuple(
            b if b.issuer == org else BlockFacts(b.issuer, b.scope, b.actions, "", b.from_ms, b.to_ms) for b in seen
        )

    def facts(self, org: str, reserved: Sequence[OpenLoans] = ()) -> ReaderFacts:
        """What a decision at ``org`` reads; ``reserved`` are loans promised and not yet reported."""
        return ReaderFacts(
            self.home, self.category, self.status, self.valid_to_ms, self.shared, self.age, self.blocks_at(org),
            _summed([*self.open_loans, *reserved]),
        )  # fmt: skip

    def row(self, org: str) -> dict[str, Any]:
        """The reader's replica row at a library; the PIN's verifier goes to the home library alone (M5)."""
        return {
            "home": self.home,
            "category": self.category,
            "status": self.status,
            "valid_to_ms": self.valid_to_ms,
            "shared": self.shared,
            "age": self.age,
            "blocks": [
                {"issuer": b.issuer, "scope": b.scope, "actions": sorted(b.actions), "kind": b.kind, "from_ms": b.from_ms,
                 "to_ms": b.to_ms}
                for b in self.blocks_at(org)
            ],
            "open_loans": [[o.lender, o.item_type, o.n, o.value] for o in self.open_loans],
            "pin": self.pin_verifier if self.home == org else None,
        }  # fmt: skip


def _summed(loans_: Iterable[OpenLoans]) -> tuple[OpenLoans, ...]:
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for one in loans_:
        n, value = sums.get((one.lender, one.item_type), (0, 0))
        sums[one.lender, one.item_type] = (n + one.n, value + one.value)
    return tuple(OpenLoans(lender, kind, n, value) for (lender, kind), (n, value) in sorted(sums.items()))


async def load_readers(conn: AsyncConnection, rids: Iterable[str], now: int) -> dict[str, ReaderRecord]:
    """The readers of these ids that exist, by id. Blocks that ended before ``now`` are left out."""
    out: dict[str, ReaderRecord] = {}
    for part in chunks(sorted(set(rids))):
        found_cards: dict[str, list[CardRecord]] = {}
        for row in await conn.execute(select(cards).where(cards.c.rid.in_(part)).order_by(cards.c.uid)):
            card = CardRecord(row.uid, row.medium, row.assurance, row.status, row.to_ms, row.issued_ms)
            found_cards.setdefault(row.rid, []).append(card)
        found_blocks: dict[str, list[BlockFacts]] = {}
        query = select(blocks).where(blocks.c.rid.in_(part)).order_by(blocks.c.id)
        for row in await conn.execute(query):
            if row.to_ms is None or row.to_ms > now:
                block = BlockFacts(row.issuer, row.scope, frozenset(row.actions), row.kind, row.from_ms, row.to_ms)
                found_blocks.setdefault(row.rid, []).append(block)
        found_loans = await _open_loans(conn, part)
        for row in await conn.execute(select(readers).where(readers.c.rid.in_(part))):
            out[row.rid] = ReaderRecord(
                row.rid, row.home, row.reader_no, row.category, row.status, row.valid_to_ms, row.shared, row.age,
                row.pin_verifier, tuple(found_cards.get(row.rid, ())), tuple(found_blocks.get(row.rid, ())),
                tuple(found_loans.get(row.rid, ())),
            )  # fmt: skip
    return out


async def _open_loans(conn: AsyncConnection, rids: Sequence[str]) -> dict[str, list[OpenLoans]]:
    of_item = (items.c.owner == loans.c.owner) & (items.c.item_no == loans.c.item_no)
    query = (
        select(
            loans.c.rid, loans.c.lender, loans.c.item_type, func.count().label("n"),
            func.coalesce(func.sum(items.c.value), 0).label("value"),
        )
        .select_from(loans.outerjoin(items, of_item))
        .where(loans.c.rid.in_(rids), loans.c.t_end.is_(None))
        .group_by(loans.c.rid, loans.c.lender, loans.c.item_type)
        .order_by(loans.c.rid, loans.c.lender, loans.c.item_type)
    )  # fmt: skip
    out: dict[str, list[OpenLoans]] = {}
    for row in await conn.execute(query):
        out.setdefault(row.rid, []).append(OpenLoans(row.lender, row.item_type, row.n, int(row.value)))
    return out
