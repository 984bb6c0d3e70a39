"""Writing whole tags at the staff station: encode and convert.

Nothing is overwritten by accident: a tag that names another item is refused until staff say so, a reader's card always. Every write is
verified by the pad's driver, recorded as TAG_WRITTEN, and listed in the file of tags (at most 10,000 rows).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from consortium.events import Kind
from consortium.identity import MAX_NUMBER, ItemKey
from drivers.base import DeviceOffline, Encoder, PadTag, TagImage, TagWrite
from edge.answers import ItemRef
from edge.desk import Desk
from edge.selfservice.repairs import RepairQueue
from edge.selfservice.tags import PadTags
from edge.station.texts import REFUSALS, refusal_text
from edge.tagmap import TagItem, TagMap
from edge.tags_config import TagsConfig
from edge.tagstore import TagStore, TagStoreError
from protocols.iso28560 import LocalTagError, TagContent, TagFormat
from protocols.iso28560.encode import convert, image_of
from protocols.iso28560.uhf import identity

__all__ = ["Order", "StationRefusal", "TagWriting"]

log = logging.getLogger(__name__)

UHF_FORMATS: tuple[TagFormat, ...] = ("28560-4", "gaoxiao")
BUSY_S = 2.0
"""How long staff wait for a loan or return of the same item that is under way; a disk that hangs takes longer."""

_MINISTRY_DIGITS = 5
"""A university's UHF tag names its owner by the five digits of the Ministry of Education; the alias table has them."""


class StationRefusal(Exception):
    """The station does not do it; ``code`` is one of `REFUSALS`, ``more`` what staff need to decide."""

    def __init__(self, code: str, **more: Any) -> None:
        super().__init__(code)
        self.code = code
        self.more = more
        self.status = REFUSALS[code][0]

    def plain(self, lang: str) -> dict[str, Any]:
        """As it is answered."""
        return {"code": self.code, "text": refusal_text(self.code, lang), **self.more}


@dataclass(frozen=True, slots=True)
class Order:
    """What to encode: ``item`` as scanned, ``uid`` which tag ("" = the one that lies there), ``form`` None = this library's.

    ``replace``: also a tag that names another item; ``new``: also a number that this edge does not know.
    """

    item: str
    uid: str = ""
    form: TagFormat | None = None
    parts: int = 1
    part: int = 1
    replace: bool = False
    new: bool = False


class TagWriting:
    """Writes tags on the pads of one branch; ``now`` ms UTC."""

    def __init__(
        self,
        pads: Mapping[str, PadTags],
        desk: Desk,
        tagmap: TagMap,
        repairs: RepairQueue,
        store: TagStore,
        config: TagsConfig,
        *,
        now: Callable[[], int],
    ) -> None:
        self._pads = pads
        self._desk = desk
        self._tagmap = tagmap
        self._repairs = repairs
        self._store = store
        self._config = config
        self._now = now
        self._one = {name: asyncio.Lock() for name in pads}
        self._number = 0

    def _named(self, key: ItemKey) -> dict[str, Any]:
        return {"owner": key.owner, "item_no": key.item_no, "title": self._desk.title_of(key)}

    def _pad(self, name: str) -> PadTags:
        pad = self._pads.get(name)
        if pad is None:
            raise StationRefusal("PAD_UNKNOWN")
        return pad

    # --- encode ---

    async def encode(self, name: str, order: Order) -> dict[str, Any]:
        """Write an item on a tag and verify it. Raises StationRefusal."""
        pad, encoder = self._encoder(name)
        key = self._key(order)
        async with self._one[name]:
            uid = order.uid or self._target(pad, key)
            tag, found = await self._whole(pad, encoder, uid)
            self._allow(found, key, order.replace)
            form = order.form or self._format(tag)
            _fits(form, tag)
            content = TagContent(form, key.item_no, self._owner(key.owner, form), 1, order.parts, order.part)
            async with self.held(key):
                async with pad.alone():
                    secured = self._desk.should_be_secured(key) is not False
                    try:
                        image = image_of(
                            content,
                            form,
                            pair=pad.pair,
                            secured=secured,
                            capacity=len(tag.data),
                            block_size=tag.block_size,
                            tid=_tid(tag),
                        )
                    except LocalTagError as error:
                        raise StationRefusal("FORMAT_CANNOT_HOLD", why=str(error)) from error
                    written = await encoder.write_tag(tag.uid, image)
                await self._written(pad, tag, image, written, key, found, "encode", secured)
        return {**self._named(key), "uid": _uid_after(tag, image), "format": form, "secured": secured}

    def _key(self, order: Order) -> ItemKey:
        text = order.item.strip()
        policy = self._desk.policy
        ref = ItemRef.typed(text, frozenset(policy.libraries) if policy is not None else frozenset())
        if (
            not 0 < len(ref.item_no) <= MAX_NUMBER
            or not ref.item_no.isprintable()
            or not 1 <= order.part <= order.parts
        ):
            raise StationRefusal("ITEM_NUMBER_WRONG")
        key = ItemKey(ref.owner or self._desk.org, ref.item_no)
        if self._desk.known_item(key) is None and not order.new:
            raise StationRefusal("ITEM_NOT_IN_REPLICA", owner=key.owner, item_no=key.item_no)
        return key

    @staticmethod
    def _target(pad: PadTags, key: ItemKey) -> str:
        """The tag meant by a scan alone: the one blank tag, else the one that is nobody's, else the item's own, else the only one."""
        choices: Sequence[list[TagItem]] = (
            [item for item in pad.items if item.code == "BLANK"],
            [item for item in pad.items if item.code in ("DAMAGED", "FOREIGN") and item.content is None],
            [item for item in pad.items if item.key == key],
            list(pad.items),
        )
        best = next((found for found in choices if found), [])
        if not best:
            raise StationRefusal("NO_TAG")
        if len(best) > 1:
            raise StationRefusal("AMBIGUOUS_TAG", uids=[item.uid for item in best])
        return best[0].uid

    @staticmethod
    def _allow(found: TagItem, key: ItemKey, may_replace: bool) -> None:
        if found.code == "READER_CARD":
            raise StationRefusal("READER_CARD")
        names_other = found.key is not None and found.key != key
        # Sound content of somebody else's: another library's book, or one whose owner nobody has said.
        names_other = names_other or (found.key is None and found.content is not None)
        if names_other and not may_replace:
            other = [found.key.owner, found.key.item_no] if found.key is not None else None
            raise StationRefusal("NAMES_OTHER_ITEM", other=other)

    def _format(self, tag: PadTag) -> TagFormat:
        return self._config.uhf_format if tag.tech == "UHF" else self._config.format

    def _owner(self, org: str, form: TagFormat) -> str:
        """How a format writes an owner: a university's tag by its ministry code, every other by the ISIL."""
        if form == "gaoxiao":
            return self._tagmap.local_code(org, _MINISTRY_DIGITS) or ""
        policy = self._desk.policy
        library = policy.libraries.get(org) if policy is not None else None
        return library.isil if library is not None and library.isil else org

    # --- convert ---

    async def convert(self, name: str, uid: str, form: TagFormat, confirmed: Sequence[str]) -> dict[str, Any]:
        """Write what a tag says in another format; what that cannot say must be ``confirmed``. Raises StationRefusal."""
        pad, encoder = self._encoder(name)
        async with self._one[name]:
            tag, found = await self._whole(pad, encoder, uid)
            if found.code == "READER_CARD":
                raise StationRefusal("READER_CARD")
            if found.key is None or found.content is None:
                raise StationRefusal("NO_ITEM")
            _fits(form, tag)
            key = found.key
            content = replace(found.content, pii=key.item_no, owner=self._owner(key.owner, form))
            async with self.held(key):
                async with pad.alone():
                    should = self._desk.should_be_secured(key)
                    secured = should if should is not None else found.secured is not False
                    try:
                        done = convert(
                            content,
                            form,
                            pair=pad.pair,
                            secured=secured,
                            capacity=len(tag.data),
                            block_size=tag.block_size,
                            tid=_tid(tag),
                        )
                    except LocalTagError as error:
                        raise StationRefusal("FORMAT_CANNOT_HOLD", why=str(error)) from error
                    if not set(done.lost) <= set(confirmed):
                        raise StationRefusal("LOST_FIELDS", lost=list(done.lost))
                    written = await encoder.write_tag(tag.uid, done.image)
                await self._written(pad, tag, done.image, written, key, found, "convert", secured)
        return {**self._named(key), "uid": _uid_after(tag, done.image), "format": form, "lost": list(done.lost)}

    # --- what encode and convert share ---

    def _encoder(self, name: str) -> tuple[PadTags, Encoder]:
        pad = self._pad(name)
        if not isinstance(pad.pad, Encoder):
            raise StationRefusal("PAD_CANNOT_ENCODE")
        return pad, pad.pad

    async def _whole(self, pad: PadTags, encoder: Encoder, uid: str) -> tuple[PadTag, TagItem]:
        try:
            tag = await encoder.read_whole(uid)
        except DeviceOffline as error:
            raise StationRefusal("PAD_OFFLINE") from error
        if tag is None:
            raise StationRefusal("NO_TAG")
        return tag, self._tagmap.read(tag, pad.pair)

    @asynccontextmanager
    async def held(self, key: ItemKey) -> AsyncIterator[None]:
        """Nobody lends or returns the item meanwhile; raises StationRefusal ITEM_BUSY where somebody is at it longer than `BUSY_S`."""
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(BUSY_S):
                    await stack.enter_async_context(self._desk.held(key))
            except TimeoutError as error:
                raise StationRefusal("ITEM_BUSY") from error
            yield

    async def _written(
        self, pad: PadTags, tag: PadTag, image: TagImage, written: TagWrite, key: ItemKey, found: TagItem, what: str, secured: bool
    ) -> None:  # fmt: skip
        reason = "" if written.ok else written.reason or "NOT_VERIFIED"
        data: dict[str, Any] = {"secured": int(secured), "ok": int(written.ok)}
        if reason:
            data["code"] = reason
        await self._desk.note(Kind.TAG_WRITTEN, key, pad.device, data)
        uid = _uid_after(tag, image)
        before = [found.key.owner, found.key.item_no] if found.key is not None else found.code
        await self._log(what, pad.device, key, {"uid": uid, "before": before, "ok": written.ok, "reason": reason})
        if not written.ok:
            if reason == "LOCKED":
                raise StationRefusal("LOCKED")
            code = {"NO_TAG": "NO_TAG", "OFFLINE": "PAD_OFFLINE", "TOO_SMALL": "FORMAT_CANNOT_HOLD"}.get(
                reason, "TAG_NOT_WRITTEN"
            )
            raise StationRefusal(code, reason=reason)
        await self._learn(uid, key)
        if self._repairs.get(key) is not None:
            await pad.set_secured(key, secured)  # a new tag took the state that the old one waited for
        try:
            await pad.fresh()
        except DeviceOffline as error:
            log.warning("pad %s: gone after a tag was written: %s", pad.device, error.code)

    async def _learn(self, uid: str, key: ItemKey) -> None:
        try:
            await self._tagmap.learn(uid, key, self._now())
        except TagStoreError as error:
            raise StationRefusal("NOTHING_KEPT") from error

    async def _log(self, what: str, device: str, key: ItemKey, more: Mapping[str, Any]) -> None:
        self._number += 1
        at = self._now()
        body = {"what": what, "device": device, "item": [key.owner, key.item_no], **more}
        try:
            await self._store.put("written", f"{at:015d}-{self._number:06d}", at, body)
        except TagStoreError as error:
            log.error("a tag that was written is not in the list: %s", error)


def _fits(form: TagFormat, tag: PadTag) -> None:
    """Refuse a format for the other air interface."""
    if (form in UHF_FORMATS) != (tag.tech == "UHF"):
        raise StationRefusal("FORMAT_CANNOT_HOLD", why=f"{form} is not for {tag.tech} tags")


def _tid(tag: PadTag) -> str | None:
    """The chip's TID where the pad read it; on HF there is none."""
    return tag.uid if tag.tech == "UHF" and not _named_by_epc(tag) else None


def _named_by_epc(tag: PadTag) -> bool:
    return tag.tech == "UHF" and tag.pc is not None and tag.uid == identity(tag.pc, tag.epc)


def _uid_after(tag: PadTag, image: TagImage) -> str:
    """A tag's name after it was written: one that is named by its EPC has another."""
    return identity(image.pc, image.epc) if _named_by_epc(tag) and image.pc is not None else tag.uid
