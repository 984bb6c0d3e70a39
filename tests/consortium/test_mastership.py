"""A member with its own ILS: who is in charge, who is told, and the nightly list of differences."""

from __future__ import annotations

import dataclasses

import pytest

from consortium.agreement import Library, Master, Mastership
from consortium.decisions import may_borrow
from consortium.events import Kind
from consortium.facts import BlockFacts, CardStatus, Relation
from consortium.fold import fold_item
from consortium.identity import ItemKey
from consortium.mastership import (
    BY_THE_ILS,
    DAY_APART_MS,
    ILS_AWAY,
    Differs,
    Task,
    Theirs,
    bookings,
    differences,
    in_charge_of_loan,
    to_be_told,
)
from tests.make import HOME, HOST, NOW, THIRD, Make

KEEPS = Mastership(loans=Master.ILS)


def policy():
    libraries = tuple(
        Library(org, f"CN-{org}", org, org, masters=KEEPS if org in (HOST, THIRD) else Mastership())
        for org in (HOME, HOST, THIRD)
    )
    return Make.policy(libraries=libraries)


@pytest.mark.parametrize(
    ("home", "owner", "lender", "master", "told"),
    [
        (HOST, HOST, HOST, Master.ILS, ()),
        (HOME, HOME, HOME, Master.TONGJIE, ()),
        (HOME, HOST, HOST, Master.TONGJIE, (HOST,)),
        (HOST, HOST, HOME, Master.TONGJIE, (HOST,)),
        (HOST, THIRD, HOST, Master.TONGJIE, (THIRD, HOST)),
        (HOME, HOME, THIRD, Master.TONGJIE, (THIRD,)),
        ("770000", "770000", "770000", Master.TONGJIE, ()),
    ],
)
def test_the_ils_is_in_charge_of_its_own_alone_and_is_told_of_the_rest(home, owner, lender, master, told):
    assert in_charge_of_loan(policy(), home, owner, lender) is master
    assert to_be_told(policy(), home, owner, lender) == told


def loan():
    return fold_item(HOST, "1001", f"{HOST}-01", [Make.logged(Kind.CHECKOUT, 1)]).loans[0]


def test_books_that_agree_to_the_day_differ_nowhere():
    made = loan()
    agree = {ItemKey(HOST, "1001"): Theirs(made.due - DAY_APART_MS + 1, made.who)}
    assert differences(HOST, [made], agree) == []
    assert differences(HOST, [made], {ItemKey(HOST, "1001"): Theirs(made.due)}) == []


def test_each_difference_names_what_and_whose_it_is():
    made = dataclasses.replace(loan(), place=f"{THIRD}-01")
    key, other = ItemKey(HOST, "1001"), ItemKey(HOST, "2000")
    assert [(d.item, d.how, d.owner) for d in differences(HOST, [made], {other: Theirs(NOW)})] == [
        (key, Differs.ONLY_OURS, THIRD), (other, Differs.ONLY_THEIRS, HOST),
    ]  # fmt: skip
    late = {key: Theirs(made.due + DAY_APART_MS)}
    assert [(d.how, d.ours) for d in differences(HOST, [made], late)] == [(Differs.DUE, str(made.due))]
    assert [d.how for d in differences(HOST, [made], {key: Theirs(made.due, "somebody")})] == [Differs.READER]


def test_closed_loans_and_other_libraries_items_are_not_compared():
    closed = dataclasses.replace(loan(), t_end=NOW + 1)
    assert differences(HOST, [closed, dataclasses.replace(loan(), owner=HOME)], {}) == []


# --- what follows for the books of the members' own ILS ---


def told(kind: Kind, *, at: str, owner: str = HOST, **data):
    event = Make.logged(kind, 7, branch=at, item=(owner, "1001"), data=data).event
    return [(one.org, one.task, one.home, one.due is None) for one in bookings(policy(), event)]


def test_a_partners_loan_is_booked_at_the_owner_and_where_the_lender_wants_it():
    assert told(Kind.CHECKOUT, at=f"{HOST}-01", home=HOME) == [(HOST, Task.CHECKOUT, HOME, False)]
    assert told(Kind.CHECKOUT, at=f"{HOME}-01", home=HOME) == [(HOST, Task.CHECKOUT, HOME, False)]
    assert told(Kind.CHECKOUT, at=f"{THIRD}-01", home=HOME) == [
        (HOST, Task.CHECKOUT, HOME, False), (THIRD, Task.CHECKOUT, HOME, False),
    ]  # fmt: skip
    assert told(Kind.CHECKOUT, at=f"{HOME}-01", owner=HOME, home=HOME) == []


def test_what_the_ils_of_the_place_knows_is_not_told_there_again():
    assert told(Kind.CHECKOUT, at=f"{HOST}-01", home=HOST, flags=[BY_THE_ILS]) == []
    assert told(Kind.CHECKOUT, at=f"{HOST}-01", home=HOST, flags=[ILS_AWAY]) == [(HOST, Task.CHECKOUT, HOST, False)]
    # the flag speaks of the place's own ILS: the owner's has heard nothing
    assert told(Kind.CHECKOUT, at=f"{THIRD}-01", home=HOME, flags=[BY_THE_ILS]) == [(HOST, Task.CHECKOUT, HOME, False)]


def test_a_return_is_told_to_the_owner_and_to_the_place_that_may_have_lent_it():
    assert told(Kind.RETURN, at=f"{HOME}-01") == [(HOST, Task.CHECKIN, "", True)]
    assert told(Kind.RECEIVE, at=f"{HOST}-01") == [(HOST, Task.CHECKIN, "", True)]
    assert told(Kind.RETURN, at=f"{THIRD}-01", flags=[BY_THE_ILS]) == [(HOST, Task.CHECKIN, "", True)]


def test_an_item_that_no_catalogue_has_is_told_to_nobody():
    lost = {"action": "DESK", "dest": f"{HOST}-01", "reason": "UNKNOWN"}
    assert told(Kind.RETURN, at=f"{HOST}-01", route=lost, code="RETURN_SET_ASIDE") == []


def test_a_renewal_is_booked_and_a_visit_is_not():
    assert told(Kind.RENEW, at=f"{HOME}-01", home=HOME) == [(HOST, Task.RENEW, HOME, False)]
    entry = Make.logged(Kind.ENTRY, 7, branch=f"{HOST}-01", data={"home": HOME, "class": "partner"}).event
    assert bookings(policy(), entry) == []


def test_a_booking_names_its_event_and_the_time_it_happened():
    event = Make.logged(
        Kind.CHECKOUT, 7, branch=f"{HOME}-01", item=(HOST, "1001"), data={"home": HOME, "due": NOW + 5}
    ).event
    (one,) = bookings(policy(), event)
    assert (one.of, one.t, one.due, one.item) == (event.name, event.t_eff, NOW + 5, ItemKey(HOST, "1001"))


# --- the ILS in charge has decided ---


def asked(**changes):
    mine = Make.reader(home=HOST, blocks=(BlockFacts(HOST, "issuer", frozenset({"BORROW"})),))
    facts = Make.borrow(reader=mine, item=Make.item(owner=HOST), device=Make.device(f"{HOST}-01"))
    return may_borrow(policy(), dataclasses.replace(facts, **changes), NOW)


def test_what_the_ils_in_charge_lent_is_lent_whatever_our_rules_say():
    assert not asked().allowed
    lent = asked(ils_due_ms=NOW + 9)
    assert (lent.allowed, lent.due_ms, lent.basis) == (True, NOW + 9, (BY_THE_ILS,))


def test_the_word_of_an_ils_that_is_not_in_charge_counts_for_nothing():
    elsewhere = asked(ils_due_ms=NOW + 9, device=Make.device(f"{THIRD}-01"))
    assert elsewhere.basis != (BY_THE_ILS,)
    assert not elsewhere.allowed


def test_a_partners_hold_stands_against_the_ils_too():
    held = dataclasses.replace(Make.item(owner=HOST), hold=Relation.OTHER)
    assert asked(ils_due_ms=NOW + 9, item=held).codes == ("ITEM_HELD",)


def test_a_card_that_was_reported_lost_borrows_nothing_from_any_ils():
    lost = dataclasses.replace(Make.card(), status=CardStatus.LOST)
    assert asked(ils_due_ms=NOW + 9, card=lost).codes == ("CARD_LOST",)
