"""What the desk asks of a branch's own ILS: plain questions, plain answers; nobody outside ``edge/ils`` knows that it is SIP2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Outcome = Literal["OK", "REFUSED", "AWAY"]
"""OK: done there. REFUSED: it said no. AWAY: no answer in time or none at all; whether it was done there is not known."""


@dataclass(frozen=True, slots=True)
class Said:
    """What the ILS said to a checkout, renewal or checkin. ``due_ms`` UTC; ``text`` its own screen message, for its own reader.

    ``renewed``: the item was out to this reader already. Of a checkin: ``alert`` its alert type (SIP2 CV, "" = none), ``pickup`` the
    branch where a hold waits, "" where none does.
    """

    outcome: Outcome
    due_ms: int | None = None
    text: str = ""
    title: str = ""
    renewed: bool = False
    alert: str = ""
    pickup: str = ""


@dataclass(frozen=True, slots=True)
class ReaderSaid:
    """A reader as the ILS sees one.

    ``pin`` None = not asked or not told; ``fees`` in the currency's minor unit; counts None = not told.
    """

    valid: bool
    pin: bool | None = None
    blocked: bool = False
    charged: int | None = None
    overdue: int | None = None
    fees: int | None = None
    currency: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class ItemSaid:
    """An item as the ILS sees one: ``circulation`` is SIP2's two digits (03 available, 04 charged …), ``due_ms`` where it is out."""

    circulation: str
    title: str = ""
    due_ms: int | None = None
    holds: int = 0


class IlsPort(Protocol):
    """The branch's ILS. Every question has a deadline of its own and never raises for a peer's fault."""

    @property
    def up(self) -> bool:
        """Whether a question would be asked now; False while the circuit is open."""
        ...

    def in_charge(self, home: str, owner: str) -> bool:
        """Whether this ILS decides on loans of such a reader and item at this branch."""
        ...

    async def checkout(self, number: str, item_no: str, pin: str) -> Said:
        """Lend an own item to an own reader, ``number`` as presented."""
        ...

    async def renew(self, number: str, item_no: str, pin: str) -> Said:
        """Renew the loan of an own item to an own reader."""
        ...

    async def checkin(self, item_no: str) -> Said:
        """Take an own item back."""
        ...

    async def reader(self, number: str, pin: str) -> ReaderSaid | None:
        """An own reader, None where it cannot be asked."""
        ...

    async def item(self, item_no: str) -> ItemSaid | None:
        """An own item, None where it cannot be asked."""
        ...

    async def remember(self, srid: str, number: str) -> None:
        """Keep, sealed, under what number the ILS knows this reader, durably before an event that it must be told of later."""
        ...
