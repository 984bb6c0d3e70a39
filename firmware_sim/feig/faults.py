"""What goes wrong on a serial line and above a pad, chosen by a seeded random source so that it can be repeated."""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass(slots=True)
class Faults:
    """Probabilities (0..1) of a fault for each answer, and states a person can switch.

    ``noise``: 1 to 8 stray bytes before the answer. ``drop``: one byte is missing. ``bad_crc``: one bit is flipped.
    ``slow_s``: every answer comes that much later. ``silent``: no answer at all. ``split``: the answer comes in pieces of
    at most so many bytes (0 = whole). ``pull``: the tag is pulled away before a write to it, once. ``forget``: a write is
    confirmed and not stored, as by a tag at the edge of the field.
    """

    seed: int = 0
    noise: float = 0.0
    drop: float = 0.0
    bad_crc: float = 0.0
    slow_s: float = 0.0
    silent: bool = False
    split: int = 0
    pull: float = 0.0
    forget: float = 0.0
    _random: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def happens(self, probability: float) -> bool:
        """Draw once."""
        return probability > 0 and self._random.random() < probability

    def spoil(self, answer: bytes) -> list[bytes]:
        """Give the pieces that really go out for an answer."""
        if self.silent:
            return []
        raw = bytearray(answer)
        if self.happens(self.bad_crc):
            raw[self._random.randrange(len(raw))] ^= 1 << self._random.randrange(8)
        if self.happens(self.drop):
            del raw[self._random.randrange(len(raw))]
        if self.happens(self.noise):
            raw[:0] = self._random.randbytes(self._random.randint(1, 8))
        step = self.split or len(raw)
        return [bytes(raw[at : at + step]) for at in range(0, len(raw), step)]
