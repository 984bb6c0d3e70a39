"""What gates and door controllers say: ZKTeco's frames and records, the records and the people counter of a FEIG security gate."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from protocols import feig
from protocols.feig import gate
from protocols.feig.records import HAS_ANTENNA, HAS_DATA, HAS_ID, TagRecord, decode_records, encode_records
from protocols.frames import FrameError, LocalFrameError, decode_exactly
from protocols.zkteco import (
    Address,
    Command,
    DoorStatus,
    EventRecord,
    Frame,
    Framing,
    ZkFramer,
    control_output,
    decode_text,
    encode_frame,
    encode_record,
    encode_text,
    parameters,
    read_control,
    session_header,
    split_session,
)
from protocols.zkteco import decode_records as decode_events
from tests.fuzz.target import Target, chunks, in_chunks, vectors

__all__ = ["TARGETS", "feig_gate", "zkteco"]

_STATUSES = (0x00, 0x84, 0x85, 0x93, 0x94, 0x92, 0x01, 0x82)
_BUILT = HAS_ID | HAS_DATA | HAS_ANTENNA
_UID = "E00401500A203FA3"


def zkteco(data: bytes) -> None:
    """The first byte chooses: noise in pieces, a sound frame with one byte spoiled, binary records, a text record."""
    choice, rest = (data[0], data[1:]) if data else (0, b"")
    (_noise, _sound, _events, _text)[choice % 4](rest)


def _found(pieces: list[bytes]) -> tuple[list[Frame], int, int]:
    framer = ZkFramer()
    found = [frame for piece in pieces for frame in framer.receive(piece)]
    found += framer.idle()
    assert framer.pending == 0
    return found, framer.skipped, framer.bad_checks


def _noise(data: bytes) -> None:
    pieces = list(chunks(data))
    found = _found(pieces)
    assert found == _found([b"".join(pieces)]), "other pieces gave other frames"
    assert sum(8 + len(frame.body) for frame in found[0]) + found[1] == sum(map(len, pieces)), "bytes were lost"
    for frame in found[0]:
        again = decode_exactly(Framing(), encode_frame(frame.command, frame.body))
        assert (again.command, again.body) == (frame.command, frame.body)
        _payloads(frame)


def _sound(data: bytes) -> None:
    where, kind, command, body = (*data[:3], data[3:]) if len(data) > 2 else (0, 1, 0, b"")
    try:
        raw = encode_frame(command, body)
    except LocalFrameError:
        return
    frame = Frame(command, body)
    assert ZkFramer().receive(raw) == [frame] == [decode_exactly(Framing(), raw)]
    broken = bytearray(raw)
    broken[where % len(raw)] ^= kind or 1
    try:
        decode_exactly(Framing(), bytes(broken))
    except FrameError:
        pass
    else:
        raise AssertionError("a frame with one wrong byte was taken")
    _payloads(frame)


def _payloads(frame: Frame) -> None:
    for session in (True, False):
        with suppress(FrameError):
            number, message, payload = split_session(frame.body, session=session)
            assert session_header(number, message) + payload == frame.body or len(frame.body) < 4
            _events(payload)
            _text(payload)
    with suppress(FrameError, LocalFrameError):
        asked = read_control(frame.body)
        assert read_control(control_output(*asked)) == asked


def _events(payload: bytes) -> None:
    try:
        records = decode_events(payload)
    except FrameError:
        assert len(payload) % 16
        return
    for record in records:
        try:
            raw = encode_record(record)
        except LocalFrameError:
            assert record.at is None, "what was read in a record cannot be written into one"
            continue
        assert decode_events(raw) == [record if record.at else replace(record, at=datetime(2000, 1, 1))]
        assert not isinstance(record, EventRecord) or str(record.card) not in repr(record).partition("card")[2]


def _text(payload: bytes) -> None:
    assert len(parameters(payload)) <= 64
    try:
        record = decode_text(payload)
    except FrameError:
        return
    if record is not None:
        assert decode_text(encode_text(record, 1)) == record, "what was written is read as something else"
        with suppress(LocalFrameError):
            assert decode_events(encode_record(record)) == [record]


def feig_gate(data: bytes) -> None:
    """The first byte chooses: a notification, the people counter's body, one whose inner frame is made, records that are built."""
    choice, rest = (data[0], data[1:]) if data else (0, b"")
    (_pushed, _counter, _counted, _records)[choice % 4](rest)


def _pushed(data: bytes) -> None:
    status, body = (_STATUSES[data[0] % 8], data[1:]) if data else (0, b"")
    frame = feig.Frame(0, gate.TAG_RECORDS, bytes((status,)) + body)
    try:
        reply = feig.BufferReply.from_frame(frame)
    except (FrameError, feig.StatusError):
        return
    assert reply.records or not reply.kinds
    with suppress(LocalFrameError):
        again = feig.BufferReply.from_frame(feig.Frame(0, gate.TAG_RECORDS, reply.to_body()))
        assert (again.kinds, again.overflow) == (reply.kinds, reply.overflow)
        assert list(map(_said, again.records)) == list(map(_said, reply.records))


def _said(record: TagRecord) -> TagRecord:
    """A record without what it is written anew from."""
    return replace(record, length=0, rest=b"")


def _counter(body: bytes) -> None:
    try:
        frame = gate.decode_counter(body)
    except FrameError:
        return
    assert frame.inner.to_bytes() in body
    counts = frame.counts
    assert counts is None or all(0 <= count < 1 << 32 for count in counts)
    if counts is not None and frame.from_device:
        again = gate.decode_counter(gate.counter_reply(frame.inner.command, counts, frame.inner.status))
        assert (again.counts, again.from_device) == (counts, True)
    elif counts is not None:
        assert gate.decode_counter(gate.counter_question(counts)).counts == counts


def _counted(data: bytes) -> None:
    device, address, command, body = (*data[:3], data[3:]) if len(data) > 2 else (0, 1, gate.COUNTER_READ, b"")
    raw = feig.Frame(address, command, body, "advanced").to_bytes()
    outer = bytes((device,)) + raw if device & 1 else b"\x00\x0d\x02" + raw
    _counter(outer)
    for at in range(min(len(raw), 24)):
        broken = bytearray(outer)
        broken[-1 - at] ^= 1 + device // 2
        with suppress(FrameError):
            found = gate.decode_counter(bytes(broken))
            assert found.counts is None, "a count with one wrong byte was taken"


def _records(data: bytes) -> None:
    kinds, body = (data[0] & _BUILT, data[1:]) if data else (0, b"")
    built = []
    for piece in chunks(body):
        size = (piece[0] & 7) + 1 if piece else 1
        blocks = piece[1 + 8 :][: len(piece[9:]) // size * size]
        uid = piece[1:9].hex().upper()
        record = TagRecord(0, 3, uid, len(blocks) // size, size, blocks, piece[0] if piece else 0)
        if not kinds & HAS_ID:
            record = replace(record, tag_type=0, uid="")
        if not kinds & HAS_DATA:
            record = replace(record, block_count=0, block_size=0, data=b"")
        built.append(record if kinds & HAS_ANTENNA else replace(record, antenna=None))
    read_kinds, read = decode_records(encode_records(kinds, tuple(built)))
    assert (read_kinds, list(map(_said, read))) == (kinds, built)


def _zkteco_seeds() -> list[bytes]:
    at = datetime(2017, 7, 31, 8, 54, 10)
    records = (EventRecord(27, 1, 0x12643017, 0, 0, 4, at), DoorStatus((1, 2, 0, 0), (3, 0, 1, 0), at))
    binary, texts = (
        b"".join([encode_record(record) for record in records]),
        [encode_text(record, 7) for record in records],
    )
    bodies = [
        binary,
        *texts,
        control_output(1, Address.DOOR, 5),
        b"LockCount=2,ReaderCount=4",
        session_header(0x8AD1, 2) + binary,
    ]
    wire = [encode_frame(Command.LOG_BINARY, body) for body in bodies]
    found = [b"\x00" + in_chunks(b"\xaa\x01" + one) for one in wire]
    found += [b"\x01\x07\x20\xc8" + body for body in bodies]
    return [*found, b"\x02" + binary, *(b"\x03" + text for text in texts)]


def _gate_seeds() -> list[bytes]:
    found = []
    for vector in vectors("frames"):
        if vector["kind"] != "feig" or "hex" not in vector:
            continue
        with suppress(FrameError):
            frame = feig.Frame.from_bytes(bytes.fromhex(vector["hex"]))
            if frame.command in (gate.TAG_RECORDS, 0x2B):
                found.append(b"\x00\x00" + frame.data)
            if frame.command == gate.PIGGYBACK:
                found.append(b"\x01" + frame.body)
    counted = bytes(9) + b"\x00\x00\x02\x2b\x00\x00\x02\x0c"
    found += [bytes((2, device, 1, command)) + counted for device in (0, 1) for command in (0x77, 0x78)]
    piece = b"\x03" + bytes.fromhex(_UID) + bytes(range(16))
    found += [bytes((3, kinds)) + in_chunks(piece) * 2 for kinds in (0, HAS_ID, HAS_ID | HAS_DATA, _BUILT)]
    record = TagRecord(0, 3, _UID, 4, 4, bytes(range(16)), 1)
    found += [bytes((0, at)) + encode_records(_BUILT, ()) for at in (0, 3)]
    return found + [bytes((0, at)) + encode_records(_BUILT, (record, record)) for at in range(8)]


TARGETS = {
    "zkteco": Target(
        zkteco, _zkteco_seeds, (b"\xaa\x01", b"time=2017-07-31 08:54:10", b"\tsensor=", b"\talarm=", b"\tevent=")
    ),
    "gate_feig": Target(
        feig_gate, _gate_seeds, (b"\x00\x0d\x02", b"\x02\x00\x18\x01\x77", b"\x13\x00\x01", b"\x00\x1e\x03\x00\x08")
    ),
}
"""By name."""
