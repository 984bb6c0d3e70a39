"""What a host asks of the FEIG device itself: version, restart, outputs."""

from dataclasses import dataclass
from typing import ClassVar

from protocols.feig.fields import check_byte
from protocols.feig.status import DATA_FALSE, BadRequest
from protocols.frames import Cursor, LocalFrameError

__all__ = [
    "CpuResetRequest",
    "OutputChange",
    "ReaderInfoRequest",
    "RfResetRequest",
    "SetOutputRequest",
    "SetOutputsRequest",
    "VersionRequest",
]


@dataclass(frozen=True, slots=True)
class CpuResetRequest:
    """[63] Restart the device's controller; it answers before it goes."""

    COMMAND: ClassVar[int] = 0x63
    SUB: ClassVar[int | None] = None

    def to_body(self) -> bytes:
        """Return the body after the command byte."""
        return b""

    @classmethod
    def take(cls, body: Cursor) -> "CpuResetRequest":
        """Parse the body."""
        return cls()


@dataclass(frozen=True, slots=True)
class RfResetRequest:
    """[69] Switch the field off for a moment, so that quiet tags answer again."""

    COMMAND: ClassVar[int] = 0x69
    SUB: ClassVar[int | None] = None

    def to_body(self) -> bytes:
        """Return the body after the command byte."""
        return b""

    @classmethod
    def take(cls, body: Cursor) -> "RfResetRequest":
        """Parse the body."""
        return cls()


@dataclass(frozen=True, slots=True)
class VersionRequest:
    """[65] Ask for software version and device type: the question that finds a pad on a port."""

    COMMAND: ClassVar[int] = 0x65
    SUB: ClassVar[int | None] = None

    def to_body(self) -> bytes:
        """Return the body after the command byte."""
        return b""

    @classmethod
    def take(cls, body: Cursor) -> "VersionRequest":
        """Parse the body."""
        return cls()


@dataclass(frozen=True, slots=True)
class ReaderInfoRequest:
    """[66] Ask for one page of device information; mode 00 is the RF controller's version."""

    COMMAND: ClassVar[int] = 0x66
    SUB: ClassVar[int | None] = None
    mode: int = 0

    def __post_init__(self) -> None:
        check_byte("mode", self.mode)

    def to_body(self) -> bytes:
        """Return the body after the command byte."""
        return bytes((self.mode,))

    @classmethod
    def take(cls, body: Cursor) -> "ReaderInfoRequest":
        """Parse the body."""
        return cls(body.u8())


@dataclass(frozen=True, slots=True)
class SetOutputsRequest:
    """[71] Set outputs by bit masks (older pads): `states` on, `flashing`, each for `tenths` of 100 ms; FFFF = until changed.

    Field order OS, OSF, OSTIME, OUTTIME is general knowledge of the H-manuals and not held by a vector.
    """

    COMMAND: ClassVar[int] = 0x71
    SUB: ClassVar[int | None] = None
    states: int
    flashing: int
    state_tenths: int
    output_tenths: int

    def __post_init__(self) -> None:
        if not all(0 <= v <= 0xFFFF for v in (self.states, self.flashing, self.state_tenths, self.output_tenths)):
            raise LocalFrameError("masks and times are two bytes each")

    def to_body(self) -> bytes:
        """Return the body after the command byte."""
        fields = (self.states, self.flashing, self.state_tenths, self.output_tenths)
        return b"".join(value.to_bytes(2, "big") for value in fields)

    @classmethod
    def take(cls, body: Cursor) -> "SetOutputsRequest":
        """Parse the body."""
        return cls(body.u16(), body.u16(), body.u16(), body.u16())


@dataclass(frozen=True, slots=True)
class OutputChange:
    """One output of [72]: `output` = type and number (81 = relay 1), `setting` its mode bits, for `tenths` of 100 ms."""

    output: int
    setting: int
    tenths: int

    def __post_init__(self) -> None:
        check_byte("output", self.output)
        check_byte("setting", self.setting)
        if not 0 <= self.tenths <= 0xFFFF:
            raise LocalFrameError("tenths must be 0..65535")


@dataclass(frozen=True, slots=True)
class SetOutputRequest:
    """[72] Set outputs one by one: LED, buzzer or relay, each with its own time."""

    COMMAND: ClassVar[int] = 0x72
    SUB: ClassVar[int | None] = None
    outputs: tuple[OutputChange, ...]
    mode: int = 1

    def __post_init__(self) -> None:
        check_byte("mode", self.mode)
        if not 1 <= len(self.outputs) <= 8:
            raise LocalFrameError("1..8 outputs in one request")

    def to_body(self) -> bytes:
        """Return the body after the command byte."""
        parts = [bytes((o.output, o.setting)) + o.tenths.to_bytes(2, "big") for o in self.outputs]
        return bytes((self.mode, len(self.outputs))) + b"".join(parts)

    @classmethod
    def take(cls, body: Cursor) -> "SetOutputRequest":
        """Parse the body."""
        mode, count = body.u8(), body.u8()
        if not 1 <= count <= 8:
            raise BadRequest(DATA_FALSE, f"{count} outputs in one request")
        return cls(tuple(OutputChange(body.u8(), body.u8(), body.u16()) for _ in range(count)), mode)
