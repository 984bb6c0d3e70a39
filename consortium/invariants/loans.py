"""I1, I2, I3, I4, I11, I12: loans, item by item (domain §7)."""

from __future__ import annotations

from collections import Counter

from consortium.events import Kind
from consortium.facts import ItemStatus
from consortium.invariants.case import LENDING, ItemCase
from consortium.invariants.finding import Finding, Offences
from consortium.invariants.reading import Seen
from consortium.states import EndKind, Loan

_FOREVER = 1 << 62
_MAY_HAVE_A_LOAN = frozenset({ItemStatus.LOST, ItemStatus.CLAIMED_RETURNED})


class OneOpenLoan:
    """I1: no two loans of an item overlap in time."""

    def __init__(self) -> None:
        self._out = Offences("I1")

    def look(self, case: ItemCase) -> None:
        """Look at one item."""
        self._out.checked += len(case.loans)
        if len(case.loans) < 2:
            return
        before: Loan | None = None
        for loan in sorted(case.loans, key=lambda one: (one.t_out, _end(one))):
            if before is not None and loan.t_out < _end(before):
                self._out.add(loan.id, f"item {case.name} was lent while loan {before.id} was open")
            if before is None or _end(loan) > _end(before):
                before = loan

    def result(self) -> Finding:
        """What was found."""
        return self._out.finding()


def _end(loan: Loan) -> int:
    return _FOREVER if loan.t_end is None else loan.t_end


class NoCheckoutVanishes:
    """I2: each CHECKOUT is a loan, a renewal or a double scan, and only one of them; each loan has its CHECKOUT (or its ILS)."""

    def __init__(self) -> None:
        self._out = Offences("I2")

    def look(self, case: ItemCase) -> None:
        """Look at one item."""
        fates = Counter(loan.id for loan in case.loans)
        fates.update(name for loan in case.loans for name in loan.renewals)
        begins = set()
        for event in case.events:
            if event.kind is Kind.CHECKOUT:
                self._out.checked += 1
                begins.add(event.id)
                times = fates[event.id]
                if times > 1:
                    self._out.add(event.id, f"this CHECKOUT of {case.name} became {times} loans or renewals")
                elif times == 0 and event.id not in case.story.doubles:
                    self._out.add(event.id, f"this CHECKOUT of {case.name} became no loan and no renewal")
            elif event.kind is Kind.ILS_OBSERVED and event.data["what"] == "LOAN":
                begins.add(event.id)
        for loan in case.loans:
            if loan.id not in begins:
                self._out.add(loan.id, f"loan of {case.name} that no event of the item began")

    def result(self) -> Finding:
        """What was found."""
        return self._out.finding()


class ClosedOnce:
    """I3: an event closes at most one loan, a loan is closed at most once and never before it began."""

    def __init__(self) -> None:
        self._out = Offences("I3")

    def look(self, case: ItemCase) -> None:
        """Look at one item."""
        self._out.checked += len(case.loans)
        enders: dict[str, str] = {}
        seen: set[str] = set()
        for loan in case.loans:
            if loan.id in seen:
                self._out.add(loan.id, "this loan is stored more than once, with an end each")
            seen.add(loan.id)
            if loan.end_event is not None:
                other = enders.setdefault(loan.end_event, loan.id)
                if other != loan.id:
                    self._out.add(loan.end_event, f"this event ended loan {other} and loan {loan.id}")
                elif loan.end_event not in case.by_id:
                    self._out.add(
                        loan.end_event, f"this event ended loan {loan.id}, and is about another item or about none"
                    )
            if loan.t_end is not None and loan.t_end < loan.t_out:
                self._out.add(loan.id, "this loan ended before it began")

    def result(self) -> Finding:
        """What was found."""
        return self._out.finding()


class EndsAreTold:
    """I4: an ended loan says how and by which event of the item; an implied return stands in a conflict."""

    def __init__(self) -> None:
        self._out = Offences("I4")

    def look(self, case: ItemCase) -> None:
        """Look at one item."""
        self._out.checked += len(case.loans)
        if not case.loans:
            return
        disputed: set[str] | None = None
        for loan in case.loans:
            if loan.t_end is None:
                if loan.end_kind is not None or loan.end_event is not None:
                    self._out.add(loan.id, "this open loan names an end")
                continue
            if loan.end_kind is None or loan.end_event is None:
                self._out.add(loan.id, "this ended loan does not say how or by what")
            elif loan.end_event not in case.by_id:
                self._out.add(
                    loan.id, f"this loan was ended by {loan.end_event}, which is no event of item {case.name}"
                )
            if loan.end_kind is EndKind.IMPLIED_RETURN:
                if disputed is None:
                    disputed = {name for conflict in case.conflicts for name in conflict.events}
                if loan.id not in disputed:
                    self._out.add(
                        loan.id, "this loan ended by an implied return and nobody was told: there is no conflict"
                    )

    def result(self) -> Finding:
        """What was found."""
        return self._out.finding()


class LoansAreItems:
    """I11: an item has an open loan exactly where its state says so, and readers' open loans sum up to the items on loan."""

    def __init__(self) -> None:
        self._out = Offences("I11")
        self._loans = 0
        self._items = 0

    def look(self, case: ItemCase) -> None:
        """Look at one item."""
        n = sum(loan.t_end is None for loan in case.loans)
        state = case.state
        status = state.status if state is not None else None
        lent = status is ItemStatus.ON_LOAN
        self._loans += n
        self._items += lent or (n > 0 and status in _MAY_HAVE_A_LOAN)
        self._out.checked += bool(n) or lent
        if n and not lent and status not in _MAY_HAVE_A_LOAN:
            self._out.add(case.name, f"has {n} open loan(s) and is {status.value if status else 'unknown'}")
        elif lent and not n:
            self._out.add(case.name, "is ON_LOAN to nobody")
        elif state is not None and n and state.loan is not None and state.loan.id not in {o.id for o in case.loans}:
            self._out.add(case.name, f"remembers loan {state.loan.id}, which is not among its loans")

    def result(self) -> Finding:
        """What was found."""
        if not self._out.total and self._loans != self._items:
            self._out.add("the sum", f"{self._loans} open loans of readers are {self._items} items on loan")
        return self._out.finding()


class PromisesAreKept:
    """I12: a loan is due no earlier than any date a reader was given for it; renewals stay within its terms unless staff overrode.

    A renewal that the terms do not allow and that stands in a conflict is a person's to settle, and no breach.
    """

    def __init__(self) -> None:
        self._out = Offences("I12")

    def look(self, case: ItemCase) -> None:
        """Look at one item."""
        if not case.loans:
            return
        self._out.checked += len(case.loans)
        disputed = {name for conflict in case.conflicts for name in conflict.events}
        for loan in case.loans:
            began = case.by_id.get(loan.id)
            renewed = [case.by_id[name] for name in loan.renewals if name in case.by_id]
            for event in [began, *renewed] if began is not None else renewed:
                promised = event.data.get("due")
                if isinstance(promised, int) and event.kind in LENDING and promised > loan.due:
                    self._out.add(event.id, f"promised a later due instant than loan {loan.id} now has")
            if began is not None and began.kind is Kind.CHECKOUT:
                self._limit(loan, began, renewed, disputed)

    def _limit(self, loan: Loan, began: Seen, renewed: list[Seen], disputed: set[str]) -> None:
        terms = began.data.get("terms")
        if not terms:
            return  # imported, or older than terms: what the limit was is not on record
        most = terms.get("renewals", 0)
        for number, event in enumerate(renewed, start=1):
            most = max(most, event.data.get("terms", {}).get("renewals", 0))  # a more generous rule may have come since
            if number > most and not event.data.get("override") and event.id not in disputed:
                self._out.add(event.id, f"renewal {number} of loan {loan.id}, whose terms allow {most}")

    def result(self) -> Finding:
        """What was found."""
        return self._out.finding()
