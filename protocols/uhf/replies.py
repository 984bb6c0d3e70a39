"""Replies of an UHFReader18/288 in both directions: parsed by the driver, built by the device's twin."""

from dataclasses import dataclass, field

from protocols.frames import Cursor, LocalFrameError, Malformed
from protocols.uhf.device_requests import InformationRequest
from protocols.uhf.requests import Request
from protocols.uhf.status import INVENTORY_STATES, NO_TAG, OK, TAG_ERROR, StatusError
from protocols.uhf.tag_requests import InventoryOneRequest, InventoryRequest, ReadRequest
from protocols.uhf.target import Family
from protocols.uhf.uhfreader18 import Frame, SeenTag, TagReport, decode_report, decode_tags

__all__ = [
    "DoneReply",
    "InformationReply",
    "InventoryReply",
    "ReadReply",
    "Reply",
    "antennas",
    "decode_reply",
    "encode_reply",
    "encode_status",
    "split_reports",
]

_TID_APPENDED, _PHASE = 0x80, 0x40
_INFORMATION = {"18": 8, "288": 12}
"""Bytes of information: how a driver tells the families apart."""


@dataclass(frozen=True, slots=True)
class InventoryReply:
    """One frame of an inventory: ``state`` is DONE, TIMEOUT, MORE (another frame follows) or FULL; ``tags`` what it tells."""

    state: int
    tags: tuple[SeenTag, ...] = ()
    antenna: int | None = None


@dataclass(frozen=True, slots=True)
class ReadReply:
    """The words that were read, high byte first."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class DoneReply:
    """It is done."""


@dataclass(frozen=True, slots=True)
class InformationReply:
    """What the device says of itself: ``version`` major and minor, ``type`` (09 = UHFReader18), ``protocols`` bit 1 = Gen2.

    ``power_dbm`` 0..30, 255 = it cannot say; ``scan_100ms`` tenths of a second. The 288 family adds ``antennas`` (a bit for each in
    use), ``beep``, ``output`` and ``check_antenna``; None from the 18 family.
    """

    version: tuple[int, int]
    type: int
    protocols: int
    highest: int
    lowest: int
    power_dbm: int
    scan_100ms: int
    antennas: int | None = None
    beep: int | None = None
    output: int | None = None
    check_antenna: int | None = None

    @property
    def family(self) -> Family:
        """Which family answers so."""
        return "18" if self.antennas is None else "288"


Reply = InventoryReply | ReadReply | DoneReply | InformationReply
"""Every reply."""


def antennas(code: int, ports: int) -> tuple[int, ...]:
    """Return the antennas (from 1) in an inventory's antenna byte: one bit each on 1, 4 or 8 ports, an index from 0 on 12 or 16.

    Raises `Malformed` for one that the device does not have.
    """
    if ports > 8:
        found: tuple[int, ...] = (code + 1,)
    else:
        found = tuple(bit + 1 for bit in range(8) if code >> bit & 1)
    if not found or found[-1] > ports:
        raise Malformed("the device has no such antenna")
    return found


def decode_reply(request: Request, frame: Frame, family: Family | None) -> Reply:
    """Return the reply in a device's frame to ``request``; of what a clone of the 18 family adds to its information nothing is taken.

    ``family`` None = not known yet: the length of its information tells it, and tags are read in the form that fits.
    Raises `StatusError` where the device says that it did not do it, `Malformed` or `Truncated` where the frame makes no sense.
    """
    body = Cursor(frame.body)
    status = body.u8()
    if isinstance(request, InventoryRequest | InventoryOneRequest):
        if status in INVENTORY_STATES:
            return _inventory(status, body.rest(), family)
    elif status == OK:
        return _result(request, body, family)
    if status == TAG_ERROR:
        raise StatusError(status, body.u8() if body.left else None)
    if status == NO_TAG or status >= 0x05:
        raise StatusError(status)
    raise Malformed(f"status {status:02X} is none of this command's")


def _inventory(status: int, data: bytes, family: Family | None) -> InventoryReply:
    if not data:  # some clones end a series with a bare status
        return InventoryReply(status)
    report = decode_tags(data) if family is None else decode_report(data, modern=family == "288")
    return InventoryReply(status, report.tags, report.antenna)


def _result(request: Request, body: Cursor, family: Family | None) -> Reply:
    if isinstance(request, ReadRequest):
        reply = ReadReply(body.take(request.count * 2))
        body.end()
        return reply
    if isinstance(request, InformationRequest):
        return _information(body.rest(), family)
    return DoneReply()  # clones repeat the setting behind it


def _information(data: bytes, family: Family | None) -> InformationReply:
    if len(data) < _INFORMATION["18"]:
        raise Malformed("the information is cut short")
    if family == "18" or len(data) < _INFORMATION["288"]:
        return InformationReply((data[0], data[1]), *data[2:8])
    return InformationReply((data[0], data[1]), *data[2:12])


def encode_reply(address: int, request: Request, reply: Reply, family: Family) -> bytes:
    """Return the bytes of ``reply``: the device's side; raises `LocalFrameError`."""
    if isinstance(reply, InventoryReply):
        body = bytes((reply.state,)) + _report(TagReport(reply.antenna, reply.tags), family)
    elif isinstance(reply, ReadReply):
        body = bytes((OK,)) + reply.data
    elif isinstance(reply, InformationReply):
        rest = (reply.antennas, reply.beep, reply.output, reply.check_antenna)
        first = (*reply.version, reply.type, reply.protocols, reply.highest, reply.lowest, reply.power_dbm)
        body = bytes((OK, *first, reply.scan_100ms, *(value or 0 for value in rest if family == "288")))
    else:
        body = bytes((OK,))
    return Frame(address, request.COMMAND, body).to_bytes()


def encode_status(address: int, command: int, status: int, tag_error: int | None = None) -> bytes:
    """Return the bytes of a refusal."""
    return Frame(address, command, bytes((status,) if tag_error is None else (status, tag_error))).to_bytes()


def _report(report: TagReport, family: Family) -> bytes:
    out = bytearray()
    if family == "288":
        if report.antenna is None:
            raise LocalFrameError("this family tells an antenna")
        out.append(report.antenna)
    out.append(len(report.tags))
    for tag in report.tags:
        content = bytes.fromhex(tag.epc + tag.tid)
        flags = (_TID_APPENDED if tag.tid else 0) | (_PHASE if tag.phase else 0)
        out.append(len(content) | flags)
        out += content
        if family == "288":
            out.append(tag.rssi or 0)
            out += tag.phase
    return bytes(out)


def split_reports(tags: tuple[SeenTag, ...], most: int) -> list[tuple[SeenTag, ...]]:
    """Cut the tags of an inventory into frames of at most ``most`` bytes of tags: the device's side."""
    frames: list[tuple[SeenTag, ...]] = []
    now: list[SeenTag] = []
    size = 0
    for tag in tags:
        length = 2 + len(tag.epc + tag.tid) // 2 + len(tag.phase)
        if now and size + length > most:
            frames.append(tuple(now))
            now, size = [], 0
        now.append(tag)
        size += length
    if now:
        frames.append(tuple(now))
    return frames
