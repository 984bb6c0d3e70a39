"""Payments of charges, folded from CHARGE_PAID and CHARGE_WAIVED, and what is still owed.

The ledger of charges itself is never touched by a payment: what a loan costs and what was paid of it are two sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import and_, bindparam, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.events import Event, Kind
from consortium.fold import Logged
from hub.store.engine import execute_rows, insert_new
from hub.store.schema import charges, items, loans, payments

KINDS = frozenset({Kind.CHARGE_PAID, Kind.CHARGE_WAIVED})
"""The events that are payments."""


async def fold_in(conn: AsyncConnection, covered: Sequence[Logged]) -> None:
    """Write the payments among these events down."""
    said: Iterable[Event] = [one.event for one in covered if one.event.kind in KINDS]
    rows = [
        {
            "id": event.name, "loan": event.data["loan"], "owner": event.data["item"][0], "item_no": event.data["item"][1],
            "amount": event.data["amount"], "waived": event.kind is Kind.CHARGE_WAIVED, "branch": event.branch,
            "t": event.t_eff,
        }
        for event in said
    ]  # fmt: skip
    await execute_rows(conn, insert_new(conn, payments), rows)


@dataclass(frozen=True, slots=True)
class Owed:
    """What a loan still costs, in minor units of the hub's currency."""

    loan: str
    owner: str
    item_no: str
    title: str
    amount: int


_PAID = (
    select(func.coalesce(func.sum(payments.c.amount), 0))
    .where(payments.c.loan == charges.c.loan)
    .correlate(charges)
    .scalar_subquery()
)
_OWED = (
    select(
        charges.c.loan,
        loans.c.owner,
        loans.c.item_no,
        func.coalesce(func.max(items.c.title), "").label("title"),
        (func.sum(charges.c.amount) - _PAID).label("owed"),
    )
    .select_from(
        loans.join(charges, charges.c.loan == loans.c.id).outerjoin(
            items, and_(items.c.owner == loans.c.owner, items.c.item_no == loans.c.item_no)
        )
    )
    .where(loans.c.rid == bindparam("rid"), or_(loans.c.home == bindparam("org"), loans.c.lender == bindparam("org")))
    .group_by(charges.c.loan, loans.c.owner, loans.c.item_no)
    .order_by(func.min(charges.c.id))
)


async def owed(conn: AsyncConnection, rid: str, org: str) -> list[Owed]:
    """What a reader owes as far as a library collects it: the reader's home and the lender do. The oldest first, paid ones left out."""
    rows = await conn.execute(_OWED, {"rid": rid, "org": org})
    found = [Owed(loan, owner, item_no, title, int(amount)) for loan, owner, item_no, title, amount in rows]
    return [one for one in found if one.amount > 0]
