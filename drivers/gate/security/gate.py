"""A FEIG security gate (LRB25000 and its kind) with the people counter behind it, as a driver."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Callable, Mapping

from drivers.base import (
    Backoff,
    Capabilities,
    Command,
    DeviceOffline,
    DeviceRefused,
    DeviceState,
    Emit,
    Fact,
    InputChanged,
    PeopleCounted,
    ResetCounter,
    SetAlarm,
    SetOutput,
    State,
    TagPassed,
    Tamper,
)
from drivers.gate.security.alarm import AlarmSwitch
from drivers.gate.security.line import GateLine
from drivers.gate.security.passing import Passings, tag_of
from drivers.gate.security.people import PeopleTally
from drivers.gate.security.settings import GateSettings
from drivers.port import Port, open_port
from drivers.rfid.feig.pad import output_changes
from protocols.feig import (
    NO_TAG,
    NO_VALID_DATA,
    OK,
    UNKNOWN_COMMAND,
    BufferReply,
    ClearBufferRequest,
    Frame,
    InputsReply,
    InputsRequest,
    ReadBufferExtendedRequest,
    ReadBufferRequest,
    SetOutputRequest,
    StatusError,
    VersionReply,
    VersionRequest,
)
from protocols.feig import gate as wire
from protocols.frames import FrameError

__all__ = ["FeigGate"]

TICK_S = 0.1
INPUTS_EVERY_S, ABSENT_EVERY_S = 1.0, 60.0
_RECORDS = frozenset({ReadBufferRequest.COMMAND, ReadBufferExtendedRequest.COMMAND})
_WINDOW_S, _NOISY = 10.0, 5


class FeigGate:
    """One gate over ``url``; see `GateSettings` for what a site may choose."""

    kind = "gate"

    def __init__(
        self, device: str, url: str, settings: GateSettings, *, uniform: Callable[[], float] = random.random
    ) -> None:
        self.device = device
        self._url = url
        self._set = settings
        events = {"TagPassed", "DeviceState"} | ({"PeopleCounted"} if settings.people else set())
        commands = {"SetAlarm", "SetOutput"} | ({"ResetCounter"} if settings.people else set())
        if settings.inputs:
            events |= {"InputChanged"}
        if settings.tamper_input is not None:
            events |= {"Tamper"}
        self.capabilities = Capabilities(frozenset(events), frozenset(commands))
        self._backoff = Backoff(uniform)
        self._emit: Emit = lambda _event: None
        self._state: tuple[State, str] = ("offline", "STARTING")
        self._facts: dict[str, Fact] = {}
        self._line: GateLine | None = None
        self._heard_at: float | None = None
        self._pushed_at = -1e9
        self._passings = Passings(settings.window_s)
        self._tally = PeopleTally()
        self._alarm = AlarmSwitch(settings.alarm_block)
        self._states: dict[int, bool] = {}
        self._extended = True
        self._noise: deque[float] = deque(maxlen=64)
        self._totals = {
            "opened": 0, "commands": 0, "frames": 0, "bad_frames": 0, "timeouts": 0, "other_address": 0, "tags_seen": 0,
            "tags_passed": 0, "records_lost": 0, "counter_resets": 0,
        }  # fmt: skip
        self._due = dict.fromkeys(("poll", "people", "inputs"), 0.0)

    def health(self) -> Mapping[str, Fact]:
        """State, counters since start, totals of the people counter, ms since the last sound frame (-1 = none yet), facts."""
        state, reason = self._state
        age = -1 if self._heard_at is None else int((time.monotonic() - self._heard_at) * 1000)
        return {
            "state": state, "reason_code": reason, "last_frame_ms": age, **self._with_line(),
            "total_in": self._tally.totals[0], "total_out": self._tally.totals[1], **self._facts,
        }  # fmt: skip

    def _with_line(self) -> dict[str, int]:
        line = self._line
        if line is None:
            return dict(self._totals)
        now = {
            "commands": line.commands, "frames": line.frames, "bad_frames": line.bad_frames,
            "timeouts": line.timeouts, "other_address": line.other_address,
        }  # fmt: skip
        return {name: count + now.get(name, 0) for name, count in self._totals.items()}

    async def run(self, emit: Emit) -> None:
        """Serve the gate until cancelled."""
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
            port = await open_port(self._url, baudrate=38400, parity="E")
            self._totals["opened"] += 1
            await self._serve(GateLine(port, self._set.address, self._frame))
        except DeviceOffline as error:
            self._tell("offline", error.code)
        finally:
            self._totals = self._with_line()
            self._line = None
            if port is not None:
                await port.close()

    async def _serve(self, line: GateLine) -> None:
        self._line = line
        self._due = dict.fromkeys(self._due, 0.0)
        working = {
            asyncio.create_task(line.listen(), name=f"{self.device} frames"),
            asyncio.create_task(self._ask(line), name=f"{self.device} questions"),
        }
        began, errors = time.monotonic(), 0
        try:
            while True:
                done, _ = await asyncio.wait(working, timeout=TICK_S, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    await task  # raises why the port was lost
                self._judge(line.bad_frames + line.timeouts - errors, began)
                errors = line.bad_frames + line.timeouts
        finally:
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)

    async def _ask(self, line: GateLine) -> None:
        await self._greet(line)
        while True:
            await self._ask_what_is_due(line)
            await asyncio.sleep(TICK_S / 2)

    async def _greet(self, line: GateLine) -> None:
        with contextlib.suppress(DeviceOffline, FrameError, StatusError):
            version = VersionReply.from_frame(await line.ask(VersionRequest.COMMAND, b""))
            self._facts["firmware"] = f"{version.software[0]}.{version.software[1]}"
            self._facts["reader_type"] = version.reader_type

    def _judge(self, errors: int, began: float) -> None:
        now = time.monotonic()
        self._noise.extend([now] * min(errors, 8))
        while self._noise and now - self._noise[0] > _WINDOW_S:
            self._noise.popleft()
        if now - max(self._heard_at or began, began) > self._set.keepalive_s:
            self._noise.clear()  # silence is no noise
            if not self._url.startswith("listen:"):
                # a connection that nobody is behind any more; a gate that calls us keeps its door
                raise DeviceOffline("NO_KEEPALIVE", "the gate says nothing any more")
            self._tell("offline", "NO_KEEPALIVE")
        elif self._heard_at is None or self._heard_at < began:
            return  # not a word yet
        elif len(self._noise) >= _NOISY:
            self._tell("degraded", "NOISY_LINE")
        else:
            self._backoff.reset()
            self._tell("online", "OK")

    async def _ask_what_is_due(self, line: GateLine) -> None:
        for name, wanted, act in (
            ("poll", self._polls, self._poll),
            ("people", self._set.people, self._count),
            ("inputs", self._set.inputs or self._set.tamper_input is not None, self._inputs),
        ):
            if wanted and time.monotonic() >= self._due[name]:
                try:
                    self._due[name] = time.monotonic() + await act(line)
                except DeviceOffline as error:
                    if error.code != "NO_ANSWER":
                        raise
                    self._due[name] = time.monotonic() + self._set.poll_s * 4
                except StatusError:
                    self._due[name] = time.monotonic() + ABSENT_EVERY_S  # the gate has no such thing
                except FrameError:
                    line.senseless += 1

    @property
    def _polls(self) -> bool:
        """In mode "auto" a gate that pushes, or shows that it lives, is not asked for its buffer."""
        if self._set.mode == "auto":
            return time.monotonic() - self._pushed_at > self._set.keepalive_s
        return self._set.mode == "poll"

    # --- what the gate says ---

    def _frame(self, frame: Frame) -> None:
        self._heard_at = time.monotonic()
        if frame.command == wire.KEEPALIVE:
            self._pushed_at = self._heard_at
        elif frame.command in _RECORDS:
            self._records(frame)

    def _records(self, frame: Frame) -> None:
        line = self._line
        if line is None:
            return
        try:
            reply = BufferReply.from_frame(frame)
        except FrameError:
            line.senseless += 1
            return
        except StatusError:
            return  # an answer to a question of ours, which sees it too
        if not line.asks(frame.command):
            self._pushed_at = time.monotonic()
            if self._set.acknowledge:
                line.say(ClearBufferRequest.COMMAND, b"")
        self._totals["records_lost"] += reply.overflow
        for record in reply.records:
            tag = tag_of(record, True if self._set.selects == "secured" else None)
            if tag is None:
                continue
            self._totals["tags_seen"] += 1
            if self._passings.is_new(tag.uid, time.monotonic()):
                self._totals["tags_passed"] += 1
                sounded = self._alarm.on if self._set.selects == "secured" else None
                self._emit(TagPassed(self.device, tag, record.antenna or 0, sounded, time.monotonic_ns()))

    # --- what is asked ---

    async def _poll(self, line: GateLine) -> float:
        request = ReadBufferExtendedRequest() if self._extended else ReadBufferRequest()
        frame = await line.ask(request.COMMAND, request.to_body())
        if frame.status == UNKNOWN_COMMAND:
            if not self._extended:
                raise StatusError(UNKNOWN_COMMAND)
            self._extended = False
            return 0.0
        if frame.status in (NO_VALID_DATA, NO_TAG):
            return self._set.poll_s
        reply = BufferReply.from_frame(frame)
        await line.ask(ClearBufferRequest.COMMAND, b"")
        return 0.0 if reply.more or len(reply.records) == request.sets else self._set.poll_s

    async def _count(self, line: GateLine) -> float:
        counter = wire.decode_counter((await line.ask(wire.PIGGYBACK, wire.counter_question())).body)
        inner = counter.inner
        if (counter.from_device, inner.address, inner.command) != (True, wire.COUNTER_ADDRESS, wire.COUNTER_READ):
            raise FrameError("an answer to something else, or of another device")
        if counter.counts is None:
            raise StatusError(counter.inner.status)
        total_in, total_out = counter.counts[::-1] if self._set.swap else counter.counts
        delta = self._tally.take(total_in, total_out, time.monotonic())
        if delta is not None:
            self._totals["counter_resets"] += delta.reset
            self._emit(
                PeopleCounted(
                    self.device, delta.came, delta.left, total_in, total_out, delta.reset, time.monotonic_ns()
                )
            )
        return self._set.people_s

    async def _inputs(self, line: GateLine) -> float:
        reply = InputsReply.from_frame(await line.ask(InputsRequest.COMMAND, b""))
        for number in range(3):
            active = reply.active(number)
            if self._states.get(number) is active:
                continue
            self._states[number] = active
            if number == self._set.tamper_input:
                self._emit(Tamper(self.device, active))
            elif self._set.inputs:
                self._emit(InputChanged(self.device, number, active, time.monotonic_ns()))
        return INPUTS_EVERY_S

    # --- commands ---

    async def execute(self, command: Command) -> None:
        """Carry out `SetAlarm`, `ResetCounter` or `SetOutput`.

        Raises `DeviceOffline`; `DeviceRefused` NOT_SUPPORTED, REFUSED, NOT_VERIFIED, ALARM_BLOCK_UNKNOWN.
        """
        line = self._line
        if line is None:
            raise DeviceOffline("DEVICE_OFFLINE", "the gate does not answer")
        try:
            match command:
                case SetAlarm(on=on):
                    await self._alarm.switch(line, on)
                    self._facts["alarm"] = "on" if on else "off"
                case ResetCounter() if self._set.people:
                    await self._reset_counter(line)
                case SetOutput():
                    _done(await line.ask(SetOutputRequest.COMMAND, SetOutputRequest(output_changes(command)).to_body()))
                case _:
                    raise DeviceRefused("NOT_SUPPORTED", f"this gate does not take {type(command).__name__}")
        except (StatusError, FrameError) as error:
            raise DeviceRefused("REFUSED", f"the gate answered {error.code}") from error

    async def _reset_counter(self, line: GateLine) -> None:
        """Count what came until now, set to zero, and begin there."""
        with contextlib.suppress(StatusError, FrameError):
            await self._count(line)
        answer = wire.decode_counter((await line.ask(wire.PIGGYBACK, wire.counter_question((0, 0)))).body)
        if not answer.from_device or answer.inner.command != wire.COUNTER_SET:
            raise FrameError("the counter answered something else")
        if answer.inner.status != OK:
            raise StatusError(answer.inner.status)
        self._tally.zeroed(time.monotonic())
        self._totals["counter_resets"] += 1
        self._emit(PeopleCounted(self.device, 0, 0, 0, 0, True, time.monotonic_ns()))

    def _tell(self, state: State, reason: str) -> None:
        if (state, reason) != self._state:
            self._state = (state, reason)
            self._emit(DeviceState(self.device, state, reason, dict(self._facts)))


def _done(frame: Frame) -> None:
    if frame.status != OK:
        raise StatusError(frame.status, frame.data)
