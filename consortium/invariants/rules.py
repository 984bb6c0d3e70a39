"""Checks over recorded decisions: I8, I9."""

from __future__ import annotations

from typing import Any

import msgspec

from consortium.agreement import Service, Staleness
from consortium.bundle import Policy, from_json
from consortium.decision import Decision
from consortium.decisions import OWN_STALENESS, accept_return, may_borrow, may_enter
from consortium.facts import BorrowFacts, EnterFacts
from consortium.invariants.history import History, Result
from consortium.record import facts_of
from consortium.serving import find_agreement


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


def _bounds(policy: Policy | None, recorded: dict[str, Any], branch: str) -> Staleness:
    """The staleness profile that the decision stood under."""
    facts = facts_of(recorded)
    if policy is None or not isinstance(facts, EnterFacts | BorrowFacts) or facts.reader is None:
        return OWN_STALENESS
    agreements = {agreement.id: agreement for agreement in policy.bundle.agreements}
    for name in recorded.get("b", ()):  # agreements come first in a basis, in the order they were needed
        if (agreement := agreements.get(name.partition("@")[0])) is not None and "@" in name:
            return agreement.staleness
    served, _ = find_agreement(policy, facts.reader, branch.split("-", 1)[0], Service.ENTER, recorded["t"])
    return served.staleness if served is not None and isinstance(facts, EnterFacts) else OWN_STALENESS


def check_i9(history: History) -> Result:
    """An ALLOW calls itself ONLINE only on facts inside the fresh bound; beyond the refusing bound only own readers pass.

    The bounds are those of the agreement that served the reader. That the offline cap held is part of I8: it is a code.
    """
    policies = {version: Policy(from_json(text)) for version, text in history.bundles.items()}
    checked, bad = 0, []
    for row, event in history.events:
        recorded = event.decision
        if recorded is None or recorded["o"] != "ALLOW" or recorded["f"] not in ("enter", "borrow"):
            continue
        checked += 1
        bounds = _bounds(policies.get(recorded["pv"]), recorded, event.branch)
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
