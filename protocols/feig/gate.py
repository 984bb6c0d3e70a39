"""What FEIG security gates (LRB25000) push and hold: tag records, keepalives, the alarm block and the people counter.

A gate connects to the host's TCP port and sends frames by itself: 22 with the tags that passed, 6E to show that it lives.
A people counter sits behind it: frame 9F carries a complete advanced frame for address 01 with a CRC of its own.
"""

from dataclasses import dataclass

from protocols.feig.fields import reverse_blocks
from protocols.feig.frame import Frame
from protocols.frames import Cursor, Malformed

__all__ = [
    "ALARM_OFF",
    "COUNTER_READ",
    "COUNTER_SET",
    "KEEPALIVE",
    "PIGGYBACK",
    "TAG_RECORDS",
    "WRITE_CONFIGURATION",
    "CounterFrame",
    "TagRecord",
    "decode_counter",
    "decode_records",
]

TAG_RECORDS, KEEPALIVE, PIGGYBACK, WRITE_CONFIGURATION = 0x22, 0x6E, 0x9F, 0x8B
COUNTER_READ, COUNTER_SET = 0x77, 0x78

ALARM_OFF = bytes.fromhex("020101011E00090F") + bytes(29)
"""Body of [8B] that silences the alarm of an LRB25000: device 02, bank 01, one block of 1E bytes at address 0009."""

_ID, _DATA, _ANTENNA, _TIME, _DATE, _EXTENDED = 0x01, 0x02, 0x10, 0x20, 0x40, 0x80
_HOST_ENVELOPE = 3
_DEVICE_ENVELOPE = 1


@dataclass(frozen=True, slots=True)
class TagRecord:
    """One tag that passed. `data` are its blocks in their own order; `antenna` None where the gate does not tell.

    `length` counts itself; `rest` holds time, date and what else `TR-DATA1`/`2` announce, not read here.
    """

    length: int
    tag_type: int
    uid: str
    block_count: int
    block_size: int
    data: bytes
    antenna: int | None
    rest: bytes = b""


def decode_records(body: bytes) -> tuple[int, tuple[TagRecord, ...]]:
    """Return TR-DATA1 and the records of what follows the status in [22]; raises `FrameError`."""
    cursor = Cursor(body)
    kinds = cursor.u8()
    if kinds & _EXTENDED:
        cursor.u8()
    records = []
    for _ in range(cursor.u16()):
        length = cursor.u16()
        if length < 2:
            raise Malformed("a record's length counts itself")
        records.append(_record(length, kinds, Cursor(cursor.take(length - 2))))
    cursor.end()
    return kinds, tuple(records)


def _record(length: int, kinds: int, part: Cursor) -> TagRecord:
    tag_type, uid, count, size, data, antenna = 0, "", 0, 0, b"", None
    if kinds & _ID:
        tag_type, _, id_length = part.u8(), part.u8(), part.u8()
        uid = part.take(id_length).hex().upper()
    if kinds & _DATA:
        count, size = part.u16(), part.u8()
        if not 1 <= size <= 32:
            raise Malformed(f"a block of {size} bytes")
        data = reverse_blocks(part.take(count * size), size)
    if kinds & _ANTENNA and not kinds & (_TIME | _DATE):
        antenna = part.u8()
    return TagRecord(length, tag_type, uid, count, size, data, antenna, part.rest())


@dataclass(frozen=True, slots=True)
class CounterFrame:
    """The people counter's frame inside [9F], its CRC already checked.

    `from_device` = it has a status. `counts` (in, out) in the reply to 77 and in the request 78, otherwise None.
    """

    inner: Frame
    from_device: bool
    counts: tuple[int, int] | None


def decode_counter(body: bytes) -> CounterFrame:
    """Return the frame inside the body of [9F]: three bytes before it come from a host, the status alone from a device.

    Raises `FrameError` where neither holds a sound frame; both CRCs count.
    """
    from_device = len(body) > _DEVICE_ENVELOPE + 2 and int.from_bytes(body[2:4], "big") == len(body) - _DEVICE_ENVELOPE
    inner = Frame.from_bytes(body[_DEVICE_ENVELOPE if from_device else _HOST_ENVELOPE :])
    read_reply = from_device and inner.command == COUNTER_READ
    set_request = not from_device and inner.command == COUNTER_SET
    counts = None
    if (read_reply or set_request) and len(inner.body) == 17:
        counts = (int.from_bytes(inner.body[9:13], "big"), int.from_bytes(inner.body[13:17], "big"))
    return CounterFrame(inner, from_device, counts)
