"""A member with its own ILS: who is in charge, who is told, and the nightly list of differences."""

from __future__ import annotations

import dataclasses

import pytest

from consortium.agreement import Library, Master, Mastership
from consortium.events import Kind
from consortium.fold import fold_item
from consortium.identity import ItemKey
from consortium.mastership import DAY_APART_MS, Differs, Theirs, differences, in_charge_of_loan, to_be_told
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
