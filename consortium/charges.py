"""Charges: what a loan that came back late costs, and the ledger that never grows by lateness (domain §4, §6; I14).

Money in fen. A charge is computed from the loan's own terms and the calendars; the ledger is posted in differences.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from consortium.agreement import Agreement, DebtRule, FeeScheme
from consortium.bundle import Policy
from consortium.calendar import Calendar, local_time
from consortium.states import EndKind, Loan
from consortium.terms import Terms

LONGEST_DAYS = 3_660
"""An item that is out longer than ten years costs no more than one that is out for ten."""


def overdue_days(policy: Policy, loan: Loan, now: int) -> int:
    """Days overdue that count: beyond the grace, and only days on which lender and the branch returned to were both open.

    An open loan is judged as of ``now`` (ms UTC). What a drop box counts as the return is the return.
    """
    end = loan.t_credit or loan.t_end or now
    if end <= loan.due:
        return 0
    places = (place for place in (loan.place, loan.end_place) if place is not None and place in policy.branches)
    calendars = list({id(calendar): calendar for calendar in map(policy.calendar_of, places)}.values())
    if not calendars:
        return 0
    days = (
        calendars[0].open_days_between(loan.due, end) if len(calendars) == 1 else _both_open(calendars, loan.due, end)
    )
    return max(0, days - loan.terms.get("grace_days", 0))


def _both_open(calendars: Sequence[Calendar], after: int, until: int) -> int:
    """Days after ``after``'s up to ``until``'s, by the first calendar's clock, on which every branch was open."""
    day, last = (local_time(at, calendars[0].tz).date() for at in (after, until))
    last = min(last, day + timedelta(days=LONGEST_DAYS))
    count = 0
    while day < last:
        day += timedelta(days=1)
        count += all(calendar.hours(day) for calendar in calendars)
    return count


def overdue_charge(policy: Policy, loan: Loan, now: int) -> int:
    """What the loan costs for lateness, in fen.

    Nothing where the ILS was in charge, where it ended without the reader's doing (implied, claimed, by staff), or without terms.
    """
    if loan.observed or loan.end_kind not in (None, EndKind.RETURN, EndKind.LOST_PAID):
        return 0
    terms = Terms.from_plain(loan.terms)
    if not terms.fine_per_day:
        return 0
    amount = overdue_days(policy, loan, now) * terms.fine_per_day
    return min(amount, terms.max_fine) if terms.max_fine else amount


def suspension_days(policy: Policy, loan: Loan, now: int) -> int:
    """For how many days a loan that came back late suspends its reader where the rules suspend instead of charging."""
    if loan.observed or loan.end_kind is not EndKind.RETURN:
        return 0
    return overdue_days(policy, loan, now) * loan.terms.get("suspension_days", 0)


@dataclass(frozen=True, slots=True)
class Entry:
    """One posting about a loan: ``amount`` in fen, negative = given back; ``cause`` is the event that made it necessary."""

    loan: str
    amount: int
    cause: str


def post(policy: Policy, loan: Loan, posted: Iterable[Entry], cause: str, now: int) -> Entry | None:
    """What to post now that the loan was folded (again); None where the ledger is right.

    The first end of a loan posts its charge. After that the ledger only goes down: whatever is learned later, about whatever
    earlier time, no reader pays more for it.
    """
    mine = [entry.amount for entry in posted if entry.loan == loan.id]
    if loan.open and not mine:
        return None  # an open loan's charge is shown, not posted
    charge = 0 if loan.open else overdue_charge(policy, loan, now)
    owed = sum(mine)
    amount = min(charge, owed) - owed if mine else charge
    return Entry(loan.id, amount, cause) if amount or not mine else None


@dataclass(frozen=True, slots=True)
class Debt:
    """Between libraries: ``debtor`` owes ``creditor`` that much, in fen."""

    debtor: str
    creditor: str
    amount: int


def debt(loan: Loan, agreement: Agreement, amount: int, *, lost: bool = False) -> Debt | None:
    """Who owes whom for a partner's loan; None where nothing passes between libraries.

    Late charges: the home collects and passes them on to a lender that keeps them. A lost item: the home guarantees its value to the
    owner, unless the agreement leaves the risk with the host.
    """
    if lost:
        debtor = loan.home if agreement.debt_rule is DebtRule.HOME_GUARANTEES else loan.lender
        return Debt(debtor, loan.owner, amount) if debtor != loan.owner and amount else None
    if agreement.fee_scheme is not FeeScheme.LENDER_KEEPS or loan.home == loan.lender or not amount:
        return None
    return Debt(loan.home, loan.lender, amount)
