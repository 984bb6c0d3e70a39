"""A book drop over a pad: whatever lies there is taken back, once each time it is laid down, secured, and its way told.

Works with the hub away, as every return does. What cannot be taken, or wants a look, is listed as an exception. Nobody signs in, and
nothing here is about a reader: a reader's card on the pad is passed by.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from consortium.decision import Outcome
from consortium.identity import ItemKey
from edge.answers import Answer, ItemRef
from edge.desk import Desk
from edge.metrics import Metrics
from edge.outbox import OutboxError
from edge.selfservice.left import note_missing
from edge.selfservice.sets import INCOMPLETE, ItemSet
from edge.selfservice.tags import PadTags
from edge.staffnotes import StaffNotes
from edge.tagstore import MOST, TagStore, TagStoreError

__all__ = ["DropBox", "DropRow"]

log = logging.getLogger(__name__)

SETTLE_S = 1.5
"""How long a set waits for the rest of its parts, which slide in one after the other."""

GONE_S = 2.0
"""A placement ends when its tag was not seen for so long; a pad whose line just came back has not looked yet."""

AGAIN_S = 5.0
"""Between tries to take an item back that could not be recorded, or that something went wrong with."""

FAULTS_TOLD = 3
"""After so many faults one after the other staff are told that the drop does not work."""


@dataclass(frozen=True, slots=True)
class DropRow:
    """One thing that lay in the drop.

    ``code`` is the return's, or what the tag is; ``dest`` the branch it goes to; ``exception`` why a person has to look, "" where none
    does: ITEM_INCOMPLETE, TAG_NOT_SWITCHED, OUT_OF_SERVICE, RETURN_SET_ASIDE, or the tag's code (BLANK, FOREIGN, DAMAGED, ASK_OWNER …).
    """

    id: str
    at: int
    device: str
    key: ItemKey | None
    title: str
    code: str
    dest: str | None = None
    secured: bool = False
    exception: str = ""

    def to_plain(self) -> dict[str, Any]:
        """As it is kept."""
        return {
            "device": self.device, "item": [self.key.owner, self.key.item_no] if self.key else None, "title": self.title,
            "code": self.code, "dest": self.dest, "secured": self.secured, "exception": self.exception,
        }  # fmt: skip

    @classmethod
    def from_plain(cls, row_id: str, at: int, body: dict[str, Any]) -> DropRow:
        """Read what `to_plain` wrote."""
        item = body.pop("item")
        return cls(id=row_id, at=at, key=ItemKey(*item) if item else None, **body)


class DropBox:
    """The drop over one pad, and its batch since it was last emptied: at most 5,000 rows, kept across restarts."""

    def __init__(
        self, tags: PadTags, desk: Desk, notes: StaffNotes, store: TagStore, metrics: Metrics, *, now: Callable[[], int]
    ) -> None:
        self.device = tags.device
        self._tags = tags
        self._desk = desk
        self._notes = notes
        self._store = store
        self._metrics = metrics
        self._now = now
        self._rows: dict[str, DropRow] = {}
        self._placed: dict[ItemKey, str] = {}
        self._others: set[str] = set()
        self._gone: dict[ItemKey | str, float] = {}
        self._number = 0
        self._at: ItemKey | None = None
        """What is being taken: where that fails, the others come first at the next try."""
        self._hard: Counter[ItemKey] = Counter()
        self.faults = 0
        """Rounds that failed one after the other."""
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.changed: Callable[[], None] = lambda: None
        tags.listen(self._woken.set)

    def start(self) -> None:
        """Take up the batch kept from before and begin to take items."""
        try:
            for row_id, at, body in self._store.rows("drop"):
                if body["device"] == self.device:
                    self._rows[row_id] = DropRow.from_plain(row_id, at, body)
        except TagStoreError as error:
            log.error("the batch of drop %s is not there: %s", self.device, error)
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"drop-{self.device}")

    async def close(self) -> None:
        """End; a return under way is finished by the desk."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # --- the batch ---

    def rows(self) -> tuple[DropRow, ...]:
        """The batch, oldest first."""
        return tuple(self._rows.values())

    def counts(self) -> dict[str, Any]:
        """How many were taken, by destination and by exception."""
        taken = [row for row in self._rows.values() if row.key is not None and row.exception != "OUT_OF_SERVICE"]
        return {
            "taken": len(taken),
            "by_dest": dict(Counter(row.dest or "" for row in taken)),
            "exceptions": dict(Counter(row.exception for row in self._rows.values() if row.exception)),
        }

    async def empty(self) -> dict[str, Any]:
        """Staff emptied the drop: the batch is closed and its counts given. Raises TagStoreError."""
        counts, ids = self.counts(), tuple(self._rows)
        await self._store.drop("drop", *ids)
        for row_id in ids:
            self._rows.pop(row_id, None)
        self._placed = dict.fromkeys(self._placed, "")  # what still lies there was counted already
        self.changed()
        return counts

    # --- taking ---

    async def _run(self) -> None:
        pause_s: float | None = None
        while True:
            try:
                async with asyncio.timeout(pause_s):
                    await self._woken.wait()
            except TimeoutError:
                pass  # something waits for another try
            self._woken.clear()
            try:
                pause_s = await self._round()
                await self._sound()
            except Exception:  # the outer edge of this task: nothing may end the drop
                pause_s = AGAIN_S
                await self._failed()

    async def _failed(self) -> None:
        """A round failed: it is logged and counted, tried again soon, and told to staff where it goes on."""
        self.faults += 1
        log.exception("drop %s: taking items failed, tried again in %.0f s", self.device, AGAIN_S)
        self._metrics.transactions.labels(self._metrics.library, self.device, "return", "FAULT").inc()
        if self._at is not None:
            self._hard[self._at] += 1
        if self.faults == FAULTS_TOLD:
            about = f"{self._at.owner}:{self._at.item_no}" if self._at is not None else ""
            await self._notes.add("DROP_FAILS", self.device, detail=about)

    async def _sound(self) -> None:
        """A round went well: what was told to staff came right."""
        self.faults = 0
        await self._notes.settle("DROP_FAILS", self.device)

    async def _round(self) -> float | None:
        """Take what is new; gives after how many seconds to look again though nothing changed."""
        again: float | None = None
        for tag in self._tags.items:
            if tag.key is None and tag.uid not in self._others:
                self._others.add(tag.uid)
                await self._keep(None, "", tag.code, exception=tag.code)
        sets = self._tags.sets()
        self._hard = Counter({key: n for key, n in self._hard.items() if key in sets})
        for key, stack in sorted(sets.items(), key=lambda each: self._hard[each[0]]):
            self._at = key
            if key not in self._placed:
                if not await self._take(await self._settled(key, stack)):
                    again = AGAIN_S
            elif stack.complete:
                await self._completed(key)
        self._at = None
        return min((pause for pause in (again, self._end_placements()) if pause is not None), default=None)

    def _end_placements(self) -> float | None:
        """Forget what was carried away; gives when to look again. A pad whose line broke sees nothing, and that ends nothing."""
        now = asyncio.get_running_loop().time()
        here: set[ItemKey | str] = {*self._tags.on_pad(), *(tag.uid for tag in self._tags.read)}
        known_here: set[ItemKey | str] = {*self._placed, *self._others}
        away = known_here - here if self._tags.online else set()
        self._gone = {known: self._gone.get(known, now) for known in away}
        over = {known for known, since in self._gone.items() if now - since >= GONE_S}
        self._placed = {key: row_id for key, row_id in self._placed.items() if key not in over}
        self._others -= {known for known in over if isinstance(known, str)}
        self._gone = {known: since for known, since in self._gone.items() if known not in over}
        return GONE_S / 2 if self._gone else None

    async def _settled(self, key: ItemKey, stack: ItemSet) -> ItemSet:
        """The set once it is complete, or as it last lay there when the wait is over."""
        until = asyncio.get_running_loop().time() + SETTLE_S
        while not stack.complete and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.1)
            now = self._tags.sets().get(key)
            stack = now if now is not None and len(now.present) >= len(stack.present) else stack
        return stack

    async def _take(self, stack: ItemSet) -> bool:
        key = stack.key
        try:
            answer = await self._desk.give_back(ItemRef(key.owner, key.item_no), self.device)
        except OutboxError:
            answer = Answer(key.owner, key.item_no, Outcome.REFER, ("OUT_OF_SERVICE",))
        labels = (self._metrics.library, self.device, "return", answer.code)
        self._metrics.transactions.labels(*labels).inc()
        if not answer.ok:
            if not any(row.key == key and row.exception == answer.code for row in self._rows.values()):
                await self._keep(key, answer.title, answer.code, exception=answer.code)
            return False
        secured = await self._tags.set_secured(key, True, stack.tags)
        exception = "" if secured else "TAG_NOT_SWITCHED"
        if not stack.complete:
            exception = INCOMPLETE
            await note_missing(self._notes, self.device, stack)
        elif answer.code == "RETURN_SET_ASIDE":
            exception = answer.code
        dest = answer.route.dest if answer.route is not None else None
        self._rows = {
            row_id: row for row_id, row in self._rows.items() if row.key != key or row.exception != "OUT_OF_SERVICE"
        }
        row = await self._keep(key, answer.title, answer.code, dest=dest, secured=secured, exception=exception)
        self._placed[key] = row.id
        return True

    async def _completed(self, key: ItemKey) -> None:
        """A part came after the others: the item is whole again, and all of its tags are switched."""
        row = self._rows.get(self._placed.get(key, ""))
        if row is None or row.exception != INCOMPLETE:
            return
        secured = await self._tags.set_secured(key, True)
        await self._write(replace(row, secured=secured, exception="" if secured else "TAG_NOT_SWITCHED"))
        await self._notes.settle("PARTS_MISSING", key)

    async def _keep(
        self, key: ItemKey | None, title: str, code: str, *, dest: str | None = None, secured: bool = False, exception: str = ""
    ) -> DropRow:  # fmt: skip
        self._number += 1
        at = self._now()
        row_id = f"{self.device}/{at:015d}/{self._number:06d}"
        row = DropRow(row_id, at, self.device, key, title, code, dest, secured, exception)
        await self._write(row)
        return row

    async def _write(self, row: DropRow) -> None:
        self._rows[row.id] = row
        while len(self._rows) > MOST["drop"]:
            del self._rows[next(iter(self._rows))]
        try:
            await self._store.put("drop", row.id, row.at, row.to_plain())
        except TagStoreError as error:
            log.error("a row of drop %s was not kept: %s", self.device, error)
        self.changed()
