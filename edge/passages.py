"""Who really went through: openings of gates joined with the passages their gates tell.

A gate that confirms (`drivers.base.Gate.confirms_passage`) makes a visit when somebody went through, and none where nobody did; of the
others a passage is only assumed, and the event says so. Nobody waits for any of it: the gate has opened before this begins.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from consortium.events import Kind
from drivers.base import DeviceEvent, DoorAlarm, Passage
from edge.metrics import Metrics
from edge.outbox import Draft, Outbox

log = logging.getLogger(__name__)

GRACE_S = 3.0
"""Seconds after a gate closed in which a passage still belongs to its opening: relays and light barriers answer late."""

MOST_EXPECTED = 64
"""Openings at one gate that wait for their passage; beyond that the oldest is taken for assumed."""

Told = Callable[[str, str, str], None]
"""(device, direction IN or OUT or "", what) of each passage or its absence; ``what`` is one of `WHAT`."""

WHAT = ("confirmed", "assumed", "not_taken", "not_opened", "tailgated", "wrong_way", "unopened", "free")
"""What became of an opening, or what a passage was: ``free`` where that way needs no card."""


@dataclass(slots=True, eq=False)
class Opening:
    """A gate that opened for somebody; ``visit`` is written when they go through. Times on the monotonic clock, ns."""

    device: str
    direction: str
    until_ns: int
    visit: Draft
    partner: bool
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class _Door:
    """One gate: who is expected, and until when its last opening of each way lasts."""

    confirms: bool
    free_exit: bool
    expected: deque[Opening] = field(default_factory=deque)
    open_until_ns: dict[str, int] = field(default_factory=dict)


class Passages:
    """The passages of one branch's gates. ``mono_ns`` is the clock that `Passage.t_mono_ns` is read from."""

    def __init__(
        self, outbox: Outbox, metrics: Metrics, *, branch: str, mono_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._outbox = outbox
        self._metrics = metrics
        self._branch = branch
        self._mono_ns = mono_ns
        self._doors: dict[str, _Door] = {}
        self._listeners: list[Told] = []
        self._inside = [0, 0]  # persons expected in, and the partner readers among them

    def add(self, device: str, *, confirms: bool, free_exit: bool = False) -> None:
        """Serve a gate; ``free_exit``: the way out needs no card, and whoever goes out is an EXIT of nobody's name."""
        self._doors[device] = _Door(confirms, free_exit)

    def listen(self, told: Told) -> None:
        """Hear what became of each opening, and of each passage without one; must not block."""
        self._listeners.append(told)

    @property
    def expected_in(self) -> tuple[int, int]:
        """Persons, and partner readers among them, for whom a gate is open inwards and who are not yet inside."""
        return self._inside[0], self._inside[1]

    # --- from the entrance ---

    def opened(
        self, device: str, direction: str, tenths: int, visit: Draft, *, partner: bool = False
    ) -> Opening | None:
        """A gate was told to open for ``tenths`` of a second; gives what waits for its passage, None where it is only assumed."""
        door = self._doors.get(device)
        if door is None or not door.confirms:
            self._write(device, direction, visit, "assumed")
            return None
        self._again(door, direction, visit)
        while len(door.expected) >= MOST_EXPECTED:
            self._end(door, door.expected[0], "assumed")
        lasts_s = tenths / 10 + GRACE_S
        opening = Opening(device, direction, self._mono_ns() + int(lasts_s * 1e9), visit, partner)
        opening.timer = asyncio.get_running_loop().call_later(lasts_s, self._late, door, opening)
        door.expected.append(opening)
        door.open_until_ns[direction] = opening.until_ns
        self._reserve(opening, 1)
        return opening

    def _again(self, door: _Door, direction: str, visit: Draft) -> None:
        """Whoever taps twice before going through is one person: the newer opening counts."""
        if visit.srid is None:
            return
        for opening in door.expected:
            if opening.visit.srid == visit.srid and opening.direction == direction:
                self._drop(door, opening)
                return

    def failed(self, opening: Opening) -> None:
        """The gate did not open after all: nobody is expected in any more. Whoever wanted out is written as gone, as anywhere."""
        door = self._doors[opening.device]
        if opening in door.expected:
            self._end(door, opening, "assumed" if opening.direction == "OUT" else "not_opened")

    # --- from the devices ---

    def notice(self, event: DeviceEvent) -> None:
        """Take an event of the devices; only passages and doubled passages of gates concern us."""
        if isinstance(event, Passage):
            self._passed(event)
        elif isinstance(event, DoorAlarm) and event.code == "PASSED_TWICE" and event.device in self._doors:
            self._tell(event.device, "", "tailgated")

    def _passed(self, event: Passage) -> None:
        door = self._doors.get(event.device)
        if door is None:
            return
        way = event.direction
        # The newest: who stands in the gate is who tapped last; an older opening is of somebody who stepped back.
        opening = next((one for one in reversed(door.expected) if way in ("", one.direction)), None)
        if opening is not None:
            self._end(door, opening, "confirmed")
            return
        if way == "OUT" and door.free_exit:
            self._outbox.append_nowait(Draft(Kind.EXIT, self._branch, event.device, {"passage": "confirmed"}))
            self._tell(event.device, way, "free")
        elif door.expected:
            self._tell(event.device, way, "wrong_way")
        elif any(until >= event.t_mono_ns for was, until in door.open_until_ns.items() if way in ("", was)):
            self._tell(event.device, way, "tailgated")
        else:
            self._tell(event.device, way, "unopened")

    # --- ends ---

    def _late(self, door: _Door, opening: Opening) -> None:
        if opening in door.expected:
            log.info("gate %s opened and nobody went through", opening.device)
            self._end(door, opening, "not_taken")

    def _end(self, door: _Door, opening: Opening, what: str) -> None:
        self._drop(door, opening)
        if what in ("confirmed", "assumed"):
            self._write(opening.device, opening.direction, opening.visit, what)
        else:
            self._tell(opening.device, opening.direction, what)

    def _drop(self, door: _Door, opening: Opening) -> None:
        door.expected.remove(opening)
        if opening.timer is not None:
            opening.timer.cancel()
        self._reserve(opening, -1)

    def _reserve(self, opening: Opening, n: int) -> None:
        if opening.direction == "IN":
            self._inside[0] += n
            self._inside[1] += n if opening.partner else 0

    def _write(self, device: str, direction: str, visit: Draft, passage: str) -> None:
        self._outbox.append_nowait(replace(visit, data={**visit.data, "passage": passage}))
        self._tell(device, direction, passage)

    def _tell(self, device: str, direction: str, what: str) -> None:
        self._metrics.went_through.labels(self._metrics.library, device, direction or "?", what).inc()
        for told in self._listeners:
            told(device, direction, what)

    def close(self) -> None:
        """The edge stops: whoever is expected now did probably go through, and is written as assumed."""
        for door in self._doors.values():
            while door.expected:
                self._end(door, door.expected[0], "assumed")
