"""The reference pages of docs/ that are drawn from the program itself, so that they cannot drift apart."""

from __future__ import annotations

from collections.abc import Callable

from tongjie.reference import conflicts, devices, events, machines, reasons

PAGES: dict[str, Callable[[], str]] = {
    "state-machines.md": machines.page,
    "reference/reason-codes.md": reasons.page,
    "reference/events.md": events.page,
    "reference/conflicts.md": conflicts.page,
    "reference/devices.md": devices.page,
}
"""Path below docs/ and the function that writes the page."""
