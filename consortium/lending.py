"""How much and how long: limits over a reader's open loans, and due dates over calendars (domain §2, §3)."""

from __future__ import annotations

from consortium.agreement import LimitScope, LimitSet
from consortium.bundle import Policy
from consortium.calendar import DAY_MS
from consortium.facts import ItemFacts, ReaderFacts
from consortium.rules import Resolved


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


def due_date(policy: Policy, rule: Resolved, place: str, now: int, ends: list[int | None]) -> int:
    """Due instant: period over the lending branch's calendar, then capped by hard due date and by what ends; never past."""
    calendar = policy.calendar_of(place)
    due = calendar.end_of_open_day(now + (rule.period_days or 0) * DAY_MS)
    caps = [end for end in (rule.hard_due_ms, *ends) if end is not None and end > now]
    return min([due, *caps])
