"""The machines' side: branches with a clock that is a little wrong and an outbox that now and then begins anew."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from bench.simulation.plan import MINUTE, SECOND
from consortium.events import CLASS_OF, Event, EventClass, Kind


@dataclass(frozen=True, slots=True)
class Row:
    """A row of an outbox: the event, its reader, when it truly happened and from when it can be sent; ``lost`` rows reach nobody."""

    event: Event
    who: str | None
    acted: int
    ready: int
    lost: bool = False


@dataclass(slots=True)
class Edge:
    """One branch's agent. Its clock is off by ``t_dev`` − truth; what is left after measuring is at most ``unc_ms``."""

    branch: str
    node: str
    chance: random.Random
    unc_ms: int
    rows: list[Row] = field(default_factory=list)
    restarts: list[int] = field(default_factory=list)
    seq: int = 0
    epochs: int = 0
    boots: int = 0
    down_until: int = 0
    _booted: int = 0
    _offset: int = 0
    _error: float = 0.0
    _last: int = 0

    def __post_init__(self) -> None:
        self._boot(0)
        self.epochs = 1

    @property
    def epoch(self) -> str:
        """The outbox's present epoch."""
        return f"{self.epochs:013d}-{self.branch[-1]}"

    def _boot(self, now: int) -> None:
        self.boots += 1
        self._booted = now
        self._offset = self.chance.randint(-30 * MINUTE, 30 * MINUTE)
        self._error = self.chance.uniform(-0.9, 0.9) * self.unc_ms
        self._last = 0

    def say(self, kind: Kind, now: int, device: str, data: dict[str, Any], who: str | None = None) -> Event:
        """Write an event down; it is durable when this returns, but for a visit."""
        self.seq += 1
        # Within one boot corrected time never runs backwards.
        self._last = t_eff = max(self._last, round(now + self._error))
        event = Event(
            self.node, self.epoch, self.seq, kind, self.branch, device, now + self._offset, t_eff, self.unc_ms,
            now - self._booted, f"b{self.boots}", data, subject=subject_of(who) if who else None,
        )  # fmt: skip
        self.rows.append(Row(event, who, now, now))
        return event

    def crash(self, now: int) -> list[Event]:
        """The power goes. Returns the visits of the last group commit, which are on no disk; their seqs are used again."""
        lost = []
        while self.rows and self._unsaved(self.rows[-1], now):
            lost.append(self.rows.pop().event)
            self.seq -= 1
        self.down_until = now + self.chance.randint(MINUTE, 10 * MINUTE)
        self.restarts.append(self.down_until)
        self._boot(self.down_until)
        return lost

    def _unsaved(self, row: Row, now: int) -> bool:
        event = row.event
        return (
            CLASS_OF[event.kind] is EventClass.VISIT
            and row.ready > now - 30 * SECOND
            and event.epoch == self.epoch
            and event.reissue_of is None
        )

    def begin_epoch(self, now: int, same: Callable[[Event, Event], None]) -> None:
        """Outbox and hub disagree: issue the epoch's tail again under a new one. Some originals reach the hub all the same.

        ``same`` is told of each event and its re-issue.
        """
        tail = self.rows[-self.chance.randint(1, 20) :]
        while tail and tail[0].event.epoch != self.epoch:
            tail.pop(0)
        self.epochs += 1
        self.seq = 0
        begin = len(self.rows) - len(tail)
        for n, row in enumerate(tail):
            self.rows[begin + n] = replace(row, lost=row.lost or self.chance.random() < 0.5)
            self.seq += 1
            first = row.event.reissue_of or str(row.event.id)
            again = replace(row.event, epoch=self.epoch, seq=self.seq, reissue_of=first)
            same(row.event, again)
            self.rows.append(Row(again, row.who, row.acted, now))


def subject_of(who: str) -> str:
    """A commitment to a reader, as it stands in a body (unsalted: these readers do not exist)."""
    return hashlib.sha256(who.encode()).hexdigest()
