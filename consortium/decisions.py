"""The decision functions: the same at gate, kiosk, bin, desk and hub (domain §3).

Each is pure: policy, facts and an instant in, a Decision out. Every check inside a stage runs; the first stage that denies ends the
evaluation. Order and codes are fixed. ``next_destination`` is part of ``accept_return`` and stands in ``consortium.routing``.
"""

from __future__ import annotations

from consortium.borrowing import may_borrow
from consortium.entering import may_enter
from consortium.renewing import may_renew
from consortium.returning import accept_return
from consortium.routing import next_destination
from consortium.stages import OWN_STALENESS, REFER_CODES

__all__ = ["OWN_STALENESS", "REFER_CODES", "accept_return", "may_borrow", "may_enter", "may_renew", "next_destination"]
