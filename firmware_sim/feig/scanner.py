"""Buffered read mode: the device scans by itself and keeps what it found until a host fetches and clears it.

Its air is busy whether or not the wire is. Scanning is worked out when somebody asks, up to the moment of asking, so that an idle pad
costs nothing here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from firmware_sim.feig.air import inventory_s, read_s
from firmware_sim.feig.tags import BLOCK_SIZE, SimTag
from protocols.feig import BufferReply, TagRecord
from protocols.feig.records import HAS_DATA, HAS_ID

TABLE = 256
"""Records that the device can hold."""
PER_ANSWER = 64


class Scanner:
    """Scans ``tags()`` for ``blocks`` blocks each, every tag again after ``valid_s``; ``paced`` False takes no time for the air."""

    def __init__(
        self, tags: Callable[[], Collection[SimTag]], *, blocks: int = 9, valid_s: float = 1.0, paced: bool = True
    ) -> None:
        self._tags = tags
        self._blocks = blocks
        self._valid_s = valid_s
        self._paced = paced
        self._clock = 0.0
        self._last: dict[str, float] = {}
        self._round: list[str] = []
        self._buffer: list[TagRecord] = []
        self._given = 0
        self._overflow = False

    def reset(self, now: float) -> None:
        """Power came on at ``now``."""
        self._clock, self._given, self._overflow = now, 0, False
        self._last.clear()
        self._round.clear()
        self._buffer.clear()

    def skip(self, now: float) -> None:
        """The field was used otherwise until ``now`` (host mode)."""
        self._clock = max(self._clock, now)

    def advance(self, now: float) -> None:
        """Scan up to ``now``; call before the field changes and before the buffer is read."""
        while True:
            if not self._round:
                tags = self._tags()
                due = [tag.uid for tag in tags if self._clock - self._last.get(tag.uid, -1e9) >= self._valid_s]
                if not self._spend(inventory_s(len(due)) if due else 0.0, now):
                    return
                if not due:
                    self._clock = max(self._clock, now)
                    return
                self._round = due
            while self._round:
                if not self._spend(read_s(self._blocks), now):
                    return
                uid = self._round.pop(0)
                self._last[uid] = self._clock
                self._store(uid)

    def _spend(self, seconds: float, now: float) -> bool:
        """Let the clock go on, unless the work would end after ``now``."""
        if not self._paced:
            self._clock = max(self._clock, now)
            return True
        if self._clock + seconds > now:
            return False
        self._clock += seconds
        return True

    def _store(self, uid: str) -> None:
        tag = next((one for one in self._tags() if one.uid == uid), None)
        if tag is None:
            return  # lifted between inventory and reading
        if len(self._buffer) >= TABLE:
            self._overflow = True
            return
        data = bytes(tag.blocks[: self._blocks * BLOCK_SIZE])
        count = len(data) // BLOCK_SIZE
        self._buffer.append(TagRecord(0, 0x03, tag.uid, count, BLOCK_SIZE, data, None))

    def read(self, sets: int) -> BufferReply:
        """Answer [22]."""
        given = self._buffer[: min(sets, PER_ANSWER)]
        self._given = len(given)
        more = len(self._buffer) > len(given)
        return BufferReply(tuple(given), HAS_ID | HAS_DATA, self._overflow, more)

    def clear(self) -> None:
        """Carry out [32]: what was given is forgotten."""
        del self._buffer[: self._given]
        self._given, self._overflow = 0, False
