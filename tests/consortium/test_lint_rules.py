"""Rules that can never match or decide, readers whom no rule covers: by example, and exactly, against every single case."""

from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consortium.agreement import AgreementStatus, CategoryMap, Group, Party, PolicyRule, Role, Service
from consortium.bundle import Bundle, Policy
from consortium.explain import Verdict, case_of, explain_rule
from consortium.facts import ItemFacts, ReaderFacts
from consortium.lint import lint
from consortium.rules import Case, resolve
from tests.make import DAY, HOME, HOST, NOW, THIRD, Make

BOOK = {"item_type": "BOOK"}
GENERAL = PolicyRule("general", lend=True, period_days=30)


def found(code: str, *rules: PolicyRule, readers=(), item_types=(), **more) -> dict[str, str]:
    bundle = Make.bundle(rules=rules, **more)
    return {one.where: one.en for one in lint(bundle, readers, item_types=item_types) if one.code == code}


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (PolicyRule("x", age_from=18, age_to=17, lend=True), "nobody is at least 18 and at most 17"),
        (PolicyRule("x", valid_from_ms=NOW, valid_to_ms=NOW, lend=True), "ends before it begins"),
        (PolicyRule("x", valid_to_ms=NOW - DAY, lend=True), "ended before this bundle begins"),
        (PolicyRule("x", valid_from_ms=NOW + 1000 * DAY, lend=True), "begins after this bundle"),
        (PolicyRule("x", item_type="DICS", lend=True), r"no item is of type DICS \(did you mean DISC\?\)"),
        (PolicyRule("x", owner="@empty", lend=True), "@empty .* has no members"),
        (PolicyRule("x", category="UNDER", lend=True), "nobody has category UNDER"),
        (PolicyRule("x", agreement="old", lend=True), "agreement old is not active"),
        (PolicyRule("x", agreement="read", lend=True), "agreement read does not lend"),
        (PolicyRule("x", agreement="both", home=THIRD, lend=True), "agreement both never serves that home"),
        (PolicyRule("x", agreement="both", category="UG", lend=True), "agreement both never serves that home, category"),
        (PolicyRule("x", agreement="both", item_type="DISC", lend=True), "agreement both never serves"),
        (PolicyRule("x", home=THIRD, owner=HOST, lend=True), "no reader, item and place"),
        (PolicyRule("x", home=HOME, category="U", owner=HOME, place=f"{HOME}-01", lend=True), "no reader, item and place"),
        (PolicyRule("x", category="U", place=THIRD, lend=True), "no reader, item and place"),
    ],
)  # fmt: skip
def test_a_rule_that_can_never_match_says_why(rule, why):
    old = Make.agreement("old", status=AgreementStatus.SUSPENDED)
    read = Make.agreement("read", services=frozenset({Service.ENTER}))
    both = Make.agreement(excluded_item_types=frozenset({"DISC"}))
    census = [(HOME, "UG", 19, 1), (HOST, "UG", 19, 1), (THIRD, "UG", 19, 1)]
    said = found(
        "RULE_NEVER_MATCHES", GENERAL, rule, readers=census, item_types=["BOOK", "DISC"], agreements=(both, old, read),
        groups=(Group("empty"),),
    )  # fmt: skip
    assert said.keys() == {"rules.x"}
    assert re.search(why, said["rules.x"])


def test_a_rule_whose_results_are_always_given_by_others_is_shadowed():
    own = PolicyRule("own", home=HOME, lend=True, period_days=1)
    books = PolicyRule("books", home=HOME, **BOOK, period_days=2)
    others = PolicyRule("others", home=HOME, item_type="DISC", period_days=3)
    general = PolicyRule("general", period_days=30, lend=True)
    assert not found("RULE_SHADOWED", own, books, others, general)
    every = [PolicyRule(f"at-{org}", home=org, lend=True, period_days=1) for org in (HOME, HOST, THIRD)]
    assert found("RULE_SHADOWED", *every, GENERAL).keys() == {"rules.general"}
    assert not found("RULE_SHADOWED", *every, PolicyRule("general", lend=True, period_days=30, renewals=1))
    assert not found("RULE_SHADOWED", *every[:2], GENERAL)


def test_ages_and_days_leave_room_for_the_rule_behind_them():
    young, old = PolicyRule("y", home=HOME, age_to=17, lend=False), PolicyRule("z", home=HOME, age_from=18, lend=True)
    behind = PolicyRule("behind", home="@us", lend=True)
    groups = (Group("us", frozenset({HOME})),)
    rules = (young, old, behind, PolicyRule("general", lend=True, period_days=9))
    assert not found("RULE_SHADOWED", *rules, groups=groups)  # readers whose age nobody knows
    until, since = (
        PolicyRule("u", home=HOME, valid_to_ms=NOW, lend=True),
        PolicyRule("s", home=HOME, valid_from_ms=NOW, lend=True),
    )
    assert found("RULE_SHADOWED", until, since, *rules[2:], groups=groups).keys() == {"rules.behind"}
    later = PolicyRule("s", home=HOME, valid_from_ms=NOW + 1, lend=True)
    assert not found("RULE_SHADOWED", until, later, *rules[2:], groups=groups)


def test_what_only_a_return_asks_for_needs_a_rule_that_a_return_can_meet():
    assert found("RULE_RETURN_UNUSED", GENERAL, PolicyRule("x", category="UG", return_to="owner")).keys() == {"rules.x"}
    assert found("RULE_RETURN_UNUSED", GENERAL, PolicyRule("x", age_from=3, returnable_at="owner")).keys() == {
        "rules.x"
    }
    kits = PolicyRule("x", item_type="KIT", returnable_at="owner")
    assert not found("RULE_RETURN_UNUSED", GENERAL, kits)


def test_a_rule_that_sets_nothing_is_told():
    assert found("RULE_SETS_NOTHING", GENERAL, PolicyRule("x", home=HOME)).keys() == {"rules.x"}


def test_odd_rules_are_told():
    past = PolicyRule("x", hard_due_ms=NOW - DAY)
    assert found("RULE_HARD_DUE_PAST", GENERAL, past)
    assert not found("RULE_HARD_DUE_PAST", GENERAL, PolicyRule("x", hard_due_ms=NOW))
    assert found("RULE_TWO_PERIODS", GENERAL, PolicyRule("x", item_type="KIT", period_days=1, period_hours=4))
    unseen = found("RULE_CATEGORY_UNSEEN", GENERAL, PolicyRule("x", category="UGG", lend=True))
    assert "did you mean UG?" in unseen["rules.x.category"]
    assert not found("RULE_CATEGORY_UNSEEN", GENERAL, PolicyRule("x", category="UGG"), readers=[(HOME, "UGG", 9, 1)])


CENSUS = [(HOME, "UG", 19, 100), (HOME, "PG", 24, 40), (HOST, "UG", 12, 7)]


def test_readers_whom_no_rule_covers_are_named_with_their_number():
    rule = PolicyRule("x", category="UG", **BOOK, lend=True, period_days=3)
    shared = PolicyRule("y", category="U", **BOOK, lend=True, period_days=3)
    said = found("READER_UNCOVERED", rule, shared, readers=CENSUS)
    assert said.keys() == {f"readers.{HOME}/PG"}
    assert "(40)" in said[f"readers.{HOME}/PG"]


def test_a_partners_reader_without_a_rule_is_named_with_the_place():
    said = found(
        "READER_UNCOVERED", PolicyRule("x", category="UG", **BOOK, lend=True, period_days=3), readers=CENSUS[:1]
    )
    assert f"{HOST}-01" in said[f"readers.{HOME}/UG"]
    assert "no rule says whether" in said[f"readers.{HOME}/UG"]


def test_a_rule_that_lends_for_no_time_covers_nobody():
    said = found("READER_UNCOVERED", PolicyRule("x", **BOOK, lend=True), readers=CENSUS)
    assert "for no stated time" in said[f"readers.{HOME}/UG"]
    assert not found("READER_UNCOVERED", PolicyRule("x", **BOOK, lend=True, period_hours=3), readers=CENSUS)


def test_a_refusal_covers_and_so_does_an_age():
    assert not found("READER_UNCOVERED", PolicyRule("x", **BOOK, lend=False), readers=CENSUS)
    adults = PolicyRule("x", **BOOK, age_from=18, lend=True, period_days=3)
    assert not found("READER_UNCOVERED", adults, readers=CENSUS)


def test_an_age_covers_only_where_no_more_specific_rule_has_lent():
    endless = PolicyRule("endless", **BOOK, lend=True)
    adults = PolicyRule("adults", home=HOST, **BOOK, age_from=18, lend=True, period_days=3)
    assert not found("READER_UNCOVERED", endless, adults, readers=CENSUS[2:]).keys() & {f"readers.{HOST}/UG"}
    here = PolicyRule("here", home=HOST, **BOOK, lend=True)
    grown = PolicyRule("grown", **BOOK, age_from=18, lend=True, period_days=3)
    said = found("READER_UNCOVERED", here, grown, readers=CENSUS[2:])
    assert "for no stated time" in said[f"readers.{HOST}/UG"]


def test_nobody_is_covered_where_there_are_no_rules():
    only = PolicyRule("x", **BOOK, renewals=1)
    said = found("READER_UNCOVERED", only, readers=CENSUS)
    # Of the third library no reader is listed and no category known: its readers are uncovered whatever they are.
    assert said.keys() == {f"readers.{one}" for one in (f"{HOME}/PG", f"{HOME}/UG", f"{HOST}/UG", f"{THIRD}/*")}


def test_a_type_that_one_owner_lends_is_no_gap_of_the_readers_elsewhere():
    laptops = PolicyRule("laptops", item_type="LAPTOP", owner=HOME, lend=True, period_hours=4)
    books = PolicyRule("books", **BOOK, lend=True, period_days=30)
    assert not found("READER_UNCOVERED", books, laptops, readers=CENSUS)
    assert found("ITEM_TYPE_UNCOVERED", books, laptops, readers=CENSUS)


def test_an_agreement_that_does_not_lend_asks_for_no_rule():
    read = Make.agreement(services=frozenset({Service.ENTER}))
    own = PolicyRule("x", category="UG", **BOOK, lend=True, period_days=3)
    assert not found("READER_UNCOVERED", own, readers=[CENSUS[0]], agreements=(read,))


ORGS = (HOME, HOST, THIRD)
INSTANTS = (NOW - DAY, NOW, NOW + 10 * DAY, NOW + 20 * DAY)
pick = st.sampled_from
rules = st.builds(
    PolicyRule, st.text("abcdefgh", min_size=1, max_size=3), agreement=pick(("*", "*", "one", "two")),
    home=pick(("*", HOME, THIRD, "@g")), category=pick(("*", "UG", "PG", "U")), item_type=pick(("*", "BOOK", "DISC")),
    owner=pick(("*", HOST, "@g")), place=pick(("*", HOST, f"{HOME}-01", "@g")), age_from=pick((None, None, 14)),
    age_to=pick((None, None, 12, 20)), valid_from_ms=pick((None, None, NOW)), valid_to_ms=pick((None, None, NOW + 10 * DAY)),
    lend=pick((None, True, False)), period_days=pick((None, 3)), renewals=pick((None, 1)), return_to=pick((None, "owner")),
    condition_note=pick((None, True)),
)  # fmt: skip
maps = st.lists(st.builds(CategoryMap, pick(ORGS), pick(("UG", "PG", "*")), pick(("U", "UG"))), max_size=4)


@st.composite
def agreement(draw, name: str):
    return Make.agreement(
        name,
        parties=tuple(Party(org, draw(pick(Role))) for org in draw(pick((ORGS, ORGS[:2], ORGS[1:])))),
        services=draw(pick((frozenset(Service), frozenset(Service), frozenset({Service.ENTER})))),
        category_map=tuple(draw(maps)),
        status=draw(pick((AgreementStatus.ACTIVE, AgreementStatus.ACTIVE, AgreementStatus.SUSPENDED))),
        valid_from_ms=draw(pick((NOW - 50 * DAY, NOW))),
        valid_to_ms=draw(pick((NOW + 90 * DAY, NOW + 20 * DAY))),
        excluded_item_types=draw(pick((frozenset(), frozenset({"DISC"})))),
    )


def every_case(policy: Policy, census) -> list[tuple[Case, str]]:
    """All cases one by one, asked of the very function that a decision asks: (case, the reader's home category)."""
    cases = []
    for (home, category, age, _), kind, owner, place, now in product(
        census, ("BOOK", "DISC"), ORGS, policy.branches, INSTANTS
    ):
        item = ItemFacts(owner, "-", kind, f"{owner}-01")
        case, _ = case_of(policy, ReaderFacts(home, category, age=age), item, place, now)
        named = policy.bundle.agreements
        if case and not any(kind in a.excluded_item_types for a in named if a.id in case.agreements):
            cases.append((case, category))
    return cases


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(st.lists(rules, max_size=8, unique_by=lambda rule: rule.id), agreement("one"), agreement("two"))
def test_the_linter_says_of_each_rule_what_every_single_case_says(some, first, second):
    ages = (None, 5, 13, 16, 30)
    census = [(org, category, age, 1) for org in ORGS for category in ("UG", "PG") for age in ages]
    bundle: Bundle = Make.bundle(
        rules=tuple(some), agreements=(first, second), valid_to_ms=NOW + 60 * DAY,
        groups=(Group("g", frozenset({HOME, f"{HOST}-01"})),),
    )  # fmt: skip
    policy = Policy(bundle)
    matched, giving, gaps, lent = set(), set(), set(), set()
    for case, category in every_case(policy, census):
        for step in explain_rule(policy, case).steps:
            if step.verdict in (Verdict.GIVES, Verdict.FITS):
                matched.add(step.rule_id)
            if set(step.gives) - {"return_to"}:
                giving.add(step.rule_id)
        outcome = resolve(policy, case)
        period = outcome.period_days is not None
        if outcome.age_excluded or outcome.lend is False or (outcome.lend and period):
            lent.add((case.item_type, case.owner))
        else:
            gaps.add((case.home, category, case.item_type, case.owner))
    for kind, owner, place, now in product(("BOOK", "DISC"), ORGS, policy.branches, INSTANTS):
        for step in explain_rule(policy, Case(frozenset(), "*", "*", kind, owner, place, None, now)).steps:
            if step.verdict in (Verdict.GIVES, Verdict.FITS):
                matched.add(step.rule_id)
            if set(step.gives) & {"return_to", "condition_note"}:
                giving.add(step.rule_id)
    said = lint(bundle, census, item_types=["BOOK", "DISC"])
    if any(one.severity == "error" for one in said):
        return
    by_code: dict[str, set[str]] = {}
    for one in said:
        by_code.setdefault(one.code, set()).add(one.where.split(".", 1)[-1])
    empty = by_code.get("RULE_SETS_NOTHING", set())
    assert by_code.get("RULE_NEVER_MATCHES", set()) == {rule.id for rule in some} - matched - empty
    idle = by_code.get("RULE_SHADOWED", set()) | by_code.get("RULE_RETURN_UNUSED", set())
    assert idle == matched - giving - empty
    kinds = {kind for kind, _ in lent}
    real = {f"{home}/{cat}" for home, cat, kind, owner in gaps if kind not in kinds or (kind, owner) in lent}
    assert by_code.get("READER_UNCOVERED", set()) == real
