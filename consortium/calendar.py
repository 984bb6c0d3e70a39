"""When a branch is open, and what day a due date falls on (domain §2).

Hours are wall-clock minutes in the branch's own zone: where the clocks are changed, a branch that opens at eight opens at eight.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAY_MS = 86_400_000
MINUTE_MS = 60_000
ALL_DAY: tuple[tuple[int, int], ...] = ((0, 1440),)

Hours = tuple[tuple[int, int], ...]
"""Opening hours of one day: spans of (from, to) in minutes after midnight; empty = closed."""

LONGEST_CLOSURE_DAYS = 366
"""How far ahead an opening is looked for."""


class CalendarError(ValueError):
    """A calendar that cannot be used; ``code`` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise CalendarError("CALENDAR_ZONE", f"no time zone is called {name!r}") from error


def midnight_ms(day: date, tz: str) -> int:
    """The instant at which a date begins in a zone, in ms UTC."""
    return int(datetime(day.year, day.month, day.day, tzinfo=_zone(tz)).timestamp()) * 1000


def local_time(at_ms: int, tz: str) -> datetime:
    """The wall clock of a zone at an instant."""
    return datetime.fromtimestamp(at_ms / 1000, _zone(tz))


@dataclass(frozen=True, slots=True)
class Period:
    """A span of instants, ``start_ms`` inclusive, ``end_ms`` exclusive."""

    start_ms: int
    end_ms: int

    def holds(self, at_ms: int) -> bool:
        """Whether the instant lies in the span."""
        return self.start_ms <= at_ms < self.end_ms


class PeriodKind(StrEnum):
    """What a named period of a calendar is: examination weeks, or days that partners' readers are not served."""

    EXAM = "exam"
    BLACKOUT = "blackout"


@dataclass(frozen=True, slots=True)
class NamedPeriod:
    """Named days of a calendar, from ``start`` to ``end`` (ISO dates, both included), that agreements may black out.

    The branch stays open in them: opening hours are the week's and the exceptions' affair. Raises CalendarError CALENDAR_PERIOD.
    """

    name_zh: str
    name_en: str
    start: str
    end: str
    kind: PeriodKind = PeriodKind.EXAM

    def __post_init__(self) -> None:
        if _day(self.start, "CALENDAR_PERIOD") > _day(self.end, "CALENDAR_PERIOD"):
            raise CalendarError("CALENDAR_PERIOD", f"period {self.name_en} ends on {self.end}, before it begins")

    def period(self, tz: str) -> Period:
        """The span of instants that these days are in a zone."""
        after = date.fromisoformat(self.end) + timedelta(days=1)
        return Period(midnight_ms(date.fromisoformat(self.start), tz), midnight_ms(after, tz))


def _day(text: str, code: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    # Python also reads "20261001" and "2026-W40-4"; a date that is looked up by its text has one form.
    if day is None or day.isoformat() != text or not 1970 <= day.year <= 9998:
        raise CalendarError(code, f"{text!r} is no date such as 2026-10-01")
    return day


@dataclass(frozen=True, slots=True)
class Calendar:
    """Opening hours of a branch in its own zone.

    ``weekly`` has seven entries, Monday first; each is a tuple of (from, to) in minutes after midnight, 0..1440.
    ``exceptions`` replaces the hours of a date (ISO text); an empty tuple is a closed day. ``names`` says in zh and en what
    a date is ("国庆节"), ``periods`` holds examinations and other days that agreements may black out.
    """

    id: str
    tz: str
    weekly: tuple[Hours, ...]
    exceptions: dict[str, Hours] = field(default_factory=dict)
    names: dict[str, tuple[str, str]] = field(default_factory=dict)
    periods: tuple[NamedPeriod, ...] = ()

    def __post_init__(self) -> None:
        if len(self.weekly) != 7:
            raise CalendarError("CALENDAR_WEEK", f"calendar {self.id} needs opening hours for seven days")
        _zone(self.tz)

    def hours(self, day: date) -> Hours:
        """Opening hours of a date; empty = closed."""
        return self.exceptions.get(day.isoformat(), self.weekly[day.weekday()])

    def is_open(self, at_ms: int) -> bool:
        """Whether the branch is open at the instant."""
        local = local_time(at_ms, self.tz)
        minute = local.hour * 60 + local.minute
        return any(start <= minute < end for start, end in self.hours(local.date()))

    def end_of_open_day(self, at_ms: int, *, horizon_days: int = LONGEST_CLOSURE_DAYS) -> int:
        """Last second of the first open day on or after the instant's local day, as an instant."""
        day = local_time(at_ms, self.tz).date()
        for step in range(horizon_days):
            candidate = day + timedelta(days=step)
            if self.hours(candidate):
                day = candidate
                break
        local = datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=_zone(self.tz))
        return int(local.astimezone(UTC).timestamp()) * 1000

    def open_days_between(self, a_ms: int, b_ms: int) -> int:
        """Open local days strictly after the day of ``a_ms``, up to and including the day of ``b_ms``; 0 where b is not later.

        What an overdue charge and a grace count: a day on which nobody could return anything does not count.
        """
        first = local_time(a_ms, self.tz).date() + timedelta(days=1)
        last = local_time(b_ms, self.tz).date()
        days = (last - first).days + 1
        if days <= 0:
            return 0
        # Whole weeks are counted at once, so that a loan forgotten for years costs no more than one of yesterday.
        weeks, rest = divmod(days, 7)
        opens = [bool(hours) for hours in self.weekly]
        count = weeks * sum(opens) + sum(opens[(first.weekday() + step) % 7] for step in range(rest))
        for text, hours in self.exceptions.items():
            if first.isoformat() <= text <= last.isoformat():
                count += bool(hours) - opens[date.fromisoformat(text).weekday()]
        return count

    def next_opening(self, at_ms: int) -> int | None:
        """The first instant at or after ``at_ms`` at which the branch is open; None where none comes within a year."""
        if self.is_open(at_ms):
            return at_ms
        day = local_time(at_ms, self.tz).date()
        for step in range(LONGEST_CLOSURE_DAYS + 1):
            found = [at for at in self._edges(day + timedelta(days=step)) if at >= at_ms and self.is_open(at)]
            if found:
                return min(found)
        return None

    def _edges(self, day: date) -> Iterator[int]:
        # Instants of a day at which a closed branch can open: where a span begins (twice, if the clock is put back over it), and
        # where the clock itself jumps into a span.
        hours = self.hours(day)
        if not hours:
            return
        for start, _ in hours:
            for fold in (0, 1):
                wall = datetime.combine(day, datetime.min.time(), _zone(self.tz)) + timedelta(minutes=start)
                yield int(wall.replace(fold=fold).timestamp()) * 1000
        begin, end = midnight_ms(day, self.tz), midnight_ms(day + timedelta(days=1), self.tz)
        if end - begin != DAY_MS:
            yield self._clock_change(begin, end)

    def _clock_change(self, low: int, high: int) -> int:
        # The first minute with the new offset; midnights are whole minutes apart in every zone of today.
        old = local_time(low, self.tz).utcoffset()
        while high - low > MINUTE_MS:
            middle = low + (high - low) // (2 * MINUTE_MS) * MINUTE_MS
            if local_time(middle, self.tz).utcoffset() == old:
                low = middle
            else:
                high = middle
        return high


def check_calendar(calendar: Calendar, *, must_open: bool = True) -> None:
    """Raise CalendarError where the hours cannot be kept: CALENDAR_HOURS, CALENDAR_DATE, CALENDAR_NO_HOURS.

    ``must_open`` is False for a branch that only takes returns (kind ``drop``): nobody is ever inside.
    """
    for number, hours in enumerate(calendar.weekly):
        _check_hours(calendar.id, ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[number], hours)
    for text, hours in calendar.exceptions.items():
        _day(text, "CALENDAR_DATE")
        _check_hours(calendar.id, text, hours)
    for text in calendar.names:
        _day(text, "CALENDAR_DATE")
    if must_open and not any(calendar.weekly) and not any(calendar.exceptions.values()):
        raise CalendarError("CALENDAR_NO_HOURS", f"calendar {calendar.id} has no opening hours at all")


def _check_hours(calendar_id: str, day: str, hours: Hours) -> None:
    before = 0
    for start, end in sorted(hours):
        if not 0 <= start < end <= 1440:
            raise CalendarError("CALENDAR_HOURS", f"calendar {calendar_id}, {day}: hours from {start} to {end} min")
        if start < before:
            raise CalendarError("CALENDAR_HOURS", f"calendar {calendar_id}, {day}: two spans of hours overlap")
        before = end


def round_the_clock(calendar_id: str, tz: str = "Asia/Shanghai") -> Calendar:
    """A branch that never closes."""
    return Calendar(calendar_id, tz, (ALL_DAY,) * 7)
