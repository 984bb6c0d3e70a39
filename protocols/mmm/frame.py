"""3M 210/810 pads: the frame (3M RFID Reader Protocol Specification 1.0.0).

    D6 LEN(2, high first: bytes after it) CMD data BCC(2)        D5 instead of D6 in early version queries

BCC = poly 1021, init FFFF, xorout FFFF over LEN to the last data byte, high byte first. Replies put an error code after CMD.
"""

from dataclasses import dataclass

from protocols import frames
from protocols.crc import crc_gen2
from protocols.frames import BadCheck, LocalFrameError, decode_exactly

__all__ = ["EARLY_START", "START", "Frame", "Framer"]

START, EARLY_START = 0xD6, 0xD5
_LEAST = 3


@dataclass(frozen=True, slots=True)
class Frame:
    """One sound frame; `payload` begins with the command."""

    payload: bytes
    start: int = START

    @property
    def command(self) -> int:
        """The command byte."""
        return self.payload[0]

    @property
    def body(self) -> bytes:
        """What follows the command: a device's begins with its error code, 00 = done."""
        return self.payload[1:]

    def to_bytes(self) -> bytes:
        """Return the frame with length and BCC; raises `LocalFrameError`."""
        if not self.payload or len(self.payload) > 0xFFFD or self.start not in (START, EARLY_START):
            raise LocalFrameError("a frame starts with D5 or D6 and holds 1..65533 bytes")
        checked = (len(self.payload) + 2).to_bytes(2, "big") + self.payload
        return bytes((self.start,)) + checked + crc_gen2(checked).to_bytes(2, "big")

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Frame":
        """Decode exactly one frame; raises `FrameError`."""
        return decode_exactly(_FRAMING, raw)


class _Framing:
    """`protocols.frames.Framing` of the 3M pads."""

    def measure(self, head: bytes) -> int:
        if head[:1] and head[0] not in (START, EARLY_START):
            return -1
        if len(head) < 3:
            return 0
        length = head[1] << 8 | head[2]
        return length + 3 if length >= _LEAST else -1

    def decode(self, raw: bytes) -> Frame:
        right = crc_gen2(raw[1:-2])
        if right != raw[-2] << 8 | raw[-1]:
            raise BadCheck("the BCC of the frame is wrong", bcc="bad", right=f"{right:04X}")
        return Frame(raw[3:-2], raw[0])


_FRAMING = _Framing()


class Framer(frames.Framer[Frame]):
    """The framer of a 3M line."""

    __slots__ = ()

    def __init__(self, max_length: int = frames.MAX_FRAME) -> None:
        super().__init__(_FRAMING, max_length)
