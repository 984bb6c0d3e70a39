"""One 3M line: one command in flight, answers matched, time-outs, and no late answer ever taken for another's.

A 3M reply repeats its command and mostly the tag's UID, but the late answer to "the AFI of A", asked before a write, would fit the
question asked after it. Therefore a line that missed an answer is first synchronised with a version request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, overload

from drivers.base import DeviceOffline
from drivers.port import Port
from protocols.frames import FrameError
from protocols.mmm import (
    EARLY_START,
    BlocksReply,
    CheckEasRequest,
    DoneReply,
    EarlyVersionRequest,
    Frame,
    Framer,
    GetAfiRequest,
    GetDsfidRequest,
    InventoryReply,
    InventoryRequest,
    LockAfiRequest,
    LockBlockRequest,
    LockDsfidRequest,
    MmmError,
    PassThroughReply,
    PassThroughRequest,
    QuietRequest,
    ReadBlocksRequest,
    Request,
    TagInfoReply,
    TagInfoRequest,
    ValueReply,
    VersionReply,
    VersionRequest,
    WriteAfiRequest,
    WriteAndLockRequest,
    WriteBlockRequest,
    WriteBlocksReply,
    WriteBlocksRequest,
    WriteDsfidRequest,
    WriteEasRequest,
    decode_reply,
    encode_request,
)

ANSWER_S = 0.5
"""Wait for the first byte of an answer; 28 blocks take 0.1 s of wire at 19200 baud, and a tag's own writing 20 ms a block."""
INVENTORY_S = 1.5
"""The pad polls, quiets what it heard and polls again; the maker's own software waits 1.5 s (as public drivers do)."""
QUIET_S = 0.03
"""Silence that ends a frame: a byte takes 0.5 ms at 19200 baud; the rest is a USB converter's and a busy machine's."""
TRIES = 12
GIVE_UP_S = 2.5
"""A pad counts as gone after so long, or so many questions, without one sound answer."""


DoneRequest = (
    QuietRequest
    | LockAfiRequest
    | LockBlockRequest
    | LockDsfidRequest
    | WriteAfiRequest
    | WriteAndLockRequest
    | WriteBlockRequest
    | WriteDsfidRequest
    | WriteEasRequest
)


class MmmLine:
    """Asks a pad questions over an open port; not re-entrant, the pad driver holds a lock."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._framer = Framer()
        self._in_step = False
        self._early = False
        self._counts = {"commands": 0, "frames": 0, "timeouts": 0, "bad_frames": 0}
        self._unread = 0

    @property
    def errors(self) -> int:
        """Time-outs and bad frames so far."""
        return self._counts["timeouts"] + self._counts["bad_frames"]

    def counters(self) -> Mapping[str, int]:
        """Commands sent, sound frames, time-outs, bad frames and bytes that belonged to none since the port was opened."""
        return {**self._counts, "noise_bytes": self._framer.skipped + self._unread}

    async def greet(self) -> str:
        """Find out which version request this pad answers and give its version; raises `DeviceOffline` NO_ANSWER."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + GIVE_UP_S
        while loop.time() < give_up_at:
            self._forget()
            request = EarlyVersionRequest() if self._early else VersionRequest()
            frame = await self._exchange(request)
            if frame is not None:
                try:
                    return str(decode_reply(request, frame))
                except (MmmError, FrameError):
                    pass  # older firmware knows the D5 frame only
            self._early = not self._early
        raise DeviceOffline("NO_ANSWER", "the pad does not answer")

    @overload
    async def ask(self, request: InventoryRequest) -> InventoryReply: ...
    @overload
    async def ask(self, request: ReadBlocksRequest) -> BlocksReply: ...
    @overload
    async def ask(self, request: VersionRequest | EarlyVersionRequest) -> VersionReply: ...
    @overload
    async def ask(self, request: GetAfiRequest | GetDsfidRequest | CheckEasRequest) -> ValueReply: ...
    @overload
    async def ask(self, request: TagInfoRequest) -> TagInfoReply: ...
    @overload
    async def ask(self, request: WriteBlocksRequest) -> WriteBlocksReply: ...
    @overload
    async def ask(self, request: PassThroughRequest) -> PassThroughReply: ...
    @overload
    async def ask(self, request: DoneRequest) -> DoneReply: ...
    async def ask(self, request: Any) -> Any:
        """Send a request and give its reply, asking again over a bad line.

        Raises `MmmError` where the pad answered that it did not do it, `DeviceOffline` NO_ANSWER where it does not answer,
        `PortError` where the port is lost.
        """
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + GIVE_UP_S
        for _ in range(TRIES):
            if loop.time() >= give_up_at:
                break
            if not self._in_step and not await self._synchronise():
                continue
            frame = await self._exchange(request)
            if frame is None:
                continue
            try:
                return decode_reply(request, frame)
            except FrameError:  # sound BCC, senseless content: an answer to something else
                self._counts["bad_frames"] += 1
                self._in_step = False
        raise DeviceOffline("NO_ANSWER", "the pad does not answer")

    async def _synchronise(self) -> bool:
        """Ask for the version until its answer has pushed every late answer out of the line."""
        self._forget()
        return await self._exchange(EarlyVersionRequest() if self._early else VersionRequest()) is not None

    def _forget(self) -> None:
        self._unread += self._port.discard()
        self._framer.idle()

    async def _exchange(self, request: Request) -> Frame | None:
        loop = asyncio.get_running_loop()
        self._counts["commands"] += 1
        self._in_step = False  # until the answer is here; a cancelled question leaves it so
        await self._port.write(encode_request(request))
        early = isinstance(request, EarlyVersionRequest)
        deadline = loop.time() + (INVENTORY_S if isinstance(request, InventoryRequest) else ANSWER_S)
        heard = False
        skipped = self._framer.skipped
        while (left := deadline - loop.time()) > 0:
            try:
                async with asyncio.timeout(min(left, QUIET_S) if heard else left):
                    frames = self._framer.receive(await self._port.read(4096))
                heard = not frames or self._framer.pending > 0
                # a long answer that is still coming is not late
                deadline = max(deadline, loop.time() + QUIET_S) if heard and self._framer.pending else deadline
            except TimeoutError:
                frames = self._framer.idle()
                if heard and not frames:
                    break  # something came, no frame can be made of it, and the line is quiet: ask again at once
            for frame in frames:
                if frame.command == request.CODE and (frame.start == EARLY_START) == early:
                    self._in_step = True
                    self._counts["frames"] += 1
                    self._counts["bad_frames"] += self._framer.skipped > skipped  # found among noise
                    return frame
        self._counts["bad_frames" if heard else "timeouts"] += 1
        return None
