"""What lies on a pad, as items and their parts, and their security: written after the event is durable, undone exactly, mended later.

Whose a tag is says `edge.tagmap`, which never guesses. A tag that did not take its state waits in the branch's `RepairQueue` and is
set right by whichever pad sees it next. All parts of an item are switched together.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, replace

from consortium.events import Kind
from consortium.identity import ItemKey
from drivers.base import DeviceEvent, DeviceOffline, DeviceState, Pad, PadTag, Security, SecurityWrite, TagsOnPad
from edge.metrics import Metrics
from edge.outbox import Draft, Outbox, OutboxError
from edge.selfservice.repairs import Repair, RepairQueue, Waiting
from edge.selfservice.sets import ItemSet, sets_of
from edge.tagmap import TagItem, TagMap
from protocols.iso28560 import AfiPair
from protocols.iso28560.uhf import TOGGLE, secured_of

__all__ = ["PadTags", "Righted", "TagItem"]

log = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.3, 5.0
"""Between tries to mend a tag that lies on the pad and does not take its state."""

CLOSE_S = 1.0

READER_CARD = "READER_CARD"


@dataclass(frozen=True, slots=True)
class _Wish:
    """What an item's tags shall say: ``restore`` what stood there before, where that is known, else ``secured``."""

    secured: bool
    restore: bool = False


@dataclass(frozen=True, slots=True)
class Righted:
    """What the ledger said of an item (None: nothing), whether its tags say so, and whether they had to be written for it."""

    secured: bool | None
    done: bool | None
    wrote: bool = False


class PadTags:
    """The tags on one pad; ``repairs`` is the branch's queue, shared by its pads.

    ``ledger`` says whether an item's tags have to be secured, None where it does not know, or not durably.
    """

    def __init__(
        self,
        device: str,
        pad: Pad,
        *,
        branch: str,
        pair: AfiPair,
        tagmap: TagMap,
        repairs: RepairQueue,
        outbox: Outbox,
        metrics: Metrics,
        now: Callable[[], int],
        ledger: Callable[[ItemKey], bool | None],
    ) -> None:
        self.device = device
        self.pad = pad
        self.pair = pair
        self.online = False
        self.tags: tuple[PadTag, ...] = ()
        self.read: tuple[TagItem, ...] = ()
        """Every tag as understood, readers' cards included."""
        self._branch = branch
        self._tagmap = tagmap
        self._repairs = repairs
        self._outbox = outbox
        self._metrics = metrics
        self._now = now
        self._ledger = ledger
        self._writing = asyncio.Lock()
        self._mending: asyncio.Task[None] | None = None
        self._seen = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []
        repairs.listen(self._queue_changed)

    def listen(self, changed: Callable[[], None]) -> None:
        """Hear that the pad, a tag or the queue changed; must not block."""
        self._listeners.append(changed)

    def notice(self, event: DeviceEvent) -> None:
        """Take an event of the devices; those of other devices are passed by."""
        if event.device != self.device:
            return
        if isinstance(event, DeviceState):
            self.online = event.state != "offline"
        elif isinstance(event, TagsOnPad):
            self._take(event.tags)
        self._tell()

    def _take(self, tags: tuple[PadTag, ...]) -> None:
        self.tags = tags
        self.read = tuple(self._tagmap.read(tag, self.pair) for tag in tags)
        self._seen.set()
        self._mend_what_waits()

    def refresh(self) -> None:
        """Understand the tags that lie here anew: whose one is was said just now."""
        self._take(self.tags)
        self._tell()

    def _tell(self) -> None:
        for changed in self._listeners:
            changed()

    def _queue_changed(self) -> None:
        self._mend_what_waits()
        self._tell()

    # --- what lies here ---

    @property
    def items(self) -> tuple[TagItem, ...]:
        """Every tag but readers' cards, which people leave on a pad and which are nobody's item."""
        return tuple(item for item in self.read if item.code != READER_CARD)

    @property
    def put_back(self) -> tuple[ItemKey, ...]:
        """Items of the branch whose tags are not finished, oldest first."""
        return tuple(entry.key for entry in self._repairs.waiting())

    @property
    def asked_back(self) -> tuple[ItemKey, ...]:
        """Those of them whose tags failed at this pad: what its readers are asked to put back."""
        return tuple(entry.key for entry in self._repairs.waiting() if entry.device == self.device)

    def sets(self) -> dict[ItemKey, ItemSet]:
        """Every item on the pad with its parts, in the order of its tags."""
        return sets_of(self.read)

    def on_pad(self) -> tuple[ItemKey, ...]:
        """Every item on the pad, once, in the order of its tags."""
        return tuple(dict.fromkeys(item.key for item in self.read if item.key is not None))

    def secured(self, key: ItemKey) -> bool | None:
        """Whether the item's tags say "in stock": None where it is not on the pad, or they differ or say neither."""
        found = self.sets().get(key)
        return found.secured if found is not None else None

    async def fresh(self) -> tuple[ItemKey, ...]:
        """Take an inventory now and give the items on the pad; raises `DeviceOffline`."""
        self._take(await self.pad.read())
        self._tell()
        return self.on_pad()

    # --- switching ---

    async def set_secured(self, key: ItemKey, secured: bool, tags: Iterable[TagItem] = ()) -> bool:
        """Write the security state of every tag of an item and read it back; gives whether all of them took it.

        Call only after the loan or return is durable. ``tags`` are those that the transaction saw: one that was pulled away since
        is waited for. What failed is queued and told as TAG_WRITTEN with ok 0.
        """
        async with self._writing:
            return await self._write(key, _Wish(secured), tags)

    async def set_by_ledger(self, key: ItemKey, tags: Iterable[TagItem] = ()) -> Righted:
        """Write what the ledger says of an item now, once this pad is free to write; what it does not know is left alone.

        Call while the item is held at the desk, so that nothing happens to it before the tag is written.
        """
        async with self._writing:
            should = self._ledger(key)
            if should is None:
                return Righted(None, None)
            if self.secured(key) is should and self._repairs.get(key) is None:
                return Righted(should, True)
            return Righted(should, await self._write(key, _Wish(should), tags), wrote=True)

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Meanwhile nobody else writes on this pad."""
        async with self._writing:
            yield

    async def undo(self, key: ItemKey, tags: Iterable[TagItem] = ()) -> bool:
        """Put back exactly what stood on an item's tags before they were unsecured; what was not read then is secured.

        Call only after it is durable that the loan did not come about.
        """
        async with self._writing:
            return await self._write(key, _Wish(secured=True, restore=True), tags)

    async def _write(self, key: ItemKey, wish: _Wish, seen: Iterable[TagItem] = ()) -> bool:
        here = {item.uid: item for item in (*seen, *self.read) if item.key == key}
        priors = self._repairs.priors(key)
        results: dict[str, SecurityWrite] = {}
        for uid in here:
            results[uid] = await self._switch(uid, wish, priors.get(uid))
        self._note(results)
        before = self._repairs.get(key)  # asked after the writes: another pad may have mended a part meanwhile
        if not wish.secured:
            first = {uid: done.before for uid, done in results.items() if done.before != Security()}
            self._repairs.switched(key, first)
            priors = self._repairs.priors(key)
        waiting = _still_waiting(here, results, before, wish, priors)
        reason = next((tag.reason for tag in waiting.values() if not tag.done), "" if waiting else "NO_TAG")
        told = (before.secured, before.restore, before.reason) if before is not None else None
        if told != (wish.secured, wish.restore, reason):
            await self._record(key, self._says(wish, results), reason)
        if reason:
            same = before is not None and (before.secured, before.restore) == (wish.secured, wish.restore)
            since = before.since if before is not None and same else self._now()
            entry = Repair(key, wish.secured, since, reason, self.device, wish.restore, waiting)
            await self._repairs.put(entry)
            self._mend_what_waits()
        else:
            if wish.secured:
                self._repairs.forget(key)
            await self._repairs.end(key)
        self._tell()
        return not reason

    async def _switch(self, uid: str, wish: _Wish, prior: Security | None) -> SecurityWrite:
        try:
            if wish.restore and prior is not None:
                return await self.pad.restore(uid, prior)
            return await self.pad.secure(uid, wish.secured)
        except DeviceOffline:
            return SecurityWrite(uid, Security(), Security(), False, "OFFLINE")

    def _note(self, results: dict[str, SecurityWrite]) -> None:
        """What the tags say now, as far as it was read back."""
        said = {uid: self.meaning(done.after) for uid, done in results.items() if done.after != Security()}
        self.read = tuple(replace(item, secured=said[item.uid]) if item.uid in said else item for item in self.read)
        self.tags = tuple(
            _written(tag, results[tag.uid].after, said[tag.uid]) if tag.uid in said else tag for tag in self.tags
        )

    def meaning(self, state: Security) -> bool | None:
        """Whether a security state is the site's "in stock"; None where it is neither of the pair."""
        if state.epc is not None:
            bank = bytes.fromhex(state.epc)
            return secured_of(int.from_bytes(bank[:2], "big"), bank[2:], self.pair) if len(bank) > 2 else None
        if state.afi is None:
            return state.eas
        secured = {"secured": True, "on_loan": False}.get(self.pair.state(state.afi))
        return True if state.eas and secured is False else secured  # either of them sounds the gate

    def _says(self, wish: _Wish, results: dict[str, SecurityWrite]) -> bool:
        """What a record says the tags were to become: for one put back as it was, what that was."""
        states = [self.meaning(done.after) for done in results.values() if done.ok]
        return states[0] if wish.restore and states and states[0] is not None else wish.secured

    async def _record(self, key: ItemKey, secured: bool, reason: str) -> None:
        self._metrics.tags_written.labels(self._metrics.library, self.device, reason or "OK").inc()
        data: dict[str, object] = {"item": [key.owner, key.item_no], "secured": int(secured), "ok": int(not reason)}
        if reason:
            data["code"] = reason
        try:
            await self._outbox.append(Draft(Kind.TAG_WRITTEN, self._branch, self.device, data))
        except OutboxError as error:
            # The loan itself is durable already; what the tag says can be read from the tag again.
            log.error("pad %s: a tag write was not recorded: %s", self.device, error.code)

    # --- mending ---

    def _waiting_here(self) -> list[Repair]:
        return [entry for entry in self._repairs.waiting() if self._can_help(entry)] if self.read else []

    def _mend_what_waits(self) -> None:
        if (self._mending is None or self._mending.done()) and self._waiting_here():
            self._mending = asyncio.get_running_loop().create_task(self._mend(), name=f"mend-{self.device}")

    async def _mend(self) -> None:
        """Try again while anything that waits lies here: at once when the pad sees something new, else with growing pauses."""
        pause_s = FIRST_PAUSE_S
        while self._waiting_here():
            try:
                async with asyncio.timeout(pause_s):
                    await self._seen.wait()
                pause_s = FIRST_PAUSE_S
            except TimeoutError:
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
            self._seen.clear()
            for entry in self._waiting_here():
                async with self._writing:
                    now = self._repairs.get(entry.key)  # a return meanwhile may want the contrary, or it is done
                    if now is not None and self._ledger(now.key) is (not now.secured):
                        # Another branch, a machine without a pad or an ILS had the item since: nobody wants that any more.
                        await self._repairs.end(now.key)
                    elif now is not None and self._can_help(now):
                        await self._write(now.key, _Wish(now.secured, now.restore))

    def _can_help(self, entry: Repair) -> bool:
        """Whether a tag lies here that still waits, or one nobody has seen yet."""
        mine = {item.uid for item in self.read if item.key == entry.key}
        return any(uid not in entry.tags or not entry.tags[uid].done for uid in mine)

    async def close(self) -> None:
        """End mending; a tag that is being written is finished, as far as that takes no longer than `CLOSE_S`."""
        if self._mending is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await self._writing.acquire()
                    self._writing.release()
            self._mending.cancel()
            await asyncio.gather(self._mending, return_exceptions=True)


def _written(tag: PadTag, state: Security, secured: bool | None) -> PadTag:
    """A tag with the security state that was read back from it."""
    if state.epc is None:
        afi = tag.afi if state.afi is None else state.afi
        return replace(tag, afi=afi, eas=tag.eas if state.eas is None else state.eas, secured=secured)
    bank = bytes.fromhex(state.epc)
    pc = int.from_bytes(bank[:2], "big")
    return replace(tag, pc=pc, epc=bank[2:], afi=pc & 0xFF if pc & TOGGLE else None, secured=secured)


def _still_waiting(
    here: dict[str, TagItem], results: dict[str, SecurityWrite], before: Repair | None, wish: _Wish, priors: dict[str, Security]
) -> dict[str, Waiting]:  # fmt: skip
    """Every tag of the item and whether it took the state: those written now, and those known from before that lie elsewhere.

    A tag that lay elsewhere when the wish was another one has to take the new one as well.
    """
    waiting = {}
    for uid, item in here.items():
        done = results[uid]
        why = "" if done.ok else done.reason or "NOT_VERIFIED"
        waiting[uid] = Waiting(item.part, priors.get(uid), done.ok, why)
    if before is not None:
        same = (before.secured, before.restore) == (wish.secured, wish.restore)
        for uid, tag in before.tags.items():
            if uid not in waiting:
                waiting[uid] = tag if same else replace(tag, done=False, reason=tag.reason or "NO_TAG")
    return waiting
