"""Frames between vpcd, the virtual cardreader of the vsmartcard project, and a card: length (2, big-endian), then the payload.

From the cardreader one byte is a control (00 off, 01 on, 02 reset, 04 ATR?), anything longer an APDU; only ATR? and APDUs are answered.
Sans-I/O, both ends: bytes in any pieces give the same events.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

_OFF, _ON, _RESET, _ATR = 0x00, 0x01, 0x02, 0x04
_MAX_PAYLOAD = 0xFFFF


class VpcdError(ValueError):
    """The other end broke the protocol; ``code`` is EMPTY_FRAME or UNKNOWN_CONTROL. Only a new connection can help."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class PowerOff:
    """The card loses its power."""

    control = _OFF


@dataclass(frozen=True, slots=True)
class PowerOn:
    """The card gets its power."""

    control = _ON


@dataclass(frozen=True, slots=True)
class Reset:
    """The card is reset and keeps its power."""

    control = _RESET


@dataclass(frozen=True, slots=True)
class AskAtr:
    """The cardreader asks for the ATR; also its way of asking, every 400 ms, whether a card is there."""

    control = _ATR


@dataclass(frozen=True, slots=True)
class Apdu:
    """A command for the card, 2 to 65535 bytes; kept out of ``repr``, as it may hold a key or a PIN."""

    data: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not 2 <= len(self.data) <= _MAX_PAYLOAD:
            raise ValueError("an APDU has 2 to 65535 bytes")


Request: TypeAlias = PowerOff | PowerOn | Reset | AskAtr | Apdu
_CONTROLS: dict[int, Request] = {_OFF: PowerOff(), _ON: PowerOn(), _RESET: Reset(), _ATR: AskAtr()}


class _Frames:
    """Payloads out of a stream; holds at most one frame and a chunk."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def receive(self, data: bytes) -> None:
        """Take bytes as they come."""
        self._buffer += data

    def payload(self) -> bytes | None:
        """The next whole payload, None where more bytes are needed."""
        if len(self._buffer) < 2:
            return None
        length = int.from_bytes(self._buffer[:2])
        if len(self._buffer) < 2 + length:
            return None
        found = bytes(self._buffer[2 : 2 + length])
        del self._buffer[: 2 + length]
        return found


class CardEnd:
    """The card's end: requests come in, answers go out."""

    def __init__(self) -> None:
        self._frames = _Frames()

    def receive(self, data: bytes) -> None:
        """Take bytes as they come."""
        self._frames.receive(data)

    def next_request(self) -> Request | None:
        """The next request, None where more bytes are needed; raises `VpcdError`."""
        payload = self._frames.payload()
        if payload is None:
            return None
        if not payload:
            raise VpcdError("EMPTY_FRAME", "the cardreader sent a frame without anything in it")
        if len(payload) > 1:
            return Apdu(payload)
        if payload[0] not in _CONTROLS:
            raise VpcdError("UNKNOWN_CONTROL", "the cardreader sent a control that vpcd does not have")
        return _CONTROLS[payload[0]]

    def answer(self, data: bytes) -> bytes:
        """An ATR or an answer to an APDU as a frame; an empty ATR says that no card is there."""
        return _frame(data)


class HostEnd:
    """The cardreader's end, as vpcd has it: requests go out, answers come in."""

    def __init__(self) -> None:
        self._frames = _Frames()

    def receive(self, data: bytes) -> None:
        """Take bytes as they come."""
        self._frames.receive(data)

    def next_answer(self) -> bytes | None:
        """The next answer, None where more bytes are needed."""
        return self._frames.payload()

    def request(self, request: Request) -> bytes:
        """A request as a frame."""
        return _frame(request.data if isinstance(request, Apdu) else bytes([request.control]))


def _frame(payload: bytes) -> bytes:
    if len(payload) > _MAX_PAYLOAD:
        raise ValueError("a frame holds at most 65535 bytes")
    return len(payload).to_bytes(2) + payload
