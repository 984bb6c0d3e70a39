"""SW/CT readers: 5357 ("SW", host) or 4354 ("CT", device) LEN(2, bytes after it) ADR CMD [STATUS] data check.

The check is the two's complement of the sum of all bytes before it.
"""

from dataclasses import dataclass

from protocols import frames
from protocols.frames import BadCheck, LocalFrameError, Malformed, Source, decode_exactly

__all__ = ["Frame", "Framer", "describe"]

_HEADS: dict[Source, bytes] = {"host": b"SW", "device": b"CT"}
_LEAST = 3


@dataclass(frozen=True, slots=True)
class Frame:
    """One sound frame; the head says who sent it, and a device's `body` begins with its status."""

    source: Source
    address: int
    command: int
    body: bytes = b""

    def to_bytes(self) -> bytes:
        """Return the frame; raises `LocalFrameError`."""
        if not (0 <= self.address <= 0xFF and 0 <= self.command <= 0xFF) or len(self.body) > 0xFFFF - _LEAST:
            raise LocalFrameError("address and command are a byte each, and the body at most 65532 bytes")
        length = (len(self.body) + _LEAST).to_bytes(2, "big")
        raw = _HEADS[self.source] + length + bytes((self.address, self.command)) + self.body
        return raw + bytes((-sum(raw) & 0xFF,))

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Frame":
        """Decode exactly one frame; raises `FrameError`."""
        return decode_exactly(_FRAMING, raw)


class _Framing:
    """`protocols.frames.Framing` of this family."""

    def measure(self, head: bytes) -> int:
        if not any(start.startswith(head[:2]) for start in _HEADS.values()):
            return -1
        if len(head) < 4:
            return 0
        length = head[2] << 8 | head[3]
        return length + 4 if length >= _LEAST else -1

    def decode(self, raw: bytes) -> Frame:
        right = -sum(raw[:-1]) & 0xFF
        if right != raw[-1]:
            raise BadCheck("the check byte of the frame is wrong", sum="bad", right=f"{right:02X}")
        return Frame("host" if raw[:2] == _HEADS["host"] else "device", raw[4], raw[5], raw[6:-1])


_FRAMING = _Framing()


class Framer(frames.Framer[Frame]):
    """The framer of a line of this family."""

    __slots__ = ()

    def __init__(self, max_length: int = frames.MAX_FRAME) -> None:
        super().__init__(_FRAMING, max_length)


def describe(raw: bytes, source: Source | None) -> dict[str, object]:
    """Return what `raw` says for `tongjie frame decode swct`; raises `Malformed` if its head contradicts `source`."""
    frame = Frame.from_bytes(raw)
    if source not in (None, frame.source):
        raise Malformed(f"the head says that a {frame.source} sent this")
    found: dict[str, object] = {"sum": "ok", "head": raw[:2].hex().upper()}
    found |= {"address": f"{frame.address:02X}", "command": f"{frame.command:02X}"}
    body = frame.body
    if frame.source == "device" and body:
        found["status"] = f"{body[0]:02X}"
        body = body[1:]
    found["data"] = body.hex().upper()
    return found
