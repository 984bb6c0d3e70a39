"""What kiosks and desks ask and are answered: plain values, kept as memo so that a repeat is answered as the first time."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from consortium.decision import Outcome, Route
from consortium.facts import Assurance
from consortium.identity import ItemKey
from consortium.reasons import text
from edge.facts import Person


@dataclass(frozen=True, slots=True)
class ItemRef:
    """An item as a machine names it: ``owner`` None where only a number was read (domain §1, bare numbers)."""

    owner: str | None
    item_no: str

    @classmethod
    def typed(cls, number: str, orgs: frozenset[str]) -> ItemRef:
        """A number as scanned or typed, ``ORG:NUMBER`` where it begins with a member's code."""
        org, colon, rest = number.partition(":")
        return cls(org, rest.strip()) if colon and org in orgs and rest.strip() else cls(None, number)


@dataclass(frozen=True, slots=True)
class Identified:
    """A reader in front of a machine, as far as the card counts here.

    ``local`` says whether the replica holds the reader (else the hub told us). ``pin`` is whether a PIN was verified in
    this session. ``number`` as it was presented, in memory only: the branch's own ILS knows its readers by nothing else.
    ``initials`` as the agreement lets a kiosk show them.
    """

    person: Person
    token: str
    local: bool
    pin: bool = False
    number: str = field(default="", repr=False)
    initials: str = field(default="", repr=False)

    @property
    def srid(self) -> str:
        """The reader's id at this site."""
        return self.person.srid

    @property
    def home(self) -> str:
        """The reader's library."""
        return self.person.home

    @property
    def weak(self) -> bool:
        """Whether nothing but a number or an easily copied card speaks for the reader."""
        return self.person.card.assurance is Assurance.LOW and not self.pin


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one item. ``due_ms`` UTC; ``offline``: decided here though it was the hub's to decide.

    ``recorded`` is the event id of the durable CHECKOUT, RENEW, RETURN or RECEIVE, None where nothing was done. ``renewed``: the
    item was out to this reader already and the loan goes on. ``fee``: what must be acknowledged first, in fen. ``said``: the words of
    the branch's own ILS, for its own reader; ``alert``: it wants a person to look at the item.
    """

    owner: str | None
    item_no: str
    outcome: Outcome
    codes: tuple[str, ...]
    title: str = ""
    item_type: str = ""
    owner_branch: str = ""
    due_ms: int | None = None
    route: Route | None = None
    offline: bool = False
    recorded: str | None = None
    renewed: bool = False
    fee: int | None = None
    said: str = ""
    alert: str = ""
    collection: str = ""
    call_number: str = ""

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return self.outcome is Outcome.ALLOW

    @property
    def code(self) -> str:
        """The code a reader sees."""
        return self.codes[0] if self.codes else "OK"

    @property
    def key(self) -> ItemKey | None:
        """The item, None where its owner is not known."""
        return ItemKey(self.owner, self.item_no) if self.owner else None

    def text(self, lang: str) -> str:
        """The sentence a reader sees."""
        return text(self.code, lang)

    def to_bytes(self) -> bytes:
        """For a memo."""
        return msgspec.json.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Answer:
        """Read what ``to_bytes`` wrote."""
        return msgspec.json.decode(data, type=cls)


@dataclass(frozen=True, slots=True)
class Done:
    """What the hub did for a reader: a hold placed, a fee taken, a block set. ``codes`` say why not where ``ok`` is False.

    ``queue`` is the place in a hold's queue, ``available`` whether the item is free now, ``pickup`` a branch, ``expiry`` ms UTC.
    """

    ok: bool
    codes: tuple[str, ...] = ()
    owner: str | None = None
    item_no: str = ""
    title: str = ""
    queue: int | None = None
    available: bool = False
    pickup: str = ""
    expiry: int | None = None
    left: int | None = None

    @property
    def code(self) -> str:
        """The code a reader sees."""
        return self.codes[0] if self.codes else "OK" if self.ok else "OUT_OF_SERVICE"

    def to_bytes(self) -> bytes:
        """For a memo."""
        return msgspec.json.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Done:
        """Read what ``to_bytes`` wrote."""
        return msgspec.json.decode(data, type=cls)


@dataclass(frozen=True, slots=True)
class Happened:
    """Something that a kiosk did while it was off line: it is recorded, not decided.

    ``t_eff`` ms UTC is when by the kiosk's clock, None where its date cannot be; ``unc_ms`` how far that may be off. ``due`` is the
    instant the kiosk printed.
    """

    t_eff: int | None
    unc_ms: int
    due: int | None = None


@dataclass(frozen=True, slots=True)
class Transaction:
    """A request that may come again because its answer was lost.

    One answer is kept per ``slot`` (the item): once something else was done with the item, the old answer is no longer
    true. ``identity`` tells the same request from another; both are keyed hashes, 64 hex digits.
    """

    slot: str
    identity: str

    def keep(self, answer: Answer | Done) -> bytes:
        """The answer as it is remembered beside its event."""
        return self.identity.encode() + b"\n" + answer.to_bytes()

    def kept(self, memo: bytes) -> Answer | None:
        """The answer back, None where it was given to another request."""
        answer = self._same(memo)
        return Answer.from_bytes(answer) if answer is not None else None

    def done(self, memo: bytes) -> Done | None:
        """What was done, None where it was another request's."""
        answer = self._same(memo)
        return Done.from_bytes(answer) if answer is not None else None

    def _same(self, memo: bytes) -> bytes | None:
        identity, _, answer = memo.partition(b"\n")
        return answer if identity == self.identity.encode() else None
