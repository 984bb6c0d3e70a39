"""Where a library's own ILS can be reached: at which of its nodes, as their state messages tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KIND = "ils"
"""The kind of device that a node reports for the ILS it is connected to."""

SILENT_MS = 35_000
"""A node says every 10 s that it is there; after three missed times and a little nobody is asked there."""

_MOST = 500
_ORDER = {"online": 0, "degraded": 1}


@dataclass(frozen=True, slots=True)
class _Place:
    state: str
    seen: int


class Places:
    """Which nodes have their library's ILS beside them; in memory, told anew by every state message."""

    def __init__(self) -> None:
        self._of: dict[str, dict[str, _Place]] = {}

    def heard(self, node: str, org: str, data: Mapping[str, Any], *, retained: bool, now: int) -> bool:
        """Take a node's state message; gives whether a place for work has come in reach by it. ``now`` ms UTC.

        A retained message is as old as its own ``t``.
        """
        here = self._of.setdefault(org, {})
        before = node in here and _in_contact(here[node], now)
        state = _ils_state(data.get("devices")) if data.get("online") is True else None
        if state is None:
            here.pop(node, None)
            return False
        said = data.get("t")
        old = min(said, now) if isinstance(said, int) and not isinstance(said, bool) else 0
        here[node] = _Place(state, old if retained else now)
        return not before and _in_contact(here[node], now)

    def to_ask(self, org: str, now: int) -> str | None:
        """The node whose ILS can be asked now, an online one before a degraded one; None where none is in reach."""
        return self._best(org, now, _ORDER)

    def for_work(self, org: str, now: int) -> str | None:
        """The node to give work to: it keeps it durably, so that its ILS may be away. The nearest to an ILS that answers first."""
        return self._best(org, now, None)

    def _best(self, org: str, now: int, only: Mapping[str, int] | None) -> str | None:
        usable = [
            (_ORDER.get(place.state, len(_ORDER)), node)
            for node, place in self._of.get(org, {}).items()
            if _in_contact(place, now) and (only is None or place.state in only)
        ]
        return min(usable)[1] if usable else None


def _in_contact(place: _Place, now: int) -> bool:
    return now - place.seen <= SILENT_MS


def _ils_state(devices: Any) -> str | None:
    """The state of the ILS among a node's devices, the best of several; None where it has none."""
    given = list(devices.values())[:_MOST] if isinstance(devices, dict) else []
    states = [str(one.get("state")) for one in given if isinstance(one, dict) and one.get("kind") == KIND]
    return min(states, key=lambda state: _ORDER.get(state, 9)) if states else None
