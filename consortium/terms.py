"""The terms of a loan: what the rules promised when it was made. They travel in its CHECKOUT, so that no later rule shortens them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from consortium.calendar import DAY_MS


@dataclass(frozen=True, slots=True)
class Terms:
    """What was promised with a loan. Days and hours as the rule gave them, money in fen; 0 = none.

    ``renew_window_days``: how many days before the due instant a renewal opens, 0 = at any time. ``grace_days``: overdue days that
    cost nothing and forbid nothing.
    """

    period_days: int = 0
    period_hours: int = 0
    renewals: int = 0
    renew_window_days: int = 0
    grace_days: int = 0
    fine_per_day: int = 0
    max_fine: int = 0
    suspension_days: int = 0
    deposit: int = 0

    def to_plain(self) -> dict[str, int]:
        """The terms as they stand in an event; zeros left out."""
        return {spec.name: value for spec in fields(self) if (value := getattr(self, spec.name))}

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> Terms:
        """Terms back from an event; names this software does not know are passed over."""
        return cls(**{spec.name: int(data[spec.name]) for spec in fields(cls) if spec.name in data})

    def more_generous(self, now: Terms) -> Terms:
        """The better of these terms and those the rules give now, value by value, for the reader (domain §3, may_renew 2)."""
        longer = now if _length(now) > _length(self) else self
        return Terms(
            period_days=longer.period_days,
            period_hours=longer.period_hours,
            renewals=max(self.renewals, now.renewals),
            renew_window_days=_wider(self.renew_window_days, now.renew_window_days),
            grace_days=max(self.grace_days, now.grace_days),
            fine_per_day=min(self.fine_per_day, now.fine_per_day),
            max_fine=_lower(self.max_fine, now.max_fine),
            suspension_days=min(self.suspension_days, now.suspension_days),
            deposit=self.deposit,
        )

    def grace_ms(self) -> int:
        """The grace in milliseconds."""
        return self.grace_days * DAY_MS


NO_TERMS = Terms()
"""Nothing was promised: an imported loan, or one of an older event."""


def _length(terms: Terms) -> int:
    return terms.period_days * 24 + terms.period_hours


def _wider(first: int, second: int) -> int:
    return 0 if 0 in (first, second) else max(first, second)


def _lower(first: int, second: int) -> int:
    """The lower of two ceilings, where 0 is none."""
    return min(first, second) or max(first, second)
