"""Guessing passwords is slowed down per address; right logins are never counted."""

from __future__ import annotations

from collections import OrderedDict, deque

__all__ = ["LoginThrottle"]


class LoginThrottle:
    """Lets an address with many recent failures try one login every `gap_s` seconds.

    `free_failures` wrong logins within `window_s` are free. After that each login of the address, right or wrong, takes
    a place in a queue, and a queue longer than `max_wait_s` refuses; but a right login of a user who has logged in from
    there before passes at once: one kiosk with a wrong password must not keep a whole branch out. Times are seconds
    of a clock that only goes forward. Memory: the last `max_kept` addresses and users.
    """

    def __init__(
        self,
        *,
        free_failures: int = 10,
        window_s: float = 60.0,
        gap_s: float = 0.5,
        max_wait_s: float = 5.0,
        max_kept: int = 10_000,
    ) -> None:
        self._free = free_failures
        self._window_s = window_s
        self._gap_s = gap_s
        self._max_wait_s = max_wait_s
        self._max_kept = max_kept
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()
        self._next_turn: dict[str, float] = {}
        self._proven: OrderedDict[tuple[str, str], None] = OrderedDict()

    def wait(self, address: str, user: str, now: float, *, right: bool) -> float | None:
        """Seconds to wait before the login may be answered; None = refuse it, right or wrong."""
        if len(self._recent(address, now)) < self._free or (right and (address, user) in self._proven):
            return 0.0
        turn = max(now, self._next_turn.get(address, now))
        if turn - now > self._max_wait_s:
            return None
        self._next_turn[address] = turn + self._gap_s
        return turn - now

    def failed(self, address: str, now: float) -> None:
        """Count a wrong user or password."""
        self._failures.setdefault(address, deque(maxlen=self._free)).append(now)
        self._failures.move_to_end(address)
        while len(self._failures) > self._max_kept:
            oldest, _ = self._failures.popitem(last=False)
            self._next_turn.pop(oldest, None)

    def succeeded(self, address: str, user: str) -> None:
        """Remember that this user logs in from there."""
        self._proven[address, user] = None
        self._proven.move_to_end((address, user))
        while len(self._proven) > self._max_kept:
            self._proven.popitem(last=False)

    def _recent(self, address: str, now: float) -> deque[float]:
        recent = self._failures.get(address, deque())
        while recent and now - recent[0] > self._window_s:
            recent.popleft()
        if not recent:
            self._failures.pop(address, None)
            self._next_turn.pop(address, None)
        return recent
