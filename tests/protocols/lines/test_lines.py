"""Lines and STX frames of devices that only talk: any split, any junk."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.lines import LineFramer, StxFramer

texts = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=30).map(str.encode)
ends = st.sampled_from([b"\r", b"\n", b"\r\n"])


class TestRefusals:
    def test_a_line_without_an_end_is_dropped_at_the_silence(self):
        framer = LineFramer()
        assert framer.receive(b"0123") == []
        assert (framer.idle(), framer.partial, framer.pending) == (1, 1, False)
        assert framer.receive(b"4567\r") == [b"4567"]

    def test_junk_spoils_everything_up_to_the_silence(self):
        framer = LineFramer()
        assert framer.receive(b"01\x0023\r4567\r\n8901\r") == []
        framer.idle()
        assert framer.receive(b"2345\r") == [b"2345"]
        assert framer.junk > 0

    def test_a_line_too_long_is_dropped_whole(self):
        framer = LineFramer(10)
        assert framer.receive(b"0123456789\r") == [b"0123456789"]
        assert framer.receive(b"01234567890\r") == []
        assert framer.overlong == 1

    def test_bytes_above_ascii_pass_only_where_wanted(self):
        raw = "借书".encode()
        assert LineFramer().receive(raw + b"\r") == []
        assert LineFramer(high_bytes=True).receive(raw + b"\r") == [raw]

    @pytest.mark.parametrize(
        "raw",
        [
            b"0102030405\x03",  # no start
            b"\x02010203\x00405\x03",  # a byte that is no digit
            b"\x02" + b"0" * 100 + b"\x03",
            b"\x02\x03",
            b"\x020102030405\x03",  # the check is wrong
            b"\x02010\x03",
        ],
    )
    def test_what_is_no_frame_is_none(self, raw):
        framer = StxFramer(check="xor")
        assert framer.receive(raw) == []
        assert framer.bad > 0

    def test_a_megabyte_of_noise_is_never_a_checked_number(self):
        framer = StxFramer(check="xor")
        noise = random.Random(7).randbytes(1_000_000)
        assert [piece for at in range(0, len(noise), 4096) for piece in framer.receive(noise[at : at + 4096])] == []
        assert framer.bad > 900_000

    def test_a_frame_without_an_end_is_dropped_at_the_silence_and_at_the_next_start(self):
        framer = StxFramer()
        assert framer.receive(b"\x020102") == []
        assert framer.idle() == 1
        assert framer.receive(b"\x0201\x02ABCD\x03") == [b"ABCD"]
        assert framer.partial == 2


@given(st.lists(st.tuples(texts, ends), max_size=6), st.data())
def test_any_split_gives_the_same_lines(lines, data):
    stream = b"".join(text + end for text, end in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    framer = LineFramer()
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += framer.receive(stream[start:end])
    assert found == [text for text, _ in lines]
    assert framer.bad == 0


def test_frames_of_cardreaders_with_and_without_line_ends_and_check():
    # ID-12: STX, ten digits, check, CR LF, ETX; RDM6300 the same without CR LF
    for raw in (b"\x0204A1B2C300D4\r\n\x03", b"\x0204A1B2C300D4\x03"):
        assert StxFramer(check="xor").receive(raw) == [b"04A1B2C300"]
    assert StxFramer().receive(b"\x021234567890\x03") == [b"1234567890"]


@given(st.binary(max_size=300), st.integers(1, 20))
def test_any_bytes_leave_a_framer_bounded(raw, step):
    for framer in (LineFramer(16), StxFramer(16), StxFramer(16, check="xor")):
        for at in range(0, len(raw), step):
            for piece in framer.receive(raw[at : at + step]):
                assert 1 <= len(piece) <= 16
        framer.idle()
        assert not framer.pending
