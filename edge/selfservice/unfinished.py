"""Loans and returns whose tags were not written when the edge was last stopped: found again in its own events.

A loan is durable before its tag is touched, so a power cut between the two leaves a right loan and a tag that says otherwise. The
outbox tells which: a loan or return made at a pad, or at a SIP2 kiosk beside one, that no TAG_WRITTEN follows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from consortium.events import Kind
from consortium.identity import ItemKey
from edge.outbox import Kept
from edge.selfservice.left import CANCELS_CHECKOUT
from edge.selfservice.repairs import Repair, RepairQueue

__all__ = ["KINDS", "LastWord", "take_up", "unfinished"]

KINDS = frozenset({Kind.CHECKOUT, Kind.RETURN, Kind.RECEIVE, Kind.TAG_WRITTEN})
"""The events to give to `unfinished`."""


@dataclass(frozen=True, slots=True)
class LastWord:
    """The last that happened to an item, ``t_eff`` ms UTC: what its tags have to say since, and what is left to do for that.

    ``repair`` is None where the tags were written after it, or where it happened away from the pads.
    """

    t_eff: int
    secured: bool
    repair: Repair | None


def unfinished(events: Iterable[Kept], pads: Mapping[str, str]) -> dict[ItemKey, LastWord]:
    """The last word on every item, from own events in their order; ``pads``: the pad at each device that has one."""
    found: dict[ItemKey, LastWord] = {}
    for kept in events:
        body = json.loads(kept.body)
        data, t_eff = body["data"], int(body["t_eff"])
        key = ItemKey(*data["item"])
        last = found.get(key)
        if kept.kind is Kind.TAG_WRITTEN:
            # One that failed was tried, and still waits; one that said the contrary was of an older wish.
            if data["ok"] and last is not None and (_restores(last) or bool(data["secured"]) is last.secured):
                found[key] = replace(last, repair=None)
            continue
        if last is not None and last.t_eff > t_eff:
            continue  # told late by a kiosk that was off line: what happened after it is what counts
        secured, pad = kept.kind is not Kind.CHECKOUT, pads.get(body["device"])
        restore = CANCELS_CHECKOUT in data.get("flags", ())
        repair = Repair(key, secured, t_eff, "INTERRUPTED", pad, restore) if pad is not None else None
        found[key] = LastWord(t_eff, secured, repair)
    return found


def _restores(last: LastWord) -> bool:
    """Whether the tags take back what stood there before, whatever that was."""
    return last.repair is not None and last.repair.restore


async def take_up(found: Mapping[ItemKey, LastWord], repairs: RepairQueue) -> None:
    """Add to the queue what a power cut left; an entry kept from before what happened last is replaced, or ended.

    A tag that the old entry knows and that lies elsewhere has to take the new state as well.
    """
    for key, last in found.items():
        entry = repairs.get(key)
        if entry is None:
            if last.repair is not None:
                await repairs.put(last.repair)
        elif entry.secured is not last.secured and entry.since <= last.t_eff:
            if last.repair is None:
                await repairs.end(key)
            else:
                tags = {uid: replace(tag, done=False, reason="INTERRUPTED") for uid, tag in entry.tags.items()}
                await repairs.put(replace(last.repair, tags=tags))
