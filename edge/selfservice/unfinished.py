"""Loans and returns whose tags were not written when the edge was last stopped: found again in its own events.

A loan is durable before its tag is touched, so a power cut between the two leaves a right loan and a tag that says otherwise. The
outbox tells which: a loan or return made at a pad that no TAG_WRITTEN follows.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable

from consortium.events import Kind
from consortium.identity import ItemKey
from edge.outbox import Kept
from edge.selfservice.left import CANCELS_CHECKOUT
from edge.selfservice.repairs import Repair

__all__ = ["KINDS", "unfinished"]

KINDS = frozenset({Kind.CHECKOUT, Kind.RETURN, Kind.RECEIVE, Kind.TAG_WRITTEN})
"""The events to give to `unfinished`."""


def unfinished(events: Iterable[Kept], pads: Collection[str]) -> list[Repair]:
    """What the tags of items handled at these pads have still to say, from own events in their order, oldest first."""
    found: dict[ItemKey, Repair] = {}
    for kept in events:
        body = json.loads(kept.body)
        if kept.kind is Kind.TAG_WRITTEN and not body["data"]["ok"]:
            continue  # it was tried, and still waits
        key = ItemKey(*body["data"]["item"])
        found.pop(key, None)  # whatever came later, wherever it was, is what counts
        if kept.kind is not Kind.TAG_WRITTEN and body["device"] in pads:
            restore = CANCELS_CHECKOUT in body["data"].get("flags", ())
            found[key] = Repair(
                key, kept.kind is not Kind.CHECKOUT, body["t_eff"], "INTERRUPTED", body["device"], restore
            )
    return list(found.values())
