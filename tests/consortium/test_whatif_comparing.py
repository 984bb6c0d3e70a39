"""What if: what a draft would have answered beside what was answered, whom it concerns, and what cannot be compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from consortium.agreement import AgreementStatus, CategoryMap, LimitScope, LimitSet, Party, PolicyRule, Service
from consortium.bundle import Policy
from consortium.calendar import DAY_MS
from consortium.decision import Outcome, Route
from consortium.decisions import accept_return, may_borrow, may_enter
from consortium.events import Kind
from consortium.facts import Relation, RenewFacts, ReturnFacts
from consortium.record import record
from consortium.whatif import Step, replay, step_of
from consortium.whatif.comparison import verdict_on
from consortium.whatif.draft import Draft
from tests.consortium.replayed import THERE, Log, agreement, known, limit, loan, pairs, renewable
from tests.make import HOME, HOST, HOUR, NOW, Make

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
