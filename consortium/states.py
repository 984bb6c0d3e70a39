"""Derived state: items, loans, transits, conflicts, visits as the folds make them (domain §2, §4, §5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from consortium.facts import ItemStatus


class EndKind(StrEnum):
    """How a loan ended."""

    RETURN = "RETURN"
    IMPLIED_RETURN = "IMPLIED_RETURN"
    LOST_PAID = "LOST_PAID"
    CLAIMED_RETURNED = "CLAIMED_RETURNED"
    STAFF = "STAFF"


class TransitState(StrEnum):
    """Where a transit stands; RECEIVED, CANCELLED, SUPERSEDED and LOST are terminal (domain §5)."""

    REQUESTED = "REQUESTED"
    SENT = "SENT"
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
    """A loan; ``id`` is the id of its CHECKOUT event. ``due`` is never earlier than what was printed."""

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

    @property
    def open(self) -> bool:
        """Whether the item is still out."""
        return self.t_end is None


@dataclass(slots=True)
class Transit:
    """An item's journey between branches; ``id`` is the id of the event that opened it."""

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

    @property
    def open(self) -> bool:
        """Whether it has not reached a terminal state."""
        return self.state not in TERMINAL


@dataclass(slots=True)
class Conflict:
    """Facts that disagree; a person or a rule resolves it."""

    id: str
    kind: str
    owner: str
    item_no: str
    events: list[str]
    t: int


@dataclass(slots=True)
class ItemHistory:
    """An item's state and everything its events made, after folding in order up to ``last``."""

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


class OutKind(StrEnum):
    """How a visit ended."""

    EXIT = "EXIT"
    NEXT_ENTRY = "NEXT_ENTRY"
    INFERRED_CLOSE = "INFERRED_CLOSE"


@dataclass(slots=True)
class Visit:
    """A reader's stay at a branch; ``id`` is the id of its ENTRY event."""

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
