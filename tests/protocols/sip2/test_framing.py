"""Streams of any shape into frames."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.sip2 import NEED_DATA, Framer, RemoteProtocolError


def frames_of(framer: Framer) -> list[bytes]:
    found = []
    while (frame := framer.next_frame()) is not NEED_DATA:
        found.append(frame)
    return found


def test_an_endless_frame_is_told_once_and_dropped_to_its_end() -> None:
    framer = Framer(max_length=20)
    framer.receive(b"x" * 30)
    with pytest.raises(RemoteProtocolError) as caught:
        framer.next_frame()
    assert caught.value.code == "frame_too_long"
    for _ in range(100):
        framer.receive(b"x" * 1000)
        assert framer.next_frame() is NEED_DATA
        assert framer.buffered == 0
    framer.receive(b"end of it\r9900802.00\r")
    assert frames_of(framer) == [b"9900802.00"]


def test_a_long_frame_with_its_end_in_the_same_chunk_is_refused_too() -> None:
    framer = Framer(max_length=20)
    framer.receive(b"x" * 30 + b"\r9900802.00\r")
    with pytest.raises(RemoteProtocolError):
        framer.next_frame()
    assert frames_of(framer) == [b"9900802.00"]


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_the_terminator_is_learned(end: bytes) -> None:
    framer = Framer()
    framer.receive(b"9900802.00" + end)
    assert frames_of(framer) == [b"9900802.00"]
    assert framer.terminator == end


def test_crlf_split_between_its_bytes_gives_one_frame_and_is_learned() -> None:
    framer = Framer()
    framer.receive(b"9900802.00\r")
    assert frames_of(framer) == [b"9900802.00"]
    framer.receive(b"\n9900802.00\r")
    assert frames_of(framer) == [b"9900802.00"]
    assert framer.terminator == b"\r\n"


def test_blank_lines_and_nuls_are_passed_over() -> None:
    framer = Framer()
    framer.receive(b"\r\r\n\n \r\0\r\0 9900802.00\r\r")
    assert frames_of(framer) == [b"9900802.00"]


LINES = st.lists(st.binary(min_size=1, max_size=12).map(lambda b: b"9" + b.translate(None, b"\r\n")), max_size=8)


@given(LINES, st.sampled_from([b"\r", b"\n", b"\r\n", b"\r\r\n"]), st.lists(st.integers(0, 100), max_size=10))
def test_any_split_gives_the_same_frames(lines: list[bytes], end: bytes, cuts: list[int]) -> None:
    stream = b"".join(line + end for line in lines)
    framer, found, at = Framer(), [], 0
    for cut in [*sorted(cuts), len(stream)]:
        framer.receive(stream[at : max(at, cut)])
        at = max(at, cut)
        found += frames_of(framer)
    assert found == lines
