"""I16: whoever acts against a decision, or says what became of an item, is on record: who, why, at which machine (domain §7)."""

from __future__ import annotations

from typing import Any

from consortium.events import Kind
from consortium.invariants.finding import Finding, Offences
from consortium.invariants.reading import Decided, Seen

_BY_PEOPLE = frozenset({Kind.ITEM_MARKED, Kind.LOAN_ENDED, Kind.CONFLICT_SETTLED})
_LETS = frozenset({Kind.CHECKOUT, Kind.RENEW, Kind.ENTRY})
HUB_NODE = "hub-"
"""How the names of the hub's own nodes begin: what a rule does, it does there."""


class OverridesAreSigned:
    """I16. Three clauses: an override has actor, reason and device; ITEM_MARKED, LOAN_ENDED and CONFLICT_SETTLED have one unless a rule
    at the hub (or, claiming a return, the reader) wrote them; what was let through against a decision has one."""

    def __init__(self) -> None:
        self._out = Offences("I16")

    def see(self, event: Decided) -> None:
        """Look at one event."""
        override = event.data.get("override")
        decision = event.decision
        if override is not None:
            self._out.checked += 1
            if why := _unsigned(override, event.device):
                self._out.add(event.id, f"is an override without {why}")
        elif event.kind in _BY_PEOPLE:
            self._out.checked += 1
            if not _by_rule(event):
                self._out.add(event.id, f"is a {event.kind.value} of staff without actor and reason")
        elif decision is not None and event.kind in _LETS:
            self._out.checked += 1
            if decision.o != "ALLOW":
                self._out.add(event.id, f"happened although its decision was {decision.o}, and nobody overrode it")

    def result(self) -> Finding:
        """What was found."""
        return self._out.finding()


def _unsigned(override: Any, device: str) -> str:
    fields = override if isinstance(override, dict) else {}
    missing = [name for name in ("actor", "reason") if not str(fields.get(name) or "").strip()]
    if not device:
        missing.append("device")
    return ", ".join(missing)


def _by_rule(event: Seen) -> bool:
    if event.kind is Kind.ITEM_MARKED and event.data["mark"] == "CLAIMED_RETURNED" and event.subject is not None:
        return True  # the reader said so, at a kiosk or on the page
    if event.kind is Kind.LOAN_ENDED and event.data["end"] == "STAFF":
        return False
    return event.node.startswith(HUB_NODE)
