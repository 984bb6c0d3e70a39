"""What a decision function answers: ALLOW, DENY or REFER, with codes in order and what was known (domain §3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from consortium.facts import Known
from consortium.reasons import text
from consortium.terms import Terms


class Outcome(StrEnum):
    """The answer. REFER sends the reader to the desk."""

    ALLOW = "ALLOW"
    DENY = "DENY"
    REFER = "REFER"


class Mode(StrEnum):
    """How fresh the facts were: ONLINE within their bound, STALE degraded, OFFLINE while the link is away."""

    ONLINE = "ONLINE"
    STALE = "STALE"
    OFFLINE = "OFFLINE"


@dataclass(frozen=True, slots=True)
class Route:
    """Where a returned item goes. ``action``: SHELVE, STAY, HOLD, TRANSIT, DESK or HOLD_HERE (``until`` then, ms UTC, where known)."""

    action: str
    dest: str
    via: str | None = None
    reason: str = "HOME"
    hold_id: str | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """One answer and why. ``codes`` in evaluation order; ``terms`` go into the CHECKOUT; ``trace`` only when it was asked for."""

    function: str
    outcome: Outcome
    codes: tuple[str, ...]
    policy_version: int
    known: Known
    source: str
    mode: Mode
    obligations: tuple[str, ...] = ()
    due_ms: int | None = None
    basis: tuple[str, ...] = ()
    route: Route | None = None
    notes: tuple[str, ...] = ()
    terms: Terms | None = None
    trace: tuple[str, ...] = field(default=(), compare=False)

    @property
    def primary(self) -> str:
        """The code a reader sees: the first that denied, else OK or the kind of return."""
        return self.codes[0] if self.codes else "OK"

    @property
    def allowed(self) -> bool:
        """Whether the answer is ALLOW."""
        return self.outcome is Outcome.ALLOW

    def display(self, lang: str = "zh") -> str:
        """The sentence a reader sees."""
        return text(self.primary, lang)

    def record(self) -> dict[str, Any]:
        """The answer's part of what goes into an event (``consortium.record`` adds the facts): integers and strings only."""
        out: dict[str, Any] = {
            "f": self.function,
            "o": self.outcome.value,
            "c": list(self.codes),
            "pv": self.policy_version,
            "s": self.source,
            "m": self.mode.value,
        }
        if self.due_ms is not None:
            out["due"] = self.due_ms
        if self.basis:
            out["b"] = list(self.basis)
        return out
