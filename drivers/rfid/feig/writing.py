"""What is written to a tag by FEIG host commands, and what a refusal of it means."""

from __future__ import annotations

from drivers.base import Security, TagImage
from drivers.rfid.feig.line import FeigLine
from drivers.rfid.link import TagRefused
from protocols.feig import (
    ISO15693_ERROR,
    WRITE_ERROR,
    LockBlocksRequest,
    ResetEasRequest,
    SetEasRequest,
    StatusError,
    SystemInformationReply,
    WriteAfiRequest,
    WriteBlocksRequest,
    WriteDsfidRequest,
)

__all__ = ["TagWriter", "refused"]

BYTES_AT_ONCE = 64
"""Bytes of one writing, half of what H20800 allows: an answer is owed within `drivers.rfid.feig.line.ANSWER_S`, and a chip
takes some milliseconds a block."""
_LOCKED = frozenset({0x11, 0x12})
"""ISO 15693-3 errors: already locked; locked, content unchanged."""


class TagWriter:
    """Writes over one line; ``lock`` allows locking."""

    def __init__(self, line: FeigLine, *, lock: bool) -> None:
        self._line = line
        self._lock = lock

    async def security(self, uid: str, wanted: Security) -> None:
        """Write AFI and EAS; the first refusal is raised when both were tried, so that one does not hide the other."""
        first: StatusError | None = None
        requests: list[WriteAfiRequest | SetEasRequest | ResetEasRequest] = []
        if wanted.afi is not None:
            requests.append(WriteAfiRequest(uid, wanted.afi))
        if wanted.eas is not None:
            requests.append(SetEasRequest(uid) if wanted.eas else ResetEasRequest(uid))
        for request in requests:
            try:
                await self._line.ask(request)
            except StatusError as error:
                first = first or error
        if first is not None:
            raise refused(first) from first

    async def image(self, uid: str, image: TagImage, info: SystemInformationReply | None) -> None:
        """Write content, DSFID, AFI, EAS, then locks; raises `StatusError` or `TagRefused`.

        Block 0 is zeros until all else of the content stands there: a tag pulled away midway is no item, never another one.
        """
        size = image.block_size
        head, rest = image.data[:size], image.data[size:]
        step = max(1, BYTES_AT_ONCE // size) * size
        if head:
            await self._line.ask(WriteBlocksRequest(uid, 0, bytes(len(head)), size))
        for at in range(0, len(rest), step):
            await self._line.ask(WriteBlocksRequest(uid, 1 + at // size, rest[at : at + step], size))
        if info is None or info.dsfid != image.dsfid:
            await self._line.ask(WriteDsfidRequest(uid, image.dsfid))
        if head:
            await self._line.ask(WriteBlocksRequest(uid, 0, head, size))
        await self.security(uid, Security(image.afi, image.eas))
        if self._lock:
            for block in image.locks:
                await self._line.ask(LockBlocksRequest(uid, block))


def refused(error: StatusError) -> TagRefused:
    """Say in the words of every pad why a tag did not do it."""
    if error.iso_error in _LOCKED:
        return TagRefused("LOCKED")
    return TagRefused("WRITE_ERROR" if error.status in (WRITE_ERROR, ISO15693_ERROR) else "NO_TAG")
