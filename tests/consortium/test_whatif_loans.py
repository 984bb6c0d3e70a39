"""What if, loan after loan: what the draft's own earlier answers would have left on loan and promised."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from consortium.agreement import AgreementStatus, LimitScope, LimitSet, PolicyRule, Quotas
from consortium.calendar import DAY_MS
from consortium.events import Kind
from consortium.facts import OpenLoans, Relation
from consortium.whatif.draft import Draft
from tests.consortium.replayed import Log, agreement, limit, loan, pairs, renewable
from tests.make import HOST, HOUR, NOW, Make

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


# --- renewals ----------------------------------------------------------------------------------------------------------


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
