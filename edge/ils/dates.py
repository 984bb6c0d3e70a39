"""Due dates as library systems print them (SIP2 AH, "any format"), and instants as SIP2 wants them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Literal

Order = Literal["dmy", "mdy"]
"""Which comes first in 03/04/2027."""

_MAX = 64
_MONTHS = {
    name: n
    for n, name in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1)
}
_CLOCK = (
    r"(?:[ T,]+|\s*)(?P<h>\d{1,2})[:：时](?P<n>\d{2})(?:[:：分](?P<s>\d{2})秒?|分)?(?:[.,]\d+)?\s*(?P<ap>[AaPp][Mm])?"
)
_ZONE = r"\s*(?P<z>Z|[+-]\d{2}:?\d{2})?"
_SIP = re.compile(r"(?P<day>\d{8})(?P<zone>[ ]{4}|[ ]{3}Z|[ ]{1,3}[A-Z]{1,3})(?P<clock>\d{6})")
_DAYS = (
    re.compile(r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})"),
    re.compile(r"(?P<y>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})"),
    re.compile(r"(?P<y>\d{4})\s*年\s*(?P<m>\d{1,2})\s*月\s*(?P<d>\d{1,2})\s*日?"),
    re.compile(r"(?P<a>\d{1,2})[-/.](?P<b>\d{1,2})[-/.](?P<y>\d{4}|\d{2})"),
    re.compile(r"(?P<d>\d{1,2})[ -](?P<name>[A-Za-z]{3})[A-Za-z]*\.?,?[ -](?P<y>\d{4})"),
    re.compile(r"(?P<name>[A-Za-z]{3})[A-Za-z]*\.? (?P<d>\d{1,2}),? (?P<y>\d{4})"),
)
_REST = re.compile(f"(?:{_CLOCK}{_ZONE})?\\s*")


def due_instant(text: str, zone: tzinfo, order: Order = "dmy") -> int | None:
    """The instant a printed due date means, ms UTC; a date alone is the end of that day in ``zone``. None where it cannot be read.

    ISO 8601, eight digits, SIP2's own form, 2027年3月4日, 4 Mar 2027, and figures parted by ``/``, ``.`` or ``-`` in ``order``; a time
    of day and an offset may follow.
    """
    text = text.strip()
    if not text or len(text) > _MAX:
        return None
    try:
        sip = _SIP.fullmatch(text)
        if sip is not None:
            at = datetime.strptime(sip["day"] + sip["clock"], "%Y%m%d%H%M%S")
            return _ms(at.replace(tzinfo=UTC if "Z" in sip["zone"] else zone))
        for form in _DAYS:
            found = form.match(text)
            rest = _REST.fullmatch(text, found.end()) if found else None
            if found is not None and rest is not None:
                return _with_clock(_day(found.groupdict(), order), rest, zone)
    except (ValueError, OverflowError, KeyError):
        return None
    return None


def wire_date(at_ms: int, zone: tzinfo) -> datetime:
    """An instant as the branch's wall clock shows it: what SIP2 dates with a blank zone are."""
    return datetime.fromtimestamp(at_ms / 1000, zone)


def _day(part: dict[str, str | None], order: Order) -> date:
    year = int(part["y"] or 0)
    if year < 100:
        year += 2000
    if part.get("name"):
        return date(year, _MONTHS[str(part["name"]).lower()], int(part["d"] or 0))
    if part.get("a"):
        a, b = int(part["a"] or 0), int(part["b"] or 0)
        day, month = (a, b) if order == "dmy" else (b, a)
        if month > 12 >= day:  # it cannot be in the order we were told
            day, month = month, day
        return date(year, month, day)
    return date(year, int(part["m"] or 0), int(part["d"] or 0))


def _with_clock(day: date, rest: re.Match[str], zone: tzinfo) -> int:
    if rest["h"] is None:
        return _ms(datetime.combine(day + timedelta(days=1), time(), zone)) - 1000
    hour = int(rest["h"])
    if rest["ap"]:
        if not 1 <= hour <= 12:
            raise ValueError("no hour of a half day")
        hour = hour % 12 + (12 if rest["ap"].lower() == "pm" else 0)
    if rest["z"]:
        zone = UTC if rest["z"] == "Z" else _offset(rest["z"])
    return _ms(datetime.combine(day, time(hour, int(rest["n"]), int(rest["s"] or 0)), zone))


def _offset(text: str) -> tzinfo:
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


def _ms(at: datetime) -> int:
    ms = int(at.timestamp()) * 1000
    if ms < 0:
        raise ValueError("before 1970")
    return ms
