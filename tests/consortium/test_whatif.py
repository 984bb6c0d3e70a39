"""What if: what a draft would have changed, and what its own earlier answers would have left behind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from consortium.agreement import (
    AgreementStatus,
    CategoryMap,
    LimitScope,
    LimitSet,
    Party,
    PolicyRule,
    Quotas,
    Service,
)  # fmt: skip
from consortium.bundle import Policy
from consortium.calendar import DAY_MS
from consortium.decision import Outcome, Route
from consortium.decisions import accept_return, may_borrow, may_enter, may_renew
from consortium.events import Kind
from consortium.facts import BorrowFacts, EnterFacts, LoanFacts, OpenLoans, Relation, RenewFacts, ReturnFacts
from consortium.record import Facts, record
from consortium.terms import Terms
from consortium.whatif import Step, WhatIf, replay, step_of
from consortium.whatif.comparison import verdict_on
from consortium.whatif.draft import Draft
from tests.make import HOME, HOST, NOW, Make

HOUR = 3_600_000
THERE = f"{HOST}-01"


class Log:
    """Writes steps as a branch would have: decides under the policy of the time and records it."""

    def __init__(self, **more: Any) -> None:
        self.policy = Make.policy(**more)
        self.steps: list[Step] = []

    def add(self, kind: Kind, at: int, who: str | None, decision: dict[str, Any] | None = None, **more: Any) -> Step:
        step = Step(
            f"n/e/{len(self.steps) + 1}", kind, at, more.pop("branch", THERE), who, HOME, decision=decision, **more
        )
        self.steps.append(step)
        return step

    def decided(self, facts: Facts, at: int) -> tuple[bool, dict[str, Any]]:
        if isinstance(facts, EnterFacts):
            made = may_enter(self.policy, facts, at)
        elif isinstance(facts, BorrowFacts):
            made = may_borrow(self.policy, facts, at)
        elif isinstance(facts, RenewFacts):
            made = may_renew(self.policy, facts, at)
        else:
            made = accept_return(self.policy, facts, at)
        return made.allowed, record(made, facts, at)

    def borrow(self, who: str | None, item_no: str, *, have: int = 0, at: int = NOW, **more: Any) -> Step:
        loans = (OpenLoans(HOST, "BOOK", have, have),) if have else ()
        fields = {
            "known": known(at),
            "item": Make.item(item_no=item_no),
            "reader": Make.reader(open_loans=loans),
            **more,
        }
        allowed, decision = self.decided(Make.borrow(**fields), at)
        return self.add(Kind.CHECKOUT if allowed else Kind.REFUSED, at, who, decision, item=(HOST, item_no))

    def renew(self, who: str, item_no: str, loan: LoanFacts, *, at: int) -> Step:
        facts = RenewFacts(Make.device(), known(at), Make.reader(), Make.item(item_no=item_no), loan)
        allowed, decision = self.decided(facts, at)
        return self.add(Kind.RENEW if allowed else Kind.REFUSED, at, who, decision, item=(HOST, item_no))

    def bring_back(self, item_no: str, *, at: int) -> Step:
        facts = Make.give_back(known=known(at), item=Make.item(item_no=item_no, loan=Relation.OTHER))
        return self.add(Kind.RETURN, at, None, self.decided(facts, at)[1], item=(HOST, item_no))

    def enter(self, who: str | None, *, at: int = NOW, **more: Any) -> Step:
        allowed, decision = self.decided(Make.enter(known=known(at), **more), at)
        return self.add(Kind.ENTRY if allowed else Kind.REFUSED, at, who, decision)

    def under(self, draft: Draft, **more: Any) -> WhatIf:
        return replay({self.policy.version: self.policy}, draft, self.steps, **more)


def known(at: int) -> Any:
    return Make.known(**dict.fromkeys(("policy", "cards", "blocks", "loans", "items"), at))


def limit(most: int) -> Draft:
    return Draft(limits=(LimitSet("lender", LimitScope.LENDER, most),))


def agreement(**more: Any) -> Draft:
    return Draft(agreements=(replace(Make.agreement(), **more),))


def pairs(found: WhatIf) -> dict[tuple[str, str], int]:
    return dict(found.by_code)


# --- what cannot be compared -------------------------------------------------------------------------------------------


def damaged(key: str, value: Any) -> dict[str, Any]:
    facts = Make.borrow()
    return {**record(may_borrow(Make.policy(), facts, NOW), facts, NOW), key: value}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("o", "DENY"), ("c", ["AGR_NONE"]), ("due", 5), ("pv", 99), ("pv", "1"), ("pv", [1]), ("f", "buy"), ("f", []), ("facts", {}),
        ("facts", None), ("facts", {"card": 3}), ("k", [1]), ("k", "abcde"), ("t", "soon"), ("t", 1 << 70), ("t", None),
    ],
)  # fmt: skip
def test_a_record_that_does_not_give_its_answer_is_counted_and_compared_with_nothing(key: str, value: Any) -> None:
    log = Log()
    log.add(Kind.CHECKOUT, NOW, "r1", damaged(key, value), item=(HOST, "1"))
    found = log.under(limit(0))
    assert (found.decisions, found.unexplained, found.total.n) == (1, 1, 0)
    assert found.examples == {"unexplained": ["n/e/1"]}


@pytest.mark.parametrize("key", ["o", "c", "pv", "f", "facts", "k", "t", "s"])
def test_a_record_that_lacks_a_part_is_unexplained(key: str) -> None:
    log = Log()
    decision = damaged("x", 1)
    del decision[key]
    log.add(Kind.CHECKOUT, NOW, "r1", decision, item=(HOST, "1"))
    assert log.under(limit(0)).unexplained == 1


def test_an_empty_period_compares_nothing() -> None:
    found = Log().under(limit(0))
    assert (found.decisions, found.same, found.examples) == (0, 0, {})


def test_events_without_a_decision_are_no_decisions() -> None:
    log = Log()
    log.add(Kind.CHECKOUT, NOW, "r1", item=(HOST, "1"))
    log.add(Kind.EXIT, NOW, "r1")
    assert log.under(limit(0)).decisions == 0


# --- comparing ---------------------------------------------------------------------------------------------------------


def test_the_policy_as_it_is_changes_nothing() -> None:
    log = Log()
    log.borrow("r1", "1")
    log.borrow("r1", "2", have=9)
    log.enter("r2")
    log.bring_back("1", at=NOW + HOUR)
    found = log.under(Draft(agreements=(Make.agreement(),), rules=log.policy.bundle.rules, limits=log.policy.limits))
    assert (found.total.n, found.same, found.moot, found.unexplained) == (4, 4, 0, 0)
    assert found.examples == {}


def test_what_is_newly_refused_is_told_by_code_pair_home_host_category_and_function() -> None:
    log = Log()
    first = log.enter("r1")
    log.enter("r2", reader=Make.reader(HOST, category="PG"))
    found = log.under(agreement(services=frozenset({Service.RETURN})))
    assert pairs(found) == {("OK", "AGR_SERVICE_OFF"): 1, ("OK", "OK"): 1}
    refused, kept = found.by_home_host[HOME, HOST], found.by_home_host[HOST, HOST]
    assert (refused.n, refused.allowed_before, refused.allowed_after, refused.newly_refused) == (1, 1, 0, 1)
    assert (kept.n, kept.newly_refused) == (1, 0)
    assert {key: counts.newly_refused for key, counts in found.by_category.items()} == {
        (HOME, "UG"): 1,
        (HOST, "PG"): 0,
    }
    assert found.by_function["enter"].n == 2
    assert found.examples == {"newly_refused": [first.id]}


def test_what_is_newly_allowed_is_told() -> None:
    log = Log(agreements=())
    log.enter("r1")
    found = log.under(agreement())
    assert pairs(found) == {("AGR_NONE", "OK"): 1}
    assert (found.total.newly_allowed, found.total.newly_refused, found.same) == (1, 0, 0)


def test_another_reason_for_the_same_refusal_is_otherwise() -> None:
    log = Log(agreements=())
    log.enter("r1")
    found = log.under(agreement(status=AgreementStatus.SUSPENDED))
    assert pairs(found) == {("AGR_NONE", "AGR_SUSPENDED"): 1}
    assert (found.total.otherwise, found.same) == (1, 0)


@pytest.mark.parametrize(
    ("days", "earlier", "later", "mean"), [(10, 1, 0, -20 * DAY_MS), (45, 0, 1, 15 * DAY_MS), (30, 0, 0, 0)]
)
def test_due_dates_that_move_are_counted(days: int, earlier: int, later: int, mean: int) -> None:
    log = Log()
    log.borrow("r1", "1")
    found = log.under(Draft(rules=(PolicyRule("general", lend=True, period_days=days),)))
    assert (found.due.compared, found.due.earlier, found.due.later, found.due.mean_ms) == (1, earlier, later, mean)
    assert found.total.otherwise == earlier + later


def test_a_return_that_would_be_routed_otherwise_is_otherwise() -> None:
    log = Log()
    facts = ReturnFacts(Make.device(), known(NOW), Make.item(HOME, item_type="KIT", loan=Relation.OTHER))
    log.add(Kind.RETURN, NOW, None, log.decided(facts, NOW)[1], item=(HOME, "1001"))
    found = log.under(Draft(rules=(PolicyRule("kits", item_type="KIT", returnable_at="owner"),)))
    assert pairs(found) == {("RETURN_TRANSIT", "RETURN_SET_ASIDE"): 1}


def test_another_route_or_another_kind_of_refusal_is_otherwise() -> None:
    back = accept_return(Make.policy(), Make.give_back(known=known(NOW)), NOW)
    assert verdict_on(back, back) == "same"
    assert verdict_on(back, replace(back, route=Route("TRANSIT", f"{HOME}-01"))) == "otherwise"
    no = may_enter(Make.policy(agreements=()), Make.enter(), NOW)
    assert verdict_on(no, replace(no, outcome=Outcome.REFER)) == "otherwise"
    assert verdict_on(no, replace(no, codes=(*no.codes, "AGR_QUOTA"))) == "same"


def test_each_decision_is_replayed_under_the_policy_of_its_time() -> None:
    old, new = Log(version=1), Log(version=2, limits=(LimitSet("lender", LimitScope.LENDER, 1),))
    steps = [old.borrow("r1", "1", have=3), new.borrow("r2", "2", have=3)]
    found = replay({1: old.policy, 2: new.policy}, Draft(rules=(PolicyRule("none"),)), steps)
    assert pairs(found) == {("OK", "OK"): 1, ("LIMIT_LENDER", "LIMIT_LENDER"): 1}
    assert found.unexplained == 0


def test_examples_are_as_many_as_asked_for() -> None:
    log = Log()
    for number in range(9):
        log.enter(f"r{number}")
    assert log.under(agreement(services=frozenset()), examples=3).examples == {
        "newly_refused": ["n/e/1", "n/e/2", "n/e/3"]
    }


def test_an_agreement_leaves_alone_whom_it_does_not_cover() -> None:
    log = Log(agreements=(Make.agreement(), replace(Make.agreement(), id="other", parties=(Party("1"), Party("2")))))
    log.borrow("r1", "1")
    log.enter("r2")
    found = log.under(Draft(agreements=(replace(log.policy.bundle.agreements[1], services=frozenset()),)))
    assert (found.same, found.total.n) == (2, 2)


# --- loans carried -----------------------------------------------------------------------------------------------------


def test_a_loan_that_would_have_been_refused_does_not_count_afterwards() -> None:
    log = Log()
    log.borrow("r1", "1", have=2)  # refused under a limit of 2
    log.borrow("r1", "2", have=3)  # counted three, of which one would not be: still refused
    log.borrow("r1", "3", have=4)
    log.bring_back("0", at=NOW + HOUR)
    log.borrow("r1", "4", have=3, at=NOW + 2 * HOUR)
    found = log.under(limit(2))
    assert pairs(found) == {("OK", "LIMIT_LENDER"): 3, ("OK", "OK"): 1, ("RETURN_HOME", "RETURN_HOME"): 1}


def test_the_limit_bites_once_and_not_for_every_later_loan() -> None:
    log = Log()
    for number in range(5):
        log.borrow("r1", str(number), have=number)
    found = log.under(limit(2))
    assert pairs(found) == {("OK", "OK"): 2, ("OK", "LIMIT_LENDER"): 3}
    # One is returned in fact; it is one of the two that the draft would have made, so the next is allowed.
    log.bring_back("0", at=NOW + HOUR)
    log.borrow("r1", "9", have=4, at=NOW + 2 * HOUR)
    assert pairs(log.under(limit(2)))["OK", "OK"] == 3


def test_a_refused_loan_that_ends_no_longer_lowers_the_count() -> None:
    log = Log()
    log.borrow("r1", "1", have=2)
    log.bring_back("1", at=NOW + HOUR)
    log.borrow("r1", "2", have=2, at=NOW + 2 * HOUR)
    found = log.under(limit(2))
    assert pairs(found) == {("OK", "LIMIT_LENDER"): 2}
    assert found.moot == 1  # nothing would have been there to return


def test_only_the_readers_own_counts_change() -> None:
    log = Log()
    log.borrow("r1", "1", have=2)
    log.borrow("r2", "2", have=2)
    assert pairs(log.under(limit(2))) == {("OK", "LIMIT_LENDER"): 2}


def test_a_loan_that_would_have_been_allowed_counts_until_it_is_due() -> None:
    rules = (PolicyRule("general", lend=True, period_days=10),)
    log = Log(limits=(LimitSet("lender", LimitScope.LENDER, 2),), rules=rules)
    log.borrow("r1", "1", have=2)
    log.borrow("r1", "2", have=2)
    found = log.under(limit(3))
    assert pairs(found) == {("LIMIT_LENDER", "OK"): 1, ("LIMIT_LENDER", "LIMIT_LENDER"): 1}
    log.borrow("r1", "3", have=2, at=NOW + 12 * DAY_MS)
    assert pairs(log.under(limit(3))) == {("LIMIT_LENDER", "OK"): 2, ("LIMIT_LENDER", "LIMIT_LENDER"): 1}


def test_asking_again_for_what_the_draft_would_have_lent_is_moot() -> None:
    log = Log()
    log.borrow("r1", "1", have=9)
    log.borrow("r1", "1", have=9)
    log.borrow("r2", "1", have=9)
    found = log.under(limit(12))
    assert (found.moot, found.total.newly_allowed) == (1, 2)
    assert found.examples["moot"] == ["n/e/2"]


def test_a_loan_made_after_all_takes_the_place_of_the_one_that_might_have_been() -> None:
    log = Log()
    log.borrow("r1", "1", have=5)
    log.borrow("r1", "1", have=4, at=NOW + HOUR)
    log.borrow("r1", "2", have=5, at=NOW + 2 * HOUR)
    assert pairs(log.under(limit(6))) == {("LIMIT_LENDER", "OK"): 2, ("OK", "OK"): 1}


def test_a_loan_that_staff_made_against_the_answer_is_made_all_the_same() -> None:
    log = Log()
    log.borrow("r1", "1", have=5)
    log.steps[0] = replace(log.steps[0], kind=Kind.CHECKOUT)
    log.borrow("r1", "2", have=4)
    assert pairs(log.under(limit(4))) == {("LIMIT_LENDER", "LIMIT_LENDER"): 1, ("OK", "LIMIT_LENDER"): 1}
    log.borrow("r1", "3", have=6)  # the loan that staff made is among the six
    assert pairs(log.under(limit(7))) == {("LIMIT_LENDER", "OK"): 2, ("OK", "OK"): 1}


def test_an_item_that_would_not_be_on_loan_can_be_lent() -> None:
    log = Log()
    log.borrow("r1", "1", have=2)
    log.borrow("r2", "1", item=Make.item(item_no="1", loan=Relation.OTHER), at=NOW + HOUR)
    found = log.under(limit(2))
    assert pairs(found) == {("OK", "LIMIT_LENDER"): 1, ("ITEM_ON_LOAN", "OK"): 1}


def test_loans_at_a_lender_count_for_all_readers_of_the_agreement() -> None:
    def capped(most: int) -> Draft:
        return agreement(quotas=Quotas(loans_per_lender=most))

    log = Log()
    for number in range(3):
        log.borrow(f"r{number}", str(number), partner_loans=10 + number)
    assert pairs(log.under(capped(11))) == {("OK", "OK"): 1, ("OK", "AGR_QUOTA"): 2}
    assert pairs(log.under(capped(10))) == {("OK", "AGR_QUOTA"): 3}
    log.bring_back("0", at=NOW + HOUR)
    log.borrow("r7", "7", partner_loans=12, at=NOW + 2 * HOUR)  # 12 counted, 2 of them would not be: 10
    assert pairs(log.under(capped(11)))["OK", "OK"] == 2
    log.bring_back("1", at=NOW + 3 * HOUR)
    log.borrow("r8", "8", partner_loans=12, at=NOW + 4 * HOUR)  # 12 counted, 1 of them would not be: 11
    assert pairs(log.under(capped(11)))["OK", "OK"] == 2


def test_a_loan_that_the_counts_did_not_know_yet_is_not_taken_off_others() -> None:
    log = Log()
    log.borrow("r1", "1", item=Make.item(item_no="1", item_type="DISC"))
    log.borrow("r1", "2", have=3)
    draft = Draft(
        limits=(LimitSet("discs", LimitScope.LENDER, 0, frozenset({"DISC"})), LimitSet("lender", LimitScope.LENDER, 3))
    )
    assert pairs(log.under(draft)) == {("OK", "LIMIT_TYPE"): 1, ("OK", "LIMIT_LENDER"): 1}


def test_the_value_of_a_refused_loan_is_taken_off_as_well() -> None:
    def worth(item_no: str, value: int) -> Any:
        return Make.item(item_no=item_no, value=value)

    def having(value: int) -> Any:
        return Make.reader(open_loans=(OpenLoans(HOST, "BOOK", 2, value),))

    log = Log()
    log.borrow("r1", "1", item=worth("1", 6), reader=having(6))
    log.borrow("r1", "2", item=worth("2", 4), reader=having(12))
    draft = Draft(limits=(LimitSet("lender", LimitScope.LENDER, 9, max_value=10),))
    assert pairs(log.under(draft)) == {("OK", "LIMIT_VALUE"): 1, ("OK", "OK"): 1}


def test_what_the_draft_would_lend_to_who_has_it_is_no_loan_more() -> None:
    log = Log()
    log.borrow("r1", "1", have=2)  # refused by the draft, made in fact
    has = Make.item(item_no="1", loan=Relation.SELF)
    log.borrow("r1", "1", item=has, reader=Make.reader(open_loans=(OpenLoans(HOST, "BOOK", 2),)), at=NOW + HOUR)
    log.borrow("r1", "2", have=1, at=NOW + 2 * HOUR)
    found = log.under(limit(2))
    assert pairs(found) == {("OK", "LIMIT_LENDER"): 1, ("ITEM_ON_LOAN_SELF", "OK"): 1, ("OK", "OK"): 1}
    log.bring_back("1", at=NOW + 3 * HOUR)
    assert log.under(limit(2)).moot == 0


def test_one_reader_may_have_in_fact_what_another_would_have() -> None:
    log = Log()
    log.borrow("r1", "1", have=2)
    log.borrow("r2", "1", item=Make.item(item_no="1", loan=Relation.OTHER), at=NOW + HOUR)
    log.borrow("r1", "2", have=2, at=NOW + 2 * HOUR)  # its two are one without item 1
    log.borrow("r2", "3", have=1, at=NOW + 2 * HOUR)  # its one is two with item 1
    found = log.under(limit(2))
    assert pairs(found) == {("OK", "LIMIT_LENDER"): 2, ("ITEM_ON_LOAN", "OK"): 1, ("OK", "OK"): 1}


def test_an_item_brought_back_that_only_the_draft_lent_is_compared() -> None:
    log = Log()
    log.borrow("r1", "1", have=5)
    log.bring_back("1", at=NOW + HOUR)
    log.borrow("r1", "2", have=5, at=NOW + 2 * HOUR)
    found = log.under(limit(6))
    assert (found.moot, pairs(found)) == (0, {("LIMIT_LENDER", "OK"): 2, ("RETURN_HOME", "RETURN_HOME"): 1})


# --- whom an agreement concerns ----------------------------------------------------------------------------------------


def test_an_own_reader_gets_what_the_draft_would_not_have_lent_to_a_partner() -> None:
    log = Log()
    log.borrow("r1", "1")
    own = Make.reader(HOST)
    log.borrow("r2", "1", reader=own, item=Make.item(item_no="1", loan=Relation.OTHER), at=NOW + HOUR)
    assert pairs(log.under(agreement(services=frozenset()))) == {
        ("OK", "AGR_SERVICE_OFF"): 1,
        ("ITEM_ON_LOAN", "OK"): 1,
    }


def test_a_party_that_the_draft_leaves_out_is_no_longer_served() -> None:
    log = Log()
    log.enter("r1")
    assert pairs(log.under(agreement(parties=(Party(HOST), Party("990002"))))) == {("OK", "AGR_NONE"): 1}


def test_a_partners_item_borrowed_at_home_needs_the_agreement() -> None:
    log = Log()
    log.borrow("r1", "1", device=Make.device(f"{HOME}-01"))
    assert pairs(log.under(agreement(services=frozenset()))) == {("OK", "AGR_SERVICE_OFF"): 1}


def test_a_loan_made_at_a_partner_is_renewed_at_home_under_the_agreement() -> None:
    log = renewable()
    facts = RenewFacts(Make.device(f"{HOME}-01"), known(NOW), Make.reader(), Make.item(HOME), loan(due=NOW + DAY_MS))
    log.add(Kind.RENEW, NOW, "r1", log.decided(facts, NOW)[1], item=(HOME, "1001"))
    assert pairs(log.under(agreement(services=frozenset()))) == {("OK", "AGR_SERVICE_OFF"): 1}


# --- renewals ----------------------------------------------------------------------------------------------------------

TERMS = Terms(period_days=30, renewals=2)


def loan(**more: Any) -> LoanFacts:
    return LoanFacts(**{"mine": True, "t_out": NOW, "due": NOW + 30 * DAY_MS, "place": THERE, "terms": TERMS, **more})


def renewable(**more: Any) -> Log:
    return Log(rules=(PolicyRule("general", lend=True, period_days=30, renewals=2),), **more)


def test_a_renewal_of_a_loan_that_would_not_be_is_moot() -> None:
    log = renewable()
    log.borrow("r1", "1", have=2)
    log.renew("r1", "1", loan(), at=NOW + 20 * DAY_MS)
    found = log.under(limit(2))
    assert (found.moot, pairs(found)) == (1, {("OK", "LIMIT_LENDER"): 1})


def test_a_renewal_starts_from_the_due_date_the_draft_would_have_promised() -> None:
    log = renewable()
    out = log.borrow("r1", "1")
    assert out.decision is not None
    log.renew("r1", "1", loan(due=out.decision["due"]), at=NOW + 20 * DAY_MS)
    longer = Draft(rules=(PolicyRule("general", lend=True, period_days=90, renewals=2),))
    found = log.under(longer)
    # Due after 90 days; renewed on day 20 for 90 days more: 110, where it was 50.
    assert found.due.later == 2
    shorter = log.under(Draft(rules=(PolicyRule("general", lend=True, period_days=10, renewals=2),)))
    # Due after 10 days it would be overdue by day 20.
    assert pairs(shorter) == {("OK", "OK"): 1, ("OK", "RENEW_OVERDUE"): 1}


def test_a_renewal_that_would_have_been_refused_is_left_over_for_later() -> None:
    log = renewable()
    log.renew("r1", "1", loan(), at=NOW + 20 * DAY_MS)  # blacked out under the draft
    log.renew("r1", "1", loan(renewed=1, due=NOW + 50 * DAY_MS), at=NOW + 25 * DAY_MS)
    log.renew("r1", "1", loan(renewed=2, due=NOW + 55 * DAY_MS), at=NOW + 29 * DAY_MS)
    once = Make.agreement(status=AgreementStatus.ACTIVE, valid_from_ms=NOW + 21 * DAY_MS)
    found = log.under(Draft(agreements=(once,)))
    assert pairs(found) == {("OK", "AGR_NOT_YET"): 1, ("OK", "OK"): 1, ("RENEW_LIMIT", "OK"): 1}


def test_renewals_follow_one_another_in_the_drafts_world() -> None:
    log = renewable()
    log.borrow("r1", "1")
    log.renew("r1", "1", loan(), at=NOW + 20 * DAY_MS)
    log.renew("r1", "1", loan(due=NOW + 50 * DAY_MS, renewed=1), at=NOW + 45 * DAY_MS)
    found = log.under(Draft(rules=(PolicyRule("general", lend=True, period_days=40, renewals=2),)))
    # Due on day 40, renewed to day 60, on day 45 once more.
    assert (pairs(found), found.due.later) == ({("OK", "OK"): 3}, 3)


def test_a_loan_on_other_terms_is_renewed_by_those() -> None:
    log = renewable()
    log.borrow("r1", "1")
    log.renew("r1", "1", loan(), at=NOW + 20 * DAY_MS)
    draft = Draft(rules=(PolicyRule("general", lend=True, period_days=30, renewals=0),))
    assert pairs(log.under(draft)) == {("OK", "OK"): 1, ("OK", "RENEW_LIMIT"): 1}


def test_what_was_promised_ends_with_the_loan() -> None:
    log = renewable()
    log.borrow("r1", "1")
    log.bring_back("1", at=NOW + HOUR)
    log.add(Kind.CHECKOUT, NOW + 2 * HOUR, "r1", item=(HOST, "1"))
    log.renew("r1", "1", loan(), at=NOW + 20 * DAY_MS)
    found = log.under(Draft(rules=(PolicyRule("general", lend=True, period_days=10, renewals=2),)))
    assert pairs(found) == {("OK", "OK"): 2, ("RETURN_HOME", "RETURN_HOME"): 1}


# --- visits carried ----------------------------------------------------------------------------------------------------


def visitors(now: int = 0, day: int = 0) -> Draft:
    return agreement(quotas=Quotas(visitors_now=now, visits_per_day=day))


def test_visitors_who_would_have_been_refused_leave_room() -> None:
    log = Log()
    for number in range(3):
        log.enter(f"r{number}", partner_visitors=number)
    assert pairs(log.under(visitors(now=2))) == {("OK", "OK"): 2, ("OK", "AGR_QUOTA"): 1}
    log.enter("r8", partner_visitors=2, at=NOW + HOUR)  # one of the first went out: 2 counted, 1 would be inside
    assert pairs(log.under(visitors(now=2))) == {("OK", "OK"): 3, ("OK", "AGR_QUOTA"): 1}


@pytest.mark.parametrize("ended", ["exit", "closed", "again", "day"])
def test_a_refused_visit_is_over_when_the_real_one_is(ended: str) -> None:
    log = Log()
    entry = log.enter("r1", partner_visitors=2)
    at = NOW + HOUR
    if ended == "exit":
        log.add(Kind.EXIT, at, "r1")
    elif ended == "closed":
        log.add(Kind.VISIT_CLOSED, at, None, visit=entry.id)
    elif ended == "again":
        log.add(Kind.ENTRY, at, "r1")
    else:
        at = NOW + 25 * HOUR
    log.enter("r2", partner_visitors=2, at=at)
    assert pairs(log.under(visitors(now=2))) == {("OK", "AGR_QUOTA"): 2}


def test_visits_of_a_day_count_within_that_day_at_the_branch() -> None:
    log = Log()
    log.enter("r1", visits_today=2)
    log.enter("r2", visits_today=3)
    assert pairs(log.under(visitors(day=2))) == {("OK", "AGR_QUOTA"): 2}
    assert pairs(log.under(visitors(day=3))) == {("OK", "OK"): 1, ("OK", "AGR_QUOTA"): 1}
    log.enter("r3", visits_today=2, at=NOW + HOUR)
    found = log.under(visitors(day=2))
    assert pairs(found) == {("OK", "AGR_QUOTA"): 2, ("OK", "OK"): 1}  # two of the three before would not have come in
    log.enter("r4", visits_today=2, at=NOW + DAY_MS + HOUR)
    assert pairs(log.under(visitors(day=2)))["OK", "AGR_QUOTA"] == 3


def test_a_visitor_the_draft_lets_in_stays_a_while_and_does_not_ask_again() -> None:
    log = Log(agreements=(replace(Make.agreement(), quotas=Quotas(visitors_now=1)),))
    log.enter("r1", partner_visitors=1)
    log.enter("r1", partner_visitors=1, at=NOW + HOUR // 60)
    log.enter("r2", partner_visitors=1, at=NOW + HOUR // 30)
    log.enter("r3", partner_visitors=1, at=NOW + 3 * HOUR)
    found = log.under(visitors(now=2))
    assert (found.moot, pairs(found)) == (1, {("AGR_QUOTA", "OK"): 2, ("AGR_QUOTA", "AGR_QUOTA"): 1})


def test_a_visit_of_the_draft_ends_after_its_stay_to_the_millisecond() -> None:
    log = Log(agreements=(replace(Make.agreement(), quotas=Quotas(visitors_now=1)),))
    log.enter("r1", partner_visitors=1)
    log.enter("r2", partner_visitors=1, at=NOW + 2 * HOUR - 1)
    log.enter("r3", partner_visitors=1, at=NOW + 2 * HOUR)
    assert pairs(log.under(visitors(now=2))) == {("AGR_QUOTA", "OK"): 2, ("AGR_QUOTA", "AGR_QUOTA"): 1}


def test_who_came_in_after_all_is_compared() -> None:
    log = Log(agreements=(replace(Make.agreement(), quotas=Quotas(visitors_now=1)),))
    log.enter("r1", partner_visitors=1)
    log.enter("r1", at=NOW + HOUR)
    log.enter("r2", partner_visitors=1, at=NOW + HOUR + 1)  # the first is counted, and not once more
    found = log.under(visitors(now=2))
    assert (found.moot, pairs(found)) == (0, {("AGR_QUOTA", "OK"): 2, ("OK", "OK"): 1})


def test_who_was_let_in_by_staff_was_let_in_in_both_worlds() -> None:
    log = Log(agreements=(replace(Make.agreement(), quotas=Quotas(visitors_now=3)),))
    log.enter("r1", partner_visitors=5)
    log.steps[0] = replace(log.steps[0], kind=Kind.ENTRY)
    log.enter("r2", partner_visitors=4)
    assert pairs(log.under(visitors(now=4))) == {("AGR_QUOTA", "AGR_QUOTA"): 2}


def test_an_own_reader_takes_a_place_but_no_partners() -> None:
    log = Log(branches=tuple(replace(branch, capacity=10) for branch in Make.bundle().branches))
    log.enter("r1", occupancy=9, partner_visitors=5)
    log.enter("r2", occupancy=10, reader=Make.reader(HOST))
    log.enter("r3", occupancy=8, partner_visitors=5)
    assert pairs(log.under(visitors(now=5))) == {("OK", "AGR_QUOTA"): 1, ("BRANCH_FULL", "OK"): 1, ("OK", "OK"): 1}


def test_a_place_is_taken_again_when_the_refused_visitor_went_out() -> None:
    log = Log(branches=tuple(replace(branch, capacity=10) for branch in Make.bundle().branches))
    log.enter("r1", partner_visitors=5)
    log.add(Kind.EXIT, NOW + 1, "r1")
    log.enter("r2", occupancy=10, reader=Make.reader(HOST))
    assert pairs(log.under(visitors(now=5))) == {("OK", "AGR_QUOTA"): 1, ("BRANCH_FULL", "BRANCH_FULL"): 1}


def test_a_reader_who_would_not_have_come_in_is_not_inside() -> None:
    branches = tuple(replace(branch, anti_pass_back=True) for branch in Make.bundle().branches)
    log = Log(branches=branches)
    log.enter("r1", partner_visitors=5)
    log.enter("r1", inside=True, partner_visitors=1, at=NOW + HOUR)
    assert pairs(log.under(visitors(now=5))) == {("OK", "AGR_QUOTA"): 1, ("ALREADY_INSIDE", "OK"): 1}
    log.enter("r2", partner_visitors=4, at=NOW + HOUR)  # r1 is among the four in both worlds now
    log.enter("r3", partner_visitors=5, at=NOW + HOUR)
    assert pairs(log.under(visitors(now=5))) == {("OK", "AGR_QUOTA"): 2, ("ALREADY_INSIDE", "OK"): 1, ("OK", "OK"): 1}
    log.enter("r4", partner_visitors=6, at=NOW + 4 * HOUR)  # r3 is among the six, and would not be
    assert pairs(log.under(visitors(now=5)))["OK", "AGR_QUOTA"] == 3


def test_an_entry_that_took_place_later_counts_once_in_the_days_number() -> None:
    log = Log(branches=tuple(replace(branch, anti_pass_back=True) for branch in Make.bundle().branches))
    log.enter("r1", partner_visitors=5, visits_today=0)
    log.enter("r1", inside=True, partner_visitors=1, visits_today=1, at=NOW + HOUR)
    log.enter("r2", visits_today=1, at=NOW + HOUR)
    draft = agreement(quotas=Quotas(visitors_now=5, visits_per_day=1))
    assert pairs(log.under(draft)) == {("OK", "AGR_QUOTA"): 2, ("ALREADY_INSIDE", "OK"): 1}


def test_a_place_that_would_be_free_is_taken() -> None:
    branches = tuple(replace(branch, capacity=10) for branch in Make.bundle().branches)
    log = Log(branches=branches)
    log.enter("r1", occupancy=9, partner_visitors=5)
    log.enter("r2", occupancy=10, partner_visitors=4)
    assert pairs(log.under(visitors(now=5))) == {("OK", "AGR_QUOTA"): 1, ("BRANCH_FULL", "OK"): 1}


# --- reading a log -----------------------------------------------------------------------------------------------------


def test_a_step_is_what_the_event_says() -> None:
    event = Make.event(Kind.CHECKOUT, 7, decision={"f": "borrow"})
    assert step_of(event, "r1") == Step(
        str(event.id), Kind.CHECKOUT, NOW, THERE, "r1", HOME, (HOST, "1001"), None, {"f": "borrow"}
    )


def test_steps_are_read_once_and_not_kept() -> None:
    def stream() -> Iterable[Step]:
        for number in range(100):
            yield Step(f"n/e/{number}", Kind.EXIT, NOW, THERE)

    assert replay({1: Policy(Make.bundle())}, limit(1), stream()).decisions == 0


def test_the_category_map_of_a_draft_decides_whom_it_serves() -> None:
    log = Log()
    log.enter("r1", reader=Make.reader(category="PG"))
    assert log.steps[0].kind is Kind.REFUSED
    mapped = replace(Make.agreement(), category_map=(*Make.agreement().category_map, CategoryMap(HOME, "PG", "U-PG")))
    assert pairs(log.under(Draft(agreements=(mapped,)))) == {("AGR_CATEGORY", "OK"): 1}
