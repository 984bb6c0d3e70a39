"""Tag records: what a FEIG device says of each tag in its buffer or in a notification (TR-DATA of [22] and [2B]).

    TR-DATA1 (TR-DATA2) number(2) then per record: length(2, counts itself) id blocks time date antenna input mac antennas

Each part only where its bit is set: TR-DATA1 01 id, 02 blocks, 08 blocks with the low byte first, 10 antenna, 20 time, 40 date,
80 = TR-DATA2 follows; TR-DATA2 01 input, 02 MAC, 08 statistics behind the antenna, 10 list of antennas. The order is that of
the vectors and of the manuals of LR and LRU devices; what stands behind the antenna stays in `rest`.
"""

from dataclasses import dataclass

from protocols.feig.fields import reverse_blocks
from protocols.frames import Cursor, LocalFrameError, Malformed

__all__ = ["HAS_ANTENNA", "HAS_DATA", "HAS_ID", "TagRecord", "decode_records", "encode_records"]

HAS_ID, HAS_DATA, HAS_ANTENNA = 0x01, 0x02, 0x10
_LOW_FIRST, _TIME, _DATE, _EXTENDED = 0x08, 0x20, 0x40, 0x80
_MAX_RECORDS = 1024
"""More than any device's table holds; a count beyond it is no count."""


@dataclass(frozen=True, slots=True)
class TagRecord:
    """One tag. `data` are its blocks in their own order; `antenna` None where the device does not tell, `length` counts itself.

    `rest` holds what else `TR-DATA1`/`2` announce behind the antenna, not read here.
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
    """Return TR-DATA1 and the records of what follows the status; raises `FrameError`."""
    cursor = Cursor(body)
    kinds = cursor.u8()
    if kinds & _EXTENDED:
        cursor.u8()
    count = cursor.u16()
    if count > _MAX_RECORDS:
        raise Malformed(f"{count} records in one frame")
    records = []
    for _ in range(count):
        length = cursor.u16()
        if length < 2:
            raise Malformed("a record's length counts itself")
        records.append(_record(length, kinds, Cursor(cursor.take(length - 2))))
    cursor.end()
    return kinds, tuple(records)


def _record(length: int, kinds: int, part: Cursor) -> TagRecord:
    tag_type, uid, count, size, data, antenna = 0, "", 0, 0, b"", None
    if kinds & HAS_ID:
        tag_type, _, id_length = part.u8(), part.u8(), part.u8()
        uid = part.take(id_length).hex().upper()
    if kinds & HAS_DATA:
        count, size = part.u16(), part.u8()
        if not 1 <= size <= 32:
            raise Malformed(f"a block of {size} bytes")
        data = part.take(count * size)
        data = data if kinds & _LOW_FIRST else reverse_blocks(data, size)
    if kinds & _TIME:
        part.take(4)
    if kinds & _DATE:
        part.take(5)
    if kinds & HAS_ANTENNA:
        antenna = part.u8()
    return TagRecord(length, tag_type, uid, count, size, data, antenna, part.rest())


def encode_records(kinds: int, records: tuple[TagRecord, ...]) -> bytes:
    """Return what follows the status for these records, as the device builds it; `kinds` of id, blocks and antenna only."""
    if kinds & ~(HAS_ID | HAS_DATA | HAS_ANTENNA):
        raise LocalFrameError("only id, blocks and antenna are built here")
    parts = [bytes((kinds,)), len(records).to_bytes(2, "big")]
    for record in records:
        raw = b""
        if kinds & HAS_ID:
            identity = bytes.fromhex(record.uid)
            raw += bytes((record.tag_type, 0, len(identity))) + identity
        if kinds & HAS_DATA:
            raw += record.block_count.to_bytes(2, "big") + bytes((record.block_size,))
            raw += reverse_blocks(record.data, record.block_size)
        if kinds & HAS_ANTENNA:
            raw += bytes((record.antenna or 0,))
        parts.append((len(raw) + 2).to_bytes(2, "big") + raw)
    return b"".join(parts)
