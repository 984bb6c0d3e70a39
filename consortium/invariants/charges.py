"""I14: overdue charges recompute from events, and lateness never makes one grow (domain §7, §4).

The formula, once more and by itself: days on which both the lending branch and the one returned to were open, after the due day up to
the day of return (or of ``t_credit``, when a drop box counts it), less the grace, times fine_per_day, at most max_fine. Nothing where
an ILS was in charge, or where the loan ended without the reader's doing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from consortium.bundle import Bundle
from consortium.calendar import Calendar
from consortium.invariants.case import ItemCase
from consortium.invariants.finding import Finding, Offences
from consortium.invariants.history import Charge
from consortium.invariants.reference import ToldLoan, tell
from consortium.states import EndKind

_LONGEST_DAYS = 3_660
_BY_READER = (None, EndKind.RETURN, EndKind.LOST_PAID)


class ChargesRecompute:
    """I14. ``charges`` None: there is no charge ledger. At every arrival a loan's total is at most what the events known then say, and
    nothing that came after the loan's end was known adds to it."""

    def __init__(self, charges: Iterable[Charge] | None, bundles: Iterable[Bundle]) -> None:
        self._out = Offences("I14")
        self._of: dict[str, list[Charge]] = defaultdict(list)
        for charge in charges or ():
            self._of[charge.loan].append(charge)
        if charges is None:
            self._out.not_checked = "there is no charge ledger here"
        self._calendars: dict[str, Calendar] = {}
        for bundle in sorted(bundles, key=lambda one: one.version):
            named = {calendar.id: calendar for calendar in bundle.calendars}
            self._calendars.update((b.id, named[b.calendar_id]) for b in bundle.branches if b.calendar_id in named)

    def look(self, case: ItemCase) -> None:
        """Look at one item's loans."""
        for loan in case.story.loans:
            rows = self._of.pop(loan.id, None)
            if rows is not None:
                self._judge(case, loan.id, sorted(rows, key=lambda one: one.pos))

    def _judge(self, case: ItemCase, loan_id: str, rows: list[Charge]) -> None:
        self._out.checked += 1
        times = {name: event.t for name, event in case.by_id.items()}
        ended_pos = self._end_known(case, loan_id)
        total = frozen = 0
        for row in rows:
            total += row.amount
            known = _loan(case, loan_id, row.pos)
            most = self._fee(known, times.get(row.event, 0)) if known is not None else 0
            if total > most:
                self._out.add(row.event, f"brings loan {loan_id} to {total} fen; the events known then say {most}")
            if ended_pos is None or row.pos <= ended_pos:
                frozen = max(frozen, total)
            elif total > frozen:
                self._out.add(
                    row.event, f"came after the end of loan {loan_id} was known and raises its charge to {total} fen"
                )
        final = _loan(case, loan_id, 1 << 62)
        if final is not None and final.t_end is not None and total > (most := self._fee(final, final.t_end)):
            self._out.add(loan_id, f"is charged {total} fen; its events say {most}")

    def _end_known(self, case: ItemCase, loan_id: str) -> int | None:
        """The first arrival after which the loan was over."""
        arrivals = sorted({event.pos for event in case.events})
        for pos in arrivals:
            loan = _loan(case, loan_id, pos)
            if loan is not None and loan.t_end is not None:
                return pos
        return None

    def _fee(self, loan: ToldLoan, now: int) -> int:
        """What the loan costs in fen as of its return, or of ``now`` while it is out."""
        per_day = loan.terms.get("fine_per_day", 0)
        back = loan.t_credit if loan.t_credit is not None else loan.t_end if loan.t_end is not None else now
        if not per_day or loan.observed or loan.end_kind not in _BY_READER or back <= loan.due:
            return 0
        calendars = [
            self._calendars[at] for at in sorted({loan.place, loan.end_place or loan.place}) if at in self._calendars
        ]
        late = max(0, _open_days(calendars, loan.due, back) - loan.terms.get("grace_days", 0))
        most = loan.terms.get("max_fine", 0)
        return min(late * per_day, most) if most else late * per_day

    def result(self) -> Finding:
        """What was found."""
        for loan_id in self._of:
            self._out.add(loan_id, "is charged and is no loan of the log")
        self._of.clear()
        return self._out.finding()


def _loan(case: ItemCase, loan_id: str, pos: int) -> ToldLoan | None:
    """The loan as the events that had arrived by ``pos`` tell it."""
    events = [event for event in case.events if event.pos <= pos]
    return next((loan for loan in tell(events, "").loans if loan.id == loan_id), None)


def _open_days(calendars: Sequence[Calendar], after: int, until: int) -> int:
    if not calendars:
        return 0
    zone = ZoneInfo(calendars[0].tz)
    day, last = (datetime.fromtimestamp(t / 1000, zone).date() for t in (after, until))
    last = min(last, day + timedelta(days=_LONGEST_DAYS))
    count = 0
    while day < last:
        day += timedelta(days=1)
        count += all(_hours(calendar, day) for calendar in calendars)
    return count


def _hours(calendar: Calendar, day: date) -> object:
    return calendar.exceptions.get(day.isoformat(), calendar.weekly[day.weekday()])
