"""An item's open loan as an edge knows it: the replica's row, carried on by own events that it does not contain yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from consortium.facts import ItemStatus
from consortium.terms import NO_TERMS, Terms
from edge.overlay import Own
from edge.replica import ItemRow

SCAN_MS = 120_000
"""A second loan to the same reader within this time is the same scan (domain §4)."""


@dataclass(frozen=True, slots=True)
class OpenLoan:
    """An open loan. ``srid`` None where nobody here knows whose it is; ``unsynced``: renewals the replica does not know yet."""

    srid: str | None
    t_out: int
    due: int
    place: str
    terms: Terms = NO_TERMS
    renewed: int = 0
    recalled: bool = False
    unsynced: int = 0


def open_loan(row: ItemRow | None, owns: Iterable[Own]) -> OpenLoan | None:
    """The loan that is open after the row and the own events, in the order they happened; None where there is none."""
    loan: OpenLoan | None = None
    if row is not None and row.loan_srid is not None and row.due is not None:
        loan = OpenLoan(
            row.loan_srid, row.t_out or 0, row.due, row.place, Terms.from_plain(row.terms), row.renewed,
            row.recalled is not None,
        )  # fmt: skip
    for own in owns:
        loan = _after(loan, own)
    return loan


def _after(loan: OpenLoan | None, own: Own) -> OpenLoan | None:
    if own.status is not ItemStatus.ON_LOAN or own.due is None:
        return None
    again = loan is not None and (own.renews or (own.srid is not None and own.srid == loan.srid))
    if loan is None or not again:
        return OpenLoan(own.srid, own.t_eff, own.due, own.branch, Terms.from_plain(own.terms))
    if not own.renews and abs(own.t_eff - loan.t_out) <= SCAN_MS:
        return replace(loan, due=max(loan.due, own.due))  # scanned twice
    terms = Terms.from_plain(own.terms) if own.terms else loan.terms
    return replace(loan, due=max(loan.due, own.due), terms=terms, renewed=loan.renewed + 1, unsynced=loan.unsynced + 1)
