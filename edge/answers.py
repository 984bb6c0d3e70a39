"""What kiosks and desks ask and are answered: plain values, kept as memo so that a repeat is answered as the first time."""

from __future__ import annotations

from dataclasses import dataclass

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
    this session.
    """

    person: Person
    token: str
    local: bool
    pin: bool = False

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

    ``recorded`` is the event id of the durable CHECKOUT, RETURN or RECEIVE, None where nothing was done.
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
class Transaction:
    """A request that may come again because its answer was lost.

    One answer is kept per ``slot`` (the item): once something else was done with the item, the old answer is no longer
    true. ``identity`` tells the same request from another; both are keyed hashes, 64 hex digits.
    """

    slot: str
    identity: str

    def keep(self, answer: Answer) -> bytes:
        """The answer as it is remembered beside its event."""
        return self.identity.encode() + b"\n" + answer.to_bytes()

    def kept(self, memo: bytes) -> Answer | None:
        """The answer back, None where it was given to another request."""
        identity, _, answer = memo.partition(b"\n")
        return Answer.from_bytes(answer) if identity == self.identity.encode() else None
