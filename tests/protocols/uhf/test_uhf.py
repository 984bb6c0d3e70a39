"""The Chinese UHF families: frames, framers and the tags in them."""

import contextlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.frames import FrameError, LocalFrameError, Malformed
from protocols.uhf import cf, m100, swct, uhfreader18

byte = st.integers(0, 255)
word = st.integers(0, 0xFFFF)
FAMILIES = {
    "uhfreader18": (uhfreader18, st.builds(uhfreader18.Frame, byte, byte, st.binary(max_size=251))),
    "m100": (m100, st.builds(m100.Frame, byte, byte, st.binary(max_size=300))),
    "cf": (cf, st.builds(cf.Frame, byte, word, st.binary(max_size=255))),
    "swct": (swct, st.builds(swct.Frame, st.sampled_from(["host", "device"]), byte, byte, st.binary(max_size=300))),
}
SOUND = {
    "uhfreader18": "1500010101010C010453001853044000000B0D40B5C8",
    "m100": "BB02220011C9340030751FEB705C5904E3D50D703A76EF7E",
    "cf": "CFFF0070002415",
    "swct": "4354000D0010011411C3DD938E1701232A",
}
families = pytest.mark.parametrize("family", FAMILIES)


class TestRefusals:
    @families
    def test_one_flipped_bit_is_never_a_frame(self, family):
        module, _ = FAMILIES[family]
        sound = bytes.fromhex(SOUND[family])
        for at in range(len(sound) * 8):
            raw = bytearray(sound)
            raw[at // 8] ^= 1 << at % 8
            with pytest.raises(FrameError):
                module.Frame.from_bytes(bytes(raw))

    @families
    def test_frame_cut_anywhere_or_too_long_is_refused(self, family):
        module, _ = FAMILIES[family]
        sound = bytes.fromhex(SOUND[family])
        for wrong in (*(sound[:end] for end in range(len(sound))), sound + b"\x00"):
            with pytest.raises(FrameError):
                module.Frame.from_bytes(wrong)

    @families
    @given(st.binary(max_size=300))
    def test_noise_raises_nothing_else(self, family, noise):
        module, _ = FAMILIES[family]
        framer = module.Framer()
        framer.receive(noise)
        framer.idle()
        assert framer.pending == 0
        with contextlib.suppress(FrameError):
            module.describe(noise, None)

    def test_tags_that_do_not_fill_the_frame_are_refused(self):
        for wrong in ("", "0102", "01010C0104", "01010C010453001853044000000B0D40FF"):
            with pytest.raises(Malformed):
                uhfreader18.decode_tags(bytes.fromhex(wrong))

    def test_tag_without_an_epc_is_refused(self):
        with pytest.raises(Malformed):
            uhfreader18.decode_tags(bytes.fromhex("01010040"))

    def test_swct_length_below_its_fields_is_no_start(self):
        short = bytes.fromhex("53570001")
        short += bytes([-sum(short) & 0xFF])  # right check, no room for address and command
        assert len(swct.Framer().receive(short + bytes.fromhex("53570003FF0153"))) == 1

    def test_body_over_the_length_byte_cannot_be_sent(self):
        with pytest.raises(LocalFrameError):
            uhfreader18.Frame(0, 1, bytes(252)).to_bytes()
        with pytest.raises(LocalFrameError):
            cf.Frame(0, 1, bytes(256)).to_bytes()

    def test_notice_shorter_than_its_fields_is_refused(self):
        with pytest.raises(Malformed):
            m100.decode_notice(b"\xc9\x34\x00\x3a")


@families
@given(st.data())
def test_any_split_gives_the_same_frames(family, data):
    module, strategy = FAMILIES[family]
    frames = data.draw(st.lists(strategy, max_size=4))
    stream = b"".join(frame.to_bytes() for frame in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    framer = module.Framer()
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += framer.receive(stream[start:end])
    assert found == frames


@families
def test_frame_of_the_vector_is_built_again(family):
    module, _ = FAMILIES[family]
    sound = bytes.fromhex(SOUND[family])
    assert module.Frame.from_bytes(sound).to_bytes() == sound


def test_tid_and_phase_are_told_apart_from_the_epc():
    epc, tid = "010453001853044000000B0D", "E28011052000000000000001"
    with_tid = uhfreader18.decode_tags(bytes.fromhex("0101" + "98" + epc + tid + "40"))
    assert with_tid.tags == (uhfreader18.SeenTag(epc, 64, tid),)
    with_phase = uhfreader18.decode_tags(bytes.fromhex("0101" + "4C" + epc + "40" + "01020304050607"))
    assert with_phase.tags[0].phase == bytes(range(1, 8))


def test_old_uhfreader18_tells_tags_without_antenna_and_rssi():
    report = uhfreader18.decode_tags(bytes.fromhex("02" + "04AABBCCDD" + "0411223344"))
    assert report.antenna is None
    assert [tag.epc for tag in report.tags] == ["AABBCCDD", "11223344"]


def test_notice_tells_whether_the_tags_own_crc_is_right():
    data = bytearray(m100.Frame.from_bytes(bytes.fromhex(SOUND["m100"])).data)
    assert m100.decode_notice(bytes(data)).crc_ok
    data[5] ^= 1
    assert not m100.decode_notice(bytes(data)).crc_ok
    assert m100.decode_notice(bytes(data)).rssi_dbm == -55


@families
@given(st.data())
def test_frames_after_noise_are_found_whatever_the_split(family, data):
    module, strategy = FAMILIES[family]
    frames = data.draw(st.lists(strategy, min_size=1, max_size=3))
    noise = data.draw(st.lists(st.binary(max_size=12), min_size=len(frames), max_size=len(frames)))
    framer = module.Framer()
    found = []
    for piece, frame in zip(noise, frames, strict=True):
        found += framer.receive(piece)
        found += framer.idle()  # the line was quiet before the frame
        raw = frame.to_bytes()
        cut = data.draw(st.integers(0, len(raw)))
        found += framer.receive(raw[:cut]) + framer.receive(raw[cut:])
    found += framer.idle()
    assert all(frame in found for frame in frames)
    assert framer.pending == 0


@families
def test_a_megabyte_of_noise_is_skipped_in_bounded_memory(family):
    module, _ = FAMILIES[family]
    framer = module.Framer()
    source = random.Random(7)
    most = 0
    for _ in range(256):
        framer.receive(source.randbytes(4096))
        most = max(most, framer.pending)
    framer.idle()
    assert most <= 8192
    assert len(framer.receive(bytes.fromhex(SOUND[family]))) == 1
