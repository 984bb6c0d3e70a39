"""When an agreement ends or a library leaves: everything still open has its consequence, and nobody's loan is cut short."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consortium.agreement import AgreementStatus, Party, Role, Service
from consortium.ending import (
    TEXTS,
    Action,
    Consequence,
    Placed,
    StillOpen,
    Without,
    when_agreement_ends,
    when_library_leaves,
)
from consortium.states import Hold, HoldState, Transit, TransitState
from tests.make import DAY, HOME, HOST, NOW, THIRD, Make

HERE, OTHER, FAR = f"{HOST}-01", f"{HOME}-01", f"{THIRD}-01"
NOTICE = NOW + 30 * DAY
LOAN = Make.loan()
WAITING = Hold("h1", HOST, "1001", "r1", HERE, NOW - 1)
READY = replace(WAITING, state=HoldState.READY)
GOING = Transit("t1", HOST, "1001", OTHER, HERE, "HOME", TransitState.SENT, NOW - 1)


def ends(*others, agreement=None, at=NOW, **open_things):
    ended = agreement or Make.agreement()
    policy = Make.policy(agreements=(ended, *others))
    return when_agreement_ends(policy, ended, at, StillOpen(**open_things))


@pytest.mark.parametrize(
    ("loan", "concerned"),
    [
        ({}, True), ({"t_end": NOW}, False), ({"home": HOST, "place": OTHER}, True), ({"home": THIRD}, False),
        ({"place": OTHER}, True), ({"owner": HOME}, True), ({"owner": HOME, "place": OTHER}, False),
        ({"owner": THIRD, "place": FAR}, False), ({"owner": THIRD}, True),
    ],
)  # fmt: skip
def test_a_loan_is_kept_until_it_is_due(loan, concerned):
    found = ends(loans=(replace(LOAN, **loan),))
    assert found == ([Consequence("loan", "l1", Action.KEEP_UNTIL_DUE, LOAN.due)] if concerned else [])


@pytest.mark.parametrize(
    ("hold", "home", "action", "by"),
    [
        (WAITING, HOME, Action.CANCEL, NOW),
        (replace(WAITING, state=HoldState.IN_TRANSIT, expiry=NOW + 9), HOME, Action.CANCEL, NOW),
        (READY, HOME, Action.HONOUR, NOTICE),
        (replace(READY, expiry=NOW + 9), HOME, Action.HONOUR, NOW + 9),
        (replace(WAITING, state=HoldState.FILLED), HOME, None, 0),
        (WAITING, THIRD, None, 0),
        (WAITING, HOST, None, 0),
        (replace(WAITING, pickup=OTHER), HOME, Action.CANCEL, NOW),
        (replace(WAITING, owner=HOME), HOME, Action.CANCEL, NOW),
        (replace(WAITING, owner=HOME, pickup=OTHER), HOME, None, 0),
    ],
)
def test_what_waits_ready_is_handed_out_and_other_holds_end(hold, home, action, by):
    assert ends(holds=((hold, home),)) == ([Consequence("hold", "h1", action, by)] if action else [])


@pytest.mark.parametrize(
    ("transit", "concerned"),
    [
        ({}, True), ({"state": TransitState.RECEIVED}, False), ({"start": FAR}, False), ({"to": FAR}, False),
        ({"start": HERE, "to": f"{HOST}-02"}, True),
    ],
)  # fmt: skip
def test_what_is_under_way_arrives(transit, concerned):
    found = ends(transits=(replace(GOING, **transit),))
    assert found == ([Consequence("transit", "t1", Action.CONTINUE, NOTICE)] if concerned else [])


@pytest.mark.parametrize(
    ("owner", "at", "concerned"),
    [(HOST, OTHER, True), (HOME, HERE, True), (HOST, HERE, False), (HOST, FAR, False), (THIRD, HERE, False)],
)
def test_what_floated_goes_home(owner, at, concerned):
    found = ends(floating=(Placed(owner, "7", at),))
    assert found == ([Consequence("item", f"{owner}/7", Action.SEND_HOME, NOTICE)] if concerned else [])


def test_the_notice_is_the_agreements():
    assert ends(agreement=Make.agreement(notice_days=5), transits=(GOING,))[0].by == NOW + 5 * DAY


@pytest.mark.parametrize(
    ("other", "goes_on"),
    [
        ({}, True), ({"status": AgreementStatus.SUSPENDED}, False), ({"valid_from_ms": NOW + 1}, False),
        ({"valid_from_ms": NOW}, True), ({"valid_to_ms": NOW}, False), ({"valid_to_ms": NOW + 1}, True),
        ({"parties": (Party(HOME), Party(THIRD))}, False), ({"parties": (Party(HOME, Role.HOST), Party(HOST))}, False),
    ],
)  # fmt: skip
def test_what_another_agreement_still_covers_is_not_touched(other, goes_on):
    found = ends(Make.agreement("other", **other), loans=(LOAN,), holds=((WAITING, HOME),))
    assert [one.kind for one in found] == ([] if goes_on else ["loan", "hold"])


@pytest.mark.parametrize(
    ("service", "kinds"), [(Service.RENEW, ["hold"]), (Service.HOLD, ["loan"]), (Service.BORROW, ["loan", "hold"])]
)
def test_an_agreement_that_gives_another_service_does_not_go_on_for_this_one(service, kinds):
    other = Make.agreement("other", services=frozenset({service}))
    assert [one.kind for one in ends(other, loans=(LOAN,), holds=((WAITING, HOME),))] == kinds


def test_a_later_version_of_the_same_agreement_does_not_go_on():
    assert ends(replace(Make.agreement(), version=2), loans=(LOAN,))


def test_everything_comes_in_one_list():
    found = ends(loans=(LOAN,), holds=((WAITING, HOME),), transits=(GOING,), floating=(Placed(HOME, "7", HERE),))
    assert [one.kind for one in found] == ["loan", "hold", "transit", "item"]


def test_every_action_has_its_text():
    assert set(TEXTS) == set(Action)
    assert all(action.name == action.value for action in Action)
    assert all(zh and en for zh, en in TEXTS.values())


# --- a library leaves ---

ALL = (
    Make.agreement("a"),
    Make.agreement("b", parties=(Party(HOME), Party(HOST), Party(THIRD))),
    Make.agreement("c", parties=(Party(HOME), Party(THIRD))),
)


def leaves(org, *agreements, **open_things):
    policy = Make.policy(agreements=agreements or ALL)
    return when_library_leaves(policy, org, NOW, StillOpen(**open_things))


def test_all_its_agreements_end_at_once_and_each_thing_is_told_once():
    found = leaves(HOST, loans=(LOAN,), holds=((READY, HOME),), transits=(GOING,), floating=(Placed(HOST, "7", OTHER),))
    assert [(one.kind, one.action) for one in found] == [
        ("loan", Action.KEEP_UNTIL_DUE), ("hold", Action.HONOUR), ("transit", Action.CONTINUE), ("item", Action.SEND_HOME),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("org", "loan", "concerned"),
    [
        (HOST, {}, True), (HOME, {}, True), (THIRD, {}, False), (THIRD, {"owner": THIRD}, True),
        (HOST, {"owner": HOME, "place": OTHER}, False), (HOST, {"owner": THIRD, "place": FAR}, False),
        (HOST, {"home": HOST}, False),
    ],
)  # fmt: skip
def test_what_is_between_others_goes_on(org, loan, concerned):
    assert bool(leaves(org, loans=(replace(LOAN, **loan),))) is concerned


def test_a_loan_and_a_hold_of_one_name_are_two_things():
    found = leaves(HOST, loans=[LOAN, replace(LOAN, id="h1")], holds=[(READY, HOME)])
    assert [(one.kind, one.subject) for one in found] == [("loan", "l1"), ("loan", "h1"), ("hold", "h1")]


def test_a_library_without_agreements_leaves_nothing_behind():
    assert leaves(THIRD, ALL[0], loans=(LOAN,)) == []


def test_things_given_once_are_asked_of_every_agreement():
    first = Make.agreement("0", parties=(Party(HOST), Party(THIRD)))
    loans = (replace(LOAN, owner=THIRD, place=FAR),)
    assert leaves(THIRD, first, loans=loans) == []
    assert leaves(THIRD, first, ALL[2], loans=loans)


def test_without_a_library_no_agreement_of_it_covers_anybody():
    policy = Make.policy(agreements=ALL)
    rest = Without(policy, HOST)
    assert [a.id for a in policy.covering(HOME, HOST)] == ["a", "b"]
    assert rest.covering(HOME, HOST) == rest.covering(HOST, HOME) == ()
    assert [a.id for a in rest.covering(HOME, THIRD)] == ["b", "c"]


@pytest.mark.parametrize(
    ("services", "loan", "hold"),
    [({Service.ENTER, Service.READ}, True, True), ({Service.RENEW}, False, True), ({Service.HOLD}, True, False)],
)
def test_another_agreement_goes_on_only_with_the_services_it_has(services, loan, hold):
    other = Make.agreement("reading", services=frozenset(services))
    found = {one.kind for one in ends(other, loans=(LOAN,), holds=((WAITING, HOME),))}
    assert found == {name for name, concerned in (("loan", loan), ("hold", hold)) if concerned}
