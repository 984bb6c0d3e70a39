"""How people write dates, durations and opening hours, and back (the forms of a policy source)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

from consortium.calendar import DAY_MS, CalendarError, Hours, local_time, midnight_ms
from consortium.source.forms import Form, FormError, as_is, read_text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS = 253_370_764_800_000  # the year 9999: beyond it no calendar of ours reaches


def _read_day(value: Any) -> date | None:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise FormError(f"{value!r} is no date") from None
    return None


def _read_instant(value: Any) -> int:
    found = value
    if isinstance(value, str):
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            found = None
    if not isinstance(found, datetime) or found.tzinfo is None:
        raise FormError('must be a date such as "2026-09-01" or an instant such as "2026-09-01T08:00:00+08:00"')
    return (found - _EPOCH) // timedelta(milliseconds=1)


def _write_instant(at_ms: int, tz: str) -> str:
    if not 0 <= at_ms < _LAST_MS:
        raise FormError(f"{at_ms} ms is no instant of this age")
    local = (_EPOCH + timedelta(milliseconds=at_ms)).astimezone(local_time(0, tz).tzinfo)
    return local.isoformat(timespec="milliseconds" if at_ms % 1000 else "seconds")


def _instant(after_days: int, offset_ms: int) -> Form:
    # A date stands for its midnight, moved by whole days (a last day is included) and then by ms.
    def read(value: Any, tz: str) -> int:
        day = _read_day(value)
        if day is None:
            return _read_instant(value)
        if not 1970 <= day.year <= 9997:
            raise FormError(f"{day} lies outside any policy")
        return midnight_ms(day + timedelta(days=after_days), tz) + offset_ms

    def write(at_ms: int, tz: str) -> str:
        text = _write_instant(at_ms, tz)
        midnight = at_ms - offset_ms
        if DAY_MS <= midnight < _LAST_MS - 400 * DAY_MS:
            day = local_time(midnight, tz).date()
            if midnight_ms(day, tz) == midnight and day.year > 1970:
                return (day - timedelta(days=after_days)).isoformat()
        return text

    return Form(read, write)


START = _instant(0, 0)
"""A date is its first instant."""
END = _instant(1, 0)
"""A date is included: the instant is the midnight after it."""
LAST_SECOND = _instant(1, -1000)
"""A date is its last second, as due dates are told to readers."""


def _day_text(value: Any, tz: str = "") -> str:
    day = _read_day(value)
    if day is None:
        raise FormError('must be a date such as "2026-10-01"')
    return day.isoformat()


DAY = Form(_day_text, as_is)
"""A date that stays a date."""

_UNITS: dict[str, int] = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "days": DAY_MS}
_UNIT_OF = {
    **dict.fromkeys(("d", "day", "days", "天", "日"), "days"),
    **dict.fromkeys(("h", "hour", "hours", "小时"), "h"),
    **dict.fromkeys(("min", "minute", "minutes", "分钟"), "min"),
    **dict.fromkeys(("s", "second", "seconds", "秒"), "s"),
    "ms": "ms",
}
_PART = re.compile(r"\s*(\d{1,15})\s*([a-z]+|[天日小时分钟秒]+)", re.ASCII)


def _parts(value: Any) -> dict[str, int]:
    # "1 h 30 min" → {"h": 1, "min": 30}
    found: dict[str, int] = {}
    at = 0
    text = value.strip() if isinstance(value, str) else ""
    while at < len(text) and (part := _PART.match(text, at)):
        unit = _UNIT_OF.get(part[2])
        if unit is None or unit in found:
            break
        found[unit] = int(part[1])
        at = part.end()
    if not found or at < len(text):
        raise FormError('must be a duration such as "30 days", "72 h" or "15 min"')
    return found


def _plural(days: int) -> str:
    return f"{days} day" if days == 1 else f"{days} days"


def _read_span(value: Any, tz: str) -> int:
    return sum(_UNITS[unit] * n for unit, n in _parts(value).items())


def _write_span(span_ms: int, tz: str) -> str:
    if span_ms < 0:
        raise FormError("a duration cannot be negative")
    unit = next(
        name for name in ("days", "h", "min", "s", "ms") if span_ms % _UNITS[name] == 0 and (span_ms or name == "min")
    )
    # Up to three days people speak of hours: "24 h", "72 h".
    if unit == "days" and span_ms <= 3 * DAY_MS:
        unit = "h"
    number = span_ms // _UNITS[unit]
    return _plural(number) if unit == "days" else f"{number} {unit}"


SPAN = Form(_read_span, _write_span)
"""A duration in milliseconds."""


def _read_days(value: Any, tz: str) -> int:
    parts = _parts(value)
    if set(parts) != {"days"}:
        raise FormError('must be whole days, such as "30 days"')
    return parts["days"]


def _write_days(days: int, tz: str) -> str:
    if days < 0:
        raise FormError("days cannot be negative")
    return _plural(days)


DAYS = Form(_read_days, _write_days)


def _read_loan(value: Any, tz: str) -> tuple[int | None, int | None]:
    parts = _parts(value)
    if not set(parts) <= {"days", "h"}:
        raise FormError('must be whole days or hours, such as "30 days" or "4 h"')
    return parts.get("days"), parts.get("h")


def _write_loan(value: tuple[int | None, int | None], tz: str) -> str:
    days, hours = value
    if (days or 0) < 0 or (hours or 0) < 0:
        raise FormError("a loan's length cannot be negative")
    return " ".join(([] if days is None else [_plural(days)]) + ([] if hours is None else [f"{hours} h"]))


LOAN = Form(_read_loan, _write_loan)
"""A loan's length: (days, hours), either None."""


DAY_NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
CLOSED = "closed"


def read_hours(value: Any) -> Hours:
    """Hours of one day: "08:00-12:00, 14:00-22:00" or "closed"."""
    if value == CLOSED:
        return ()
    spans = []
    for part in value.split(",") if isinstance(value, str) else [""]:
        found = re.fullmatch(r"\s*(\d\d):([0-5]\d)\s*-\s*(\d\d):([0-5]\d)\s*", part, re.ASCII)
        if found is None:
            raise FormError(f'{value!r} must be hours such as "08:00-22:00", "08:00-12:00, 14:00-22:00" or "closed"')
        spans.append((int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])))
    return tuple(spans)


def write_hours(hours: Hours) -> str:
    """Hours of one day as a person writes them."""
    return ", ".join(f"{a // 60:02d}:{a % 60:02d}-{b // 60:02d}:{b % 60:02d}" for a, b in hours) or CLOSED


def _day_numbers(text: str) -> list[int]:
    ends = [one.strip().capitalize() for one in text.split("-")]
    if not 1 <= len(ends) <= 2 or not all(end in DAY_NAMES for end in ends):
        raise FormError(f'{text.strip()!r} must be a day such as "Mon" or days such as "Mon-Fri"')
    first, last = DAY_NAMES.index(ends[0]), DAY_NAMES.index(ends[-1])
    if first > last:
        raise FormError(f"{text.strip()!r} runs backwards; a week begins on Mon")
    return list(range(first, last + 1))


def _read_week(value: Any, tz: str) -> tuple[Hours, ...]:
    if value == CLOSED:
        return ((),) * 7
    if isinstance(value, dict):
        entries = [(str(days), hours) for days, hours in value.items()]
    else:
        entries = []
        for entry in read_text(value).split(";"):
            # Days have no blank before their hours but after a comma: "Mon, Wed 08:00-12:00, 14:00-18:00".
            found = re.fullmatch(r"\s*([A-Za-z,\s-]*[A-Za-z])\s+(\d.*|closed)\s*", entry, re.DOTALL)
            if found is None:
                raise FormError(f'{entry.strip()!r} must be days and hours, such as "Mon-Fri 08:00-22:00"')
            entries.append((found[1], found[2].strip()))
    week: dict[int, Hours] = {}
    for days, hours in entries:
        for part in days.split(","):
            for number in _day_numbers(part):
                if number in week:
                    raise FormError(f"{DAY_NAMES[number]} is given twice")
                week[number] = read_hours(hours)
    return tuple(week.get(number, ()) for number in range(7))


def _write_week(week: tuple[Hours, ...], tz: str) -> str:
    entries: list[str] = []
    first = 0
    for number in range(1, 8):
        if number < 7 and week[number] == week[first]:
            continue
        if week[first]:
            days = DAY_NAMES[first] if number - first == 1 else f"{DAY_NAMES[first]}-{DAY_NAMES[number - 1]}"
            entries.append(f"{days} {write_hours(week[first])}")
        first = number
    return "; ".join(entries) or CLOSED


WEEK = Form(_read_week, _write_week)
"""A week's hours, Monday first; days that are not named are closed."""


def check_zone(value: Any, tz: str = "") -> str:
    """A time zone's name."""
    try:
        local_time(0, read_text(value))
    except CalendarError as error:
        raise FormError(str(error)) from error
    return str(value)


ZONE = Form(check_zone, as_is)
