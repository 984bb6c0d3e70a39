"""How large and how unruly a simulated consortium is."""

from __future__ import annotations

from dataclasses import dataclass

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
START = 1_795_300_000_000
"""When every simulated history begins, ms UTC."""


@dataclass(frozen=True, slots=True)
class Habits:
    """How often things go the other way: shares of the occasions on which they could, times in ms (means)."""

    away: float = 0.4
    """A visit or a return at another branch than one's own."""
    kept_ms: int = 3 * DAY
    renews: float = 0.15
    scans_to_renew: float = 0.04
    double_scan: float = 0.05
    double_return: float = 0.05
    forgets_scan: float = 0.02
    """The item is carried to the shelf and nobody scans it; the next reader borrows it from there."""
    hands_over: float = 0.01
    """The next reader gets it from the hands of the last one."""
    same_instant: float = 0.02
    """Staff takes it back and lends it to the next reader in the same millisecond."""
    keyed_later: float = 0.02
    """The item leaves without a scan; the desk keys the loan by hand within the hour."""
    keyed_return: float = 0.02
    """Found on a trolley and taken back by hand, hours after the reader left it there."""
    loses: float = 0.005
    claims: float = 0.005
    holds: float = 0.08
    collects: float = 0.8
    snatched: float = 0.04
    """Lent out of the courier's box before the courier came."""
    misrouted: float = 0.04
    unscanned_arrival: float = 0.03
    missing_per_day: float = 0.002
    """Of the items: staff looks for it in vain and says so."""
    withdrawn: float = 0.02
    """Of those looked for in vain."""


@dataclass(frozen=True, slots=True)
class Wire:
    """What happens between an outbox and the hub. Spells and delays are means of exponential times, ms."""

    offline: float = 0.5
    spell_ms: int = DAY
    flush_ms: int = MINUTE
    batch: int = 20
    resent: float = 0.3
    """Batches that arrive twice: half of them again within the minute, half when the edge is next online."""
    late_ms: int = HOUR
    overtaken: float = 0.1
    """Batches that other batches overtake, and batches whose rows are logged in another order."""
    restarts_per_day: float = 0.2
    """A crash: the last visits are not on the disk yet, and everything not acknowledged is sent again in other batches."""
    new_epochs_per_day: float = 0.05
    """The outbox and the hub disagree; its tail is issued again under a new epoch."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One consortium. It ends after ``events`` item events or ``days``; ``unc_ms``: bound of a trusted clock's error.

    Consortia of different ``region`` have no library, item or node in common and fit into one log.
    """

    events: int = 3_000
    days: int = 150
    branches: int = 5
    readers: int = 300
    items: int = 400
    visits_per_reader_day: float = 0.25
    unc_ms: int = 1_500
    region: int = 0
    habits: Habits = Habits()
    wire: Wire = Wire()


SMALL = Plan(events=200, readers=25, items=20, visits_per_reader_day=0.5)
"""The worlds of ``make proof``: few items, so that each has a long and tangled history."""
