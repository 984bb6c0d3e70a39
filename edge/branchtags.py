"""Everything of tags at one branch, wired: the file of tags, whose a tag is, the repair queue, pads, drops and the staff station."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from consortium.bundle import Policy
from edge.config import EdgeConfig
from edge.desk import Desk
from edge.devices import Devices
from edge.facts import Facts
from edge.metrics import Metrics
from edge.outbox import Outbox
from edge.selfservice.drop import DropBox
from edge.selfservice.repairs import REPAIR_MS, RepairQueue
from edge.selfservice.shown import shown_here
from edge.selfservice.stale import StaleWishes
from edge.selfservice.tags import PadTags
from edge.selfservice.unfinished import KINDS, take_up, unfinished
from edge.staffnotes import StaffNotes
from edge.station.station import Station
from edge.tagmap import TagMap
from edge.tagstore import TagStore, TagStoreError
from edge.uidmap import UidMap
from protocols.iso28560 import AfiPair

__all__ = ["BranchTags"]

log = logging.getLogger(__name__)

KIOSK, DROP = "kiosk", "drop"
"""What a pad is for, by its option ``role``: "kiosk" unless said otherwise, "drop" takes returns alone, "station" is for staff."""


class BranchTags:
    """The tags of one branch. ``now`` ms UTC; ``policy`` is asked afresh at every change of a pad."""

    def __init__(
        self,
        config: EdgeConfig,
        devices: Devices,
        desk: Desk,
        facts: Facts,
        outbox: Outbox,
        metrics: Metrics,
        *,
        policy: Callable[[], Policy | None],
        now: Callable[[], int],
    ) -> None:
        self._now = now
        self._outbox = outbox
        self.store = TagStore(config.data / "tags.db")
        self.notes = StaffNotes(self.store, now)
        self.repairs = RepairQueue(self.store, self.notes, now)
        self.uids = UidMap(config.tags.uid_map, config.data)
        self.map = TagMap(
            config.org,
            aliases=config.tags.aliases,
            policy=policy,
            owns=facts.owns_number,
            store=self.store,
            uids=self.uids,
        )
        self.pads: dict[str, PadTags] = {}
        self.drops: dict[str, DropBox] = {}
        self.kiosk: PadTags | None = None
        for device in devices.drivers:
            pad = devices.pad(device)
            if pad is None:
                continue
            pair = AfiPair(
                int(devices.option(device, "afi_secured", 0x07)), int(devices.option(device, "afi_on_loan", 0xC2))
            )
            tags = PadTags(
                device, pad, branch=config.branch, pair=pair, tagmap=self.map, repairs=self.repairs, outbox=outbox,
                metrics=metrics, now=now, ledger=facts.should_be_secured,
            )  # fmt: skip
            self.pads[device] = tags
            devices.listen(tags.notice)
            role = devices.option(device, "role", KIOSK)
            if role == DROP:
                self.drops[device] = DropBox(tags, desk, self.notes, self.store, metrics, now=now)
            elif role == KIOSK and self.kiosk is None:
                self.kiosk = tags
        at_pads = {account.device: self.pads[account.pad] for account in config.accounts if account.pad in self.pads}
        self._at_pads = {**at_pads, **self.pads}
        self._stale = StaleWishes(self.repairs, facts.should_be_secured, self._at_pads)
        outbox.observe(self._stale)
        self.shown = shown_here(devices, config.site_key)
        self.station = Station(
            self.pads, self.drops, desk, self.map, self.repairs, self.notes, self.store, config.tags,
            owns=facts.owns_number, now=now,
        )  # fmt: skip
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take up what was known before, and the tags that a power cut left unwritten.

        Where the file of tags cannot be had, tags are read and switched all the same.
        """
        self.uids.open()
        try:
            self.store.open(self._now())
            self.notes.load()
            self.repairs.load()
        except TagStoreError as error:
            log.error("what was known of tags is not there: %s", error)
        pads = {device: pad.device for device, pad in self._at_pads.items()}
        events = self._outbox.counting(KINDS, None, self._now() - REPAIR_MS)
        await take_up(unfinished(events, pads), self.repairs)
        for drop in self.drops.values():
            drop.start()
        self._following = asyncio.get_running_loop().create_task(self.uids.follow(), name="uid map")

    def tick(self) -> None:
        """What waited too long is handed to staff."""
        self.repairs.waiting()

    async def stop_writing(self) -> None:
        """End what writes tags, while their pads are still there."""
        await self.station.close()
        for drop in self.drops.values():
            await drop.close()
        for tags in self.pads.values():
            await tags.close()

    async def close(self) -> None:
        """Close the files."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        await self._stale.close()
        await self.repairs.close()
        await self.store.close()
        self.uids.close()
