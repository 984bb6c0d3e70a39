# ruff: noqa: E501
"""Mutants that no test can notice, because they say the same: each with the reason. (module, what it said, what it says)."""

from __future__ import annotations

_ARGUED: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    (
        "fold",
        "Two events of different ids never have the same order, so that equality does not occur.",
        (
            (
                "return (first.event.name != root, first.event.order) < (second.event.name != root, second.event.order)",
                "return (first.event.name != root, first.event.order) <= (second.event.name != root, second.event.order)",
            ),
        ),
    ),
    (
        "fold",
        "A guard's answer is only asked for its truth.",
        (
            (
                "return False",
                "return None",
            ),
        ),
    ),
    (
        "fold",
        "No count of renewals is below 0 or below -1.",
        (
            (
                "return len(loan.renewals) < terms.get('renewals', 0) and event.t_eff <= loan.due + terms.get('grace_days', 0) * DAY_MS and (not window or event.t_eff >= loan.due - window)",
                "return len(loan.renewals) < terms.get('renewals', -1) and event.t_eff <= loan.due + terms.get('grace_days', 0) * DAY_MS and (not window or event.t_eff >= loan.due - window)",
            ),
        ),
    ),
    (
        "fold",
        "The row is only tried IN_TRANSIT, where a transit is always open; the check is for the types.",
        (
            (
                "return transit is not None and logged.event.branch == transit.to",
                "return logged.event.branch == transit.to",
            ),
            (
                "return history.transit is not None and logged.event.data['route']['action'] == 'TRANSIT'",
                "return logged.event.data['route']['action'] == 'TRANSIT'",
            ),
        ),
    ),
    (
        "effects",
        "No loan is due before 2 ms of 1970: the larger of the two is the loan's.",
        (
            (
                "loan.due = max(loan.due, logged.event.data.get('due') or 0)",
                "loan.due = max(loan.due, logged.event.data.get('due') or 1)",
            ),
            (
                "loan.due = max(loan.due, data.get('due') or 0)",
                "loan.due = max(loan.due, data.get('due') or 1)",
            ),
        ),
    ),
    (
        "effects",
        "No loan is due before 1970: the larger of the two is the loan's.",
        (
            (
                "loan.due = max(loan.due, logged.event.data.get('due') or 0)",
                "loan.due = max(loan.due, logged.event.data.get('due') or -1)",
            ),
            (
                "loan.due = max(loan.due, data.get('due') or 0)",
                "loan.due = max(loan.due, data.get('due') or -1)",
            ),
        ),
    ),
    (
        "effects",
        "The row is only tried IN_TRANSIT, where a transit is always open; the check is for the types.",
        (
            (
                "if transit is not None:",
                "if True:",
            ),
            (
                "if transit is None:",
                "if False:",
            ),
        ),
    ),
    (
        "review",
        "Neither age nor activation is asked for here: limits and agreements do not depend on them.",
        (
            (
                "facts = ReaderFacts(reader.home, reader.category, shared=True, age=reader.age, open_loans=_open_at(reader, loan))",
                "facts = ReaderFacts(reader.home, reader.category, age=reader.age, open_loans=_open_at(reader, loan))",
            ),
            (
                "facts = ReaderFacts(reader.home, reader.category, shared=True, age=reader.age, open_loans=_open_at(reader, loan))",
                "facts = ReaderFacts(reader.home, reader.category, shared=True, open_loans=_open_at(reader, loan))",
            ),
            (
                "facts = ReaderFacts(reader.home, reader.category, shared=True, age=reader.age, open_loans=_open_at(reader, loan))",
                "facts = ReaderFacts(reader.home, reader.category, shared=False, age=reader.age, open_loans=_open_at(reader, loan))",
            ),
        ),
    ),
    (
        "review",
        "Of one card the changes are ordered by their instant either way.",
        (
            (
                "standing = {card: status for card, since, status in sorted(cards, key=lambda one: one[1]) if since <= at}",
                "standing = {card: status for card, since, status in sorted(cards) if since <= at}",
            ),
        ),
    ),
    (
        "review",
        "Without any card there is no code either way.",
        (
            (
                "if not standing or CardStatus.ACTIVE in standing.values():",
                "if CardStatus.ACTIVE in standing.values():",
            ),
        ),
    ),
    (
        "review",
        "Only asked for whether there are codes.",
        (
            (
                "return []",
                "return None",
            ),
        ),
    ),
    (
        "holds",
        "A hold that waits and is told to wait is as it was.",
        (
            (
                "if hold.state in _SUPPLIED:",
                "if True:",
            ),
            (
                "elif hold.state in _SUPPLIED:",
                "elif True:",
            ),
        ),
    ),
    (
        "rules",
        "Only asked for its truth.",
        (
            (
                "return False",
                "return None",
            ),
        ),
    ),
    (
        "rules",
        "The same answer by more work: what is passed over, remembered or joined early only saves time.",
        (
            (
                "if known is not None:",
                "if False:",
            ),
            (
                "if all((rule.valid_from_ms is None and rule.valid_to_ms is None for rule in rules)):",
                "if False:",
            ),
            (
                "if all((rule.valid_from_ms is None and rule.valid_to_ms is None for rule in rules)):",
                "if all((rule.valid_from_ms is not None and rule.valid_to_ms is None for rule in rules)):",
            ),
            (
                "if all((rule.valid_from_ms is None and rule.valid_to_ms is None for rule in rules)):",
                "if all((rule.valid_from_ms is None and rule.valid_to_ms is not None for rule in rules)):",
            ),
        ),
    ),
    (
        "timeline",
        "How far apart snapshots are changes the time it takes and nothing else.",
        (
            (
                "EVERY = 16",
                "EVERY = 17",
            ),
            (
                "EVERY = 16",
                "EVERY = 15",
            ),
        ),
    ),
    (
        "timeline",
        "The name of a type's variable.",
        (
            (
                "T = TypeVar('T', Loan, Transit)",
                "T = TypeVar('TX', Loan, Transit)",
            ),
        ),
    ),
    (
        "timeline",
        "The same answer by more work: what is passed over, remembered or joined early only saves time.",
        (
            (
                "ends = (None, None, None) if end is None else (end.loans, end.transits, end.conflicts)",
                "ends = (None, None, None)",
            ),
            (
                "loans = self.loans[max(start.loans - 1, 0):ends[0]]",
                "loans = self.loans[max(start.loans - 2, 0):ends[0]]",
            ),
            (
                "transits = self.transits[max(start.transits - 1, 0):ends[1]]",
                "transits = self.transits[max(start.transits - 2, 0):ends[1]]",
            ),
            (
                "if self._stands_at(mark):",
                "if False:",
            ),
            (
                "return plain and history.loan == mark.loan and (history.transit == mark.transit)",
                "return None",
            ),
            (
                "plain = all((getattr(history, name) == value for name, value in zip(_SCALARS, mark.plain, strict=True)))",
                "plain = all((getattr(history, name) != value for name, value in zip(_SCALARS, mark.plain, strict=True)))",
            ),
            (
                "self._snapshots += [one.moved(*more) for one in old.snapshots[number:]]",
                "pass",
            ),
            (
                "if not self._snapshots or len(self._events) - self._snapshots[-1].n >= EVERY:",
                "if True:",
            ),
            (
                "if not self._snapshots or len(self._events) - self._snapshots[-1].n >= EVERY:",
                "if not self._snapshots or len(self._events) - self._snapshots[-1].n > EVERY:",
            ),
            (
                "if not self._snapshots or len(self._events) - self._snapshots[-1].n >= EVERY:",
                "if not self._snapshots or len(self._events) - self._snapshots[-1].n < EVERY:",
            ),
            (
                "if not self._snapshots or len(self._events) - self._snapshots[-1].n >= EVERY:",
                "if not self._snapshots or len(self._events) + self._snapshots[-1].n >= EVERY:",
            ),
            (
                "if not self._snapshots or len(self._events) - self._snapshots[-1].n >= EVERY:",
                "if not self._snapshots or len(self._events) - self._snapshots[-0].n >= EVERY:",
            ),
            (
                "del self._events[start.n:], self._keys[start.n:], self._snapshots[first + 1:]",
                "del self._events[start.n:], self._keys[start.n:], self._snapshots[first + 0:]",
            ),
        ),
    ),
    (
        "timeline",
        "Nothing given, nothing folded.",
        (
            (
                "if given:",
                "if True:",
            ),
        ),
    ),
    (
        "timeline",
        "An event that is held is folded among the others again, and changes nothing: The same answer by more work: what is passed over, remembered or joined early only saves time.",
        (
            (
                "if known.event == event and (known.who == logged.who or logged.who is None):",
                "if False:",
            ),
            (
                "if known.event == event and (known.who == logged.who or logged.who is None):",
                "if known.event == event and (known.who == logged.who and logged.who is None):",
            ),
            (
                "if known.event == event and (known.who == logged.who or logged.who is None):",
                "if known.event == event and (logged.who is None):",
            ),
            (
                "if known.event == event and (known.who == logged.who or logged.who is None):",
                "if known.event == event and (known.who == logged.who):",
            ),
            (
                "if logged in self._again:",
                "if False:",
            ),
            (
                "self._again = [one for one in events if id(one) not in kept]",
                "self._again = [one for one in events]",
            ),
        ),
    ),
    (
        "timeline",
        "Both are always of one length.",
        (
            (
                "plain = all((getattr(history, name) == value for name, value in zip(_SCALARS, mark.plain, strict=True)))",
                "plain = all((getattr(history, name) == value for name, value in zip(_SCALARS, mark.plain, strict=False)))",
            ),
            (
                "for name, value in zip(_SCALARS, old.plain, strict=True):",
                "for name, value in zip(_SCALARS, old.plain, strict=False):",
            ),
            (
                "for name, value in zip(_SCALARS, snapshot.plain, strict=True):",
                "for name, value in zip(_SCALARS, snapshot.plain, strict=False):",
            ),
            (
                "plain = all((getattr(history, name) == value for name, value in zip(_SCALARS, mark.plain, strict=True)))",
                "plain = all((getattr(history, name) == value for name, value in zip(_SCALARS, mark.plain)))",
            ),
            (
                "for name, value in zip(_SCALARS, old.plain, strict=True):",
                "for name, value in zip(_SCALARS, old.plain):",
            ),
            (
                "for name, value in zip(_SCALARS, snapshot.plain, strict=True):",
                "for name, value in zip(_SCALARS, snapshot.plain):",
            ),
        ),
    ),
    (
        "timeline",
        "The number of events in this mark is not read.",
        (
            (
                "until = None if joined is None else joined.moved(1, *now.grown(old.told))",
                "until = None if joined is None else joined.moved(2, *now.grown(old.told))",
            ),
            (
                "until = None if joined is None else joined.moved(1, *now.grown(old.told))",
                "until = None if joined is None else joined.moved(0, *now.grown(old.told))",
            ),
        ),
    ),
    (
        "charges",
        "Between an instant and an earlier or the same one there are no open days.",
        (
            (
                "if end <= loan.due:",
                "if False:",
            ),
            (
                "if end <= loan.due:",
                "if end < loan.due:",
            ),
        ),
    ),
    (
        "charges",
        "No branch is called None; the check is for the types.",
        (
            (
                "places = (place for place in (loan.place, loan.end_place) if place is not None and place in policy.branches)",
                "places = (place for place in (loan.place, loan.end_place) if place in policy.branches)",
            ),
        ),
    ),
    (
        "charges",
        "Of one calendar the first is the last.",
        (
            (
                "days = calendars[0].open_days_between(loan.due, end) if len(calendars) == 1 else _both_open(calendars, loan.due, end)",
                "days = calendars[-1].open_days_between(loan.due, end) if len(calendars) == 1 else _both_open(calendars, loan.due, end)",
            ),
        ),
    ),
    (
        "record",
        "What was found of a class before is found again: only time is saved.",
        (
            (
                "if kind not in _SPECS:",
                "if True:",
            ),
        ),
    ),
    (
        "machines",
        "A word in the picture.",
        (
            (
                "ROUTE = 'routed'",
                "ROUTE = 'routedX'",
            ),
            (
                "BAG = 'bagged'",
                "BAG = 'baggedX'",
            ),
        ),
    ),
    (
        "timeline",
        "A snapshot that is said to be later is passed over for one before it: the same answer by more work.",
        (
            (
                "more = (len(self._events) - mark.n, len(history.loans) - mark.loans, len(history.transits) - mark.transits, len(history.conflicts) - mark.conflicts)",
                "more = (len(self._events) + mark.n, len(history.loans) - mark.loans, len(history.transits) - mark.transits, len(history.conflicts) - mark.conflicts)",
            ),
        ),
    ),
    (
        "charges",
        "Any number of days at nothing a day costs nothing.",
        (
            (
                "if not terms.fine_per_day:",
                "if False:",
            ),
        ),
    ),
)
"""By module and reason: pairs of what the line said and what it says."""

EQUIVALENT: dict[tuple[str, str, str], str] = {
    (module, before, after): reason for module, reason, pairs in _ARGUED for before, after in pairs
}
