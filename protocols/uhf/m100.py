"""M100, QM100, R200, JRD-4035 modules: BB type command LEN(2, high first) data sum 7E.

The sum is that of the bytes from type to data, modulo 256. Type 00 = command, 01 = reply, 02 = notice of a tag:
RSSI, PC, EPC and the Gen2 CRC over PC and EPC.
"""

from dataclasses import dataclass

from protocols import frames
from protocols.crc import crc_gen2
from protocols.frames import BadCheck, LocalFrameError, Malformed, Source, decode_exactly

__all__ = ["MULTIPLE_POLL", "POLL", "POWER", "STOP", "Frame", "Framer", "TagNotice", "decode_notice", "describe"]

COMMAND, REPLY, NOTICE = 0x00, 0x01, 0x02
POLL, MULTIPLE_POLL, STOP, POWER = 0x22, 0x27, 0x28, 0xB7
_HEAD, _TAIL = 0xBB, 0x7E
_OVERHEAD = 7


@dataclass(frozen=True, slots=True)
class Frame:
    """One sound frame."""

    type: int
    command: int
    data: bytes = b""

    def to_bytes(self) -> bytes:
        """Return the frame; raises `LocalFrameError`."""
        if not (0 <= self.type <= 0xFF and 0 <= self.command <= 0xFF) or len(self.data) > 0xFFFF:
            raise LocalFrameError("type and command are a byte each, and the data at most 65535 bytes")
        summed = bytes((self.type, self.command)) + len(self.data).to_bytes(2, "big") + self.data
        return bytes((_HEAD,)) + summed + bytes((sum(summed) & 0xFF, _TAIL))

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Frame":
        """Decode exactly one frame; raises `FrameError`."""
        return decode_exactly(_FRAMING, raw)


class _Framing:
    """`protocols.frames.Framing` of this family."""

    def measure(self, head: bytes) -> int:
        if head[:1] and head[0] != _HEAD:
            return -1
        return (head[3] << 8 | head[4]) + _OVERHEAD if len(head) >= 5 else 0

    def decode(self, raw: bytes) -> Frame:
        if raw[-1] != _TAIL:
            raise Malformed("the frame does not end in 7E")
        right = sum(raw[1:-2]) & 0xFF
        if right != raw[-2]:
            raise BadCheck("the sum of the frame is wrong", sum="bad", right=f"{right:02X}")
        return Frame(raw[1], raw[2], raw[5:-2])


_FRAMING = _Framing()


class Framer(frames.Framer[Frame]):
    """The framer of a line of this family."""

    __slots__ = ()

    def __init__(self, max_length: int = frames.MAX_FRAME) -> None:
        super().__init__(_FRAMING, max_length)


@dataclass(frozen=True, slots=True)
class TagNotice:
    """One tag seen. `rssi_dbm` is negative; `crc_ok` = the Gen2 CRC that the tag itself sent is right."""

    rssi_dbm: int
    pc: int
    epc: str
    crc: int
    crc_ok: bool


def decode_notice(data: bytes) -> TagNotice:
    """Return the tag of a notice's data; raises `Malformed`."""
    if len(data) < 5:
        raise Malformed("a notice has RSSI, PC and CRC")
    crc = data[-2] << 8 | data[-1]
    rssi = data[0] - 0x100 if data[0] & 0x80 else data[0]
    return TagNotice(rssi, data[1] << 8 | data[2], data[3:-2].hex().upper(), crc, crc_gen2(data[1:-2]) == crc)


def describe(raw: bytes, source: Source | None) -> dict[str, object]:
    """Return what `raw` says for `tongjie frame decode m100`; the type byte tells who sent it, `source` is not needed."""
    frame = Frame.from_bytes(raw)
    found: dict[str, object] = {"sum": "ok", "type": f"{frame.type:02X}", "command": f"{frame.command:02X}"}
    if frame.type == NOTICE and frame.command == POLL:
        tag = decode_notice(frame.data)
        found |= {
            "rssi_raw": f"{frame.data[0]:02X}",
            "pc": f"{tag.pc:04X}",
            "epc": tag.epc,
            "crc16": f"{tag.crc:04X}",
            "crc16_ok": tag.crc_ok,
        }
    found["data"] = frame.data.hex().upper()
    return found
