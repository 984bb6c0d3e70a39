"""Checks over recorded decisions: I8, I9."""

from __future__ import annotations

from typing import Any

import msgspec

from consortium.bundle import Policy, from_json
from consortium.decision import Decision
from consortium.decisions import OWN_STALENESS, accept_return, may_borrow, may_enter
from consortium.facts import BorrowFacts, EnterFacts
from consortium.invariants.history import History, Result
from consortium.record import facts_of


def _decide(policy: Policy, recorded: dict[str, Any]) -> Decision:
    facts = facts_of(recorded)
    now, source = recorded["t"], recorded["s"]
    if isinstance(facts, EnterFacts):
        return may_enter(policy, facts, now, source=source)
    if isinstance(facts, BorrowFacts):
        return may_borrow(policy, facts, now, source=source)
    return accept_return(policy, facts, now, source=source)


def check_i8(history: History) -> Result:
    """Deciding again from the recorded facts under the recorded policy gives the recorded outcome, codes and due date."""
    policies = {version: Policy(from_json(text)) for version, text in history.bundles.items()}
    checked, bad = 0, []
    for row, event in history.events:
        recorded = event.decision
        if recorded is None:
            continue
        checked += 1
        policy = policies.get(recorded.get("pv", -1))
        try:
            again = _decide(policy, recorded) if policy is not None else None
        except (msgspec.ValidationError, KeyError, TypeError):
            again = None
        if (
            again is None
            or again.outcome.value != recorded["o"]
            or list(again.codes) != recorded["c"]
            or again.due_ms != recorded.get("due")
        ):
            bad.append(row.id)
    return checked, bad


def check_i9(history: History) -> Result:
    """An ALLOW calls itself ONLINE only on facts inside the fresh bound; beyond the refusing bound only own readers pass."""
    checked, bad = 0, []
    bounds = OWN_STALENESS
    for row, event in history.events:
        recorded = event.decision
        if recorded is None or recorded["o"] != "ALLOW" or recorded["f"] not in ("enter", "borrow"):
            continue
        checked += 1
        policy_age, *ages = recorded["k"]
        age = max(ages[:2] if recorded["f"] == "enter" else ages[:3])
        fresh = bounds.enter_cards_fresh_ms if recorded["f"] == "enter" else bounds.borrow_facts_fresh_ms
        refuse = bounds.enter_cards_refuse_ms if recorded["f"] == "enter" else bounds.borrow_facts_refuse_ms
        late_policy = policy_age > bounds.policy_fresh_ms
        if (age > fresh or late_policy) and recorded["m"] == "ONLINE":
            bad.append(row.id)
        own = recorded["facts"]["reader"]["home"] == event.branch.split("-", 1)[0]
        if age > refuse and not (own and recorded["f"] == "enter"):
            bad.append(row.id)
    return checked, bad
