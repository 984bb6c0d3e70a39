"""I1..I18 as independent checks over a hub's log and projections (domain §7).

Each check reads a ``History`` and says holds, broken (with what offends) or not-checked (with why). They share no code with
ingest; only I6 calls the fold, because its claim is about the fold.
"""

from __future__ import annotations

from consortium.invariants.history import Finding, History, LoggedRow
from consortium.invariants.ledger import check_i1, check_i2, check_i3, check_i4, check_i7, check_i11, check_i18
from consortium.invariants.log import check_i5, check_i6, check_i13, check_i15
from consortium.invariants.rules import check_i8, check_i9

__all__ = ["NAMES", "NOT_YET", "Finding", "History", "LoggedRow", "check"]

NAMES = {
    "I1": "at most one open loan per item at every time",
    "I2": "every CHECKOUT became exactly one of loan, renewal, duplicate",
    "I3": "an event closes at most one loan, a loan is closed at most once and never before it began",
    "I4": "every ended loan says how and by what; an implied return has a conflict",
    "I5": "each node's log is gap-free and its hash chain verifies",
    "I6": "refolding the log in any order gives the stored state",
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

NOT_YET = {
    "I10": "policy bundles are not signed yet",
    "I12": "renewals are not decided by rule yet",
    "I14": "charges do not exist yet",
    "I16": "overrides do not exist yet",
    "I17": "the analytics store does not exist yet",
}
"""Invariants whose subject is not built; they are named, never claimed."""

_CHECKS = {
    "I1": check_i1,
    "I2": check_i2,
    "I3": check_i3,
    "I4": check_i4,
    "I5": check_i5,
    "I6": check_i6,
    "I7": check_i7,
    "I8": check_i8,
    "I9": check_i9,
    "I11": check_i11,
    "I13": check_i13,
    "I15": check_i15,
    "I18": check_i18,
}


def check(history: History) -> list[Finding]:
    """All eighteen findings, in order."""
    findings = []
    for name in NAMES:
        if name in NOT_YET:
            findings.append(Finding(name, "not-checked", 0, (), NOT_YET[name]))
            continue
        checked, offending = _CHECKS[name](history)
        findings.append(Finding(name, "broken" if offending else "holds", checked, tuple(offending[:100]), ""))
    return findings
