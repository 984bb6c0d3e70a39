"""Calendars of a policy source: several dates in one line, folded and unfolded."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from consortium.calendar import Calendar, CalendarError, Hours, check_calendar
from consortium.source.forms import NAME, FormError
from consortium.source.layout import CALENDAR
from consortium.source.record import SourceError, check_keys, read_form, read_record, table_of, write_record
from consortium.source.times import DAY, read_hours, write_hours

_MOST_DATES = 400


def read_calendar(key: str, value: Any, tz: str) -> Calendar:
    """One calendar of a source; raises SourceError."""
    place = f"calendars.{key}"
    table = dict(table_of(value, place))
    entries = table.pop("exceptions", [])
    if not isinstance(entries, list):
        raise SourceError("SOURCE_VALUE", f"{place}.exceptions: must be a list of tables")
    exceptions: dict[str, Hours] = {}
    names: dict[str, tuple[str, str]] = {}
    for number, entry in enumerate(entries):
        _read_exception(entry, f"{place}.exceptions[{number}]", exceptions, names)
    table.setdefault("tz", tz)
    calendar: Calendar = read_record(CALENDAR, table, tz, place, id=key, exceptions=exceptions, names=names)
    try:
        check_calendar(calendar, must_open=False)
    except CalendarError as error:
        raise SourceError(error.code, f"{place}: {error}") from error
    return calendar


def _read_exception(value: Any, place: str, exceptions: dict[str, Hours], names: dict[str, tuple[str, str]]) -> None:
    table = table_of(value, place)
    check_keys(table, ("date", "from", "to", "name", "hours"), place)
    if ("date" in table) == ("from" in table) or ("from" in table) != ("to" in table):
        raise SourceError("SOURCE_VALUE", f"{place}: must have a date, or from and to")
    if "hours" not in table and "name" not in table:
        raise SourceError("SOURCE_MISSING", f"{place}.hours: is missing")
    first = date.fromisoformat(read_form(DAY, table.get("date", table.get("from")), "", place))
    last = date.fromisoformat(read_form(DAY, table.get("date", table.get("to")), "", place))
    if not 0 <= (last - first).days < _MOST_DATES:
        raise SourceError("SOURCE_VALUE", f"{place}: runs backwards or over more than {_MOST_DATES} days")
    for step in range((last - first).days + 1):
        day = (first + timedelta(days=step)).isoformat()
        if day in exceptions or day in names:
            raise SourceError("SOURCE_VALUE", f"{place}: {day} is given twice")
        if "hours" in table:
            try:
                exceptions[day] = read_hours(table["hours"])
            except FormError as error:
                raise SourceError("SOURCE_VALUE", f"{place}.hours: {error}") from error
        if "name" in table:
            names[day] = read_form(NAME, table["name"], "", f"{place}.name")


def write_calendar(calendar: Calendar, tz: str) -> dict[str, Any]:
    """One calendar as a table; dates in a row that share hours and name become one line. Raises SourceError SOURCE_UNWRITABLE."""
    table = write_record(CALENDAR, calendar, tz, f"calendars.{calendar.id}")
    if calendar.tz == tz:
        del table["tz"]
    entries: list[dict[str, Any]] = []
    run: list[str] = []
    days = sorted({*calendar.exceptions, *calendar.names})
    for number, day in enumerate(days):
        run.append(day)
        following = days[number + 1] if number + 1 < len(days) else ""
        same = calendar.exceptions.get(day) == calendar.exceptions.get(following)
        if (
            len(run) < _MOST_DATES
            and following == _day_after(day, calendar)
            and same
            and calendar.names.get(day) == calendar.names.get(following)
        ):
            continue
        entry: dict[str, Any] = {"date": day} if len(run) == 1 else {"from": run[0], "to": day}
        if day in calendar.names:
            entry["name"] = NAME.write(calendar.names[day], tz)
        if day in calendar.exceptions:
            entry["hours"] = write_hours(calendar.exceptions[day])
        entries.append(entry)
        run = []
    if entries:
        table["exceptions"] = entries
    return table


def _day_after(text: str, calendar: Calendar) -> str:
    try:
        return (date.fromisoformat(text) + timedelta(days=1)).isoformat()
    except (ValueError, OverflowError):
        raise SourceError("SOURCE_UNWRITABLE", f"calendars.{calendar.id}: {text!r} is no date") from None
