"""The policy source: what a librarian writes, what it means, and what is refused with its place."""

from __future__ import annotations

from datetime import datetime

import pytest

from consortium.agreement import Party, Role, Service
from consortium.calendar import Period
from consortium.source import SourceError, read_source, write_source
from tests.make import Make

SMALL = """
[consortium]
version = 3
issued = "2026-08-20T09:00:00+08:00"
valid_from = "2026-09-01"
valid_to = "2027-08-31"

[libraries.251020]
name = { zh = "重庆大学图书馆", en = "Chongqing University Library" }
isil = "CN-251020"

[libraries.990001]
name = { zh = "示例大学图书馆", en = "Example University Library" }
isil = "CN-990001"

[groups]
universities = ["251020", "990001"]

[branches.251020-01]
name = { zh = "虎溪馆", en = "Huxi Branch" }
calendar = "term"
geo = ["29.592100", "106.299800"]

[branches.990001-01]
name = { zh = "主馆", en = "Main Library" }
calendar = "term"
sort_hub = "251020-01"

[calendars.term]
hours = "Mon-Fri 08:00-12:00, 14:00-22:00; Sat, Sun 09:00-21:00"
exceptions = [
  { from = "2026-10-01", to = "2026-10-03", name = { zh = "国庆节", en = "National Day" }, hours = "closed" },
  { date = "2026-10-10", hours = "08:00-22:00" },
]
periods = [
  { kind = "exam", from = "2027-01-04", to = "2027-01-15", name = { zh = "期末考试", en = "Examinations" } },
]

[agreements.universities]
parties = ["251020", { org = "990001", role = "HOST" }]
services = ["BORROW", "ENTER", "RETURN"]
valid_from = "2026-09-01"
valid_to = "2027-08-31"
categories = { "251020/UG" = "U-UG" }
blackouts = ["term:exam", { from = "2026-12-31", to = "2026-12-31" }]
notice = "60 days"
staleness = { policy = { fresh = "12 h", refuse = "2 days" }, own_readers_fail_open = false }

[rules.general]
lend = true
period = "30 days"
hard_due = "2027-06-30"
fine_per_day = "0.10"
max_fine = "20"
ages = "16-"

[rules.laptops]
home = "@universities"
item_type = "LAPTOP"
period = "4 h"
deposit = "500.00"

[limits.here]
scope = "reader@lender"
max_open = 5
"""


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def changed(old: str, new: str) -> str:
    assert old in SMALL
    return SMALL.replace(old, new, 1)


@pytest.mark.parametrize(
    ("old", "new", "code", "place"),
    [
        ("[consortium]", "[consortium", "SOURCE_SYNTAX", "this is no TOML"),
        ("version = 3", "version = 3\nverson = 4", "SOURCE_UNKNOWN_KEY", "consortium.verson: .*did you mean version"),
        ("[groups]", "[grops]", "SOURCE_UNKNOWN_KEY", "source.grops: .*did you mean groups"),
        ("version = 3\n", "", "SOURCE_MISSING", "consortium.version"),
        ("version = 3", "version = true", "SOURCE_VALUE", "consortium.version: must be a whole number"),
        ('isil = "CN-251020"', 'isill = "CN-251020"', "SOURCE_UNKNOWN_KEY", "libraries.251020.isill: .*mean isil"),
        ('isil = "CN-251020"\n', "", "SOURCE_MISSING", "libraries.251020.isil"),
        ('{ zh = "虎溪馆", en = "Huxi Branch" }', '{ zh = "虎溪馆" }', "SOURCE_VALUE", "251020-01.name: .*both languages"),
        ('{ zh = "虎溪馆", en = "Huxi Branch" }', '"虎溪馆"', "SOURCE_VALUE", "branches.251020-01.name"),
        ('calendar = "term"\ngeo', 'calendar = "tern"\ngeo', "SOURCE_REFERENCE", "251020-01.calendar: .*mean term"),
        ('sort_hub = "251020-01"', 'sort_hub = "251020-02"', "SOURCE_REFERENCE", "990001-01.sort_hub"),
        ('geo = ["29.592100",', 'geo = ["99.592100",', "SOURCE_VALUE", "geo: lies outside"),
        ('["251020", "990001"]', '["251020", "880000"]', "SOURCE_REFERENCE", "groups.universities"),
        ("Mon-Fri 08:00", "Mon-Fry 08:00", "SOURCE_VALUE", "calendars.term.hours"),
        ("Sat, Sun", "Fri, Sun", "SOURCE_VALUE", "calendars.term.hours: Fri is given twice"),
        ("08:00-12:00", "12:00-08:00", "CALENDAR_HOURS", "calendars.term"),
        ("08:00-12:00", "08:00-15:00", "CALENDAR_HOURS", "calendars.term: .*overlap"),
        ('date = "2026-10-10"', 'date = "2026-10-03"', "SOURCE_VALUE", r"exceptions\[1\]: 2026-10-03 is given twice"),
        ('from = "2026-10-01"', 'from = "2026-10-04"', "SOURCE_VALUE", r"calendars.term.exceptions\[0\]: runs backwards"),
        ('date = "2026-10-10"', 'date = "2026-02-30"', "SOURCE_VALUE", "is no date"),
        ('from = "2027-01-04"', 'from = "2027-02-04"', "CALENDAR_PERIOD", r"calendars.term.periods\[0\]"),
        ('kind = "exam"', 'kind = "exams"', "SOURCE_VALUE", r"calendars.term.periods\[0\].kind: must be one of"),
        ('{ org = "990001", role = "HOST" }', '{ org = "990001", roll = "HOST" }', "SOURCE_UNKNOWN_KEY", "mean role"),
        ('["251020", { org', '["251021", { org', "SOURCE_REFERENCE", "agreements.universities.parties: .*mean 251020"),
        ('"BORROW", "ENTER"', '"LEND", "ENTER"', "SOURCE_VALUE", "agreements.universities.services: must be one of"),
        ('"BORROW", "ENTER"', '"ENTER", "ENTER"', "SOURCE_VALUE", "services: names something twice"),
        ('"251020/UG" =', '"251020" =', "SOURCE_VALUE", "agreements.universities.categories"),
        ('"251020/UG" =', '"251022/UG" =', "SOURCE_REFERENCE", "agreements.universities.categories"),
        ('"term:exam"', '"term:blackout"', "SOURCE_REFERENCE", "agreements.universities.blackouts"),
        ('refuse = "2 days"', 'refuse = "2 moons"', "SOURCE_VALUE", "universities.staleness.policy: .*duration"),
        ("own_readers_fail_open", "own_readers_fail_opn", "SOURCE_UNKNOWN_KEY", "universities.staleness.own_readers_fail_opn"),
        ('valid_to = "2027-08-31"\ncat', 'valid_to = "2027-08-31T00:00:00"\ncat', "SOURCE_VALUE", "valid_to: must be a date"),
        ('period = "30 days"', 'period = "30 min"', "SOURCE_VALUE", "rules.general.period"),
        ('period = "30 days"', "period = 30", "SOURCE_VALUE", "rules.general.period"),
        ('fine_per_day = "0.10"', "fine_per_day = 0.10", "SOURCE_VALUE", "rules.general.fine_per_day: must be yuan"),
        ('fine_per_day = "0.10"', 'fine_per_day = "0.105"', "SOURCE_VALUE", "rules.general.fine_per_day"),
        ('ages = "16-"', 'ages = "-"', "SOURCE_VALUE", "rules.general.ages"),
        ("@universities", "@university", "SOURCE_REFERENCE", "rules.laptops.home: .*mean @universities"),
        ('scope = "reader@lender"', 'scope = "reader"', "SOURCE_VALUE", "limits.here.scope"),
        ("max_open = 5", "", "SOURCE_MISSING", "limits.here.max_open"),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_with_its_place_and_what_would_be_right(old, new, code, place):
    with pytest.raises(SourceError, match=place) as caught:
        read_source(changed(old, new))
    assert caught.value.code == code


def test_an_endless_source_is_refused_before_it_is_read():
    with pytest.raises(SourceError) as caught:
        read_source("#" * 8_000_001)
    assert caught.value.code == "SOURCE_TOO_LARGE"


def test_a_table_nested_beyond_reason_is_refused():
    with pytest.raises(SourceError) as caught:
        read_source("a = " + "[" * 5000 + "]" * 5000)
    assert caught.value.code == "SOURCE_SYNTAX"


def test_dates_are_local_and_the_last_one_is_included():
    bundle = read_source(SMALL)
    agreement = bundle.agreements[0]
    assert (agreement.valid_from_ms, agreement.valid_to_ms) == (
        at("2026-09-01T00:00:00+08:00"),
        at("2027-09-01T00:00:00+08:00"),
    )
    assert bundle.issued_ms == at("2026-08-20T09:00:00+08:00")
    assert bundle.rules[0].hard_due_ms == at("2027-06-30T23:59:59+08:00")


def test_dates_follow_the_consortiums_zone_through_a_change_of_clocks():
    text = changed("version = 3", 'version = 3\ntz = "Europe/London"')
    bundle = read_source(text)
    assert bundle.valid_from_ms == at("2026-09-01T00:00:00+01:00")
    assert bundle.rules[0].hard_due_ms == at("2027-06-30T23:59:59+01:00")
    assert {bundle.calendars[0].tz, *(library.tz for library in bundle.libraries)} == {"Europe/London"}
    assert read_source(write_source(bundle)) == bundle


def test_dates_and_instants_may_be_tomls_own():
    assert read_source(changed('valid_from = "2026-09-01"', "valid_from = 2026-09-01")) == read_source(SMALL)
    own = changed('issued = "2026-08-20T09:00:00+08:00"', "issued = 2026-08-20T01:00:00Z")
    assert read_source(own) == read_source(SMALL)


def test_hours_may_be_a_table_of_days():
    text = changed(
        '"Mon-Fri 08:00-12:00, 14:00-22:00; Sat, Sun 09:00-21:00"',
        '{ Mon-Fri = "08:00-12:00, 14:00-22:00", sat = "09:00-21:00", Sun = "09:00-21:00" }',
    )
    assert read_source(text) == read_source(SMALL)


def test_exceptions_are_dates_with_hours_and_names():
    calendar = read_source(SMALL).calendars[0]
    assert calendar.weekly[0] == ((480, 720), (840, 1320))
    assert calendar.exceptions == {
        "2026-10-01": (), "2026-10-02": (), "2026-10-03": (), "2026-10-10": ((480, 1320),)
    }  # fmt: skip
    assert calendar.names["2026-10-02"] == ("国庆节", "National Day")


def test_black_outs_are_taken_from_the_calendar_in_its_zone():
    exam, eve = read_source(SMALL).agreements[0].blackouts
    assert exam == Period(at("2027-01-04T00:00:00+08:00"), at("2027-01-16T00:00:00+08:00"))
    assert eve == Period(at("2026-12-31T00:00:00+08:00"), at("2027-01-01T00:00:00+08:00"))


def test_agreements_are_read_in_the_words_people_use():
    agreement = read_source(SMALL).agreements[0]
    assert agreement.parties == (Party("251020"), Party("990001", Role.HOST))
    assert agreement.services == {Service.BORROW, Service.ENTER, Service.RETURN}
    assert agreement.notice_days == 60
    assert agreement.staleness.policy_fresh_ms == 12 * 3_600_000
    assert agreement.staleness.policy_refuse_ms == 48 * 3_600_000
    assert agreement.staleness.borrow_facts_fresh_ms == 15 * 60_000


def test_rules_hold_days_hours_ages_and_fen():
    general, laptops = read_source(SMALL).rules
    assert (general.period_days, general.period_hours) == (30, None)
    assert (general.fine_per_day, general.max_fine) == (10, 2000)
    assert (general.age_from, general.age_to) == (16, None)
    assert (laptops.period_days, laptops.period_hours, laptops.deposit) == (None, 4, 50000)


def test_two_versions_of_one_agreement_stand_side_by_side():
    text = changed("[agreements.universities]", '[agreements."universities@2"]')
    second = read_source(text).agreements[0]
    assert (second.id, second.version) == ("universities", 2)
    first = read_source(SMALL).agreements[0]
    both = Make.bundle(agreements=(first, second), libraries=read_source(SMALL).libraries, branches=())
    assert read_source(write_source(both)).agreements == (first, second)


def test_a_source_written_out_is_as_short_as_it_was():
    written = write_source(read_source(SMALL))
    assert read_source(written) == read_source(SMALL)
    for line in (
        'hours = "Mon-Fri 08:00-12:00, 14:00-22:00; Sat-Sun 09:00-21:00"',
        'blackouts = ["term:exam", { from = "2026-12-31", to = "2026-12-31" }]',
        'valid_to = "2027-08-31"',
        'hard_due = "2027-06-30"',
        'from = "2026-10-01", to = "2026-10-03", name = { zh = "国庆节", en = "National Day" }, hours = "closed"',
    ):
        assert line in written


@pytest.mark.parametrize(
    "wrong",
    [
        {"libraries": (Make.bundle().libraries[0],) * 2},
        {"agreements": (Make.agreement("a@b"),)},
        {"agreements": (Make.agreement(), Make.agreement())},
        {"agreements": (Make.agreement(notice_days=-1),)},
        {"valid_to_ms": 10**17},
    ],
)
def test_a_bundle_that_no_source_can_mean_is_not_written(wrong):
    with pytest.raises(SourceError) as caught:
        write_source(Make.bundle(**wrong))
    assert caught.value.code == "SOURCE_UNWRITABLE"
