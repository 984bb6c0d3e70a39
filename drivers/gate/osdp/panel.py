"""The control-panel end of one OSDP line: a thread that owns the port and the libosdp context.

libosdp is polled. Instead of the wrapper's fixed sleep the thread waits in ``select`` for bytes of the device, for a
command of ours or for ``refresh_ms``, whichever comes first, so a reply is taken up at once and an idle line costs
little. After a refused key or silence libosdp itself waits up to 300 s; we build a new context long before that.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import osdp

from drivers.base import Backoff
from drivers.port import PortError, RawPort, open_raw

COMMAND_LIMIT = 16
"""Commands waiting for one device; more means nobody is answering."""
PATIENCE_S = 1.5
"""Silence, or a start without success, after which the device counts as gone and the context is built anew.

A secure channel comes up in 0.1 to 0.4 s, a poll is answered within 0.2 s; libosdp alone takes 8 s to notice.
"""
_LOCAL_STATUS = {"command": osdp.Command.Status, "type": osdp.StatusReportType.Local, "report": b""}
_INPUT_STATUS = {"command": osdp.Command.Status, "type": osdp.StatusReportType.Input, "report": b""}


@dataclass(frozen=True, slots=True)
class PanelSettings:
    """How to reach one device: its line, address 0..126, key of 16 bytes (None = without) and poll pace.

    ``ask_inputs``: whether it has inputs whose state is asked for at the start; ``at_rest``: orders given at every start.
    """

    url: str
    baudrate: int
    address: int
    scbk: bytes | None
    commission: bool
    refresh_ms: float
    ask_inputs: bool = False
    at_rest: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class LinkChange:
    """The link went up or down: ``secure`` = under our key, ``reason_code`` as in the device's state."""

    up: bool
    secure: bool
    reason_code: str


Done = Callable[[bool], None]


class _Line(osdp.Channel):  # type: ignore[misc]  # libosdp has no types
    """libosdp's view of the port, one for all contexts of a panel: libosdp never lets go of a channel (3.2.9).

    An exception cannot cross the C core, so a lost port is kept and raised after it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._port: RawPort | None = None
        self._lost: PortError | None = None
        self.bytes_in = 0

    def attach(self, port: RawPort | None) -> None:
        self._port, self._lost = port, None

    def read(self, max_bytes: int) -> bytes:
        if self._port is None:
            return b""
        try:
            data = self._port.read(max_bytes)
        except PortError as error:
            self._lost = error
            return b""
        self.bytes_in += len(data)
        return data

    def write(self, buf: bytes) -> int:
        if self._port is None:
            return 0
        try:
            return self._port.write(buf)
        except PortError as error:
            self._lost = error
            return 0

    def flush(self) -> None:
        """Nothing is buffered here."""

    def check(self) -> None:
        if self._lost is not None:
            raise self._lost


class _ControlPanel(osdp.ControlPanel):  # type: ignore[misc]  # libosdp has no types
    """The wrapper without its own event queue, which nobody would empty and which would keep every card number."""

    def _internal_event_handler(self, pd: int, event: dict[str, Any]) -> int:
        self.user_event_handler(pd, event)
        return 0


class Panel:
    """Runs one OSDP line in a thread of its own; every callback is called in that thread."""

    def __init__(
        self,
        settings: PanelSettings,
        *,
        on_event: Callable[[dict[str, Any]], None],
        on_link: Callable[[LinkChange], None],
        uniform: Callable[[], float],
    ) -> None:
        self._set = settings
        self._on_event = on_event
        self._on_link = on_link
        self._backoff = Backoff(uniform)
        self._commands: queue.Queue[tuple[dict[str, Any], Done]] = queue.Queue(COMMAND_LIMIT)
        self._under_way: deque[Done] = deque()
        self._stop = threading.Event()
        self._wake_r, self._wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._line = _Line()
        self._cp: Any = None
        self._secured_by_default_key = False
        self._reason = "NO_ANSWER"
        self._ended = False
        self._wanted: deque[dict[str, Any]] = deque()
        self._install = settings.commission
        self.link = LinkChange(False, False, "STARTING")
        self.identity: dict[str, str | int] = {}
        self.reopened = 0
        self.heard_ns: int | None = None
        """When the device last sent something (monotonic)."""

    def submit(self, command: dict[str, Any], done: Done) -> bool:
        """Queue a libosdp command from any thread; ``done(ok)`` follows. False where too many wait already."""
        try:
            self._commands.put_nowait((command, done))
        except queue.Full:
            return False
        self._wake()
        return True

    def stop(self) -> None:
        """Ask the thread to end; from any thread."""
        self._stop.set()
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wake_w, b"!")

    def serve(self) -> None:
        """Hold the line until `stop`: open, talk, back off, open again."""
        try:
            while not self._stop.is_set():
                self._attempt()
                self._sleep(self._backoff.next_s())
        finally:
            self.link = LinkChange(False, False, "STOPPED")
            self._refuse_waiting()
            os.close(self._wake_r)
            os.close(self._wake_w)

    def _attempt(self) -> None:
        try:
            port = open_raw(self._set.url, baudrate=self._set.baudrate, timeout_s=2.0)
        except PortError as error:
            self._tell_link(LinkChange(False, False, error.code))
            return
        self.reopened += 1
        try:
            self._talk(port)
        except PortError as error:
            self._tell_link(LinkChange(False, False, error.code))
        finally:
            if self._cp is not None:
                self._cp.ctx = None  # breaks the cycle through C, or the context would never be freed
                self._cp = None
            self._line.attach(None)
            port.close()
            self._fail_under_way()

    def _talk(self, port: RawPort) -> None:
        line = self._line
        line.attach(port)
        self._secured_by_default_key = False
        self._reason = "NO_ANSWER"
        self._ended = False
        self._cp = _ControlPanel(
            [osdp.PDInfo(self._set.address, line, scbk=self._set.scbk, flags=self._flags())],
            log_level=osdp.LogLevel.Critical,
            event_handler=self._handle,
            command_completion_handler=self._completed,
        )
        heard_at = time.monotonic()
        offered = False
        while not self._stop.is_set():
            before = line.bytes_in
            self._cp.ctx.refresh()
            line.check()
            self._submit_waiting()
            if self.link.up and line.bytes_in != before:
                heard_at = time.monotonic()
                self.heard_ns = time.monotonic_ns()
            if self._ended or time.monotonic() - heard_at > PATIENCE_S:
                self._tell_link(LinkChange(False, False, self._reason))
                return
            if offered and line.bytes_in == before:
                # bytes lie there and libosdp does not want them now: do not spin on them
                self._stop.wait(self._set.refresh_ms / 1000)
            offered = self._wait(port)

    def _flags(self) -> list[int]:
        flags = [osdp.LibFlag.EnableNotification]
        if self._install:
            return [*flags, osdp.LibFlag.InstallMode]  # together with EnforceSecure libosdp never tries SCBK-D
        return [*flags, osdp.LibFlag.EnforceSecure]

    def _wait(self, port: RawPort) -> bool:
        """Sleep until the device sends, a command comes or a refresh is due; True where the device sent."""
        fds = [self._wake_r] if port.fd is None else [self._wake_r, port.fd]
        ready, _, _ = select.select(fds, [], [], self._set.refresh_ms / 1000)
        if self._wake_r in ready:
            os.read(self._wake_r, 512)
        return port.fd in ready

    def _sleep(self, seconds: float) -> None:
        """Wait between attempts; commands arriving meanwhile are refused at once."""
        end = time.monotonic() + seconds
        while not self._stop.is_set():
            self._refuse_waiting()
            left = end - time.monotonic()
            if left <= 0:
                return
            if select.select([self._wake_r], [], [], left)[0]:
                os.read(self._wake_r, 512)

    def _submit_waiting(self) -> None:
        while self._wanted and self.link.up and self._cp.ctx.submit_command(0, self._wanted[0]):
            self._under_way.append(lambda _ok: None)
            self._wanted.popleft()
        while not self._commands.empty():
            command, done = self._commands.get_nowait()
            if self.link.up and self._cp.ctx.submit_command(0, command):
                self._under_way.append(done)
                self._cp.ctx.refresh()
            else:
                done(False)

    def _refuse_waiting(self) -> None:
        while not self._commands.empty():
            self._commands.get_nowait()[1](False)

    def _fail_under_way(self) -> None:
        while self._under_way:
            self._under_way.popleft()(False)

    def _completed(self, _address: int, _command: dict[str, Any], status: int) -> None:
        if self._under_way:
            self._under_way.popleft()(status == osdp.CompletionStatus.Ok)

    def _handle(self, _pd: int, event: dict[str, Any]) -> int:
        if event["event"] != osdp.Event.Notification:
            # without our key anyone on the cable could be the cardreader
            if self.link.secure or (self.link.up and self._set.scbk is None):
                self._on_event(event)
            return 0
        on = event["arg0"] == 1
        if event["type"] == osdp.EventNotification.SecureChannelStatus:
            self._secured_by_default_key = on and event["arg1"] == 1
            if not on and not self.link.up:
                self._reason = "KEY_REFUSED"
        elif event["type"] == osdp.EventNotification.PeripheralDeviceStatus:
            self._device_status(on)
        return 0

    def _device_status(self, on: bool) -> None:
        if not on:
            self._ended = True
            return
        secure = bool(self._cp.ctx.sc_status() & 1) and not self._secured_by_default_key
        if self._set.scbk is None:
            self._tell_link(LinkChange(True, False, "INSTALL_MODE"))
        elif not secure:
            self._reason, self._ended = "NO_SECURE_CHANNEL", True
            return
        else:
            self._reason = "NO_ANSWER"
            self._end_commissioning()
            self._backoff.reset()
            self._read_identity()
            self._tell_link(LinkChange(True, True, "OK"))
        # not from within this callback: libosdp takes no command yet
        self._wanted = deque((*self._set.at_rest, _LOCAL_STATUS, *((_INPUT_STATUS,) if self._set.ask_inputs else ())))

    def _end_commissioning(self) -> None:
        if self._install:
            self._install = False
            self._cp.ctx.clear_flag(0, osdp.LibFlag.InstallMode)
            self._cp.ctx.set_flag(0, osdp.LibFlag.EnforceSecure)

    def _read_identity(self) -> None:
        found = self._cp.ctx.get_pd_id(0)
        self.identity = {key: int(found[key]) & 0xFFFFFFFF for key in ("vendor_code", "model", "firmware_version")}

    def _tell_link(self, change: LinkChange) -> None:
        if change != self.link:
            self.link = change
            self._on_link(change)
