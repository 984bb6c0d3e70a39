"""The rules that other systems apply to the same rows, in the order in which these arrive. See docs/proof.md for where they stand.

Each takes what it gets: none knows an event's identity, so a batch that is sent twice is applied twice. ``deduped`` gives them
our identity as a present, to show what is then still wrong.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field

from bench.simulation.edges import Row
from consortium.events import Event, Kind

Key = tuple[str, str]
_NEVER = -1


@dataclass(slots=True)
class Booked:
    """A loan as a ledger has it: event ids of its begin and end."""

    item: Key
    who: str
    begun: str
    ended: str | None = None


@dataclass
class Ledger(ABC):
    """What a system without a refold keeps: loans, who has an item now, where it is. Rules differ in ``checkout`` and ``wants``."""

    loans: list[Booked] = field(default_factory=list)
    open: dict[Key, Booked] = field(default_factory=dict)
    place: dict[Key, str] = field(default_factory=dict)
    last: dict[Key, int] = field(default_factory=dict)

    def take(self, rows: Iterable[Row]) -> None:
        """Apply rows in order."""
        for row in rows:
            event = row.event
            item = event.item
            if item is None or not self.wants(item, event):
                continue
            self.apply(item, event, row.who or "")

    def wants(self, item: Key, event: Event) -> bool:
        """Whether the rule looks at this transaction at all."""
        return True

    @abstractmethod
    def checkout(self, item: Key, event: Event, who: str, before: Booked) -> None:
        """A loan arrives for an item that the ledger has as lent."""

    def apply(self, item: Key, event: Event, who: str) -> None:
        """One transaction."""
        self.last[item] = max(self.last.get(item, _NEVER), event.t_eff)
        kind = event.kind
        if kind is Kind.CHECKOUT:
            before = self.open.get(item)
            if before is None:
                self.lend(item, event, who)
            else:
                self.checkout(item, event, who, before)
        elif kind in (Kind.RETURN, Kind.RECEIVE):
            self.end(item, event)
            route = event.data["route"]
            transit = route["action"] == "TRANSIT"
            self.place[item] = f"to:{route['dest']}" if transit else f"at:{event.branch}"
        elif kind is Kind.TRANSIT_SENT and item not in self.open:
            self.place[item] = f"to:{event.data['to']}"
        elif kind is Kind.LOAN_ENDED:
            self.end(item, event)
            self.place[item] = "gone"
        elif kind is Kind.ITEM_MARKED:
            self.mark(item, event)

    def lend(self, item: Key, event: Event, who: str) -> None:
        """Open a loan."""
        loan = Booked(item, who, str(event.id))
        self.loans.append(loan)
        self.open[item] = loan
        self.place[item] = "out"

    def end(self, item: Key, event: Event) -> None:
        """Close the open loan, if there is one."""
        loan = self.open.pop(item, None)
        if loan is not None:
            loan.ended = str(event.id)

    def mark(self, item: Key, event: Event) -> None:
        """Staff says what became of it."""
        if event.data["mark"] == "FOUND":
            self.end(item, event)
            self.place[item] = f"at:{event.branch}"
        elif item not in self.open or event.data["mark"] == "LOST":
            self.place[item] = "gone"


class ArrivalForce(Ledger):
    """Arrival order, forced return: a loan of an item that is lent to another ends that loan and opens one; same reader: a renewal."""

    def checkout(self, item: Key, event: Event, who: str, before: Booked) -> None:
        if before.who != who:
            self.end(item, event)
            self.lend(item, event, who)


class RejectOpen(Ledger):
    """Reject if open: a loan of an item that is lent goes to a list of exceptions and nowhere else."""

    def checkout(self, item: Key, event: Event, who: str, before: Booked) -> None:
        return


class SkipNewer(RejectOpen):
    """Skip if newer: a transaction older than the item's last one is set aside; what passes is rejected if open."""

    def wants(self, item: Key, event: Event) -> bool:
        return event.t_eff >= self.last.get(item, _NEVER)


class SkipNewerForce(ArrivalForce):
    """Both: an older transaction is set aside; what passes is forced."""

    def wants(self, item: Key, event: Event) -> bool:
        return event.t_eff >= self.last.get(item, _NEVER)


RULES: dict[str, type[Ledger]] = {
    "force": ArrivalForce,
    "reject": RejectOpen,
    "skip": SkipNewer,
    "skip_force": SkipNewerForce,
}


def deduped(rows: Iterable[Row]) -> list[Row]:
    """The rows without those that came before, also under another epoch."""
    seen: set[str] = set()
    out = []
    for row in rows:
        root = row.event.reissue_of or str(row.event.id)
        if root not in seen:
            seen.add(root)
            out.append(row)
    return out
