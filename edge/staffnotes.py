"""What a member of staff has to look at: kept until somebody says it is done. About items and tags, never about readers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from consortium.identity import ItemKey
from edge.tagstore import MOST, TagStore, TagStoreError

__all__ = ["StaffNote", "StaffNotes"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StaffNote:
    """One thing to look at.

    ``code``: TAG_NOT_SWITCHED (its time ran out), LEFT_ON_PAD (a loan undone because the item was left there), PARTS_MISSING (returned
    without all its parts), NOT_RETURNED (a drop could not take it), DROP_FAILS (a drop takes nothing, or not one item). ``at`` ms UTC;
    ``uids`` the tags concerned; ``detail`` for people.
    """

    id: str
    code: str
    at: int
    device: str
    key: ItemKey | None = None
    uids: tuple[str, ...] = ()
    detail: str = ""

    def to_plain(self) -> dict[str, Any]:
        """As it is kept."""
        return {
            "code": self.code, "device": self.device, "item": [self.key.owner, self.key.item_no] if self.key else None,
            "uids": list(self.uids), "detail": self.detail,
        }  # fmt: skip


class StaffNotes:
    """The list of a branch. The same thing is noted once; the newest word on it stands."""

    def __init__(self, store: TagStore, now: Callable[[], int]) -> None:
        self._store = store
        self._now = now
        self._notes: dict[str, StaffNote] = {}
        self.changed: Callable[[], None] = lambda: None

    def load(self) -> None:
        """Take up what was noted before a restart."""
        for row_id, at, body in self._store.rows("flag"):
            item = body.get("item")
            self._notes[row_id] = StaffNote(
                row_id, str(body["code"]), at, str(body["device"]), ItemKey(*item) if item else None,
                tuple(body["uids"]), str(body["detail"]),
            )  # fmt: skip

    def rows(self) -> tuple[StaffNote, ...]:
        """Every note, oldest first."""
        return tuple(self._notes.values())

    async def add(
        self, code: str, device: str, *, key: ItemKey | None = None, uids: tuple[str, ...] = (), detail: str = ""
    ) -> None:
        """Note something; where it cannot be written it stands in memory."""
        about = str(key) if key is not None else ",".join(uids) or device
        note = StaffNote(f"{code}:{about}"[:200], code, self._now(), device, key, uids, detail[:200])
        self._notes.pop(note.id, None)
        self._notes[note.id] = note
        while len(self._notes) > MOST["flag"]:
            del self._notes[next(iter(self._notes))]
        self.changed()
        try:
            await self._store.put("flag", note.id, note.at, note.to_plain())
        except TagStoreError as error:
            log.error("a note for staff was not kept: %s", error)

    async def done(self, note_id: str) -> bool:
        """Somebody looked at it; False where there is no such note. Raises TagStoreError."""
        if self._notes.pop(note_id, None) is None:
            return False
        self.changed()
        await self._store.drop("flag", note_id)
        return True

    async def settle(self, code: str, about: ItemKey | str) -> None:
        """What was to look at came right by itself: of an item, or of a device."""
        note_id = f"{code}:{about}"[:200]
        if note_id in self._notes:
            try:
                await self.done(note_id)
            except TagStoreError as error:
                log.error("a note for staff was not removed: %s", error)
