"""What a checker reads: the log as it was kept and the projections as they stand.

``Log`` is the form that streams: a hub's database or an export gives it row by row. ``History`` is the same in memory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from consortium.events import ITEM_KINDS, VISIT_KINDS
from consortium.states import Conflict, ItemHistory, Loan, Transit, Visit


class LoggedRow(msgspec.Struct, frozen=True, gc=False):
    """One row of the event log, byte for byte, with the reader it was mapped to. ``pos`` counts arrivals from 1; 0 = as listed."""

    node: str
    epoch: str
    seq: int
    body: str
    hash: str
    rid: str | None = None
    salt: str | None = None
    srid: str | None = None
    pos: int = 0

    @property
    def id(self) -> str:
        """NODE/EPOCH/SEQ."""
        return f"{self.node}/{self.epoch}/{self.seq}"


@dataclass(frozen=True, slots=True)
class Charge:
    """A row of the charge ledger: ``amount`` in fen (negative = taken back) on a loan, because of an event, booked when the log
    had ``pos`` events."""

    loan: str
    event: str
    amount: int
    pos: int


@dataclass(slots=True)
class ItemRows:
    """All that is kept of one item. ``owner_branch`` None: no catalogue names it; ``state`` None: nothing was folded.

    ``settled`` are the ids of conflicts that somebody settled: they stay on record, whatever later facts say.
    """

    owner: str
    item_no: str
    owner_branch: str | None = None
    rows: list[LoggedRow] = field(default_factory=list)
    state: ItemHistory | None = None
    loans: list[Loan] = field(default_factory=list)
    transits: list[Transit] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    settled: set[str] = field(default_factory=set)


@dataclass(slots=True)
class VisitorRows:
    """All comings and goings of one reader at one branch; ``rid`` is "" for all whose identity was erased."""

    rid: str
    branch: str
    rows: list[LoggedRow] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)


class Log(Protocol):
    """A hub's memory as a stream. Every method may be called more than once and begins anew.

    ``cursors``: (node, epoch) → highest seq of the gap-free prefix; what is logged above it waits and is not folded.
    ``bundles``: version → body; ``sealed``: version → the signed text; ``policy_keys``: key id → public key, hex.
    ``secrets``: chip and reader numbers of the vault, None = there is no vault here. ``charges`` and ``totals`` are None where
    there is no such ledger; ``totals``: (ISO day, library, measure) → count, days without anything left out.
    """

    @property
    def cursors(self) -> Mapping[tuple[str, str], int]: ...
    @property
    def bundles(self) -> Mapping[int, str]: ...
    @property
    def sealed(self) -> Mapping[int, str]: ...
    @property
    def policy_keys(self) -> Mapping[str, str]: ...
    @property
    def secrets(self) -> frozenset[str] | None: ...
    @property
    def charges(self) -> Iterable[Charge] | None: ...
    @property
    def totals(self) -> Mapping[tuple[str, str, str], int] | None: ...

    def rows(self) -> Iterator[LoggedRow]:
        """The log by node, epoch and seq."""
        ...

    def quarantine(self) -> Iterator[LoggedRow]:
        """What came and could not enter."""
        ...

    def corrections(self) -> Iterator[LoggedRow]:
        """At least the rows of CLOCK_CORRECTED events."""
        ...

    def by_item(self) -> Iterator[ItemRows]:
        """Item by item, each once: rows of the kinds that an item's fold reads, and what is stored of it."""
        ...

    def by_visitor(self) -> Iterator[VisitorRows]:
        """Reader by reader and branch: rows of ENTRY, EXIT and VISIT_CLOSED, and the stored visits."""
        ...


@dataclass
class History:
    """A hub's whole memory in lists: a ``Log`` for tests and small logs. ``items`` maps (owner, item_no) to its owner branch."""

    log: list[LoggedRow]
    quarantined: list[LoggedRow] = field(default_factory=list)
    cursors: dict[tuple[str, str], int] = field(default_factory=dict)
    states: list[ItemHistory] = field(default_factory=list)
    loans: list[Loan] = field(default_factory=list)
    transits: list[Transit] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    settled: set[str] = field(default_factory=set)
    bundles: dict[int, str] = field(default_factory=dict)
    items: dict[tuple[str, str], str] = field(default_factory=dict)
    secrets: frozenset[str] | None = frozenset()
    sealed: dict[int, str] = field(default_factory=dict)
    policy_keys: dict[str, str] = field(default_factory=dict)
    charges: list[Charge] | None = None
    totals: dict[tuple[str, str, str], int] | None = None

    def rows(self) -> Iterator[LoggedRow]:
        """The log by node, epoch and seq."""
        return iter(sorted(self._placed(), key=lambda row: (row.node, row.epoch, row.seq)))

    def _placed(self) -> Iterator[LoggedRow]:
        for pos, row in enumerate(self.log, start=1):
            yield row if row.pos else msgspec.structs.replace(row, pos=pos)

    def quarantine(self) -> Iterator[LoggedRow]:
        """What came and could not enter."""
        return iter(self.quarantined)

    def corrections(self) -> Iterator[LoggedRow]:
        """Rows that speak of a clock."""
        return (row for row in self._placed() if '"CLOCK_CORRECTED"' in row.body)

    def by_item(self) -> Iterator[ItemRows]:
        """Item by item, in the order of their keys."""
        found: dict[tuple[str, str], ItemRows] = {}

        def of(owner: str, item_no: str) -> ItemRows:
            key = (owner, item_no)
            if key not in found:
                found[key] = ItemRows(owner, item_no, self.items.get(key))
            return found[key]

        for row in self._placed():
            place = _place(row)
            if place is not None and place.kind in _ITEMS and place.data.item is not None:
                of(*place.data.item).rows.append(row)
        for state in self.states:
            of(state.owner, state.item_no).state = state
        for loan in self.loans:
            of(loan.owner, loan.item_no).loans.append(loan)
        for transit in self.transits:
            of(transit.owner, transit.item_no).transits.append(transit)
        for conflict in self.conflicts:
            found_of = of(conflict.owner, conflict.item_no)
            found_of.conflicts.append(conflict)
            if conflict.id in self.settled:
                found_of.settled.add(conflict.id)
        for key in sorted(found):
            yield found.pop(key)

    def by_visitor(self) -> Iterator[VisitorRows]:
        """Reader by reader and branch."""
        rows: dict[tuple[str, str], list[LoggedRow]] = defaultdict(list)
        for row in self._placed():
            place = _place(row)
            if place is not None and place.kind in _VISITS:
                rows[row.rid or "", place.branch].append(row)
        visits: dict[tuple[str, str], list[Visit]] = defaultdict(list)
        for visit in self.visits:
            visits["" if visit.who.startswith("erased:") else visit.who, visit.branch].append(visit)
        for key in sorted({*rows, *visits}):
            yield VisitorRows(*key, rows.get(key, []), visits.get(key, []))


_ITEMS = frozenset(kind.value for kind in ITEM_KINDS)
_VISITS = frozenset(kind.value for kind in VISIT_KINDS)


class _Data(msgspec.Struct):
    item: tuple[str, str] | None = None


class _Place(msgspec.Struct):
    """As much of a body as tells where it belongs."""

    kind: str
    branch: str
    data: _Data


_PLACES = msgspec.json.Decoder(_Place)


def _place(row: LoggedRow) -> _Place | None:
    try:
        return _PLACES.decode(row.body)
    except (msgspec.DecodeError, RecursionError):
        return None
