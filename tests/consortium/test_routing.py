"""Where an item goes after it was handed in, in the order of the questions; and what the reader is told of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consortium.agreement import Group, Library, LibraryStatus, PolicyRule
from consortium.decision import Mode, Outcome, Route
from consortium.decisions import accept_return, next_destination
from consortium.facts import HoldFacts, ItemStatus, Relation
from consortium.rules import Resolved
from tests.make import DAY, HOME, HOST, NOW, THIRD, Make

HERE, OTHER, FAR = f"{HOST}-01", f"{HOME}-01", f"{THIRD}-01"
LENT = {"loan": Relation.OTHER, "status": ItemStatus.ON_LOAN}


def decide(item=None, *, now=NOW, policy=None, source="edge", explain=False, **facts):
    given = Make.give_back(item=item or Make.item(**LENT), **facts)
    return accept_return(Make.policy(**(policy or {})), given, now, source=source, explain=explain)


def route(item=None, *, rule=None, at=HERE, policy=None, **facts) -> Route:
    item = item or Make.item()
    return next_destination(
        Make.policy(**(policy or {})), item, Make.give_back(item=item, **facts), rule or Resolved(), at
    )


def hold(name: str, pickup: str, placed: int = 0, cost: int = 1) -> HoldFacts:
    return HoldFacts(name, pickup, placed, cost)


def members(org: str, status: LibraryStatus):
    return {
        "libraries": tuple(
            Library(o, o, o, o, status=status if o == org else LibraryStatus.ACTIVE) for o in (HOME, HOST, THIRD)
        )
    }


# --- next_destination ---


def test_the_desk_takes_what_belongs_nowhere_or_no_more():
    away = Make.item(HOME, damaged=True)
    assert route(Make.item("880000")) == Route("DESK", HERE, reason="UNKNOWN")
    assert route(Make.item(HOME, status=ItemStatus.WITHDRAWN, damaged=True)) == Route("DESK", HERE, reason="WITHDRAWN")
    assert route(away, policy=members(HOME, LibraryStatus.LEFT)) == Route("DESK", HERE, reason="OWNER_LEFT")
    assert route(away, policy=members(HOME, LibraryStatus.LEAVING)) == Route("TRANSIT", OTHER, reason="DAMAGED")


def test_damaged_goes_home_past_holds_and_floating():
    rule = Resolved(float_group="valley", return_to="lending")
    groups = {"groups": (Group("valley", frozenset({HOST})),)}
    item = Make.item(HOME, damaged=True)
    found = route(item, rule=rule, policy=groups, holds=(hold("h", HERE),), float_room=True)
    assert found == Route("TRANSIT", OTHER, reason="DAMAGED")
    assert route(Make.item(damaged=True)) == Route("SHELVE", HERE, reason="DAMAGED")


def test_of_holds_here_the_cheapest_then_the_oldest_then_the_first_by_name_is_served():
    assert route(holds=(hold("far", FAR, 1), hold("here", HERE, 9, 9))) == Route(
        "HOLD", HERE, reason="HOLD", hold_id="here"
    )
    assert route(holds=(hold("dear", FAR, 1, 2), hold("cheap", OTHER, 9, 1))).hold_id == "cheap"
    assert route(holds=(hold("a-young", FAR, 2), hold("b-old", OTHER, 1))).hold_id == "b-old"
    assert route(holds=(hold("b", FAR, 1), hold("a", FAR, 1))).hold_id == "a"
    found = route(holds=(hold("h", FAR),))
    assert found == Route("TRANSIT", FAR, reason="HOLD", hold_id="h")


def test_a_hold_elsewhere_waits_for_the_courier_and_one_here_does_not():
    assert route(holds=(hold("h", HERE),), transfer_open=False).action == "HOLD"
    assert route(holds=(hold("h", FAR),), transfer_open=False) == Route("SHELVE", HERE)
    away = route(Make.item(HOME), holds=(hold("h", FAR),), transfer_open=False, transfer_opens=NOW + DAY)
    assert away == Route("HOLD_HERE", HERE, reason="HOME", until=NOW + DAY)


@pytest.mark.parametrize(
    ("rule", "room", "members", "item", "action"),
    [
        (Resolved(float_group="valley"), True, {HOST}, HOME, "STAY"),
        (Resolved(float_group="valley"), False, {HOST}, HOME, "TRANSIT"),
        (Resolved(float_group="valley"), True, {THIRD}, HOME, "TRANSIT"),
        (Resolved(float_group="hills"), True, {HOST}, HOME, "TRANSIT"),
        (Resolved(), True, {HOST}, HOME, "TRANSIT"),
        (Resolved(float_group="valley"), True, {HOST}, HOST, "SHELVE"),
    ],
)
def test_an_item_floats_where_its_group_has_room_and_it_is_not_at_home(rule, room, members, item, action):
    groups = {"groups": (Group("valley", frozenset(members)),)}
    found = route(Make.item(item), rule=rule, policy=groups, float_room=room)
    assert (found.action, found.reason) == (action, "FLOAT" if action == "STAY" else "HOME")


def test_home_is_the_owners_branch():
    assert route(Make.item(HOME)) == Route("TRANSIT", OTHER, reason="HOME")
    assert route(Make.item(HOME), rule=Resolved(return_to="owner")).dest == OTHER
    assert route(Make.item(HOME), rule=Resolved(return_to="lending")) == Route("SHELVE", HERE, reason="HOME")
    assert route(Make.item(HOST, owner_branch=f"{HOST}-02")).action == "TRANSIT"
    assert route() == Route("SHELVE", HERE, reason="HOME")


def test_without_a_courier_it_waits_here_and_what_is_at_home_does_not():
    waits = Route("HOLD_HERE", HERE, reason="HOME", until=None)
    assert route(Make.item(HOME), transfer_open=False) == waits
    damaged = route(Make.item(HOME, damaged=True), transfer_open=False, transfer_opens=5)
    assert damaged == Route("HOLD_HERE", HERE, reason="DAMAGED", until=5)
    assert route(transfer_open=False).action == "SHELVE"


@pytest.mark.parametrize(("hub", "via"), [(None, None), (FAR, FAR), (HERE, None), (OTHER, None)])
def test_the_sort_hub_lies_on_the_way_unless_it_is_an_end_of_it(hub, via):
    branches = {"branches": tuple(replace(branch, sort_hub=hub) for branch in Make.bundle().branches)}
    assert route(Make.item(HOME), policy=branches) == Route("TRANSIT", OTHER, via=via, reason="HOME")
    held = route(Make.item(HOME), policy=branches, holds=(hold("h", OTHER),))
    assert (held.via, held.hold_id, held.reason) == (via, "h", "HOLD")


def test_from_a_branch_that_the_policy_does_not_know_it_goes_straight():
    assert route(Make.item(HOME), at="990001-77") == Route("TRANSIT", OTHER, reason="HOME")


# --- accept_return ---


def test_only_a_machine_without_right_is_refused():
    decision = decide(device=Make.device(authorised=False))
    assert (decision.outcome, decision.codes, decision.route) == (Outcome.REFER, ("DEVICE_UNAUTHORISED",), None)
    assert decide(device=Make.device("880000-01")).codes == ("DEVICE_UNAUTHORISED",)


def test_an_unknown_item_is_kept_for_the_desk_without_a_receipt():
    for item in (None, Make.item("880000")):
        facts = Make.give_back(item=item)
        decision = accept_return(Make.policy(), facts, NOW)
        assert (decision.codes, decision.obligations, decision.notes) == (("RETURN_SET_ASIDE",), ("SECURE",), ())
        assert decision.route == Route("DESK", HERE, reason="UNKNOWN")


@pytest.mark.parametrize(
    ("item", "facts", "code"),
    [
        (Make.item(**LENT), {}, "RETURN_HOME"),
        (Make.item(HOME, **LENT), {}, "RETURN_TRANSIT"),
        (Make.item(**LENT), {"holds": (hold("h", HERE),)}, "RETURN_HOLD"),
        (Make.item(**LENT), {"holds": (hold("h", FAR),)}, "RETURN_TRANSIT"),
        (Make.item(HOME, **LENT), {"transfer_open": False}, "RETURN_SET_ASIDE"),
        (Make.item(status=ItemStatus.WITHDRAWN, loan=Relation.OTHER), {}, "RETURN_SET_ASIDE"),
        (Make.item(), {}, "RETURN_NO_LOAN"),
        (Make.item(HOME), {}, "RETURN_TRANSIT"),
        (Make.item(), {"holds": (hold("h", HERE),)}, "RETURN_HOLD"),
        (Make.item(status=ItemStatus.IN_TRANSIT), {}, "RETURN_HOME"),
        (Make.item(loan=Relation.SELF, status=ItemStatus.ON_LOAN), {}, "RETURN_HOME"),
    ],
)
def test_what_the_reader_is_told(item, facts, code):
    decision = decide(item, **facts)
    assert decision.allowed
    assert decision.codes == (code,)
    assert decision.obligations == ("SECURE", "RECEIPT")


@pytest.mark.parametrize(
    ("item", "notes"),
    [
        (Make.item(), ("RETURN_NO_LOAN",)),
        (Make.item(HOME), ("RETURN_NO_LOAN",)),
        (Make.item(**LENT), ()),
        (Make.item(status=ItemStatus.IN_TRANSIT), ()),
        (Make.item(loan=Relation.OTHER, status=ItemStatus.LOST), ()),
        (Make.item(status=ItemStatus.LOST), ("RETURN_NO_LOAN",)),
    ],
)
def test_staff_are_told_where_there_was_no_loan(item, notes):
    assert decide(item).notes == notes


def test_what_only_its_owner_takes_is_handed_back_or_set_aside():
    kit = {"rules": (PolicyRule("kit", returnable_at="owner", condition_note=True),)}
    away = Make.item(HOME, **LENT)
    refused = decide(away, policy=kit, can_hand_back=True)
    assert (refused.outcome, refused.codes, refused.route) == (Outcome.DENY, ("RETURN_OWNER_ONLY",), None)
    kept = decide(away, policy=kit, explain=True)
    assert kept.route == Route("DESK", HERE, reason="OWNER_ONLY")
    assert (kept.codes, kept.basis) == (("RETURN_SET_ASIDE",), ("kit",))
    assert kept.obligations == ("SECURE", "RECEIPT", "CONDITION_NOTE")
    assert kept.trace == ("device: ok", "returnable: RETURN_OWNER_ONLY")
    assert decide(policy=kit, can_hand_back=True).codes == ("RETURN_HOME",)
    anywhere = {"rules": (PolicyRule("kit", returnable_at="any"),)}
    assert decide(away, policy=anywhere, can_hand_back=True).codes == ("RETURN_TRANSIT",)


@pytest.mark.parametrize("rule", [{"item_type": "BOOK"}, {"owner": HOST}, {"place": HERE}, {"place": HOST}, {}])
def test_the_rule_is_found_by_type_owner_and_place_whoever_hands_it_in(rule):
    rules = {"rules": (PolicyRule("note", condition_note=True, **rule),)}
    decision = decide(policy=rules)
    assert (decision.obligations[-1], decision.basis) == ("CONDITION_NOTE", ("note",))


@pytest.mark.parametrize("rule", [{"home": HOME}, {"category": "U"}, {"agreement": "both"}, {"age_from": 0}])
def test_a_rule_about_readers_says_nothing_of_a_return(rule):
    rules = {"rules": (PolicyRule("note", condition_note=True, **rule),)}
    assert decide(policy=rules).obligations == ("SECURE", "RECEIPT")


def test_a_return_is_taken_however_old_the_facts_and_whatever_the_clock():
    bad = Make.device(clock_trusted=False)
    decision = decide(known=Make.known(999 * DAY), device=bad, source="hub", explain=True)
    assert (decision.allowed, decision.mode, decision.source, decision.due_ms) == (True, Mode.STALE, "hub", None)
    assert decision.trace == ("device: ok", f"route: SHELVE {HERE}")
    assert decide(policy=members(HOST, LibraryStatus.LEFT)).codes == ("RETURN_SET_ASIDE",)


@pytest.mark.parametrize(("name", "bound"), [("policy", DAY), ("items", 15 * 60_000), ("loans", 15 * 60_000)])
def test_the_mode_says_that_facts_were_old(name, bound):
    assert decide(known=Make.known(**{name: NOW - bound})).mode is Mode.ONLINE
    assert decide(known=Make.known(**{name: NOW - bound - 1})).mode is Mode.STALE
    assert decide(known=Make.known(cards=0, blocks=0)).mode is Mode.ONLINE
    assert decide(device=Make.device(clock_trusted=False)).mode is Mode.STALE


def test_the_trace_of_an_unknown_item_is_short():
    decision = accept_return(Make.policy(), Make.give_back(item=None), NOW, explain=True)
    assert decision.trace == ("device: ok", "item: ok")
    assert decide().trace == ()
