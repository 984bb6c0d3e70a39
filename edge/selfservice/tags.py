"""What lies on a pad, as items, and their security state: read, written after the event is durable, repaired later.

A tag whose owner the bundle does not know is shown as not ours and never guessed. A write that failed leaves the item in
the put-it-back queue: its tag is set right as soon as the pad sees it again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from consortium.bundle import Policy
from consortium.events import Kind
from consortium.identity import ItemKey
from drivers.base import DeviceEvent, DeviceOffline, DeviceState, Pad, PadTag, TagsOnPad
from edge.metrics import Metrics
from edge.outbox import Draft, Outbox, OutboxError
from protocols.iso28560 import AfiPair, BlankTag, TagError, decode_tag

log = logging.getLogger(__name__)

REPAIR_MS = 30 * 60_000
"""How long a put-it-back entry stands: after that the item may have been elsewhere, and staff look at it."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.3, 5.0
"""Between tries to mend a tag that lies on the pad and does not take its state."""

OwnerOf = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A state a tag has still to take; ``since`` ms UTC of the first failure, ``reason`` of the last one told."""

    secured: bool
    since: int
    reason: str


@dataclass(frozen=True, slots=True)
class TagItem:
    """One tag on the pad: ``key`` None where it is no item of the consortium, ``secured`` None where the AFI is foreign."""

    uid: str
    key: ItemKey | None
    secured: bool | None
    code: str = "OK"


def _owner(written: str, policy: Policy | None) -> str | None:
    """The library whose ISIL or code stands on a tag (ISO 28560-3 drops the hyphen); None = not a member."""
    plain = written.replace("-", "").upper()
    for library in policy.libraries.values() if policy is not None else ():
        if plain in (library.isil.replace("-", "").upper(), library.org.upper()):
            return library.org
    return None


def read_tag(tag: PadTag, policy: Policy | None, owner_of: OwnerOf, pair: AfiPair) -> TagItem | None:
    """The item of a tag; None for a reader's card. ``owner_of`` resolves the number of a tag that names no owner."""
    secured = None if tag.afi is None else {"secured": True, "on_loan": False}.get(pair.state(tag.afi))
    try:
        content = decode_tag(tag.data, dsfid=tag.dsfid, afi=tag.afi, uid=tag.uid)
    except BlankTag:
        return TagItem(tag.uid, None, secured, "BLANK")
    except TagError:
        return TagItem(tag.uid, None, secured, "FOREIGN")
    if content.is_reader_card:
        return None
    owner = _owner(content.owner, policy) if content.owner else owner_of(content.pii)
    if owner is None or not content.pii:
        return TagItem(tag.uid, None, secured, "FOREIGN")
    return TagItem(tag.uid, ItemKey(owner, content.pii), secured)


class PadTags:
    """The tags on one pad. ``policy`` and ``owner_of`` are asked afresh at every change of the pad."""

    def __init__(
        self,
        device: str,
        pad: Pad,
        *,
        branch: str,
        pair: AfiPair,
        policy: Callable[[], Policy | None],
        owner_of: OwnerOf,
        outbox: Outbox,
        metrics: Metrics,
        now: Callable[[], int],
    ) -> None:
        self.device = device
        self.online = False
        self.items: tuple[TagItem, ...] = ()
        self._pad = pad
        self._branch = branch
        self._pair = pair
        self._policy = policy
        self._owner_of = owner_of
        self._outbox = outbox
        self._metrics = metrics
        self._now = now
        self._wanted: dict[ItemKey, _Wanted] = {}
        self._writing = asyncio.Lock()
        self._mending: asyncio.Task[None] | None = None
        self._seen = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []

    def listen(self, changed: Callable[[], None]) -> None:
        """Hear that the pad, an AFI or the queue changed; must not block."""
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
        policy = self._policy()
        read = (read_tag(tag, policy, self._owner_of, self._pair) for tag in tags)
        self.items = tuple(item for item in read if item is not None)
        self._seen.set()

    def _tell(self) -> None:
        for changed in self._listeners:
            changed()

    @property
    def put_back(self) -> tuple[ItemKey, ...]:
        """Items whose tag is not finished, oldest first."""
        now = self._now()
        for key in [key for key, wanted in self._wanted.items() if now - wanted.since > REPAIR_MS]:
            del self._wanted[key]
        return tuple(self._wanted)

    def on_pad(self) -> tuple[ItemKey, ...]:
        """Every item on the pad, once, in the order of its tags."""
        return tuple(dict.fromkeys(item.key for item in self.items if item.key is not None))

    def secured(self, key: ItemKey) -> bool | None:
        """Whether the item's tag says "in stock": None where it is not on the pad or its AFI is foreign."""
        states = [item.secured for item in self.items if item.key == key]
        return states[0] if states and len(set(states)) == 1 else None

    async def fresh(self) -> tuple[ItemKey, ...]:
        """Take an inventory now and give the items on the pad; raises `DeviceOffline`."""
        self._take(await self._pad.read())
        self._tell()
        return self.on_pad()

    async def set_secured(self, key: ItemKey, secured: bool) -> bool:
        """Write the security state of every tag of an item and read it back; gives whether all of them took it.

        Call only after the loan or return is durable. What failed is queued and told as TAG_WRITTEN with ok 0.
        """
        async with self._writing:
            return await self._write(key, secured)

    async def _write(self, key: ItemKey, secured: bool) -> bool:
        afi = self._pair.secured if secured else self._pair.on_loan
        uids = [item.uid for item in self.items if item.key == key]
        reason = "" if uids else "NO_TAG"
        after: dict[str, bool | None] = {}
        for uid in uids:
            try:
                written = await self._pad.write_afi(uid, afi)
            except DeviceOffline:
                reason = "OFFLINE"
                continue
            if written.after is not None:
                after[uid] = {"secured": True, "on_loan": False}.get(self._pair.state(written.after))
            if not written.ok:
                reason = written.reason or "NOT_VERIFIED"
        self.items = tuple(
            TagItem(item.uid, item.key, after[item.uid], item.code) if item.uid in after else item
            for item in self.items
        )
        before = self._wanted.pop(key, None)
        if reason:
            since = before.since if before is not None and before.secured == secured else self._now()
            self._wanted[key] = _Wanted(secured, since, reason)
            self._start_mending()
        if before is None or (before.secured, before.reason) != (secured, reason):
            await self._record(key, secured, reason)
        self._tell()
        return not reason

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

    def _start_mending(self) -> None:
        if self._mending is None or self._mending.done():
            self._mending = asyncio.get_running_loop().create_task(self._mend(), name=f"mend-{self.device}")

    async def _mend(self) -> None:
        """Try again while anything waits: at once when the pad sees something new, else with growing pauses."""
        pause_s = FIRST_PAUSE_S
        while waiting := self.put_back:
            try:
                async with asyncio.timeout(pause_s):
                    await self._seen.wait()
                pause_s = FIRST_PAUSE_S
            except TimeoutError:
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
            self._seen.clear()
            for key in waiting:
                async with self._writing:
                    wanted = self._wanted.get(key)  # a return meanwhile may want the contrary, or it is done
                    if wanted is not None and key in self.on_pad():
                        await self._write(key, wanted.secured)

    async def close(self) -> None:
        """End mending."""
        if self._mending is not None:
            self._mending.cancel()
            await asyncio.gather(self._mending, return_exceptions=True)
