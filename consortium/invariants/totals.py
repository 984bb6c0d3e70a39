"""I17: what the analytics store counts is what the log holds, per day and library (domain §7, §9).

Measures: ``loans`` (loans that a CHECKOUT began), ``returns`` (RETURN events), ``visits`` (ENTRY events), ``refusals`` (REFUSED
events). The day is the library's own, of the corrected instant; the library is that of the place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from consortium.bundle import Bundle
from consortium.events import Kind
from consortium.invariants.case import ItemCase
from consortium.invariants.finding import Finding, Offences
from consortium.invariants.reading import Seen

_MEASURE = {Kind.RETURN: "returns", Kind.ENTRY: "visits", Kind.REFUSED: "refusals"}
_QUARTER_MS = 900_000
_MOST_DAYS = 100_000


class TotalsAgree:
    """I17."""

    def __init__(self, totals: Mapping[tuple[str, str, str], int] | None, bundles: Iterable[Bundle]) -> None:
        self._out = Offences("I17")
        self._totals = totals
        self._zones = {
            library.org: library.tz
            for bundle in sorted(bundles, key=lambda one: one.version)
            for library in bundle.libraries
        }
        self._days: dict[tuple[str, int], str] = {}
        self._counted: Counter[tuple[str, str, str]] = Counter()
        if totals is None:
            self._out.not_checked = "there is no analytics store here"

    def see(self, event: Seen) -> None:
        """Count one event that lies inside its node's prefix, in corrected time; a re-issue of one that counts is not given."""
        measure = _MEASURE.get(event.kind)
        if measure is not None and self._totals is not None:
            self._counted[self._day(event.org, event.t), event.org, measure] += 1

    def look(self, case: ItemCase) -> None:
        """Count an item's loans."""
        if self._totals is None:
            return
        for loan in case.story.loans:
            if not loan.observed:
                org = loan.place.partition("-")[0]
                self._counted[self._day(org, loan.t_out), org, "loans"] += 1

    def _day(self, org: str, t: int) -> str:
        # Every zone of today is whole quarters of an hour from UTC, so that all instants of a quarter have the same day.
        key = (org, t // _QUARTER_MS)
        day = self._days.get(key)
        if day is None:
            if len(self._days) >= _MOST_DAYS:
                self._days.clear()
            zone = ZoneInfo(self._zones.get(org, "UTC"))
            day = self._days[key] = datetime.fromtimestamp(t // 1000, zone).date().isoformat()
        return day

    def result(self) -> Finding:
        """What was found."""
        if self._totals is not None:
            for key in sorted({*self._totals, *self._counted}):
                self._out.checked += 1
                stored, counted = self._totals.get(key, 0), self._counted[key]
                if stored != counted:
                    day, library, measure = key
                    self._out.add(f"{day} {library} {measure}", f"the store says {stored}, the log {counted}")
        return self._out.finding()
