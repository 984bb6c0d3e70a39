"""A kiosk's dates as instants, and how far they can be believed."""

from __future__ import annotations

from datetime import UTC, tzinfo

from edge.answers import Happened
from protocols.sip2 import Message, RemoteProtocolError
from protocols.sip2.dates import parse_date

KIOSK_UNC_MS = 120_000
"""How far a kiosk's clock may be off: it is set by our 98 and drifts in between."""

UNDATED_UNC_MS = 12 * 3_600_000
"""How far off our own time may be for something whose date cannot be: a night off line."""

AHEAD_MS = 300_000
"""A date this far ahead is a clock that runs fast; further ahead it is none."""

OLDEST_MS = 31 * 86_400_000
"""Nothing waits in a kiosk for longer."""

LONGEST_LOAN_MS = 1_830 * 86_400_000
"""No kiosk prints a due date further away: five years."""


def instant(text: str, zone: tzinfo | None) -> int | None:
    """A date on the wire in ms UTC; None for blanks, zeros and what is in no calendar."""
    if not text.strip():
        return None
    try:
        at = parse_date(text, zone or UTC)
        return None if at is None else int(at.timestamp() * 1000)
    except (RemoteProtocolError, OverflowError, OSError, ValueError):
        return None


def happened(request: Message, now: int, zone: tzinfo | None) -> Happened:
    """When an off-line transaction took place and until when the item was lent.

    A date that cannot be gives our own time, and that it is widely unsure.
    """
    at = instant(request.fixed.get("transaction_date", ""), zone)
    if at is None or not now - OLDEST_MS <= at <= now + AHEAD_MS:
        at = None
    due = instant(request.fixed.get("nb_due_date", ""), zone)
    since = now if at is None else min(at, now)
    if due is None or not since < due <= since + LONGEST_LOAN_MS:
        due = None
    return Happened(None, UNDATED_UNC_MS, due) if at is None else Happened(since, KIOSK_UNC_MS, due)
