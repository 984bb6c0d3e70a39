"""The ledger of overdue charges, posted in differences and never rewritten (``consortium.charges``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.bundle import Policy
from consortium.charges import Entry, post
from consortium.states import Loan
from hub.store.chunks import chunks
from hub.store.engine import execute_rows, insert
from hub.store.schema import charges, events


@dataclass(frozen=True, slots=True)
class Owing:
    """A loan whose end or due instant may have changed, because of an event. ``gone``: facts took the loan itself back."""

    loan: Loan
    cause: str
    gone: bool = False


def concerned(loans: Iterable[Loan], cause: str = "") -> list[Owing]:
    """Those of the loans that can ever cost something. ``cause`` "" = the event that ended each."""
    return [Owing(loan, cause or loan.end_event or loan.id) for loan in loans if loan.terms.get("fine_per_day")]


async def book(
    conn: AsyncConnection, policy: Policy, found: Iterable[Owing], positions: Mapping[str, int], first: int, now: int
) -> None:
    """Post what these loans cost now against what was posted.

    ``positions``: in the log, of events folded in this transaction, by name; ``first`` is the first that it wrote. ``now`` in ms UTC.
    """
    owing = {one.loan.id: one for one in found}
    posted: dict[str, list[Entry]] = {}
    for part in chunks(list(owing)):
        query = select(charges.c.loan, charges.c.amount, charges.c.cause).where(charges.c.loan.in_(part))
        for row in await conn.execute(query):
            posted.setdefault(row.loan, []).append(Entry(row.loan, row.amount, row.cause))
    rows: list[dict[str, Any]] = []
    for one in owing.values():
        loan, before = one.loan, posted.get(one.loan.id, [])
        entry = _taken_back(one, before) if one.gone else post(policy, loan, before, one.cause, now)
        if entry is None:
            continue
        # The first posting belongs where the log first told both that the loan began and that it is over.
        known = [one.cause] if before or loan.end_event is None else [loan.end_event, loan.id]
        at = max(positions.get(name, 0) for name in known)
        if positions.get(known[0], 0) < first:
            at = max([await _position(conn, name) for name in known])
        rows.append(
            {
                "loan": loan.id, "owner": loan.owner, "item_no": loan.item_no, "home": loan.home, "lender": loan.lender,
                "amount": entry.amount, "cause": entry.cause, "t": now, "pos": at,
            }
        )  # fmt: skip
    await execute_rows(conn, insert(conn, charges), rows)


def _taken_back(one: Owing, before: list[Entry]) -> Entry | None:
    owed = sum(entry.amount for entry in before)
    return Entry(one.loan.id, -owed, one.cause) if owed else None


async def _position(conn: AsyncConnection, name: str) -> int:
    node, epoch, seq = name.split("/")
    query = select(events.c.pos).where(events.c.node == node, events.c.epoch == epoch, events.c.seq == int(seq))
    return int((await conn.execute(query)).scalar_one())
