"""What a policy remembers of rules and due days is what it would say anew, and it does not remember without end."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given

from consortium.agreement import PolicyRule
from consortium.bundle import MOST_REMEMBERED, Policy
from consortium.calendar import ALL_DAY, Calendar
from consortium.rules import Case, resolve
from tests.consortium.histories import seeds
from tests.make import DAY, HOME, HOST, HOUR, NOW, THIRD, Make

HERE = f"{HOST}-01"
CASE: dict[str, Any] = {
    "agreements": frozenset({"both"}), "home": HOME, "category": "U", "item_type": "BOOK", "owner": HOST, "place": HERE,
    "age": 20, "now": NOW,
}  # fmt: skip
OTHERS: dict[str, Any] = {
    "agreements": frozenset({"other"}), "home": THIRD, "category": "G", "item_type": "DISC", "owner": THIRD,
    "place": f"{THIRD}-01", "age": 70, "now": NOW + DAY,
}  # fmt: skip
SPECIAL = {"agreements": {"agreement": "other"}, "now": {"valid_from_ms": NOW + 1}, "age": {"age_from": 60}}


def special(name: str) -> PolicyRule:
    """A rule for the other value of one field of the case."""
    return PolicyRule("special", renewals=9, **SPECIAL.get(name, {name: OTHERS[name]}))


@pytest.mark.parametrize("name", CASE)
@pytest.mark.parametrize("first", [True, False])
def test_cases_that_differ_in_one_thing_are_kept_apart(name, first):
    policy = Make.policy(rules=(special(name), PolicyRule("the-rest", renewals=1)))
    asked = [CASE, {**CASE, name: OTHERS[name]}]
    for case in asked if first else reversed(asked):
        assert resolve(policy, Case(**case)).renewals == (1 if case is CASE else 9)
    assert resolve(policy, Case(**CASE)).renewals == 1


@pytest.mark.parametrize(
    "dated", [{"valid_from_ms": NOW + 1}, {"valid_to_ms": NOW + 1}, {"valid_from_ms": 0, "valid_to_ms": NOW + 1}]
)
def test_a_rule_with_dates_is_asked_every_time(dated):
    policy = Make.policy(
        rules=(PolicyRule("dated", place=HERE, renewals=9, **dated), PolicyRule("general", renewals=1))
    )
    for now in (NOW, NOW + 1, NOW, NOW + 1):
        in_force = dated.get("valid_from_ms", 0) <= now < dated.get("valid_to_ms", NOW + DAY)
        assert resolve(policy, Case(**{**CASE, "now": now})).renewals == (9 if in_force else 1)


def test_the_same_question_has_the_same_answer_without_being_asked_again():
    policy = Make.policy(rules=(PolicyRule("general", renewals=1),))
    assert resolve(policy, Case(**CASE)) is resolve(policy, Case(**{**CASE, "now": NOW + 1}))


@given(seeds)
def test_whatever_was_asked_before_an_answer_is_the_fresh_one(rng: random.Random):
    rules = (*(special(name) for name in rng.sample(list(CASE), 3)), PolicyRule("general", renewals=1))
    rules = tuple(PolicyRule(f"r{n}", **{**_set(rule), "renewals": n}) for n, rule in enumerate(rules))
    policy = Make.policy(rules=rules)
    for _ in range(20):
        case = Case(**{name: rng.choice((CASE[name], OTHERS[name])) for name in CASE})
        assert resolve(policy, case) == resolve(Policy(policy.bundle), case)


def _set(rule: PolicyRule) -> dict[str, Any]:
    names = ("agreement", "home", "category", "item_type", "owner", "place", "age_from", "valid_from_ms")
    return {name: getattr(rule, name) for name in names}


def test_it_remembers_so_many_answers_and_then_begins_anew():
    policy = Make.policy(rules=(PolicyRule("general", renewals=1),))
    sizes = []
    for age in range(MOST_REMEMBERED + 2):
        resolve(policy, Case(**{**CASE, "age": age}))
        sizes.append(len(policy.resolved))
    assert sizes == [*range(1, MOST_REMEMBERED + 1), 1, 2]


@given(seeds)
def test_a_due_day_that_is_remembered_is_the_calendars(rng: random.Random):
    hours = tuple(rng.choice(((), ALL_DAY, ((480, 1200),))) for _ in range(7))
    zone = rng.choice(("Asia/Shanghai", "Europe/Berlin", "America/New_York"))
    calendar = Calendar("always", zone, (*hours[:6], ALL_DAY), exceptions={"2026-11-25": ()})
    policy = Make.policy(calendars=(calendar,))
    for _ in range(60):
        at = NOW + rng.randrange(-400, 400) * HOUR // 2
        place = rng.choice((HERE, f"{THIRD}-01"))
        assert policy.end_of_open_day(place, at) == calendar.end_of_open_day(at)
