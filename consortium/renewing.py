"""may_renew: whether an open loan may go on, and until when (domain §3)."""

from __future__ import annotations

from consortium.agreement import Master, Service, Staleness
from consortium.bundle import Policy
from consortium.calendar import DAY_MS
from consortium.decision import Decision, Mode
from consortium.facts import ItemFacts, LoanFacts, Relation, RenewFacts
from consortium.identity import org_of_branch
from consortium.lending import due_date, terms_of
from consortium.mastership import BY_THE_ILS, in_charge_of_loan
from consortium.rules import Resolved
from consortium.stages import (
    Case,
    block_codes,
    device_codes,
    lending_agreements,
    lending_rule,
    reader_codes,
    strictest,
)
from consortium.terms import Terms


def may_renew(policy: Policy, facts: RenewFacts, now: int, *, source: str = "edge", explain: bool = False) -> Decision:
    """Whether the reader's loan may be renewed, and until when: never earlier than it was due. ``now`` in ms UTC.

    Order: device, loan open and this reader's, reader and agreements still valid, freshness, blocks, renewals left, window, recalled
    or held, overdue beyond grace, the ILS in charge. A loan keeps the terms it was made under where the rules have become stricter.
    A renewal that would gain nothing is RENEW_EARLY: it is not used up. Where a member's ILS is in charge and has renewed the loan, its
    word stands for everything after the reader.
    """
    case = Case("renew", policy, facts.known, source, explain)
    codes = device_codes(policy, facts.device)
    if case.stage("device", codes):
        return case.refuse(codes)
    reader, item, loan = facts.reader, facts.item, facts.loan
    codes = _loan_codes(policy, facts)
    if case.stage("loan", codes):
        return case.refuse(codes)
    assert reader is not None
    assert item is not None
    assert loan is not None
    lender = org_of_branch(loan.place)
    codes = reader_codes(reader, now, partner=bool({lender, item.owner} - {reader.home}))
    if case.stage("reader", codes):
        return case.refuse(codes)
    if facts.ils_due_ms is not None and in_charge_of_loan(policy, reader.home, item.owner, lender) is Master.ILS:
        return case.allow(("RECEIPT",), due_ms=max(loan.due, facts.ils_due_ms), basis=(BY_THE_ILS,))
    agreements, codes = lending_agreements(policy, reader, item, lender, Service.RENEW, now)
    if case.stage("agreement", codes):
        return case.refuse(codes)
    rule, _ = lending_rule(policy, reader, item, loan.place, agreements, now)
    terms = _terms(loan, rule, terms_of(rule, agreements))
    codes = [] if terms is not None else ["RULE_NONE"]
    if case.stage(f"rule {'+'.join(rule.basis)}", codes):
        return case.refuse(codes)
    assert terms is not None
    codes = _stale_codes(case, facts, strictest(agreements), now)
    if case.stage("freshness", codes):
        return case.refuse(codes)
    codes = block_codes(reader.blocks, "RENEW", reader.home, org_of_branch(facts.device.branch), now)
    if case.stage("blocks", codes):
        return case.refuse(codes)
    ends = [reader.valid_to_ms, *(a.valid_to_ms for a in agreements)]
    due = max(loan.due, due_date(policy, terms, rule.hard_due_ms, loan.place, now, ends))
    for name, codes in _term_stages(terms, loan, item, due, now):
        if case.stage(name, codes):
            return case.refuse(codes)
    if facts.ils_refused:
        case.stage("ILS", ["ILS_REFUSED"])
        return case.refuse(["ILS_REFUSED"])
    basis = (*(agreement.key for agreement in agreements), *rule.basis)
    return case.allow(("RECEIPT",), due_ms=due, basis=basis, terms=terms)


def _loan_codes(policy: Policy, facts: RenewFacts) -> list[str]:
    if facts.reader is None:
        return ["CARD_UNKNOWN"]
    if facts.item is None or facts.item.owner not in policy.libraries or facts.loan is None:
        return ["ITEM_UNKNOWN"]
    if facts.loan.place not in policy.branches:
        return ["NOT_DECIDABLE_OFFLINE"]
    return [] if facts.loan.mine else ["ITEM_ON_LOAN"]


def _terms(loan: LoanFacts, rule: Resolved, today: Terms) -> Terms | None:
    """The loan's terms, or the more generous of them and today's; None where neither says how long."""
    lends = rule.lend is True and bool(today.period_days or today.period_hours)
    if not loan.terms.period_days and not loan.terms.period_hours:
        return today if lends else None
    return loan.terms.more_generous(today) if lends else loan.terms


def _stale_codes(case: Case, facts: RenewFacts, bounds: Staleness, now: int) -> list[str]:
    known = facts.known
    assert facts.loan is not None
    facts_age = now - min(known.blocks, known.loans, known.items)
    old = facts_age > bounds.borrow_facts_fresh_ms or now - known.policy > bounds.policy_fresh_ms
    if facts.away:
        case.mode = Mode.OFFLINE
    elif old or not facts.device.clock_trusted:
        case.mode = Mode.STALE
    # Out of touch, one step and no more: who asked for the item meanwhile is not known here (domain §6).
    one_step = facts.loan.unsynced == 0 and facts.device.clock_trusted
    return [] if case.mode is Mode.ONLINE or one_step else ["NOT_DECIDABLE_OFFLINE"]


def _term_stages(terms: Terms, loan: LoanFacts, item: ItemFacts, due: int, now: int) -> list[tuple[str, list[str]]]:
    opens = loan.due - terms.renew_window_days * DAY_MS if terms.renew_window_days else now
    return [
        ("renewals", ["RENEW_LIMIT"] if loan.renewed >= terms.renewals else []),
        ("window", ["RENEW_EARLY"] if now < opens else []),
        ("wanted", ["RENEW_HELD"] if loan.recalled or item.hold is Relation.OTHER else []),
        ("overdue", ["RENEW_OVERDUE"] if now > loan.due + terms.grace_ms() else []),
        ("gain", ["RENEW_EARLY"] if due <= loan.due else []),
    ]
