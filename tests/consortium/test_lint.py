"""The linter: errors that refuse publication, limits and members, agreements that meet."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consortium.agreement import (
    AgreementStatus,
    Branch,
    BranchKind,
    CategoryMap,
    Group,
    Library,
    LibraryStatus,
    LimitScope,
    LimitSet,
    Party,
    PolicyRule,
    Quotas,
    Retention,
    Role,
    Service,
    Staleness,
)
from consortium.bundle import BundleError
from consortium.calendar import Calendar, Period, round_the_clock
from consortium.lint import Severity, check_bundle, lint
from tests.make import DAY, HOME, HOST, NOW, THIRD, Make

CONTRADICTS = "AGREEMENT_CONTRADICTS"
NEVER = Calendar("never", "Asia/Shanghai", ((),) * 7)


def codes(bundle, *args, **more) -> set[str]:
    return {found.code for found in lint(bundle, *args, **more)}


def of(bundle, code: str):
    return [found for found in lint(bundle) if found.code == code]


def refused(bundle) -> str:
    with pytest.raises(BundleError) as caught:
        check_bundle(bundle)
    return caught.value.code


def roles(first: Role, second: Role) -> tuple[Party, ...]:
    return (Party(HOME, first), Party(HOST, second))


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("valid_to", {"valid_to_ms": NOW - 100 * DAY}),
        ("parties", {"parties": (Party(HOME),), "category_map": ()}),
        ("parties", {"parties": (Party(HOME), Party(HOME)), "category_map": ()}),
        ("parties", {"parties": roles(Role.HOME, Role.HOME)}),
        ("parties", {"parties": roles(Role.HOST, Role.HOST)}),
        ("categories", {"category_map": (CategoryMap(THIRD, "UG", "U"),)}),
        ("categories", {"category_map": (CategoryMap(HOME, "UG", "U"), CategoryMap(HOME, "UG", "V"))}),
        ("services", {"services": frozenset()}),
        ("services", {"services": frozenset({Service.BORROW})}),
        ("services", {"services": frozenset({Service.HOLD, Service.RETURN})}),
        ("services", {"services": frozenset({Service.RENEW, Service.RETURN})}),
        ("quotas.loans_per_reader", {"quotas": Quotas(loans_per_reader=-1)}),
        ("staleness.borrow", {"staleness": Staleness(borrow_facts_fresh_ms=60_000, borrow_facts_refuse_ms=59_999)}),
        ("staleness.policy", {"staleness": Staleness(policy_refuse_ms=1)}),
        ("staleness.enter", {"staleness": Staleness(enter_cards_fresh_ms=-1)}),
        ("staleness.offline_cap", {"staleness": Staleness(offline_cap=-1)}),
        ("retention", {"retention": Retention(visit_days=-1)}),
        ("blackouts", {"blackouts": (Period(NOW, NOW),)}),
        ("blackouts", {"blackouts": (Period(NOW, NOW + 2000 * DAY), Period(NOW - 200 * DAY, NOW + DAY))}),
    ],
)
def test_an_agreement_that_contradicts_itself_is_refused(part, wrong):
    bundle = Make.bundle(agreements=(Make.agreement(**wrong),))
    assert {found.where for found in of(bundle, CONTRADICTS)} == {f"agreements.both@1.{part}"}
    assert refused(bundle) == CONTRADICTS


def test_two_versions_in_force_at_once_are_refused():
    first, second = Make.agreement(), replace(Make.agreement(), version=2)
    assert refused(Make.bundle(agreements=(first, second))) == CONTRADICTS
    assert refused(Make.bundle(agreements=(first, first))) == CONTRADICTS
    ended = replace(first, status=AgreementStatus.ENDED)
    check_bundle(Make.bundle(agreements=(ended, second)))
    later = replace(second, valid_from_ms=first.valid_to_ms, valid_to_ms=first.valid_to_ms + DAY)
    check_bundle(Make.bundle(agreements=(first, later)))


def test_black_outs_with_a_gap_do_not_cover_the_term():
    term = (Period(NOW - 100 * DAY, NOW), Period(NOW + 1, NOW + 1000 * DAY))
    check_bundle(Make.bundle(agreements=(Make.agreement(blackouts=term),)))


@pytest.mark.parametrize(
    ("wrong", "code", "where"),
    [
        ({"calendars": (Calendar("always", "Asia/Shanghai", ((),) * 7),)}, "CALENDAR_NO_HOURS", "calendars.always"),
        ({"calendars": (round_the_clock("always"), NEVER)}, "CALENDAR_NO_HOURS", "calendars.never"),
        ({"calendars": (Calendar("always", "UTC", (((9, 8),),) * 7),)}, "CALENDAR_HOURS", "calendars.always"),
        ({"valid_to_ms": NOW - DAY}, "BUNDLE_TERM", "consortium.valid_to"),
        ({"match_order": ("home", "place")}, "BUNDLE_ORDER", "consortium.match_order"),
        ({"rules": (PolicyRule("a", lend=True), PolicyRule("a", lend=False))}, "BUNDLE_TWICE", "rules.a"),
        ({"rules": (PolicyRule("a", home="@none"),)}, "BUNDLE_REFERENCE", "rules.a.home"),
        ({"rules": (PolicyRule("a", place="251020-07"),)}, "BUNDLE_REFERENCE", "rules.a.place"),
        ({"rules": (PolicyRule("a", agreement="none"),)}, "BUNDLE_REFERENCE", "rules.a.agreement"),
        ({"rules": (PolicyRule("a", fine_per_day=-1),)}, "BUNDLE_NEGATIVE", "rules.a.fine_per_day"),
        ({"limits": (LimitSet("a", LimitScope.LENDER, -1),)}, "BUNDLE_NEGATIVE", "limits.a"),
        ({"limits": (LimitSet("a", LimitScope.GROUP, 1, group="none"),)}, "BUNDLE_REFERENCE", "limits.a.group"),
        ({"groups": (Group("g", frozenset({"880000"})),)}, "BUNDLE_REFERENCE", "groups.g"),
        ({"branches": (Branch("880000-01", "880000", "馆", "B", "always"),)}, "BUNDLE_REFERENCE", "branches.880000-01.library"),
        ({"branches": (Branch(f"{HOME}-01", HOME, "馆", "B", "always", -1),)}, "BUNDLE_NEGATIVE", "branches.251020-01.capacity"),
    ],
)  # fmt: skip
def test_a_bundle_that_cannot_be_used_is_refused(wrong, code, where):
    bundle = Make.bundle(**wrong)
    assert refused(bundle) == code
    assert where in {found.where for found in of(bundle, code)}
    assert {found.severity for found in lint(bundle)} == {Severity.ERROR}


def test_a_place_that_only_takes_returns_needs_no_hours():
    box = Branch(f"{HOME}-02", HOME, "还书箱", "Drop box", "never", kind=BranchKind.DROP)
    check_bundle(Make.bundle(calendars=(round_the_clock("always"), NEVER), branches=(*Make.bundle().branches, box)))


def test_a_sound_bundle_has_neither_errors_nor_warnings():
    found = lint(Make.bundle(), [(HOME, "UG", 19, 10), (HOST, "UG", None, 5)])
    assert not found
    check_bundle(Make.bundle())


def test_findings_stand_in_order_errors_first_and_speak_both_languages():
    bundle = Make.bundle(
        agreements=(Make.agreement(services=frozenset({Service.BORROW}), notice_days=-1),),
        rules=(PolicyRule("a", deposit=-1),),
    )
    found = lint(bundle)
    assert found == sorted(found, key=lambda one: one.order())
    assert len(found) == 3
    assert all(one.zh and one.en for one in found)


def test_two_agreements_for_the_same_readers_name_the_one_that_speaks():
    (found,) = of(Make.bundle(agreements=(Make.agreement("b"), Make.agreement("a"))), "AGREEMENT_BOTH_SERVE")
    assert found.where == "agreements.b@1"
    assert "a@1 speaks" in found.en
    assert f"{HOME}/UG → {HOST}" in found.en


@pytest.mark.parametrize(
    "apart",
    [
        {"status": AgreementStatus.SUSPENDED},
        {"services": frozenset({Service.ENTER})},
        {"category_map": (CategoryMap(HOME, "PG", "U"), CategoryMap(HOST, "PG", "U"))},
        {"valid_from_ms": NOW + 1000 * DAY, "valid_to_ms": NOW + 1001 * DAY},
        {
            "parties": (Party(HOME), Party(THIRD)),
            "category_map": (CategoryMap(HOME, "UG", "U"), CategoryMap(THIRD, "UG", "U")),
        },
    ],
)
def test_agreements_that_never_meet_are_not_compared(apart):
    first = Make.agreement(services=frozenset({Service.BORROW, Service.RETURN}))
    assert not of(Make.bundle(agreements=(first, Make.agreement("b", **apart))), "AGREEMENT_BOTH_SERVE")


def test_categories_that_are_never_reached_are_told():
    rows = (CategoryMap(HOME, "*", "U"), CategoryMap(HOME, "PG", "P"), CategoryMap(HOST, "UG", "U"))
    assert "AGREEMENT_CATEGORY_UNREACHABLE" in codes(Make.bundle(agreements=(Make.agreement(category_map=rows),)))
    hosting = Make.agreement(parties=roles(Role.HOME, Role.HOST))
    assert "AGREEMENT_CATEGORY_UNREACHABLE" in codes(Make.bundle(agreements=(hosting,)))
    nobody = Make.agreement(category_map=(CategoryMap(HOME, "UG", "U"),))
    assert "AGREEMENT_SERVES_NOBODY" in codes(Make.bundle(agreements=(nobody,)))
    assert "AGREEMENT_OUTSIDE" in codes(Make.bundle(agreements=(Make.agreement(valid_to_ms=NOW - 2 * DAY),)))


def test_members_that_are_missing_something_are_told():
    assert {one.where for one in of(Make.bundle(branches=Make.bundle().branches[:2]), "LIBRARY_NO_BRANCH")} == {
        f"libraries.{THIRD}"
    }
    left = Library(THIRD, "CN-990002", "馆", "Library", status=LibraryStatus.LEFT)
    gone = Make.bundle(libraries=(*Make.bundle().libraries[:2], left), branches=Make.bundle().branches[:2])
    assert not of(gone, "LIBRARY_NO_BRANCH")
    groups = Make.bundle(groups=(Group("empty"), Group("idle", frozenset({HOME}))))
    assert {one.where for one in of(groups, "GROUP_EMPTY")} == {"groups.empty"}
    assert {one.where for one in of(groups, "GROUP_UNUSED")} == {"groups.empty", "groups.idle"}
    assert of(Make.bundle(calendars=(round_the_clock("always"), round_the_clock("spare"))), "CALENDAR_UNUSED")


LENDER, GROUP, ALL = LimitScope.LENDER, LimitScope.GROUP, LimitScope.CONSORTIUM
DISC = frozenset({"DISC"})


@pytest.mark.parametrize(
    ("limits", "idle"),
    [
        ([LimitSet("a", ALL, 5), LimitSet("b", LENDER, 5)], {"b"}),
        ([LimitSet("a", ALL, 5), LimitSet("b", LENDER, 4)], set()),
        ([LimitSet("a", LENDER, 5), LimitSet("b", ALL, 9)], set()),
        ([LimitSet("a", LENDER, 5), LimitSet("b", LENDER, 5)], {"b"}),
        ([LimitSet("a", LENDER, 9), LimitSet("b", LENDER, 5)], {"a"}),
        ([LimitSet("a", LENDER, 5), LimitSet("b", LENDER, 9, item_types=DISC)], {"b"}),
        ([LimitSet("a", LENDER, 5, item_types=DISC), LimitSet("b", LENDER, 9)], set()),
        ([LimitSet("a", LENDER, 5, categories=DISC), LimitSet("b", LENDER, 9)], set()),
        ([LimitSet("a", LENDER, 5, partners_only=True), LimitSet("b", LENDER, 9)], set()),
        ([LimitSet("a", LENDER, 5), LimitSet("b", LENDER, 9, partners_only=True)], {"b"}),
        ([LimitSet("a", LENDER, 5, lender=HOME), LimitSet("b", LENDER, 9)], set()),
        ([LimitSet("a", LENDER, 5), LimitSet("b", LENDER, 9, lender=HOME)], {"b"}),
        ([LimitSet("a", LENDER, 5), LimitSet("b", LENDER, 9, max_value=3)], set()),
        ([LimitSet("a", LENDER, 5, max_value=3), LimitSet("b", LENDER, 9, max_value=3)], {"b"}),
        ([LimitSet("a", GROUP, 5, group="g"), LimitSet("b", LENDER, 9)], set()),
        ([LimitSet("a", GROUP, 5, group="g"), LimitSet("b", GROUP, 9, group="g")], {"b"}),
        ([LimitSet("a", ALL, 5), LimitSet("b", GROUP, 9, group="g")], {"b"}),
        ([LimitSet("a", GROUP, 5)], {"a"}),
        ([LimitSet("a", LENDER, 5, group="g")], {"a.group"}),
    ],
)
def test_limits_that_another_always_reaches_first_never_bite(limits, idle):
    bundle = Make.bundle(limits=tuple(limits), groups=(Group("g", frozenset({HOME})),))
    assert {found.where.removeprefix("limits.") for found in of(bundle, "LIMIT_NEVER_BITES")} == idle


def test_limits_over_what_nobody_is_or_has_never_bite():
    census = [(HOME, "UG", 19, 1)]
    nobody = Make.bundle(limits=(LimitSet("a", LENDER, 5, categories=frozenset({"ALUMNI"})),))
    assert "LIMIT_NEVER_BITES" in codes(nobody, census)
    assert "LIMIT_NEVER_BITES" not in codes(nobody)
    shared = Make.bundle(limits=(LimitSet("a", LENDER, 5, categories=frozenset({"U"})),))
    assert "LIMIT_NEVER_BITES" not in codes(shared, census)
    discs = Make.bundle(limits=(LimitSet("a", LENDER, 5, item_types=DISC),))
    assert "LIMIT_NEVER_BITES" in codes(discs, item_types=["BOOK"])
    assert "LIMIT_NEVER_BITES" not in codes(discs)


def test_a_limit_of_nothing_forbids():
    assert "LIMIT_FORBIDS" in codes(Make.bundle(limits=(LimitSet("a", LENDER, 0),)))
