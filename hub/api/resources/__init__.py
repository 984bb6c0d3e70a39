"""The resources of the API that are tables: what each shows, by what it filters, and for whom its rows exist.

Scopes (domain M1: home is in charge of its readers, the host of its visits and loans): a loan exists for home, owner and lender; a
visit and a decision for the place where it happened, because what a place refuses by is its own business; a block for its issuer and,
where it stops the reader everywhere, for the reader's home; a conflict for the item's owner and for who settles it; a correction for
the owner; a charge for whom its loan is; work for an ILS for the library whose it is.
"""

from __future__ import annotations

from collections.abc import Mapping

from hub.api.lists import Resource
from hub.api.resources.circulation import CHARGES, CONFLICTS, CORRECTIONS, ITEMS, LOANS, TRANSITS, VISITS
from hub.api.resources.machines import API_TOKENS, AUDIT, DECISION_DETAIL, DECISIONS, DEVICES, EVENTS, ILS_WORK
from hub.api.resources.people import BLOCKS, READERS

__all__ = [
    "API_TOKENS", "AUDIT", "BLOCKS", "CHARGES", "CONFLICTS", "CORRECTIONS", "DECISIONS", "DECISION_DETAIL", "DEVICES", "EVENTS",
    "ILS_WORK", "ITEMS", "LOANS", "READERS", "RESOURCES", "TRANSITS", "VISITS",
]  # fmt: skip

RESOURCES: Mapping[str, Resource] = {
    resource.name: resource
    for resource in (
        READERS,
        ITEMS,
        LOANS,
        TRANSITS,
        VISITS,
        BLOCKS,
        DECISIONS,
        CONFLICTS,
        CORRECTIONS,
        CHARGES,
        DEVICES,
        EVENTS,
        ILS_WORK,
    )
}
"""Every list that the scope ``read`` opens."""
