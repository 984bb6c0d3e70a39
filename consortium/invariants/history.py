"""What a checker reads: the log as it was kept and the projections as they stand."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from consortium.events import Event, EventError, decode
from consortium.states import Conflict, ItemHistory, Loan, Transit, Visit


@dataclass(frozen=True, slots=True)
class LoggedRow:
    """One row of the event log, byte for byte, with the reader it was mapped to."""

    node: str
    epoch: str
    seq: int
    body: str
    hash: str
    rid: str | None = None
    salt: str | None = None
    srid: str | None = None

    @property
    def id(self) -> str:
        """NODE/EPOCH/SEQ."""
        return f"{self.node}/{self.epoch}/{self.seq}"


@dataclass
class History:
    """A hub's whole memory, as plain rows. ``items`` maps (owner, item_no) to its owner branch."""

    log: list[LoggedRow]
    quarantined: list[LoggedRow] = field(default_factory=list)
    cursors: dict[tuple[str, str], int] = field(default_factory=dict)
    states: list[ItemHistory] = field(default_factory=list)
    loans: list[Loan] = field(default_factory=list)
    transits: list[Transit] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    bundles: dict[int, str] = field(default_factory=dict)
    items: dict[tuple[str, str], str] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()

    @cached_property
    def events(self) -> list[tuple[LoggedRow, Event]]:
        """The log's rows with their decoded events; what cannot be read is in ``unreadable``."""
        return [(row, event) for row, event in self._decoded if event is not None]

    @cached_property
    def unreadable(self) -> list[LoggedRow]:
        """Rows of the log whose body is no event: nothing like that is ever logged, so somebody wrote there."""
        return [row for row, event in self._decoded if event is None]

    @cached_property
    def _decoded(self) -> list[tuple[LoggedRow, Event | None]]:
        found: list[tuple[LoggedRow, Event | None]] = []
        for row in self.log:
            try:
                found.append((row, decode(row.body)))
            except EventError:
                found.append((row, None))
        return found


@dataclass(frozen=True, slots=True)
class Finding:
    """One invariant's result: ``holds``, ``broken`` or ``not-checked``; how many things were looked at; what offends."""

    invariant: str
    status: str
    checked: int
    offending: tuple[str, ...]
    note: str


Result = tuple[int, list[str]]
"""(how many were looked at, what offends)."""
