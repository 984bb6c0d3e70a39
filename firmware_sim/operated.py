"""A simulated device behind one line that is told what to do by operations: what the smaller simulators share.

Every one of them knows ``unplug``, ``plug``, ``faults`` (see `firmware_sim.faults`), ``noise`` (so many random bytes at once) and
``state``; a device adds its own.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from firmware_sim.faults import Faults
from firmware_sim.pty import open_line
from firmware_sim.scene import Step
from firmware_sim.simulators import Options
from firmware_sim.stage import StageError

__all__ = ["FAULT_OPTIONS", "Operated", "faults_of", "hex_bytes", "number", "raw_faults"]

PIECE_S = 0.002
"""Pause between the pieces of an answer that comes in pieces."""
MAX_NOISE = 4_000_000
FAULT_OPTIONS = ("seed", "noise", "drop", "double", "bad_crc", "slow_s")
Operation = Mapping[str, Any]


class Operated:
    """One device; `received` is called with whatever the host sends, `power` when it is switched on or off."""

    kind = ""
    demo: Sequence[Step] = ()

    def __init__(self, url: str, faults: Faults | None = None) -> None:
        self.line = open_line(url)
        self.faults = faults or Faults()
        self.plugged = False
        self._timers: set[asyncio.TimerHandle] = set()
        self._acts: dict[str, Callable[[Operation], dict[str, Any] | Awaitable[dict[str, Any]]]] = {
            "unplug": self._unplug,
            "plug": self._plug,
            "faults": self._faults,
            "noise": self._noise,
            "state": lambda _operation: self.state(),
        }

    @property
    def url(self) -> str:
        """Where the device is found."""
        return self.line.url

    @property
    def operations(self) -> frozenset[str]:
        """Names of the operations that `do` takes."""
        return frozenset(self._acts)

    async def start(self) -> None:
        """Switch on and plug in."""
        self.power(True)
        self._plug({})

    async def stop(self) -> None:
        """Pull the plug and switch off."""
        self._unplug({})
        self.power(False)
        for timer in tuple(self._timers):
            timer.cancel()
        self._timers.clear()

    async def do(self, operation: Operation) -> dict[str, Any]:
        """Carry out one operation; raises `StageError` BAD_OPERATION."""
        name = operation.get("op")
        act = self._acts.get(name) if isinstance(name, str) else None
        if act is None:
            raise StageError("BAD_OPERATION", f"op is one of {', '.join(sorted(self._acts))}")
        try:
            found = act(operation)
            return found if isinstance(found, dict) else await found
        except (ValueError, TypeError) as error:
            raise StageError("BAD_OPERATION", f"{name}: {error}") from error
        except KeyError as error:
            raise StageError("BAD_OPERATION", f"{name} needs {error.args[0]}") from error

    def received(self, data: bytes) -> None:
        """The host sent this; a device that only talks ignores it."""

    def power(self, on: bool) -> None:
        """Power came or went; what the device remembers only while it has power is forgotten here."""

    def state(self) -> dict[str, Any]:
        """What the operation ``state`` answers."""
        return {"plugged": self.plugged}

    def say(self, answer: bytes) -> None:
        """Send, with whatever the faults make of it."""
        for number, piece in enumerate(self.faults.spoil(answer)):
            self.later(self.faults.slow_s + number * PIECE_S, lambda piece=piece: self.line.write(piece))

    def later(self, seconds: float, act: Callable[[], object]) -> asyncio.TimerHandle | None:
        """Do something after ``seconds`` (at once for 0), unless the device is stopped before."""
        if seconds <= 0:
            act()
            return None
        loop = asyncio.get_running_loop()

        def run() -> None:
            self._timers.discard(timer)
            act()

        timer = loop.call_later(seconds, run)
        self._timers.add(timer)
        return timer

    def _unplug(self, _: Operation) -> dict[str, Any]:
        if self.plugged:
            self.plugged = False
            self.line.unplug()
        return {}

    def _plug(self, _: Operation) -> dict[str, Any]:
        if not self.plugged:
            self.line.plug(self.received)
            self.plugged = True
        return {}

    def _faults(self, operation: Operation) -> dict[str, Any]:
        self.faults = raw_faults({key: value for key, value in operation.items() if key not in ("op", "id", "device")})
        return {}

    def _noise(self, operation: Operation) -> dict[str, Any]:
        count = int(number(operation.get("bytes", 1000), 1, MAX_NOISE))
        data = random.Random(int(operation.get("seed", 0))).randbytes(count)
        self._pour(data)
        return {}

    def _pour(self, data: bytes) -> None:
        """Send as fast as the other end reads; a pty takes 4 KB at a time."""
        if data and self.plugged:
            taken = self.line.write(data[:4096])
            self.later(0.001, lambda: self._pour(data[taken:]))


def raw_faults(wanted: Mapping[str, Any]) -> Faults:
    """Faults of an operation; raises `ValueError` for one that is unknown or no number."""
    known = {item.name for item in fields(Faults) if item.init}
    if unknown := sorted(set(wanted) - known):
        raise ValueError(f"no fault {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    if not all(isinstance(value, int | float) for value in wanted.values()):
        raise ValueError("faults are numbers")
    return Faults(**wanted)


def faults_of(options: Options) -> Faults:
    """Faults of a simulator's text options, those of `FAULT_OPTIONS`; raises `ValueError`."""
    faults = Faults(seed=int(options.get("seed", "0")))
    for name in FAULT_OPTIONS[1:]:
        setattr(faults, name, float(options.get(name, "0")))
    return faults


def number(value: object, least: float, most: float) -> float:
    """A number of an operation within bounds; raises `ValueError`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ValueError(f"a number from {least:g} to {most:g} is meant")
    return value


def hex_bytes(text: object, least: int, most: int) -> bytes:
    """Bytes of an operation, written in hex; raises `ValueError`."""
    if not isinstance(text, str):
        raise TypeError("bytes are written as hex digits")
    raw = bytes.fromhex(text)
    if not least <= len(raw) <= most:
        raise ValueError(f"{least} to {most} bytes are meant")
    return raw
