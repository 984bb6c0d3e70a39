"""next_destination: where an item goes after it was handed in (domain §3)."""

from __future__ import annotations

from consortium.agreement import LibraryStatus
from consortium.bundle import Policy
from consortium.decision import Route
from consortium.facts import ItemFacts, ItemStatus, ReturnFacts
from consortium.identity import org_of_branch
from consortium.rules import Resolved


def next_destination(policy: Policy, item: ItemFacts, facts: ReturnFacts, rule: Resolved, at: str) -> Route:
    """Route of an item that is at branch ``at``: desk, hold, stay, or home by the sort hub.

    Order: non-member → desk; damaged → owner; best hold (here first, then cheapest, then oldest); float; the rule's
    return branch; courier stopped → wait here.
    """
    owner = policy.libraries.get(item.owner)
    if owner is None:
        return Route("DESK", at, reason="UNKNOWN")
    if item.status is ItemStatus.WITHDRAWN:
        return Route("DESK", at, reason="WITHDRAWN")
    if owner.status is LibraryStatus.LEFT:
        return Route("DESK", at, reason="OWNER_LEFT")  # no courier goes there any more; the desk calls
    home = item.owner_branch
    if item.damaged:
        return _travel(policy, at, home, "DAMAGED", facts)
    if facts.holds:
        best = min(facts.holds, key=lambda h: (h.pickup_branch != at, h.cost, h.placed_ms, h.hold_id))
        if best.pickup_branch == at:
            return Route("HOLD", at, reason="HOLD", hold_id=best.hold_id)
        if facts.transfer_open:
            return _travel(policy, at, best.pickup_branch, "HOLD", facts, hold_id=best.hold_id)
    if rule.float_group in policy.groups_of(org_of_branch(at)) and facts.float_room and at != home:
        return Route("STAY", at, reason="FLOAT")
    target = at if rule.return_to == "lending" else home
    return _travel(policy, at, target, "HOME", facts)


def _travel(policy: Policy, at: str, dest: str, reason: str, facts: ReturnFacts, hold_id: str | None = None) -> Route:
    if at == dest:
        return Route("SHELVE", at, reason=reason)
    if not facts.transfer_open:
        return Route("HOLD_HERE", at, reason=reason, until=facts.transfer_opens)
    branch = policy.branches.get(at)
    via = branch.sort_hub if branch and branch.sort_hub not in (at, dest) else None
    return Route("TRANSIT", dest, via=via, reason=reason, hold_id=hold_id)
