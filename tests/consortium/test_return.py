"""accept_return and next_destination: almost nothing is refused, everything is routed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consortium.agreement import Group, PolicyRule
from consortium.decision import Mode
from consortium.decisions import accept_return
from consortium.facts import HoldFacts, ItemStatus, Relation
from tests.make import HOME, HOST, NOW, THIRD, Make

MINUTE = 60_000

ON_LOAN = {"loan": Relation.OTHER, "status": ItemStatus.ON_LOAN}


def decide(facts, **policy):
    return accept_return(Make.policy(**policy), facts, NOW)


def test_an_unknown_item_is_accepted_and_set_aside():
    decision = decide(Make.give_back(item=None))
    assert decision.allowed
    assert (decision.primary, decision.route.action) == ("RETURN_SET_ASIDE", "DESK")


def test_a_strangers_item_is_accepted_and_set_aside():
    assert decide(Make.give_back(item=Make.item("880000"))).route.action == "DESK"


def test_an_item_for_its_owner_only_is_handed_back_where_the_bin_can_and_kept_where_not():
    rules = (PolicyRule("kit", lend=True, period_days=1, returnable_at="owner"),)
    away = Make.item(HOME, **ON_LOAN)
    assert decide(Make.give_back(item=away, can_hand_back=True), rules=rules).codes == ("RETURN_OWNER_ONLY",)
    kept = decide(Make.give_back(item=away), rules=rules)
    assert kept.allowed
    assert kept.primary == "RETURN_SET_ASIDE"
    assert decide(Make.give_back(item=Make.item(HOST, **ON_LOAN)), rules=rules).primary == "RETURN_HOME"


def test_an_item_goes_home():
    assert decide(Make.give_back(item=Make.item(HOST, **ON_LOAN))).primary == "RETURN_HOME"
    decision = decide(Make.give_back(item=Make.item(HOME, **ON_LOAN)))
    assert (decision.primary, decision.route.dest) == ("RETURN_TRANSIT", f"{HOME}-01")


def test_a_return_without_a_loan_is_said_to_be_one():
    assert decide(Make.give_back()).primary == "RETURN_NO_LOAN"


def test_an_item_in_transit_that_arrives_is_no_return_without_a_loan():
    item = Make.item(status=ItemStatus.IN_TRANSIT, transit_to=f"{HOST}-01")
    assert decide(Make.give_back(item=item)).primary == "RETURN_HOME"


def test_a_hold_here_comes_before_an_older_hold_elsewhere():
    holds = (HoldFacts("far", f"{THIRD}-01", NOW - 99), HoldFacts("here", f"{HOST}-01", NOW))
    decision = decide(Make.give_back(item=Make.item(**ON_LOAN), holds=holds))
    assert (decision.primary, decision.route.hold_id) == ("RETURN_HOLD", "here")


def test_a_hold_elsewhere_travels_cheapest_then_oldest_first():
    holds = (
        HoldFacts("dear", f"{THIRD}-01", 1, cost=5),
        HoldFacts("b", f"{HOME}-01", 9),
        HoldFacts("a", f"{HOME}-01", 8),
    )
    decision = decide(Make.give_back(item=Make.item(**ON_LOAN), holds=holds))
    assert (decision.route.action, decision.route.dest, decision.route.hold_id) == ("TRANSIT", f"{HOME}-01", "a")


def test_a_damaged_item_goes_to_its_owner_past_every_hold():
    item = replace(Make.item(HOME, **ON_LOAN), damaged=True)
    decision = decide(Make.give_back(item=item, holds=(HoldFacts("h", f"{HOST}-01", 1),)))
    assert (decision.route.dest, decision.route.reason) == (f"{HOME}-01", "DAMAGED")


def test_a_floating_item_stays_while_there_is_room():
    rules = (PolicyRule("float", lend=True, period_days=1, float_group="valley"),)
    groups = (Group("valley", frozenset({HOST})),)
    item = Make.item(HOME, **ON_LOAN)
    assert decide(Make.give_back(item=item, float_room=True), rules=rules, groups=groups).primary == "RETURN_STAY"
    assert decide(Make.give_back(item=item), rules=rules, groups=groups).primary == "RETURN_TRANSIT"


def test_without_a_courier_an_item_waits_here():
    decision = decide(Make.give_back(item=Make.item(HOME, **ON_LOAN), transfer_open=False))
    assert decision.route.action == "HOLD_HERE"


def test_the_sort_hub_lies_on_the_way():
    branches = tuple(replace(b, sort_hub=f"{THIRD}-01") for b in Make.bundle().branches)
    assert decide(Make.give_back(item=Make.item(HOME, **ON_LOAN)), branches=branches).route.via == f"{THIRD}-01"


@pytest.mark.parametrize(
    ("age", "trusted", "mode"),
    [(15 * MINUTE, True, Mode.ONLINE), (15 * MINUTE + 1, True, Mode.STALE), (0, False, Mode.STALE)],
)
def test_a_return_is_taken_on_any_facts_and_says_how_old_they_were(age, trusted, mode):
    facts = Make.give_back(known=Make.known(age), device=Make.device(clock_trusted=trusted))
    decision = accept_return(Make.policy(), facts, NOW)
    assert (decision.allowed, decision.mode) == (True, mode)
