"""A 3M 210/810 pad as a `drivers.rfid.link.TagLink`: what lies in the field, what stands on a tag, what is written to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from drivers.base import Fact, PadTag, Security
from drivers.port import Port
from drivers.rfid.link import Refusal, Seen, TagRefused
from drivers.rfid.mmm.line import MmmLine
from drivers.rfid.securing import with_security
from protocols.iso28560 import DEFAULT_AFI, AfiPair
from protocols.iso28560.image import TagImage
from protocols.mmm import (
    BLOCK_SIZE,
    INFO_AFI,
    INFO_DSFID,
    INFO_SIZE,
    LOCKED,
    NEW_STYLE,
    NO_LOCK,
    NO_TAG,
    NOT_AVAILABLE,
    NOT_IMPLEMENTED,
    OPTION_DSFID,
    OPTION_NOT_SUPPORTED,
    OPTION_UID,
    PARAMETER,
    UNSUPPORTED,
    CheckEasRequest,
    GetAfiRequest,
    GetDsfidRequest,
    InventoryRequest,
    LockBlockRequest,
    MmmError,
    ReadBlocksRequest,
    TagInfoReply,
    TagInfoRequest,
    WriteAfiRequest,
    WriteBlocksRequest,
    WriteDsfidRequest,
    WriteEasRequest,
)

__all__ = ["MmmLink"]

MAX_BLOCKS = 28
"""Blocks read of a tag on the pad: the 112 bytes of the usual library chip; larger chips keep their item data there too."""
CHUNK, BIG_CHUNK = 8, 64
"""Blocks in one command: old firmware is only known to do eight (public drivers never ask for more)."""
_DSFID_PART3 = 0x3E
_BASIC_BLOCKS = 9
"""The basic block of ISO 28560-3 and the first length byte after it."""
_LEGACY_BLOCKS, _LEGACY = 8, 0x04
"""A 3M item (RFID501) is eight blocks and begins with 04; its tags have DSFID 0."""
_NXP = "E004"
_STYLES = (NEW_STYLE | NO_LOCK, NEW_STYLE, None)
_NO_SUCH_OPTION = frozenset({OPTION_NOT_SUPPORTED, PARAMETER, NOT_IMPLEMENTED})


class MmmLink:
    """One open line to a 3M pad.

    ``eas`` False leaves the chip's own security bit alone (a site that uses the AFI only). ``old_reads`` True asks for blocks as old
    hosts do, without options. ``lock`` True locks an image's blocks for ever once they were read back right.
    """

    def __init__(
        self,
        port: Port,
        *,
        afi_pair: AfiPair = DEFAULT_AFI,
        eas: bool = True,
        old_reads: bool = False,
        lock: bool = False,
    ) -> None:
        self._line = MmmLine(port)
        self._pair = afi_pair
        self._use_eas = eas
        self._style = 2 if old_reads else 0
        self._lock = lock
        self._inventory_options = OPTION_UID | OPTION_DSFID
        self._has_tag_info = True
        self._duplicates = 0
        self._foreign = 0

    @property
    def errors(self) -> int:
        """Time-outs and bad frames so far."""
        return self._line.errors

    def counters(self) -> Mapping[str, int]:
        """Commands, frames, time-outs, bad frames; tags told twice in one inventory; tags that are no ISO 15693 (TI Tag-it)."""
        return {**self._line.counters(), "duplicates": self._duplicates, "foreign_tags": self._foreign}

    async def begin(self) -> Mapping[str, Fact]:
        """First contact: the firmware's version."""
        return {"firmware": await self._line.greet()}

    async def inventory(self) -> Mapping[str, Seen]:
        """Every ISO 15693 tag in the field by UID, with its DSFID where the firmware tells it."""
        try:
            reply = await self._line.ask(InventoryRequest(0, self._inventory_options))
        except MmmError as error:
            if error.error == NO_TAG:
                return {}
            if error.error in _NO_SUCH_OPTION and self._inventory_options & OPTION_DSFID:
                self._inventory_options = OPTION_UID
            raise TagRefused("NO_TAG") from error
        found: dict[str, Seen] = {}
        for tag in reply.tags:
            if tag.uid is None or not tag.uid.startswith("E0"):
                self._foreign += 1
            elif tag.uid in found:  # it did not hear the quiet command and answered the second poll
                self._duplicates += 1
            else:
                found[tag.uid] = Seen(tag.uid, tag.dsfid)
        return found

    async def read(self, wanted: Sequence[Seen], known: Mapping[str, PadTag]) -> Mapping[str, PadTag]:
        """Security and content of these tags; those that left are missing."""
        found: dict[str, PadTag] = {}
        for seen in wanted:
            try:
                found[seen.uid] = await self._read_one(seen, known.get(seen.uid))
            except MmmError:
                continue
        return found

    async def _read_one(self, seen: Seen, known: PadTag | None) -> PadTag:
        eas = await self._eas(seen.uid)
        info = await self._info(seen.uid)  # after the EAS: its answer says that the tag was there all the time
        dsfid = seen.dsfid if seen.dsfid is not None else await self._dsfid(seen.uid, info)
        if known is not None and known.dsfid == dsfid and known.data:
            tag = replace(known, afi=info.afi, eas=eas)
        else:
            tag = PadTag(seen.uid, dsfid, info.afi, await self._content(seen.uid, dsfid, info), BLOCK_SIZE, eas=eas)
        return with_security(self, tag, Security(info.afi, eas))

    async def _content(self, uid: str, dsfid: int, info: TagInfoReply) -> bytes:
        """Read as much of the memory as the format says is used: at 19200 baud every block costs 2 ms."""
        most = min(info.block_count or MAX_BLOCKS, MAX_BLOCKS)
        first = min(_BASIC_BLOCKS if dsfid == _DSFID_PART3 else _LEGACY_BLOCKS, most)
        data = await self._blocks(uid, 0, first)
        # byte 34 begins the next block; 33 is the same byte on tags that store every block reversed
        part3_ends = dsfid == _DSFID_PART3 and not any(data[33:35])
        ends = part3_ends or (dsfid == 0 and (data[:1] == bytes((_LEGACY,)) or not any(data)))
        return data if ends or len(data) < first * BLOCK_SIZE else data + await self._blocks(uid, first, most - first)

    async def _blocks(self, uid: str, first: int, count: int) -> bytes:
        """Read blocks in chunks; ends early where the tag ends. Raises `MmmError` where the first is refused."""
        data = b""
        at, end = first, first + count
        step = CHUNK if _STYLES[self._style] is None else min(count, BIG_CHUNK)
        while at < end:
            size = min(step, end - at)
            try:
                data += await self._few(uid, at, size)
            except MmmError as error:
                if error.error != NOT_AVAILABLE:
                    raise
                if size > 1:
                    step = size // 2  # the tag is smaller than asked: towards its end by halves
                    continue
                if data:
                    break
                raise
            at += size
        return data

    async def _few(self, uid: str, first: int, count: int) -> bytes:
        while True:
            try:
                return (await self._line.ask(ReadBlocksRequest(uid, first, count, _STYLES[self._style]))).data
            except MmmError as error:
                if error.error not in _NO_SUCH_OPTION or _STYLES[self._style] is None:
                    raise
                self._style += 1  # older firmware: ask more plainly from now on

    async def _info(self, uid: str) -> TagInfoReply:
        """AFI and memory size in one question where pad and tag know it; else the AFI alone. Raises `MmmError`."""
        if self._has_tag_info:
            try:
                info = await self._line.ask(TagInfoRequest(uid, INFO_DSFID | INFO_AFI | INFO_SIZE))
                if info.afi is not None:
                    return info
            except MmmError as error:
                if error.error == NOT_IMPLEMENTED:
                    self._has_tag_info = False
                elif error.error != NO_TAG and error.error not in UNSUPPORTED:
                    raise
        try:
            return TagInfoReply(uid, afi=(await self._line.ask(GetAfiRequest(uid))).value)
        except MmmError as error:
            if error.error in UNSUPPORTED:
                return TagInfoReply(uid)  # there, and without an AFI
            raise

    async def _dsfid(self, uid: str, info: TagInfoReply) -> int:
        if info.dsfid is not None:
            return info.dsfid
        try:
            return (await self._line.ask(GetDsfidRequest(uid))).value
        except MmmError as error:
            if error.error in UNSUPPORTED:
                return 0
            raise

    async def _eas(self, uid: str, *, twice: bool = False) -> bool | None:
        """The chip's security bit, None where it has none. Only a chip whose bit is on answers: 06 is read as off."""
        if not self._use_eas or not uid.startswith(_NXP):
            return None
        for _ in range(2 if twice else 1):
            try:
                return (await self._line.ask(CheckEasRequest(uid))).value == 1
            except MmmError as error:
                if error.error in UNSUPPORTED:
                    return None
                if error.error != NO_TAG:
                    raise
        return False

    async def security(self, uid: str) -> Security:
        """AFI and EAS as they stand on the tag; raises `TagRefused`.

        EAS "off" is silence, so it is asked twice, and the AFI after it proves that the tag was there.
        """
        try:
            eas = await self._eas(uid, twice=True)
            return Security((await self._info(uid)).afi, eas)
        except MmmError as error:
            raise _refused(error) from error

    async def write_security(self, uid: str, wanted: Security) -> None:
        """Write AFI and EAS, both even where the first is refused; raises `TagRefused` with the first refusal."""
        refused: MmmError | None = None
        if wanted.afi is not None:
            try:
                await self._line.ask(WriteAfiRequest(uid, wanted.afi))
            except MmmError as error:
                refused = error
        if wanted.eas is not None:
            try:
                await self._line.ask(WriteEasRequest(uid, int(wanted.eas)))
            except MmmError as error:
                refused = refused or error
        if refused is not None:
            raise _refused(refused) from refused

    async def read_whole(self, uid: str) -> PadTag:
        """All of a tag's memory (as far as 256 blocks); raises `TagRefused`."""
        try:
            eas = await self._eas(uid, twice=True)
            info = await self._info(uid)
            dsfid = await self._dsfid(uid, info)
            data = await self._blocks(uid, 0, info.block_count or 256)
        except MmmError as error:
            raise _refused(error) from error
        tag = PadTag(uid, dsfid, info.afi, data, BLOCK_SIZE, eas=eas)
        return with_security(self, tag, Security(info.afi, eas))

    async def write_image(self, uid: str, image: TagImage) -> None:
        """Write a whole tag: blocks that differ, DSFID, block 0, locks where asked for, then AFI and EAS; raises `TagRefused`.

        Blocks that already hold what is wanted are left alone, so that a tag with locked blocks can be written again. Where one
        differs, block 0 is zeros until all else stands there: a tag pulled away midway is no item, never another one.
        """
        try:
            info = await self._info(uid)
            wanted = image.data + bytes(-len(image.data) % BLOCK_SIZE)
            if image.tech != "HF" or len(wanted) > BLOCK_SIZE * (info.block_count or 256):
                raise TagRefused("TOO_SMALL")
            present = await self._blocks(uid, 0, len(wanted) // BLOCK_SIZE)
            if len(present) < len(wanted):
                raise TagRefused("TOO_SMALL")
            dsfid_differs = await self._dsfid(uid, info) != image.dsfid
            part3 = image.dsfid == _DSFID_PART3
            emptied = await self._empty_head(uid, present, wanted, dsfid_differs, part3 and not dsfid_differs)
            await self._write_differing(uid, present, wanted)
            if dsfid_differs:
                await self._line.ask(WriteDsfidRequest(uid, image.dsfid))
            if emptied:
                await self._line.ask(WriteBlocksRequest(uid, 0, wanted[:BLOCK_SIZE]))
            if self._lock and image.locks:
                await self._lock_blocks(uid, wanted, image.locks)
        except MmmError as error:
            raise _refused(error) from error
        eas = image.eas if self._use_eas and uid.startswith(_NXP) else None
        await self.write_security(uid, Security(image.afi, eas))

    async def _empty_head(self, uid: str, present: bytes, wanted: bytes, dsfid_differs: bool, part3: bool) -> bool:
        """Write zeros to block 0 where anything of the tag differs; False where nothing does, or where it is locked and right."""
        if not wanted or (present == wanted and not dsfid_differs):
            return False
        try:
            await self._line.ask(WriteBlocksRequest(uid, 0, bytes(BLOCK_SIZE)))
        except MmmError as error:
            if error.error == LOCKED and part3 and present[:BLOCK_SIZE] == wanted[:BLOCK_SIZE]:
                return False  # a half-written tag of ISO 28560-3 is found out by its check value
            raise
        return True

    async def _write_differing(self, uid: str, present: bytes, wanted: bytes) -> None:
        """Write the blocks after block 0 that differ."""
        places = range(BLOCK_SIZE, len(wanted), BLOCK_SIZE)
        differing = [at for at in places if present[at : at + BLOCK_SIZE] != wanted[at : at + BLOCK_SIZE]]
        while differing:
            run = [differing.pop(0)]
            while differing and differing[0] == run[-1] + BLOCK_SIZE and len(run) < CHUNK:
                run.append(differing.pop(0))
            await self._line.ask(WriteBlocksRequest(uid, run[0] // BLOCK_SIZE, wanted[run[0] : run[-1] + BLOCK_SIZE]))

    async def _lock_blocks(self, uid: str, wanted: bytes, locks: Sequence[int]) -> None:
        """Lock for ever, but nothing that was not read back as it was meant."""
        if await self._blocks(uid, 0, len(wanted) // BLOCK_SIZE) != wanted:
            raise TagRefused("WRITE_ERROR")
        for block in locks:
            try:
                await self._line.ask(LockBlockRequest(uid, block))
            except MmmError as error:
                if error.error != LOCKED:  # it is locked already
                    raise

    def security_of(self, secured: bool, now: Security) -> Security:
        """What ``now`` must become; parts the tag does not have stay None (a tag with neither is asked for the AFI)."""
        afi = self._pair.secured if secured else self._pair.on_loan
        return Security(
            afi=afi if now.afi is not None or now.eas is None else None, eas=secured if now.eas is not None else None
        )


def _refused(error: MmmError) -> TagRefused:
    reason: Refusal = "WRITE_ERROR"
    if error.error == LOCKED:
        reason = "LOCKED"
    elif error.error == NO_TAG:
        reason = "NO_TAG"
    return TagRefused(reason)
