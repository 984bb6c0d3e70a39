"""When a branch is open, and what day a due date falls on (domain §2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAY_MS = 86_400_000
MINUTE_MS = 60_000
ALL_DAY: tuple[tuple[int, int], ...] = ((0, 1440),)


class CalendarError(ValueError):
    """A calendar that cannot be used; ``code`` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise CalendarError("CALENDAR_ZONE", f"no time zone is called {name!r}") from error


@dataclass(frozen=True, slots=True)
class Period:
    """A span of instants, ``start_ms`` inclusive, ``end_ms`` exclusive."""

    start_ms: int
    end_ms: int

    def holds(self, at_ms: int) -> bool:
        """Whether the instant lies in the span."""
        return self.start_ms <= at_ms < self.end_ms


@dataclass(frozen=True, slots=True)
class Calendar:
    """Opening hours of a branch in its own zone.

    ``weekly`` has seven entries, Monday first; each is a tuple of (from, to) in minutes after midnight, 0..1440.
    ``exceptions`` replaces the hours of a date (ISO text); an empty tuple is a closed day.
    """

    id: str
    tz: str
    weekly: tuple[tuple[tuple[int, int], ...], ...]
    exceptions: dict[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.weekly) != 7:
            raise CalendarError("CALENDAR_WEEK", f"calendar {self.id} needs opening hours for seven days")
        _zone(self.tz)

    def _hours(self, day: date) -> tuple[tuple[int, int], ...]:
        return self.exceptions.get(day.isoformat(), self.weekly[day.weekday()])

    def is_open(self, at_ms: int) -> bool:
        """Whether the branch is open at the instant."""
        local = datetime.fromtimestamp(at_ms / 1000, _zone(self.tz))
        minute = local.hour * 60 + local.minute
        return any(start <= minute < end for start, end in self._hours(local.date()))

    def end_of_open_day(self, at_ms: int, *, horizon_days: int = 366) -> int:
        """Last second of the first open day on or after the instant's local day, as an instant."""
        zone = _zone(self.tz)
        day = datetime.fromtimestamp(at_ms / 1000, zone).date()
        for step in range(horizon_days):
            candidate = day + timedelta(days=step)
            if self._hours(candidate):
                day = candidate
                break
        local = datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=zone)
        return int(local.astimezone(UTC).timestamp()) * 1000


def round_the_clock(calendar_id: str, tz: str = "Asia/Shanghai") -> Calendar:
    """A branch that never closes."""
    return Calendar(calendar_id, tz, (ALL_DAY,) * 7)
