"""A device that only talks: opens its line, gives whatever it sends to a listener, finds it again after an unplugging.

Such a device is never asked anything, so an open line is all that can be known of its health: it is online while its port is open
(a TCP port whose other end is gone is lost within half a minute, see `drivers.tcp_line`), degraded while what comes is mostly junk.
"""

from __future__ import annotations

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

from drivers.base import Backoff, Capabilities, DeviceEvent, DeviceOffline, DeviceState, Emit, Fact, State
from drivers.port import Parity, Port, open_port, parse_url

__all__ = ["Bursts", "Talker"]

IDLE_S = 0.2
"""Silence after which something unended is junk: a line of 512 characters at 9600 baud comes without a pause."""
HEALTHY_S = 1.0
"""A line open for so long starts the waiting times anew."""
_WINDOW, _NOISY = 20, 5


class Bursts(Protocol):
    """What a listener keeps of a line (`protocols.lines`)."""

    @property
    def pending(self) -> bool:
        """Whether something has begun and not ended."""

    @property
    def bad(self) -> int:
        """Everything dropped so far."""

    def receive(self, chunk: bytes) -> list[bytes]:
        """Take bytes, give what they complete."""

    def idle(self) -> int:
        """The line is silent."""


class Talker(ABC):
    """The life of such a device; ``take`` makes events of what a framer completed, and says whether it was any good.

    A burst is what comes between two silences; five of twenty bursts with junk in them are NOISY_LINE until ten in a row have none,
    or nothing came for a minute.
    """

    kind = ""
    capabilities = Capabilities(events=frozenset({"DeviceState"}))

    def __init__(
        self,
        device: str,
        url: str,
        *,
        framer: Callable[[], Bursts],
        baudrate: int = 9600,
        parity: Parity = "N",
        uniform: Callable[[], float] = random.random,
        mono_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        parse_url(url, baudrate=baudrate, parity=parity)
        self.device = device
        self._url = url
        self._baudrate = baudrate
        self._parity = parity
        self._make_framer = framer
        self._framer = framer()
        self._backoff = Backoff(uniform)
        self._mono_ns = mono_ns
        self._emit: Emit = lambda _event: None
        self._state: tuple[State, str] = ("offline", "STARTING")
        self._bursts: deque[bool] = deque(maxlen=_WINDOW)
        self._last_ns: int | None = None
        self._counts = {"frames": 0, "refused": 0, "opened": 0, "bytes": 0}
        self._bad_before = 0

    @abstractmethod
    def take(self, piece: bytes, t_mono_ns: int) -> bool:
        """Make an event of a completed piece and emit it; False where it is not what this device sends."""

    def emit(self, event: DeviceEvent) -> None:
        """Hand an event up."""
        self._emit(event)

    def health(self) -> Mapping[str, Fact]:
        """Give state, counters since start and ms since the last good line (-1 = none yet)."""
        state, reason = self._state
        age = -1 if self._last_ns is None else (self._mono_ns() - self._last_ns) // 1_000_000
        bad = self._bad_before + self._framer.bad + self._counts["refused"]
        return {
            "state": state, "reason_code": reason, "last_frame_ms": age, "bad_frames": bad, "timeouts": 0, **self._counts,
        }  # fmt: skip

    async def run(self, emit: Emit) -> None:
        """Serve the device until cancelled."""
        self._emit = emit
        try:
            while True:
                await self._attempt()
                await asyncio.sleep(self._backoff.next_s())
        finally:
            self._state = ("offline", "STOPPED")

    async def _attempt(self) -> None:
        port: Port | None = None
        began = asyncio.get_running_loop().time()
        try:
            port = await open_port(self._url, baudrate=self._baudrate, parity=self._parity)
            self._counts["opened"] += 1
            self._bad_before += self._framer.bad
            self._framer = self._make_framer()
            self._bursts.clear()
            self._tell("online", "OK")
            await self._listen(port)
        except DeviceOffline as error:
            if asyncio.get_running_loop().time() - began > HEALTHY_S:
                self._backoff.reset()
            self._tell("offline", error.code)
        finally:
            if port is not None:
                await port.close()

    async def _listen(self, port: Port) -> None:
        dirty = busy = False
        while True:
            try:
                async with asyncio.timeout(IDLE_S if busy else 60.0):
                    chunk = await port.read(4096)
            except TimeoutError:
                if busy:
                    dirty = bool(self._framer.idle()) or dirty
                    self._judge(dirty)
                else:
                    self._bursts.clear()  # a minute of silence: whatever was wrong is over
                    self._tell("online", "OK")
                dirty = busy = False
                continue
            now, bad = self._mono_ns(), self._framer.bad
            busy = True
            self._counts["bytes"] += len(chunk)
            for piece in self._framer.receive(chunk):
                if self.take(piece, now):
                    self._counts["frames"] += 1
                    self._last_ns = now
                else:
                    self._counts["refused"] += 1
                    dirty = True
            if self._framer.bad > bad:
                dirty = True
                if self._framer.bad - bad > 1000:  # a flood never ends in a silence: judge it as it comes
                    self._judge(True)

    def _judge(self, dirty: bool) -> None:
        self._bursts.append(dirty)
        if sum(self._bursts) >= _NOISY:
            self._tell("degraded", "NOISY_LINE")
        elif not any(list(self._bursts)[-10:]):
            self._tell("online", "OK")

    def _tell(self, state: State, reason: str) -> None:
        if (state, reason) != self._state:
            self._state = (state, reason)
            self._emit(DeviceState(self.device, state, reason, {}))
