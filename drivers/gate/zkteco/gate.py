"""A ZKTeco controller as a driver: its log is asked for ten times a second, its doors are opened from afar."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Mapping, Sequence

from drivers.base import (
    Backoff,
    Capabilities,
    Command,
    ConfigurationError,
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
from drivers.gate.zkteco.link import ZkLink
from drivers.gate.zkteco.meaning import Meaning, ZkSettings
from drivers.port import Port, open_port, parse_url
from protocols.zkteco import Address, DoorStatus, Record

MAX_SECONDS = 254
"""Longest opening that the control command can say; 255 means for good."""
BACKLOG_S = 2.0
"""A backlog that takes longer to read is told as BACKLOG: 100,000 records, one a reply, take an hour."""
_PARAMETERS = ("~SerialNumber", "FirmVer", "~DeviceName", "LockCount", "AuxInCount")
_FACTS = {"FirmVer": "firmware", "~DeviceName": "model", "LockCount": "doors", "AuxInCount": "aux_inputs"}


class ZkGate:
    """A C3 or inBio controller at tcp:HOST:4370 with its cardreaders, locks and sensors.

    The controller times every opening itself, so a door falls shut when the edge dies. Cards and passages that it gathered while
    nobody listened are dropped (counted as ``backlog``), however many: who held a card there a minute ago is gone. Reason beside the
    usual: BACKLOG (degraded: it opens when told to, and no card is told until all that is old is read).
    """

    kind = "zkteco"
    capabilities = Capabilities(
        events=frozenset({"CardRead", "DeviceState", "DoorAlarm", "InputChanged", "Passage", "Tamper"}),
        commands=frozenset({"OpenGate", "SetOutput", "ShowDenied"}),
        isolation="loop",
    )

    def __init__(
        self,
        device: str,
        url: str,
        settings: ZkSettings,
        *,
        password: str = "",
        poll_ms: int = 100,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        if parse_url(url).scheme != "tcp":
            raise ConfigurationError("BAD_URL", "a ZKTeco controller is reached at tcp:HOST:4370")
        self.device = device
        self.confirms_passage = settings.confirms_passage
        self._url = url
        self._set = settings
        self._password = password
        self._poll_s = poll_ms / 1000
        self._backoff = Backoff(uniform)
        self._one_at_a_time = asyncio.Lock()
        self._meaning = Meaning(device, settings)
        self._link: ZkLink | None = None
        self._emit: Emit = lambda _event: None
        self._state: tuple[State, str] = ("offline", "STARTING")
        self._identity: dict[str, Fact] = {}
        self._last_heard_ns: int | None = None
        self._counts = dict.fromkeys(
            (
                "opened",
                "openings",
                "denied",
                "commands_failed",
                "backlog",
                "commands",
                "frames",
                "timeouts",
                "bad_frames",
            ),
            0,
        )

    def health(self) -> Mapping[str, Fact]:
        """State, firmware and model where told, counters since start; never a card number."""
        now = self._link.counters() if self._link else {}
        heard = (self._link.heard_ns if self._link else None) or self._last_heard_ns
        state, reason = self._state
        return {
            "state": state,
            "reason_code": reason,
            "mode": self._set.mode,
            **{name: count + now.get(name, 0) for name, count in self._counts.items()},
            "foreign": self._meaning.foreign,
            **self._identity,
            "last_frame_ms": -1 if heard is None else (time.monotonic_ns() - heard) // 1_000_000,
        }

    async def run(self, emit: Emit) -> None:
        """Serve the controller until cancelled."""
        self._emit = emit
        try:
            while True:
                await self._attempt()
                await asyncio.sleep(self._backoff.next_s())
        finally:
            self._state = ("offline", "STOPPED")

    async def _attempt(self) -> None:
        port: Port | None = None
        link: ZkLink | None = None
        try:
            port = await open_port(self._url, orders=True)
            self._counts["opened"] += 1
            link = ZkLink(port)
            await link.connect(self._password)
            await self._serve(link)
        except (DeviceOffline, DeviceRefused) as error:
            self._tell("offline", error.code)
        except asyncio.CancelledError:
            await self._say_goodbye(link)
            raise
        finally:
            self._link = None
            if link is not None:
                self._last_heard_ns = link.heard_ns or self._last_heard_ns
                for name, count in link.counters().items():
                    self._counts[name] += count
            if port is not None:
                await port.close()

    async def _say_goodbye(self, link: ZkLink | None) -> None:
        """End the session where nothing is under way: a controller has room for few of them."""
        if link is None or self._link is None or self._one_at_a_time.locked():
            return
        with contextlib.suppress(DriverError, TimeoutError):
            async with asyncio.timeout(0.5):
                await link.disconnect()

    async def _serve(self, link: ZkLink) -> None:
        found = await link.parameters(_PARAMETERS)
        self._identity = {_FACTS[name]: found[name][:40] for name in _FACTS if name in found}
        loop = asyncio.get_running_loop()
        backlog, late_at = True, loop.time() + BACKLOG_S
        while True:
            async with self._one_at_a_time:
                records = await link.log()
            caught_up = not records or all(isinstance(record, DoorStatus) for record in records)
            self._take(records, backlog=backlog)
            if backlog and (caught_up or loop.time() >= late_at):
                self._link = link
                self._backoff.reset()
                self._tell(*(("online", "OK") if caught_up else ("degraded", "BACKLOG")))
            if caught_up:
                backlog = False
                await asyncio.sleep(self._poll_s)

    def _take(self, records: Sequence[Record], *, backlog: bool) -> None:
        """Of what the controller gathered before we came the alarms still count, the cards do not."""
        now_ns = time.monotonic_ns()
        for record in records:
            self._counts["backlog"] += backlog and not isinstance(record, DoorStatus)
            for event in self._meaning.take(record, now_ns, backlog=backlog):
                self._emit(event)

    async def open(self, tenths: int, direction: Direction = "IN") -> None:
        """Open the door that leads that way for ``tenths`` of a second, rounded up to whole seconds; returns once confirmed.

        In mode observe nothing is sent: it returns, once, where the controller itself opened for the card that it told of last at the
        door of that way, within 5 s, and raises `DeviceRefused` CONTROLLER_DENIED otherwise. Raises
        `DeviceOffline`; `DeviceRefused` BAD_OPEN_TIME beyond 254 s.
        """
        await self.execute(OpenGate(tenths, direction))

    async def deny(self, reader_no: int = 0) -> None:
        """Nothing to send: the controller has shown its own refusal when it told us of the card."""
        await self.execute(ShowDenied(reader_no))

    async def execute(self, command: Command) -> None:
        """Carry out a command given as data; raises as `open` does, COMMAND_UNKNOWN for one that a controller has not."""
        try:
            if isinstance(command, OpenGate):
                await self._open(command)
            elif isinstance(command, ShowDenied):
                self._counts["denied"] += 1
            elif isinstance(command, SetOutput):
                seconds = min(MAX_SECONDS, -(-command.tenths // 10)) if command.tenths else 255
                await self._switch(command.output_no + 1, Address.AUX, seconds if command.on else 0)
            else:
                raise DeviceRefused("COMMAND_UNKNOWN", "a controller has no such command")
        except DriverError:
            self._counts["commands_failed"] += 1
            raise

    async def _open(self, command: OpenGate) -> None:
        if self._set.mode == "observe":
            if not self._meaning.opened_itself(command.direction, time.monotonic_ns()):
                raise DeviceRefused("CONTROLLER_DENIED", "the controller decides here, and it did not open")
            return
        seconds = -(-command.seconds_tenths // 10)
        if seconds > MAX_SECONDS:
            raise DeviceRefused("BAD_OPEN_TIME", f"the controller opens for at most {MAX_SECONDS} seconds")
        await self._switch(self._meaning.door(command.direction), Address.DOOR, seconds)
        self._meaning.opened(command.direction, seconds, time.monotonic_ns())
        self._counts["openings"] += 1

    async def _switch(self, output: int, address: Address, seconds: int) -> None:
        async with self._one_at_a_time:
            link = self._link
            if link is None:
                raise DeviceOffline("DEVICE_OFFLINE", "the controller does not answer")
            await link.output(output, address, seconds)

    def _tell(self, state: State, reason: str) -> None:
        if (state, reason) != self._state:
            self._state = (state, reason)
            self._emit(DeviceState(self.device, state, reason, dict(self._identity)))
