"""The ZKTeco codec against frames and records recorded from real controllers, and against noise."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.frames import FrameError, LocalFrameError
from protocols.zkteco import (
    Address,
    DoorStatus,
    EventRecord,
    ZkFramer,
    control_output,
    crc_arc,
    decode_records,
    decode_text,
    encode_frame,
    encode_record,
    encode_text,
    parameters,
    read_control,
    split_session,
)


@pytest.mark.parametrize(
    "raw", ["", "AA", "AA01C80400D18A0000915355", "AA01C80400D18A0000915256", "AA02C80000000055", "AA01C8FFFF"]
)
def test_what_is_no_sound_frame_gives_none(raw: str) -> None:
    framer = ZkFramer()
    assert framer.receive(bytes.fromhex(raw)) + framer.idle() == []


@pytest.mark.parametrize("payload", [b"\0", bytes(15), bytes(17)])
def test_records_that_are_not_whole_are_refused(payload: bytes) -> None:
    with pytest.raises(FrameError):
        decode_records(payload)


@pytest.mark.parametrize(
    "text", [b"event=1", b"time=x\tevent=1", b"time=2023-12-06 22:33:15\tsensor=zz\talarm=00000000",
             b"time=2023-12-06 22:33:15\tpin=0\tcardno=-4\teventaddr=1\tevent=8\tinoutstatus=2\tverifytype=200",
             b"time=2023-12-06 22:33:15\tsensor=24\talarm=00", b"time=2023-12-06 22:33:15\tsensor=-1\talarm=00000000",
             b"time=2023-12-06 22:33:15\tpin=0\tcardno=4_0\teventaddr=1\tevent=8\tinoutstatus=2\tverifytype=200",
             b"time=2023-12-06 22:33:15\tpin=0\tcardno= 4\teventaddr=1\tevent=8\tinoutstatus=2\tverifytype=200",
             b"time=2023-12-06 22:33:15\tpin=0\tcardno=18446744073709551616\teventaddr=1\tevent=8\tinoutstatus=2\tverifytype=4"],
)  # fmt: skip
def test_a_text_record_without_sense_is_refused(text: bytes) -> None:
    with pytest.raises(FrameError):
        decode_text(text)


def test_what_cannot_be_said_is_not_built() -> None:
    with pytest.raises(LocalFrameError):
        encode_frame(0x100)
    with pytest.raises(LocalFrameError):
        control_output(0, Address.DOOR, 5)
    for record in (
        EventRecord(27, 1, card=1 << 32), EventRecord(27, 1, pin=1 << 32), EventRecord(27, 256), EventRecord(300, 1),
        EventRecord(255, 1), EventRecord(27, 1, way=-1), EventRecord(27, 1, at=datetime(1999, 12, 31)),
        EventRecord(27, 1, at=datetime(2134, 1, 1)), DoorStatus((16, 0, 0, 0), (0, 0, 0, 0)),
        DoorStatus((0, 0, 0, 0), (256, 0, 0, 0)),
    ):  # fmt: skip
        with pytest.raises(LocalFrameError):
            encode_record(record)
    with pytest.raises(LocalFrameError):
        encode_text(DoorStatus((4, 0, 0, 0), (0, 0, 0, 0)), 1)


@pytest.mark.parametrize(
    ("inner", "right"),
    [
        ("313233343536373839", 0xBB3D),
        ("0176040000000000", 0x8FD7),
        ("01C80400D6CD0000", 0x3320),
        ("010B04003EE30200", 0xF687),
        ("01C8140078E502000300000011000000000 1FF0000337521".replace(" ", ""), 0xCD2C),
        ("010204003ACF0200", 0x0FDE),
    ],
)
def test_the_check_of_recorded_frames(inner: str, right: int) -> None:
    assert crc_arc(bytes.fromhex(inner)) == right


def test_a_recorded_reply_with_parameters() -> None:
    [frame] = ZkFramer().receive(
        bytes.fromhex(
            "aa01c84800d18a02007e5a4b465056657273696f6e3d31302c4c6f636b436f756e743d322c526561646572436f756e743d342c"
            "417578496e436f756e743d322c4175784f7574436f756e743d32783f55"
        )
    )
    session, number, payload = split_session(frame.body, session=True)
    assert (session, number) == (0x8AD1, 2)
    assert parameters(payload)["ReaderCount"] == "4"


def test_recorded_records() -> None:
    exit_button, punch = decode_records(
        bytes.fromhex("0000000000000000C8016602328FAE2117306412E2B1040004010000742CAF21")
    )
    assert exit_button == EventRecord(0x66, 1, 0, 0, 2, 200, datetime(2017, 7, 31, 8, 54, 10))
    assert isinstance(punch, EventRecord) and (punch.event, punch.card, punch.way) == (0, 0x12643017, 0)
    [status] = decode_records(bytes.fromhex("03000000110000000001FF00F231B321"))
    assert isinstance(status, DoorStatus) and (status.sensors, status.alarms) == ((1, 0, 0, 0), (3, 0, 0, 0))


def test_a_text_record_of_an_early_year_comes_back() -> None:
    record = EventRecord(8, 1, at=datetime(987, 6, 5))
    assert decode_text(encode_text(record, 1)) == record


CLOCK = st.datetimes(datetime(2000, 1, 1), datetime(2060, 12, 31)).map(lambda at: at.replace(microsecond=0))
BYTE = st.integers(0, 255)
EVENTS = st.builds(
    EventRecord,
    st.integers(0, 254),
    BYTE,
    st.integers(0, (1 << 32) - 1),
    st.integers(0, (1 << 32) - 1),
    BYTE,
    BYTE,
    CLOCK,
)
STATUS = st.builds(DoorStatus, st.tuples(*[st.integers(0, 3)] * 4), st.tuples(*[BYTE] * 4), CLOCK)


@given(st.one_of(EVENTS, STATUS))
def test_every_record_comes_back_binary_and_as_text(record: EventRecord | DoorStatus) -> None:
    assert decode_records(encode_record(record)) == [record]
    assert decode_text(encode_text(record, 1)) == record


@given(
    st.lists(st.tuples(BYTE, st.binary(max_size=60)), max_size=5),
    st.binary(max_size=20),
    st.lists(st.integers(1, 9), max_size=40),
)
def test_any_split_after_any_noise_gives_the_same_frames(
    frames: list[tuple[int, bytes]], noise: bytes, cuts: list[int]
) -> None:
    wire = noise.replace(b"\xaa", b"\x00") + b"".join(encode_frame(command, body) for command, body in frames)
    framer, found = ZkFramer(), []
    for cut in cuts:
        found += framer.receive(wire[:cut])
        wire = wire[cut:]
    found += framer.receive(wire)
    assert [(frame.command, frame.body) for frame in found] == frames


@given(st.binary(max_size=600))
def test_noise_is_never_more_than_a_typed_refusal(noise: bytes) -> None:
    framer = ZkFramer()
    framer.receive(noise)
    framer.idle()
    for read in (decode_records, decode_text, read_control):
        try:
            read(noise)
        except FrameError:
            continue
