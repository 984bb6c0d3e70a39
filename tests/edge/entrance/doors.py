"""Devices that stand in a hall: drivers of this test's own, which tell real events and take real commands.

They are peers of the edge's side of the driver interface; what our own drivers do on a wire is tested with them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drivers.base import (
    Capabilities,
    CardRead,
    Command,
    ConfigurationError,
    DeviceState,
    Direction,
    Driver,
    DriverError,
    DriverFactory,
    Emit,
    Options,
    PadTag,
    Passage,
    PeopleCounted,
    Receipt,
    TagPassed,
    load,
)
from edge.config import DeviceConfig
from edge.devices import AFI_OPTIONS
from protocols.iso28560 import encode_part3
from tests.edge.bed import Bed, make_config
from tests.make import HOME


@dataclass(eq=False)
class Standing:
    """A device: what it was told to do stands in ``done``; ``fails`` is raised by the next command."""

    kind: str
    device: str
    capabilities: Capabilities
    done: list[Any] = field(default_factory=list)
    fails: list[BaseException] = field(default_factory=list)
    starts: int = 0
    told: dict[str, Any] = field(default_factory=dict)
    _emit: Emit | None = None

    async def run(self, emit: Emit) -> None:
        """Be there."""
        self._emit = emit
        self.starts += 1
        self.state("online")
        await asyncio.Event().wait()

    def health(self) -> Mapping[str, Any]:
        """What a test says of it."""
        return self.told

    def state(self, state: Any, reason: str = "OK") -> None:
        """Go online or offline."""
        self.tell(DeviceState(self.device, state, reason, {}))

    def tell(self, event: Any) -> None:
        """Tell an event."""
        assert self._emit is not None
        self._emit(event)

    def _do(self, what: Any) -> None:
        if self.fails:
            raise self.fails.pop(0)
        self.done.append(what)


class Reader(Standing):
    """A cardreader."""

    def tap(
        self, card: str, *, reader_no: int = 0, direction: str = "", medium: str = "", wiegand: bool = False
    ) -> None:
        """Present a card."""
        raw = bytes.fromhex(card)
        form, bits = ("wiegand", 26) if wiegand else ("raw", len(raw) * 8)
        self.tell(CardRead(self.device, reader_no, direction, form, bits, raw, time.monotonic_ns(), medium))


class Turnstile(Standing):
    """A gate that tells who went through, or not."""

    confirms_passage = True

    async def open(self, tenths: int, direction: Direction = "IN") -> None:
        """Open."""
        self._do(("open", tenths, direction))

    async def deny(self, reader_no: int = 0) -> None:
        """Show red."""
        self._do(("deny", reader_no))

    async def execute(self, command: Command) -> None:
        """Take a command."""
        self._do(command)

    def walk(self, direction: Direction = "IN") -> None:
        """Somebody goes through."""
        self.tell(Passage(self.device, direction, time.monotonic_ns()))


class OpenDoor(Turnstile):
    """A gate that cannot tell."""

    confirms_passage = False


class Face(Turnstile, Reader):
    """A cardreader with lamps, whose output opens nothing."""


class Eas(Standing):
    """A security gate with a people counter."""

    async def execute(self, command: Command) -> None:
        """Take a command."""
        self._do(command)

    def carry(self, tag: PadTag, *, sounded: bool | None = True, antenna: int = 2) -> None:
        """Carry a tag through."""
        self.tell(TagPassed(self.device, tag, antenna, sounded, time.monotonic_ns()))

    def people(self, came: int, left: int, *, reset: bool = False) -> None:
        """Persons pass the counter."""
        self.tell(PeopleCounted(self.device, came, left, came, left, reset, time.monotonic_ns()))


class Paper(Standing):
    """A receipt printer."""

    async def print_receipt(self, receipt: Receipt) -> None:
        """Print."""
        self._do(receipt)


_MADE: dict[str, tuple[type[Standing], Capabilities]] = {
    "reader": (Reader, Capabilities(frozenset({"CardRead"}))),
    "turnstile": (Turnstile, Capabilities(frozenset({"Passage"}), frozenset({"OpenGate"}))),
    "face": (Face, Capabilities(frozenset({"CardRead"}), frozenset({"Signal", "ShowDenied"}))),
    "door": (OpenDoor, Capabilities(frozenset(), frozenset({"OpenGate"}))),
    "eas": (Eas, Capabilities(frozenset({"TagPassed", "PeopleCounted"}), frozenset({"SetAlarm", "ResetCounter"}))),
    "paper": (Paper, Capabilities(frozenset(), frozenset({"print_receipt"}), "thread")),
}


class Hall:
    """What stands in the hall, by device id."""

    def __init__(self) -> None:
        self.at: dict[str, Any] = {}

    def factory(self, kind: str) -> DriverFactory:
        """Find the driver of a kind; what does not stand in this hall is ours."""
        if kind not in _MADE:
            return load(kind)
        made, capabilities = _MADE[kind]

        def build(device: str, url: str, options: Options) -> Driver:
            if options.keys() & AFI_OPTIONS:
                raise ConfigurationError("UNKNOWN_OPTION", "what stands here tells no AFI")
            if options:
                raise AssertionError(f"options meant for the edge reached the driver: {sorted(options)}")
            standing: Driver = made(kind, device, capabilities)
            self.at[device] = standing
            return standing

        return build

    def bed(self, data: Path, *devices: tuple[str, str, dict[str, Any]] | DeviceConfig, **more: Any) -> Bed:
        """An edge with these devices: (id, kind, options), or one of ours by its configuration."""
        configs = tuple(
            each if isinstance(each, DeviceConfig) else DeviceConfig(each[0], each[1], "", each[2]) for each in devices
        )
        return Bed(make_config(data, devices=configs, **more), factory=self.factory)


def failure(code: str, kind: type[DriverError] = DriverError) -> DriverError:
    """An error of a device."""
    return kind(code, code)


def book(item_no: str, *, owner: str = f"CN-{HOME}", afi: int | None = 0x07, data: bytes | None = None) -> PadTag:
    """A book's tag as a security gate reads it."""
    content = encode_part3(item_no, owner) if data is None else data
    return PadTag(f"E004010000{item_no:0>6}", 0x3E, afi, content, 4)
