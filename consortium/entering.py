"""may_enter: whether a gate opens (domain §3)."""

from __future__ import annotations

from consortium.agreement import Agreement, Service, Staleness
from consortium.bundle import Policy
from consortium.decision import Decision, Mode
from consortium.facts import EnterFacts
from consortium.identity import org_of_branch
from consortium.serving import find_agreement
from consortium.stages import (
    OWN_STALENESS,
    Case,
    block_codes,
    card_codes,
    clone_codes,
    device_codes,
    reader_codes,
)


def may_enter(policy: Policy, facts: EnterFacts, now: int, *, source: str = "edge", explain: bool = False) -> Decision:
    """Whether the gate opens for the card presented, inwards. ``now`` in ms UTC.

    Order: device, card, reader, agreement (partners), freshness, opening hours, blocks, anti-pass-back, capacity. The way out is
    always open and asks nobody.
    """
    case = Case("enter", policy, facts.known, source, explain)
    codes = device_codes(policy, facts.device, flooded=facts.flooded)
    if case.stage("device", codes):
        return case.refuse(codes)
    codes = card_codes(facts.card, facts.reader, now) + clone_codes(policy, facts.elsewhere, facts.device.branch, now)
    if case.stage("card", codes):
        return case.refuse(codes)
    reader = facts.reader
    assert reader is not None
    here = org_of_branch(facts.device.branch)
    own = reader.home == here
    codes = reader_codes(reader, now, partner=not own)
    if case.stage("reader", codes):
        return case.refuse(codes)
    staleness = OWN_STALENESS
    if not own:
        agreement, codes = find_agreement(policy, reader, here, Service.ENTER, now)
        if agreement is not None:
            codes = _quota_codes(agreement, facts)
            staleness = agreement.staleness
        if case.stage("agreement", codes):
            return case.refuse(codes)
    codes = _stale_codes(case, staleness, facts, own, now)
    if case.stage("freshness", codes):
        return case.refuse(codes)
    codes = [] if policy.calendar_of(facts.device.branch).is_open(now) else ["BRANCH_CLOSED"]
    if case.stage("open", codes):
        return case.refuse(codes)
    codes = block_codes(reader.blocks, "ENTER", reader.home, here, now)
    if case.stage("blocks", codes):
        return case.refuse(codes)
    branch = policy.branches[facts.device.branch]
    if facts.inside:
        if branch.anti_pass_back:
            case.stage("inside", ["ALREADY_INSIDE"])
            return case.refuse(["ALREADY_INSIDE"])
        case.notes = ("ALREADY_INSIDE",)
    codes = ["BRANCH_FULL"] if branch.capacity and facts.occupancy >= branch.capacity else []
    if case.stage("capacity", codes):
        return case.refuse(codes)
    return case.allow(("OPEN", "LOG_VISIT"))


def _quota_codes(agreement: Agreement, facts: EnterFacts) -> list[str]:
    quota = agreement.quotas
    full = quota.visitors_now and facts.partner_visitors >= quota.visitors_now
    spent = quota.visits_per_day and facts.visits_today >= quota.visits_per_day
    return ["AGR_QUOTA"] if full or spent else []


def _stale_codes(case: Case, bounds: Staleness, facts: EnterFacts, own: bool, now: int) -> list[str]:
    policy_age = now - facts.known.policy
    facts_age = now - min(facts.known.cards, facts.known.blocks)
    if policy_age > bounds.policy_fresh_ms or facts_age > bounds.enter_cards_fresh_ms or not facts.device.clock_trusted:
        case.mode = Mode.STALE
    if own and case.policy.fails_open(org_of_branch(facts.device.branch)):
        return []
    codes = []
    if not facts.device.clock_trusted:
        codes.append("CLOCK_UNTRUSTED")
    if policy_age > bounds.policy_refuse_ms:
        codes.append("STALE_POLICY")
    if facts_age > bounds.enter_cards_refuse_ms:
        codes.append("NOT_DECIDABLE_OFFLINE")
    return codes
