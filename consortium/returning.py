"""accept_return: what happens to an item handed in (domain §3)."""

from __future__ import annotations

from consortium.bundle import Policy
from consortium.decision import Decision, Mode, Route
from consortium.facts import ItemStatus, Relation, ReturnFacts
from consortium.identity import org_of_branch
from consortium.routing import next_destination
from consortium.rules import Case as RuleCase
from consortium.rules import resolve
from consortium.stages import OWN_STALENESS, Case, device_codes

_CODES = {"SHELVE": "RETURN_HOME", "STAY": "RETURN_STAY", "HOLD": "RETURN_HOLD", "TRANSIT": "RETURN_TRANSIT"}


def accept_return(
    policy: Policy, facts: ReturnFacts, now: int, *, source: str = "edge", explain: bool = False
) -> Decision:
    """What happens to an item handed in: almost never refused, always routed, however old the facts. ``now`` in ms UTC."""
    case = Case("return", policy, facts.known, source, explain)
    codes = device_codes(policy, facts.device)
    if case.stage("device", codes):
        return case.refuse(codes)
    here = facts.device.branch
    item = facts.item
    known = facts.known
    facts_age = now - min(known.items, known.loans)
    old = facts_age > OWN_STALENESS.borrow_facts_fresh_ms or now - known.policy > OWN_STALENESS.policy_fresh_ms
    if old or not facts.device.clock_trusted:
        case.mode = Mode.STALE  # taken all the same; the record says what was known
    if item is None or item.owner not in policy.libraries:
        case.stage("item", [])
        return case.allow(("SECURE",), code="RETURN_SET_ASIDE", route=Route("DESK", here, reason="UNKNOWN"))
    rule = resolve(policy, RuleCase(frozenset(), "*", "*", item.item_type, item.owner, here, None, now))
    obligations = ("SECURE", "RECEIPT", "CONDITION_NOTE") if rule.condition_note else ("SECURE", "RECEIPT")
    if rule.returnable_at == "owner" and org_of_branch(here) != item.owner:
        case.stage("returnable", ["RETURN_OWNER_ONLY"])
        if facts.can_hand_back:
            return case.refuse(["RETURN_OWNER_ONLY"])
        # It lies in the bin already: it is taken, the loan ends, and the desk sees to the rest.
        return case.allow(
            obligations, code="RETURN_SET_ASIDE", route=Route("DESK", here, reason="OWNER_ONLY"), basis=rule.basis
        )
    route = next_destination(policy, item, facts, rule, here)
    if item.loan is Relation.NOBODY and item.status is not ItemStatus.IN_TRANSIT:
        case.notes = ("RETURN_NO_LOAN",)
    code = _CODES.get(route.action, "RETURN_SET_ASIDE")
    if code == "RETURN_HOME" and case.notes:
        code = "RETURN_NO_LOAN"
    if case.trace is not None:
        case.trace.append(f"route: {route.action} {route.dest}")
    return case.allow(obligations, code=code, route=route, basis=rule.basis)
