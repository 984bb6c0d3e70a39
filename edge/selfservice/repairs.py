"""Tags that have still to take their security state, for all pads of a branch, across restarts.

An entry names the item, what its tags shall say, and each tag with what stood on it before: what was switched can be put back exactly.
It ends when every tag took it, on whatever pad that is; after `REPAIR_MS` staff are told instead, for the item may have been elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from consortium.identity import ItemKey
from drivers.base import Security
from edge.staffnotes import StaffNotes
from edge.tagstore import MOST, TagStore, TagStoreError

__all__ = ["REPAIR_MS", "Repair", "RepairQueue", "Waiting"]

log = logging.getLogger(__name__)

REPAIR_MS = 30 * 60_000
"""How long an entry stands before staff are told."""

PRIORS_MOST = 512
"""Items whose state before the last switch is remembered, so that it can be undone."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One tag of an entry: which part of the item, what stood on it before, whether it took the new state, why not."""

    part: int
    prior: Security | None
    done: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Repair:
    """An item whose tags have still to take a state; ``since`` ms UTC of the first failure, ``reason`` of the last one told.

    ``restore``: the tags take what stood on them before, where that is known, and else ``secured``. Without ``tags`` nobody has
    seen one yet.
    """

    key: ItemKey
    secured: bool
    since: int
    reason: str
    device: str
    restore: bool = False
    tags: dict[str, Waiting] = field(default_factory=dict)

    @property
    def parts(self) -> tuple[int, ...]:
        """The parts that still wait, in order."""
        return tuple(sorted({tag.part for tag in self.tags.values() if not tag.done}))

    def to_plain(self) -> dict[str, Any]:
        """As it is kept."""
        return {
            "item": [self.key.owner, self.key.item_no], "secured": self.secured, "reason": self.reason,
            "device": self.device, "restore": self.restore,
            "tags": {uid: [tag.part, _plain(tag.prior), tag.done, tag.reason] for uid, tag in self.tags.items()},
        }  # fmt: skip

    @classmethod
    def from_plain(cls, since: int, body: dict[str, Any]) -> Repair:
        """Read what `to_plain` wrote."""
        tags = {
            uid: Waiting(part, _security(prior), done, why) for uid, (part, prior, done, why) in body["tags"].items()
        }
        return cls(
            ItemKey(*body["item"]), body["secured"], since, body["reason"], body["device"], body["restore"], tags
        )


def _plain(state: Security | None) -> list[Any] | None:
    return None if state is None else [state.afi, state.eas, state.epc]


def _security(plain: list[Any] | None) -> Security | None:
    return None if plain is None else Security(*plain)


class RepairQueue:
    """The queue of a branch. ``now`` ms UTC. At most 1,000 entries: one more sends the oldest to staff."""

    def __init__(self, store: TagStore, notes: StaffNotes, now: Callable[[], int]) -> None:
        self._store = store
        self._notes = notes
        self._now = now
        self._entries: dict[ItemKey, Repair] = {}
        self._priors: dict[ItemKey, dict[str, Security]] = {}
        self._listeners: list[Callable[[], None]] = []
        self._telling: set[asyncio.Task[None]] = set()

    def load(self) -> None:
        """Take up what waited before a restart. Raises TagStoreError."""
        for _, since, body in self._store.rows("repair"):
            entry = Repair.from_plain(since, body)
            self._entries[entry.key] = entry

    def listen(self, changed: Callable[[], None]) -> None:
        """Hear that the queue changed; must not block."""
        self._listeners.append(changed)

    def waiting(self) -> tuple[Repair, ...]:
        """What waits, oldest first. Entries whose time ran out are handed to staff."""
        now = self._now()
        late = [entry for entry in self._entries.values() if now - entry.since > REPAIR_MS]
        for entry in late:
            del self._entries[entry.key]
            self._hand_over(entry)
        return tuple(self._entries.values())

    def get(self, key: ItemKey) -> Repair | None:
        """The entry of an item; None where its tags are right, or its time ran out."""
        entry = self._entries.get(key)
        return entry if entry is not None and self._now() - entry.since <= REPAIR_MS else None

    async def put(self, entry: Repair) -> None:
        """Add or replace the entry of an item, durably; where that fails it waits in memory and is logged."""
        before = self._entries.get(entry.key)
        self._entries[entry.key] = entry
        while len(self._entries) > MOST["repair"]:
            oldest = next(iter(self._entries))
            self._hand_over(self._entries.pop(oldest))
        if before is None or before.to_plain() != entry.to_plain():
            try:
                await self._store.put("repair", str(entry.key), entry.since, entry.to_plain())
            except TagStoreError as error:
                log.error("a tag that waits to be mended was not kept: %s", error)
        self._tell()

    async def end(self, key: ItemKey) -> None:
        """The item's tags are right."""
        await self._notes.settle("TAG_NOT_SWITCHED", key)
        if self._entries.pop(key, None) is None:
            return
        await self._remove(key)
        self._tell()

    # --- what stood there before ---

    def switched(self, key: ItemKey, before: dict[str, Security]) -> None:
        """Remember what stood on an item's tags before they were unsecured; the first word on a tag stands until it is undone."""
        known = self._priors.pop(key, {})
        self._priors[key] = {**before, **known}
        while len(self._priors) > PRIORS_MOST:
            del self._priors[next(iter(self._priors))]

    def priors(self, key: ItemKey) -> dict[str, Security]:
        """What stood on an item's tags before they were last unsecured, by UID, as far as it was read."""
        return dict(self._priors.get(key, {}))

    def forget(self, key: ItemKey) -> None:
        """What stood there before no longer matters: the item came back, or it was undone."""
        self._priors.pop(key, None)

    # --- inside ---

    def _hand_over(self, entry: Repair) -> None:
        task = asyncio.get_running_loop().create_task(self._to_staff(entry), name="repair to staff")
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _to_staff(self, entry: Repair) -> None:
        wish = "restore" if entry.restore else "secured" if entry.secured else "unsecured"
        parts = ",".join(str(part) for part in entry.parts)
        detail = f"{wish}: {entry.reason}" + (f", part {parts}" if parts else "")
        uids = tuple(uid for uid, tag in entry.tags.items() if not tag.done)
        await self._notes.add("TAG_NOT_SWITCHED", entry.device, key=entry.key, uids=uids, detail=detail)
        if entry.key not in self._entries:
            await self._remove(entry.key)
        self._tell()

    async def _remove(self, key: ItemKey) -> None:
        try:
            await self._store.drop("repair", str(key))
        except TagStoreError as error:
            log.error("a tag that was mended is still kept as waiting: %s", error)

    def _tell(self) -> None:
        for changed in self._listeners:
            changed()

    async def close(self) -> None:
        """Let what is being told to staff end."""
        if self._telling:
            await asyncio.wait(self._telling, timeout=2.0)
