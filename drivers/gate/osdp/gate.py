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
    Direction,
    Emit,
    Fact,
    OpenGate,
    SetOutput,
    ShowDenied,
    Signal,
    State,
    Tamper,
)
from drivers.gate.contacts import Contacts, ContactSettings
from drivers.gate.osdp.orders import buzzer, led, output, rest
from drivers.gate.osdp.panel import LinkChange, Panel, PanelSettings
from drivers.port import parse_url

SCBK_DEFAULT = bytes(range(0x30, 0x40))
"""SCBK-D of the standard. A device without a key may also answer to sixteen zeros, so neither is a key."""
COMMAND_TIMEOUT_S = 1.5
"""A command is on the wire within one poll (50 ms); a gate that has not confirmed by now did not open."""
DOOR_TICK_S = 0.5
"""A door held open is seen so often; the cardreader reports only changes."""


class OsdpGate:
    """OSDP control panel for one cardreader and the gate wired to its output (IEC 60839-11-5, secure channel).

    ``scbk`` is the device's secure-channel base key, 16 bytes; the driver talks to nobody who does not hold it.
    ``commission=True`` is for installing: a device still on the well-known default key is given ``scbk`` (KEYSET) and
    must then prove it; with ``scbk=None`` it is only listened to, in plain text, and reported as degraded.
    ``refresh_ms`` (1..50) bounds how late a poll goes out; replies and commands do not wait for it. Measured on one
    core, idle: 2 ms costs 1.6 %, 5 ms 0.7 %, 10 ms 0.5 %, 20 ms 0.3 %, 50 ms 0.15 %; above 20 ms taps become slower.
    ``active_low``: the output is on at rest and goes off to open. At every start the output is put at rest for good; a pulse is
    timed by the cardreader, so the gate shuts when the edge dies. ``output_no`` -1: a cardreader without a gate of its own.
    `confirms_passage` is whether one of its inputs tells of people who went through.
    """

    kind = "osdp"
    capabilities = Capabilities(
        events=frozenset({"CardRead", "DeviceState", "DoorAlarm", "InputChanged", "Passage", "Tamper"}),
        commands=frozenset({"OpenGate", "SetOutput", "ShowDenied", "Signal"}),
        isolation="thread",
    )

    def __init__(
        self,
        device: str,
        url: str,
        *,
        scbk: bytes | None,
        address: int = 0,
        output_no: int = 0,
        output_out: int = -1,
        active_low: bool = False,
        ask_inputs: bool = False,
        contacts: ContactSettings | None = None,
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
        meaning = contacts or ContactSettings({}, debounce_ms=0)
        self.device = device
        self.confirms_passage = bool(meaning.passages)
        self._outputs: dict[str, int] = {"IN": output_no, "OUT": output_out if output_out >= 0 else output_no}
        self._active_low = active_low
        self._door = meaning.door is not None
        self._contacts = Contacts(device, meaning, only_changes=not ask_inputs)
        self._inputs: list[bool] = []
        at_rest = tuple(rest(number, active_low) for number in sorted(set(self._outputs.values())) if number >= 0)
        self._settings = PanelSettings(url, baudrate, address, scbk, commission, refresh_ms, ask_inputs, at_rest)
        self._direction = dict(reader_direction) if reader_direction is not None else {0: "IN", 1: "OUT"}
        self._uniform = uniform
        self._panel: Panel | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._emit: Emit | None = None
        self._tamper: bool | None = None
        self._counts = {"cards": 0, "openings": 0, "denied": 0, "commands": 0, "commands_failed": 0, "timeouts": 0}

    async def run(self, emit: Emit) -> None:
        """Serve the device until cancelled."""
        self._loop, self._emit = asyncio.get_running_loop(), emit
        panel = Panel(self._settings, on_event=self._on_event, on_link=self._on_link, uniform=self._uniform)
        self._panel = panel
        ended: asyncio.Future[None] = self._loop.create_future()
        thread = threading.Thread(target=self._serve, args=(panel, ended), name=f"osdp-{self.device}", daemon=True)
        thread.start()
        ticking = asyncio.create_task(self._tick()) if self._door else None
        try:
            await asyncio.shield(ended)
        finally:
            if ticking is not None:
                ticking.cancel()
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

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(DOOR_TICK_S)
            if self._inputs:
                self._take_inputs(self._inputs)

    def health(self) -> Mapping[str, Fact]:
        """Give the link's state, whether the secure channel is up, firmware where told, and counters since start.

        The C core tells of no single bad frame: a line that spoils them shows as NO_ANSWER, and as time-outs of commands.
        """
        panel = self._panel
        link = panel.link if panel else LinkChange(False, False, "STOPPED")
        heard_ns = panel.heard_ns if panel else None
        return {
            "state": _state_of(link),
            "sc_active": int(link.secure),
            "reason_code": link.reason_code,
            "opened": panel.reopened if panel else 0,
            **self._counts,
            **({"firmware": panel.identity["firmware_version"]} if panel and link.up and panel.identity else {}),
            "last_frame_ms": -1 if heard_ns is None else (time.monotonic_ns() - heard_ns) // 1_000_000,
        }

    async def open(self, tenths: int, direction: Direction = "IN") -> None:
        """Switch that way's output for ``tenths`` of a second; returns once the device has acknowledged it.

        Raises `DeviceOffline` where it cannot be reached, `DeviceRefused` where it said no.
        """
        await self.execute(OpenGate(tenths, direction))

    async def deny(self, reader_no: int = 0) -> None:
        """Show red and sound twice at the cardreader; raises as `open` does."""
        await self.execute(ShowDenied(reader_no))

    async def execute(self, command: Command) -> None:
        """Carry out a command given as data; raises as `open` does, COMMAND_UNKNOWN for one that a cardreader has not."""
        if isinstance(command, OpenGate):
            number = self._outputs["OUT" if command.direction == "OUT" else "IN"]
            if number < 0:
                raise DeviceRefused(
                    "NO_OUTPUT", "nothing is wired to this cardreader; name its gate in the configuration"
                )
            await self._send(output(number, not self._active_low, command.seconds_tenths))
            # after the order: one that failed excuses no open door
            self._contacts.authorise(time.monotonic_ns() + command.seconds_tenths * 100_000_000)
            self._counts["openings"] += 1
        elif isinstance(command, ShowDenied):
            await asyncio.gather(
                self._send(led(command.reader_no, "red", 10)), self._send(buzzer(command.reader_no, 2))
            )
            self._counts["denied"] += 1
        elif isinstance(command, Signal):
            await self._send(led(command.reader_no, command.colour, command.tenths))
            if command.beeps:
                await self._send(buzzer(command.reader_no, command.beeps))
        elif isinstance(command, SetOutput):
            await self._send(output(command.output_no, command.on, command.tenths))
        else:
            raise DeviceRefused("COMMAND_UNKNOWN", "a cardreader has no such command")

    async def _send(self, command: dict[str, Any]) -> None:
        panel = self._panel
        if panel is None or not panel.link.up:
            raise DeviceOffline("DEVICE_OFFLINE", "the cardreader does not answer")
        self._counts["commands"] += 1
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
            self._counts["timeouts"] += 1
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
        elif event["event"] == osdp.Event.Status and event["type"] == osdp.StatusReportType.Input:
            # OSDP input status report: a byte each, 1 = active (2 and 3 are faults of a supervised line)
            self._in_loop(self._take_inputs, [state == 1 for state in event["report"][:32]])

    def _take_inputs(self, states: list[bool]) -> None:
        """In the loop: what the inputs became."""
        self._inputs = states
        for told in self._contacts.take(states, time.monotonic_ns()):
            if self._emit is not None:
                self._emit(told)

    def _forget_inputs(self) -> None:
        self._inputs = []
        self._contacts.forget()

    def _on_link(self, link: LinkChange) -> None:
        if not link.up:
            self._tamper = None  # told again when the device is back: a case may have been opened meanwhile
            self._in_loop(self._forget_inputs)
        else:
            self._in_loop(self._contacts.linked, time.monotonic_ns())
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
