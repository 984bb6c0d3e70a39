"""Opening hours: when a branch opens again, which days count, and the days on which the clocks are changed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortium.calendar import (
    ALL_DAY,
    DAY_MS,
    MINUTE_MS,
    Calendar,
    CalendarError,
    NamedPeriod,
    Period,
    check_calendar,
    round_the_clock,
)

OFFICE = (((480, 1320),),) * 5 + ((),) * 2
NIGHT = (((0, 90), (1380, 1440)),) * 7


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def office(tz: str = "Asia/Shanghai", **more) -> Calendar:
    return Calendar("c", tz, OFFICE, **more)


@pytest.mark.parametrize(
    ("weekly", "more", "code"),
    [
        (((),) * 7, {}, "CALENDAR_NO_HOURS"),
        (((),) * 7, {"exceptions": {"2026-10-01": ()}}, "CALENDAR_NO_HOURS"),
        ((((600, 480),),) * 7, {}, "CALENDAR_HOURS"),
        ((((480, 480),),) * 7, {}, "CALENDAR_HOURS"),
        ((((480, 1441),),) * 7, {}, "CALENDAR_HOURS"),
        ((((-1, 480),),) * 7, {}, "CALENDAR_HOURS"),
        ((((480, 720), (700, 900)),) * 7, {}, "CALENDAR_HOURS"),
        ((((700, 900), (480, 720)),) * 7, {}, "CALENDAR_HOURS"),
        (OFFICE, {"exceptions": {"2026-10-01": ((900, 600),)}}, "CALENDAR_HOURS"),
        (OFFICE, {"exceptions": {"2026-13-01": ()}}, "CALENDAR_DATE"),
        (OFFICE, {"exceptions": {"20261001": ()}}, "CALENDAR_DATE"),
        (OFFICE, {"names": {"1. Oktober": ("国庆节", "National Day")}}, "CALENDAR_DATE"),
    ],
)
def test_hours_that_cannot_be_kept_are_refused(weekly, more, code):
    with pytest.raises(CalendarError) as caught:
        check_calendar(Calendar("c", "Asia/Shanghai", weekly, **more))
    assert caught.value.code == code


def test_one_open_exception_is_opening_hours_and_a_drop_box_needs_none():
    check_calendar(Calendar("c", "Asia/Shanghai", ((),) * 7, {"2026-10-01": ((480, 720),)}))
    check_calendar(Calendar("c", "Asia/Shanghai", ((),) * 7), must_open=False)
    check_calendar(office())
    check_calendar(Calendar("c", "Asia/Shanghai", (((480, 720), (720, 900)),) * 7))


@pytest.mark.parametrize(
    ("start", "end"), [("2026-10-02", "2026-10-01"), ("1.1.2026", "2026-10-01"), ("2026-10-01", "never")]
)
def test_a_period_that_is_none_is_refused(start, end):
    with pytest.raises(CalendarError) as caught:
        NamedPeriod("考试", "Exams", start, end)
    assert caught.value.code == "CALENDAR_PERIOD"


def test_a_named_period_is_its_days_in_the_branchs_zone():
    exams = NamedPeriod("考试", "Exams", "2026-03-28", "2026-03-29")
    assert exams.period("Asia/Shanghai") == Period(at("2026-03-28T00:00:00+08:00"), at("2026-03-30T00:00:00+08:00"))
    # The clocks go forward on the 29th in London: the two days last 47 hours.
    assert exams.period("Europe/London") == Period(at("2026-03-28T00:00:00+00:00"), at("2026-03-30T00:00:00+01:00"))


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-11-23T07:59:59+08:00", "2026-11-23T08:00:00+08:00"),
        ("2026-11-23T08:00:00+08:00", "2026-11-23T08:00:00+08:00"),
        ("2026-11-23T12:34:56+08:00", "2026-11-23T12:34:56+08:00"),
        ("2026-11-23T22:00:00+08:00", "2026-11-24T08:00:00+08:00"),
        ("2026-11-27T22:00:00+08:00", "2026-11-30T08:00:00+08:00"),  # over a weekend
        ("2026-09-30T23:00:00+08:00", "2026-10-08T08:00:00+08:00"),  # over National Day
    ],
)
def test_the_next_opening(now, opens):
    closed = {f"2026-10-0{day}": () for day in range(1, 8)}
    assert office(exceptions=closed).next_opening(at(now)) == at(opens)


def test_what_never_opens_has_no_next_opening():
    assert Calendar("c", "Asia/Shanghai", ((),) * 7).next_opening(at("2026-11-23T12:00:00+08:00")) is None


@pytest.mark.parametrize(
    ("hours", "now", "opens"),
    [
        # 2026-03-29 in London: 01:00 GMT becomes 02:00 BST; 01:30 does not exist.
        (((90, 600),), "2026-03-29T00:10:00+00:00", "2026-03-29T01:00:00+00:00"),
        (((30, 80),), "2026-03-29T00:59:00+00:00", "2026-03-29T00:59:00+00:00"),
        (((480, 600),), "2026-03-28T23:00:00+00:00", "2026-03-29T07:00:00+00:00"),
        # 2026-10-25: 02:00 BST becomes 01:00 GMT; 01:00 to 02:00 comes twice.
        (((90, 600),), "2026-10-25T00:10:00+01:00", "2026-10-25T01:30:00+01:00"),
        (((90, 100),), "2026-10-25T01:45:00+01:00", "2026-10-25T01:30:00+00:00"),
        (((30, 70),), "2026-10-25T01:20:00+01:00", "2026-10-25T01:00:00+00:00"),
        (((480, 600),), "2026-10-24T23:30:00+01:00", "2026-10-25T08:00:00+00:00"),
    ],
)
def test_the_next_opening_on_the_days_the_clocks_are_changed(hours, now, opens):
    calendar = Calendar("c", "Europe/London", (hours,) * 7)
    assert calendar.next_opening(at(now)) == at(opens)


zones = st.sampled_from(("Europe/London", "Asia/Shanghai", "America/St_Johns", "Australia/Lord_Howe"))
minutes = st.integers(at("2026-03-01T00:00:00+00:00") // MINUTE_MS, at("2026-12-01T00:00:00+00:00") // MINUTE_MS)
switches = st.sampled_from(
    [at("2026-03-29T01:00:00+00:00"), at("2026-10-25T01:00:00+00:00"), at("2026-10-03T15:30:00+00:00")]
)
near = st.one_of(minutes, st.tuples(switches, st.integers(-200, 200)).map(lambda pair: pair[0] // MINUTE_MS + pair[1]))
days_hours = st.lists(st.integers(0, 1440), min_size=2, max_size=4, unique=True).map(
    lambda edges: tuple(zip(sorted(edges)[::2], sorted(edges)[1::2], strict=False))
)


@given(zones, days_hours, near)
def test_the_next_opening_is_the_first_open_minute(tz, hours, minute):
    calendar = Calendar("c", tz, (hours,) * 7)
    found = calendar.next_opening(minute * MINUTE_MS)
    assert found is not None and calendar.is_open(found)
    assert not any(
        calendar.is_open(one) for one in range(minute * MINUTE_MS, min(found, minute * MINUTE_MS + DAY_MS), MINUTE_MS)
    )


@pytest.mark.parametrize(
    ("first", "second", "days"),
    [
        ("2026-11-23T10:00:00+08:00", "2026-11-23T09:00:00+08:00", 0),
        ("2026-11-23T00:00:00+08:00", "2026-11-23T23:59:59+08:00", 0),
        ("2026-11-23T23:59:59+08:00", "2026-11-24T00:00:00+08:00", 1),
        ("2026-11-27T12:00:00+08:00", "2026-11-29T12:00:00+08:00", 0),  # a weekend
        ("2026-11-27T12:00:00+08:00", "2026-11-30T12:00:00+08:00", 1),
        ("2026-11-23T12:00:00+08:00", "2026-12-07T12:00:00+08:00", 10),
        ("2026-09-30T12:00:00+08:00", "2026-10-09T12:00:00+08:00", 2),  # National Day, and one Saturday worked
    ],
)
def test_open_days_are_counted_after_the_first_day_up_to_the_last(first, second, days):
    closed = {f"2026-10-0{day}": () for day in range(1, 9)}
    calendar = office(exceptions={**closed, "2026-10-04": ((480, 600),), "2026-11-22": ()})
    assert calendar.open_days_between(at(first), at(second)) == days


@pytest.mark.parametrize("tz", ["Europe/London", "Asia/Shanghai"])
def test_a_day_of_23_or_25_hours_is_one_day(tz):
    zone = ZoneInfo(tz)
    calendar = round_the_clock("c", tz)
    for month, day in ((3, 28), (3, 29), (10, 24), (10, 25)):
        start = datetime(2026, month, day, 23, 59, 59, tzinfo=zone)
        after = start + timedelta(days=1)  # wall clock, whatever the hours between
        assert calendar.open_days_between(int(start.timestamp()) * 1000, int(after.timestamp()) * 1000) == 1
        assert calendar.end_of_open_day(int(start.timestamp()) * 1000) == int(start.timestamp()) * 1000


def test_a_due_date_falls_on_the_last_second_of_a_day_by_the_wall_clock():
    calendar = office("Europe/London")
    assert calendar.end_of_open_day(at("2026-03-28T12:00:00+00:00")) == at("2026-03-30T23:59:59+01:00")
    assert calendar.end_of_open_day(at("2026-10-24T12:00:00+01:00")) == at("2026-10-26T23:59:59+00:00")


@given(
    st.tuples(*[st.booleans()] * 7),
    st.dictionaries(st.integers(0, 40), st.booleans(), max_size=8),
    st.integers(0, 45),
    st.integers(0, 45),
)
def test_open_days_are_those_that_counting_finds(week, exceptions, first, last):
    begin = date(2026, 9, 20)
    opened = {(begin + timedelta(days=n)).isoformat(): ALL_DAY if yes else () for n, yes in exceptions.items()}
    calendar = Calendar("c", "Asia/Shanghai", tuple(ALL_DAY if yes else () for yes in week), opened)

    def noon(n: int) -> int:
        return int(datetime(2026, 9, 20, 4, tzinfo=UTC).timestamp() * 1000) + n * DAY_MS

    counted = sum(bool(calendar.hours(begin + timedelta(days=n))) for n in range(first + 1, last + 1))
    assert calendar.open_days_between(noon(first), noon(last)) == counted


def test_hours_to_midnight_and_after_are_both_the_days_own():
    calendar = Calendar("c", "Asia/Shanghai", NIGHT)
    assert calendar.is_open(at("2026-11-23T23:59:59+08:00"))
    assert calendar.is_open(at("2026-11-24T00:00:00+08:00"))
    assert calendar.next_opening(at("2026-11-24T01:30:00+08:00")) == at("2026-11-24T23:00:00+08:00")
