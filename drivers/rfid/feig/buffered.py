"""The tags in the field by a device's own buffer: it scans by itself, we fetch what it found.

The device tells a tag again when its VALID-TIME is over, so a tag that was not told for longer has left. A record holds no DSFID and
no AFI: content that is an item of ISO 28560-3 by its check value is told at once, all else is read by host commands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from drivers.base import PadTag
from drivers.rfid.feig.line import FeigLine
from drivers.rfid.link import Seen, TagRefused
from protocols.feig import ClearBufferRequest, ReadBufferRequest, StatusError, TagRecord
from protocols.feig.buffer import MOST_SETS
from protocols.iso28560 import TagError, decode_part3

__all__ = ["Buffer", "tag_of"]

SCAN_S = 0.6
"""Time a device may need for one turn through a full field (20 tags with blocks: 0.47 s), on top of its VALID-TIME."""
MAX_READS = 16
ISO15693 = 0x03
_DSFID_PART3 = 0x3E
_BASIC_BYTES = 34


@dataclass(slots=True)
class _Told:
    seen: Seen
    at: float


class Buffer:
    """Believes a tag to be there for ``valid_s`` and a scan after it was told last."""

    def __init__(self, line: FeigLine, valid_s: float) -> None:
        self._line = line
        self._keep_s = valid_s + SCAN_S
        self._told: dict[str, _Told] = {}

    async def look(self) -> Mapping[str, Seen]:
        """Fetch what is new and give every tag believed to be there; raises `TagRefused` where the device found the air noisy."""
        loop = asyncio.get_running_loop()
        for _ in range(MAX_READS):
            try:
                reply = await self._line.ask(ReadBufferRequest())
            except StatusError as error:
                raise TagRefused("NO_TAG") from error
            now = loop.time()
            for record in reply.records:
                if record.tag_type == ISO15693 and len(record.uid) == 16:
                    self._told[record.uid] = _Told(Seen(record.uid, None, tag_of(record), sure=True), now)
            if reply.records or reply.overflow:
                await self._clear()
            if not reply.more and len(reply.records) < MOST_SETS:
                break
        self._told = {uid: told for uid, told in self._told.items() if loop.time() - told.at <= self._keep_s}
        return {uid: told.seen for uid, told in self._told.items()}

    async def _clear(self) -> None:
        try:
            await self._line.ask(ClearBufferRequest())
        except StatusError as error:
            raise TagRefused("NO_TAG") from error


def tag_of(record: TagRecord) -> PadTag | None:
    """The tag of a record, where its content proves itself; None where host commands must read it."""
    if len(record.data) <= _BASIC_BYTES or any(record.data[33:35]):
        return None  # more blocks follow, or not even the first one is here
    try:
        decode_part3(record.data)
    except TagError:
        return None
    return PadTag(record.uid, _DSFID_PART3, None, record.data, record.block_size)
