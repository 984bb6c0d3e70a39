"""One FEIG line: one command in flight, answers matched, time-outs, and no late answer ever taken for another's.

A FEIG reply repeats the command byte but neither the sub-command nor the tag, so after a time-out the late answer to
"read the blocks of tag A" would fit the question about tag B. Therefore a line that missed an answer is first
synchronised with a version request, whose command byte no host command shares.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Literal, overload

from drivers.base import DeviceOffline
from drivers.port import Port
from protocols.feig import (
    ANY_ADDRESS,
    BufferReply,
    ConfigurationReply,
    DoneReply,
    Form,
    Frame,
    Framer,
    InputsReply,
    InputsRequest,
    InventoryReply,
    InventoryRequest,
    ReadBlocksReply,
    ReadBlocksRequest,
    ReadBufferExtendedRequest,
    ReadBufferRequest,
    ReadConfigurationRequest,
    ReaderInfoRequest,
    Request,
    SystemInformationReply,
    SystemInformationRequest,
    VersionReply,
    VersionRequest,
    decode_reply,
    encode_request,
)
from protocols.feig.replies import DoneRequest
from protocols.frames import FrameError

AskedForm = Literal["auto", "standard", "advanced"]

ANSWER_S = 0.35
"""Wait for an answer: a full pad (40 tags) takes 0.2 s of air and wire at 38400 baud."""
INVENTORY_S = 1.0
BUFFER_S = 2.5
"""Wait for a whole buffer: 100 records of 53 bytes are 1.5 s of wire."""
TRIES = 12
GIVE_UP_S = 1.8
"""A pad counts as gone after so long, or so many questions, without one sound answer."""
PAUSE_S = 0.005
"""Pause before the next request (H20800)."""
QUIET_S = 0.03
"""Silence that ends a frame: 12 ms by H20800, and what a USB converter and a busy machine add."""


class FeigLine:
    """Asks a pad questions over an open port; not re-entrant, the pad holds a lock.

    ``form`` "auto" tries both kinds of frames until one is answered; a device speaks one of them, or answers in kind.
    """

    def __init__(self, port: Port, address: int = ANY_ADDRESS, form: AskedForm = "advanced") -> None:
        self._port = port
        self._address = address
        self._undecided = form == "auto"
        self.form: Form = "advanced" if form == "auto" else form
        self._framer = Framer(None if form == "auto" else form)
        self._in_step = False
        self._next_at = 0.0
        self._counts = {"commands": 0, "timeouts": 0, "bad_frames": 0, "other_address": 0}

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
    async def ask(self, request: VersionRequest | ReaderInfoRequest) -> VersionReply: ...
    @overload
    async def ask(self, request: ReadBufferRequest | ReadBufferExtendedRequest) -> BufferReply: ...
    @overload
    async def ask(self, request: ReadConfigurationRequest) -> ConfigurationReply: ...
    @overload
    async def ask(self, request: InputsRequest) -> InputsReply: ...
    @overload
    async def ask(self, request: DoneRequest) -> DoneReply: ...
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
        await self._port.write(encode_request(self._address, request, self.form))
        deadline = loop.time() + _PATIENCE_S.get(type(request), ANSWER_S)
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
                if frame.command == request.COMMAND and frame.body and self._is_ours(frame):
                    self._in_step = True
                    if self._undecided:
                        self._undecided, self.form = False, frame.form
                        self._framer = Framer(frame.form)
                    self._next_at = loop.time() + PAUSE_S
                    return frame
        if self._undecided:
            self.form = "standard" if self.form == "advanced" else "advanced"
        self._counts["bad_frames" if heard else "timeouts"] += 1
        return None

    def _is_ours(self, frame: Frame) -> bool:
        """Whether the device we ask sent it; with the common address whoever answers first is the one on this line."""
        if self._address in (ANY_ADDRESS, frame.address):
            return True
        self._counts["other_address"] += 1
        return False


_PATIENCE_S: Mapping[type[Request], float] = {
    InventoryRequest: INVENTORY_S,
    ReadBufferRequest: BUFFER_S,
    ReadBufferExtendedRequest: BUFFER_S,
}
