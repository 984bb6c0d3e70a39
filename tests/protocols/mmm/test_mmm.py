"""3M pads: frames and the command table, both directions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.frames import BadCheck, FrameError, LocalFrameError, Malformed, Truncated
from protocols.mmm import COMMANDS, Frame, Framer, Message, decode_message, encode_message

INVENTORY = bytes.fromhex("D60005FE0005FA40")
UID = "E004010012345678"
any_frame = st.builds(Frame, st.binary(min_size=1, max_size=300), st.sampled_from([0xD5, 0xD6]))
uids = st.binary(min_size=8, max_size=8).map(lambda raw: raw.hex().upper())
byte = st.integers(0, 255)
VALUES = {
    "uid": uids,
    "data": st.binary(max_size=40),
    "blocks": st.lists(st.tuples(byte, byte, st.binary(min_size=4, max_size=4)), max_size=20).map(tuple),
}


@st.composite
def messages(draw):
    name = draw(st.sampled_from(sorted(COMMANDS)))
    error = draw(st.none() | byte)
    fields = {}
    for part in COMMANDS[name].request if error is None else COMMANDS[name].reply:
        if part == "tags":
            dsfids = byte if fields["options"] & 2 else st.none()
            fields[part] = draw(st.lists(st.tuples(uids, dsfids), max_size=10).map(tuple))
        else:
            fields[part] = draw(VALUES.get(part, byte))
    return Message(name, fields, error)


class TestRefusals:
    @pytest.mark.parametrize("at", range(len(INVENTORY) * 8))
    def test_one_flipped_bit_is_never_the_same_frame(self, at):
        raw = bytearray(INVENTORY)
        raw[at // 8] ^= 1 << at % 8
        try:
            frame = Frame.from_bytes(bytes(raw))
        except FrameError:
            return
        assert frame.start == 0xD5  # the start byte alone is outside the BCC

    def test_right_bcc_is_told(self):
        with pytest.raises(BadCheck) as caught:
            Frame.from_bytes(bytes.fromhex("D60005FE0005FA41"))
        assert caught.value.fields["right"] == "FA40"

    def test_frame_cut_anywhere_is_truncated(self):
        for end in range(len(INVENTORY)):
            with pytest.raises(Truncated):
                Frame.from_bytes(INVENTORY[:end])

    def test_other_start_and_empty_frame_are_refused(self):
        for wrong in ("D70005FE0005FA40", "D60002FFFF"):
            with pytest.raises(Malformed):
                Frame.from_bytes(bytes.fromhex(wrong))

    @pytest.mark.parametrize(
        "message",
        [
            Message("dance"),
            Message("inventory", {"afi": 0}),
            Message("inventory", {"afi": 0, "options": 256}),
            Message("get_afi", {"uid": "E004"}),
            Message("read_blocks", {"uid": UID, "blocks": ((0, 0, b"abc"),)}, 0),
        ],
    )
    def test_message_that_does_not_fit_is_not_sent(self, message):
        with pytest.raises(LocalFrameError):
            encode_message(message)

    @pytest.mark.parametrize("payload", ["99", "FE00", "FE000500", "0A" + UID[:-2]])
    def test_payload_that_is_no_request_is_refused(self, payload):
        with pytest.raises(FrameError):
            decode_message(Frame(bytes.fromhex(payload)), "host")


@given(messages())
def test_message_survives_the_wire(message):
    frame = Frame.from_bytes(encode_message(message).to_bytes())
    assert decode_message(frame, "host" if message.error is None else "device") == message


@given(st.lists(any_frame, max_size=5), st.data())
def test_any_split_gives_the_same_frames(frames, data):
    stream = b"".join(frame.to_bytes() for frame in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    framer = Framer()
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += framer.receive(stream[start:end])
    assert found == frames


def test_noise_between_frames_is_skipped():
    framer = Framer()
    assert len(framer.receive(b"\x00\x11" + INVENTORY + b"\xd6\x00\x00" + INVENTORY)) == 2


def test_inventory_with_dsfid_lists_tags_with_theirs():
    payload = bytes.fromhex("FE00" + "0007" + "01" + "3E" + UID)
    assert decode_message(Frame(payload), "device").fields["tags"] == ((UID, 0x3E),)
