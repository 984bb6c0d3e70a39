"""What if: the recorded decisions of a period, decided again under a draft, and what would have been otherwise.

Each decision is first derived again under the policy it was made by, from the facts recorded with it. Where that does not give
what was recorded, it is counted as unexplained and compared with nothing. The rest is decided under the same policy with the draft in
place, from the same facts as the draft's own earlier answers would have left them (``consortium.whatif.shadow``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from consortium.agreement import Service
from consortium.bundle import Policy
from consortium.decision import Decision
from consortium.decisions import accept_return, may_borrow, may_enter, may_renew
from consortium.events import ITEM_KINDS, Event, Kind
from consortium.facts import BorrowFacts, EnterFacts, ReaderFacts, RenewFacts, ReturnFacts
from consortium.identity import org_of_branch
from consortium.record import Facts, facts_of
from consortium.serving import find_agreement
from consortium.whatif.comparison import MOOT, SAME, UNEXPLAINED, WhatIf
from consortium.whatif.draft import Draft
from consortium.whatif.shadow import Key, Shadow

STAY_MS = 2 * 3_600_000
"""How long a visit is taken to last that only the draft would have allowed."""

EXAMPLES = 5
"""Events named of each outcome."""

NOBODY = "-"
"""Stands for the home of a card that nobody knows."""

KINDS = ITEM_KINDS | {Kind.ENTRY, Kind.EXIT, Kind.VISIT_CLOSED, Kind.REFUSED}
"""Events that a replay reads; it passes over others."""

_LOAN_GOES_ON = frozenset({Kind.RENEW, Kind.LOAN_EXTENDED, Kind.ITEM_MARKED})
_NOT_DECIDABLE = (msgspec.ValidationError, ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError)
"""What a record that is none can raise: it comes from a wire and nobody checked its inside."""


@dataclass(frozen=True, slots=True)
class Step:
    """One event of a log as a replay reads it. ``who`` is the reader's consortium id where known, ``visit`` the visit it closes."""

    id: str
    kind: Kind
    t: int
    branch: str
    who: str | None = None
    home: str | None = None
    item: Key | None = None
    visit: str | None = None
    decision: Mapping[str, Any] | None = None


def step_of(event: Event, who: str | None) -> Step:
    """The step of an event; ``who`` as in ``Step``."""
    home, visit = event.data.get("home"), event.data.get("visit")
    return Step(str(event.id), event.kind, event.t_eff, event.branch, who, home, event.item, visit, event.decision)


def replay(
    policies: Mapping[int, Policy],
    draft: Draft,
    steps: Iterable[Step],
    *,
    examples: int = EXAMPLES,
    stay_ms: int = STAY_MS,
) -> WhatIf:
    """Compare what was decided with what the draft would have decided. ``policies`` by version, as published; ``steps`` in event
    order, read once and not kept. Raises BundleError where the draft does not fit a policy."""
    return _Replay(policies, draft, examples, stay_ms).run(steps)


class _Replay:
    def __init__(self, policies: Mapping[int, Policy], draft: Draft, examples: int, stay_ms: int) -> None:
        self._policies = policies
        self._draft = draft
        self._drafted: dict[int, _Drafted] = {}
        self._examples = examples
        self._shadow = Shadow(stay_ms)
        self._found = WhatIf()

    def run(self, steps: Iterable[Step]) -> WhatIf:
        for step in steps:
            self._shadow.pass_time(step.t)
            pair, after = self._decided(step) if step.decision is not None else (None, None)
            self._carry(step, pair, after)
        return self._found

    def _decided(self, step: Step) -> tuple[_Pair | None, Decision | None]:
        self._found.decisions += 1
        pair = self._as_it_was(step)
        if pair is None:
            self._found.unexplained += 1
            self._example(UNEXPLAINED, step)
            return None, None
        if self._is_moot(step, pair):
            self._found.moot += 1
            self._example(MOOT, step)
            return None, None
        drafted = self._with_draft(pair.policy)
        facts = self._facts_there(step, pair, drafted.policy)
        if facts is pair.facts and not self._concerns(drafted, facts):
            after = pair.before  # same facts, and nothing of the draft can speak to them
        else:
            after = _decide(drafted.policy, facts, pair.now, pair.before.source)
        self._count(step, pair, after)
        return pair, after

    def _as_it_was(self, step: Step) -> _Pair | None:
        """The decision derived again as it was made, None where that does not give what was recorded."""
        recorded = dict(step.decision or {})
        try:
            policy = self._policies[recorded["pv"]]
            facts, now = facts_of(recorded), int(recorded["t"])
            before = _decide(policy, facts, now, str(recorded["s"]))
            told = (recorded["o"], recorded["c"], recorded.get("due"))
        except _NOT_DECIDABLE:
            return None
        if told != (before.outcome.value, list(before.codes), before.due_ms):
            return None
        return _Pair(policy, facts, now, before)

    def _with_draft(self, policy: Policy) -> _Drafted:
        found = self._drafted.get(policy.version)
        if found is None:
            names = {agreement.id for agreement in self._draft.agreements}
            touched = [*self._draft.agreements, *(a for a in policy.bundle.agreements if a.id in names)]
            pairs = ((home, host) for home in policy.libraries for host in policy.libraries)
            found = self._drafted[policy.version] = _Drafted(
                Policy(self._draft.onto(policy.bundle)),
                frozenset(pair for pair in pairs if any(agreement.covers(*pair) for agreement in touched)),
            )
        return found

    def _concerns(self, drafted: _Drafted, facts: Facts) -> bool:
        """Whether the draft can speak to these facts: its rules and limits to any, its agreements to those they cover."""
        if self._draft.rules or self._draft.limits:
            return True
        reader = None if isinstance(facts, ReturnFacts) else facts.reader
        if reader is None:
            return False  # an unknown card, or a return: no agreement is asked
        hosts = [org_of_branch(facts.device.branch)]
        if isinstance(facts, BorrowFacts | RenewFacts) and facts.item is not None:
            hosts.append(facts.item.owner)
        if isinstance(facts, RenewFacts) and facts.loan is not None:
            hosts.append(org_of_branch(facts.loan.place))
        return any((reader.home, host) in drafted.covered for host in hosts)

    def _is_moot(self, step: Step, pair: _Pair) -> bool:
        """Whether in the draft's world nobody would have asked: nothing to renew or return, or already lent or let in."""
        key, who = step.item, step.who
        if isinstance(pair.facts, EnterFacts):
            return who is not None and step.kind is Kind.REFUSED and self._shadow.is_inside(who, step.branch)
        if isinstance(pair.facts, BorrowFacts):
            if step.kind is not Kind.REFUSED or who is None or key is None:
                return False
            return self._shadow.lent_to(key, who)
        return key is not None and self._shadow.never_lent(key)

    def _facts_there(self, step: Step, pair: _Pair, drafted: Policy) -> Facts:
        facts = pair.facts
        if isinstance(facts, BorrowFacts):
            here, now = org_of_branch(facts.device.branch), pair.now
            return self._shadow.for_borrow(facts, step.who, lambda reader: _agreement(drafted, reader, here, now))
        if isinstance(facts, EnterFacts):
            return self._shadow.for_enter(facts, step.who, lambda: _day(pair.policy, facts.device.branch, pair.now))
        if isinstance(facts, RenewFacts):
            return self._shadow.for_renew(facts)
        return facts

    # --- counting ---

    def _count(self, step: Step, pair: _Pair, after: Decision) -> None:
        reader = getattr(pair.facts, "reader", None)
        home = reader.home if reader is not None else (step.home or NOBODY)
        category = reader.category if reader is not None else None
        verdict = self._found.add(pair.before, after, home, org_of_branch(step.branch), category)
        if verdict != SAME:
            self._example(verdict, step)

    def _example(self, outcome: str, step: Step) -> None:
        named = self._found.examples.setdefault(outcome, [])
        if len(named) < self._examples:
            named.append(step.id)

    # --- carrying ---

    def _carry(self, step: Step, pair: _Pair | None, after: Decision | None) -> None:
        """What this step leaves behind in the draft's world."""
        shadow, key, who = self._shadow, step.item, step.who
        if step.kind in ITEM_KINDS and step.kind not in _LOAN_GOES_ON and key is not None:
            shadow.item_moved(key)
        elif who is not None and step.kind in (Kind.ENTRY, Kind.EXIT):
            shadow.left(who, step.branch)
        elif step.kind is Kind.VISIT_CLOSED and step.visit is not None:
            shadow.closed(step.visit)
        if pair is None or after is None or who is None:
            return
        if isinstance(pair.facts, EnterFacts):
            self._carry_visit(step, who, pair, after)
        elif isinstance(pair.facts, BorrowFacts) and key is not None:
            self._carry_loan(step, who, key, pair, after)
        elif isinstance(pair.facts, RenewFacts) and key is not None:
            self._carry_renewal(key, pair.facts, pair.before, after)

    def _carry_visit(self, step: Step, who: str, pair: _Pair, after: Decision) -> None:
        reader = None if isinstance(pair.facts, ReturnFacts) else pair.facts.reader
        partner = reader is not None and reader.home != org_of_branch(step.branch)
        day = _day(pair.policy, step.branch, pair.now)
        if step.kind is Kind.ENTRY and pair.before.allowed and not after.allowed:
            self._shadow.refuse_visit(who, step.branch, partner, step.id, step.t, day)
        elif step.kind is Kind.REFUSED and after.allowed:
            self._shadow.allow_visit(who, step.branch, partner, step.id, step.t, day)

    def _carry_loan(self, step: Step, who: str, key: Key, pair: _Pair, after: Decision) -> None:
        facts, before = pair.facts, pair.before
        assert isinstance(facts, BorrowFacts)
        if facts.item is None:
            return
        lender, kind, value = org_of_branch(step.branch), facts.item.item_type, facts.item.value
        if step.kind is Kind.CHECKOUT and before.allowed:
            # A loan that staff made against the answer would have been made all the same: nothing to carry.
            if not after.allowed:
                self._shadow.refuse_loan(key, who, lender, kind, value, _basis(before))
            elif (after.due_ms, after.terms) != (before.due_ms, before.terms) and after.due_ms is not None:
                self._shadow.promise(key, after.due_ms, terms=after.terms)
        elif step.kind is Kind.REFUSED and after.allowed and after.due_ms is not None:
            self._shadow.allow_loan(key, who, lender, kind, value, _basis(after), after.due_ms)

    def _carry_renewal(self, key: Key, facts: RenewFacts, before: Decision, after: Decision) -> None:
        if facts.loan is None:
            return
        there = self._shadow.for_renew(facts).loan
        assert there is not None
        due_here = before.due_ms if before.due_ms is not None else facts.loan.due
        due_there = after.due_ms if after.due_ms is not None else there.due
        apart = self._shadow.renewals_apart(key) + after.allowed - before.allowed
        if due_there == due_here and not apart and there.terms == facts.loan.terms:
            self._shadow.keep_promise(key)
        else:
            self._shadow.promise(key, due_there, renewed=apart, terms=there.terms)


@dataclass(frozen=True, slots=True)
class _Drafted:
    """A policy with the draft in place, and the (home, host) pairs that the draft's agreements cover, or covered before it."""

    policy: Policy
    covered: frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Pair:
    """A decision as it was made, and what it was made by."""

    policy: Policy
    facts: Facts
    now: int
    before: Decision


def _decide(policy: Policy, facts: Facts, now: int, source: str) -> Decision:
    if isinstance(facts, EnterFacts):
        return may_enter(policy, facts, now, source=source)
    if isinstance(facts, BorrowFacts):
        return may_borrow(policy, facts, now, source=source)
    if isinstance(facts, RenewFacts):
        return may_renew(policy, facts, now, source=source)
    return accept_return(policy, facts, now, source=source)


def _agreement(policy: Policy, reader: ReaderFacts, here: str, now: int) -> str:
    """Id of the agreement that serves a reader here, "" for own readers and where none limits a lender's loans."""
    if not any(agreement.quotas.loans_per_lender for agreement in policy.covering(reader.home, here)):
        return ""
    found, _ = find_agreement(policy, reader, here, Service.BORROW, now)
    return found.id if found is not None else ""


def _basis(decision: Decision) -> str:
    """Id of the first agreement a loan was made under, "" where none was needed."""
    first = decision.basis[0] if decision.basis else ""
    return first.partition("@")[0] if "@" in first else ""


def _day(policy: Policy, branch: str, now: int) -> int:
    """The branch's local day, counted from year 1; days in UTC where the branch is not one of the policy's."""
    zone = policy.calendar_of(branch).tz if branch in policy.branches else "UTC"
    return datetime.fromtimestamp(now / 1000, ZoneInfo(zone)).toordinal()
