"""Dates on the wire: `YYYYMMDDZZZZHHMMSS`, ZZZZ blank = local time, `   Z` = UTC (SIP2 2.00, transaction date)."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

from protocols.sip2.errors import RemoteProtocolError

__all__ = ["BLANK_DATE", "ZERO_DATE", "format_date", "is_date", "parse_date"]

BLANK_DATE = " " * 18
"""No date given."""

ZERO_DATE = "00000000    000000"
"""In 98: the library system's clock is not offered."""


def is_date(text: str) -> bool:
    """Whether 18 characters have the form of a date, or are blank or zeros; the calendar is not asked.

    A time zone is blank, a name (`   Z`, ` EST`), an offset or four digits. `   1` is none of these: it is what a date
    with three blanks looks like, so a fixed part that slipped by one is seen.
    """
    if len(text) != 18 or not text.isascii():
        return False
    zone = text[8:12]
    if text[:8].isdigit() and text[12:].isdigit():
        name = zone.strip()
        return not name or name.isalpha() or name[0] in "+-" or (len(name) == 4 and name[:3].isdigit())
    return not text.strip()


def format_date(at: datetime, *, utc: bool = False) -> str:
    """A date for the wire: the wall time `at` holds with a blank zone, or, with `utc`, its UTC time marked `   Z`."""
    return f"{at.astimezone(UTC):%Y%m%d   Z%H%M%S}" if utc else f"{at:%Y%m%d    %H%M%S}"


def parse_date(text: str, local: tzinfo) -> datetime | None:
    """The instant a date names, None for blanks or zeros. `local` is the zone of the branch, for a blank ZZZZ.

    Zone names other than Z are taken as local: kiosks print whatever Windows calls the zone. Raises RemoteProtocolError
    `date` for what is no calendar date.
    """
    digits = text[:8] + text[12:18]
    if not digits.strip(" 0"):
        return None
    zone = UTC if text[8:12].strip().upper() in {"Z", "000Z", "UTC"} else local
    try:
        return datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=zone)
    except ValueError as error:
        raise RemoteProtocolError("date", "A date of this message is not in the calendar.") from error
