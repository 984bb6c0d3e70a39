"""Everything the hub knows of some items: catalogue row, state, open loan, open transit, first hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.facts import ItemFacts, ItemStatus, LoanFacts, Relation
from consortium.identity import org_of_branch
from consortium.terms import Terms
from hub.identity.keys import Identity
from hub.store.chunks import chunks
from hub.store.reads import Need, Query, Rows
from hub.store.schema import holds, item_state, items, loans, transits

Key = tuple[str, str]
"""(owner, item_no)."""

HOLD_OVER = frozenset({"FILLED", "CANCELLED", "EXPIRED"})
"""States in which a hold waits no longer."""


@dataclass(frozen=True, slots=True)
class ItemRecord:
    """One item, whole. ``loan_rid`` may be an erased reader's commitment; times in ms UTC.

    Of the open loan: ``t_out``, ``terms`` (plain) and the ``renewals`` so far. ``waiting`` is how many holds are open, the first of
    them ``hold_rid``'s; ``shelf`` where it stands.
    """

    owner: str
    item_no: str
    item_type: str
    title: str
    owner_branch: str
    value: int
    shareable: bool
    reference: bool
    status: str
    branch: str
    loan_rid: str | None
    due: int | None
    loan_place: str | None
    transit_to: str | None
    t_out: int | None = None
    terms: Mapping[str, int] | None = None
    renewals: Sequence[str] | None = None
    shelf: str | None = None
    hold_rid: str | None = None
    waiting: int | None = None

    @property
    def key(self) -> Key:
        """(owner, item_no)."""
        return (self.owner, self.item_no)

    @property
    def sites(self) -> frozenset[str]:
        """The libraries whose replica has it: its owner's, and where it is, is on loan from, or is going."""
        places = (self.branch, self.loan_place, self.transit_to)
        return frozenset({self.owner, *(org_of_branch(place) for place in places if place)})

    def facts(self, rid: str | None) -> ItemFacts:
        """What a decision reads, seen from the reader in front of the machine."""
        return ItemFacts(
            self.owner, self.item_no, self.item_type, self.owner_branch, ItemStatus(self.status),
            _relation(self.loan_rid, rid), _relation(self.hold_rid, rid), self.value, self.shareable, self.reference,
            self.transit_to,
        )  # fmt: skip

    def loan(self, rid: str | None) -> LoanFacts | None:
        """The open loan as a decision about renewing it reads it, None where there is none."""
        if self.loan_rid is None or self.due is None:
            return None
        return LoanFacts(
            self.loan_rid == rid, self.t_out or 0, self.due, self.loan_place or "", Terms.from_plain(self.terms or {}),
            len(self.renewals or ()),
        )  # fmt: skip

    def row(self, identity: Identity, org: str) -> dict[str, Any]:
        """The item's replica row at a library; of an open loan it says what a renewal is decided by."""
        out: dict[str, Any] = {
            "type": self.item_type,
            "owner_branch": self.owner_branch,
            "title": self.title,
            "value": self.value,
            "shareable": self.shareable,
            "reference": self.reference,
            "status": self.status,
            "branch": self.branch,
            "loan_srid": identity.srid(org, self.loan_rid) if self.loan_rid else None,
            "due": self.due,
            "transit_to": self.transit_to,
            "hold_srid": identity.srid(org, self.hold_rid) if self.hold_rid else None,
        }
        if self.loan_rid is not None:
            out |= {
                "t_out": self.t_out, "place": self.loan_place or "", "terms": self.terms or {},
                "renewed": len(self.renewals or ()),
            }  # fmt: skip
        if self.waiting:
            out["holds"] = self.waiting
        if self.shelf:
            out["call_number"] = self.shelf
        return out


def _relation(whose: str | None, rid: str | None) -> Relation:
    if whose is None:
        return Relation.NOBODY
    return Relation.SELF if whose == rid else Relation.OTHER


def item_query(*more: ColumnElement[Any]) -> Select[Any]:
    """Items with their state beside them, columns in the order of ``ItemRecord``; add a WHERE.

    An item without events stands on its own shelf.
    """
    here = (item_state.c.owner == items.c.owner) & (item_state.c.item_no == items.c.item_no)
    joined = (
        items.outerjoin(item_state, here)
        .outerjoin(loans, loans.c.id == item_state.c.loan_id)
        .outerjoin(transits, transits.c.id == item_state.c.transit_id)
    )
    return select(
        items.c.owner,
        items.c.item_no,
        items.c.item_type,
        items.c.title,
        items.c.owner_branch,
        items.c.value,
        items.c.shareable,
        items.c.reference,
        func.coalesce(item_state.c.status, ItemStatus.SHELVED.value).label("status"),
        func.coalesce(item_state.c.branch, items.c.owner_branch).label("branch"),
        loans.c.rid.label("loan_rid"),
        loans.c.due,
        loans.c.place,
        transits.c.to.label("transit_to"),
        loans.c.t_out,
        loans.c.terms,
        loans.c.renewals,
        items.c.shelf,
        *more,
    ).select_from(joined)


def item_record(row: Any, held: tuple[str, int] | None = None) -> ItemRecord:
    """A row of ``item_query`` without more columns; ``held`` as ``first_holds`` has it."""
    return ItemRecord(*(*row, *(held or (None, 0))))


def _waiting(what: Any) -> Select[Any]:
    """Something of the open holds on the item of the enclosing query."""
    here = (holds.c.owner == items.c.owner) & (holds.c.item_no == items.c.item_no)
    return select(what).where(here, *(holds.c.state != over for over in sorted(HOLD_OVER))).correlate(items)


def _first_hold() -> ColumnElement[Any]:
    """Whose hold on the item of the enclosing query comes first."""
    return _waiting(holds.c.rid).order_by(holds.c.placed_ms, holds.c.id).limit(1).scalar_subquery()


async def first_holds(conn: AsyncConnection) -> dict[Key, tuple[str, int]]:
    """The reader whose hold comes first and how many wait, by item, for every item that somebody waits for."""
    query = select(holds.c.owner, holds.c.item_no, holds.c.rid).where(holds.c.state.not_in(HOLD_OVER))
    out: dict[Key, tuple[str, int]] = {}
    for owner, item_no, rid in await conn.execute(query.order_by(holds.c.placed_ms, holds.c.id)):
        first, n = out.get((owner, item_no), (rid, 0))
        out[owner, item_no] = (first, n + 1)
    return out


def among(table: Any) -> ColumnElement[bool]:
    """Rows of a table whose key may be among these; give ``split(keys)`` as values and pass over what was not asked for.

    Owners and numbers apart, because SQLite walks a whole table for ``(owner, item_no) IN (…)`` and uses the index for this.
    """
    owner = table.c.owner.in_(bindparam("owners", expanding=True))
    return and_(owner, table.c.item_no.in_(bindparam("numbers", expanding=True)))


def split(keys: Iterable[Key]) -> dict[str, list[str]]:
    """Keys as the values that ``among`` takes."""
    wanted = list(keys)
    return {"owners": sorted({owner for owner, _ in wanted}), "numbers": sorted({item_no for _, item_no in wanted})}


_WHOLE = item_query(_first_hold().label("hold_rid"), _waiting(func.count()).scalar_subquery().label("waiting"))
_OF_KEYS = _WHOLE.where(among(items))
_OWNERS = (
    select(items.c.item_no, items.c.owner)
    .where(items.c.item_no.in_(bindparam("numbers", expanding=True)))
    .order_by(items.c.owner)
)


async def load_items(conn: AsyncConnection, keys: Iterable[Key]) -> dict[Key, ItemRecord]:
    """The items of these keys that the catalogue has, by key."""
    out: dict[Key, ItemRecord] = {}
    wanted = set(keys)
    for part in chunks(sorted(wanted)):
        for row in await conn.execute(_OF_KEYS, split(part)):
            if (row[0], row[1]) in wanted:
                out[row[0], row[1]] = ItemRecord(*row)
    return out


async def owners_of(conn: AsyncConnection, numbers: Iterable[str]) -> dict[str, list[str]]:
    """Every library that has an item of one of these numbers."""
    out: dict[str, list[str]] = {}
    for part in chunks(sorted(set(numbers))):
        for item_no, owner in await conn.execute(_OWNERS, {"numbers": part}):
            out.setdefault(item_no, []).append(owner)
    return out


_BY_KEY = Query(_WHOLE.where(items.c.owner == bindparam("owner"), items.c.item_no == bindparam("item_no")))
_BY_NUMBER = Query(
    _WHOLE.where(items.c.item_no == bindparam("item_no"))
    .order_by(case((items.c.owner == bindparam("org"), 0), else_=1), items.c.owner)
    .limit(2)
)


def items_meant(org: str, wanted: Sequence[tuple[str | None, str]]) -> Need[list[ItemRecord | None]]:
    """The items of these (owner, item_no), in order. A bare number (owner None) is the library's own item, else the only one."""
    asked = [
        _BY_NUMBER(org=org, item_no=item_no) if owner is None else _BY_KEY(owner=owner, item_no=item_no)
        for owner, item_no in wanted
    ]
    return Need(asked, lambda found: [_meant(org, rows) for rows in found])


def _meant(org: str, rows: Rows) -> ItemRecord | None:
    if not rows or (len(rows) > 1 and rows[0][0] != org):
        return None
    return ItemRecord(*rows[0])
