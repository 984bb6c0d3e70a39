"""How much and how long: limits over a reader's open loans, and due dates over calendars (domain §2, §3)."""

from __future__ import annotations

from collections.abc import Sequence

from consortium.agreement import Agreement, FeeScheme, LimitScope, LimitSet
from consortium.bundle import Policy
from consortium.calendar import DAY_MS
from consortium.facts import ItemFacts, ReaderFacts
from consortium.rules import Resolved
from consortium.terms import Terms

HOUR_MS = 3_600_000


def _limit_counts(limit: LimitSet, policy: Policy, reader: ReaderFacts, here: str) -> tuple[int, int]:
    n = value = 0
    for loans in reader.open_loans:
        if limit.item_types and loans.item_type not in limit.item_types:
            continue
        if limit.scope is LimitScope.LENDER and loans.lender != here:
            continue
        if limit.scope is LimitScope.GROUP and limit.group not in policy.groups_of(loans.lender):
            continue
        if limit.partners_only and loans.lender == reader.home:
            continue
        n += loans.n
        value += loans.value
    return n, value


def limit_codes(policy: Policy, reader: ReaderFacts, item: ItemFacts, here: str, category: str) -> list[str]:
    """Codes of every limit the loan would break, in the bundle's order."""
    codes: list[str] = []
    for limit in policy.limits:
        if limit.item_types and item.item_type not in limit.item_types:
            continue
        if limit.categories and category not in limit.categories:
            continue
        if limit.lender not in ("*", here) or (limit.partners_only and here == reader.home):
            continue
        if limit.scope is LimitScope.GROUP and limit.group not in policy.groups_of(here):
            continue
        n, value = _limit_counts(limit, policy, reader, here)
        if n + 1 > limit.max_open:
            code = "LIMIT_CONSORTIUM"
            if limit.scope is LimitScope.LENDER:
                code = "LIMIT_TYPE" if limit.item_types else "LIMIT_LENDER"
            if code not in codes:
                codes.append(code)
        if limit.max_value and value + item.value > limit.max_value and "LIMIT_VALUE" not in codes:
            codes.append("LIMIT_VALUE")
    return codes


def terms_of(rule: Resolved, agreements: Sequence[Agreement] = ()) -> Terms:
    """What a loan under this rule promises. Where an agreement knows no charges, there are none."""
    free = any(agreement.fee_scheme is FeeScheme.NONE for agreement in agreements)
    by_hours = rule.period_hours is not None
    return Terms(
        period_days=0 if by_hours else rule.period_days or 0,
        period_hours=rule.period_hours or 0,
        renewals=rule.renewals or 0,
        renew_window_days=rule.renew_window_days or 0,
        grace_days=rule.grace_days or 0,
        fine_per_day=0 if free else rule.fine_per_day or 0,
        max_fine=rule.max_fine or 0,
        suspension_days=rule.suspension_days or 0,
        deposit=rule.deposit or 0,
    )


def due_date(
    policy: Policy, terms: Terms, hard_due_ms: int | None, place: str, now: int, ends: Sequence[int | None]
) -> int:
    """Due instant: the period over the lending branch's calendar, then capped by hard due date and by what ends; never past.

    Days end with an open day; hours run as they are and, where they end behind closed doors, until the doors open again.
    """
    if terms.period_hours:
        calendar = policy.calendar_of(place)
        due = now + terms.period_hours * HOUR_MS
        if not calendar.is_open(due):
            due = calendar.next_opening(due) or due
    else:
        due = policy.end_of_open_day(place, now + terms.period_days * DAY_MS)
    caps = [end for end in (hard_due_ms, *ends) if end is not None and end > now]
    return min([due, *caps])
