"""What a draft would have changed so far, carried through a replay: loans and visits that would not, or would, have been.

A recorded decision counts the loans and visitors of the world as it was. Had the draft refused a loan, that loan must not count
against the reader afterwards; had it allowed one, that must. Each such difference lives until an event ends it, or its time.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from consortium.calendar import DAY_MS
from consortium.facts import (
    BorrowFacts,
    EnterFacts,
    ItemStatus,
    LoanFacts,
    OpenLoans,
    ReaderFacts,
    Relation,
    RenewFacts,
)
from consortium.identity import org_of_branch
from consortium.terms import Terms

Key = tuple[str, str]
"""(owner, item_no) of an item, or (who, branch) of a visit."""


@dataclass(frozen=True, slots=True)
class _Loan:
    """A loan more (``sign`` +1) or less (-1) than there was."""

    who: str
    sign: int
    lender: str
    item_type: str
    value: int
    agreement: str


@dataclass(frozen=True, slots=True)
class _Visit:
    """A visit more or less than there was; ``entry`` is the event it began with."""

    sign: int
    partner: bool
    entry: str


@dataclass(frozen=True, slots=True)
class _Promise:
    """A loan that both worlds have, but on other conditions: ``renewed`` is how many renewals more or less."""

    due: int
    renewed: int = 0
    terms: Terms | None = None


class Shadow:
    """Differences between the world as it was and as the draft would have made it. ``stay_ms``: how long a visit lasts that
    only the draft would have allowed."""

    def __init__(self, stay_ms: int) -> None:
        self._stay_ms = stay_ms
        self._loans: dict[Key, dict[str, _Loan]] = {}  # of one item, by reader: one had it, another might have
        self._of_reader: dict[str, set[Key]] = {}
        self._of_agreement: Counter[tuple[str, str]] = Counter()
        self._promises: dict[Key, _Promise] = {}
        self._visits: dict[Key, _Visit] = {}
        self._visit_of: dict[str, Key] = {}
        self._inside: Counter[str] = Counter()
        self._partners: Counter[str] = Counter()
        self._entries: dict[str, tuple[int, int]] = {}
        self._ends: list[tuple[int, int, Key, _Loan | _Visit]] = []
        self._pushed = 0

    def pass_time(self, now: int) -> None:
        """End what has outlived its time: a loan only the draft would have made at its due date, a visit after its stay."""
        while self._ends and self._ends[0][0] <= now:
            _, _, key, one = heapq.heappop(self._ends)
            if isinstance(one, _Loan):
                if self._loans.get(key, {}).get(one.who) is one:
                    self._drop(key, one.who)
            elif self._visits.get(key) is one:
                self.left(*key)

    def _end_at(self, until: int, key: Key, one: _Loan | _Visit) -> None:
        self._pushed += 1  # two that end together are never compared by what they are
        heapq.heappush(self._ends, (until, self._pushed, key, one))

    # --- loans ---

    def refuse_loan(self, key: Key, who: str, lender: str, item_type: str, value: int, agreement: str) -> None:
        """The draft would have refused a loan that was made."""
        self._note(key, _Loan(who, -1, lender, item_type, value, agreement))

    def allow_loan(
        self, key: Key, who: str, lender: str, item_type: str, value: int, agreement: str, until: int
    ) -> None:
        """The draft would have allowed a loan that was refused; it is taken to last until it is due."""
        loan = _Loan(who, 1, lender, item_type, value, agreement)
        if self._note(key, loan):
            self._end_at(until, key, loan)

    def _note(self, key: Key, loan: _Loan) -> bool:
        """Carry a loan; False where it undoes one that was carried: then both worlds have it, or neither."""
        old = self._loans.get(key, {}).get(loan.who)
        if old is not None:
            self._drop(key, loan.who)
            if old.sign != loan.sign:
                return False
        self._loans.setdefault(key, {})[loan.who] = loan
        self._of_reader.setdefault(loan.who, set()).add(key)
        self._of_agreement[loan.agreement, loan.lender] += loan.sign
        return True

    def _drop(self, key: Key, who: str) -> None:
        of_item, of_reader = self._loans[key], self._of_reader[who]
        loan = of_item.pop(who)
        self._of_agreement[loan.agreement, loan.lender] -= loan.sign
        of_reader.discard(key)
        if not of_item:
            del self._loans[key]
        if not of_reader:
            del self._of_reader[who]

    def item_moved(self, key: Key) -> None:
        """The item was lent, returned or seen elsewhere: whatever was carried of its loan is over."""
        self._promises.pop(key, None)
        for who in list(self._loans.get(key, ())):
            self._drop(key, who)

    def never_lent(self, key: Key) -> bool:
        """Whether the item's present loan would not have been made."""
        return any(loan.sign < 0 for loan in self._loans.get(key, {}).values())

    def lent_to(self, key: Key, who: str) -> bool:
        """Whether this reader would have this item already."""
        loan = self._loans.get(key, {}).get(who)
        return loan is not None and loan.sign > 0

    def promise(self, key: Key, due: int, *, renewed: int = 0, terms: Terms | None = None) -> None:
        """A loan of both worlds is due at another instant, or on other terms, in the draft's."""
        self._promises[key] = _Promise(due, renewed, terms)

    def keep_promise(self, key: Key) -> None:
        """Both worlds agree on this loan again."""
        self._promises.pop(key, None)

    def renewals_apart(self, key: Key) -> int:
        """Renewals that the draft's world has more or less of this loan."""
        found = self._promises.get(key)
        return found.renewed if found is not None else 0

    def for_borrow(self, facts: BorrowFacts, who: str | None, agreement: Callable[[ReaderFacts], str]) -> BorrowFacts:
        """The facts as the draft's world has them; ``agreement`` says under which one a reader borrows here."""
        reader, item = facts.reader, facts.item
        if item is not None and item.loan is not Relation.NOBODY and self.never_lent((item.owner, item.item_no)):
            status = ItemStatus.SHELVED if item.status is ItemStatus.ON_LOAN else item.status
            facts = replace(facts, item=replace(item, loan=Relation.NOBODY, status=status))
        if reader is None:
            return facts
        facts = replace(facts, reader=self._counted(reader, who)) if who in self._of_reader else facts
        if self._loans:
            apart = self._of_agreement.get((agreement(reader), org_of_branch(facts.device.branch)), 0)
            if apart:
                facts = replace(facts, partner_loans=max(0, facts.partner_loans + apart))
        return facts

    def _counted(self, reader: ReaderFacts, who: str | None) -> ReaderFacts:
        counts = {(loans.lender, loans.item_type): [loans.n, loans.value] for loans in reader.open_loans}
        for key in self._of_reader.get(who or "", ()):
            loan = self._loans[key][who or ""]
            count = counts.setdefault((loan.lender, loan.item_type), [0, 0])
            count[0] += loan.sign
            count[1] += loan.sign * loan.value
        kept = (OpenLoans(*at, n, max(0, value)) for at, (n, value) in sorted(counts.items()) if n > 0)
        return replace(reader, open_loans=tuple(kept))

    def for_renew(self, facts: RenewFacts) -> RenewFacts:
        """The facts as the draft's world has them: what was promised there."""
        item, loan = facts.item, facts.loan
        found = self._promises.get((item.owner, item.item_no)) if item is not None else None
        if found is None or loan is None:
            return facts
        return replace(facts, loan=_promised(loan, found))

    # --- visits ---

    def refuse_visit(self, who: str, branch: str, partner: bool, entry: str, now: int, day: int) -> None:
        """The draft would have refused an entry that took place; the visit is taken to end within a day."""
        self._visit((who, branch), _Visit(-1, partner, entry), now + DAY_MS, day)

    def allow_visit(self, who: str, branch: str, partner: bool, entry: str, now: int, day: int) -> None:
        """The draft would have allowed an entry that was refused; who is inside in fact is counted already."""
        old = self._visits.get((who, branch))
        if old is not None and old.sign < 0:
            self.left(who, branch)
            if partner:
                self._entries[branch] = (day, self._entries_on(branch, day) + 1)
            return
        self._visit((who, branch), _Visit(1, partner, entry), now + self._stay_ms, day)

    def _visit(self, key: Key, visit: _Visit, until: int, day: int) -> None:
        self._visits[key] = visit
        self._visit_of[visit.entry] = key
        branch = key[1]
        self._inside[branch] += visit.sign
        if visit.partner:
            self._partners[branch] += visit.sign
            self._entries[branch] = (day, self._entries_on(branch, day) + visit.sign)
        self._end_at(until, key, visit)

    def left(self, who: str, branch: str) -> None:
        """The reader went out, or came in again: what was carried of the visit is over."""
        visit = self._visits.pop((who, branch), None)
        if visit is None:
            return
        self._visit_of.pop(visit.entry, None)
        self._inside[branch] -= visit.sign
        if visit.partner:
            self._partners[branch] -= visit.sign

    def closed(self, entry: str) -> None:
        """The night closed the visit that began with this event."""
        key = self._visit_of.get(entry)
        if key is not None:
            self.left(*key)

    def is_inside(self, who: str, branch: str) -> bool:
        """Whether only the draft would have let this reader in."""
        visit = self._visits.get((who, branch))
        return visit is not None and visit.sign > 0

    def _entries_on(self, branch: str, day: int) -> int:
        found = self._entries.get(branch)
        return found[1] if found is not None and found[0] == day else 0

    def for_enter(self, facts: EnterFacts, who: str | None, day: Callable[[], int]) -> EnterFacts:
        """The facts as the draft's world has them; ``day`` tells the branch's local day of the decision."""
        branch = facts.device.branch
        inside, partners = self._inside[branch], self._partners[branch]
        entries = self._entries_on(branch, day()) if branch in self._entries else 0
        visit = self._visits.get((who, branch)) if who is not None else None
        never_came = facts.inside and visit is not None and visit.sign < 0
        if not (inside or partners or entries or never_came):
            return facts
        return replace(
            facts,
            occupancy=max(0, facts.occupancy + inside),
            partner_visitors=max(0, facts.partner_visitors + partners),
            visits_today=max(0, facts.visits_today + entries),
            inside=facts.inside and not never_came,
        )


def _promised(loan: LoanFacts, found: _Promise) -> LoanFacts:
    return replace(
        loan,
        due=found.due,
        renewed=max(0, loan.renewed + found.renewed),
        terms=found.terms if found.terms is not None else loan.terms,
    )
