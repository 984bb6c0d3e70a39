"""A FEIG gate's line: it speaks by itself, and it answers; both come in one stream."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from drivers.base import DeviceOffline
from drivers.port import Port
from protocols.feig import Frame, Framer
from protocols.feig.frame import Form

__all__ = ["GateLine"]

ANSWER_S = 0.6
TRIES = 3
GAP_S = 0.03
"""Silence that ends a frame: 12 ms by the manual, and what a converter and a busy machine add."""


class GateLine:
    """Reads all frames of a port; those nobody asked for go to ``on_frame``. `listen` must run for `ask` to be answered."""

    def __init__(self, port: Port, address: int, on_frame: Callable[[Frame], None]) -> None:
        self._port = port
        self._address = address
        self._on_frame = on_frame
        self._framer = Framer("advanced")
        self._asking = asyncio.Lock()
        self._expected: int | None = None
        self._answer: asyncio.Future[Frame] | None = None
        self._form: Form = "advanced"
        self._saying: set[asyncio.Task[None]] = set()
        self.commands = self.frames = self.timeouts = self.other_address = self.senseless = 0

    @property
    def bad_frames(self) -> int:
        """Frames with a wrong check value or senseless content."""
        return self._framer.bad_checks + self.senseless

    async def listen(self) -> None:
        """Read until the port is lost; raises `PortError`."""
        while True:
            try:
                async with asyncio.timeout(GAP_S if self._framer.pending else None):
                    frames = self._framer.receive(await self._port.read(4096))
            except TimeoutError:
                frames = self._framer.idle()
            for frame in frames:
                self._take(frame)

    def _take(self, frame: Frame) -> None:
        if self._address not in (0xFF, frame.address):
            self.other_address += 1
            return
        if not frame.body:
            self.senseless += 1
            return
        self.frames += 1
        if frame.command == self._expected and self._answer is not None and not self._answer.done():
            self._answer.set_result(frame)
        self._on_frame(frame)

    def asks(self, command: int) -> bool:
        """Whether a question with this command waits for its answer, or has just been given it."""
        return command == self._expected

    def say(self, command: int, body: bytes) -> None:
        """Send without waiting for an answer; a line that cannot take it loses it, as a wire does."""
        raw = Frame(self._address, command, body, self._form).to_bytes()
        task = asyncio.create_task(self._port.write(raw))
        self._saying.add(task)
        task.add_done_callback(self._said)

    def _said(self, task: asyncio.Task[None]) -> None:
        self._saying.discard(task)
        if not task.cancelled():
            task.exception()  # a lost port is told by `listen`

    async def ask(self, command: int, body: bytes) -> Frame:
        """Ask, up to three times, and give the answer's frame; raises `DeviceOffline` NO_ANSWER, `PortError`."""
        raw = Frame(self._address, command, body, self._form).to_bytes()
        async with self._asking:
            try:
                for _ in range(TRIES):
                    self._expected = command
                    self._answer = asyncio.get_running_loop().create_future()
                    self.commands += 1
                    await self._port.write(raw)
                    with contextlib.suppress(TimeoutError):
                        # not wait_for, which in Python 3.11 may swallow a cancellation
                        async with asyncio.timeout(ANSWER_S):
                            return await self._answer
                    self.timeouts += 1
            finally:
                self._expected = self._answer = None
        raise DeviceOffline("NO_ANSWER", "the gate does not answer")
