"""The facts a decision is made from: small, free of identity, and recorded with the decision (I8).

Whoever decides gathers these first (edge: replica plus its own later events; hub: the ledger) and then calls a pure
function. No number, name or reader id stands here: relations such as "on loan to this same reader" are resolved before.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from consortium.terms import NO_TERMS, Terms


class Relation(StrEnum):
    """Whose something is, seen from the reader in front of the machine."""

    NOBODY = "-"
    SELF = "S"
    OTHER = "O"


class Assurance(StrEnum):
    """How hard a card is to copy (domain M5)."""

    LOW = "LOW"
    MED = "MED"
    HIGH = "HIGH"


class CardStatus(StrEnum):
    """A card's standing."""

    ACTIVE = "ACTIVE"
    LOST = "LOST"
    REPLACED = "REPLACED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What is known of the card presented; ``to_ms`` exclusive, None = no end."""

    status: CardStatus
    assurance: Assurance
    to_ms: int | None = None


@dataclass(frozen=True, slots=True)
class BlockFacts:
    """A block that is in force: which actions it stops, where, and the public code. The issuer keeps the reason."""

    issuer: str
    scope: str  # "issuer" | "consortium"
    actions: frozenset[str]
    kind: str = ""  # "OVERDUE", "FEES" or ""
    from_ms: int = 0
    to_ms: int | None = None


@dataclass(frozen=True, slots=True)
class OpenLoans:
    """How many loans are open at one lender for one item type, and their value band sum."""

    lender: str
    item_type: str
    n: int
    value: int = 0


@dataclass(frozen=True, slots=True)
class ReaderFacts:
    """What is known of the reader. ``shared``: sharing with partners was activated; ``unsynced``: own loans not yet in the replica."""

    home: str
    category: str
    status: str = "ACTIVE"
    valid_to_ms: int | None = None
    shared: bool = False
    age: int | None = None
    blocks: tuple[BlockFacts, ...] = ()
    open_loans: tuple[OpenLoans, ...] = ()
    unsynced: int = 0


class ItemStatus(StrEnum):
    """States of an item (domain §4)."""

    SHELVED = "SHELVED"
    ON_LOAN = "ON_LOAN"
    RETURNED_AT = "RETURNED_AT"
    IN_TRANSIT = "IN_TRANSIT"
    HOLD_SHELF = "HOLD_SHELF"
    EXCEPTION = "EXCEPTION"
    MISSING = "MISSING"
    LOST = "LOST"
    CLAIMED_RETURNED = "CLAIMED_RETURNED"
    WITHDRAWN = "WITHDRAWN"


@dataclass(frozen=True, slots=True)
class ItemFacts:
    """What is known of the item in hand."""

    owner: str
    item_no: str
    item_type: str
    owner_branch: str
    status: ItemStatus = ItemStatus.SHELVED
    loan: Relation = Relation.NOBODY
    hold: Relation = Relation.NOBODY
    value: int = 0
    shareable: bool = True
    reference: bool = False
    transit_to: str | None = None
    damaged: bool = False
    collection: str = ""
    transit_hold: bool = False


@dataclass(frozen=True, slots=True)
class LoanFacts:
    """The open loan of the item in hand; ``mine``: it is this reader's; ``renewed``: how often already.

    ``recalled``: the owner wants the item back; ``unsynced``: renewals that the replica does not know yet.
    """

    mine: bool
    t_out: int
    due: int
    place: str
    terms: Terms = NO_TERMS
    renewed: int = 0
    recalled: bool = False
    unsynced: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """As-of times of the facts, ms UTC: what was known when (domain §3 ``known``)."""

    policy: int
    cards: int
    blocks: int
    loans: int
    items: int


@dataclass(frozen=True, slots=True)
class Device:
    """The machine that asks. ``clock_trusted`` as domain §6."""

    id: str
    branch: str
    authorised: bool = True
    clock_trusted: bool = True


@dataclass(frozen=True, slots=True)
class Sighting:
    """Where this card was last seen besides here, and when (domain M6)."""

    branch: str
    t: int


@dataclass(frozen=True, slots=True)
class EnterFacts:
    """Facts for ``may_enter``; occupancy and partner visitors are counts at the branch now.

    ``elsewhere``: the card's last use at another branch; ``pin``: a PIN or code was verified with this presentation;
    ``flooded``: this cardreader is being shown more than it may.
    """

    device: Device
    known: Known
    card: CardFacts | None
    reader: ReaderFacts | None
    occupancy: int = 0
    partner_visitors: int = 0
    visits_today: int = 0
    inside: bool = False
    elsewhere: Sighting | None = None
    flooded: bool = False


@dataclass(frozen=True, slots=True)
class BorrowFacts:
    """Facts for ``may_borrow``; ``pin`` says whether a PIN or code was verified in this session, ``away`` that the hub
    should have been asked and did not answer, ``partner_loans`` how many loans the agreement's readers have open at this lender,
    ``ils_refused`` that the ILS in charge of the loan said no, ``ils_due_ms`` that it lent the item, and until when."""

    device: Device
    known: Known
    card: CardFacts | None
    reader: ReaderFacts | None
    item: ItemFacts | None
    pin: bool = False
    tag_agrees: bool = True
    away: bool = False
    partner_loans: int = 0
    elsewhere: Sighting | None = None
    ils_refused: bool = False
    ils_due_ms: int | None = None


@dataclass(frozen=True, slots=True)
class RenewFacts:
    """Facts for ``may_renew``: the reader (no card need be shown), the item and its open loan.

    ``away``, ``ils_refused`` and ``ils_due_ms`` as in ``BorrowFacts``.
    """

    device: Device
    known: Known
    reader: ReaderFacts | None
    item: ItemFacts | None
    loan: LoanFacts | None
    away: bool = False
    ils_refused: bool = False
    ils_due_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ReturnFacts:
    """Facts for ``accept_return``: the item, the holds waiting for it, whether the machine can hand it back.

    ``float_room``: the float group has room here; ``transfer_open``: the courier runs, else again from ``transfer_opens``.
    """

    device: Device
    known: Known
    item: ItemFacts | None
    holds: tuple[HoldFacts, ...] = ()
    can_hand_back: bool = False
    float_room: bool = False
    transfer_open: bool = True
    transfer_opens: int | None = None


@dataclass(frozen=True, slots=True)
class HoldFacts:
    """A hold that this item could fill; ``placed_ms`` decides between equals."""

    hold_id: str
    pickup_branch: str
    placed_ms: int
    cost: int = 1
