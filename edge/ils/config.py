"""The `[ils]` part of ``edge.toml``: where the branch's own ILS answers SIP2, and under what names it books."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class IlsConfig:
    """A member's own ILS as one branch reaches it.

    ``url``: ``sip2://HOST:PORT``, ``sip2s://HOST:PORT`` (TLS, verified by ``ca``, a PEM file, or the system's roots) or
    ``serial:PATH``. ``encoding`` a codec's name or "auto"; ``terminator`` None and ``error_detection`` None = learned. ``timeout_s``
    is what a kiosk may be kept waiting for one question, ``replay_timeout_s`` the time of a queued booking. ``proxies``: patron number
    in this ILS of each partner library by its code; under its own code that of own readers whose number is not known here.
    ``branches``: our branch by the ILS's location code, where they differ. ``book_foreign``: whether loans of other libraries' items
    are booked here too. ``date_order`` is how the ILS prints due dates like 03/04/2027. ``queue_max`` bounds the bookings kept;
    beyond it they wait in the outbox.
    """

    url: str
    user: str = ""
    password: str = field(default="", repr=False)
    institution: str = ""
    location: str = ""
    encoding: str = "auto"
    terminator: bytes | None = None
    error_detection: bool | None = None
    ca: str = ""
    timeout_s: float = 1.2
    replay_timeout_s: float = 10.0
    connections: int = 4
    book_foreign: bool = False
    date_order: Literal["dmy", "mdy"] = "dmy"
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    branches: Mapping[str, str] = field(default_factory=dict)
    feed: Mapping[str, Any] = field(default_factory=dict, repr=False)
    reconcile_at: str = "03:00"
    reconcile_every_s: int | None = None
    queue_max: int = 50_000
