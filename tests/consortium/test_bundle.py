"""The policy bundle: exact text, refused forms; records of decisions; calendars."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortium.agreement import Branch, BranchKind, Party, PolicyRule, Role, Staleness
from consortium.bundle import BundleError, digest, from_json, from_plain, to_json
from consortium.calendar import Calendar, CalendarError
from consortium.decisions import accept_return, may_borrow, may_enter
from consortium.facts import BlockFacts, HoldFacts, OpenLoans, Relation
from consortium.reasons import REASONS, text
from consortium.record import facts_of, record
from consortium.rules import Case, resolve
from tests.make import HOME, HOST, HOUR, NOW, Make


def test_a_bundle_reads_back_and_has_one_text():
    bundle = Make.bundle()
    assert from_json(to_json(bundle)) == bundle
    assert digest(to_json(bundle)) == digest(to_json(from_json(to_json(bundle))))


@pytest.mark.parametrize("content", ["", "{}", '{"version":"one"}'])
def test_what_is_no_bundle_is_refused(content):
    with pytest.raises(BundleError) as caught:
        from_json(content)
    assert caught.value.code == "BUNDLE_INVALID"


def test_a_plain_source_names_what_is_wrong():
    with pytest.raises(BundleError, match="version"):
        from_plain({**json.loads(to_json(Make.bundle())), "version": "one"})


def test_a_branch_without_its_library_or_calendar_is_refused():
    stray = Branch("880000-01", "880000", "馆", "Branch", "always")
    with pytest.raises(BundleError) as caught:
        Make.policy(branches=(stray,))
    assert caught.value.code == "BUNDLE_BRANCH"
    with pytest.raises(BundleError) as caught:
        Make.policy(branches=(Branch(f"{HOST}-01", HOST, "馆", "Branch", "never"),))
    assert caught.value.code == "BUNDLE_CALENDAR"


@pytest.mark.parametrize(
    ("tz", "days", "code"), [("Asia/Shanghai", 6, "CALENDAR_WEEK"), ("Asia/Nowhere", 7, "CALENDAR_ZONE")]
)
def test_a_calendar_without_a_week_or_a_zone_is_refused(tz, days, code):
    with pytest.raises(CalendarError) as caught:
        Calendar("c", tz, (((0, 1440),),) * days)
    assert caught.value.code == code


def test_an_exception_replaces_the_hours_of_its_day():
    # 2026-11-23 is a Monday; 01:00 UTC is 09:00 in Shanghai.
    monday_nine = 1_795_395_600_000
    week = (((480, 1320),),) * 7
    assert Calendar("c", "Asia/Shanghai", week).is_open(monday_nine)
    assert not Calendar("c", "Asia/Shanghai", week, {"2026-11-23": ()}).is_open(monday_nine)
    assert not Calendar("c", "Asia/Shanghai", week).is_open(monday_nine - 2 * 3_600_000)


FACTS = [
    (
        may_enter,
        Make.enter(reader=Make.reader(blocks=(BlockFacts(HOME, "issuer", frozenset({"ENTER"}), "FEES"),)), occupancy=3),
    ),
    (may_enter, Make.enter(card=None, reader=None)),
    (
        may_borrow,
        Make.borrow(pin=True, reader=Make.reader(open_loans=(OpenLoans(HOST, "BOOK", 2, 2),), valid_to_ms=NOW + 9)),
    ),
    (may_borrow, Make.borrow(item=Make.item(loan=Relation.SELF), device=Make.device(clock_trusted=False))),
    (accept_return, Make.give_back(holds=(HoldFacts("h", f"{HOME}-01", 5),), can_hand_back=True)),
]


@pytest.mark.parametrize(("function", "facts"), FACTS)
def test_a_recorded_decision_is_re_derivable_from_its_own_record(function, facts):
    decision = function(Make.policy(), facts, NOW, source="edge")
    kept = json.loads(json.dumps(record(decision, facts, NOW)))
    again = facts_of(kept)
    assert again == facts
    assert function(Make.policy(), again, kept["t"], source=kept["s"]) == decision


@given(st.sampled_from(FACTS))
def test_a_record_holds_integers_and_strings_only(case):
    function, facts = case

    def plain(value) -> bool:
        if isinstance(value, dict):
            return all(isinstance(k, str) and plain(v) for k, v in value.items())
        if isinstance(value, list):
            return all(plain(v) for v in value)
        return value is None or (isinstance(value, int | str) and not isinstance(value, bool))

    assert plain(record(function(Make.policy(), facts, NOW), facts, NOW))


def test_every_reason_speaks_both_languages():
    for code, reason in REASONS.items():
        assert reason.zh
        assert reason.en
        assert text(code, "en") == reason.en
        assert text(code, "fr") == reason.zh
    assert text("NO_SUCH_CODE") == "NO_SUCH_CODE"


def test_a_calendar_that_never_opens_is_refused_but_for_a_place_that_only_takes_returns():
    never = (Calendar("always", "Asia/Shanghai", ((),) * 7),)
    with pytest.raises(BundleError) as refused:
        Make.policy(calendars=never)
    assert refused.value.code == "CALENDAR_NO_HOURS"
    drops = tuple(dataclasses.replace(one, kind=BranchKind.DROP) for one in Make.bundle().branches)
    assert Make.policy(calendars=never, branches=drops).calendar_of(f"{HOST}-01").weekly == ((),) * 7


def test_a_library_lets_its_own_readers_in_on_old_facts_unless_an_agreement_it_hosts_under_says_no():
    closed = Make.agreement(staleness=Staleness(own_readers_fail_open=False))
    old = Make.enter(reader=Make.reader(HOST), known=Make.known(25 * HOUR))
    assert may_enter(Make.policy(), old, NOW).allowed
    assert may_enter(Make.policy(agreements=(closed,)), old, NOW).primary == "NOT_DECIDABLE_OFFLINE"
    sends = Make.agreement(parties=(Party(HOST, Role.HOME), Party(HOME, Role.HOST)), staleness=closed.staleness)
    assert may_enter(Make.policy(agreements=(sends,)), old, NOW).allowed


def test_a_period_in_days_is_not_undone_by_hours_of_a_less_specific_rule():
    rules = (
        PolicyRule("laptops", item_type="LAPTOP", lend=True, period_hours=4),
        PolicyRule("staff laptops", item_type="LAPTOP", category="STAFF", period_days=7),
    )
    policy = Make.policy(rules=rules)
    case = Case(frozenset(), HOST, "STAFF", "LAPTOP", HOST, f"{HOST}-01", None, NOW)
    assert (resolve(policy, case).period_days, resolve(policy, case).period_hours) == (7, None)
    student = dataclasses.replace(case, category="UG")
    assert (resolve(policy, student).period_days, resolve(policy, student).period_hours) == (None, 4)
