"""UHFReader18/288 and their many clones: LEN ADR CMD [STATUS] data CRC; 57600 8N1.

LEN counts the bytes after it; CRC poly 8408 reflected, init FFFF, low byte first, over everything before it.
"""

from dataclasses import dataclass

from protocols import frames
from protocols.crc import crc_mcrf4xx
from protocols.frames import BadCheck, Cursor, FrameError, LocalFrameError, Malformed, Source, decode_exactly

__all__ = [
    "INFORMATION",
    "INVENTORY",
    "NO_TAG",
    "Frame",
    "Framer",
    "SeenTag",
    "TagReport",
    "decode_report",
    "decode_tags",
    "describe",
]

INVENTORY, INFORMATION = 0x01, 0x21
DONE, TIMEOUT, MORE, FULL = 0x01, 0x02, 0x03, 0x04
NO_TAG = 0xFB
"""Status: no tag in the field."""

_TID_APPENDED, _PHASE, _LENGTH = 0x80, 0x40, 0x3F
_PHASE_SIZE = 7
_TID_SIZE = 12
_LEAST = 4


@dataclass(frozen=True, slots=True)
class Frame:
    """One sound frame; `body` is everything between command and CRC: a device's begins with its status."""

    address: int
    command: int
    body: bytes = b""

    def to_bytes(self) -> bytes:
        """Return the frame; raises `LocalFrameError` for a body over 251 bytes."""
        if len(self.body) > 0xFF - _LEAST or not (0 <= self.address <= 0xFF and 0 <= self.command <= 0xFF):
            raise LocalFrameError("address and command are a byte each, and the body at most 251 bytes")
        raw = bytes((len(self.body) + _LEAST, self.address, self.command)) + self.body
        return raw + crc_mcrf4xx(raw).to_bytes(2, "little")

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Frame":
        """Decode exactly one frame; raises `FrameError`."""
        return decode_exactly(_FRAMING, raw)


class _Framing:
    """`protocols.frames.Framing` of this family."""

    def measure(self, head: bytes) -> int:
        if not head:
            return 0
        return head[0] + 1 if head[0] >= _LEAST else -1

    def decode(self, raw: bytes) -> Frame:
        right = crc_mcrf4xx(raw[:-2])
        if right != raw[-2] | raw[-1] << 8:
            raise BadCheck("the CRC of the frame is wrong", crc="bad", right=right.to_bytes(2, "little").hex().upper())
        return Frame(raw[1], raw[2], raw[3:-2])


_FRAMING = _Framing()


class Framer(frames.Framer[Frame]):
    """The framer of a line of this family; no byte marks a frame, so call `idle()` between frames."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(_FRAMING, 0x100)


@dataclass(frozen=True, slots=True)
class SeenTag:
    """One tag of an inventory. `rssi` 0..255 in the device's own unit, None from the old UHFReader18; `tid` where appended.

    `phase` = the 7 bytes of phase and frequency that the 288 family adds on demand (size is general knowledge).
    """

    epc: str
    rssi: int | None = None
    tid: str = ""
    phase: bytes = b""


@dataclass(frozen=True, slots=True)
class TagReport:
    """The tags of one inventory reply. `antenna`: one-hot on devices with 1, 4 or 8, an index on 12 or 16; None = not told."""

    antenna: int | None
    tags: tuple[SeenTag, ...]


def decode_tags(data: bytes) -> TagReport:
    """Return the tags of what follows the status: the 288 family's form if it fits exactly, else the UHFReader18's.

    Raises `Malformed` where neither fits.
    """
    for modern in (True, False):
        try:
            return decode_report(data, modern=modern)
        except FrameError:
            continue
    raise Malformed("the tags do not fill the frame")


def decode_report(data: bytes, *, modern: bool) -> TagReport:
    """Return the tags of what follows the status, in the form of the 288 family (`modern`) or of the UHFReader18.

    Raises `Malformed` or `Truncated`.
    """
    body = Cursor(data)
    antenna = body.u8() if modern else None
    tags = []
    for _ in range(body.u8()):
        head = body.u8()
        field = body.take(head & _LENGTH if modern else head)
        tid = b""
        if modern and head & _TID_APPENDED and len(field) > _TID_SIZE:
            field, tid = field[:-_TID_SIZE], field[-_TID_SIZE:]
        if not field:
            raise Malformed("a tag without EPC")
        rssi = body.u8() if modern else None
        phase = body.take(_PHASE_SIZE) if modern and head & _PHASE else b""
        tags.append(SeenTag(field.hex().upper(), rssi, tid.hex().upper(), phase))
    body.end()
    return TagReport(antenna, tuple(tags))


def describe(raw: bytes, source: Source | None) -> dict[str, object]:
    """Return what `raw` says for `tongjie frame decode uhfreader18`; raises `FrameError`."""
    frame = Frame.from_bytes(raw)
    found: dict[str, object] = {"crc": "ok", "address": f"{frame.address:02X}", "command": f"{frame.command:02X}"}
    body = frame.body
    device = source == "device" if source else _from_device(frame)
    if device and body:
        found["status"] = f"{body[0]:02X}"
        body = body[1:]
        if frame.command == INVENTORY and body and frame.body[0] in (DONE, TIMEOUT, MORE, FULL):
            report = decode_tags(body)
            if report.antenna is not None:
                found["antenna"] = f"{report.antenna:02X}"
            found["tags"] = [_shown(tag) for tag in report.tags]
    found["data"] = body.hex().upper()
    return found


def _from_device(frame: Frame) -> bool:
    """Guess: an inventory request has up to a handful of settings, a reply a status and tags that fill it exactly."""
    body = frame.body
    if frame.command != INVENTORY or len(body) < 2:
        return bool(body)
    if body[0] not in (DONE, TIMEOUT, MORE, FULL):
        return False
    try:
        return bool(decode_tags(body[1:]).tags)
    except FrameError:
        return False


def _shown(tag: SeenTag) -> dict[str, object]:
    shown: dict[str, object] = {"epc": tag.epc}
    if tag.rssi is not None:
        shown["rssi"] = tag.rssi
    if tag.tid:
        shown["tid"] = tag.tid
    if tag.phase:
        shown["phase"] = tag.phase.hex().upper()
    return shown
