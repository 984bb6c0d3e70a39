"""Better knowledge of a clock, later: CLOCK_CORRECTED moves the events of a stretch to when they really happened (domain §1).

The log is not rewritten. Whoever folds asks for each event as it is known now; a correction makes every item of its range fold again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from consortium.events import Event, Kind


@dataclass(frozen=True, slots=True)
class Correction:
    """Events ``first`` to ``last`` of (node, epoch) happened at t_dev + offset, ± ``unc``; ms. ``order`` is the correction's own."""

    node: str
    epoch: str
    first: int
    last: int
    offset: int
    unc: int
    order: tuple[int, str, str, int]

    @classmethod
    def of(cls, event: Event) -> Correction:
        """What a CLOCK_CORRECTED says."""
        data = event.data
        return cls(
            data["node"], data["epoch"], data["first"], data["last"], data["offset"], data.get("unc", 0), event.order
        )

    def concerns(self, event: Event) -> bool:
        """Whether the event lies in the corrected stretch."""
        return (event.node, event.epoch) == (self.node, self.epoch) and self.first <= event.seq <= self.last


class Clocks:
    """The corrections known so far; of several about one event the latest speaks, in whatever order they came."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._of: dict[tuple[str, str], list[Correction]] = {}
        for event in events:
            self.add(event)

    def add(self, event: Event) -> Correction | None:
        """Take a CLOCK_CORRECTED; None for any other event, and for one that is known already."""
        if event.kind is not Kind.CLOCK_CORRECTED:
            return None
        found = Correction.of(event)
        known = self._of.setdefault((found.node, found.epoch), [])
        if found in known:
            return None
        known.append(found)
        known.sort(key=lambda one: one.order)
        return found

    def corrected(self, event: Event) -> Event:
        """The event as it is known now: its time and uncertainty by the latest correction, everything else as it was logged.

        Within one boot time never runs backwards, because all events of a stretch move by one offset of the same device clock.
        """
        for one in reversed(self._of.get((event.node, event.epoch), ())):
            if one.concerns(event):
                return replace(event, t_eff=max(event.t_dev + one.offset, 0), t_unc=one.unc)
        return event
