"""What staff do at the station beside writing tags: look at a stack, name an owner, repair security, look through what waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from consortium.identity import MAX_NUMBER, ItemKey
from drivers.base import DeviceOffline, Encoder
from edge.desk import Desk
from edge.selfservice.drop import DropBox
from edge.selfservice.repairs import RepairQueue
from edge.selfservice.tags import PadTags, Righted
from edge.staffnotes import StaffNotes
from edge.station.shown import shown_stack
from edge.station.writing import Order, StationRefusal, TagWriting
from edge.tagmap import TagMap
from edge.tags_config import TagsConfig
from edge.tagstore import TagStore, TagStoreError

__all__ = ["Order", "Station", "StationRefusal"]


CLOSE_S = 1.0


class Station(TagWriting):
    """The station of one branch, over its pads. ``owns`` tells whether a number is one of the library's own; ``now`` ms UTC."""

    def __init__(
        self,
        pads: Mapping[str, PadTags],
        drops: Mapping[str, DropBox],
        desk: Desk,
        tagmap: TagMap,
        repairs: RepairQueue,
        notes: StaffNotes,
        store: TagStore,
        config: TagsConfig,
        *,
        owns: Callable[[str], bool],
        now: Callable[[], int],
    ) -> None:
        super().__init__(pads, desk, tagmap, repairs, store, config, now=now)
        self._drops = drops
        self._notes = notes
        self._owns = owns
        self.streams: set[asyncio.Event] = set()
        self.running: set[asyncio.Future[Any]] = set()
        for pad in pads.values():
            pad.listen(self._tell)
        for drop in drops.values():
            drop.changed = self._tell
        notes.changed = self._tell

    def _tell(self) -> None:
        for stream in self.streams:
            stream.set()

    def ended(self, work: asyncio.Future[Any]) -> None:
        """Work under way ended; a refusal that nobody waited for is no fault."""
        self.running.discard(work)
        if not work.cancelled():
            work.exception()

    async def close(self) -> None:
        """Let a tag that is being written be finished."""
        if self.running:
            await asyncio.wait(self.running, timeout=CLOSE_S)

    # --- what is shown ---

    def view(self, name: str) -> dict[str, Any]:
        """All that the page shows for one pad ("" = the first). Raises StationRefusal PAD_UNKNOWN."""
        pad = self._pad(name) if name else next(iter(self._pads.values()), None)
        return {
            "pads": [
                {"id": each.device, "online": each.online, "encodes": isinstance(each.pad, Encoder), "drop": key in self._drops}
                for key, each in self._pads.items()
            ],
            "pad": pad.device if pad is not None else None,
            "online": pad is not None and pad.online,
            "tags": shown_stack(pad, self._desk, self._tagmap, self._owns) if pad is not None else [],
            "waiting": [
                {
                    **self._named(entry.key), "wish": "restore" if entry.restore else "secured" if entry.secured else "unsecured",
                    "since": entry.since, "reason": entry.reason, "parts": list(entry.parts), "device": entry.device,
                }
                for entry in self._repairs.waiting()
            ],
            "notes": [
                {
                    **(self._named(note.key) if note.key else {}), "id": note.id, "code": note.code, "at": note.at,
                    "device": note.device, "detail": note.detail,
                }
                for note in self._notes.rows()
            ],
            "drops": {name: self._drop(drop) for name, drop in self._drops.items()},
            "libraries": self._libraries(),
        }  # fmt: skip

    def _drop(self, drop: DropBox) -> dict[str, Any]:
        rows = [
            {
                **(self._named(row.key) if row.key else {}), "at": row.at, "title": row.title, "code": row.code,
                "dest": row.dest, "secured": row.secured, "exception": row.exception,
            }
            for row in drop.rows()[-100:]
        ]  # fmt: skip
        return {**drop.counts(), "rows": rows}

    def _libraries(self) -> list[dict[str, str]]:
        policy = self._desk.policy
        libraries = policy.libraries.values() if policy is not None else ()
        return [{"org": each.org, "zh": each.name_zh, "en": each.name_en} for each in libraries]

    # --- whose it is ---

    async def owner(self, name: str, uid: str, org: str) -> dict[str, Any]:
        """Say whose a tag is that names nobody, and remember it by its chip. Raises StationRefusal."""
        pad = self._pad(name)
        item = next((each for each in pad.items if each.uid == uid), None)
        if item is None:
            raise StationRefusal("NO_TAG")
        if item.by == "TAG":
            raise StationRefusal("OWNER_WRITTEN")
        if item.content is None or not 0 < len(item.content.pii) <= MAX_NUMBER:
            raise StationRefusal("NO_ITEM")
        owner = self._tagmap.member(org)
        if owner is None:
            raise StationRefusal("OWNER_UNKNOWN")
        key = ItemKey(owner, item.content.pii)
        await self._learn(uid, key)
        await self._log("owner", pad.device, key, {"uid": uid, "before": item.code})
        for each in self._pads.values():
            each.refresh()
        return self._named(key)

    # --- security ---

    async def repair(self, name: str) -> dict[str, Any]:
        """Set the security of the whole stack as the ledger says. Raises StationRefusal.

        Items that it does not know, or that somebody lends or returns just now, are left alone.
        """
        pad = self._pad(name)
        try:
            keys = await pad.fresh()
        except DeviceOffline as error:
            raise StationRefusal("PAD_OFFLINE") from error
        items = []
        for key in keys:
            stack = pad.sets().get(key)
            try:
                async with self.held(key):
                    right = await pad.set_by_ledger(key, stack.tags if stack is not None else ())
            except StationRefusal:  # whoever lends or returns it writes its tags
                right = Righted(None, None)
            if right.wrote:
                await self._log("repair", pad.device, key, {"secured": right.secured, "ok": right.done})
            said = {"secured": right.secured} if right.secured is not None else {}
            items.append({**self._named(key), "done": right.done, **said})
        return {"items": items}

    # --- lists ---

    async def seen(self, note_id: str) -> None:
        """Somebody looked at a note. Raises StationRefusal."""
        try:
            if not await self._notes.done(note_id):
                raise StationRefusal("NO_SUCH_NOTE")
        except TagStoreError as error:
            raise StationRefusal("NOTHING_KEPT") from error

    async def empty_drop(self, name: str) -> dict[str, Any]:
        """The drop was emptied: its batch is closed. Raises StationRefusal."""
        drop = self._drops.get(name)
        if drop is None:
            raise StationRefusal("NO_DROP")
        try:
            return await drop.empty()
        except TagStoreError as error:
            raise StationRefusal("NOTHING_KEPT") from error

    async def written(self, limit: int) -> list[dict[str, Any]]:
        """What was written on tags lately, newest first. Raises StationRefusal."""
        try:
            rows = await self._store.newest("written", limit)
        except TagStoreError as error:
            raise StationRefusal("NOTHING_KEPT") from error
        return [{"at": at, **body} for _, at, body in rows]
