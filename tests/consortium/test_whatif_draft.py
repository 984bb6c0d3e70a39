"""A draft of policy: what it may say, what is refused with its place, and how it is put in place of what there is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from consortium.agreement import Agreement, AgreementStatus, Group, LimitScope, LimitSet, PolicyRule, Service
from consortium.bundle import Bundle, from_plain
from consortium.source import write_source
from consortium.whatif.draft import MAX_DRAFT, Draft, DraftError, check_draft, read_draft
from firmware_sim.consortium import build
from tests.make import DAY, HOME, HOST, NOW, Make

PLAIN = f"""
[[agreements]]
id = "both"
version = 2
parties = [{{org = "{HOME}"}}, {{org = "{HOST}", role = "HOST"}}]
services = ["ENTER", "RETURN"]
valid_from_ms = {NOW}
valid_to_ms = {NOW + DAY}
category_map = [{{home_org = "{HOME}", home_cat = "UG", shared_cat = "U"}}]
[[rules]]
id = "partners"
agreement = "both"
period_days = 14
[[limits]]
id = "lender"
scope = "reader@lender"
max_open = 3
"""

HUMAN = f"""
[agreements.both]
version = 2
parties = ["{HOME}", {{ org = "{HOST}", role = "HOST" }}]
services = ["ENTER", "RETURN"]
valid_from = "2026-09-01"
valid_to = "2027-06-30"
categories = {{ "{HOME}/UG" = "U" }}
[agreements.exams]
parties = ["{HOME}", "{HOST}"]
services = ["RETURN"]
valid_from = "2026-09-01"
valid_to = "2027-06-30"
[rules.partners]
agreement = "exams"
period = "14 days"
[limits.lender]
scope = "reader@lender"
max_open = 3
"""


def refused(text: str) -> DraftError:
    with pytest.raises(DraftError) as wrong:
        read_draft(text, Make.bundle())
    assert "\n" not in str(wrong.value)
    return wrong.value


# --- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("x =", "DRAFT_TOML", "the draft is not TOML"),
        ("a = " + "[" * 5_000, "DRAFT_TOML", "the draft is not TOML"),
        ("", "DRAFT_EMPTY", "the draft names"),
        ("[agreements]", "DRAFT_EMPTY", "the draft names"),
        ("[calendars.x]", "DRAFT_KEY", "calendars"),
        ("agreements = 3", "DRAFT_VALUE", "agreements: write [agreements.NAME]"),
        ("rules = [3]", "DRAFT_VALUE", "rules[0]"),
        ("[[rules]]\nlend = true", "DRAFT_VALUE", "rules[0]"),
        ("[[rules]]\nid = 'r'\nlend = 3", "DRAFT_VALUE", "rules.r.lend"),
        ("[[rules]]\nid = 'r'\nlent = true", "DRAFT_KEY", "rules.r.lent"),
        ("[[rules]]\nid = 'r'\n[[rules]]\nid = 'r'", "DRAFT_TWICE", "rules.r"),
        ("[[rules]]\nid = 'r'\nperiod_days = 36501", "DRAFT_VALUE", "rules.r.period_days"),
        ("[[rules]]\nid = 'r'\ngrace_days = -1", "DRAFT_VALUE", "rules.r.grace_days"),
        ("[[rules]]\nid = 'r'\nhome = '77'", "DRAFT_REFERENCE", "rules.r.home"),
        ("[[rules]]\nid = 'r'\nowner = '@g'", "DRAFT_REFERENCE", "rules.r.owner"),
        ("[[rules]]\nid = 'r'\nplace = '251020-77'", "DRAFT_REFERENCE", "rules.r.place"),
        ("[[rules]]\nid = 'r'\nagreement = 'none'", "DRAFT_REFERENCE", "rules.r.agreement"),
        ("[[limits]]\nid = 'l'\nmax_open = 1\nscope = 'reader'", "DRAFT_VALUE", "limits.l.scope"),
        ("[[limits]]\nid = 'l'\nmax_open = 1\nscope = 'reader@group'\ngroup = 'g'", "DRAFT_REFERENCE", "limits.l.group"),
        ("[[limits]]\nid = 'l'\nmax_open = 1\nscope = 'reader@lender'\nlender = '7'", "DRAFT_REFERENCE", "limits.l.lender"),
        (PLAIN.replace(f'org = "{HOME}"', 'org = "7"', 1), "DRAFT_REFERENCE", "agreements.both.parties"),
        (PLAIN.replace(f'home_org = "{HOME}"', 'home_org = "7"'), "DRAFT_REFERENCE", "agreements.both.category_map"),
        (PLAIN.replace('role = "HOST"', 'role = "OWNER"'), "DRAFT_VALUE", "agreements.both.parties[1].role"),
        (PLAIN.replace('role = "HOST"', 'rolle = "HOST"'), "DRAFT_KEY", "agreements.both.parties[1].rolle"),
        (PLAIN.replace(f"valid_to_ms = {NOW + DAY}", f"valid_to_ms = {NOW}"), "DRAFT_VALUE", "agreements.both.valid_to_ms"),
        ("[agreements.'a@1']\n[agreements.'a@2']", "DRAFT_TWICE", "agreements"),
        ("[rules.r]\nlend = 3", "SOURCE_VALUE", "rules.r.lend"),
        ("[rules.r]\nlent = true", "SOURCE_UNKNOWN_KEY", "rules.r.lent"),
        ("[rules.r]\nagreement = 'none'", "SOURCE_REFERENCE", "rules.r.agreement"),
    ],
)  # fmt: skip
def test_a_draft_that_is_wrong_is_refused_in_one_sentence_with_the_place(text: str, code: str, place: str) -> None:
    wrong = refused(text)
    assert (wrong.code, str(wrong)[: len(place)]) == (code, place)


def test_a_draft_without_end_is_not_read() -> None:
    assert refused("#" * (MAX_DRAFT + 1)).code == "DRAFT_TOO_LONG"
    assert refused("馆" * (MAX_DRAFT // 3 + 1)).code == "DRAFT_TOO_LONG"


def test_a_lone_surrogate_is_no_crash() -> None:
    assert refused("\ud800 = 1").code == "DRAFT_TOML"


# --- both forms --------------------------------------------------------------------------------------------------------


def test_the_plain_form_has_the_names_of_the_bundle() -> None:
    draft = read_draft(PLAIN, Make.bundle())
    (agreement,), (rule,), (limit,) = draft.agreements, draft.rules, draft.limits
    assert (agreement.key, agreement.services) == ("both@2", frozenset({Service.ENTER, Service.RETURN}))
    assert (rule.agreement, rule.period_days) == ("both", 14)
    assert limit == LimitSet("lender", LimitScope.LENDER, 3)


def test_the_form_of_a_source_is_read_as_the_source_would_be() -> None:
    draft = read_draft(HUMAN, Make.bundle())
    assert [agreement.key for agreement in draft.agreements] == ["both@2", "exams@1"]
    both = draft.agreements[0]
    assert both.valid_from_ms == 1_788_192_000_000  # midnight of 1 September 2026 at UTC+8
    assert both.valid_to_ms - both.valid_from_ms == 303 * DAY  # the last day counts
    assert (draft.rules[0].agreement, draft.rules[0].period_days) == ("exams", 14)
    assert draft.limits == (LimitSet("lender", LimitScope.LENDER, 3),)


def test_a_source_read_as_a_draft_of_itself_changes_nothing() -> None:
    bundle = Make.bundle()
    lines = write_source(bundle)
    text = lines[lines.index("[agreements.") :]
    assert read_draft(text, bundle).onto(bundle) == bundle


def test_both_forms_may_stand_in_one_draft() -> None:
    draft = read_draft(
        HUMAN.partition("[rules")[0] + "[[limits]]\nid = 'a'\nscope = 'reader@consortium'\nmax_open = 9", Make.bundle()
    )
    assert (len(draft.agreements), [limit.id for limit in draft.limits]) == (2, ["a"])


def test_a_rule_may_name_an_agreement_of_the_draft_and_a_group_of_the_policy() -> None:
    bundle = Make.bundle(groups=(Group("city", frozenset({HOST})),))
    rules = (PolicyRule("r", agreement="new", home="@city"), PolicyRule("s", place=f"{HOST}-01"))
    draft = Draft((replace(Make.agreement(), id="new"),), rules)
    check_draft(draft, bundle)


def test_the_draft_of_the_manual_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "whatif.md").read_text("utf-8")
    text = page.partition("```toml\n")[2].partition("```")[0]
    draft = read_draft(text, from_plain(build(1, NOW)["bundle"]))
    assert [agreement.key for agreement in draft.agreements] == ["universities@3"]
    assert draft.limits == (LimitSet("visitors", LimitScope.LENDER, 3),)


# --- in place ----------------------------------------------------------------------------------------------------------


def bundle() -> Bundle:
    return Make.bundle(
        agreements=(replace(Make.agreement(), id="a"), Make.agreement(), replace(Make.agreement(), version=2)),
        limits=tuple(LimitSet(name, LimitScope.LENDER, 5) for name in "xyz"),
    )


def test_what_is_named_is_replaced_in_its_place_and_the_rest_is_added() -> None:
    draft = Draft(limits=(LimitSet("new", LimitScope.LENDER, 1), LimitSet("y", LimitScope.LENDER, 1)))
    placed = draft.onto(bundle())
    assert [(limit.id, limit.max_open) for limit in placed.limits] == [("x", 5), ("y", 1), ("z", 5), ("new", 1)]
    assert replace(placed, limits=bundle().limits) == bundle()


def test_all_versions_of_an_agreement_give_way_to_the_drafts() -> None:
    placed = Draft(agreements=(replace(Make.agreement(), version=3),)).onto(bundle())
    assert [agreement.key for agreement in placed.agreements] == ["a@1", "both@3"]


def dated(begin: int, end: int, status: AgreementStatus = AgreementStatus.ACTIVE) -> Agreement:
    return replace(Make.agreement(), valid_from_ms=begin, valid_to_ms=end, status=status)


def test_a_draft_for_later_is_taken_as_in_force_from_the_first_day() -> None:
    later = Draft((dated(NOW + 50 * DAY, NOW + 90 * DAY),), (PolicyRule("r", valid_from_ms=NOW + 50 * DAY),))
    then, changed = later.in_force(NOW, NOW + DAY)
    assert (then.agreements[0].valid_from_ms, then.rules[0].valid_from_ms, changed) == (NOW, NOW, ("both", "r"))


def test_what_begins_as_the_period_ends_is_for_later() -> None:
    draft = Draft((dated(NOW + DAY, NOW + 90 * DAY),), (PolicyRule("r", valid_from_ms=NOW + DAY),))
    assert draft.in_force(NOW, NOW + DAY)[1] == ("both", "r")


def test_a_draft_counts_as_active() -> None:
    then, changed = Draft((dated(NOW, NOW + DAY, AgreementStatus.DRAFT),)).in_force(NOW, NOW + DAY)
    assert (then.agreements[0].status, changed) == (AgreementStatus.ACTIVE, ("both",))


@pytest.mark.parametrize("status", [AgreementStatus.ENDED, AgreementStatus.SUSPENDED])
def test_dates_within_the_period_and_an_end_are_part_of_the_question(status: AgreementStatus) -> None:
    draft = Draft((dated(NOW + DAY - 1, NOW + DAY, status),), (PolicyRule("r", valid_from_ms=NOW + 1), PolicyRule("s")))
    assert draft.in_force(NOW, NOW + DAY) == (draft, ())
