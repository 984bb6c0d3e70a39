"""FEIG's language as a `drivers.rfid.link.TagLink`: host commands, and the buffer of devices that scan by themselves.

Host commands cost three exchanges and some 118 bytes of wire for each tag of ISO 28560-3; a buffer read costs 53 bytes and no
exchange of its own. A device in buffered read mode answers host commands with status 82: that is how "auto" tells the two.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from drivers.base import DeviceOffline, Fact, PadTag, Security, TagImage
from drivers.port import Port
from drivers.rfid.feig.buffered import Buffer
from drivers.rfid.feig.line import AskedForm, FeigLine
from drivers.rfid.feig.writing import TagWriter, refused
from drivers.rfid.link import FOREIGN_TAG, PartOfField, Seen, TagRefused
from protocols.feig import (
    ANY_ADDRESS,
    NO_TAG,
    NOT_AVAILABLE,
    UNKNOWN_COMMAND,
    EasAlarmRequest,
    InventoryRequest,
    ReadBlocksRequest,
    ReaderInfoRequest,
    RfOutputRequest,
    StatusError,
    SystemInformationReply,
    SystemInformationRequest,
    VersionRequest,
)
from protocols.iso28560 import DEFAULT_AFI, AfiPair

__all__ = ["AskedMode", "FeigLink"]

AskedMode = Literal["auto", "host", "buffered"]
MAX_TAGS = 256
MAX_BLOCKS = 28
"""Blocks read of a tag in passing: the 112 bytes of the usual library chip; larger chips keep their item data there too."""
FIRST_BLOCKS = 9
"""The basic block of ISO 28560-3 and the first length byte after it; the rest is fetched where that is not 0."""
BASIC_BYTES = 36
"""As many bytes, whatever the size of a block."""
MAX_BYTES = 128
"""Most bytes of one reading or writing (H20800, 7.1.3)."""
DSFID_PART3 = 0x3E
_NXP = "E004"
_CHIP_LACKS = frozenset({0x01, 0x02})
"""ISO 15693-3 errors: command not supported, not recognised. All others (0F at the field's edge) say nothing about the chip."""


class FeigLink:
    """One open line to a FEIG pad. ``valid_ms`` is the VALID-TIME of a device in buffered read mode; ``eas`` False leaves the
    chip's security bit alone; ``lock`` locks the blocks that an image names, for ever."""

    def __init__(
        self,
        port: Port,
        *,
        address: int = ANY_ADDRESS,
        form: AskedForm = "auto",
        mode: AskedMode = "auto",
        pair: AfiPair = DEFAULT_AFI,
        eas: bool = True,
        lock: bool = False,
        valid_ms: int = 1000,
    ) -> None:
        self.line = FeigLine(port, address, form)
        self._pair = pair
        self._mode = mode
        self._eas = eas
        self._buffer = Buffer(self.line, valid_ms / 1000)
        self._writer = TagWriter(self.line, lock=lock)
        self.buffered = False
        self._maybe_held = False
        self._foreign = 0

    @property
    def errors(self) -> int:
        """Time-outs and bad frames so far."""
        return self.line.errors

    def counters(self) -> Mapping[str, int]:
        """Commands, time-outs, bad frames, answers of other addresses, records of tags that are no ISO 15693, since opened."""
        return {**self.line.counters(), "foreign_tags": self._foreign}

    async def begin(self) -> Mapping[str, Fact]:
        """Ask who is there and how it works: firmware, reader_type, frame, mode, and the longest answer where told.

        A device that may scan by itself is let go first: whoever asked before may have died while holding it in host mode.
        """
        facts: dict[str, Fact] = {}
        with contextlib.suppress(StatusError):
            version = await self.line.ask(VersionRequest())
            facts["firmware"] = f"{version.software[0]}.{version.software[1]}"
            facts["reader_type"] = version.reader_type
        with contextlib.suppress(StatusError):
            info = await self.line.ask(ReaderInfoRequest())
            if len(info.rest) >= 6:  # TR-TYPE, RX-BUF, TX-BUF
                facts["longest_answer"] = int.from_bytes(info.rest[4:6], "big")
        if self._mode != "host":
            with contextlib.suppress(StatusError):  # a device that has no such order scans by itself never
                await self.line.ask(RfOutputRequest())
        self.buffered = self._mode == "buffered" or (self._mode == "auto" and await self._scans_by_itself())
        return {**facts, "frame": self.line.form, "mode": "buffered" if self.buffered else "host"}

    async def _scans_by_itself(self) -> bool:
        try:
            await self.line.ask(InventoryRequest())
        except StatusError as error:
            return error.status == NOT_AVAILABLE
        return False

    async def inventory(self) -> Mapping[str, Seen]:
        """Every tag in the field; in buffered mode with its content where that is an item of ISO 28560-3."""
        if self.buffered:
            if self._maybe_held:
                await self._hold(False)
            return await self._buffer.look()
        return await self._ask_for_all()

    async def _ask_for_all(self) -> Mapping[str, Seen]:
        found: dict[str, Seen] = {}
        more = noisy = False
        while len(found) < MAX_TAGS:
            try:
                reply = await self.line.ask(InventoryRequest(more))
            except StatusError as error:
                if error.retry:
                    if found:
                        return PartOfField(found)
                    raise TagRefused("NO_TAG") from error
                raise DeviceOffline("DEVICE_FAULT", f"the pad answered {error.code} to an inventory") from error
            found.update((tag.uid, Seen(tag.uid, tag.dsfid)) for tag in reply.tags)
            self._foreign += len(reply.others) + bool(reply.unread)
            if reply.unread:
                return PartOfField(found, FOREIGN_TAG)
            noisy = noisy or reply.warning
            more = reply.more and bool(reply.tags or reply.others)
            if not more:
                break
        return PartOfField(found) if noisy else found

    async def read(self, wanted: Sequence[Seen], known: Mapping[str, PadTag]) -> Mapping[str, PadTag]:
        """Content and AFI of these tags; what the chip's EAS bit says is not asked here, it costs as much as the rest."""
        read: dict[str, PadTag] = {}
        async with self._host_mode():
            for seen in wanted:
                with contextlib.suppress(StatusError):
                    read[seen.uid] = await self._read_tag(seen, known.get(seen.uid))
        return read

    async def _read_tag(self, seen: Seen, cached: PadTag | None) -> PadTag:
        info = await self._information(seen.uid)
        dsfid = seen.dsfid if info is None else info.dsfid
        afi = None if info is None else info.afi
        secured = None if afi is None else self._secured(afi)
        if cached is not None and dsfid in (None, cached.dsfid):
            return replace(cached, afi=afi, eas=None, secured=secured)
        data, size = await self._read_blocks(seen.uid, dsfid, info)
        return PadTag(seen.uid, dsfid or 0, afi, data, size, secured=secured)

    async def _information(self, uid: str) -> SystemInformationReply | None:
        """Ask a tag for DSFID, AFI and size; None for a chip that lacks the command: it then has no AFI to speak of.

        Raises `StatusError`, also for any other error of the tag: nothing is known of its AFI then, which is not the same.
        """
        try:
            return await self.line.ask(SystemInformationRequest(uid))
        except StatusError as error:
            if error.iso_error not in _CHIP_LACKS:
                raise
            return None

    async def _read_blocks(self, uid: str, dsfid: int | None, info: SystemInformationReply | None) -> tuple[bytes, int]:
        """Read as much of the user memory as the format says is used: at 38400 baud every block costs 1.4 ms."""
        if info is None:  # neither their number nor their size is known
            blocks, first = MAX_BLOCKS, FIRST_BLOCKS
        else:
            blocks = min(MAX_BLOCKS, info.block_count)
            basic = dsfid == DSFID_PART3
            first = min(blocks, -(-BASIC_BYTES // info.block_size) if basic else MAX_BYTES // info.block_size)
        content = await self.line.ask(ReadBlocksRequest(uid, 0, first))
        data = content.data
        # byte 34 begins the next block; 33 is the same byte on tags that store every block reversed
        if first < blocks and (dsfid != DSFID_PART3 or any(data[33:35])):
            data += await self._rest_of(uid, first, blocks, content.block_size)
        return data, content.block_size

    async def _rest_of(self, uid: str, first: int, blocks: int, size: int) -> bytes:
        """Read the blocks from ``first`` on, as many at once as the device gives; raises `StatusError`."""
        data = b""
        step = max(1, MAX_BYTES // size)
        for at in range(first, blocks, step):
            data += (await self.line.ask(ReadBlocksRequest(uid, at, min(step, blocks - at)))).data
        return data

    async def read_whole(self, uid: str) -> PadTag:
        """All of a tag's memory, its AFI and its EAS bit; raises `TagRefused`."""
        try:
            async with self._host_mode():
                info = await self._information(uid)
                blocks, size = (MAX_BLOCKS, 4) if info is None else (info.block_count, info.block_size)
                data = await self._rest_of(uid, 0, blocks, size)
                eas = await self._eas_of(uid)
        except StatusError as error:
            raise refused(error) from error
        afi = None if info is None else info.afi
        dsfid = 0 if info is None else info.dsfid
        secured = True if eas else None if afi is None else self._secured(afi)
        return PadTag(uid, dsfid, afi, data, size, eas=eas, secured=secured)

    async def security(self, uid: str) -> Security:
        """AFI and EAS as they stand on the tag; raises `TagRefused`."""
        try:
            async with self._host_mode():
                return await self._security(uid)
        except StatusError as error:
            raise refused(error) from error

    async def _security(self, uid: str) -> Security:
        eas = await self._eas_of(uid)
        info = await self._information(uid)
        if eas is False:
            # silence is also what a tag says that is not there: it must be silent again after it was heard
            eas = await self._eas_of(uid)
        return Security(None if info is None else info.afi, eas)

    async def _eas_of(self, uid: str) -> bool | None:
        if not self._eas or not uid.startswith(_NXP):
            return None
        for _ in range(2):
            try:
                await self.line.ask(EasAlarmRequest(uid))
            except StatusError as error:
                if error.status == NO_TAG:
                    return False
                if error.iso_error in _CHIP_LACKS:
                    return None
                if error.status != UNKNOWN_COMMAND:
                    raise  # 82: it fell out of host mode, which says nothing about its commands
            else:
                return True
        self._eas = False  # said twice: this device has no maker's commands (CPR), and the AFI alone is the security
        return None

    async def write_security(self, uid: str, wanted: Security) -> None:
        """Write AFI and EAS, both even where the first is refused; raises `TagRefused`."""
        async with self._host_mode():
            await self._writer.security(uid, wanted)

    async def write_image(self, uid: str, image: TagImage) -> None:
        """Write content, DSFID, AFI and EAS, in this order; raises `TagRefused`."""
        eas = image.eas if self._eas and uid.startswith(_NXP) else None
        try:
            async with self._host_mode():
                info = await self._information(uid)
                if info is not None and len(image.data) > info.block_count * info.block_size:
                    raise TagRefused("TOO_SMALL")
                await self._writer.image(uid, replace(image, eas=eas), info)
        except StatusError as error:
            raise refused(error) from error

    def security_of(self, secured: bool, now: Security) -> Security:
        """AFI and EAS by the site's pair; a chip without one of them has not to have it."""
        afi = self._pair.secured if secured else self._pair.on_loan
        return Security(None if now.afi is None else afi, None if now.eas is None else secured)

    def _secured(self, afi: int) -> bool | None:
        return {"secured": True, "on_loan": False}.get(self._pair.state(afi))

    @contextlib.asynccontextmanager
    async def _host_mode(self) -> AsyncIterator[None]:
        """Hold a device that scans by itself in host mode, for as long as host commands are asked.

        Whoever is cancelled meanwhile waits until it is let go: the line takes one question at a time.
        """
        if not self.buffered:
            yield
            return
        try:
            await self._hold(True)
            yield
        except DeviceOffline:
            raise  # there is no line to say it over; it is said before the next look
        except BaseException:
            await self._let_go()
            raise
        await self._let_go()

    async def _let_go(self) -> None:
        letting_go = asyncio.ensure_future(self._hold(False))
        try:
            await asyncio.shield(letting_go)
        except asyncio.CancelledError:
            with contextlib.suppress(DeviceOffline):
                await letting_go
            raise

    async def _hold(self, hold: bool) -> None:
        self._maybe_held = True  # until it is known to be let go
        try:
            await self.line.ask(RfOutputRequest(hold=hold))
        except StatusError as error:
            raise DeviceOffline("DEVICE_FAULT", f"the pad answered {error.code} to the switch of its mode") from error
        self._maybe_held = hold
