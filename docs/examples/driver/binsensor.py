"""A driver in one file: a book drop's bin that says when it is full.

The device sends lines over a serial port, 9600 8N1: ``BIN 1 FULL``, ``BIN 1 OK``, and ``ALIVE`` every 10 s.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Mapping

from drivers.base import (
    Backoff,
    Capabilities,
    ConfigurationError,
    DeviceOffline,
    DeviceState,
    Emit,
    Fact,
    InputChanged,
    Options,
    State,
)
from drivers.port import Port, open_port, parse_url

_LINE = re.compile(rb"BIN ([1-9]) (FULL|OK)")
MOST_BYTES = 64
"""A line is never longer; more without an end is noise."""


class BinSensor:
    """One sensor on one line; bin N is input N - 1, active while it is full."""

    kind = "binsensor"
    capabilities = Capabilities(events=frozenset({"DeviceState", "InputChanged"}))

    def __init__(self, device: str, url: str, *, silence_s: float = 30.0) -> None:
        parse_url(url)  # a wrong URL is said at start, not at the first use
        self.device = device
        self._url = url
        self._silence_s = silence_s
        self._backoff = Backoff(random.random)
        self._emit: Emit = lambda _event: None
        self._state: tuple[State, str] = ("offline", "STARTING")
        self._full: dict[int, bool] = {}
        self._counts = {"opened": 0, "frames": 0, "bad_frames": 0}
        self._heard_at: float | None = None

    async def run(self, emit: Emit) -> None:
        """Serve the sensor until cancelled."""
        self._emit = emit
        while True:
            await self._attempt()
            await asyncio.sleep(self._backoff.next_s())

    async def _attempt(self) -> None:
        port: Port | None = None
        try:
            port = await open_port(self._url, baudrate=9600)
            self._counts["opened"] += 1
            await self._listen(port)
        except DeviceOffline as error:  # PortError is one: unplugged, taken, missing
            self._tell("offline", error.code)
        finally:
            if port is not None:
                await port.close()

    async def _listen(self, port: Port) -> None:
        buffer = bytearray()
        while True:
            try:
                async with asyncio.timeout(self._silence_s):
                    buffer += await port.read(256)
            except TimeoutError:
                raise DeviceOffline("NO_ANSWER", "the sensor is silent") from None
            while (end := buffer.find(b"\n")) >= 0:
                line = bytes(buffer[:end]).strip()
                del buffer[: end + 1]
                self._take(line)
            if len(buffer) > MOST_BYTES:
                self._counts["bad_frames"] += 1
                buffer.clear()

    def _take(self, line: bytes) -> None:
        found = _LINE.fullmatch(line)
        if found is None and line != b"ALIVE":
            self._counts["bad_frames"] += 1
            return
        self._counts["frames"] += 1
        self._heard_at = time.monotonic()
        self._backoff.reset()
        self._tell("online", "OK")
        if found is not None:
            number, full = int(found[1]) - 1, found[2] == b"FULL"
            if self._full.get(number) is not full:
                self._full[number] = full
                self._emit(InputChanged(self.device, number, full, time.monotonic_ns()))

    def _tell(self, state: State, reason: str) -> None:
        if (state, reason) != self._state:
            self._state = (state, reason)
            self._emit(DeviceState(self.device, state, reason, {}))

    def health(self) -> Mapping[str, Fact]:
        """State, counters, and the age of the last good line in ms (-1 = none yet)."""
        age = -1 if self._heard_at is None else int((time.monotonic() - self._heard_at) * 1000)
        state, reason = self._state
        return {"state": state, "reason_code": reason, "last_frame_ms": age, **self._counts}


def build(device: str, url: str, options: Options) -> BinSensor:
    """Make it; option: silence_s (1..3600, default 30), after which a silent sensor counts as gone."""
    if unknown := set(options) - {"silence_s"}:
        raise ConfigurationError("UNKNOWN_OPTION", f"a bin sensor has no option {', '.join(sorted(unknown))}")
    silence_s = options.get("silence_s", 30)
    if not isinstance(silence_s, int) or not 1 <= silence_s <= 3600:
        raise ConfigurationError("BAD_OPTION", "silence_s is 1 to 3600")
    return BinSensor(device, url, silence_s=float(silence_s))
