"""Which rule speaks: matching, fall-through of unset results, and the trace that explains each value (domain §2)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from consortium.agreement import PolicyRule
from consortium.bundle import MOST_REMEMBERED, Policy

RESULTS = (
    "lend",
    "period_days",
    "period_hours",
    "hard_due_ms",
    "renewals",
    "renew_window_days",
    "grace_days",
    "fine_per_day",
    "max_fine",
    "suspension_days",
    "deposit",
    "condition_note",
    "holdable",
    "returnable_at",
    "float_group",
    "return_to",
    "offline_lend",
    "offline_cap",
)


PERIOD = frozenset({"period_days", "period_hours"})
"""Two ways to say one thing: a rule that gives either closes both to less specific rules."""


@dataclass(frozen=True, slots=True)
class Case:
    """What a rule is matched against. ``category`` is the shared one for partners, the home one for own readers."""

    agreements: frozenset[str]
    home: str
    category: str
    item_type: str
    owner: str
    place: str
    age: int | None
    now: int


@dataclass(slots=True)
class Resolved:
    """Results after fall-through; ``basis`` names the rule each value came from."""

    lend: bool | None = None
    period_days: int | None = None
    period_hours: int | None = None
    hard_due_ms: int | None = None
    renewals: int | None = None
    renew_window_days: int | None = None
    grace_days: int | None = None
    fine_per_day: int | None = None
    max_fine: int | None = None
    suspension_days: int | None = None
    deposit: int | None = None
    condition_note: bool | None = None
    holdable: bool | None = None
    returnable_at: str | None = None
    float_group: str | None = None
    return_to: str | None = None
    offline_lend: bool | None = None
    offline_cap: int | None = None
    basis: tuple[str, ...] = ()
    matched: int = 0
    age_excluded: bool = False


def _fits(rule: PolicyRule, case: Case) -> bool:
    return (
        (rule.agreement == "*" or rule.agreement in case.agreements)
        and rule.category in ("*", case.category)
        and (rule.valid_from_ms is None or rule.valid_from_ms <= case.now)
        and (rule.valid_to_ms is None or case.now < rule.valid_to_ms)
    )


def _age_fits(rule: PolicyRule, age: int | None) -> bool:
    if rule.age_from is None and rule.age_to is None:
        return True
    if age is None:
        return False
    return (rule.age_from is None or age >= rule.age_from) and (rule.age_to is None or age <= rule.age_to)


def resolve(policy: Policy, case: Case) -> Resolved:
    """All results for a case: the most specific rule that sets a result gives it, less specific ones fill what is unset.

    The answer is shared with whoever asks the same: it is read, never written to.
    """
    key = (case.agreements, case.home, case.category, case.item_type, case.owner, case.place, case.age)
    known: Resolved | None = policy.resolved.get(key)
    if known is not None:
        return known
    rules = policy.candidates(case.home, case.item_type, case.owner, case.place)
    out = _resolve(rules, case)
    if all(rule.valid_from_ms is None and rule.valid_to_ms is None for rule in rules):
        if len(policy.resolved) >= MOST_REMEMBERED:
            policy.resolved.clear()
        policy.resolved[key] = out
    return out


def _resolve(rules: Iterable[PolicyRule], case: Case) -> Resolved:
    out = Resolved()
    basis: list[str] = []
    for rule in rules:
        if not _fits(rule, case):
            continue
        if not _age_fits(rule, case.age):
            # A rule that would have lent but for the reader's age, and no more specific one has spoken.
            out.age_excluded = out.age_excluded or (out.lend is None and rule.lend is True)
            continue
        out.matched += 1
        used = False
        timed = out.period_days is not None or out.period_hours is not None
        for name in RESULTS:
            value = getattr(rule, name)
            if value is not None and getattr(out, name) is None and not (timed and name in PERIOD):
                setattr(out, name, value)
                used = True
        if used:
            basis.append(rule.id)
    out.basis = tuple(basis)
    return out
