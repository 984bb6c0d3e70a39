"""Everything the hub knows of some readers, read with one statement a table: cards, blocks, open loans."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.facts import Assurance, BlockFacts, CardFacts, CardStatus, OpenLoans, ReaderFacts
from hub.store.chunks import chunks
from hub.store.reads import Asked, Need, Query, Rows, ask
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
        if not self.blocks:
            return ()
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


class ReaderQueries:
    """The SELECTs that read readers whole, a statement a table; ``whose`` is an IN list or a subquery of rids.

    ``readers`` gives a reader's own row, the others begin with the rid they belong to.
    """

    __slots__ = ("all",)

    def __init__(self, whose: Any) -> None:
        own = select(
            readers.c.rid, readers.c.home, readers.c.reader_no, readers.c.category, readers.c.status, readers.c.valid_to_ms,
            readers.c.shared, readers.c.age, readers.c.pin_verifier,
        ).where(readers.c.rid.in_(whose))  # fmt: skip
        of_cards = select(
            cards.c.rid, cards.c.uid, cards.c.medium, cards.c.assurance, cards.c.status, cards.c.to_ms, cards.c.issued_ms
        ).where(cards.c.rid.in_(whose))  # fmt: skip
        of_blocks = select(
            blocks.c.rid, blocks.c.issuer, blocks.c.scope, blocks.c.actions, blocks.c.kind, blocks.c.from_ms, blocks.c.to_ms
        ).where(blocks.c.rid.in_(whose))  # fmt: skip
        self.all = (
            Query(own),
            Query(of_cards.order_by(cards.c.uid)),
            Query(of_blocks.order_by(blocks.c.id)),
            Query(_open_loans(whose)),
        )

    def __call__(self, **values: Any) -> list[Asked]:
        """All of them with these values; ``assemble`` reads what they find."""
        return [query(**values) for query in self.all]


def _open_loans(whose: Any) -> Select[Any]:
    of_item = (items.c.owner == loans.c.owner) & (items.c.item_no == loans.c.item_no)
    by = (loans.c.rid, loans.c.lender, loans.c.item_type)
    return (
        select(*by, func.count().label("n"), func.coalesce(func.sum(items.c.value), 0).label("value"))
        .select_from(loans.outerjoin(items, of_item))
        .where(loans.c.rid.in_(whose), loans.c.t_end.is_(None))
        .group_by(*by)
        .order_by(*by)
    )


def assemble(found: Sequence[Rows], now: int) -> dict[str, ReaderRecord]:
    """The readers in the rows of ``ReaderQueries``, by id. Blocks that ended before ``now`` are left out."""
    own, of_cards, of_blocks, of_loans = found
    cards_: dict[str, list[CardRecord]] = {}
    for rid, *card in of_cards:
        cards_.setdefault(rid, []).append(CardRecord(*card))
    blocks_: dict[str, list[BlockFacts]] = {}
    for rid, issuer, scope, actions, kind, from_ms, to_ms in of_blocks:
        if to_ms is None or to_ms > now:
            block = BlockFacts(issuer, scope, frozenset(actions), kind, from_ms, to_ms)
            blocks_.setdefault(rid, []).append(block)
    loans_: dict[str, list[OpenLoans]] = {}
    for rid, lender, item_type, n, value in of_loans:
        loans_.setdefault(rid, []).append(OpenLoans(lender, item_type, n, int(value)))
    out: dict[str, ReaderRecord] = {}
    for row in own:
        rid = row[0]
        of_reader = (tuple(cards_.get(rid, ())), tuple(blocks_.get(rid, ())), tuple(loans_.get(rid, ())))
        out[rid] = ReaderRecord(*(*row, *of_reader))
    return out


_BY_RID = ReaderQueries(bindparam("rids", expanding=True))


async def load_readers(conn: AsyncConnection, rids: Iterable[str], now: int) -> dict[str, ReaderRecord]:
    """The readers of these ids that exist, by id. Blocks that ended before ``now`` are left out."""
    out: dict[str, ReaderRecord] = {}
    for part in chunks(sorted(set(rids))):
        found: dict[str, ReaderRecord] = await ask(conn, Need(_BY_RID(rids=part), lambda rows: assemble(rows, now)))
        out.update(found)
    return out
