"""Who and what: readers, cards, items, blocks, wishes for a hold, devices (domain §2), as they stand in the vault and in files.

These carry names and numbers and therefore never reach an edge or an event; decisions read ``consortium.facts`` instead. A field's
bounds stand once, in its annotation: the constructor, the reading of files and the published schema all take them from there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from msgspec import Meta

from consortium.facts import Assurance, BlockFacts, CardFacts, CardStatus
from consortium.identity import IdentityError, ItemKey, canonical_uid

Org = Annotated[str, Meta(pattern="^[0-9A-Za-z]{1,16}$", description="code of a library")]
BranchId = Annotated[
    str, Meta(pattern="^[0-9A-Za-z]{1,16}-[0-9A-Za-z]{1,8}$", description="library code, hyphen, place")
]
Number = Annotated[str, Meta(min_length=1, max_length=64)]
Word = Annotated[str, Meta(min_length=1, max_length=24)]
Line = Annotated[str, Meta(max_length=64)]
Instant = Annotated[int, Meta(ge=0, lt=1 << 53, description="ms UTC")]
Small = Annotated[int, Meta(ge=0, lt=1 << 31)]
Age = Annotated[int, Meta(ge=0, le=150, description="whole years")]
Year = Annotated[int, Meta(ge=1850, le=2200)]
Uid = Annotated[str, Meta(pattern="^[0-9A-Fa-f: ]{8,47}$", description="chip number, 4 to 16 bytes in hex")]

Lang = Annotated[str, Meta(pattern="^[a-z]{2}(-[A-Z]{2})?$", description="language tag")]
Fingerprint = Annotated[str, Meta(pattern="^([0-9a-f]{64})?$", description="SHA-256 in hex")]

GUARDIAN_AGE = 14
"""Below this age a guardian agrees for the reader (PIPL Art. 31)."""


class EntityError(ValueError):
    """A value that cannot be one; ``field`` says which, ``what`` what is wrong with it, ``code`` is stable."""

    def __init__(self, code: str, field: str, what: str) -> None:
        super().__init__(f"{field}: {what}")
        self.code = code
        self.field = field
        self.what = what


PATTERNS = {
    meta.pattern: meta.description for form in (Org, BranchId, Uid, Lang, Fingerprint) for meta in get_args(form)[1:]
}
"""What each pattern stands for, so that a refusal need not show a regular expression."""

_BOUNDS: dict[type[Any], tuple[tuple[str, Meta], ...]] = {}


def _bounds(kind: type[Any]) -> tuple[tuple[str, Meta], ...]:
    """The bounds of a class's fields, read once from their annotations; an optional field's are those of its value."""
    if kind in _BOUNDS:
        return _BOUNDS[kind]
    hints = get_type_hints(kind, include_extras=True)
    found: list[tuple[str, Meta]] = []
    for spec in fields(kind):
        hint = hints[spec.name]
        for one in (hint, *get_args(hint)):
            if get_origin(one) is Annotated:
                found += [(spec.name, meta) for meta in one.__metadata__ if isinstance(meta, Meta)]
                break
    _BOUNDS[kind] = tuple(found)
    return _BOUNDS[kind]


def _outside(value: Any, meta: Meta) -> str | None:
    """What is wrong with a value, None where it keeps within its bounds."""
    if isinstance(value, str):
        least, most = meta.min_length or 0, meta.max_length
        if len(value) < least or (most is not None and len(value) > most):
            return f"{least} to {most} characters are allowed, not {len(value)}"
        if meta.pattern is not None and not re.fullmatch(meta.pattern, value):
            return f"this is not a {meta.description or 'value of that form'}"
    elif isinstance(value, int):
        low, below, high = meta.ge, meta.lt, meta.le
        if (
            (low is not None and value < low)
            or (below is not None and value >= below)
            or (high is not None and value > high)
        ):
            return f"{value} is not from {low} to {high if high is not None else (below or 0) - 1}"
    return None


class _Checked:
    """Holds every field to its bounds at construction; a subclass then adds what its fields say together."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for name, meta in _bounds(type(self)):
            value = getattr(self, name)
            if value is not None and (wrong := _outside(value, meta)) is not None:
                raise EntityError("ENTITY_BOUNDS", name, wrong)
        self._agree()

    def _agree(self) -> None:
        """Raise EntityError where the fields contradict each other."""


def _in_order(first: int | None, then: int | None, name: str) -> None:
    if first is not None and then is not None and then <= first:
        raise EntityError("ENTITY_DATES", name, "it ends before it begins")


# --- readers and their cards -------------------------------------------------------------------------------------------


class ReaderStatus(StrEnum):
    """A reader's standing at home."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    LEFT = "LEFT"


@dataclass(frozen=True, slots=True)
class ShareNotice(_Checked):
    """What a reader was told about sharing with partners, and agreed to (domain M2). Times ms UTC; withdrawn stops ENTER and BORROW
    elsewhere, never RETURN."""

    version: Annotated[int, Meta(ge=1, lt=1 << 31)]
    t: Instant
    consented: bool = False
    withdrawn: Instant | None = None

    def _agree(self) -> None:
        if self.withdrawn is not None and self.withdrawn < self.t:
            raise EntityError("NOTICE_DATES", "withdrawn", "it was withdrawn before it was given")

    @property
    def stands(self) -> bool:
        """Whether the reader agreed and has not taken it back."""
        return self.consented and self.withdrawn is None


@dataclass(frozen=True, slots=True)
class Reader(_Checked):
    """A person with an account at a library. ``valid_to_ms`` exclusive, None = no end; ``shared``: sharing with partners is active;
    ``age`` as the library states it, or ``birth_year``; ``guardian``: a guardian agreed for a minor."""

    home: Org
    reader_no: Number
    category: Word
    status: ReaderStatus = ReaderStatus.ACTIVE
    valid_to_ms: Instant | None = None
    shared: bool = False
    share_notice: ShareNotice | None = None
    lang: Lang = "zh"
    birth_year: Year | None = None
    age: Age | None = None
    guardian: bool = False

    def _agree(self) -> None:
        if self.shared and self.share_notice is not None and not self.share_notice.stands:
            raise EntityError(
                "READER_SHARE", "shared", "sharing is active but the notice was not agreed to, or withdrawn"
            )

    def age_in(self, year: int) -> int | None:
        """Whole years in that year, None where nothing is known; a birth year counts before a stated age."""
        return max(0, year - self.birth_year) if self.birth_year is not None else self.age

    def needs_guardian(self, year: int) -> bool:
        """Whether a guardian's agreement to sharing is missing."""
        age = self.age_in(year)
        return self.shared and not self.guardian and age is not None and age < GUARDIAN_AGE


class Medium(StrEnum):
    """What a card is."""

    MF_CLASSIC = "MF_CLASSIC"
    CPU = "CPU"
    DESFIRE = "DESFIRE"
    QR = "QR"
    SOCIAL_SECURITY = "SOCIAL_SECURITY"
    ID = "ID"


ASSURANCE_OF: dict[Medium, Assurance] = {
    Medium.MF_CLASSIC: Assurance.LOW,
    Medium.CPU: Assurance.HIGH,
    Medium.DESFIRE: Assurance.HIGH,
    Medium.QR: Assurance.HIGH,
    Medium.SOCIAL_SECURITY: Assurance.MED,
    Medium.ID: Assurance.MED,
}
"""How hard a medium is to copy where it is used as it is meant to be (domain M5): mutual authentication, a code that lives 30 s.
Social security and identity cards are genuine but read by number only. A library that reads just the UID says LOW itself."""


@dataclass(frozen=True, slots=True)
class Card(_Checked):
    """A medium that stands for a reader. ``uid`` in hex, in canonical byte order; ``assurance`` None = what the medium gives;
    valid in [issued_ms, to_ms)."""

    uid: Uid
    medium: Medium = Medium.MF_CLASSIC
    assurance: Assurance | None = None
    status: CardStatus = CardStatus.ACTIVE
    issued_ms: Instant = 0
    to_ms: Instant | None = None

    def _agree(self) -> None:
        try:
            canonical_uid(self.uid)
        except IdentityError as error:
            raise EntityError(error.code, "uid", str(error)) from error
        _in_order(self.issued_ms, self.to_ms, "to_ms")

    @property
    def canonical(self) -> bytes:
        """The chip number's bytes."""
        return canonical_uid(self.uid)

    @property
    def level(self) -> Assurance:
        """How hard this card is to copy."""
        return self.assurance or ASSURANCE_OF[self.medium]

    @property
    def facts(self) -> CardFacts:
        """What a decision reads of it."""
        return CardFacts(self.status, self.level, self.to_ms)


class Action(StrEnum):
    """What a block can stop."""

    ENTER = "ENTER"
    BORROW = "BORROW"
    RENEW = "RENEW"
    HOLD = "HOLD"


class BlockScope(StrEnum):
    """Where a block counts: at its issuer (and, set by the home library, everywhere for its own reader), or in the whole consortium."""

    ISSUER = "issuer"
    CONSORTIUM = "consortium"


class BlockKind(StrEnum):
    """What may be said of a block at its issuer's own machines."""

    OTHER = ""
    OVERDUE = "OVERDUE"
    FEES = "FEES"


@dataclass(frozen=True, slots=True)
class Block(_Checked):
    """A stop on a reader, in force in [from_ms, to_ms). ``reason`` is the issuer's alone (domain M12)."""

    issuer: Org
    actions: frozenset[Action]
    scope: BlockScope = BlockScope.ISSUER
    kind: BlockKind = BlockKind.OTHER
    from_ms: Instant = 0
    to_ms: Instant | None = None
    reason: Annotated[str, Meta(max_length=2_000)] = ""
    id: Line = ""

    def _agree(self) -> None:
        if not self.actions:
            raise EntityError("BLOCK_ACTIONS", "actions", "a block stops at least one of ENTER, BORROW, RENEW, HOLD")
        _in_order(self.from_ms, self.to_ms, "to_ms")

    @property
    def facts(self) -> BlockFacts:
        """What a decision reads of it."""
        actions = frozenset(action.value for action in self.actions)
        return BlockFacts(self.issuer, self.scope.value, actions, self.kind.value, self.from_ms, self.to_ms)


# --- items, wishes and machines ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tag(_Checked):
    """What an item's RFID tag says: chip number, owner institution, primary item identifier; empty where it says nothing."""

    uid: Uid | None = None
    oi: Line = ""
    pii: Line = ""


@dataclass(frozen=True, slots=True)
class Item(_Checked):
    """One physical piece. ``circ_branch`` None = the owner's branch, another where it floats; ``value`` is a band, not an amount;
    ``shareable``: lent to partners; ``reference``: read in the library only."""

    owner: Org
    item_no: Number
    item_type: Word
    title: Annotated[str, Meta(max_length=2_000)]
    owner_branch: BranchId
    circ_branch: BranchId | None = None
    value: Small = 0
    shareable: bool = True
    reference: bool = False
    collection: Line = ""
    shelf: Line | None = None
    tag: Tag | None = None

    def _agree(self) -> None:
        if not self.owner_branch.startswith(f"{self.owner}-"):
            raise EntityError("ITEM_BRANCH", "owner_branch", f"{self.owner_branch} is no branch of {self.owner}")

    @property
    def key(self) -> ItemKey:
        """(owner, item_no)."""
        return ItemKey(self.owner, self.item_no)


@dataclass(frozen=True, slots=True)
class HoldWish(_Checked):
    """A reader waits for an item, to be picked up at a branch; lapses at ``expiry_ms``."""

    home: Org
    reader_no: Number
    owner: Org
    item_no: Number
    pickup_branch: BranchId
    placed_ms: Instant
    expiry_ms: Instant | None = None

    def _agree(self) -> None:
        _in_order(self.placed_ms, self.expiry_ms, "expiry_ms")


class DeviceKind(StrEnum):
    """What a machine is."""

    GATE = "GATE"
    KIOSK = "KIOSK"
    BIN = "BIN"
    SORTER = "SORTER"
    STAFF = "STAFF"
    LOCKER = "LOCKER"
    PAD = "PAD"


@dataclass(frozen=True, slots=True)
class DeviceRecord(_Checked):
    """A machine of a branch. ``id`` is unique within its branch; ``cert`` the SHA-256 of its certificate in hex, empty = none;
    ``bundle_version`` the policy it works by, ``clock_offset_ms`` as last measured, ``queue_depth`` events not yet acknowledged."""

    id: Number
    branch: BranchId
    kind: DeviceKind
    cert: Fingerprint = ""
    sw_version: Annotated[str, Meta(max_length=32)] = ""
    bundle_version: Small = 0
    last_seen_ms: Instant = 0
    queue_depth: Small = 0
    clock_offset_ms: Annotated[int, Meta(ge=1 - (1 << 53), lt=1 << 53)] = 0
    health: Annotated[str, Meta(max_length=24)] = ""
