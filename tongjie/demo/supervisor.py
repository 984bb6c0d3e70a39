"""Keeps a set of processes running: starts them in order, restarts one that dies with back-off and says so, stops all.

Children get their own process group, so that Ctrl-C reaches only the supervisor, and the kernel ends them should the supervisor
be killed: nothing half-running is left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

READY_LINE_BYTES = 65_536
BACK_OFF_S = (0.5, 1.0, 2.0, 4.0, 8.0)
STABLE_S = 20.0
_PR_SET_PDEATHSIG = 1


class StartError(Exception):
    """A child did not come up; the message says which and what it said."""


# Loaded here: between fork and exec nothing may take a lock that another thread of the supervisor holds.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def _die_with_parent(parent: int) -> None:
    # Linux only; elsewhere a killed supervisor leaves children to notice that their standard input closed.
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the line above, and nobody would tell us
            os._exit(1)


def _end_group(leader: int) -> None:
    # A group keeps the number of its leader for as long as it has members, so nobody else's can be meant.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


class _Streams(asyncio.subprocess.SubprocessStreamProtocol):
    """Ends what a process had started as soon as it is gone itself: else its pipes stay open and ``wait`` never returns."""

    _pid = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert isinstance(transport, asyncio.SubprocessTransport)
        self._pid = transport.get_pid()

    def process_exited(self) -> None:
        _end_group(self._pid)
        super().process_exited()


@dataclass
class Child:
    """One process: how it is started and how it says that it is ready (one JSON line on standard output)."""

    name: str
    argv: list[str]
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)
    ready_timeout_s: float = 30.0
    on_ready: Callable[[dict[str, Any]], None] | None = None
    restart: bool = True
    ready: dict[str, Any] = field(default_factory=dict)
    restarts: int = 0
    process: asyncio.subprocess.Process | None = None
    _log_file: IO[bytes] | None = None
    _tail: deque[str] = field(default_factory=lambda: deque(maxlen=5))

    async def start(self) -> dict[str, Any]:
        """Start the process and wait for its ready line; raises StartError with the last thing it said."""
        self._tail.clear()
        try:
            if self._log_file is None:
                self._log_file = self.log.open("ab")
            loop = asyncio.get_running_loop()
            transport, protocol = await loop.subprocess_exec(
                lambda: _Streams(READY_LINE_BYTES, loop),
                *self.argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self.env},
                process_group=0,
                preexec_fn=partial(_die_with_parent, os.getpid()),
            )
            self.process = asyncio.subprocess.Process(transport, protocol, loop)
        except OSError as error:
            raise StartError(f"{self.name} could not be started: {error}") from error
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        asyncio.create_task(self._drain(self.process.stderr, remember=True))  # noqa: RUF006 - ends with the pipe
        try:
            async with asyncio.timeout(self.ready_timeout_s):
                self.ready = await self._ready_line(self.process.stdout)
        except TimeoutError:
            await self.stop(2.0)
            raise StartError(
                f"{self.name} was not ready after {self.ready_timeout_s:g} s ({self._last_words()}); see {self.log}"
            ) from None
        asyncio.create_task(self._drain(self.process.stdout, remember=False))  # noqa: RUF006 - ends with the pipe
        if self.on_ready is not None:
            self.on_ready(self.ready)
        return self.ready

    async def _ready_line(self, stdout: asyncio.StreamReader) -> dict[str, Any]:
        while True:
            try:
                line = await stdout.readline()
            except ValueError:  # longer than a ready line can be
                continue
            if not line:
                assert self.process is not None
                await self.process.wait()
                await asyncio.sleep(0.1)
                raise StartError(f"{self.name}: {self._last_words()}")
            self._write(line)
            try:
                found = json.loads(line)
            except ValueError:
                continue
            if isinstance(found, dict):
                return found

    def _last_words(self) -> str:
        return next((text.strip() for text in reversed(self._tail) if text.strip()), "it said nothing")

    async def _drain(self, stream: asyncio.StreamReader, *, remember: bool) -> None:
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # a line over the limit: logged in pieces by what follows
                continue
            if not line:
                return
            self._write(line)
            if remember:
                self._tail.append(line.decode("utf-8", "replace"))

    def _write(self, line: bytes) -> None:
        if self._log_file is not None and not self._log_file.closed:
            self._log_file.write(line)
            self._log_file.flush()

    async def stop(self, grace_s: float) -> None:
        """Ask the process to end, then make it; returns when it is gone."""
        process = self.process
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace_s):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    def kill(self) -> None:
        """End the process and what it started, at once."""
        if self.process is not None and self.process.returncode is None:
            _end_group(self.process.pid)

    def close(self) -> None:
        """Close the log."""
        if self._log_file is not None:
            self._log_file.close()


class Supervisor:
    """Children by name, in the order they were started."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._children: list[Child] = []
        self._watchers: dict[str, asyncio.Task[None]] = {}

    @property
    def children(self) -> list[Child]:
        """All children, oldest first."""
        return list(self._children)

    async def start(self, child: Child) -> dict[str, Any]:
        """Start a child and keep it running from now on."""
        self._children.append(child)
        ready = await child.start()
        self._watchers[child.name] = asyncio.create_task(self._watch(child), name=f"watch {child.name}")
        return ready

    async def _watch(self, child: Child) -> None:
        failures = 0
        loop = asyncio.get_running_loop()
        while True:
            assert child.process is not None
            started = loop.time()
            fault = f"{child.name} ended ({_how(await child.process.wait())})"
            if not child.restart:
                return
            failures = 0 if loop.time() - started > STABLE_S else failures + 1
            while True:
                pause = BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)]
                self._say(f"{fault}; starting it again in {pause:g} s")
                await asyncio.sleep(pause)
                try:
                    await child.start()
                except StartError as error:
                    failures += 1
                    fault = str(error)
                    continue
                child.restarts += 1
                self._say(f"{child.name} is back")
                break

    async def pause(self, name: str, grace_s: float = 5.0) -> None:
        """Stop one child until `resume`; nobody starts it again meanwhile."""
        await self._unwatch(name)
        for child in self._children:
            if child.name == name:
                await child.stop(grace_s)

    def paused(self, name: str) -> bool:
        """Whether a child is stopped and may be resumed."""
        return name not in self._watchers and any(child.name == name for child in self._children)

    async def resume(self, name: str) -> None:
        """Start a paused child again and keep it running. Raises StartError."""
        for child in self._children:
            if child.name == name and self.paused(name):
                await child.start()
                self._watchers[name] = asyncio.create_task(self._watch(child), name=f"watch {name}")

    async def _unwatch(self, name: str) -> None:
        watcher = self._watchers.pop(name, None)
        if watcher is not None:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)

    async def stop(self, name: str, grace_s: float = 5.0) -> None:
        """Stop one child for good."""
        await self._unwatch(name)
        for child in self._children:
            if child.name == name:
                await child.stop(grace_s)
                child.close()

    async def stop_all(self, grace_s: float = 5.0) -> None:
        """Stop every child, newest first."""
        for child in reversed(self._children):
            await self.stop(child.name, grace_s)

    def kill_all(self) -> None:
        """End everything at once (second Ctrl-C)."""
        for child in self._children:
            child.restart = False
            child.kill()


def _how(status: int) -> str:
    return f"killed by signal {-status}" if status < 0 else f"exit {status}"
