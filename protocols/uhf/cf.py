"""CF-series readers and M-200 gates: CF ADR CMD(2) LEN [STATUS] data CRC; the CRC travels high byte first.

CRC poly 8408 reflected, init FFFF, over everything before it. LEN counts what stands between it and the CRC. Two manuals disagree on
the gate's command codes, so only the frame is decoded here.
"""

from dataclasses import dataclass

from protocols import frames
from protocols.crc import crc_mcrf4xx
from protocols.frames import BadCheck, LocalFrameError, Source, decode_exactly

__all__ = ["GATE_STATUS", "INFORMATION", "PARAMETERS", "Frame", "Framer", "describe"]

INFORMATION, PARAMETERS, GATE_STATUS = 0x0070, 0x0072, 0x0082
_HEAD = 0xCF
_OVERHEAD = 7


@dataclass(frozen=True, slots=True)
class Frame:
    """One sound frame; `body` is what LEN counts: a device's begins with its status."""

    address: int
    command: int
    body: bytes = b""

    def to_bytes(self) -> bytes:
        """Return the frame; raises `LocalFrameError`."""
        if not (0 <= self.address <= 0xFF and 0 <= self.command <= 0xFFFF) or len(self.body) > 0xFF:
            raise LocalFrameError("the address is one byte, the command two, and the body at most 255 bytes")
        raw = bytes((_HEAD, self.address)) + self.command.to_bytes(2, "big") + bytes((len(self.body),)) + self.body
        return raw + crc_mcrf4xx(raw).to_bytes(2, "big")

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Frame":
        """Decode exactly one frame; raises `FrameError`."""
        return decode_exactly(_FRAMING, raw)


class _Framing:
    """`protocols.frames.Framing` of this family."""

    def measure(self, head: bytes) -> int:
        if head[:1] and head[0] != _HEAD:
            return -1
        return head[4] + _OVERHEAD if len(head) >= 5 else 0

    def decode(self, raw: bytes) -> Frame:
        right = crc_mcrf4xx(raw[:-2])
        if right != raw[-2] << 8 | raw[-1]:
            raise BadCheck("the CRC of the frame is wrong", crc="bad", right=f"{right:04X}")
        return Frame(raw[1], raw[2] << 8 | raw[3], raw[5:-2])


_FRAMING = _Framing()


class Framer(frames.Framer[Frame]):
    """The framer of a line of this family."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(_FRAMING, 0x100 + _OVERHEAD)


def describe(raw: bytes, source: Source | None) -> dict[str, object]:
    """Return what `raw` says for `tongjie frame decode cf`; without `source` a reply is known by a body where no request has one."""
    frame = Frame.from_bytes(raw)
    found: dict[str, object] = {"crc": "ok", "address": f"{frame.address:02X}", "command": f"{frame.command:04X}"}
    body = frame.body
    device = source == "device" if source else frame.command in (INFORMATION, PARAMETERS, GATE_STATUS)
    if device and body:
        found["status"] = f"{body[0]:02X}"
        body = body[1:]
    found["data"] = body.hex().upper()
    return found
