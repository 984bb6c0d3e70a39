"""The desk of one branch: everything a kiosk, a pad or staff may do there, each transaction in a file of its own."""

from __future__ import annotations

from edge.afterwards import Afterwards
from edge.lending import Lending
from edge.renewing import Renewing
from edge.returning import HowReturned, Returning
from edge.services import Services

__all__ = ["Desk", "HowReturned"]


class Desk(Lending, Renewing, Returning, Afterwards, Services):
    """The desk of one branch. ``ils`` may be set once the branch's own ILS is there to be asked."""

    @property
    def online(self) -> bool:
        """Whether the hub answers now, as far as is known."""
        return not self._hub.away
