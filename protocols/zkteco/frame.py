"""The frame: AA, version, command, length (low byte first), body, CRC-16/ARC over all but AA (low byte first), 55."""

from __future__ import annotations

from dataclasses import dataclass, field

from protocols.frames import BadCheck, Framer, LocalFrameError, Malformed

__all__ = ["MAX_BODY", "Frame", "Framing", "ZkFramer", "crc_arc", "encode_frame"]

START, END = 0xAA, 0x55
VERSION = 0x01
MAX_BODY = 2048
"""Longest body taken; a reply with thirty parameters or a hundred records is shorter. Controllers send version 00 or 01."""


def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0xA001 if byte & 1 else 0)
        table.append(byte)
    return tuple(table)


_TABLE = _table()


def crc_arc(data: bytes) -> int:
    """Return the CRC-16/ARC: poly 8005 reflected, init 0000, no xorout (check value BB3D)."""
    crc = 0
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame; ``body`` is session header and payload, and stays out of ``repr``: it may hold a card number."""

    command: int
    body: bytes = field(repr=False)
    version: int = VERSION


class Framing:
    """How long a frame is and what is in it."""

    def measure(self, head: bytes) -> int:
        """Return the whole length of the frame that starts with ``head``; 0 = cannot say yet, -1 = no frame starts so."""
        if head[0] != START or (len(head) > 1 and head[1] > VERSION):
            return -1
        if len(head) < 5:
            return 0
        length = int.from_bytes(head[3:5], "little")
        return 8 + length if length <= MAX_BODY else -1

    def decode(self, raw: bytes) -> Frame:
        """Return the frame in ``raw``; raises `Malformed` without its end mark, `BadCheck`."""
        if raw[-1] != END:
            raise Malformed("the frame does not end in 55")
        right = crc_arc(raw[1:-3])
        if int.from_bytes(raw[-3:-1], "little") != right:
            raise BadCheck("the CRC is wrong", right=f"{right:04X}")
        return Frame(raw[2], raw[5:-3], raw[1])


class ZkFramer(Framer[Frame]):
    """Cuts a byte stream into sound frames."""

    def __init__(self) -> None:
        super().__init__(Framing(), MAX_BODY + 8)


def encode_frame(command: int, body: bytes = b"") -> bytes:
    """Build a frame; raises `LocalFrameError` for a body that is too long."""
    if not 0 <= command <= 0xFF or len(body) > MAX_BODY:
        raise LocalFrameError(f"a command is one byte, a body at most {MAX_BODY} bytes")
    inner = bytes((VERSION, command)) + len(body).to_bytes(2, "little") + body
    return bytes((START,)) + inner + crc_arc(inner).to_bytes(2, "little") + bytes((END,))
