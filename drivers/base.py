"""The one interface of every device driver: events up, commands down, a life of its own.

A driver owns its port. ``run`` opens it, degrades, backs off and reopens without anyone's help until it is
cancelled, and tells what it sees as frozen events. It knows bytes and devices, never readers, items or agreements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Literal, Protocol, TypeAlias, cast, runtime_checkable

from drivers.events import (
    BadCommand,
    CardRead,
    CodeScanned,
    Command,
    DeviceEvent,
    DeviceState,
    Direction,
    DoorAlarm,
    Fact,
    InputChanged,
    OpenGate,
    PadTag,
    Passage,
    PeopleCounted,
    ResetCounter,
    Security,
    SecurityWrite,
    SetAlarm,
    SetOutput,
    ShowDenied,
    Signal,
    State,
    TagPassed,
    TagsOnPad,
    TagWrite,
    Tamper,
)
from protocols.iso28560.image import TagImage

__all__ = [
    "Backoff", "BadCommand", "Capabilities", "CardRead", "CodeScanned", "Command", "ConfigurationError", "DeviceEvent",
    "DeviceOffline", "DeviceRefused", "DeviceState", "Direction", "DoorAlarm", "Driver", "DriverError", "DriverFactory", "Emit",
    "Encoder", "Fact", "Gate", "InputChanged", "Isolation", "OpenGate", "Options", "Pad", "PadTag", "Passage", "PeopleCounted",
    "Printer", "Receipt", "ReceiptLine", "ResetCounter", "Security", "SecurityGate", "SecurityWrite", "SetAlarm", "SetOutput",
    "ShowDenied", "Signal", "State", "TagImage", "TagPassed", "TagWrite", "TagsOnPad", "Tamper", "discover", "load",
]  # fmt: skip

DRIVER_GROUP = "tongjie.drivers"
"""Entry-point group in which a package names its drivers: ``kind = "module:factory"``."""

Isolation: TypeAlias = Literal["loop", "thread", "process"]
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


Emit: TypeAlias = Callable[[DeviceEvent], None]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a device can do, as data.

    ``events`` are the names of the types it emits, ``commands`` those it takes by `execute`, and of the methods it has beyond
    ("read", "secure", "restore", "write_tag", "print_receipt"). ``isolation`` says where its library runs: on the loop, in a thread
    of its own or in a process of its own.
    """

    events: frozenset[str]
    commands: frozenset[str] = frozenset()
    isolation: Isolation = "loop"


@dataclass(frozen=True, slots=True)
class ReceiptLine:
    """One line of a receipt; ``size`` 1 or 2 times the normal height and width."""

    text: str
    bold: bool = False
    align: Literal["left", "center", "right"] = "left"
    size: int = 1


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a printer prints: lines from top to bottom, then a QR code where ``qr`` is not empty, then a cut.

    At most 200 lines of at most 200 characters, 512 characters in the code: bounded, as whatever leads to paper must be.
    """

    lines: tuple[ReceiptLine, ...]
    qr: str = ""

    def __post_init__(self) -> None:
        if len(self.lines) > 200 or any(len(line.text) > 200 for line in self.lines) or len(self.qr) > 512:
            raise BadCommand("BAD_RECEIPT", "a receipt has at most 200 lines of 200 characters and a code of 512")


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

    confirms_passage: bool
    """Whether a `Passage` event follows when somebody went through; else a visit's passage is only assumed."""

    async def open(self, tenths: int, direction: Direction = "IN") -> None:
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

    async def secure(self, uid: str, secured: bool) -> SecurityWrite:
        """Switch a tag's security (AFI and EAS, or the EPC's bits) by the site's pair and read it back.

        A failure is in the answer, not an exception; a tag that already stands so is left alone.
        """

    async def restore(self, uid: str, state: Security) -> SecurityWrite:
        """Put back the state that a `SecurityWrite` told as ``before``; parts that are None are left alone."""


@runtime_checkable
class Encoder(Pad, Protocol):
    """A pad that can also write whole tags, for the staff station."""

    async def read_whole(self, uid: str) -> PadTag | None:
        """Read all of a tag's memory, None where it is not there; raises `DeviceOffline`."""

    async def write_tag(self, uid: str, image: TagImage) -> TagWrite:
        """Write a whole tag (content first, then identifiers, then security) and read it back; failures are in the answer."""


@runtime_checkable
class SecurityGate(Driver, Protocol):
    """A gate that detects secured tags and may count people: `TagPassed`, `PeopleCounted`."""

    async def execute(self, command: Command) -> None:
        """Carry out `SetAlarm`, `ResetCounter` or `SetOutput`; raises `DriverError`."""


@runtime_checkable
class Printer(Driver, Protocol):
    """A receipt printer."""

    async def print_receipt(self, receipt: Receipt) -> None:
        """Print and cut; raises `DriverError` (PAPER_OUT, COVER_OPEN, DEVICE_OFFLINE): nothing is printed twice by itself."""


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
