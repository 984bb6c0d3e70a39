"""What goes into an outbox and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from consortium.events import Kind
from consortium.identity import EventId


@dataclass(frozen=True, slots=True)
class Draft:
    """An event about to be recorded: everything but its place in the chain and its times.

    ``srid``: the reader it is about, committed to by ``subject`` in the body and kept beside it. ``t_eff`` only where the thing
    happened before now (ms UTC); else the outbox's clock stamps it at append. ``t_unc``: how far that may be off at least, in ms, where
    another clock than the edge's said it.
    """

    kind: Kind
    branch: str
    device: str
    data: dict[str, Any]
    srid: str | None = None
    decision: dict[str, Any] | None = None
    t_eff: int | None = None
    t_unc: int = 0


Memo = tuple[str, bytes]
"""Key and value of something remembered in the event's own transaction."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A durable event: its id, the exact body text, and its hash in the node's chain."""

    event_id: EventId
    body: str
    hash: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A recorded event as read back from the file; ``srid`` None where nobody is concerned or the identity was erased."""

    epoch: str
    seq: int
    kind: Kind
    body: str
    srid: str | None
    created_ms: int


@dataclass(frozen=True, slots=True)
class Watermark:
    """How far something reaches in a node's history: everything of ``epoch`` up to ``upto``, and of every epoch before it."""

    epoch: str
    upto: int

    def holds(self, epoch: str, seq: int) -> bool:
        """Whether it includes this event; epochs sort by their start."""
        return epoch < self.epoch or (epoch == self.epoch and seq <= self.upto)


@dataclass(frozen=True, slots=True)
class OutboxLimits:
    """Bounds. Of ``max_rows`` undelivered, presence may fill half, visits four fifths, circulation all: visits never cost a loan.

    ``archive_rows`` and ``archive_ms`` bound what is kept after delivery, ``memo_ms`` and ``memo_rows`` what is remembered;
    ``max_file_mib`` bounds the file (0 = the disk does).
    """

    max_rows: int = 1_000_000
    archive_rows: int = 2_000_000
    archive_ms: int = 14 * 86_400_000
    memo_ms: int = 86_400_000
    memo_rows: int = 100_000
    max_file_mib: int = 0
    batch: int = 512
