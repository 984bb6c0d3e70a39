"""PINs of own readers, checked against the verifier in the replica; five wrong ones lock (reader, edge) for 15 minutes (M5).

Argon2 takes tens of milliseconds and as many megabytes, so it runs in two threads of its own and its answer is kept for
the session. The count of wrong PINs stands in the outbox beside the event that tells it, so a restart forgives nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import secrets
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum

from pwdlib.hashers.argon2 import Argon2Hasher

from consortium.events import Kind
from edge.outbox import Draft, Outbox, OutboxError

WRONG_ALLOWED = 5
LOCK_MS = 15 * 60_000
_KEPT = 10_000
_MOST_CHARACTERS = 64


class PinAnswer(Enum):
    """What came of a PIN. UNCHECKED: nobody who knows it could be asked."""

    RIGHT = "RIGHT"
    WRONG = "PIN_WRONG"
    LOCKED = "PIN_LOCKED"
    UNCHECKED = "UNCHECKED"


@dataclass(slots=True)
class _Tries:
    wrong: int = 0
    locked_until: int = 0


class SessionPin:
    """Remembers within one session that a reader's PIN was right, without keeping the PIN."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(16)
        self._right: tuple[str, bytes] | None = None

    def _digest(self, srid: str, pin: str) -> bytes:
        return hmac.digest(self._key, f"{srid}\x1f{pin}".encode("utf-8", "surrogatepass"), "sha256")

    def keep(self, srid: str, pin: str) -> None:
        """This PIN was right for this reader."""
        self._right = (srid, self._digest(srid, pin))

    def knows(self, srid: str, pin: str) -> bool:
        """Whether just this PIN was right for this reader before, in this session."""
        return (
            self._right is not None
            and self._right[0] == srid
            and hmac.compare_digest(self._right[1], self._digest(srid, pin))
        )

    def verified(self, srid: str) -> bool:
        """Whether this reader's PIN was right before, in this session."""
        return self._right is not None and self._right[0] == srid

    def forget(self) -> None:
        """The session of the reader is over."""
        self._right = None


class PinDesk:
    """Checks PINs and counts wrong ones. ``close`` it at the end: it owns two threads."""

    def __init__(self, outbox: Outbox, branch: str) -> None:
        self._outbox = outbox
        self._branch = branch
        self._tries: OrderedDict[str, _Tries] = OrderedDict()
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="pin")
        self._hasher = Argon2Hasher()

    def close(self) -> None:
        """Wait for no check any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _of(self, srid: str) -> _Tries:
        tries = self._tries.get(srid)
        if tries is None:
            tries = self._tries[srid] = _Tries()
            kept = self._outbox.memo(f"pin/{srid}")
            if kept is not None:
                row = json.loads(kept)
                tries.wrong, tries.locked_until = row["wrong"], row["until"]
            while len(self._tries) > _KEPT:
                self._tries.popitem(last=False)
        self._tries.move_to_end(srid)
        return tries

    def locked(self, srid: str, now: int) -> bool:
        """Whether this reader is locked out at this edge now."""
        return now < self._of(srid).locked_until

    async def verify(self, srid: str, verifier: str | None, pin: str, device: str, now: int) -> PinAnswer:
        """Check the PIN of an own reader; ``verifier`` is the argon2 text of the replica, None where it holds none."""
        if self.locked(srid, now):
            return PinAnswer.LOCKED
        if verifier is None:
            return PinAnswer.UNCHECKED
        right = False
        if pin and len(pin) <= _MOST_CHARACTERS:
            right = await asyncio.get_running_loop().run_in_executor(self._threads, self._hasher.verify, pin, verifier)
        return await self.settle(srid, right, device, now)

    async def settle(self, srid: str, right: bool, device: str, now: int) -> PinAnswer:
        """Take the outcome of a check made here or at the hub, count it, and record what was wrong."""
        tries = self._of(srid)
        if now < tries.locked_until:  # four others were checked while this one was
            return PinAnswer.LOCKED
        if right:
            if tries.wrong:
                tries.wrong, tries.locked_until = 0, 0
                with contextlib.suppress(OutboxError):
                    await self._outbox.remember(f"pin/{srid}", _encoded(tries))
            return PinAnswer.RIGHT
        if tries.locked_until:
            tries.wrong, tries.locked_until = 0, 0
        tries.wrong += 1
        locked = tries.wrong >= WRONG_ALLOWED
        if locked:
            tries.locked_until = now + LOCK_MS
        answer = PinAnswer.LOCKED if locked else PinAnswer.WRONG
        draft = Draft(Kind.REFUSED, self._branch, device, {"function": "borrow", "codes": [answer.value]}, srid=srid)
        # Where it cannot be recorded the lock still holds in memory; a full outbox lends nothing anyway.
        with contextlib.suppress(OutboxError):
            await self._outbox.append(draft, memo=(f"pin/{srid}", _encoded(tries)))
        return answer


def _encoded(tries: _Tries) -> bytes:
    return json.dumps({"wrong": tries.wrong, "until": tries.locked_until}).encode()
