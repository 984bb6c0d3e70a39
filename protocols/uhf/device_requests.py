"""Requests of an UHFReader18/288 about itself: information, settings, sound.

UHFReader18 manual V2.0 section 8.4 and UHFReader288 manual v1.14 section 8.4; 40 is the 288 family's (its layout: general knowledge).
"""

from dataclasses import dataclass, fields
from typing import ClassVar

from protocols.frames import Cursor, LocalFrameError
from protocols.uhf.target import Family

__all__ = [
    "AddressRequest",
    "BaudRequest",
    "BeepRequest",
    "BuzzerRequest",
    "InformationRequest",
    "PowerRequest",
    "RegionRequest",
    "ScanTimeRequest",
]


@dataclass(frozen=True, slots=True)
class InformationRequest:
    """21: version, type, power, scan time; answered at address FF too, so it finds a device."""

    COMMAND: ClassVar[int] = 0x21

    def to_body(self) -> bytes:
        """Return nothing."""
        return b""

    @classmethod
    def take(cls, body: Cursor, family: Family) -> "InformationRequest":
        """Read nothing."""
        return cls()


@dataclass(frozen=True, slots=True)
class _Numbers:
    """A request whose parameters are one byte each, in the order of its fields."""

    def to_body(self) -> bytes:
        """Return the parameters; raises `LocalFrameError`."""
        try:
            return bytes(getattr(self, item.name) for item in fields(self))
        except ValueError as error:
            raise LocalFrameError("every parameter is one byte") from error


@dataclass(frozen=True, slots=True)
class RegionRequest(_Numbers):
    """22: highest and lowest channel; bits 7-6 of both name the band (manuals, section 8.4.2). Kept over power-off."""

    COMMAND: ClassVar[int] = 0x22
    highest: int
    lowest: int

    @classmethod
    def take(cls, body: Cursor, family: Family) -> "RegionRequest":
        """Read the parameters."""
        return cls(body.u8(), body.u8())


@dataclass(frozen=True, slots=True)
class AddressRequest(_Numbers):
    """24: a new address, 0..254; answered under the old one. Kept over power-off."""

    COMMAND: ClassVar[int] = 0x24
    address: int

    @classmethod
    def take(cls, body: Cursor, family: Family) -> "AddressRequest":
        """Read the parameter."""
        return cls(body.u8())


@dataclass(frozen=True, slots=True)
class ScanTimeRequest(_Numbers):
    """25: longest time of an inventory in tenths of a second, 3..255. Kept over power-off."""

    COMMAND: ClassVar[int] = 0x25
    scan_100ms: int

    @classmethod
    def take(cls, body: Cursor, family: Family) -> "ScanTimeRequest":
        """Read the parameter."""
        return cls(body.u8())


@dataclass(frozen=True, slots=True)
class BaudRequest(_Numbers):
    """28: line speed, 0 = 9600, 1 = 19200, 2 = 38400, 5 = 57600, 6 = 115200; answered at the old speed."""

    COMMAND: ClassVar[int] = 0x28
    code: int

    @classmethod
    def take(cls, body: Cursor, family: Family) -> "BaudRequest":
        """Read the parameter."""
        return cls(body.u8())


@dataclass(frozen=True, slots=True)
class PowerRequest(_Numbers):
    """2F: transmit power, 0..30 (about dBm). Kept over power-off."""

    COMMAND: ClassVar[int] = 0x2F
    power_dbm: int

    @classmethod
    def take(cls, body: Cursor, family: Family) -> "PowerRequest":
        """Read the parameter."""
        return cls(body.u8())


@dataclass(frozen=True, slots=True)
class BeepRequest(_Numbers):
    """33: sound and light ``times`` times, on and off for so many 50 ms."""

    COMMAND: ClassVar[int] = 0x33
    on_50ms: int
    off_50ms: int
    times: int

    @classmethod
    def take(cls, body: Cursor, family: Family) -> "BeepRequest":
        """Read the parameters."""
        return cls(body.u8(), body.u8(), body.u8())


@dataclass(frozen=True, slots=True)
class BuzzerRequest(_Numbers):
    """40: whether the device beeps by itself at every tag, 0 or 1 (288 family)."""

    COMMAND: ClassVar[int] = 0x40
    on: int

    @classmethod
    def take(cls, body: Cursor, family: Family) -> "BuzzerRequest":
        """Read the parameter."""
        return cls(body.u8())
