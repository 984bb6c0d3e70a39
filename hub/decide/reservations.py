"""Reservations: loans the hub said yes to and has not heard of yet (soft state, 120 s).

They count as open loans, so that a reader at two kiosks cannot pass a limit twice. The CHECKOUT that carries a reservation's id
consumes it; asking again for the same reader and item takes the same place.
"""

from __future__ import annotations

from dataclasses import dataclass

from consortium.facts import OpenLoans
from hub.ledger.items import Key

LASTS_MS = 120_000
MOST = 100_000
"""Reservations kept at once; above it the oldest is forgotten."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """One promised loan: ``lender`` is the library of the place."""

    id: str
    rid: str
    lender: str
    item_type: str
    item: Key
    value: int
    until_ms: int


class Reservations:
    """All reservations of this hub process."""

    def __init__(self) -> None:
        self._by_id: dict[str, Reservation] = {}  # oldest first, so also first to end
        self._of_reader: dict[str, dict[Key, str]] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def hold(self, one: Reservation) -> None:
        """Keep a reservation; one of the same reader and item gives way."""
        old = self._of_reader.get(one.rid, {}).get(one.item)
        if old is not None:
            self.consume(old)
        while len(self._by_id) >= MOST:
            self.consume(next(iter(self._by_id)))
        self._by_id[one.id] = one
        self._of_reader.setdefault(one.rid, {})[one.item] = one.id

    def consume(self, reservation_id: str) -> None:
        """It became a loan, or is no longer wanted. Unknown ids are nothing new: they ended before."""
        one = self._by_id.pop(reservation_id, None)
        if one is None:
            return
        mine = self._of_reader[one.rid]
        if mine.get(one.item) == one.id:
            del mine[one.item]
        if not mine:
            del self._of_reader[one.rid]

    def expire(self, now: int) -> None:
        """Let go of what lasted its time."""
        while self._by_id:
            first = next(iter(self._by_id.values()))
            if first.until_ms > now:
                return
            self.consume(first.id)

    def of(self, rid: str, now: int, *, but: Key | None = None) -> list[OpenLoans]:
        """The reader's reservations as open loans, the one of item ``but`` left out."""
        self.expire(now)
        held = [self._by_id[name] for key, name in self._of_reader.get(rid, {}).items() if key != but]
        return [OpenLoans(one.lender, one.item_type, 1, one.value) for one in held]
