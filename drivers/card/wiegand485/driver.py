"""Wiegand converters on one RS-485 line as a driver: it only listens, for nothing can be asked of them."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from drivers.base import Backoff, Capabilities, CardRead, DeviceOffline, DeviceState, Emit, Fact, State
from drivers.port import Port, open_port, parse_url
from protocols.wiegand import LineReceiver, LineSettings, Reading

QUIET_S = 0.1
"""Silence after which an unfinished line or frame is given up: 40 characters take 42 ms at 9600 baud."""
NOISY, CALM = 5, 20
"""So many bad frames in a row make the line NOISY_LINE; a card, or so many quiet seconds, make it good again."""


@dataclass(frozen=True, slots=True)
class Face:
    """A converter's address on the line and the way its cardreader leads: IN or OUT."""

    address: int
    direction: str


class Wiegand485:
    """Wiegand converters on one line (9600 8N1 unless the URL says otherwise), each card as its bits with parity.

    The converters speak when a card is shown and are silent otherwise, so the driver is online while its port is open: an
    unplugged converter cannot be told from one at which nobody shows a card (``last_frame_ms`` in `health` is what there is). A
    serial server that is gone can: its TCP connection is lost within half a minute.
    """

    kind = "wiegand485"
    capabilities = Capabilities(events=frozenset({"CardRead", "DeviceState"}), isolation="loop")

    def __init__(
        self,
        device: str,
        url: str,
        *,
        settings: LineSettings | None = None,
        faces: tuple[Face, ...] | None = None,
        direction: str = "",
        uniform: Callable[[], float] = random.random,
    ) -> None:
        parse_url(url)
        self.device = device
        self._url = url
        self._settings = settings or LineSettings()
        self._faces = {face.address: (number, face.direction) for number, face in enumerate(faces)} if faces else None
        self._direction = direction
        self._backoff = Backoff(uniform)
        self._emit: Emit = lambda _event: None
        self._state: tuple[State, str] = ("offline", "STARTING")
        self._heard_ns: int | None = None
        self._counts = {"opened": 0, "frames": 0, "bad_frames": 0, "bad_parity": 0, "foreign": 0, "cards": 0}

    def health(self) -> Mapping[str, Fact]:
        """State and counters since start: sound frames, bad ones, wrong parity, frames of addresses that are not ours."""
        age = -1 if self._heard_ns is None else (time.monotonic_ns() - self._heard_ns) // 1_000_000
        state, reason = self._state
        return {"state": state, "reason_code": reason, **self._counts, "timeouts": 0, "last_frame_ms": age}

    async def run(self, emit: Emit) -> None:
        """Serve the line until cancelled."""
        self._emit = emit
        try:
            while True:
                await self._attempt()
                await asyncio.sleep(self._backoff.next_s())
        finally:
            self._state = ("offline", "STOPPED")

    async def _attempt(self) -> None:
        port: Port | None = None
        try:
            port = await open_port(self._url, baudrate=9600)
            self._counts["opened"] += 1
            self._backoff.reset()
            self._tell("online", "OK")
            await self._listen(port)
        except DeviceOffline as error:
            self._tell("offline", error.code)
        finally:
            if port is not None:
                await port.close()

    async def _listen(self, port: Port) -> None:
        receiver = LineReceiver(self._settings)
        bad_in_a_row = 0
        seen_bad = seen_parity = 0
        loop = asyncio.get_running_loop()
        bad_at = loop.time()
        while True:
            wait = QUIET_S if receiver.pending else (CALM if bad_in_a_row else None)
            try:
                async with asyncio.timeout(wait):
                    chunk = await port.read(4096)
                readings = receiver.receive(chunk)
            except TimeoutError:
                readings = receiver.idle()
            for reading in readings:
                bad_in_a_row = 0
                self._card(reading)
            bad = receiver.bad_frames - seen_bad + receiver.bad_parity - seen_parity
            self._counts["bad_frames"] += receiver.bad_frames - seen_bad
            self._counts["bad_parity"] += receiver.bad_parity - seen_parity
            seen_bad, seen_parity = receiver.bad_frames, receiver.bad_parity
            if bad:
                bad_in_a_row, bad_at = bad_in_a_row + bad, loop.time()
            elif bad_in_a_row and loop.time() - bad_at >= CALM:
                bad_in_a_row = 0
            if bad_in_a_row >= NOISY:
                self._tell("degraded", "NOISY_LINE")
            elif not bad_in_a_row:
                self._tell("online", "OK")

    def _card(self, reading: Reading) -> None:
        self._counts["frames"] += 1
        self._heard_ns = time.monotonic_ns()
        reader_no, direction = 0, self._direction
        if self._faces is not None:
            if reading.address not in self._faces:
                self._counts["foreign"] += 1
                return
            reader_no, direction = self._faces[reading.address]
        self._counts["cards"] += 1
        bits = reading.bits
        self._emit(CardRead(self.device, reader_no, direction, "wiegand", bits.bits, bits.raw, self._heard_ns))

    def _tell(self, state: State, reason: str) -> None:
        if (state, reason) != self._state:
            self._state = (state, reason)
            self._emit(DeviceState(self.device, state, reason, {}))
