"""FEIG frames and the framer: what is not sound never comes out, and no split of the bytes changes what does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.feig import CpuResetRequest, Frame, Framer, InventoryRequest, encode_request
from protocols.frames import BadCheck, FrameError, LocalFrameError, Malformed, Truncated

INVENTORY = bytes.fromhex("020009FFB001001843")
NO_TAG_STANDARD = bytes.fromhex("0600B0015C63")
COUNTER = bytes.fromhex("020020009F0002001801770000000000000000000000022B0000020C9F4E81A3")

any_frame = st.builds(
    Frame,
    st.integers(0, 255),
    st.integers(0, 255),
    st.binary(max_size=250),
    st.sampled_from(["standard", "advanced"]),
)


class TestRefusals:
    @pytest.mark.parametrize("at", range(len(INVENTORY) * 8))
    def test_one_flipped_bit_is_never_a_frame(self, at):
        raw = bytearray(INVENTORY)
        raw[at // 8] ^= 1 << at % 8
        with pytest.raises(FrameError):
            Frame.from_bytes(bytes(raw))

    def test_right_crc_is_told_in_the_order_of_the_wire(self):
        with pytest.raises(BadCheck) as caught:
            Frame.from_bytes(INVENTORY[:-2] + b"\x00\x00")
        assert caught.value.fields["right"] == "1843"

    def test_frame_cut_anywhere_is_truncated(self):
        for end in range(len(INVENTORY)):
            with pytest.raises(Truncated):
                Frame.from_bytes(INVENTORY[:end])

    def test_bytes_after_a_frame_are_refused(self):
        with pytest.raises(Malformed):
            Frame.from_bytes(INVENTORY + b"\x00")

    def test_length_shorter_than_a_frame_is_refused(self):
        with pytest.raises(Malformed):
            Frame.from_bytes(bytes.fromhex("020006FFB000"))

    def test_standard_frame_does_not_hold_251_bytes(self):
        with pytest.raises(LocalFrameError):
            Frame(0, 0xB0, bytes(251), "standard").to_bytes()

    def test_status_of_an_empty_device_frame_is_truncated(self):
        with pytest.raises(Truncated):
            _ = Frame(0, 0x63).status


class TestFramer:
    @given(st.lists(any_frame, max_size=6), st.data())
    def test_any_split_gives_the_same_frames(self, frames, data):
        stream = b"".join(frame.to_bytes() for frame in frames)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
        framer = Framer()
        found = []
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            found += framer.receive(stream[start:end])
        assert found == frames
        assert framer.pending == framer.skipped == 0

    def test_noise_between_frames_is_skipped(self):
        framer = Framer("advanced")
        found = framer.receive(b"\xff\x00\x13" + INVENTORY + b"\x55\xaa" + INVENTORY)
        assert [frame.command for frame in found] == [0xB0, 0xB0]
        assert framer.skipped == 5

    def test_frame_with_a_wrong_crc_is_counted_and_the_next_one_found(self):
        framer = Framer("advanced")
        found = framer.receive(INVENTORY[:-1] + b"\x00" + INVENTORY)
        assert len(found) == 1
        assert framer.bad_checks == 1

    def test_false_start_waits_until_the_line_is_quiet(self):
        framer = Framer()
        assert framer.receive(b"\x60" + NO_TAG_STANDARD) == []
        assert [frame.body for frame in framer.idle()] == [b"\x01"]
        assert framer.pending == 0

    def test_cut_frame_is_given_up_when_the_line_is_quiet(self):
        framer = Framer("advanced")
        assert framer.receive(INVENTORY[:5]) == []
        assert framer.idle() == []
        assert framer.receive(INVENTORY) == [Frame.from_bytes(INVENTORY)]

    def test_frame_inside_a_frame_is_never_taken_for_one(self):
        framer = Framer()
        found = [frame for byte in COUNTER for frame in framer.receive(bytes([byte]))]
        assert [frame.command for frame in found] == [0x9F]

    def test_buffer_never_outgrows_the_longest_frame(self):
        framer = Framer("advanced", max_length=64)
        for _ in range(500):
            framer.receive(b"\x02\x00\x40\x00\xb0")
            assert framer.pending <= 64

    def test_length_over_the_bound_is_no_start(self):
        framer = Framer("advanced")
        assert len(framer.receive(b"\x02\xff\xff" + INVENTORY)) == 1

    @given(st.binary(max_size=600))
    def test_noise_raises_nothing_and_leaves_nothing_pending_when_quiet(self, noise):
        framer = Framer()
        framer.receive(noise)
        framer.idle()
        assert framer.pending == 0


@given(any_frame)
def test_frame_survives_the_wire(frame):
    assert Frame.from_bytes(frame.to_bytes()) == frame


def test_host_frames_are_those_of_the_manual():
    assert encode_request(0xFF, InventoryRequest()) == INVENTORY
    assert encode_request(0xFF, InventoryRequest(), "standard").hex() == "07ffb001001c56"
    assert encode_request(0xFF, CpuResetRequest()).hex() == "020007ff635804"
