"""What became of an item, told the long way round: domain §4 and §5 as one reads them, for comparison with what the hub stored (I6).

Deliberately naive and deliberately not the fold: no tables, no memory between events but the five things below, everything from
the item's first event, every time. Events are deduplicated and sorted first, so the order and number in which they came cannot
matter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter

from consortium.events import Kind
from consortium.facts import ItemStatus
from consortium.invariants.reading import Seen
from consortium.states import EndKind, TransitState

_DOUBLE_SCAN_MS = 120_000
_HANDED_IN_TWICE_MS = 86_400_000
_DAY_MS = 86_400_000

_WITH_A_LOAN = frozenset({ItemStatus.ON_LOAN, ItemStatus.LOST, ItemStatus.CLAIMED_RETURNED})
_NOWHERE = frozenset({ItemStatus.MISSING, ItemStatus.LOST, ItemStatus.CLAIMED_RETURNED, ItemStatus.WITHDRAWN})
_ON_SHELVES = frozenset({ItemStatus.SHELVED, ItemStatus.RETURNED_AT, ItemStatus.HOLD_SHELF, ItemStatus.EXCEPTION})
_ROUTED = {
    "SHELVE": ItemStatus.SHELVED,
    "STAY": ItemStatus.SHELVED,
    "HOLD": ItemStatus.HOLD_SHELF,
    "HOLD_HERE": ItemStatus.RETURNED_AT,
    "DESK": ItemStatus.EXCEPTION,
}
_TELLS_WHERE = frozenset(
    {Kind.CHECKOUT, Kind.RETURN, Kind.RECEIVE, Kind.TRANSIT_SENT, Kind.ITEM_MARKED, Kind.LOAN_ENDED, Kind.ILS_OBSERVED}
)


@dataclass(slots=True)
class ToldLoan:
    """A loan as its events tell it. ``promises``: every due instant somebody was given. ``printed``: those of CHECKOUT and RENEW."""

    id: str
    who: str
    place: str
    t_out: int
    due: int
    terms: dict[str, int]
    observed: bool = False
    renewals: list[Seen] = field(default_factory=list)
    printed: list[int] = field(default_factory=list)
    t_end: int | None = None
    t_credit: int | None = None
    end_kind: EndKind | None = None
    end_event: str | None = None
    end_place: str | None = None


@dataclass(slots=True)
class ToldTransit:
    """A journey as its events tell it."""

    id: str
    to: str
    via: str | None
    state: TransitState
    t_end: int | None = None


@dataclass(slots=True)
class Story:
    """An item's whole story. ``doubles``: CHECKOUTs that were scanned twice or are re-issues of one that counts."""

    status: ItemStatus
    branch: str
    loans: list[ToldLoan] = field(default_factory=list)
    transits: list[ToldTransit] = field(default_factory=list)
    conflicts: set[str] = field(default_factory=set)
    doubles: set[str] = field(default_factory=set)

    @property
    def loan(self) -> ToldLoan | None:
        """The open loan."""
        return self.loans[-1] if self.loans and self.loans[-1].t_end is None else None

    @property
    def transit(self) -> ToldTransit | None:
        """The journey that goes on."""
        return self.transits[-1] if self.transits and self.transits[-1].t_end is None else None


_order = attrgetter("order")


def tell(events: Iterable[Seen], branch: str) -> Story:
    """The story of an item that belongs to ``branch``, from its events in any order, doubled or not."""
    return _Teller(branch).tell(events)


class _Teller:
    def __init__(self, branch: str) -> None:
        self.story = Story(ItemStatus.SHELVED, branch)
        self._scanned: tuple[str, int] = ("", 0)
        self._moved: Seen | None = None
        self._handed_in: tuple[str, int] = ("", 0)

    def tell(self, events: Iterable[Seen]) -> Story:
        once: dict[str, Seen] = {}
        # An event before its re-issues: it stands for all of them where it is there, else the first of them does.
        by_order = sorted(events, key=_order)
        for event in sorted(by_order, key=lambda one: one.reissue_of is not None):
            root = event.reissue_of or event.id
            if root not in once:
                once[root] = event
            elif event.id != once[root].id and event.kind is Kind.CHECKOUT:
                self.story.doubles.add(event.id)
        for event in sorted(once.values(), key=_order):
            if self._step(event) and event.kind in _TELLS_WHERE:
                self._order(event)
        return self.story

    def _order(self, event: Seen) -> None:
        if event.data.get("what") in ("BOOKED", "REFUSED", "DIFFERS"):
            return  # words about the item: they moved nothing
        last, self._moved = self._moved, event
        if last is not None and last.node != event.node and event.t - last.t <= last.unc + event.unc:
            self._dispute("CF_ORDER_AMBIGUOUS", event)

    def _step(self, event: Seen) -> bool:
        """Whether the event said anything about the item in the state it was in."""
        kind = event.kind
        if kind is Kind.CHECKOUT:
            return self._lend(event)
        if kind is Kind.RENEW:
            return self._renew(event)
        if kind in (Kind.RETURN, Kind.RECEIVE):
            return self._take_back(event)
        if kind is Kind.IN_USE:
            return self._used(event)
        if kind is Kind.ITEM_MARKED:
            return self._mark(event, event.data["mark"])
        if kind is Kind.LOAN_ENDED:
            return self._end_by_hand(event)
        if kind is Kind.LOAN_EXTENDED:
            return self._extend(event)
        if kind is Kind.ILS_OBSERVED:
            return self._ils(event)
        return self._journey(event)

    # --- lending ---

    def _lend(self, event: Seen) -> bool:
        story, loan = self.story, self.story.loan
        if loan is not None and loan.who == event.who:
            device, at = self._scanned
            if device == event.device and event.t - at <= _DOUBLE_SCAN_MS:
                story.doubles.add(event.id)
                return True
            self._scanned = (event.device, event.t)
            story.status = ItemStatus.ON_LOAN
            return self._renew(event)
        if loan is not None:
            self._end(loan, event, EndKind.IMPLIED_RETURN)
            self._dispute("CF_IMPLIED_RETURN", event)
        self._leave(event, TransitState.SUPERSEDED)
        due = event.data["due"]
        story.loans.append(
            ToldLoan(event.id, event.who, event.branch, event.t, due, dict(event.data.get("terms", {})), printed=[due])
        )
        story.status, story.branch = ItemStatus.ON_LOAN, event.branch
        self._scanned = (event.device, event.t)
        return True

    def _renew(self, event: Seen) -> bool:
        loan = self.story.loan
        if loan is None or loan.who != event.who:
            self._dispute("CF_RENEW_NOT_ALLOWED", event)
            return True
        if not _within_terms(loan, event):
            self._dispute("CF_RENEW_NOT_ALLOWED", event)
        loan.renewals.append(event)
        loan.printed.append(event.data["due"])
        loan.due = max(loan.due, event.data["due"])
        return True

    def _extend(self, event: Seen) -> bool:
        loan = self.story.loan
        if loan is not None:
            loan.due = max(loan.due, event.data.get("due") or 0)
        return loan is not None

    def _end(self, loan: ToldLoan, event: Seen, kind: EndKind) -> None:
        loan.t_end, loan.end_kind, loan.end_event = max(event.t, loan.t_out), kind, event.id
        loan.end_place = event.branch
        credit = event.data.get("t_credit")
        if credit is not None:
            loan.t_credit = min(max(credit, loan.t_out), loan.t_end)

    def _end_by_hand(self, event: Seen) -> bool:
        story, loan = self.story, self.story.loan
        if loan is None:
            return False
        if event.data["end"] == "LOST_PAID":
            self._end(loan, event, EndKind.LOST_PAID)
            story.status = ItemStatus.LOST
        else:
            self._end(loan, event, EndKind.STAFF)
            story.status, story.branch = ItemStatus.EXCEPTION, event.branch
        return True

    # --- coming back ---

    def _take_back(self, event: Seen) -> bool:
        story, loan, transit = self.story, self.story.loan, self.story.transit
        here, sent_on = event.branch, event.data["route"]["action"] == "TRANSIT"
        if loan is not None:
            self._end(loan, event, EndKind.RETURN)
        elif transit is not None and here != transit.to and sent_on:
            transit.to, transit.state = event.data["route"]["dest"], TransitState.MISROUTED
            story.branch = here
            return True
        elif transit is not None:
            self._leave(event, TransitState.RECEIVED if here == transit.to else TransitState.CANCELLED)
        elif story.status is ItemStatus.WITHDRAWN:
            story.status, story.branch = ItemStatus.EXCEPTION, here
            return True
        elif story.status in _ON_SHELVES and here != story.branch:
            before, at = self._handed_in
            again = before not in ("", here) and event.t - at <= _HANDED_IN_TWICE_MS
            self._dispute("CF_DOUBLE_RETURN" if again else "CF_RETURN_NO_LOAN", event)
        self._route(event)
        return True

    def _route(self, event: Seen) -> None:
        story, route = self.story, event.data["route"]
        story.branch = event.branch
        if event.kind is Kind.RETURN:
            self._handed_in = (event.branch, event.t)
        if route["action"] == "TRANSIT":
            story.status = ItemStatus.IN_TRANSIT
            story.transits.append(ToldTransit(event.id, route["dest"], route.get("via"), TransitState.REQUESTED))
            return
        story.status = _ROUTED[route["action"]]
        if route["action"] == "DESK" and route.get("reason") == "UNKNOWN":
            self._dispute("CF_UNKNOWN_ITEM", event)

    # --- under way ---

    def _journey(self, event: Seen) -> bool:
        story, transit = self.story, self.story.transit
        if event.kind is Kind.TRANSIT_SENT:
            if transit is None and story.status not in _ON_SHELVES:
                return False
            if transit is None:
                story.transits.append(ToldTransit(event.id, event.data["to"], None, TransitState.SENT))
                story.status, story.branch = ItemStatus.IN_TRANSIT, event.branch
            else:
                transit.state = TransitState.SENT
            return True
        if transit is None:
            return False
        if event.kind is Kind.TRANSIT_BAGGED:
            transit.state = TransitState.BAGGED
        elif event.kind is Kind.TRANSIT_SEEN:
            by_place = {transit.via: TransitState.AT_HUB, transit.to: TransitState.ARRIVED}
            transit.state = by_place.get(event.branch, TransitState.MISROUTED)
            story.branch = event.branch
        elif event.kind is Kind.TRANSIT_CANCELLED:
            self._leave(event, TransitState.CANCELLED)
            story.status, story.branch = ItemStatus.RETURNED_AT, event.branch
        return True

    def _leave(self, event: Seen, state: TransitState) -> None:
        transit = self.story.transit
        if transit is not None:
            transit.state, transit.t_end = state, event.t

    # --- seen, missed, found ---

    def _used(self, event: Seen) -> bool:
        story = self.story
        if story.status in _NOWHERE:
            return self._found(event)
        if story.loan is None and story.transit is None:
            story.branch = event.branch
        return True

    def _found(self, event: Seen) -> bool:
        story, loan = self.story, self.story.loan
        if loan is not None:
            claimed = story.status is ItemStatus.CLAIMED_RETURNED
            self._end(loan, event, EndKind.CLAIMED_RETURNED if claimed else EndKind.RETURN)
        story.status, story.branch = ItemStatus.EXCEPTION, event.branch
        return True

    def _mark(self, event: Seen, mark: str) -> bool:
        story, before = self.story, self.story.status
        if mark == "FOUND" and before in _NOWHERE:
            return self._found(event)
        if mark == "DAMAGED" and before in _ON_SHELVES:
            story.status, story.branch = ItemStatus.EXCEPTION, event.branch
        elif mark == "LOST" or (mark == "MISSING" and before in _ON_SHELVES | {ItemStatus.IN_TRANSIT}):
            self._leave(event, TransitState.LOST)
            story.status = ItemStatus(mark)
        elif (mark == "WITHDRAWN" and before in _ON_SHELVES | {ItemStatus.MISSING}) or (
            mark == "CLAIMED_RETURNED" and before in _WITH_A_LOAN and story.loan is not None
        ):
            story.status = ItemStatus(mark)
        else:
            return False
        return True

    # --- a member's own ILS ---

    def _ils(self, event: Seen) -> bool:
        what, story, loan = event.data["what"], self.story, self.story.loan
        if what == "RENEWAL":
            return self._extend(event)
        if what == "ITEM":
            status = event.data.get("status", "")
            return status in ("MISSING", "LOST", "WITHDRAWN") and self._mark(event, status)
        if what == "RETURN":
            if loan is not None:
                self._end(loan, event, EndKind.RETURN)
            transit = story.transit
            if transit is not None:
                self._leave(event, TransitState.RECEIVED if event.branch == transit.to else TransitState.CANCELLED)
            story.status, story.branch = ItemStatus.SHELVED, event.branch
            self._handed_in = (event.branch, event.t)
            return True
        if what in ("REFUSED", "DIFFERS"):
            self._dispute(f"CF_ILS_{what}", event)
            return True
        if what != "LOAN":
            return False
        due, who = event.data.get("due"), event.rid or f"ils:{event.id}"
        if loan is not None and loan.who == who:
            loan.due = max(loan.due, due or 0)
        else:
            if loan is not None:
                self._end(loan, event, EndKind.RETURN)
            self._leave(event, TransitState.SUPERSEDED)
            story.loans.append(ToldLoan(event.id, who, event.branch, event.t, due or event.t, {}, observed=True))
            story.branch = event.branch
        story.status = ItemStatus.ON_LOAN
        return True

    def _dispute(self, kind: str, event: Seen) -> None:
        self.story.conflicts.add(f"{kind}:{event.id}")


def _within_terms(loan: ToldLoan, event: Seen) -> bool:
    """Whether the terms printed with the loan allow one more renewal now; where none were printed, the decision said so."""
    if not loan.terms or event.data.get("override"):
        return True
    opens = loan.due - loan.terms["renew_window_days"] * _DAY_MS if loan.terms.get("renew_window_days") else 0
    closes = loan.due + loan.terms.get("grace_days", 0) * _DAY_MS
    return len(loan.renewals) < loan.terms.get("renewals", 0) and opens <= event.t <= closes
