"""may_borrow: refusals in evaluation order, then due dates."""

from __future__ import annotations

import pytest

from consortium.agreement import LimitScope, LimitSet, PolicyRule, Service
from consortium.calendar import Calendar
from consortium.decision import Mode, Outcome
from consortium.decisions import may_borrow
from consortium.facts import Assurance, BlockFacts, ItemStatus, OpenLoans, Relation
from tests.make import DAY, HOME, HOST, HOUR, NOW, THIRD, Make

OWN = Make.device(f"{HOME}-01")


def decide(facts, **policy):
    return may_borrow(Make.policy(**policy), facts, NOW)


def test_a_partner_with_a_copyable_card_must_give_a_pin():
    low = Make.card(assurance=Assurance.LOW)
    assert decide(Make.borrow(card=low)).primary == "CARD_ASSURANCE_LOW"
    assert decide(Make.borrow(card=low, pin=True)).allowed
    assert decide(Make.borrow(card=low, device=OWN, item=Make.item(HOME))).allowed


@pytest.mark.parametrize(
    ("item", "code"),
    [
        (None, "ITEM_UNKNOWN"),
        (Make.item("880000"), "ITEM_UNKNOWN"),
        (Make.item(loan=Relation.SELF, status=ItemStatus.ON_LOAN), "ITEM_ON_LOAN_SELF"),
        (Make.item(loan=Relation.OTHER, status=ItemStatus.ON_LOAN), "ITEM_ON_LOAN"),
        (Make.item(hold=Relation.OTHER), "ITEM_HELD"),
        (Make.item(hold=Relation.SELF), "OK"),
        (Make.item(reference=True), "ITEM_REFERENCE"),
        (Make.item(shareable=False), "ITEM_NOT_SHARED"),
        (Make.item(status=ItemStatus.IN_TRANSIT), "OK"),
        (Make.item(status=ItemStatus.MISSING), "OK"),
    ],
)
def test_the_item_says_why_not(item, code):
    assert decide(Make.borrow(item=item)).primary == code


def test_a_tag_that_contradicts_the_barcode_is_refused():
    assert decide(Make.borrow(tag_agrees=False)).primary == "ITEM_MISMATCH"


def test_an_item_not_shared_is_still_lent_to_own_readers_at_home():
    assert decide(Make.borrow(device=OWN, item=Make.item(HOME, shareable=False))).allowed


def test_borrowing_needs_an_agreement_with_the_place_and_with_the_owner():
    assert decide(Make.borrow(item=Make.item(THIRD))).primary == "AGR_NONE"
    assert decide(Make.borrow(device=OWN, item=Make.item(THIRD))).primary == "AGR_NONE"
    assert decide(Make.borrow(device=OWN, item=Make.item(HOST))).allowed


def test_an_agreement_to_enter_only_lends_nothing():
    reading = Make.agreement(services=frozenset({Service.ENTER}))
    assert decide(Make.borrow(), agreements=(reading,)).primary == "AGR_SERVICE_OFF"


def test_an_excluded_type_is_not_lent_to_partners():
    strict = Make.agreement(excluded_item_types=frozenset({"BOOK"}))
    assert decide(Make.borrow(), agreements=(strict,)).primary == "ITEM_NOT_SHARED"


def test_without_a_rule_nothing_is_lent():
    assert decide(Make.borrow(), rules=()).primary == "RULE_NONE"


def test_a_rule_for_an_age_refuses_the_others_though_a_general_rule_lends():
    rules = (PolicyRule("general", lend=True, period_days=30), PolicyRule("old", category="U", age_from=21, lend=True))
    assert decide(Make.borrow(), rules=rules).primary == "READER_AGE"
    assert decide(Make.borrow(reader=Make.reader(age=21)), rules=rules).allowed
    assert decide(Make.borrow(reader=Make.reader(age=None)), rules=rules).primary == "READER_AGE"


@pytest.mark.parametrize(
    ("limit", "code"),
    [
        (LimitSet("x", LimitScope.LENDER, 3), "LIMIT_LENDER"),
        (LimitSet("x", LimitScope.LENDER, 4), "OK"),
        (LimitSet("x", LimitScope.LENDER, 3, item_types=frozenset({"BOOK"})), "LIMIT_TYPE"),
        (LimitSet("x", LimitScope.LENDER, 1, item_types=frozenset({"DISC"})), "OK"),
        (LimitSet("x", LimitScope.CONSORTIUM, 5), "LIMIT_CONSORTIUM"),
        (LimitSet("x", LimitScope.CONSORTIUM, 6), "OK"),
        (LimitSet("x", LimitScope.CONSORTIUM, 5, partners_only=True), "OK"),
        (LimitSet("x", LimitScope.CONSORTIUM, 9, max_value=5), "LIMIT_VALUE"),
        (LimitSet("x", LimitScope.LENDER, 0, categories=frozenset({"STAFF"})), "OK"),
        (LimitSet("x", LimitScope.LENDER, 0, lender=HOME), "OK"),
    ],
)
def test_limits_count_what_their_scope_says(limit, code):
    reader = Make.reader(open_loans=(OpenLoans(HOST, "BOOK", 3, 3), OpenLoans(HOME, "BOOK", 2, 2)))
    assert decide(Make.borrow(reader=reader), limits=(limit,)).primary == code


def test_a_block_on_borrowing_refuses_and_one_on_entering_does_not():
    blocked = Make.reader(blocks=(BlockFacts(HOME, "issuer", frozenset({"BORROW"}), "OVERDUE"),))
    assert decide(Make.borrow(reader=blocked)).primary == "BLOCK_HOME"
    other = Make.reader(blocks=(BlockFacts(HOME, "issuer", frozenset({"ENTER"})),))
    assert decide(Make.borrow(reader=other)).allowed


@pytest.mark.parametrize(
    ("age", "unsynced", "code", "mode"),
    [
        (15 * 60_000, 9, "OK", Mode.ONLINE),
        (15 * 60_000 + 1, 1, "OK", Mode.STALE),
        (15 * 60_000 + 1, 2, "LIMIT_OFFLINE", Mode.STALE),
        (8 * HOUR + 1, 0, "NOT_DECIDABLE_OFFLINE", Mode.STALE),
    ],
)
def test_offline_lending_is_capped_and_then_ends(age, unsynced, code, mode):
    facts = Make.borrow(known=Make.known(age, policy=NOW), reader=Make.reader(unsynced=unsynced))
    decision = decide(facts)
    assert (decision.primary, decision.mode) == (code, mode)


@pytest.mark.parametrize(("unsynced", "code"), [(0, "OK"), (1, "OK"), (2, "LIMIT_OFFLINE")])
def test_while_the_hub_is_away_the_offline_cap_binds_on_fresh_facts_too(unsynced, code):
    decision = decide(Make.borrow(away=True, reader=Make.reader(unsynced=unsynced)))
    assert (decision.primary, decision.mode) == (code, Mode.OFFLINE)
    assert decide(Make.borrow(reader=Make.reader(unsynced=9))).primary == "OK"


def test_a_type_that_is_not_lent_offline_is_referred_on_old_item_facts():
    rules = (PolicyRule("general", lend=True, period_days=30, offline_lend=False),)
    decision = decide(Make.borrow(known=Make.known(items=NOW - HOUR)), rules=rules)
    assert (decision.outcome, decision.primary) == (Outcome.REFER, "NOT_DECIDABLE_OFFLINE")


def test_partners_are_referred_on_a_day_old_policy_and_own_readers_are_not():
    old = Make.known(policy=NOW - 25 * HOUR)
    assert decide(Make.borrow(known=old)).primary == "STALE_POLICY"
    assert decide(Make.borrow(known=old, device=OWN, item=Make.item(HOME))).allowed


def test_the_most_specific_rule_speaks_and_the_rest_falls_through():
    rules = (
        PolicyRule("general", lend=True, period_days=30),
        PolicyRule("books", item_type="BOOK", period_days=10),
        PolicyRule("here", place=f"{HOST}-01", period_days=20),
    )
    decision = decide(Make.borrow(), rules=rules)
    # item_type stands before place in the match order.
    assert decision.basis == ("both@1", "books", "general")
    assert 9 * DAY <= decision.due_ms - NOW <= 11 * DAY


def test_a_due_date_on_a_closed_day_moves_to_the_next_open_one():
    open_sundays = Calendar("always", "Asia/Shanghai", (((0, 1440),),) + ((),) * 5 + (((0, 1440),),))
    decision = decide(
        Make.borrow(), calendars=(open_sundays,), rules=(PolicyRule("general", lend=True, period_days=2),)
    )
    assert decision.allowed
    from datetime import datetime
    from zoneinfo import ZoneInfo

    due = datetime.fromtimestamp(decision.due_ms / 1000, ZoneInfo("Asia/Shanghai"))
    assert due.weekday() in (0, 6)
    assert (due.hour, due.minute, due.second) == (23, 59, 59)


@pytest.mark.parametrize("end", ["card", "reader", "agreement", "hard"])
def test_nothing_is_due_after_what_ends_first(end):
    last = NOW + 5 * DAY
    facts, policy = Make.borrow(), {}
    if end == "card":
        facts = Make.borrow(card=Make.card(to_ms=last))
    elif end == "reader":
        facts = Make.borrow(reader=Make.reader(valid_to_ms=last))
    elif end == "agreement":
        policy = {"agreements": (Make.agreement(valid_to_ms=last),)}
    else:
        policy = {"rules": (PolicyRule("general", lend=True, period_days=30, hard_due_ms=last),)}
    assert decide(facts, **policy).due_ms == last


def test_a_hard_due_date_in_the_past_is_never_given():
    rules = (PolicyRule("general", lend=True, period_days=30, hard_due_ms=NOW - DAY),)
    assert decide(Make.borrow(), rules=rules).due_ms > NOW
