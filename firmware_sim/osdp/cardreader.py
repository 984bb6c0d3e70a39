"""An OSDP peripheral device on the event loop: cards are presented, the panel's commands are recorded.

libosdp is refreshed when bytes arrive and otherwise every 50 ms for its own time-outs, so an idle simulated gate costs
next to nothing and no thread is needed.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import osdp

from firmware_sim.pty import Line

TICK_S = 0.05
KEPT = 256
"""Commands remembered of each kind."""
_FORMATS = {
    "raw": osdp.CardFormat.Unspecified,
    "wiegand": osdp.CardFormat.Wiegand,
}
"""libosdp 3.2.9 ignores the third format, ASCII, as deprecated."""
_FOR_GOOD = {1: False, 2: True, 3: False, 4: True}
"""OSDP output control codes that set the permanent state."""
_FOR_SO_LONG = {5: True, 6: False}
"""OSDP output control codes that leave it for the timer's time."""


@dataclass(frozen=True, slots=True)
class Output:
    """The panel switched an output: ``tenths`` of a second (0 = for good), at ``t_mono`` seconds of the loop's clock."""

    output_no: int
    on: bool
    tenths: int
    t_mono: float


@dataclass(frozen=True, slots=True)
class OpenResult:
    """What a person at the gate saw: it opened after ``ms``, or it did not; ``denied`` = the panel showed red."""

    opened: bool
    denied: bool
    ms: float


class _Channel(osdp.Channel):  # type: ignore[misc]  # libosdp has no types
    """libosdp's view of the line; bytes wait here between refreshes, at most 4 KB as in a small UART buffer."""

    def __init__(self, line: Line) -> None:
        super().__init__()
        self._line = line
        self.pending = bytearray()

    def read(self, max_bytes: int) -> bytes:
        data = bytes(self.pending[:max_bytes])
        del self.pending[:max_bytes]
        return data

    def write(self, buf: bytes) -> int:
        self._line.write(buf)
        return len(buf)

    def flush(self) -> None:
        self.pending.clear()


class _PeripheralDevice(osdp.PeripheralDevice):  # type: ignore[misc]  # libosdp has no types
    """The wrapper without its own command queue, which nobody would empty."""

    def _internal_command_handler(self, command: dict[str, Any]) -> tuple[int, None]:
        return self.user_command_handler(command), None


class OsdpCardreader:
    """One cardreader with ``readers`` reading faces (0 = way in, 1 = way out) and a gate on each output.

    Without ``key`` it starts as sold: on the default key, taking KEYSET from whoever comes first. With a key (given, or
    taken and kept over `reboot`) it speaks to a panel that holds it and to no one else. ``active_low``: the gate is wired so that
    it opens when its output goes off. ``inputs_at_start``: it tells its inputs to a panel that begins, not only their changes."""

    def __init__(
        self,
        line: Line,
        *,
        address: int = 0,
        key: bytes | None = None,
        readers: int = 2,
        active_low: bool = False,
        inputs: int = 4,
        inputs_at_start: bool = True,
    ) -> None:
        self.line = line
        self._active_low = active_low
        self._permanent: dict[int, bool] = {}
        self.inputs = [False] * inputs
        self._inputs_at_start = inputs_at_start
        self.key = key
        self._address = address
        self._readers = readers
        self._channel: _Channel | None = None
        self._pd: Any = None
        self._tick: asyncio.TimerHandle | None = None
        self._tampered = self._was_listening = False
        self._watchers: list[Callable[[bool], None]] = []
        self.outputs: deque[Output] = deque(maxlen=KEPT)
        self.leds: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self.beeps: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._turn = asyncio.Lock()

    @property
    def online(self) -> bool:
        """Whether a panel polls us."""
        return self._pd is not None and bool(self._pd.ctx.is_online())

    @property
    def secure(self) -> bool:
        """Whether the secure channel is up."""
        return self.online and bool(self._pd.ctx.is_sc_active())

    @property
    def listening(self) -> bool:
        """Whether a panel is there that may hear of cards: over the secure channel, once a key is set."""
        return self.secure or (self.online and self.key is None)

    def start(self) -> None:
        """Switch on and plug in."""
        self._boot()
        self.line.plug(self._received)
        self._later()

    def stop(self) -> None:
        """Pull the plug and switch off."""
        self.line.unplug()
        if self._tick is not None:
            self._tick.cancel()
        self.power_off()

    def power_off(self) -> None:
        """Fall silent; the cable stays where it is."""
        if self._pd is not None:
            self._pd.ctx = None  # breaks the cycle through C
            self._pd = self._channel = None

    def reboot(self) -> None:
        """Lose power and come back with the key that was set."""
        self.power_off()
        self._boot()

    def _boot(self) -> None:
        self._permanent = {}  # outputs drop without power
        self._channel = _Channel(self.line)
        flags = [osdp.LibFlag.EnforceSecure] if self.key else []
        capability = osdp.Capability
        self._pd = _PeripheralDevice(
            osdp.PDInfo(self._address, self._channel, scbk=self.key, flags=flags, id=osdp.PdId(1, 1, 0x54, 0x4A, 1)),
            osdp.PDCapabilities(
                [
                    (capability.OutputControl, 1, 2),
                    (capability.LEDControl, 1, 1),
                    (capability.AudibleControl, 1, 1),
                    (capability.CardDataFormat, 1, 1),
                    (capability.ContactStatusMonitoring, 1, len(self.inputs)),
                    (capability.CommunicationSecurity, 1, 1),
                    (capability.Readers, 1, self._readers),
                ]
            ),
            log_level=osdp.LogLevel.Critical,
            command_handler=self._commanded,
        )

    def _later(self) -> None:
        self._tick = asyncio.get_running_loop().call_later(TICK_S, self._ticked)

    def _ticked(self) -> None:
        if self._pd is not None:
            self._pd.ctx.refresh()
            listening = self.listening
            if listening and not self._was_listening:
                # libosdp's Python peripheral answers a tamper request with zeros and cannot answer one for inputs: tell unasked
                if self._tampered:
                    self._report_tamper()
                if self.inputs and self._inputs_at_start:
                    self._report_inputs()
            self._was_listening = listening
        self._later()

    def _received(self, data: bytes) -> None:
        if self._pd is None or self._channel is None:
            return
        if len(self._channel.pending) < 4096:
            self._channel.pending += data
        while self._channel.pending:
            left = len(self._channel.pending)
            self._pd.ctx.refresh()
            if len(self._channel.pending) == left:
                break

    def _commanded(self, command: dict[str, Any]) -> int:
        kind = command["command"]
        if kind == osdp.Command.Output:
            self._output(command["output_no"], command["control_code"], command["timer_count"])
        elif kind == osdp.Command.LED:
            self.leds.append(command)
            if command.get("on_color") == osdp.CommandLEDColor.Red:
                self._seen(False)
        elif kind == osdp.Command.Buzzer:
            self.beeps.append(command)
        elif kind == osdp.Command.Keyset:
            self.key = bytes(command["data"])
        return 0

    def _output(self, number: int, code: int, tenths: int) -> None:
        """Switch an output; what is at rest already and is put at rest is not worth remembering."""
        at_rest = self._active_low
        if code in _FOR_GOOD:
            before = self._permanent.get(number, False)
            self._permanent[number] = on = _FOR_GOOD[code]
            if on == before:
                return
            tenths = 0
        elif code in _FOR_SO_LONG:
            on = _FOR_SO_LONG[code]
        else:
            return
        if code in _FOR_GOOD and on == at_rest:
            return
        self.outputs.append(Output(number, on, tenths, time.monotonic()))
        if on != at_rest:
            self._seen(True)

    def at_rest(self, number: int = 0) -> bool:
        """Whether an output's permanent state keeps the gate shut."""
        return self._permanent.get(number, False) == self._active_low

    def push(self, number: int, active: bool) -> None:
        """Close or open an input's contact."""
        self.inputs[number] = active
        if self.listening:
            self._report_inputs()

    def _report_inputs(self) -> None:
        report = bytes(self.inputs)
        self._pd.ctx.submit_event({"event": osdp.Event.Status, "type": osdp.StatusReportType.Input, "report": report})

    def _seen(self, opened: bool) -> None:
        for watcher in tuple(self._watchers):
            watcher(opened)

    def present(self, raw: bytes, bits: int | None = None, *, reader_no: int = 0, form: str = "wiegand") -> bool:
        """Hold a card before face ``reader_no``; False where no panel listens: a cardreader keeps no cards for later.

        ``bits`` defaults to all bits of ``raw`` (at most 64 bytes); ``form`` is raw or wiegand.
        """
        if not self.listening:
            return False
        event = {
            "event": osdp.Event.CardRead,
            "reader_no": reader_no,
            "direction": 0,
            "format": _FORMATS[form],
            "length": bits if bits is not None else len(raw) * 8,
            "data": raw,
        }
        return bool(self._pd.ctx.submit_event(event))

    async def passage(self, timeout: float) -> OpenResult:
        """Wait for the gate to open or to show red; neither within ``timeout`` seconds gives opened and denied False."""
        start = time.perf_counter()
        seen: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def watch(opened: bool) -> None:
            if not seen.done():
                seen.set_result(opened)

        self._watchers.append(watch)
        try:
            async with asyncio.timeout(timeout):
                opened = await seen
            return OpenResult(opened, not opened, (time.perf_counter() - start) * 1000)
        except TimeoutError:
            if self._pd is not None:
                self._pd.ctx.flush_events()  # a card nobody asked for in time is not shown to a later panel
            return OpenResult(False, False, (time.perf_counter() - start) * 1000)
        finally:
            self._watchers.remove(watch)

    async def tap(
        self, raw: bytes, bits: int | None = None, *, reader_no: int = 0, form: str = "wiegand", timeout: float = 3.0
    ) -> OpenResult:
        """Present a card and wait for the gate; one person at a time."""
        async with self._turn:
            if not self.present(raw, bits, reader_no=reader_no, form=form):
                return OpenResult(False, False, 0.0)
            return await self.passage(timeout)

    def tamper(self, active: bool) -> None:
        """Open or close the cardreader's case."""
        self._tampered = active
        if self.listening:
            self._report_tamper()

    def _report_tamper(self) -> None:
        report = bytes([self._tampered, 0])
        self._pd.ctx.submit_event({"event": osdp.Event.Status, "type": osdp.StatusReportType.Local, "report": report})
