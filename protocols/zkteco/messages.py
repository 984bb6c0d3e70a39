"""Commands, session header, parameters and the control command."""

from __future__ import annotations

import re
from enum import IntEnum

from protocols.frames import LocalFrameError, Malformed, Truncated

__all__ = [
    "ANY_SESSION",
    "FIRST_NUMBER",
    "REPLY_ERROR",
    "REPLY_OK",
    "WRONG_PASSWORD",
    "Address",
    "Command",
    "control_output",
    "parameters",
    "read_control",
    "session_header",
    "split_session",
]

REPLY_OK, REPLY_ERROR = 0xC8, 0xC9
WRONG_PASSWORD = -14
"""Last byte of an error reply, signed; -13 is a command that the controller does not know."""
ANY_SESSION = FIRST_NUMBER = 0xFEFE
"""Session and message number of the request that asks for a session."""
_PAIR = re.compile(r"([\w~]+)=([^,\t\r\n]*)")


class Command(IntEnum):
    """Command bytes of requests."""

    CONNECT = 0x01
    """Without a session, for firmware that knows no 76."""
    DISCONNECT = 0x02
    GET_PARAMETERS = 0x04
    CONTROL = 0x05
    LOG_BINARY = 0x0B
    CONNECT_SESSION = 0x76
    LOG_TEXT = 0x79


class Address(IntEnum):
    """What a control command's output number counts."""

    DOOR = 1
    AUX = 2


def session_header(session: int | None, number: int) -> bytes:
    """Session and message number, two bytes each, low byte first; empty without a session."""
    return b"" if session is None else session.to_bytes(2, "little") + (number & 0xFFFF).to_bytes(2, "little")


def split_session(body: bytes, *, session: bool) -> tuple[int | None, int, bytes]:
    """Session, message number and payload of a body; raises `Truncated`. Short replies leave the number out (it is then 0)."""
    if not session:
        return None, 0, body
    if len(body) < 2:
        raise Truncated("the session is missing")
    return int.from_bytes(body[:2], "little"), int.from_bytes(body[2:4], "little"), body[4:]


def control_output(output: int, address: Address, seconds: int) -> bytes:
    """Payload of the command that switches a door's lock (1..) or an auxiliary output (1..): 0 off, 1..254 seconds, 255 for good."""
    if not (1 <= output <= 255 and 0 <= seconds <= 255):
        raise LocalFrameError("an output is 1 to 255, its time 0 to 255")
    return bytes((1, output, address, seconds, 0))


def read_control(payload: bytes) -> tuple[int, Address, int]:
    """Output, address and seconds of such a payload; raises `Malformed` for another operation."""
    if len(payload) != 5 or payload[0] != 1 or payload[2] not in (Address.DOOR, Address.AUX):
        raise Malformed("not the switching of an output")
    return payload[1], Address(payload[2]), payload[3]


def parameters(payload: bytes) -> dict[str, str]:
    """Names and values of ``Name=Value,Name=Value`` or of a text record with tabs; at most 64."""
    return dict(_PAIR.findall(payload.decode("ascii", "replace"))[:64])
