"""Configuration blocks [8A] read, [8B] write, and the inputs [74] of FEIG devices.

[8A] DEVICE BANK MODE CFG-ADR(2) CFG-N; [8B] DEVICE BANK MODE CFG-N BLOCK-SIZE (CFG-ADR(2) DATA)*. The layout of [8B] is held by a
vector, that of [8A] by the manual of LRU3000.
"""

from dataclasses import dataclass
from typing import ClassVar

from protocols.feig.fields import check_byte
from protocols.feig.frame import Frame
from protocols.feig.status import DATA_FALSE, OK, BadRequest, StatusError
from protocols.frames import Cursor, LocalFrameError, Malformed

__all__ = [
    "ConfigurationReply",
    "InputsReply",
    "InputsRequest",
    "ReadConfigurationRequest",
    "WriteConfigurationRequest",
]

RF_CONTROLLER = 0x02


@dataclass(frozen=True, slots=True)
class ReadConfigurationRequest:
    """[8A] Read configuration block `block` (0..65535) of `controller` (02 = RF controller)."""

    COMMAND: ClassVar[int] = 0x8A
    SUB: ClassVar[int | None] = None
    block: int
    controller: int = RF_CONTROLLER
    bank: int = 1
    mode: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.block <= 0xFFFF:
            raise LocalFrameError("a configuration block is 0..65535")
        for name in ("controller", "bank", "mode"):
            check_byte(name, getattr(self, name))

    def to_body(self) -> bytes:
        """Return the body after the command byte."""
        return bytes((self.controller, self.bank, self.mode)) + self.block.to_bytes(2, "big") + b"\x01"

    @classmethod
    def take(cls, body: Cursor) -> "ReadConfigurationRequest":
        """Parse the body."""
        controller, bank, mode, block = body.u8(), body.u8(), body.u8(), body.u16()
        if body.u8() != 1:
            raise BadRequest(DATA_FALSE, "one block at a time")
        return cls(block, controller, bank, mode)


@dataclass(frozen=True, slots=True)
class WriteConfigurationRequest:
    """[8B] Write configuration block `block`; `mode` 01 = kept over a restart."""

    COMMAND: ClassVar[int] = 0x8B
    SUB: ClassVar[int | None] = None
    block: int
    data: bytes
    controller: int = RF_CONTROLLER
    bank: int = 1
    mode: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.block <= 0xFFFF or not 1 <= len(self.data) <= 0xFF:
            raise LocalFrameError("a configuration block is 0..65535, of 1..255 bytes")
        for name in ("controller", "bank", "mode"):
            check_byte(name, getattr(self, name))

    def to_body(self) -> bytes:
        """Return the body after the command byte."""
        head = bytes((self.controller, self.bank, self.mode, 1, len(self.data)))
        return head + self.block.to_bytes(2, "big") + self.data

    @classmethod
    def take(cls, body: Cursor) -> "WriteConfigurationRequest":
        """Parse the body."""
        controller, bank, mode, count, size = (body.u8() for _ in range(5))
        if count != 1 or not size:
            raise BadRequest(DATA_FALSE, "one block at a time")
        block = body.u16()
        return cls(block, body.take(size), controller, bank, mode)


@dataclass(frozen=True, slots=True)
class ConfigurationReply:
    """One configuration block."""

    block: int
    data: bytes

    def to_body(self) -> bytes:
        """Return status and data."""
        return bytes((OK, 1, len(self.data))) + self.block.to_bytes(2, "big") + self.data

    @classmethod
    def from_frame(cls, frame: Frame) -> "ConfigurationReply":
        """Parse a device's frame."""
        if frame.status != OK:
            raise StatusError(frame.status, frame.data)
        body = Cursor(frame.data)
        count, size = body.u8(), body.u8()
        if count != 1:
            raise Malformed(f"{count} configuration blocks where one was asked for")
        block = body.u16()
        reply = cls(block, body.take(size))
        body.end()
        return reply


@dataclass(frozen=True, slots=True)
class InputsRequest:
    """[74] Ask for the digital inputs."""

    COMMAND: ClassVar[int] = 0x74
    SUB: ClassVar[int | None] = None

    def to_body(self) -> bytes:
        """Return the body after the command byte."""
        return b""

    @classmethod
    def take(cls, body: Cursor) -> "InputsRequest":
        """Parse the body."""
        return cls()


@dataclass(frozen=True, slots=True)
class InputsReply:
    """The inputs: bit 0..2 of `states` is input 1..3 now; bits 4..6 say that it changed since the last question."""

    states: int
    rest: bytes = b""

    def __post_init__(self) -> None:
        check_byte("states", self.states)

    def active(self, number: int) -> bool:
        """Whether input `number` (0..2) is active."""
        return bool(self.states >> number & 1)

    def to_body(self) -> bytes:
        """Return status and data."""
        return bytes((OK, self.states)) + self.rest

    @classmethod
    def from_frame(cls, frame: Frame) -> "InputsReply":
        """Parse a device's frame."""
        if frame.status != OK:
            raise StatusError(frame.status, frame.data)
        body = Cursor(frame.data)
        return cls(body.u8(), body.rest())
