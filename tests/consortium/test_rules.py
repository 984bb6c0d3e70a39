"""Which rule speaks: what it matches, in which order, and what falls through to the next."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortium.agreement import Group, PolicyRule
from consortium.bundle import MATCH_ORDER
from consortium.rules import PERIOD, RESULTS, Case, Resolved, resolve
from tests.make import HOME, HOST, NOW, THIRD, Make

HERE = f"{HOST}-01"


def found(*rules: PolicyRule, groups=(), match_order=MATCH_ORDER, **case: object) -> Resolved:
    policy = Make.policy(rules=rules, groups=groups, match_order=match_order)
    given_case = {
        "agreements": frozenset({"both"}), "home": HOME, "category": "U", "item_type": "BOOK", "owner": HOST, "place": HERE,
        "age": 20, "now": NOW,
    }  # fmt: skip
    return resolve(policy, Case(**{**given_case, **case}))


@pytest.mark.parametrize(
    "match",
    [
        {"agreement": "both"}, {"home": HOME}, {"home": "@north"}, {"category": "U"}, {"item_type": "BOOK"}, {"owner": HOST},
        {"owner": "@south"}, {"place": HOST}, {"place": HERE}, {"place": "@south"}, {"place": "@rooms"}, {"age_from": 20},
        {"age_to": 20}, {"valid_from_ms": NOW}, {"valid_to_ms": NOW + 1}, {"age_from": 20, "age_to": 20}, {},
    ],
)  # fmt: skip
def test_a_rule_speaks_for_what_it_names(match):
    groups = (Group("north", frozenset({HOME})), Group("south", frozenset({HOST})), Group("rooms", frozenset({HERE})))
    assert found(PolicyRule("r", lend=True, **match), groups=groups).lend is True


@pytest.mark.parametrize(
    "match",
    [
        {"agreement": "other"}, {"home": HOST}, {"home": "@south"}, {"category": "G"}, {"item_type": "DISC"}, {"owner": HOME},
        {"owner": "@north"}, {"place": HOME}, {"place": f"{HOST}-02"}, {"place": "@north"}, {"home": "@nobody"},
        {"age_from": 21}, {"age_to": 19}, {"valid_from_ms": NOW + 1}, {"valid_to_ms": NOW},
    ],
)  # fmt: skip
def test_a_rule_is_silent_about_what_it_does_not_name(match):
    groups = (Group("north", frozenset({HOME})), Group("south", frozenset({HOST})))
    result = found(PolicyRule("r", lend=True, **match), groups=groups)
    assert (result.lend, result.matched, result.basis) == (None, 0, ())


def test_without_an_age_no_rule_for_an_age_speaks():
    assert found(PolicyRule("r", age_from=0, lend=True), age=None).lend is None
    assert found(PolicyRule("r", age_to=99, lend=True), age=None).lend is None
    assert found(PolicyRule("r", lend=True), age=None).lend is True


@pytest.mark.parametrize(
    ("rules", "excluded"),
    [
        ([PolicyRule("a", category="U", age_from=21, lend=True)], True),
        ([PolicyRule("a", category="U", age_from=21, lend=False)], False),
        ([PolicyRule("a", category="U", age_from=21, period_days=3)], False),
        ([PolicyRule("a", agreement="both", lend=True), PolicyRule("b", category="U", age_from=21, lend=True)], False),
        (
            [PolicyRule("a", agreement="both", period_days=1), PolicyRule("b", category="U", age_from=21, lend=True)],
            True,
        ),
        ([PolicyRule("b", category="U", age_from=21, lend=True), PolicyRule("c", lend=True)], True),
        ([PolicyRule("b", category="U", age_from=21, lend=True), PolicyRule("c", age_to=19, lend=False)], True),
    ],
)
def test_only_an_age_that_stood_in_the_way_of_lending_is_told(rules, excluded):
    assert found(*rules).age_excluded is excluded


@given(st.permutations(RESULTS))
def test_each_result_comes_from_the_most_specific_rule_that_sets_it(names):
    half = names[: len(names) // 2]
    values = {name: _value(name, 1) for name in half}
    others = {name: _value(name, 2) for name in RESULTS}
    result = found(PolicyRule("general", **others), PolicyRule("special", item_type="BOOK", **values))
    timed = not PERIOD.isdisjoint(half)
    for name in RESULTS:
        general = None if timed and name in PERIOD else _value(name, 2)
        assert getattr(result, name) == (_value(name, 1) if name in half else general)
    assert result.basis == ("special", "general")
    assert result.matched == 2


def test_every_result_that_a_rule_can_set_falls_through():
    matched = {"id", *MATCH_ORDER, "age_from", "age_to", "valid_from_ms", "valid_to_ms"}
    assert set(RESULTS) == {spec.name for spec in fields(PolicyRule)} - matched
    assert set(RESULTS) == {spec.name for spec in fields(Resolved)} - {"basis", "matched", "age_excluded"}


def _value(name: str, n: int) -> object:
    kind = next(spec.type for spec in fields(PolicyRule) if spec.name == name)
    return n == 1 if "bool" in str(kind) else n if "int" in str(kind) else f"v{n}"


def test_false_and_zero_are_values_and_do_not_fall_through():
    result = found(
        PolicyRule("general", lend=True, renewals=3), PolicyRule("books", item_type="BOOK", lend=False, renewals=0)
    )
    assert (result.lend, result.renewals, result.basis) == (False, 0, ("books",))
    assert result.matched == 2


@pytest.mark.parametrize(("special", "days", "hours"), [({"period_hours": 4}, None, 4), ({"period_days": 9}, 9, None)])
def test_a_period_by_the_hour_does_not_fall_through_to_one_by_the_day(special, days, hours):
    general = PolicyRule("general", lend=True, period_days=30, period_hours=7)
    result = found(general, PolicyRule("special", item_type="BOOK", **special))
    assert (result.period_days, result.period_hours) == (days, hours)
    assert (found(general).period_days, found(general).period_hours) == (30, 7)


def test_the_basis_names_only_rules_that_gave_something():
    rules = (PolicyRule("a", item_type="BOOK", lend=True), PolicyRule("b", lend=True), PolicyRule("c", period_days=3))
    assert found(*rules).basis == ("a", "c")


@pytest.mark.parametrize("name", MATCH_ORDER)
def test_a_name_beats_a_group_and_a_group_beats_all(name):
    exact = {"agreement": "both", "home": HOME, "category": "U", "item_type": "BOOK", "owner": HOST, "place": HERE}[
        name
    ]
    rules = [PolicyRule("c-exact", renewals=1, **{name: exact}), PolicyRule("a-all", renewals=3)]
    assert found(*rules).renewals == 1
    if name in ("home", "owner", "place"):
        grouped = PolicyRule("b-group", renewals=2, **{name: "@g"})
        groups = (Group("g", frozenset({HOME, HOST})),)
        assert found(*rules, grouped, groups=groups).renewals == 1
        assert found(rules[1], grouped, groups=groups).renewals == 2


def test_the_order_of_the_match_is_the_bundles():
    book, here = PolicyRule("book", item_type="BOOK", renewals=1), PolicyRule("here", place=HERE, renewals=2)
    assert found(book, here).renewals == 1
    assert found(book, here, match_order=("place", "item_type", "agreement", "home", "category", "owner")).renewals == 2


def test_between_equals_the_id_decides():
    assert found(PolicyRule("b", renewals=2), PolicyRule("a", renewals=1)).renewals == 1


def test_a_third_librarys_rule_is_for_the_owner_not_the_place():
    rules = (PolicyRule("third", owner=THIRD, renewals=9), PolicyRule("general", renewals=1))
    assert found(*rules).renewals == 1
    assert found(*rules, owner=THIRD).renewals == 9
