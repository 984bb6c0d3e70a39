"""I1..I18 as independent checks over a hub's log and projections (domain §7; docs/checker.md for people).

Each check is a class that is shown rows, items or visitors one by one and then says: holds, broken (with what offends and why) or
not-checked (with the reason). None shares code with ingest or the fold; only I8 calls the decision functions, because its claim is
about them.
"""

from __future__ import annotations

from consortium.invariants.examine import check
from consortium.invariants.finding import Finding
from consortium.invariants.history import Charge, History, ItemRows, Log, LoggedRow, VisitorRows

__all__ = ["NAMES", "Charge", "Finding", "History", "ItemRows", "Log", "LoggedRow", "VisitorRows", "check"]

NAMES = {
    "I1": "at most one open loan per item at every time",
    "I2": "every CHECKOUT became exactly one of loan, renewal, duplicate",
    "I3": "an event closes at most one loan, a loan is closed at most once and never before it began",
    "I4": "every ended loan says how and by what; an implied return has a conflict",
    "I5": "each node's log is gap-free and its hash chain verifies",
    "I6": "the log told in any order gives the stored state",
    "I7": "at most one open transit per item, none while on loan",
    "I8": "every ALLOW is re-derivable from the facts recorded with it",
    "I9": "no ALLOW on facts older than their bound, or the mode says so",
    "I10": "no decision under a policy that is not valid or not signed",
    "I11": "open loans of readers equal items on loan",
    "I12": "no due date before the printed one, no renewal over the limit",
    "I13": "each visit has one entry and at most one exit; occupancy is never negative",
    "I14": "charges recompute from events and never grow by lateness",
    "I15": "no event holds a chip number or reader number",
    "I16": "every override has actor, reason and device",
    "I17": "analytics totals equal the log",
    "I18": "a return leaves the item in a known branch or set aside",
}
"""What each invariant claims, in a line."""
