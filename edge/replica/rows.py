"""Rows of the replica: their form on the wire, checked once when they are written, and their form for whoever decides.

A row is ``[kind, key, value]``; a value of None deletes. What cannot be read is refused with the whole delta: an edge that skipped
a row would decide from facts the hub does not believe it has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from consortium.facts import Assurance, BlockFacts, CardFacts, CardStatus, ItemStatus, OpenLoans
from consortium.identity import IdentityError, ItemKey, check_org

MAX_VALUE = 65_536
"""Bytes of one row's value, a policy excepted."""

MAX_POLICY = 16 * 1024 * 1024
"""Bytes of a policy bundle."""


class ReplicaInvalid(Exception):
    """What the hub sent as replica cannot be used; ``code`` is stable. Fetch a snapshot; a person must look if that fails too."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A card or number: whose it is and how good it is; ``to_ms`` exclusive, None = no end."""

    srid: str
    status: CardStatus
    assurance: Assurance
    to_ms: int | None = None

    def card(self) -> CardFacts:
        """The card as facts."""
        return CardFacts(self.status, self.assurance, self.to_ms)


@dataclass(frozen=True, slots=True)
class Block:
    """A block on a reader, as the hub sends it."""

    issuer: str
    scope: str
    actions: tuple[str, ...]
    kind: str = ""
    from_ms: int = 0
    to_ms: int | None = None


OpenLoan = tuple[str, str, int, int]
"""Lender, item type, number of open loans, sum of their values."""


@dataclass(frozen=True, slots=True)
class ReaderRow:
    """A reader as the replica knows one: no name, no number. ``pin``: verifier, own readers only."""

    home: str
    category: str
    status: str = "ACTIVE"
    valid_to_ms: int | None = None
    shared: bool = False
    age: int | None = None
    blocks: tuple[Block, ...] = ()
    open_loans: tuple[OpenLoan, ...] = ()
    pin: str | None = None

    def block_facts(self) -> tuple[BlockFacts, ...]:
        """The blocks as facts."""
        return tuple(
            BlockFacts(b.issuer, b.scope, frozenset(b.actions), b.kind, b.from_ms, b.to_ms) for b in self.blocks
        )

    def loan_facts(self) -> tuple[OpenLoans, ...]:
        """The open loans the hub knows, as facts."""
        return tuple(OpenLoans(*loan) for loan in self.open_loans)


@dataclass(frozen=True, slots=True)
class ItemRow:
    """An item as the replica knows it. ``loan_srid``, ``hold_srid``: who has it, who waits for it; None = nobody.

    While it is on loan: ``t_out`` when it was lent, ``place`` at which branch, ``terms`` under what (``consortium.terms``),
    ``renewed`` how often since; a renewal can then be decided here. ``recalled``: since when the owner wants it back. ``holds``: how
    many wait for it; of the first of them its id ``hold``, the branch ``pickup`` and the instant ``hold_placed``.
    """

    type: str
    owner_branch: str
    title: str = ""
    value: int = 0
    shareable: bool = True
    reference: bool = False
    status: ItemStatus = ItemStatus.SHELVED
    branch: str = ""
    loan_srid: str | None = None
    due: int | None = None
    transit_to: str | None = None
    hold_srid: str | None = None
    t_out: int | None = None
    place: str = ""
    terms: dict[str, int] = field(default_factory=dict)
    renewed: int = 0
    recalled: int | None = None
    holds: int = 0
    hold: str | None = None
    pickup: str = ""
    hold_placed: int = 0
    collection: str = ""
    call_number: str = ""


_readers = msgspec.json.Decoder(ReaderRow)
_items = msgspec.json.Decoder(ItemRow)


def read_reader(blob: bytes) -> ReaderRow:
    """A reader's stored value."""
    return _readers.decode(blob)


def read_item(blob: bytes) -> ItemRow:
    """An item's stored value."""
    return _items.decode(blob)


def plain(row: ReaderRow | ItemRow | TokenRow) -> dict[str, Any]:
    """A row as plain JSON values."""
    out: dict[str, Any] = msgspec.to_builtins(row)
    return out


@dataclass(frozen=True, slots=True)
class Change:
    """One row ready for the file: the statement's name and its values."""

    statement: str
    values: tuple[Any, ...]


def change(row: object) -> Change:
    """A wire row ``[kind, key, value]`` as a change to the file. Raises ReplicaInvalid REPLICA_ROW."""
    try:
        if not isinstance(row, list):
            raise TypeError("row")
        kind, key, value = row
        if not isinstance(key, str) or not 0 < len(key) <= 160:
            raise ValueError("key")
        return _CHANGES[kind](key, value)
    except (ValueError, TypeError, KeyError, IdentityError, msgspec.ValidationError) as error:
        raise ReplicaInvalid("REPLICA_ROW", f"a row of the replica cannot be read: {type(error).__name__}") from error


def _token(key: str, value: Any) -> Change:
    token = bytes.fromhex(key)
    if value is None:
        return Change("del_token", (token,))
    row = msgspec.convert(value, TokenRow)
    return Change("put_token", (token, row.srid, row.status.value, row.assurance.value, row.to_ms))


def _reader(key: str, value: Any) -> Change:
    if value is None:
        return Change("del_reader", (key,))
    return Change("put_reader", (key, _bounded(msgspec.convert(value, ReaderRow))))


def _item(key: str, value: Any) -> Change:
    item = ItemKey(*key.split("/", 1))
    if value is None:
        return Change("del_item", (item.owner, item.item_no))
    row = msgspec.convert(value, ItemRow)
    return Change("put_item", (item.owner, item.item_no, _bounded(row), row.loan_srid, row.hold_srid))


def _number(key: str, value: Any) -> Change:
    if value is None:
        return Change("del_number", (key,))
    return Change("put_number", (key, check_org(value)))


def _policy(key: str, value: Any) -> Change:
    if not isinstance(value, str) or len(value) > MAX_POLICY:
        raise ValueError("policy")
    return Change("put_policy", (int(key), value))


def _bounded(row: ReaderRow | ItemRow) -> bytes:
    blob = msgspec.json.encode(row)
    if len(blob) > MAX_VALUE:
        raise ValueError("too long")
    return blob


_CHANGES = {"token": _token, "reader": _reader, "item": _item, "number": _number, "policy": _policy}
