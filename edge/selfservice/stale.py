"""Ends wishes for tags that the ledger overtook: the item was lent or returned since by a machine that writes no tag here.

A machine with a pad writes the new state itself, and that replaces the older wish. Elsewhere nobody does, and the queue would set the
tag to what was true half an hour ago as soon as it lies on any pad.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from consortium.events import Kind
from consortium.identity import ItemKey
from edge.clock import Stamp
from edge.outbox import Draft, Recorded
from edge.selfservice.repairs import RepairQueue
from edge.selfservice.tags import PadTags

__all__ = ["StaleWishes"]

KINDS = frozenset({Kind.CHECKOUT, Kind.RENEW, Kind.RETURN, Kind.RECEIVE, Kind.ILS_OBSERVED})


class StaleWishes:
    """Follows an outbox, after the overlay does. ``at_pads``: the pad of each device that has one.

    ``ledger`` as in `PadTags`: where it does not know, nothing speaks against a wish.
    """

    def __init__(
        self, repairs: RepairQueue, ledger: Callable[[ItemKey], bool | None], at_pads: Mapping[str, PadTags]
    ) -> None:
        self._repairs = repairs
        self._ledger = ledger
        self._at_pads = at_pads
        self._under_way: dict[int, tuple[ItemKey, str]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def accepted(self, ticket: int, draft: Draft, stamp: Stamp) -> None:
        """An own event was handed in."""
        item = draft.data.get("item")
        if item and draft.kind in KINDS:
            self._under_way[ticket] = (ItemKey(*item), draft.device)

    def recorded(self, ticket: int, recorded: Recorded) -> None:
        """It is durable: a wish for the item's tags that says the contrary is over."""
        about = self._under_way.pop(ticket, None)
        if about is None or self._writes_tags(*about):
            return
        key = about[0]
        entry = self._repairs.get(key)
        if entry is not None and self._ledger(key) is (not entry.secured):
            task = asyncio.get_running_loop().create_task(self._repairs.end(key), name="stale wish")
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    def failed(self, ticket: int) -> None:
        """It could not be recorded."""
        self._under_way.pop(ticket, None)

    def renumbered(self) -> None:
        """Events have other numbers: that changes nothing here."""

    def _writes_tags(self, key: ItemKey, device: str) -> bool:
        """Whether the machine goes on to write the item's tags, which lie on its pad."""
        pad = self._at_pads.get(device)
        return pad is not None and (pad.device == device or key in pad.on_pad())

    async def close(self) -> None:
        """Let what is being ended be ended."""
        if self._ending:
            await asyncio.wait(self._ending, timeout=1.0)
