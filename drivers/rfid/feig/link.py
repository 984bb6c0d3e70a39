"""FEIG's language as a `drivers.rfid.link.TagLink`: host commands, and the buffer of devices that scan by themselves.

Host commands cost three exchanges and some 118 bytes of wire for each tag of ISO 28560-3; a buffer read costs 53 bytes and no
exchange of its own. A device in buffered read mode answers host commands with status 82: that is how "auto" tells the two.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from drivers.base import DeviceOffline, Fact, PadTag, Security, TagImage
from drivers.port import Port
from drivers.rfid.feig.buffered import Buffer
from drivers.rfid.feig.line import AskedForm, FeigLine
from drivers.rfid.feig.writing import TagWriter, refused
from drivers.rfid.link import Seen, TagRefused
from protocols.feig import (
    ANY_ADDRESS,
    ISO15693_ERROR,
    LENGTH_ERROR,
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
MAX_BYTES = 128
"""Most bytes of one reading or writing (H20800, 7.1.3)."""
DSFID_PART3 = 0x3E
_NXP = "E004"
_NO_SUCH_COMMAND = frozenset({UNKNOWN_COMMAND, LENGTH_ERROR, NOT_AVAILABLE})
_INVENTORY_TRIES = 3


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

    @property
    def errors(self) -> int:
        """Time-outs and bad frames so far."""
        return self.line.errors

    def counters(self) -> Mapping[str, int]:
        """Commands, time-outs, bad frames, answers of other addresses since the port was opened."""
        return self.line.counters()

    async def begin(self) -> Mapping[str, Fact]:
        """Ask who is there and how it works: firmware, reader_type, frame, mode, and the longest answer where told."""
        facts: dict[str, Fact] = {}
        with contextlib.suppress(StatusError):
            version = await self.line.ask(VersionRequest())
            facts["firmware"] = f"{version.software[0]}.{version.software[1]}"
            facts["reader_type"] = version.reader_type
        with contextlib.suppress(StatusError):
            info = await self.line.ask(ReaderInfoRequest())
            if len(info.rest) >= 6:  # TR-TYPE, RX-BUF, TX-BUF
                facts["longest_answer"] = int.from_bytes(info.rest[4:6], "big")
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
            return await self._buffer.look()
        return await self._ask_for_all()

    async def _ask_for_all(self) -> dict[str, Seen]:
        found: dict[str, Seen] = {}
        more = False
        while len(found) < MAX_TAGS:
            try:
                reply = await self.line.ask(InventoryRequest(more))
            except StatusError as error:
                if error.retry:
                    if found:
                        break
                    raise TagRefused("NO_TAG") from error
                raise DeviceOffline("DEVICE_FAULT", f"the pad answered {error.code} to an inventory") from error
            found.update((tag.uid, Seen(tag.uid, tag.dsfid)) for tag in reply.tags)
            more = reply.more and bool(reply.tags)
            if not more:
                break
        return found

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
        blocks = MAX_BLOCKS if info is None else min(MAX_BLOCKS, info.block_count)
        data, size = await self._read_blocks(seen.uid, dsfid, blocks)
        return PadTag(seen.uid, dsfid or 0, afi, data, size, secured=secured)

    async def _information(self, uid: str) -> SystemInformationReply | None:
        """Ask a tag for DSFID, AFI and size; None for a chip that lacks the command: it then has no AFI to speak of."""
        try:
            return await self.line.ask(SystemInformationRequest(uid))
        except StatusError as error:
            if error.status != ISO15693_ERROR:
                raise
            return None

    async def _read_blocks(self, uid: str, dsfid: int | None, blocks: int) -> tuple[bytes, int]:
        """Read as much of the user memory as the format says is used: at 38400 baud every block costs 1.4 ms."""
        first = min(FIRST_BLOCKS, blocks) if dsfid == DSFID_PART3 else blocks
        content = await self.line.ask(ReadBlocksRequest(uid, 0, first))
        data = content.data
        # byte 34 begins the next block; 33 is the same byte on tags that store every block reversed
        if first < blocks and any(data[33:35]):
            data += (await self.line.ask(ReadBlocksRequest(uid, first, blocks - first))).data
        return data, content.block_size

    async def read_whole(self, uid: str) -> PadTag:
        """All of a tag's memory, its AFI and its EAS bit; raises `TagRefused`."""
        try:
            async with self._host_mode():
                info = await self._information(uid)
                blocks, size = (MAX_BLOCKS, 4) if info is None else (info.block_count, info.block_size)
                data = b""
                step = max(1, MAX_BYTES // size)
                for first in range(0, blocks, step):
                    request = ReadBlocksRequest(uid, first, min(step, blocks - first))
                    data += (await self.line.ask(request)).data
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
        try:
            await self.line.ask(EasAlarmRequest(uid))
        except StatusError as error:
            if error.status == NO_TAG:
                return False
            if error.status in _NO_SUCH_COMMAND:
                self._eas = False  # this device has no maker's commands (CPR): the AFI alone is the security
                return None
            if error.status == ISO15693_ERROR:
                return None
            raise
        return True

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

    def _host_mode(self) -> _HostMode:
        return _HostMode(self.line if self.buffered else None)


class _HostMode:
    """Holds a device that scans by itself in host mode, for as long as host commands are asked."""

    def __init__(self, line: FeigLine | None) -> None:
        self._line = line

    async def __aenter__(self) -> None:
        if self._line is not None:
            await self._switch(hold=True)

    async def __aexit__(self, *_: object) -> None:
        if self._line is not None:
            await asyncio.shield(self._switch(hold=False))

    async def _switch(self, *, hold: bool) -> None:
        assert self._line is not None
        try:
            await self._line.ask(RfOutputRequest(hold=hold))
        except StatusError as error:
            raise DeviceOffline("DEVICE_FAULT", f"the pad answered {error.code} to the switch of its mode") from error
