"""What FEIG gates push: tag records and the people counter behind the gate."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.feig import Frame, gate
from protocols.frames import BadCheck, FrameError, Malformed, Truncated
from protocols.iso28560 import decode_tag

PUSHED = bytes.fromhex(
    "0200400022001300010035030008E00401500A203FA300090432010421323131303336343300000000F70000004445444932352D45000000360000000004FE47"
)
COUNTER_REPLY = bytes.fromhex("020020009F0002001801770000000000000000000000022B0000020C9F4E81A3")


def test_record_that_does_not_hold_what_it_announces_is_refused():
    data = bytearray(Frame.from_bytes(PUSHED).data)
    for wrong in (0x0001, 0x0034, 0x0036):
        data[3:5] = wrong.to_bytes(2, "big")
        with pytest.raises((Truncated, Malformed)):
            gate.decode_records(bytes(data))


def test_counter_whose_inner_crc_is_wrong_is_refused_though_the_outer_is_right():
    body = bytearray(Frame.from_bytes(COUNTER_REPLY).body)
    body[-5] ^= 1
    with pytest.raises(BadCheck):
        gate.decode_counter(bytes(body))


def test_pushed_tag_is_an_item_of_iso_28560_3():
    kinds, records = gate.decode_records(Frame.from_bytes(PUSHED).data)
    (record,) = records
    assert (kinds, record.uid, record.block_count, record.antenna) == (0x13, "E00401500A203FA3", 9, 4)
    tag = decode_tag(record.data, dsfid=None, afi=None)
    assert (tag.format, tag.pii, tag.owner, tag.parts, tag.part) == ("28560-3", "201123463", "DEDE-526", 4, 1)
    assert tag.divergences == ("nibbles-swapped",)


def test_counter_tells_both_directions():
    counter = gate.decode_counter(Frame.from_bytes(COUNTER_REPLY).body)
    assert counter.from_device
    assert counter.counts == (555, 524)


@given(st.binary(max_size=80))
def test_noise_is_no_record_and_no_counter_or_a_typed_error(body):
    for decode in (gate.decode_records, gate.decode_counter):
        with contextlib.suppress(FrameError):
            decode(body)
