"""Derived state: items, loans, transits, conflicts, visits, holds as the folds make them (domain §2, §4, §5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from consortium.facts import ItemStatus
from consortium.identity import org_of_branch


class EndKind(StrEnum):
    """How a loan ended."""

    RETURN = "RETURN"
    IMPLIED_RETURN = "IMPLIED_RETURN"
    LOST_PAID = "LOST_PAID"
    CLAIMED_RETURNED = "CLAIMED_RETURNED"
    STAFF = "STAFF"


class TransitState(StrEnum):
    """Where a transit stands (domain §5). OVERDUE is a flag that time sets, not a state."""

    REQUESTED = "REQUESTED"
    BAGGED = "BAGGED"
    SENT = "SENT"
    AT_HUB = "AT_HUB"
    ARRIVED = "ARRIVED"
    MISROUTED = "MISROUTED"
    RECEIVED = "RECEIVED"
    CANCELLED = "CANCELLED"
    SUPERSEDED = "SUPERSEDED"
    LOST = "LOST"


TERMINAL = frozenset({TransitState.RECEIVED, TransitState.CANCELLED, TransitState.SUPERSEDED, TransitState.LOST})


class Fate(StrEnum):
    """What became of a CHECKOUT (I2): exactly one of these."""

    LOAN = "loan"
    RENEWAL = "renewal"
    DUPLICATE = "duplicate"


@dataclass(slots=True)
class Loan:
    """A loan; ``id`` is the id of its CHECKOUT event. ``due`` is never earlier than what was printed.

    ``terms`` are what the rules promised (``consortium.terms``, plain); ``t_credit`` is when a drop box counts it as returned;
    ``observed``: it happened inside a member's own ILS and we were told.
    """

    id: str
    owner: str
    item_no: str
    item_type: str
    who: str
    home: str
    place: str
    device: str
    t_out: int
    due: int
    basis: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    renewals: list[str] = field(default_factory=list)
    t_end: int | None = None
    end_kind: EndKind | None = None
    end_event: str | None = None
    end_place: str | None = None
    terms: dict[str, int] = field(default_factory=dict)
    t_credit: int | None = None
    observed: bool = False

    @property
    def open(self) -> bool:
        """Whether the item is still out."""
        return self.t_end is None

    @property
    def lender(self) -> str:
        """The library of the branch that lent it."""
        return org_of_branch(self.place)


@dataclass(slots=True)
class Transit:
    """An item's journey between branches; ``id`` is the id of the event that opened it, ``hold_id`` the hold it travels for."""

    id: str
    owner: str
    item_no: str
    start: str
    to: str
    reason: str
    state: TransitState
    t_open: int
    via: str | None = None
    t_sent: int | None = None
    t_end: int | None = None
    legs: list[str] = field(default_factory=list)
    bag: str | None = None
    hold_id: str | None = None

    @property
    def open(self) -> bool:
        """Whether it has not reached a terminal state."""
        return self.state not in TERMINAL


@dataclass(slots=True)
class Conflict:
    """Facts that disagree; a person or a rule resolves it (``consortium.conflicts`` says who, how and by when)."""

    id: str
    kind: str
    owner: str
    item_no: str
    events: list[str]
    t: int


@dataclass(slots=True)
class ItemHistory:
    """An item's state and everything its events made, after folding in order up to ``last``.

    ``hold_id``: the hold it lies on the shelf for. ``uses``: how often it was read in a library. ``scan``: machine and time of the last
    CHECKOUT that was no double scan. ``moved``: time, uncertainty, node and id of the last event that told where the item is.
    ``back``: where and when it was last handed in. ``doubles``: CHECKOUTs that were re-issued and folded once.
    """

    owner: str
    item_no: str
    owner_branch: str
    status: ItemStatus = ItemStatus.SHELVED
    branch: str = ""
    circ_branch: str = ""
    loans: list[Loan] = field(default_factory=list)
    transits: list[Transit] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    fates: dict[str, Fate] = field(default_factory=dict)
    last: tuple[int, str, str, int] = (0, "", "", 0)
    hold_id: str | None = None
    uses: int = 0
    scan: tuple[str, int] = ("", 0)
    moved: tuple[int, int, str, str] = (0, 0, "", "")
    back: tuple[str, int] = ("", 0)
    doubles: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.branch = self.branch or self.owner_branch
        self.circ_branch = self.circ_branch or self.owner_branch

    @property
    def loan(self) -> Loan | None:
        """The open loan, if any."""
        return self.loans[-1] if self.loans and self.loans[-1].open else None

    @property
    def transit(self) -> Transit | None:
        """The open transit, if any."""
        return self.transits[-1] if self.transits and self.transits[-1].open else None


ASSUMED = "assumed"
"""How a passage is known where the gate cannot tell; so was every visit before gates could."""


class OutKind(StrEnum):
    """How a visit ended."""

    EXIT = "EXIT"
    NEXT_ENTRY = "NEXT_ENTRY"
    INFERRED_CLOSE = "INFERRED_CLOSE"


@dataclass(slots=True)
class Visit:
    """A reader's stay at a branch; ``id`` is the id of its ENTRY event.

    ``passage`` says how the coming in is known: "confirmed" (somebody was seen to go through) or "assumed" (the gate was opened and
    cannot tell); ``out_passage`` the same of going out, None where nobody saw it.
    """

    id: str
    branch: str
    gate: str
    who: str
    home: str
    visitor_class: str
    t_in: int
    t_out: int | None = None
    out_kind: OutKind | None = None
    out_event: str | None = None
    passage: str = ASSUMED
    out_passage: str | None = None


class HoldState(StrEnum):
    """Where a hold stands; FILLED, CANCELLED and EXPIRED are terminal."""

    WAITING = "WAITING"
    IN_TRANSIT = "IN_TRANSIT"
    READY = "READY"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


HOLD_OVER = frozenset({HoldState.FILLED, HoldState.CANCELLED, HoldState.EXPIRED})


@dataclass(slots=True)
class Hold:
    """A reader's wish for an item; ``id`` is the hold's own id, which routes and loans name."""

    id: str
    owner: str
    item_no: str
    who: str
    pickup: str
    t: int
    state: HoldState = HoldState.WAITING
    expiry: int | None = None
    t_ready: int | None = None
    t_end: int | None = None
    loan: str | None = None

    @property
    def open(self) -> bool:
        """Whether somebody still waits."""
        return self.state not in HOLD_OVER
