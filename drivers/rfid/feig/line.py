"""One FEIG line: one command in flight, answers matched, time-outs, and no late answer ever taken for another's.

A FEIG reply repeats the command byte but neither the sub-command nor the tag, so after a time-out the late answer to
"read the blocks of tag A" would fit the question about tag B. Therefore a line that missed an answer is first
synchronised with a version request, whose command byte no host command shares.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, overload

from drivers.base import DeviceOffline
from drivers.port import Port
from protocols.feig import (
    ANY_ADDRESS,
    DoneReply,
    Frame,
    Framer,
    InventoryReply,
    InventoryRequest,
    ReadBlocksReply,
    ReadBlocksRequest,
    Request,
    SystemInformationReply,
    SystemInformationRequest,
    VersionReply,
    VersionRequest,
    WriteAfiRequest,
    decode_reply,
    encode_request,
)
from protocols.frames import FrameError

ANSWER_S = 0.35
"""Wait for an answer: a full pad (40 tags) takes 0.2 s of air and wire at 38400 baud."""
INVENTORY_S = 1.0
TRIES = 12
GIVE_UP_S = 1.8
"""A pad counts as gone after so long, or so many questions, without one sound answer."""
PAUSE_S = 0.005
"""Pause before the next request (H20800)."""
QUIET_S = 0.03
"""Silence that ends a frame: 12 ms by H20800, and what a USB converter and a busy machine add."""


class FeigLine:
    """Asks a pad questions over an open port; not re-entrant, the pad holds a lock."""

    def __init__(self, port: Port, address: int = ANY_ADDRESS) -> None:
        self._port = port
        self._address = address
        self._framer = Framer("advanced")
        self._in_step = False
        self._next_at = 0.0
        self._counts = {"commands": 0, "timeouts": 0, "bad_frames": 0}

    @property
    def errors(self) -> int:
        """Time-outs and bad frames so far."""
        return self._counts["timeouts"] + self.bad_frames

    @property
    def bad_frames(self) -> int:
        """Answers with a wrong CRC, cut short or senseless so far."""
        return self._counts["bad_frames"]

    def counters(self) -> Mapping[str, int]:
        """Commands sent, time-outs and bad frames since the port was opened."""
        return {**self._counts, "bad_frames": self.bad_frames}

    @overload
    async def ask(self, request: InventoryRequest) -> InventoryReply: ...
    @overload
    async def ask(self, request: ReadBlocksRequest) -> ReadBlocksReply: ...
    @overload
    async def ask(self, request: SystemInformationRequest) -> SystemInformationReply: ...
    @overload
    async def ask(self, request: VersionRequest) -> VersionReply: ...
    @overload
    async def ask(self, request: WriteAfiRequest) -> DoneReply: ...
    async def ask(self, request: Any) -> Any:
        """Send a request and give its reply, asking again over a bad line.

        Raises `StatusError` where the pad answered that it did not do it, `DeviceOffline` NO_ANSWER where it does not
        answer, `PortError` where the port is lost.
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
                reply = decode_reply(request, frame)
            except FrameError:  # sound CRC, senseless content: an answer to something else
                self._counts["bad_frames"] += 1
                self._in_step = False
                continue
            if isinstance(request, SystemInformationRequest) and request.uid not in (None, reply.uid):
                self._in_step = False
                continue
            return reply
        raise DeviceOffline("NO_ANSWER", "the pad does not answer")

    async def _synchronise(self) -> bool:
        """Ask for the version until its answer has pushed every late answer out of the line."""
        self._port.discard()
        self._framer.idle()
        return await self._exchange(VersionRequest()) is not None

    async def _exchange(self, request: Request) -> Frame | None:
        loop = asyncio.get_running_loop()
        if (pause := self._next_at - loop.time()) > 0:
            await asyncio.sleep(pause)
        self._counts["commands"] += 1
        self._in_step = False  # until the answer is here; a cancelled question leaves it so
        await self._port.write(encode_request(self._address, request))
        deadline = loop.time() + (INVENTORY_S if isinstance(request, InventoryRequest) else ANSWER_S)
        heard = False
        while (left := deadline - loop.time()) > 0:
            try:
                async with asyncio.timeout(min(left, QUIET_S) if heard else left):
                    frames = self._framer.receive(await self._port.read(4096))
                heard = not frames or self._framer.pending > 0
            except TimeoutError:
                frames = self._framer.idle()
                if heard and not frames:
                    break  # something came, no frame can be made of it, and the line is quiet: ask again at once
            for frame in frames:
                if frame.command == request.COMMAND and frame.body:
                    self._in_step = True
                    self._next_at = loop.time() + PAUSE_S
                    return frame
        if heard:
            self._counts["bad_frames"] += 1
            return None
        self._counts["timeouts"] += 1
        return None
