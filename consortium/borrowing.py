"""may_borrow: whether a reader may take an item, and until when (domain §3)."""

from __future__ import annotations

from collections.abc import Sequence

from consortium.agreement import Agreement, Master, Service, Staleness
from consortium.bundle import Policy
from consortium.decision import Decision, Mode
from consortium.facts import Assurance, BorrowFacts, CardFacts, ItemFacts, ItemStatus, ReaderFacts, Relation
from consortium.identity import org_of_branch
from consortium.lending import due_date, limit_codes, terms_of
from consortium.mastership import BY_THE_ILS, in_charge_of_loan
from consortium.rules import Resolved
from consortium.stages import (
    Case,
    block_codes,
    card_codes,
    clone_codes,
    device_codes,
    lending_agreements,
    lending_rule,
    reader_codes,
    strictest,
)

_FOUND = frozenset({ItemStatus.MISSING, ItemStatus.LOST, ItemStatus.CLAIMED_RETURNED})


def may_borrow(
    policy: Policy, facts: BorrowFacts, now: int, *, source: str = "edge", explain: bool = False
) -> Decision:
    """Whether the reader may take the item at this branch, and until when. ``now`` in ms UTC.

    Order: device, card, reader, item (known, whose, state), agreements with place and owner, rule, freshness, blocks, limits, the
    ILS in charge, due date. Where a member's ILS is in charge and has lent the item, its word stands for everything after the item's
    identity but a hold: that may be a partner's, which no ILS knows of.
    """
    case = Case("borrow", policy, facts.known, source, explain)
    codes = device_codes(policy, facts.device)
    if case.stage("device", codes):
        return case.refuse(codes)
    place = facts.device.branch
    here = org_of_branch(place)
    card, reader, item = facts.card, facts.reader, facts.item
    codes = _card_codes(policy, facts, here, now)
    if case.stage("card", codes):
        return case.refuse(codes)
    assert card is not None
    assert reader is not None
    codes = reader_codes(reader, now, partner=reader.home != here)
    if case.stage("reader", codes):
        return case.refuse(codes)
    codes = _identity_codes(policy, facts)
    if case.stage("item", codes):
        return case.refuse(codes)
    assert item is not None
    if facts.ils_due_ms is not None and in_charge_of_loan(policy, reader.home, item.owner, here) is Master.ILS:
        return _as_the_ils_says(case, facts, item)
    codes = _state_codes(item, reader, here)
    if case.stage("state", codes):
        return case.refuse(codes)
    agreements, codes = lending_agreements(policy, reader, item, here, Service.BORROW, now)
    codes = codes or _agreement_codes(agreements, facts, item, here)
    if case.stage("agreement", codes):
        return case.refuse(codes)
    rule, category = lending_rule(policy, reader, item, place, agreements, now)
    codes = _rule_codes(rule)
    if case.stage(f"rule {'+'.join(rule.basis)}", codes):
        return case.refuse(codes)
    bounds = strictest(agreements)
    codes = _stale_codes(case, bounds, rule, facts, bool(agreements), now)
    if case.stage("freshness", codes):
        return case.refuse(codes)
    codes = block_codes(reader.blocks, "BORROW", reader.home, here, now)
    if case.stage("blocks", codes):
        return case.refuse(codes)
    codes = limit_codes(policy, reader, item, here, category) + _offline_codes(bounds, rule, facts, now)
    if case.stage("limits", codes):
        return case.refuse(codes)
    if facts.ils_refused:
        case.stage("ILS", ["ILS_REFUSED"])
        return case.refuse(["ILS_REFUSED"])
    return _lend(case, facts, card, reader, item, agreements, rule, now)


def _as_the_ils_says(case: Case, facts: BorrowFacts, item: ItemFacts) -> Decision:
    codes = ["ITEM_HELD"] if item.hold is Relation.OTHER else []
    if case.stage("hold", codes):
        return case.refuse(codes)
    return case.allow(("UNSECURE", "RECEIPT"), due_ms=facts.ils_due_ms, basis=(BY_THE_ILS,))


def _lend(
    case: Case, facts: BorrowFacts, card: CardFacts, reader: ReaderFacts, item: ItemFacts, agreements: Sequence[Agreement],
    rule: Resolved, now: int,
) -> Decision:  # fmt: skip
    terms = terms_of(rule, agreements)
    ends = [card.to_ms, reader.valid_to_ms, *(a.valid_to_ms for a in agreements)]
    due = due_date(case.policy, terms, rule.hard_due_ms, facts.device.branch, now, ends)
    basis = (*(agreement.key for agreement in agreements), *rule.basis)
    if item.status in _FOUND:
        case.notes = ("FOUND",)  # searched for, and here it is
    obligations = ["UNSECURE", "RECEIPT"]
    if terms.deposit:
        obligations.append("DEPOSIT")
    if rule.condition_note:
        obligations.append("CONDITION_NOTE")
    return case.allow(tuple(obligations), due_ms=due, basis=basis, terms=terms)


def _card_codes(policy: Policy, facts: BorrowFacts, here: str, now: int) -> list[str]:
    card, reader = facts.card, facts.reader
    codes = card_codes(card, reader, now)
    if card is None or reader is None:
        return codes
    if card.assurance is Assurance.LOW and reader.home != here and not facts.pin:
        codes.append("CARD_ASSURANCE_LOW")
    return codes + clone_codes(policy, facts.elsewhere, facts.device.branch, now)


def _identity_codes(policy: Policy, facts: BorrowFacts) -> list[str]:
    item = facts.item
    if item is None or item.owner not in policy.libraries or item.status is ItemStatus.WITHDRAWN:
        return ["ITEM_UNKNOWN"]
    return [] if facts.tag_agrees else ["ITEM_MISMATCH"]


def _state_codes(item: ItemFacts, reader: ReaderFacts, here: str) -> list[str]:
    codes = []
    if item.loan is Relation.SELF:
        codes.append("ITEM_ON_LOAN_SELF")
    elif item.loan is Relation.OTHER:
        codes.append("ITEM_ON_LOAN")
    if item.hold is Relation.OTHER or (item.transit_hold and item.hold is not Relation.SELF):
        codes.append("ITEM_HELD")
    if item.reference:
        codes.append("ITEM_REFERENCE")
    if not item.shareable and (reader.home != item.owner or here != item.owner):
        codes.append("ITEM_NOT_SHARED")
    return codes


def _agreement_codes(agreements: Sequence[Agreement], facts: BorrowFacts, item: ItemFacts, here: str) -> list[str]:
    reader = facts.reader
    assert reader is not None
    codes: list[str] = []
    for agreement in agreements:
        if item.item_type in agreement.excluded_item_types or (
            item.collection and item.collection in agreement.excluded_collections
        ):
            codes.append("ITEM_NOT_SHARED")
        if not agreement.covers(reader.home, here):
            continue  # the lender's quota is the lender's: this agreement is with the owner alone
        quota = agreement.quotas
        mine = sum(loans.n for loans in reader.open_loans if loans.lender == here)
        if (quota.loans_per_reader and mine >= quota.loans_per_reader) or (
            quota.loans_per_lender and facts.partner_loans >= quota.loans_per_lender
        ):
            codes.append("AGR_QUOTA")
    return list(dict.fromkeys(codes))


def _rule_codes(rule: Resolved) -> list[str]:
    if rule.age_excluded:
        return ["READER_AGE"]
    if rule.lend is False:
        return ["ITEM_REFERENCE"]
    timed = rule.period_days is not None or rule.period_hours is not None
    return [] if rule.lend and timed else ["RULE_NONE"]


def _stale_codes(
    case: Case, bounds: Staleness, rule: Resolved, facts: BorrowFacts, partner: bool, now: int
) -> list[str]:
    known = facts.known
    policy_age = now - known.policy
    facts_age = _facts_age(facts, now)
    items_age = now - known.items
    trusted = facts.device.clock_trusted
    stale_items = items_age > bounds.borrow_facts_fresh_ms
    degraded = facts_age > bounds.borrow_facts_fresh_ms
    if degraded or stale_items or policy_age > bounds.policy_fresh_ms or not trusted:
        case.mode = Mode.STALE
    if facts.away:
        case.mode = Mode.OFFLINE
    codes = []
    if partner and not trusted:
        codes.append("CLOCK_UNTRUSTED")
    if policy_age > (bounds.policy_fresh_ms if partner else bounds.policy_refuse_ms):
        codes.append("STALE_POLICY")
    if facts_age > bounds.borrow_facts_refuse_ms or (rule.offline_lend is False and (stale_items or facts.away)):
        codes.append("NOT_DECIDABLE_OFFLINE")
    return codes


def _offline_codes(bounds: Staleness, rule: Resolved, facts: BorrowFacts, now: int) -> list[str]:
    """The cap on what is lent on degraded facts: how many loans the replica does not know yet, and how dear an item."""
    reader, item = facts.reader, facts.item
    assert reader is not None
    assert item is not None
    if not facts.away and _facts_age(facts, now) <= bounds.borrow_facts_fresh_ms:
        return []
    cap = bounds.offline_cap if rule.offline_cap is None else rule.offline_cap
    too_dear = bounds.offline_max_value and item.value > bounds.offline_max_value
    return ["LIMIT_OFFLINE"] if reader.unsynced >= cap or too_dear else []


def _facts_age(facts: BorrowFacts, now: int) -> int:
    known = facts.known
    return now - min(known.cards, known.blocks, known.loans)
