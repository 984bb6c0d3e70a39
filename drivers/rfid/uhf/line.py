"""One UHFReader18/288 line: one command in flight, answers matched, time-outs, and no late answer ever taken for another's.

A reply repeats the command byte but not the tag, so after a time-out the late answer to "read the TID of tag A" would fit the same
question about tag B. Therefore a line that missed an answer is first synchronised with an information request, whose command byte
no command to a tag shares. On an RS-485 line other devices answer too: what another address says is counted and ignored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import cast

from drivers.base import DeviceOffline
from drivers.port import Port
from protocols.frames import FrameError
from protocols.uhf.device_requests import InformationRequest
from protocols.uhf.replies import InformationReply, InventoryReply, ReadReply, Reply, decode_reply
from protocols.uhf.requests import ANY_ADDRESS, Request, encode_request
from protocols.uhf.status import EXECUTE_ERROR, ILLEGAL_COMMAND, MORE, POOR_COMMUNICATION, StatusError
from protocols.uhf.tag_requests import InventoryOneRequest, InventoryRequest, ReadRequest
from protocols.uhf.target import Family
from protocols.uhf.uhfreader18 import Frame, Framer, SeenTag

ANSWER_S = 0.35
"""Wait for an answer beside the scan time: a frame of 256 bytes takes 0.05 s at 57600 baud, the rest is a busy machine's."""
TRIES = 12
GIVE_UP_S = 2.5
"""A device counts as gone after so long, or so many questions, without one sound answer (a scan time is added)."""
POOR_TRIES = 4
"""Attempts where the device says that it is the air that failed."""
QUIET_S = 0.03
"""Silence that ends a frame: 15 ms by the manual, and what a USB converter and a busy machine add."""
MAX_FRAMES = 300
"""Frames of one inventory: some devices send one for every tag."""
MAX_TAGS = 256


class UhfLine:
    """Asks a device questions over an open port; not re-entrant. Where they are not given, its information tells family and address."""

    def __init__(self, port: Port, address: int = ANY_ADDRESS, family: Family | None = None) -> None:
        self._port = port
        self._framer = Framer()
        self._in_step = False
        self._commands = self._timeouts = self._bad = self._strangers = 0
        self.address = address
        self.family: Family = family or "18"
        self._told = family is None
        self.scan_s = 1.0

    @property
    def errors(self) -> int:
        """Time-outs and bad frames so far."""
        return self._timeouts + self._bad

    def counters(self) -> Mapping[str, int]:
        """Commands, time-outs, bad frames, and frames of other addresses, since the port was opened."""
        return {
            "commands": self._commands,
            "timeouts": self._timeouts,
            "bad_frames": self._bad,
            "other_address": self._strangers,
        }

    async def information(self) -> InformationReply:
        """Ask what the device is; with address FF its own address is taken from the answer. Raises as `ask`."""
        return cast("InformationReply", await self.ask(InformationRequest()))

    async def read_words(self, request: ReadRequest) -> bytes:
        """Read words of a tag; raises as `ask`."""
        return cast("ReadReply", await self.ask(request)).data

    async def inventory(self, request: InventoryRequest | InventoryOneRequest) -> list[SeenTag]:
        """Give the tags of all frames of an inventory; raises `StatusError` (NO_TAG is an empty list), `DeviceOffline`, `PortError`."""
        try:
            replies = await self._repeat(request)
        except StatusError as error:
            if error.code == "no-tag":
                return []
            raise
        tags = [tag for reply in replies for tag in cast("InventoryReply", reply).tags]
        return tags[:MAX_TAGS]

    async def ask(self, request: Request) -> Reply:
        """Send a request and give its reply, asking again over a bad line or bad air.

        Raises `StatusError` where the device answered that it did not do it, `DeviceOffline` NO_ANSWER where it does not answer,
        `PortError` where the port is lost.
        """
        return (await self._repeat(request))[-1]

    async def _repeat(self, request: Request) -> list[Reply]:
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + GIVE_UP_S + self.scan_s
        poor = 0
        for _ in range(TRIES):
            if loop.time() >= give_up_at:
                break
            if not self._in_step and not isinstance(request, InformationRequest) and not await self._synchronise():
                continue
            try:
                replies = await self._exchange(request)
            except StatusError as error:
                poor += error.status in (POOR_COMMUNICATION, EXECUTE_ERROR)
                if error.retry and poor < POOR_TRIES:
                    continue
                raise
            if replies is not None:
                return replies
        raise DeviceOffline("NO_ANSWER", "the UHF RFID reader does not answer")

    async def _synchronise(self) -> bool:
        """Ask for information until its answer has pushed every late answer out of the line."""
        self._port.discard()
        self._framer.idle()
        try:
            return await self._exchange(InformationRequest()) is not None
        except StatusError:
            return False

    async def _exchange(self, request: Request) -> list[Reply] | None:
        """One question and its answer, which for an inventory is a series; None where none came or it made no sense."""
        loop = asyncio.get_running_loop()
        self._commands += 1
        self._in_step = False  # until the answer is here; a cancelled question leaves it so
        await self._port.write(encode_request(self.address, request))
        scan_s = 0.0 if isinstance(request, InformationRequest) else self.scan_s
        deadline = loop.time() + ANSWER_S + scan_s
        replies: list[Reply] = []
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
                heard = False
            for frame in frames:
                if not self._is_answer(frame, request):
                    continue
                try:
                    replies.append(self._decode(frame, request))
                except FrameError:  # sound CRC, senseless content: an answer to something else
                    self._bad += 1
                    return None
                if not _continued(replies[-1]) or len(replies) >= MAX_FRAMES:
                    self._in_step = True
                    return replies
                deadline = loop.time() + ANSWER_S + scan_s
        if heard:
            self._bad += 1
        else:
            self._timeouts += 1
        return None

    def _is_answer(self, frame: Frame, request: Request) -> bool:
        if self.address not in (ANY_ADDRESS, frame.address):
            self._strangers += 1
            return False
        if not frame.body:
            return False
        if frame.command == 0 and frame.body[0] == ILLEGAL_COMMAND:
            return True  # our frame reached it spoiled, or it does not know the command
        return frame.command == request.COMMAND

    def _decode(self, frame: Frame, request: Request) -> Reply:
        if frame.command == 0:
            self._in_step = True
            self._bad += 1
            raise StatusError(ILLEGAL_COMMAND)
        try:
            unknown = self._told and isinstance(request, InformationRequest)
            reply = decode_reply(request, frame, None if unknown else self.family)
        except StatusError:
            self._in_step = True
            raise
        if isinstance(reply, InformationReply):
            self.address = frame.address
            self.family = reply.family if self._told else self.family
        return reply


def _continued(reply: Reply) -> bool:
    return isinstance(reply, InventoryReply) and reply.state == MORE
