"""Commands of the UHFReader18/288 both ways: public captures byte for byte, round trips, refusals, garbage."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.frames import FrameError, LocalFrameError, Malformed
from protocols.uhf import device_requests as device
from protocols.uhf import tag_requests as tags
from protocols.uhf.replies import (
    DoneReply,
    InformationReply,
    InventoryReply,
    ReadReply,
    antennas,
    decode_reply,
    encode_reply,
    encode_status,
    split_reports,
)
from protocols.uhf.requests import addressed_to, decode_request, encode_request
from protocols.uhf.status import DONE, MORE, BadRequest, StatusError
from protocols.uhf.target import TID_BANK, Mask, Target
from protocols.uhf.uhfreader18 import Frame, SeenTag, decode_tags

byte = st.integers(0, 255)
epcs = st.integers(1, 15).flatmap(lambda words: st.binary(min_size=words * 2, max_size=words * 2))
masks = st.builds(Mask, st.integers(1, 3), st.integers(0, 16383), st.binary(max_size=31))
targets = st.one_of(st.builds(Target, epcs), st.builds(Target, mask=masks), st.just(Target()))
passwords = st.integers(0, 0xFFFFFFFF)
words = st.integers(1, 60).flatmap(lambda count: st.binary(min_size=count * 2, max_size=count * 2))
inventories = st.one_of(
    st.just(tags.InventoryRequest()),
    st.builds(
        tags.InventoryRequest,
        q=st.integers(0, 15),
        session=st.integers(0, 3),
        fast_id=st.booleans(),
        tid=st.none() | st.tuples(st.integers(0, 8), st.integers(1, 15)),
        antenna=st.integers(1, 16),
        scan_100ms=st.integers(1, 255),
        target=st.integers(0, 1),
    ),
)
requests = st.one_of(
    inventories,
    st.builds(tags.ReadRequest, targets, st.integers(0, 3), byte, st.integers(1, 120), passwords),
    st.builds(tags.WriteRequest, targets, st.integers(0, 3), byte, words, passwords),
    st.builds(tags.WriteEpcRequest, epcs, passwords),
    st.builds(tags.LockRequest, targets, st.integers(0, 4), st.integers(0, 3), passwords),
    st.builds(device.RegionRequest, byte, byte),
    st.builds(device.PowerRequest, byte),
    st.builds(device.BeepRequest, byte, byte, byte),
    st.builds(device.BuzzerRequest, byte),
    st.just(device.InformationRequest()),
)
SHOWN = {  # frames printed in public code for these devices: (hex, modern, antenna, [(epc, rssi)])
    "13000103010c0000000000000000000003133f39": (False, None, [("000000000000000000000313", None)]),
    "20000103020c0000000000000000000003130c0000000000000000000003149ac9": (
        False,
        None,
        [("000000000000000000000313", None), ("000000000000000000000314", None)],
    ),
    "1500010301010c0000000000000000000003136bb1a5": (True, 1, [("000000000000000000000313", 0x6B)]),
    "1500010304010c49440000000000000a0003346425c0": (True, 4, [("49440000000000000A000334", 0x64)]),
    "0d000103010104003230386da3d2": (True, 1, [("00323038", 0x6D)]),
    "0700010101001e4b": (True, 1, []),
}


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "family", "status"),
        [
            ("0500", "288", 0xFE),  # kill is not known
            ("40" + "01", "18", 0xFE),
            ("0F", "288", 0xFE),
            ("02", "18", 0xFD),
            ("02" + "00" + "01" + "00" + "00" + "00000000", "18", 0xFF),  # no words
            ("02" + "10", "18", 0xFF),  # 16 words of EPC
            ("02" + "00" + "04" + "0001" + "00000000", "18", 0xFF),  # bank 4
            ("03" + "00", "18", 0xFF),
            ("01" + "0409", "288", 0xFF),  # session 9
            ("01" + "0400" + "007005", "288", 0xFF),  # antenna 70
            ("01" + "010203", "18", 0xFD),
            ("2F" + "1E1E", "18", 0xFD),
        ],
    )
    def test_a_bad_request_is_answered_with_the_right_status(self, body, family, status):
        raw = bytes.fromhex(body)
        with pytest.raises(BadRequest) as caught:
            decode_request(Frame(0, raw[0], raw[1:]), family)
        assert caught.value.status == status

    @pytest.mark.parametrize(
        "request_",
        [
            tags.ReadRequest(Target(b"\x01"), 1, 0, 1),
            tags.ReadRequest(Target(bytes(32)), 1, 0, 1),
            tags.ReadRequest(Target(), 4, 0, 1),
            tags.ReadRequest(Target(), 1, 0, 121),
            tags.ReadRequest(Target(mask=Mask(0, 0, b"")), 1, 0, 1),
            tags.WriteRequest(Target(), 1, 2, b"\x00"),
            tags.WriteRequest(Target(), 1, 2, b""),
            tags.WriteEpcRequest(b""),
            tags.LockRequest(Target(), 5, 0),
            tags.InventoryRequest(fast_id=True),
            tags.InventoryRequest(16),
            tags.InventoryRequest(4, antenna=1),
            device.PowerRequest(256),
        ],
    )
    def test_what_no_frame_can_say_is_not_sent(self, request_):
        with pytest.raises(LocalFrameError):
            encode_request(0, request_)

    @pytest.mark.parametrize(
        ("status", "detail", "code", "retry"),
        [
            (0xFB, None, "no-tag", False),
            (0xFA, None, "poor-communication", True),
            (0xFC, 0x03, "tag-overrun", False),
            (0xFC, 0x04, "tag-locked", False),
            (0xFC, 0x0B, "tag-power", False),
            (0xFC, None, "tag-error", False),
            (0x05, None, "password", False),
            (0x14, None, "status-14", False),
        ],
    )
    def test_a_refusal_says_why(self, status, detail, code, retry):
        frame = Frame.from_bytes(encode_status(0, 0x02, status, detail))
        with pytest.raises(StatusError) as caught:
            decode_reply(tags.ReadRequest(Target(), 1, 0, 1), frame, "18")
        assert (caught.value.code, caught.value.retry) == (code, retry)

    def test_an_answer_of_another_length_than_asked_is_no_answer(self):
        request = tags.ReadRequest(Target(), 1, 0, 2)
        for data in (b"", b"\x01\x02", bytes(6)):
            with pytest.raises(FrameError):
                decode_reply(request, Frame(0, 2, b"\x00" + data), "18")
        with pytest.raises(FrameError):
            decode_reply(request, Frame(0, 2, b"\x01" + bytes(4)), "18")  # an inventory's status
        with pytest.raises(FrameError):
            decode_reply(device.InformationRequest(), Frame(0, 0x21, bytes(8)), "18")

    def test_an_antenna_that_the_device_does_not_have_is_refused(self):
        for code, ports in ((0, 1), (2, 1), (16, 4), (12, 12)):
            with pytest.raises(Malformed):
                antennas(code, ports)

    @given(byte, st.binary(max_size=251), st.sampled_from(["18", "288"]), requests)
    def test_garbage_raises_nothing_else(self, command, body, family, request):
        frame = Frame(0, command, body)
        with contextlib.suppress(BadRequest):
            decode_request(frame, family)
        with contextlib.suppress(FrameError, StatusError):
            decode_reply(request, frame, family)


@pytest.mark.parametrize("shown", SHOWN)
def test_frames_shown_by_others_are_read(shown):
    modern, antenna, expected = SHOWN[shown]
    frame = Frame.from_bytes(bytes.fromhex(shown))
    reply = decode_reply(tags.InventoryRequest(), frame, "288" if modern else "18")
    assert isinstance(reply, InventoryReply)
    assert (reply.antenna, [(tag.epc, tag.rssi) for tag in reply.tags]) == (antenna, expected)
    assert reply.state == frame.body[0]
    if expected:
        assert decode_tags(frame.body[1:]).tags == reply.tags
    assert encode_reply(0, tags.InventoryRequest(), reply, "288" if modern else "18").hex() == shown


def test_inventory_parameters_are_those_that_others_send():
    sent = Frame(
        0xFF, 1, bytes.fromhex("020102000000018003")
    )  # Q 2, session 1, TID mask of no bits, target B, antenna 1, 300 ms
    assert decode_request(sent, "288") == tags.InventoryRequest(
        2, 1, mask=Mask(TID_BANK, 0, b""), antenna=1, scan_100ms=3, target=1
    )
    assert tags.InventoryRequest(2, 1, mask=Mask(2, 0, b""), antenna=1, scan_100ms=3, target=1).to_body() == sent.body


@given(requests, byte)
def test_every_request_comes_back_as_it_was_sent(request, address):
    family = "18" if request in (tags.InventoryRequest(),) else "288"
    with contextlib.suppress(LocalFrameError):  # a long EPC with long data fits no frame
        frame = Frame.from_bytes(encode_request(address, request))
        assert addressed_to(frame, address)
        assert decode_request(frame, family) == request


@given(st.lists(st.builds(SeenTag, st.just("0102030405060708090A0B0C"), st.integers(0, 255)), max_size=60))
def test_a_long_inventory_is_cut_into_frames_that_fit(seen):
    frames = split_reports(tuple(seen), 200)
    assert [tag for frame in frames for tag in frame] == seen
    for number, part in enumerate(frames):
        reply = InventoryReply(DONE if number == len(frames) - 1 else MORE, part, 1)
        raw = encode_reply(0, tags.InventoryRequest(), reply, "288")
        assert decode_reply(tags.InventoryRequest(), Frame.from_bytes(raw), "288") == reply


def test_information_tells_the_families_apart():
    request = device.InformationRequest()
    old = InformationReply((2, 38), 9, 2, 0x4E, 0, 30, 10)
    new = InformationReply((1, 14), 0x0C, 2, 0x4E, 0, 30, 20, 0x0F, 1, 0, 1)
    for reply, family in ((old, "18"), (new, "288")):
        found = decode_reply(request, Frame.from_bytes(encode_reply(3, request, reply, family)), None)
        assert found == reply
        assert found.family == family


def test_a_longer_answer_of_the_18_family_has_nothing_of_the_other_family():
    request = device.InformationRequest()
    told = bytes.fromhex("000226090200001E0A0F010001")
    old = InformationReply((2, 38), 9, 2, 0, 0, 30, 10)
    assert decode_reply(request, Frame(0, 0x21, told), "18") == old
    assert decode_reply(request, Frame(0, 0x21, told), "288").antennas == 0x0F
    assert decode_reply(request, Frame(0, 0x21, told[:9]), "288") == old  # a clone that says less is not refused


@pytest.mark.parametrize("shown", SHOWN)
def test_before_the_family_is_known_tags_are_read_in_the_form_that_fits(shown):
    _, antenna, expected = SHOWN[shown]
    reply = decode_reply(tags.InventoryRequest(), Frame.from_bytes(bytes.fromhex(shown)), None)
    assert (reply.antenna, [(tag.epc, tag.rssi) for tag in reply.tags]) == (antenna, expected)


def test_words_are_read_and_a_done_is_a_done():
    read = tags.ReadRequest(Target(), 2, 0, 2)
    raw = encode_reply(0, read, ReadReply(b"\xe2\x80\x11\x05"), "18")
    assert decode_reply(read, Frame.from_bytes(raw), "18") == ReadReply(b"\xe2\x80\x11\x05")
    power = device.PowerRequest(20)
    assert decode_reply(power, Frame.from_bytes(encode_reply(0, power, DoneReply(), "18")), "18") == DoneReply()


def test_antennas_are_bits_on_few_ports_and_an_index_on_many():
    assert antennas(0x04, 4) == (3,)
    assert antennas(0x81, 8) == (1, 8)
    assert antennas(11, 12) == (12,)


def test_no_password_and_no_epc_is_shown():
    shown = repr(tags.WriteRequest(Target(b"\xaa\xbb"), 1, 2, b"\xcc\xdd", 0x12345678))
    assert not any(secret in shown for secret in ("305419896", "xaa", "xcc"))
