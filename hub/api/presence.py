"""Whether a branch is in contact, and what may then be said of its devices: nothing dead is ever shown online."""

from __future__ import annotations

from typing import Final

__all__ = ["DEVICE_STATES", "SILENT_MS", "contact", "device_state", "unknown_since"]

SILENT_MS: Final = 35_000
"""An edge says that it is there every 10 s; after three missed times and a little it counts as silent."""

DEVICE_STATES: Final = ("online", "degraded", "offline", "unknown")


def contact(online: bool, last_seen: int, now: int) -> str:
    """``online``, ``offline`` (it said goodbye, or the broker did for it) or ``silent`` (it says it is there, but long ago)."""
    if not online:
        return "offline"
    return "silent" if now - last_seen > SILENT_MS else "online"


def device_state(reported: str, node_contact: str) -> str:
    """What a device's state is, seen from the hub: what it last said counts only while its branch is in contact."""
    if node_contact != "online":
        return "unknown"
    return reported if reported in DEVICE_STATES else "unknown"


def unknown_since(node_contact: str, node_since: int, node_last_seen: int) -> int:
    """Since when nothing is known of a branch's devices: the goodbye, or the last word before the silence."""
    return node_since if node_contact == "offline" else node_last_seen
