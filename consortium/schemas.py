"""The data each type of event carries: one schema a type, closed and versioned (domain §4, §10).

A field that a schema does not name is kept in the event and read by nobody. Texts are bounded here, once, for every writer.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Time = Annotated[int, Meta(ge=0, lt=1 << 53)]
Count = Annotated[int, Meta(ge=0, lt=1 << 31)]
Flag = Annotated[int, Meta(ge=0, le=1)]
Org = Annotated[str, Meta(min_length=1, max_length=16)]
Branch = Annotated[str, Meta(min_length=1, max_length=32)]
Code = Annotated[str, Meta(min_length=1, max_length=32)]
Word = Annotated[str, Meta(max_length=24)]
Id = Annotated[str, Meta(min_length=1, max_length=160)]
Note = Annotated[str, Meta(max_length=400)]
Names = Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=64)]
Passage = Literal["confirmed", "assumed"]
"""Whether the gate itself told that somebody went through, or opened and cannot tell; not said by edges before that was asked."""
Item = tuple[Org, Annotated[str, Meta(min_length=1, max_length=64)]]
"""[owner, item_no]."""


class Override(msgspec.Struct, frozen=True):
    """A member of staff acted against a decision: who (an id, never a name) and why; which codes were set aside (I16)."""

    actor: Annotated[str, Meta(min_length=1, max_length=64)]
    reason: Annotated[str, Meta(min_length=1, max_length=400)]
    codes: Names = []


class Route(msgspec.Struct, frozen=True):
    """Where an item goes (``consortium.decision.Route``)."""

    action: Literal["SHELVE", "STAY", "HOLD", "TRANSIT", "DESK", "HOLD_HERE"]
    dest: Branch | None = None
    via: Branch | None = None
    reason: Annotated[str, Meta(min_length=1, max_length=20)] | msgspec.UnsetType = msgspec.UNSET
    hold_id: Id | None = None
    until: Time | None = None

    def __post_init__(self) -> None:
        if self.action == "TRANSIT" and not self.dest:
            raise ValueError("a transit needs a destination")


class _About(msgspec.Struct, frozen=True, kw_only=True):
    """An event about an item; ``override`` where staff acted against a decision."""

    item: Item
    override: Override | None = None


class Checkout(_About, frozen=True, kw_only=True):
    """A loan: ``due`` as promised, ``terms`` what else was (``consortium.terms``), ``hold`` the hold it fills."""

    type: Annotated[str, Meta(max_length=24)]
    home: Org
    due: Time
    basis: Names = []
    flags: Names = []
    terms: dict[Word, Count] = {}
    reservation: Annotated[str, Meta(max_length=64)] | None = None
    hold: Id | None = None
    condition: Note = ""


class Renew(_About, frozen=True, kw_only=True):
    """The due instant moves on."""

    home: Org
    due: Time
    basis: Names = []
    flags: Names = []
    terms: dict[Word, Count] = {}


class Return(_About, frozen=True, kw_only=True):
    """An item was handed in or seen; ``t_credit`` is when a drop box counts it as returned, for charges only."""

    route: Route
    code: Code
    type: Annotated[str, Meta(max_length=24)] = ""
    t_credit: Time | None = None
    condition: Note = ""
    bag: Id | None = None
    flags: Names = []


class InUse(_About, frozen=True, kw_only=True):
    """An item was read in the library: laid on a reading-room pad, or scanned by staff from the table (文献阅览)."""

    how: Literal["pad", "scan"] = "pad"


class TransitStep(_About, frozen=True, kw_only=True):
    """A transit moved: bagged, sent, or seen under way."""

    to: Branch | None = None
    bag: Id | None = None


class TransitSent(_About, frozen=True, kw_only=True):
    """A transit left for ``to``."""

    to: Branch
    bag: Id | None = None


class TransitCancelled(_About, frozen=True, kw_only=True):
    """A transit will not take place; the item stays where it is."""

    reason: Note = ""


class ItemMarked(_About, frozen=True, kw_only=True):
    """Staff, or a rule over long overdue loans, says what became of an item. A reader's claim is CLAIMED_RETURNED."""

    mark: Literal["MISSING", "LOST", "CLAIMED_RETURNED", "WITHDRAWN", "FOUND", "DAMAGED"]
    reason: Note = ""


class LoanEnded(_About, frozen=True, kw_only=True):
    """A loan ends otherwise than by a return: paid for, or by staff."""

    end: Literal["LOST_PAID", "STAFF"]


class LoanExtended(_About, frozen=True, kw_only=True):
    """The due instant of an open loan moves on for all, after closures or by staff; never back."""

    due: Time
    reason: Note = ""


class IlsObserved(msgspec.Struct, frozen=True):
    """Something that happened inside a member's own ILS, as of the instant it says (domain §10).

    LOAN to ITEM came about there and opens no conflict. BOOKED and REFUSED are what it answered to a transaction of ours, named by
    ``ref``; ``status`` is then the task. DIFFERS is a line of the nightly reconciliation: ``ref`` our loan where there is one,
    ``status`` how the two disagree.
    """

    what: Literal["LOAN", "RENEWAL", "RETURN", "FEE", "READER", "ITEM", "BOOKED", "REFUSED", "DIFFERS"]
    as_of: Time
    item: Item | None = None
    home: Org | None = None
    type: Annotated[str, Meta(max_length=24)] = ""
    due: Time | None = None
    amount: int | None = None
    status: Word = ""
    ref: Annotated[str, Meta(max_length=160)] = ""


class HoldPlaced(_About, frozen=True, kw_only=True):
    """A reader waits for an item, to be picked up at ``pickup``; ``expiry`` is when the wish lapses."""

    hold: Id
    pickup: Branch
    expiry: Time | None = None


class HoldEnded(_About, frozen=True, kw_only=True):
    """A hold ends unfilled: cancelled by the reader or staff, or expired."""

    hold: Id
    reason: Note = ""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A reader came in; ``class`` is own, partner or guest. ``passage``: confirmed by the gate, or only assumed."""

    home: Org
    visitor_class: Annotated[str, Meta(max_length=16)] = msgspec.field(name="class")
    override: Override | None = None
    passage: Passage | None = None


class Exit(msgspec.Struct, frozen=True):
    """Somebody went out; ``passage`` as in an ENTRY."""

    passage: Passage | None = None


class VisitClosed(msgspec.Struct, frozen=True):
    """The night closed a visit whose exit nobody saw."""

    visit: Id


class Refused(msgspec.Struct, frozen=True):
    """A decision was DENY or REFER; nothing else happened."""

    function: Annotated[str, Meta(max_length=12)]
    codes: Names
    home: Annotated[str, Meta(max_length=16)] | None = None
    item: Item | None = None


class TagWritten(_About, frozen=True, kw_only=True):
    """A tag's security was switched; ``ok`` 0 where it could not be."""

    secured: Flag
    ok: Flag


class DeviceState(msgspec.Struct, frozen=True):
    """A device's state changed."""

    state: Annotated[str, Meta(max_length=12)]
    kind: Word
    reason: Note = ""


class GateAlarm(msgspec.Struct, frozen=True, kw_only=True):
    """A gate has something to look at: a tag carried through a security gate, or a door that is not as it should be.

    NOT_LENT: a secured item that is on loan to nobody. NOT_SECURED: such an item whose tag says otherwise. SECURED_LOAN: on loan, and
    its security wants mending. UNKNOWN: an item that nobody asked in time could tell of. NOT_READABLE: a secured tag without content.
    FOREIGN: no item of the consortium. ``antenna`` from 1, 0 = not told; ``sounded``: whether the gate itself gave alarm.
    """

    code: Literal[
        "NOT_LENT", "NOT_SECURED", "SECURED_LOAN", "UNKNOWN", "NOT_READABLE", "FOREIGN",
        "FORCED_OPEN", "HELD_OPEN", "FIRE", "PASSED_TWICE", "DEVICE",
    ]  # fmt: skip
    item: Item | None = None
    antenna: Annotated[int, Meta(ge=0, le=255)] = 0
    sounded: Flag | None = None


class PeopleCounted(msgspec.Struct, frozen=True, kw_only=True):
    """Persons counted at one gate from ``since`` to ``until``: every quarter of an hour and at the branch's midnight.

    ``by``: a people counter, or passages a gate told. ``drift``: how many more came in by this counter than by the gates since
    midnight. ``missing``: minutes of the period in which the device did not answer. ``tailgated``: passages beyond what a card opened;
    ``unopened``: passages without any opening; ``not_taken``: openings that nobody used. ``reset`` 1: the counter began anew.
    """

    came: Count
    left: Count
    since: Time
    until: Time
    by: Literal["counter", "passages"] = "counter"
    drift: Annotated[int, Meta(gt=-(1 << 31), lt=1 << 31)] | None = None
    missing: Count = 0
    tailgated: Count = 0
    unopened: Count = 0
    not_taken: Count = 0
    reset: Flag = 0


class BlockSet(msgspec.Struct, frozen=True):
    """A block was set on a reader; the issuer keeps the reason."""

    block: Annotated[str, Meta(min_length=1, max_length=64)]
    actions: Names
    issuer: Annotated[str, Meta(max_length=16)] = ""
    scope: Annotated[str, Meta(max_length=12)] = ""
    kind: Annotated[str, Meta(max_length=12)] = ""
    from_ms: Time | None = None
    to_ms: Time | None = None


class BlockLifted(msgspec.Struct, frozen=True):
    """A block was lifted."""

    block: Annotated[str, Meta(min_length=1, max_length=64)]


class CardStatusSet(msgspec.Struct, frozen=True):
    """A card's standing changed: reported lost, replaced, expired, found again. ``card`` names it without its number."""

    status: Literal["ACTIVE", "LOST", "REPLACED", "EXPIRED"]
    card: Annotated[str, Meta(max_length=64)] = ""


class PinLocked(msgspec.Struct, frozen=True):
    """Five wrong PINs: no PIN of this reader is taken at this branch until then."""

    until: Time


class ChargePaid(_About, frozen=True, kw_only=True):
    """A charge of a loan was paid or waived, in fen."""

    loan: Id
    amount: Count


class ClockCorrected(msgspec.Struct, frozen=True):
    """A node's clock measured better: events ``first`` to ``last`` of that epoch happened at t_dev + offset, ± unc (domain §1)."""

    node: Annotated[str, Meta(min_length=1, max_length=64)]
    epoch: Annotated[str, Meta(min_length=1, max_length=64)]
    first: Annotated[int, Meta(ge=1, lt=1 << 53)]
    last: Annotated[int, Meta(ge=1, lt=1 << 53)]
    offset: Annotated[int, Meta(gt=-(1 << 53), lt=1 << 53)]
    unc: Time = 0


class ConflictSettled(msgspec.Struct, frozen=True):
    """A person or a rule settled a conflict; ``override`` says who and why where it was a person."""

    conflict: Annotated[str, Meta(min_length=1, max_length=200)]
    resolution: Code
    override: Override | None = None


class PolicyPublished(msgspec.Struct, frozen=True):
    """A policy bundle came into force at the hub."""

    version: Count
    digest: Annotated[str, Meta(min_length=64, max_length=64)]
