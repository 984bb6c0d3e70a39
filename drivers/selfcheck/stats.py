"""Bounds of a server and what it has counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

__all__ = ["READ_AHEAD", "Limits", "Stats"]

READ_AHEAD = 65_536
"""Bytes of further requests that may wait while one is served."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a server; times in seconds.

    `idle_s` is at least ten minutes in the field: kiosks keep alive with a 99 every 5 to 7. `frame_s` is how long the
    end of a message that has begun may be waited for. Beyond `connections` a peer is answered that the system is off
    line and closed; beyond `turned_away` more it is closed at once. `handler_s` is how long a request may take before
    the kiosk is told that it cannot be done now. `frame_bytes` is at most 65,536, the bytes that are read ahead; more
    raises ValueError. `handshake_s` bounds a TLS handshake and a PROXY header.

    Requests sent ahead of their answers are served `ahead_burst` at once, then `ahead_per_s`: a kiosk that floods must
    not use up the others' turn. Kiosks that wait for their answers, as SIP2 has it, are never held up.
    """

    connections: int = 1000
    turned_away: int = 1000
    login_s: float = 60.0
    idle_s: float = 600.0
    frame_s: float = 30.0
    turn_away_s: float = 5.0
    handler_s: float = 5.0
    handshake_s: float = 10.0
    close_s: float = 2.0
    frame_bytes: int = 16_384
    backlog: int = 1024
    ahead_burst: int = 16
    ahead_per_s: int = 1000

    def __post_init__(self) -> None:
        if not 0 < self.frame_bytes <= READ_AHEAD:
            raise ValueError(f"frame_bytes must be 1 to {READ_AHEAD}")
        if self.ahead_burst < 1 or self.ahead_per_s < 1:
            raise ValueError("ahead_burst and ahead_per_s must be at least 1")


@dataclass(slots=True)
class Stats:
    """Counts since the start: for metrics and the device's page; nothing of a person, nothing of a message's values.

    `settled` is by reason (resend, bad_checksum …), `refused` by the reason of a refused login (unknown_user …),
    `opened` by listener. `messages` is by (listener, account, code) and holds sessions that have ended; those under
    way are added by `Sip2Server.messages`.
    """

    connections: int = 0
    turned_away: int = 0
    logins: int = 0
    login_failures: int = 0
    requests: int = 0
    replayed: int = 0
    timeouts: int = 0
    handler_errors: int = 0
    ended_idle: int = 0
    too_slow: int = 0
    paced: int = 0
    settled: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    opened: Counter[str] = field(default_factory=Counter)
    messages: Counter[tuple[str, str, str]] = field(default_factory=Counter)
