"""PINs: argon2id verifiers checked in a thread, and a lock of 15 minutes after five wrong ones (M5, M20)."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from pwdlib.exceptions import PwdlibError
from pwdlib.hashers.argon2 import Argon2Hasher

from hub.config import PinCost

WRONG_MOST = 5
LOCK_MS = 15 * 60_000
MAX_PIN = 64
"""Longest PIN looked at, in characters."""
_REMEMBERED = 50_000


def hasher(cost: PinCost) -> Argon2Hasher:
    """The hash that makes and checks verifiers; a verifier names its own cost, so that old ones stay valid."""
    return Argon2Hasher(time_cost=cost.time_cost, memory_cost=cost.memory_kib, parallelism=cost.parallelism)


@dataclass(slots=True)
class _Tries:
    wrong: int = 0
    last_ms: int = 0


AtHome = Callable[[], Awaitable[bool | None]]
"""Whether the home library says that a PIN is right; None where it does not say."""


@dataclass(slots=True)
class Pins:
    """Wrong PINs by (reader, node), bounded; the oldest is forgotten first. A lock ends by time alone."""

    hashes: Argon2Hasher
    _tries: OrderedDict[tuple[str, str], _Tries] = field(default_factory=OrderedDict)

    def locked(self, rid: str, node: str, now: int) -> bool:
        """Whether the reader has to wait at this node."""
        tries = self._tries.get((rid, node))
        if tries is None:
            return False
        if now - tries.last_ms >= LOCK_MS:
            del self._tries[rid, node]
            return False
        return tries.wrong >= WRONG_MOST

    async def check(
        self, rid: str, node: str, verifier: str | None, pin: str, now: int, at_home: AtHome | None = None
    ) -> str:
        """``OK``, ``PIN_WRONG`` or ``PIN_LOCKED``. A reader without a PIN never has a right one.

        ``at_home`` asks the home library's own ILS; where that does not say, our verifier decides. Wrong ones count alike.
        """
        if self.locked(rid, node, now):
            return "PIN_LOCKED"
        tries = self._count(rid, node, now)  # before it is checked: guesses made at the same moment count too
        right = await at_home() if at_home is not None and len(pin) <= MAX_PIN else None
        if right is None and len(pin) <= MAX_PIN and verifier is not None:
            right = await asyncio.to_thread(self._verify, pin, verifier)
        if right:
            self._tries.pop((rid, node), None)
            return "OK"
        return "PIN_LOCKED" if tries.wrong >= WRONG_MOST else "PIN_WRONG"

    def _count(self, rid: str, node: str, now: int) -> _Tries:
        tries = self._tries.setdefault((rid, node), _Tries())
        tries.wrong += 1
        tries.last_ms = now
        self._tries.move_to_end((rid, node))
        while len(self._tries) > _REMEMBERED:
            self._tries.popitem(last=False)
        return tries

    def _verify(self, pin: str, verifier: str) -> bool:
        try:
            return self.hashes.verify(pin, verifier)
        except PwdlibError:
            return False
