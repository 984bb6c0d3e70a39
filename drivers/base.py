"""The one interface of every device driver: events up, commands down, a life of its own.

A driver owns its port. ``run`` opens it, degrades, backs off and reopens without anyone's help until it is
cancelled, and tells what it sees as frozen events. It knows bytes and devices, never readers, items or agreements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Literal, Protocol, TypeAlias, cast, runtime_checkable

DRIVER_GROUP = "tongjie.drivers"
"""Entry-point group in which a package names its drivers: ``kind = "module:factory"``."""

State: TypeAlias = Literal["online", "degraded", "offline"]
Fact: TypeAlias = str | int
Options: TypeAlias = Mapping[str, str | int | bool]


class DriverError(Exception):
    """A device or its configuration failed; ``code`` is stable, ``retry`` says whether trying again can help."""

    retry = False

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ConfigurationError(DriverError):
    """What we were told to use cannot work; a person has to change it."""


class DeviceOffline(DriverError):
    """The device or its port does not answer now; it may come back by itself."""

    retry = True


class DeviceRefused(DriverError):
    """The device answered and refused the command."""


@dataclass(frozen=True, slots=True)
class CardRead:
    """A cardreader read a card.

    ``reader_no`` is the cardreader's index at the device (OSDP: 0, 1). ``direction`` is "IN", "OUT" or "" (not known).
    ``format`` is "raw", "wiegand" or "ascii"; ``bits`` counts the meaningful bits of ``raw``, the card bytes exactly as
    the cardreader sent them. ``t_mono_ns`` is the monotonic clock at arrival. ``raw`` stays out of ``repr``.
    """

    device: str
    reader_no: int
    direction: str
    format: str
    bits: int
    raw: bytes = field(repr=False)
    t_mono_ns: int


@dataclass(frozen=True, slots=True)
class DeviceState:
    """The device went online, degraded or offline, or a fact about it changed; ``reason_code`` is "OK" when online."""

    device: str
    state: State
    reason_code: str
    facts: Mapping[str, Fact]


@dataclass(frozen=True, slots=True)
class PadTag:
    """One tag on a pad.

    ``uid`` is upper-case hex, most significant byte first (ISO 15693: 16 digits from E0). ``dsfid`` 0..255, ``afi``
    0..255 or None where the tag has none. ``data`` are the user blocks in address order, ``block_size`` bytes each.
    """

    uid: str
    dsfid: int
    afi: int | None
    data: bytes
    block_size: int


@dataclass(frozen=True, slots=True)
class TagsOnPad:
    """The stable set of tags on a pad after a change; empty when the last one was lifted."""

    device: str
    tags: tuple[PadTag, ...]


@dataclass(frozen=True, slots=True)
class Tamper:
    """A device's tamper switch; its state at start is always told once."""

    device: str
    active: bool


DeviceEvent: TypeAlias = CardRead | DeviceState | TagsOnPad | Tamper
Emit: TypeAlias = Callable[[DeviceEvent], None]


@dataclass(frozen=True, slots=True)
class OpenGate:
    """Open the gate for ``seconds_tenths`` tenths of a second, 1..65535 (OSDP counts 100 ms)."""

    seconds_tenths: int

    def __post_init__(self) -> None:
        if not 1 <= self.seconds_tenths <= 0xFFFF:
            raise ConfigurationError("BAD_OPEN_TIME", "a gate opens for 1 to 65535 tenths of a second")


@dataclass(frozen=True, slots=True)
class ShowDenied:
    """Show and sound a refusal at cardreader ``reader_no`` of the device."""

    reader_no: int = 0


Command: TypeAlias = OpenGate | ShowDenied


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a device can do, as data: names of the events it emits and the commands it takes."""

    events: frozenset[str]
    commands: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class AfiWrite:
    """What came of writing a tag's AFI.

    ``before`` and ``after`` are read from the tag (None = could not be read); ``ok`` only when ``after`` was read back
    as wanted. ``reason`` is "" or one of NO_TAG, WRITE_ERROR, NOT_VERIFIED, OFFLINE.
    """

    uid: str
    before: int | None
    after: int | None
    ok: bool
    reason: str


@runtime_checkable
class Driver(Protocol):
    """Every driver."""

    kind: str
    device: str
    capabilities: Capabilities

    async def run(self, emit: Emit) -> None:
        """Serve the device until cancelled; ``emit`` is called in the running loop and must not block."""

    def health(self) -> Mapping[str, Fact]:
        """Counters and the present state, for pages and metrics; never a card number."""


@runtime_checkable
class Gate(Driver, Protocol):
    """A driver that lets people in."""

    async def open(self, tenths: int) -> None:
        """Open for ``tenths`` of a second; returns when the device confirmed it, raises `DriverError` otherwise."""

    async def deny(self, reader_no: int = 0) -> None:
        """Show a refusal; raises `DriverError` where the device did not take it."""

    async def execute(self, command: Command) -> None:
        """Carry out a command given as data."""


@runtime_checkable
class Pad(Driver, Protocol):
    """A driver that reads tags lying on a pad and writes their security state."""

    async def read(self) -> tuple[PadTag, ...]:
        """Take a fresh inventory now; raises `DeviceOffline`."""

    async def write_afi(self, uid: str, afi: int) -> AfiWrite:
        """Write a tag's AFI and read it back; a failure is in the answer, not an exception."""


class DriverFactory(Protocol):
    """What an entry point names: makes a driver from text options (each factory documents its own)."""

    def __call__(self, device: str, url: str, options: Options) -> Driver:
        """Make the driver; raises `ConfigurationError`."""


def discover() -> dict[str, EntryPoint]:
    """Find every driver by kind, ours and those of other installed packages; the first to claim a kind has it."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=DRIVER_GROUP):
        found.setdefault(point.name, point)
    return found


def load(kind: str) -> DriverFactory:
    """Load the factory of a kind; raises `ConfigurationError` naming the kinds there are."""
    found = discover()
    if kind not in found:
        names = ", ".join(sorted(found)) or "none"
        raise ConfigurationError("UNKNOWN_DRIVER", f"there is no driver for {kind!r}; built now: {names}")
    return cast("DriverFactory", found[kind].load())


class Backoff:
    """Waiting times between attempts: doubling from ``first_s`` to ``most_s``, each spread by up to half.

    ``uniform`` gives a number in 0..1 (randomness is an argument): 40 pads that lost one hub must not return as one.
    """

    def __init__(self, uniform: Callable[[], float], *, first_s: float = 0.2, most_s: float = 5.0) -> None:
        self._uniform = uniform
        self._first_s = first_s
        self._most_s = most_s
        self._next_s = first_s

    def next_s(self) -> float:
        """Give the seconds to wait now and lengthen the next wait."""
        wait = self._next_s
        self._next_s = min(self._next_s * 2, self._most_s)
        return wait * (0.75 + 0.5 * self._uniform())

    def reset(self) -> None:
        """Start again from the shortest wait; call when the device was really reached."""
        self._next_s = self._first_s
