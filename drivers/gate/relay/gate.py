"""A gate behind a relay board, as a driver: pulses out, contacts in, every 50 ms."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping

from drivers.base import (
    Backoff,
    Capabilities,
    Command,
    DeviceOffline,
    DeviceRefused,
    DeviceState,
    Direction,
    DriverError,
    Emit,
    Fact,
    OpenGate,
    SetOutput,
    ShowDenied,
    State,
)
from drivers.gate.contacts import Contacts
from drivers.gate.relay.coils import Coils, NoFlash
from drivers.gate.relay.line import ModbusLine, PduRefused
from drivers.gate.relay.settings import RelaySettings
from drivers.port import Port, open_port, parse_url

CHECK_S = 1.0
"""So often the coils are read back: a board that lost power, or a welded relay, is seen within that."""
SETTLE_S = 0.01
"""Next look while a contact is changing, so that the debounce time and not the poll decides."""
_WINDOW, _NOISY = 40, 5


class RelayGate:
    """A relay board over a port (9600 8N1 unless the URL says otherwise) with a turnstile or door behind it.

    `confirms_passage` is whether an input tells of people who went through. Reasons beside the usual: RELAY_STUCK (a coil does
    not go to rest), FLASH_UNSUPPORTED (the board does not end pulses itself as configured: nothing is opened), BOARD_REFUSED.
    """

    kind = "relay"
    capabilities = Capabilities(
        events=frozenset({"DeviceState", "DoorAlarm", "InputChanged", "Passage"}),
        commands=frozenset({"OpenGate", "SetOutput", "ShowDenied"}),
        isolation="loop",
    )

    def __init__(
        self, device: str, url: str, settings: RelaySettings, *, uniform: Callable[[], float] = random.random
    ) -> None:
        parse_url(url)
        self.device = device
        self.confirms_passage = bool(settings.contacts.passages)
        self._url = url
        self._set = settings
        self._backoff = Backoff(uniform)
        self._one_at_a_time = asyncio.Lock()
        self._contacts = Contacts(device, settings.contacts)
        self._line: ModbusLine | None = None
        self._coils: Coils | None = None
        self._emit: Emit = lambda _event: None
        self._state: tuple[State, str] = ("offline", "STARTING")
        self._stuck = self._no_flash = False
        self._doubtful_until = -math.inf
        self._errors: deque[bool] = deque(maxlen=_WINDOW)
        self._last_heard_ns: int | None = None
        self._counts = dict.fromkeys(
            (
                "opened",
                "openings",
                "denied",
                "commands_failed",
                "repaired",
                "commands",
                "frames",
                "timeouts",
                "bad_frames",
                "noisy",
            ),
            0,
        )

    def health(self) -> Mapping[str, Fact]:
        """State, what ends a pulse (``safe_state``: board, watchdog or driver; ``proven`` at this start) and counters."""
        now = self._line.counters() if self._line else {}
        counts = {name: count + now.get(name, 0) for name, count in self._counts.items()}
        if self._coils is not None:
            counts["repaired"] += self._coils.repaired
        heard = (self._line.heard_ns if self._line else None) or self._last_heard_ns
        state, reason = self._state
        return {
            "state": state,
            "reason_code": reason,
            **counts,
            **self._facts(),
            "last_frame_ms": -1 if heard is None else (time.monotonic_ns() - heard) // 1_000_000,
        }

    def _facts(self) -> dict[str, Fact]:
        who = (
            "board"
            if self._set.flash == "waveshare"
            else ("watchdog" if self._set.watchdog_register >= 0 else "driver")
        )
        return {"safe_state": who, "proven": int(self._coils is not None and self._coils.proven)}

    async def run(self, emit: Emit) -> None:
        """Serve the board until cancelled; every coil is put at rest at the start, and at the end where the board can be reached."""
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
            port = await open_port(self._url, baudrate=9600, orders=True)
            self._counts["opened"] += 1
            await self._serve(ModbusLine(port, self._set.unit, self._set.framing))
        except DeviceOffline as error:
            self._tell("offline", error.code)
        except NoFlash as error:
            self._tell("offline", error.code)
        except PduRefused:
            self._tell("offline", "BOARD_REFUSED")
        finally:
            await self._lose_line()
            if port is not None:
                await port.close()

    async def _lose_line(self) -> None:
        line, coils = self._line, self._coils
        self._line = self._coils = None
        self._contacts.forget()
        self._errors.clear()
        if coils is not None:
            async with self._one_at_a_time:
                # cancelled, or the line is bad: one last try, for a board that ends no pulse itself
                await coils.rest()
            self._counts["repaired"] += coils.repaired
            self._doubtful_until = coils.doubtful_until
        if line is not None:
            self._last_heard_ns = line.heard_ns
            for name, count in line.counters().items():
                self._counts[name] += count

    async def _serve(self, line: ModbusLine) -> None:
        loop = asyncio.get_running_loop()
        self._line, coils = line, Coils(line, self._set, loop.time, doubtful_until=self._doubtful_until)
        async with self._one_at_a_time:
            await coils.begin()
        self._coils = coils
        self._stuck = self._no_flash = False
        self._backoff.reset()
        self._tell("online", "OK")
        check_at = 0.0
        while True:
            began = loop.time()
            async with self._one_at_a_time:
                errors = line.errors
                await self._look(line)
                if coils.due():
                    await coils.tend()
                    check_at = min(check_at, began)
                if began >= check_at or coils.doubtful:
                    self._stuck = not await coils.check()
                    check_at = began + CHECK_S
                self._errors.append(line.errors > errors)
            self._judge()
            pace = SETTLE_S if self._contacts.settling else self._set.poll_ms / 1000
            await asyncio.sleep(max(0.0, began + pace - loop.time()))

    async def _look(self, line: ModbusLine) -> None:
        if self._set.inputs:
            states = await line.inputs(self._set.inputs)
            for event in self._contacts.take(states, time.monotonic_ns()):
                self._emit(event)
        else:
            await line.coils(self._set.coils)

    def _judge(self) -> None:
        if self._stuck or self._no_flash:
            self._tell("degraded", "RELAY_STUCK" if self._stuck else "FLASH_UNSUPPORTED")
        elif sum(self._errors) >= _NOISY:
            self._tell("degraded", "NOISY_LINE")
        elif not any(self._errors) or self._state[1] in ("RELAY_STUCK", "FLASH_UNSUPPORTED"):
            self._tell("online", "OK")

    async def open(self, tenths: int, direction: Direction = "IN") -> None:
        """Let the gate's coil act for ``tenths`` of a second; returns once the board has repeated the order.

        Raises `DeviceOffline` where it cannot be reached, `DeviceRefused` where it said no.
        """
        await self.execute(OpenGate(tenths, direction))

    async def deny(self, reader_no: int = 0) -> None:
        """Pulse the refusal's lamp or buzzer where there is one; raises as `open` does."""
        await self.execute(ShowDenied(reader_no))

    async def execute(self, command: Command) -> None:
        """Carry out a command given as data; raises as `open` does, COMMAND_UNKNOWN for one that a relay board has not."""
        if isinstance(command, OpenGate):
            out = self._set.coil_out if command.direction == "OUT" and self._set.coil_out >= 0 else self._set.coil_in
            await self._order(lambda coils: coils.act(out, command.seconds_tenths / 10))
            # after the order: one that failed excuses no open door
            self._contacts.authorise(time.monotonic_ns() + command.seconds_tenths * 100_000_000)
            self._counts["openings"] += 1
        elif isinstance(command, ShowDenied):
            if self._set.deny_coil >= 0:
                await self._order(lambda coils: coils.act(self._set.deny_coil, self._set.deny_tenths / 10))
            self._counts["denied"] += 1
        elif isinstance(command, SetOutput):
            if command.output_no >= self._set.coils:
                raise DeviceRefused("BAD_OUTPUT", "the relay board has no such coil")
            number, seconds = command.output_no, command.tenths / 10 or math.inf
            acts = command.on != (number in self._set.active_low)  # the coil itself: on is energised
            await self._order(lambda coils: coils.act(number, seconds) if acts else coils.pause(number, seconds))
        else:
            raise DeviceRefused("COMMAND_UNKNOWN", "a relay board has no such command")

    async def _order(self, order: Callable[[Coils], Awaitable[None]]) -> None:
        try:
            async with self._one_at_a_time:
                coils = self._coils
                if coils is None:
                    raise DeviceOffline("DEVICE_OFFLINE", "the relay board does not answer")
                await order(coils)
        except DriverError as error:
            self._counts["commands_failed"] += 1
            self._no_flash = self._no_flash or isinstance(error, NoFlash)
            raise

    def _tell(self, state: State, reason: str) -> None:
        if (state, reason) != self._state:
            self._state = (state, reason)
            self._emit(DeviceState(self.device, state, reason, self._facts()))
