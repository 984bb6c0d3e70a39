"""What goes wrong on a device's line and in its field, chosen by a seeded random source so that it can be repeated."""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass(slots=True)
class Faults:
    """Probabilities (0..1) of a fault for each answer, and states a person can switch.

    On the line: ``noise`` 1 to 8 stray bytes before the answer, ``drop`` one byte missing, ``double`` one byte twice, ``bad_crc``
    one bit flipped, ``slow_s`` every answer that much later, ``silent`` no answer at all, ``split`` the answer in pieces of at
    most so many bytes (0 = whole).
    In the field: ``pull`` the tag is pulled away before a write to it, once; ``forget`` a write is confirmed and not stored,
    as by a tag at the edge of the field; ``collide`` an inventory is noisy and misses tags.
    """

    seed: int = 0
    noise: float = 0.0
    drop: float = 0.0
    double: float = 0.0
    bad_crc: float = 0.0
    slow_s: float = 0.0
    silent: bool = False
    split: int = 0
    pull: float = 0.0
    forget: float = 0.0
    collide: float = 0.0
    _random: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def happens(self, probability: float) -> bool:
        """Draw once."""
        return probability > 0 and self._random.random() < probability

    def spoil(self, answer: bytes) -> list[bytes]:
        """Give the pieces that really go out for an answer; none for an empty one."""
        if self.silent or not answer:
            return []
        raw = bytearray(answer)
        if self.happens(self.bad_crc):
            raw[self._random.randrange(len(raw))] ^= 1 << self._random.randrange(8)
        if self.happens(self.drop):
            del raw[self._random.randrange(len(raw))]
        if self.happens(self.double) and raw:
            at = self._random.randrange(len(raw))
            raw.insert(at, raw[at])
        if self.happens(self.noise):
            raw[:0] = self._random.randbytes(self._random.randint(1, 8))
        step = self.split or len(raw) or 1
        return [bytes(raw[at : at + step]) for at in range(0, len(raw), step)]
