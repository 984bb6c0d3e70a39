"""The trace of a rule: every result with its rule, every rule with what became of it; agreements in words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortium.agreement import (
    Disclosure,
    FeeScheme,
    Group,
    PolicyRule,
    Quotas,
    Role,
    Service,
    Staleness,
)
from consortium.calendar import Period
from consortium.explain import RESULT_NAMES, Verdict, case_of, explain_rule, specificity, value_text
from consortium.explain_agreement import describe
from consortium.reasons import REASONS
from consortium.rules import RESULTS, Case, resolve
from tests.make import DAY, HOME, HOST, NOW, THIRD, Make

CASE = Case(frozenset({"both"}), HOME, "U", "BOOK", HOST, f"{HOST}-01", 20, NOW)

RULES = (
    PolicyRule("general", lend=True, period_days=30, fine_per_day=10),
    PolicyRule("ours", agreement="both", period_days=21),
    PolicyRule("theirs", agreement="other", period_days=1),
    PolicyRule("staff", category="STAFF", period_days=90),
    PolicyRule("children", category="U", age_to=12, lend=False),
    PolicyRule("over", category="U", valid_to_ms=NOW, lend=False),
    PolicyRule("group", home="@unis", item_type="BOOK", period_days=60),
    PolicyRule("late", home="@unis", item_type="BOOK", owner=HOST, renewals=2),
    PolicyRule("discs", item_type="DISC", period_days=7),
)


def policy(**more):
    return Make.policy(rules=RULES, groups=(Group("unis", frozenset({HOME, HOST})),), **more)


def told(**more):
    return {step.rule_id: step for step in explain_rule(policy(), replace(CASE, **more)).steps}


def test_rules_that_are_passed_over_say_why():
    steps = told()
    assert steps["theirs"].verdict is Verdict.AGREEMENT
    assert steps["staff"].verdict is Verdict.CATEGORY
    assert steps["children"].verdict is Verdict.AGE
    assert steps["over"].verdict is Verdict.DATE
    assert steps["group"].verdict is Verdict.FITS
    assert "discs" not in steps
    assert told(now=NOW - 1)["over"].verdict is Verdict.GIVES
    assert told(age=12)["children"].verdict is Verdict.GIVES
    assert told(age=None)["children"].verdict is Verdict.AGE


def test_every_result_names_the_rule_that_gave_it():
    found = {value.name: (value.value, value.rule_id) for value in explain_rule(policy(), CASE).values}
    assert found["lend"] == (True, "general")
    assert found["period_days"] == (21, "ours")
    assert found["renewals"] == (2, "late")
    assert found["deposit"] == (None, None)
    assert tuple(found) == RESULTS


def test_the_lines_stand_in_the_fixed_order_with_their_vectors():
    lines = explain_rule(policy(), CASE).lines("en")
    assert lines[0] == "Order of rules: agreement > home > category > item_type > owner > place, id"
    assert lines[1] == "  1. (=*****) ours: gives: loan period, days"
    assert lines[3] == "  3. (*@*==*) late: gives: renewals"
    assert lines[4] == "  4. (*@*=**) group: fits, but more specific rules had given all it sets"
    assert "     1 further rules speak of other readers, items or places" in lines
    assert "     charge a day overdue, yuan: 0.10  [rule general]" in lines
    assert "     借期(天): 21  [规则ours]" in explain_rule(policy(), CASE).lines("zh")


def test_another_order_of_the_bundle_gives_another_vector():
    other = policy(match_order=("place", "owner", "item_type", "category", "home", "agreement"))
    assert specificity(other, RULES[7]) == "*==*@*"
    assert specificity(policy(), RULES[7]) == "*@*==*"


names = st.sampled_from
some_rules = st.lists(
    st.builds(
        PolicyRule, st.text("abcdef", min_size=1, max_size=4), agreement=names(("*", "both", "no")),
        home=names(("*", HOME, "@unis")), category=names(("*", "U", "X")), item_type=names(("*", "BOOK", "DISC")),
        owner=names(("*", HOST, "@unis")), place=names(("*", HOST, f"{HOST}-01", THIRD)),
        age_from=names((None, 10, 30)), age_to=names((None, 15, 40)), valid_to_ms=names((None, NOW, NOW + 1)),
        lend=names((None, True, False)), period_days=names((None, 1, 2)), period_hours=names((None, 3)),
        fine_per_day=names((None, 5)), return_to=names((None, "owner")),
    ),
    unique_by=lambda rule: rule.id,
)  # fmt: skip


@given(some_rules, names((None, 5, 20, 35)))
def test_the_explanation_is_what_the_rules_resolve_to(rules, age):
    made = Make.policy(rules=tuple(rules), groups=(Group("unis", frozenset({HOME, HOST})),))
    case = replace(CASE, age=age)
    explained, resolved = explain_rule(made, case), resolve(made, case)
    assert {value.name: value.value for value in explained.values} == {n: getattr(resolved, n) for n in RESULTS}
    givers = tuple(step.rule_id for step in explained.steps if step.verdict is Verdict.GIVES)
    assert givers == resolved.basis
    fitting = [step for step in explained.steps if step.verdict in (Verdict.GIVES, Verdict.FITS)]
    assert len(fitting) == resolved.matched
    assert len(explained.steps) + explained.elsewhere == len(rules)


def test_every_result_has_a_name_in_both_languages():
    assert tuple(RESULT_NAMES) == RESULTS
    assert all(zh and en for zh, en in RESULT_NAMES.values())


@pytest.mark.parametrize(
    ("name", "value", "zh", "en"),
    [
        ("deposit", 50_000, "500.00", "500.00"),
        ("lend", True, "是", "yes"),
        ("lend", False, "否", "no"),
        ("grace_days", None, "未规定", "not set"),
        ("hard_due_ms", 1_814_198_399_000, "2027-06-28 23:59", "2027-06-28 23:59"),
        ("offline_cap", 0, "0", "0"),
    ],
)
def test_results_are_told_as_people_read_them(name, value, zh, en):
    assert value_text(name, value, "Asia/Shanghai") == zh
    assert value_text(name, value, "Asia/Shanghai", "en") == en


def test_a_case_without_an_agreement_gives_the_codes():
    reader, item = Make.reader(), Make.item()
    case, codes = case_of(policy(), reader, item, f"{THIRD}-01", NOW)
    assert case is None
    assert codes == ("AGR_NONE",)
    assert all(code in REASONS for code in codes)


def test_a_case_carries_the_shared_category_and_the_agreements():
    assert case_of(policy(), Make.reader(), Make.item(), f"{HOST}-01", NOW) == (CASE, ())
    own, _ = case_of(policy(), Make.reader(), Make.item(HOME), f"{HOME}-01", NOW)
    assert own is not None
    assert (own.agreements, own.category) == (frozenset(), "UG")


def test_an_agreement_is_told_with_every_choice_in_it():
    agreement = Make.agreement(
        parties=(replace(Make.agreement().parties[0], role=Role.HOME), replace(Make.agreement().parties[1], role=Role.HOST)),
        services=frozenset({Service.ENTER, Service.BORROW}),
        excluded_item_types=frozenset({"KIT"}),
        blackouts=(Period(NOW, NOW + DAY),),
        quotas=Quotas(visitors_now=40),
        fee_scheme=FeeScheme.NONE,
        disclosure=Disclosure(name_at_desk=True),
        staleness=Staleness(own_readers_fail_open=False, offline_cap=1, offline_max_value=2),
    )  # fmt: skip
    en = "\n".join(describe(agreement, Make.bundle(), "en"))
    for phrase in (
        "both@1 (active)", "sends readers only", "hosts readers only", "Services: enter, borrow", "251020/UG = U",
        "Item types left out: KIT", "not served: 2026-11-", "40 partner readers inside at once", "no charges at all",
        "answers for a lost item", "to borrow: fresh to 15 min, refused after 8 h", "own readers are refused too",
        "1 items a reader at most, of value 2", "the name, at the desk", "with visits 30 days", "30 days' notice",
    ):  # fmt: skip
        assert phrase in en
    zh = "\n".join(describe(agreement, Make.bundle(), "zh"))
    for phrase in ("生效", "只派出读者", "不收取任何费用", "本馆读者超时也不放行", "服务台可见姓名", "到馆记录30天"):
        assert phrase in zh


def test_the_choice_to_let_own_readers_in_is_printed_in_the_agreement():
    assert any("own readers are let in" in line for line in describe(Make.agreement(), Make.bundle(), "en"))
