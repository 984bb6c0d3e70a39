"""Several simulated devices in one place, each with a name: an operation goes to the device it names, or to the first that knows it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from firmware_sim.simulators import load
from firmware_sim.stage import StageError

MAX_DEVICES = 100
_ALL = frozenset({"state"})
"""Operations that mean every device where none is named."""


class PlaceError(Exception):
    """The list of devices cannot be used; the message says which device and why."""


class Doer(Protocol):
    """One device, as far as a place is concerned."""

    @property
    def operations(self) -> frozenset[str]:
        """What it can do."""

    async def do(self, operation: Mapping[str, Any]) -> dict[str, Any]:
        """Do it; raises `StageError`."""


class Startable(Doer, Protocol):
    """A simulated device with a life of its own."""

    @property
    def url(self) -> str:
        """Where it is found once started."""

    async def start(self) -> None:
        """Switch on; raises `OSError` or `firmware_sim.pty.LineError`."""

    async def stop(self) -> None:
        """Switch off."""


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """A device of a place: its ``name`` there, the simulator's kind, where it listens, and the simulator's options."""

    name: str
    kind: str
    url: str
    options: Mapping[str, str]


def specs_of(path: Path) -> tuple[DeviceSpec, ...]:
    """Read a JSON list of {name, kind, url, options}; raises `PlaceError`."""
    try:
        found: Any = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise PlaceError(f"cannot read {path.name}: {error.strerror}") from error
    except ValueError as error:
        raise PlaceError(f"{path.name} is not JSON: {error}") from error
    if not isinstance(found, list) or len(found) > MAX_DEVICES:
        raise PlaceError(f"{path.name} must hold a list of at most {MAX_DEVICES} devices")
    specs = tuple(_spec(raw, number) for number, raw in enumerate(found, 1))
    if len({spec.name for spec in specs}) < len(specs):
        raise PlaceError("two devices have one name; give each its own")
    return specs


def _spec(raw: Any, number: int) -> DeviceSpec:
    if not isinstance(raw, dict) or not all(isinstance(raw.get(key), str) for key in ("name", "kind", "url")):
        raise PlaceError(f"device {number} needs name, kind and url")
    options = raw.get("options", {})
    if not isinstance(options, dict):
        raise PlaceError(f"device {number}: options is a table")
    return DeviceSpec(raw["name"], raw["kind"], raw["url"], {key: str(value) for key, value in options.items()})


def make(spec: DeviceSpec) -> Startable:
    """Make the simulator of a device; raises `PlaceError`, `UnknownSimulator` or `LineError`."""
    try:
        return load(spec.kind)(spec.url, spec.options)
    except ValueError as error:
        raise PlaceError(f"{spec.name}: {error}") from error


class Place:
    """The devices of one place by name."""

    def __init__(self, devices: Mapping[str, Doer]) -> None:
        self.devices = dict(devices)

    @property
    def operations(self) -> frozenset[str]:
        """What any of them can do."""
        return frozenset().union(*(device.operations for device in self.devices.values()))

    async def do(self, operation: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out one operation; raises `StageError` BAD_OPERATION or NO_DEVICE."""
        name, op = operation.get("device"), operation.get("op")
        if name is not None:
            if not isinstance(name, str) or name not in self.devices:
                raise StageError("BAD_OPERATION", f"device is one of {', '.join(self.devices)}")
            return await self.devices[name].do({key: value for key, value in operation.items() if key != "device"})
        if op in _ALL:
            found = {name: await device.do(operation) for name, device in self.devices.items()}
            return {name: told.get(name, told) for name, told in found.items()}
        for device in self.devices.values():
            if op in device.operations:
                return await device.do(operation)
        raise StageError("BAD_OPERATION", f"op is one of {', '.join(sorted(self.operations))}")
