"""An OSDP cardreader with the gate behind its output, as a driver."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import osdp

from drivers.base import (
    Capabilities,
    CardRead,
    Command,
    ConfigurationError,
    DeviceEvent,
    DeviceOffline,
    DeviceRefused,
    DeviceState,
    Emit,
    Fact,
    OpenGate,
    ShowDenied,
    State,
    Tamper,
)
from drivers.gate.osdp.panel import LinkChange, Panel, PanelSettings
from drivers.port import parse_url

SCBK_DEFAULT = bytes(range(0x30, 0x40))
"""SCBK-D of the standard. A device without a key may also answer to sixteen zeros, so neither is a key."""
COMMAND_TIMEOUT_S = 1.5
"""A command is on the wire within one poll (50 ms); a gate that has not confirmed by now did not open."""
_OUTPUT_ON_FOR = 5
"""OSDP output control code 05: on for the timer's time, then back to the permanent state."""


class OsdpGate:
    """OSDP control panel for one cardreader and the gate wired to its output (IEC 60839-11-5, secure channel).

    ``scbk`` is the device's secure-channel base key, 16 bytes; the driver talks to nobody who does not hold it.
    ``commission=True`` is for installing: a device still on the well-known default key is given ``scbk`` (KEYSET) and
    must then prove it; with ``scbk=None`` it is only listened to, in plain text, and reported as degraded.
    ``refresh_ms`` (1..50) bounds how late a poll goes out; replies and commands do not wait for it. Measured on one
    core, idle: 2 ms costs 1.6 %, 5 ms 0.7 %, 10 ms 0.5 %, 20 ms 0.3 %, 50 ms 0.15 %; above 20 ms taps become slower.
    """

    kind = "osdp"
    capabilities = Capabilities(
        events=frozenset({"CardRead", "DeviceState", "Tamper"}), commands=frozenset({"OpenGate", "ShowDenied"})
    )

    def __init__(
        self,
        device: str,
        url: str,
        *,
        scbk: bytes | None,
        address: int = 0,
        output_no: int = 0,
        reader_direction: Mapping[int, str] | None = None,
        refresh_ms: float = 5,
        baudrate: int = 9600,
        commission: bool = False,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        if scbk is None and not commission:
            raise ConfigurationError("SCBK_MISSING", "an OSDP cardreader needs its 16-byte key, or commissioning")
        if scbk is not None and len(scbk) != 16:
            raise ConfigurationError("SCBK_LENGTH", "the OSDP key must be 16 bytes (32 hex digits)")
        if scbk in (bytes(16), SCBK_DEFAULT):
            raise ConfigurationError("SCBK_WEAK", "the OSDP key is one that everybody knows; choose 16 random bytes")
        if not 0 <= address <= 126:
            raise ConfigurationError("BAD_ADDRESS", "an OSDP address is 0 to 126")
        if not 1 <= refresh_ms <= 50:
            raise ConfigurationError("BAD_REFRESH", "refresh_ms is 1 to 50")
        parse_url(url)
        self.device = device
        self._settings = PanelSettings(url, baudrate, address, scbk, commission, refresh_ms)
        self._output_no = output_no
        self._direction = dict(reader_direction) if reader_direction is not None else {0: "IN", 1: "OUT"}
        self._uniform = uniform
        self._panel: Panel | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._emit: Emit | None = None
        self._tamper: bool | None = None
        self._counts = {"cards": 0, "opened": 0, "denied": 0, "commands_failed": 0}

    async def run(self, emit: Emit) -> None:
        """Serve the device until cancelled."""
        self._loop, self._emit = asyncio.get_running_loop(), emit
        panel = Panel(self._settings, on_event=self._on_event, on_link=self._on_link, uniform=self._uniform)
        self._panel = panel
        ended: asyncio.Future[None] = self._loop.create_future()
        thread = threading.Thread(target=self._serve, args=(panel, ended), name=f"osdp-{self.device}", daemon=True)
        thread.start()
        try:
            await asyncio.shield(ended)
        finally:
            self._panel = None
            panel.stop()
            await asyncio.to_thread(thread.join)
            if ended.done() and not ended.cancelled():
                ended.exception()

    def _serve(self, panel: Panel, ended: asyncio.Future[None]) -> None:
        failure: BaseException | None = None
        try:
            panel.serve()
        except BaseException as error:  # the thread's outer edge: run() raises it where it can be seen
            failure = error

        def finish() -> None:
            if ended.done():
                return
            if failure is None:
                ended.set_result(None)
            else:
                ended.set_exception(failure)

        self._in_loop(finish)

    def health(self) -> Mapping[str, Fact]:
        """Give the link's state, whether the secure channel is up, and counters since start."""
        link = self._panel.link if self._panel else LinkChange(False, False, "STOPPED")
        reopened = self._panel.reopened if self._panel else 0
        return {
            "state": _state_of(link),
            "sc_active": int(link.secure),
            "reason_code": link.reason_code,
            "attempts": reopened,
            **self._counts,
        }

    async def open(self, tenths: int) -> None:
        """Switch the gate's output on for ``tenths`` of a second; returns once the device has acknowledged it.

        Raises `DeviceOffline` where it cannot be reached, `DeviceRefused` where it said no.
        """
        await self.execute(OpenGate(tenths))

    async def deny(self, reader_no: int = 0) -> None:
        """Show red and sound twice at the cardreader; raises as `open` does."""
        await self.execute(ShowDenied(reader_no))

    async def execute(self, command: Command) -> None:
        """Carry out a command given as data; raises as `open` does."""
        if isinstance(command, OpenGate):
            await self._send(self._output(command.seconds_tenths))
            self._counts["opened"] += 1
        else:
            led, buzzer = _red(command.reader_no), _two_beeps(command.reader_no)
            await asyncio.gather(self._send(led), self._send(buzzer))
            self._counts["denied"] += 1

    def _output(self, tenths: int) -> dict[str, Any]:
        return {
            "command": osdp.Command.Output,
            "output_no": self._output_no,
            "control_code": _OUTPUT_ON_FOR,
            "timer_count": tenths,
        }

    async def _send(self, command: dict[str, Any]) -> None:
        panel = self._panel
        if panel is None or not panel.link.up:
            raise DeviceOffline("DEVICE_OFFLINE", "the cardreader does not answer")
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def settle(ok: bool) -> None:
            if not answer.done():
                answer.set_result(ok)

        if not panel.submit(command, lambda ok: self._in_loop(settle, ok)):
            raise DeviceOffline("DEVICE_BUSY", "too many commands wait for the cardreader")
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                ok = await answer
        except TimeoutError as error:
            self._counts["commands_failed"] += 1
            raise DeviceOffline("NO_CONFIRMATION", "the cardreader did not confirm the command") from error
        if not ok:
            self._counts["commands_failed"] += 1
            if not panel.link.up:
                raise DeviceOffline("DEVICE_OFFLINE", "the cardreader went away")
            raise DeviceRefused("COMMAND_REFUSED", "the cardreader refused the command")

    # -- called in the panel's thread ------------------------------------------------------------------------------

    def _on_event(self, event: dict[str, Any]) -> None:
        if event["event"] == osdp.Event.CardRead:
            reader_no = int(event["reader_no"])
            self._counts["cards"] += 1
            self._tell(
                CardRead(
                    self.device,
                    reader_no,
                    self._direction.get(reader_no, ""),
                    "wiegand" if event["format"] == osdp.CardFormat.Wiegand else "raw",
                    int(event["length"]),
                    bytes(event["data"]),
                    time.monotonic_ns(),
                )
            )
        elif event["event"] == osdp.Event.Status and event["type"] == osdp.StatusReportType.Local:
            # OSDP local status report: first byte tamper, second power
            active = bool(event["report"][:1] == b"\x01")
            if active != self._tamper:
                self._tamper = active
                self._tell(Tamper(self.device, active))

    def _on_link(self, link: LinkChange) -> None:
        if not link.up:
            self._tamper = None  # told again when the device is back: a case may have been opened meanwhile
        identity = self._panel.identity if self._panel and link.up else {}
        facts: dict[str, Fact] = {"sc_active": int(link.secure), **identity}
        self._tell(DeviceState(self.device, _state_of(link), link.reason_code, facts))

    def _tell(self, event: DeviceEvent) -> None:
        if self._emit is not None:
            self._in_loop(self._emit, event)

    def _in_loop(self, call: Callable[..., None], *args: object) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
                self._loop.call_soon_threadsafe(call, *args)


def _state_of(link: LinkChange) -> State:
    if not link.up:
        return "offline"
    return "online" if link.secure else "degraded"


def _red(reader_no: int) -> dict[str, Any]:
    """Red for one second, then whatever the cardreader showed before."""
    return {
        "command": osdp.Command.LED,
        "reader": reader_no,
        "led_number": 0,
        "control_code": 2,
        "on_count": 10,
        "off_count": 0,
        "on_color": osdp.CommandLEDColor.Red,
        "off_color": osdp.CommandLEDColor.Black,
        "timer_count": 10,
        "temporary": True,
    }


def _two_beeps(reader_no: int) -> dict[str, Any]:
    return {
        "command": osdp.Command.Buzzer,
        "reader": reader_no,
        "control_code": 2,
        "on_count": 1,
        "off_count": 1,
        "rep_count": 2,
    }
