"""Simulated devices by kind: what `tongjie sim` can start, and how one is found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol, cast

from firmware_sim.pty import Line
from firmware_sim.scene import Step
from firmware_sim.stage import Stage

SIMULATOR_GROUP = "tongjie.simulators"
"""Entry-point group in which a package names its simulators: ``kind = "module:factory"``."""

Options = Mapping[str, str]


class UnknownSimulator(Exception):
    """There is no simulator of that kind; the message names those there are."""


class Simulator(Protocol):
    """One simulated device behind a URL."""

    kind: str

    @property
    def url(self) -> str:
        """Where the device is found once it has started."""

    @property
    def operations(self) -> frozenset[str]:
        """Names of the operations that `do` takes."""

    @property
    def demo(self) -> Sequence[Step]:
        """What it does within five seconds when nobody gives it a scene; repeated for ever."""

    async def start(self) -> None:
        """Switch on; raises `OSError` or `firmware_sim.pty.LineError`."""

    async def stop(self) -> None:
        """Switch off and leave nothing behind."""

    async def do(self, operation: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out one operation; raises `firmware_sim.stage.StageError`."""


class LineDevice(Protocol):
    """A simulated device behind one line."""

    @property
    def line(self) -> Line:
        """The line it listens on."""

    def start(self) -> None:
        """Switch on."""

    def stop(self) -> None:
        """Switch off and remove the link."""


class AloneSimulator:
    """One device behind a line of its own, driven through a stage: what `tongjie sim` needs of it."""

    def __init__(self, device: LineDevice, stage: Stage) -> None:
        self._device = device
        self._stage = stage

    @property
    def url(self) -> str:
        """Where the device is found."""
        return self._device.line.url

    async def start(self) -> None:
        """Switch on."""
        self._device.start()

    async def stop(self) -> None:
        """Switch off and remove the link."""
        self._device.stop()

    async def do(self, operation: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out one operation."""
        return await self._stage.do(operation)


class SimulatorFactory(Protocol):
    """What an entry point names: makes a simulator from text options (each factory documents its own)."""

    def __call__(self, url: str, options: Options) -> Simulator:
        """Make it; raises `ValueError` for an option it cannot use and `LineError` for the URL."""


def discover() -> dict[str, EntryPoint]:
    """Find every simulator by kind, ours and those of other installed packages."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=SIMULATOR_GROUP):
        found.setdefault(point.name, point)
    return found


def load(kind: str) -> SimulatorFactory:
    """Load the factory of a kind; raises `UnknownSimulator`."""
    found = discover()
    if kind not in found:
        raise UnknownSimulator(f"there is no simulated {kind!r}; built now: {', '.join(sorted(found))}")
    return cast("SimulatorFactory", found[kind].load())


def refuse_unknown(options: Options, known: Sequence[str]) -> None:
    """Raise `ValueError` naming the options that a simulator does not know."""
    if unknown := sorted(set(options) - set(known)):
        raise ValueError(f"no option {', '.join(unknown)}; known: {', '.join(known) or 'none'}")
