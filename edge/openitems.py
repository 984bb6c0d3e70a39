"""What a reader has on loan or on hold, as far as this branch knows: the replica's items and own later events.

The replica keys items by number, so this is one pass over its file in a thread; only an account screen asks for it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from consortium.facts import ItemStatus
from consortium.identity import ItemKey
from edge.overlay import Overlay
from edge.replica import ReplicaInvalid, store
from edge.replica.rows import read_item

MOST = 500
"""Items shown of one reader."""

_MENTIONS = "SELECT owner, item_no, value FROM items WHERE instr(value, ?) > 0 LIMIT ?"


@dataclass(frozen=True, slots=True)
class OpenItems:
    """Loans with their due instants (ms UTC), first due first, and items on hold."""

    loans: tuple[tuple[ItemKey, int | None], ...] = ()
    holds: tuple[ItemKey, ...] = ()


class OpenItemsOf:
    """Looks readers' items up in the replica file of ``directory``, with ``overlay`` over it."""

    def __init__(self, directory: Path, overlay: Overlay) -> None:
        self._directory = directory
        self._overlay = overlay

    async def of(self, srid: str) -> OpenItems:
        """The reader's open items; what own events say replaces what the replica says."""
        loans, holds = await asyncio.to_thread(_scan, self._directory, srid)
        for key, own in self._overlay.about(srid):
            loans.pop(key, None)
            if own.status is ItemStatus.ON_LOAN and own.srid == srid:
                loans[key] = own.due
        ordered = sorted(loans.items(), key=lambda loan: (loan[1] or 0, loan[0]))
        return OpenItems(tuple(ordered), tuple(sorted(holds)))


def _scan(directory: Path, srid: str) -> tuple[dict[ItemKey, int | None], list[ItemKey]]:
    loans: dict[ItemKey, int | None] = {}
    holds: list[ItemKey] = []
    path = store.current(directory)
    if path is None:
        return loans, holds
    try:
        conn = store.connect(path, read_only=True)
    except ReplicaInvalid:
        return loans, holds  # it was just replaced; the counts stand in the reader's row anyway
    try:
        for owner, item_no, value in conn.execute(_MENTIONS, (srid.encode(), MOST)):
            row = read_item(value)
            if row.loan_srid == srid:
                loans[ItemKey(owner, item_no)] = row.due
            if row.hold_srid == srid:
                holds.append(ItemKey(owner, item_no))
    except sqlite3.Error:
        return loans, holds
    finally:
        conn.close()
    return loans, holds
