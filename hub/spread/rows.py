"""Replica rows: what one library's edges are told of a reader, a card, an item (M3).

A library knows its own readers, and of a partner's only those who activated sharing and whom an agreement brings here. Everybody
else is unknown at its gates and the hub answers for them. No number, name, UID or rid stands in any row.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from consortium.bundle import Policy
from hub.identity.index import Shared, tokens_at
from hub.identity.keys import Identity
from hub.identity.readers import ReaderRecord
from hub.ledger.items import ItemRecord

Row = list[Any]
"""[kind, key, value]; value None = the row is no more."""


def knows(policy: Policy, org: str, record: ReaderRecord) -> bool:
    """Whether the reader belongs in this library's replica."""
    return record.home == org or (record.shared and bool(policy.covering(record.home, org)))


def reader_row(policy: Policy, identity: Identity, org: str, record: ReaderRecord) -> Row:
    """The row of a reader."""
    return ["reader", identity.srid(org, record.rid), record.row(org) if knows(policy, org, record) else None]


def token_rows(policy: Policy, identity: Identity, org: str, record: ReaderRecord, shared: Shared) -> list[Row]:
    """The rows of a reader's cards and numbers; a number stands with the newest card."""
    if not knows(policy, org, record):
        return [["token", token, None] for token, _ in tokens_at(identity, org, record, shared)]
    srid = identity.srid(org, record.rid)
    cards = {card.uid: card for card in record.cards}
    return [
        ["token", token, {"srid": srid, **(cards[uid] if uid else record.card).row}]
        for token, uid in tokens_at(identity, org, record, shared)
    ]


def withheld_rows(org: str, record: ReaderRecord, shared: Shared) -> list[Row]:
    """Rows that take back cut card numbers which another card of the library turned out to share: its edges may have them still."""
    return [["token", token, None] for token in shared.withheld.get(record.rid, ())] if org == record.home else []


def item_rows(identity: Identity, org: str, record: ItemRecord, owners: Iterable[str]) -> list[Row]:
    """The row of an item and, where its bare number is unique and not the library's own, whose number it is."""
    here = org in record.sites
    out: list[Row] = [["item", f"{record.owner}/{record.item_no}", record.row(identity, org) if here else None]]
    if record.owner != org:
        alone = list(owners) == [record.owner]
        out.append(["number", record.item_no, record.owner if here and alone else None])
    return out


def policy_row(version: int, sealed: str) -> Row:
    """The policy bundle as a row: the sealed text, exactly as it was published."""
    return ["policy", str(version), sealed]
