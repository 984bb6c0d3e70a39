"""What cardreaders say: Wiegand lines, ATRs, answers and vpcd's frames of PC/SC, text lines and frames between STX and ETX."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import reduce
from operator import xor
from typing import get_args

from protocols.lines.line import LineFramer
from protocols.lines.stx import StxFramer
from protocols.pcsc import Answer, ApduError, AtrError, CardEnd, HostEnd, Request, VpcdError, parse_answer, parse_atr
from protocols.wiegand import (
    PARITY_WIDTHS,
    Dialect,
    LineReceiver,
    LineSettings,
    LocalWiegandError,
    Reading,
    WiegandBits,
    WiegandError,
    encode,
    encode_reading,
    facility_and_number,
)
from tests.fuzz.target import Target, chunks, in_chunks

__all__ = ["TARGETS", "lines", "pcsc", "wiegand"]

_DIALECTS: tuple[Dialect, ...] = get_args(Dialect)
_WIDTHS = (34, 26, 37, 32, 4, 128, 58, 5)
_STX, _ETX = b"\x02", b"\x03"
_CLASSIC = bytes.fromhex("3B8F8001804F0CA000000306030001000000006A")


def _halves(data: bytes) -> tuple[int, bytes]:
    """What to do, and what with."""
    return (data[0], data[1:]) if data else (0, b"")


def wiegand(data: bytes) -> None:
    """One byte is the dialect (bits 0-1), the check (2), the width (3-5) and whether parity counts (6); then come pieces."""
    choice, rest = _halves(data)
    settings = LineSettings(
        _DIALECTS[choice & 3], _WIDTHS[choice >> 3 & 7], "sum" if choice & 4 else "xor", not choice & 0x40
    )
    pieces = list(chunks(rest))
    readings, counts = _heard(settings, pieces)
    assert (readings, counts) == _heard(settings, [b"".join(pieces)]), "other pieces gave other cards"
    for reading in readings:
        assert not settings.parity or reading.bits.bits not in PARITY_WIDTHS or reading.bits.parity_ok()
        with suppress(LocalWiegandError):
            said = encode_reading(reading, settings)
            assert _heard(settings, [said])[0] == [reading], "what was said is heard as another card"
        _of_bits(reading.bits)
    if rest:
        with suppress(WiegandError):
            _of_bits(WiegandBits(rest[0], rest[1:]))


def _heard(settings: LineSettings, pieces: list[bytes]) -> tuple[list[Reading], tuple[int, int]]:
    receiver = LineReceiver(settings)
    found = [reading for piece in pieces for reading in receiver.receive(piece)]
    found += receiver.idle()
    assert not receiver.pending
    assert receiver.readings == len(found)
    # a run of noise between binary frames counts once for every piece it came in
    return found, (receiver.bad_parity, 0 if settings.dialect == "binary" else receiver.bad_frames)


def _of_bits(bits: WiegandBits) -> None:
    assert WiegandBits.from_int(bits.value(), bits.bits) == bits
    with suppress(WiegandError, LocalWiegandError):
        assert encode(bits.checked(), bits.bits) == bits
        facility_and_number(bits.number(), bits.bits)


def pcsc(data: bytes) -> None:
    """The first byte chooses: an ATR as it is, one whose check byte is made right, an answer, either end of vpcd."""
    choice, rest = _halves(data)
    (_atr, _sealed, _answer, _card_end, _host_end)[choice % 5](rest)


def _atr(raw: bytes) -> None:
    try:
        atr = parse_atr(raw)
    except AtrError:
        return
    assert len(atr.historical) <= 15 and atr.historical in raw
    assert all(0 <= protocol <= 15 for protocol in atr.protocols)
    assert atr.contactless or not (atr.chip or atr.medium), "a contact card was taken for a contactless one"
    assert not any(atr.protocols) or reduce(xor, raw[1:]) == 0


def _sealed(raw: bytes) -> None:
    if raw:
        _atr(raw[:1] + raw[1:] + bytes((reduce(xor, raw[1:], 0),)))


def _answer(raw: bytes) -> None:
    try:
        answer = parse_answer(raw)
    except ApduError:
        assert len(raw) < 2
        return
    assert answer.data + answer.sw.to_bytes(2) == raw
    assert answer.ok == raw.endswith(b"\x90\x00")
    assert repr(answer) == repr(Answer(b"", answer.sw)), "the card's number is shown"


def _asked(pieces: list[bytes]) -> list[Request | str]:
    end, found = CardEnd(), list[Request | str]()
    for piece in pieces:
        end.receive(piece)
        more = True
        while more:
            try:
                request = end.next_request()
            except VpcdError as error:
                found.append(error.code)
            else:
                more = request is not None
                found += [request] if request is not None else []
    return found


def _card_end(data: bytes) -> None:
    pieces = list(chunks(data))
    found = _asked(pieces)
    assert found == _asked([b"".join(pieces)]), "other pieces gave other requests"
    sound = [request for request in found if not isinstance(request, str)]
    assert _asked([HostEnd().request(request) for request in sound]) == sound


def _answered(pieces: list[bytes]) -> list[bytes]:
    end, found = HostEnd(), list[bytes]()
    for piece in pieces:
        end.receive(piece)
        while (answer := end.next_answer()) is not None:
            found.append(answer)
    return found


def _host_end(data: bytes) -> None:
    pieces = list(chunks(data))
    found = _answered(pieces)
    assert found == _answered([b"".join(pieces)]), "other pieces gave other answers"
    assert _answered([CardEnd().answer(answer) for answer in found]) == found


def lines(data: bytes) -> None:
    """The first byte chooses lines or frames (bit 0) and how they are held (1-3); an empty piece is a silence."""
    choice, rest = _halves(data)
    pieces = list(chunks(rest))
    if choice & 1:
        _frames(choice, pieces)
    else:
        _lines(choice, pieces)


def _lines(choice: int, pieces: list[bytes]) -> None:
    most, least, high = (12 if choice & 2 else 64), (3 if choice & 4 else 1), bool(choice & 8)

    def make() -> LineFramer:
        return LineFramer(most, least, high_bytes=high)

    for line in _same(make, pieces):
        assert least <= len(line) <= most
        assert all(byte >= 0x20 and byte != 0x7F and (high or byte < 0x7F) for byte in line)
        assert make().receive(line + b"\r\n") == [line]


def _frames(choice: int, pieces: list[bytes]) -> None:
    most, check = (10 if choice & 2 else 64), bool(choice & 4)

    def make() -> StxFramer:
        return StxFramer(most, check="xor" if check else "none")

    for digits in _same(make, pieces):
        assert 1 <= len(digits) <= most
        value = bytes.fromhex(digits.decode("ascii")) if check else b""
        end = f"{reduce(xor, value):02X}".encode() if check else b""
        assert make().receive(_STX + digits + end + b"\r\n" + _ETX) == [digits]


def _same(make: Callable[[], LineFramer | StxFramer], pieces: list[bytes]) -> list[bytes]:
    """What the framer makes of the pieces, byte by byte the same; after a silence nothing is pending."""
    found: list[tuple[list[bytes], int]] = []
    for whole in (True, False):
        framer, taken, before = make(), list[bytes](), 0
        for piece in pieces:
            for part in [piece] if whole else [piece[at : at + 1] for at in range(len(piece))]:
                taken += framer.receive(part)
            if not piece:
                framer.idle()
                assert not framer.pending
            assert framer.bad >= before, "what was dropped was forgotten"
            before = framer.bad
        framer.idle()
        assert not framer.pending
        found.append((taken, framer.bad))
    assert found[0] == found[1], "other pieces gave other lines"
    return found[0][0]


def _wiegand_seeds() -> list[bytes]:
    found = []
    for choice in range(0x80):
        dialect, width = _DIALECTS[choice & 3], _WIDTHS[choice >> 3 & 7]
        settings = LineSettings(dialect, width, "sum" if choice & 4 else "xor", not choice & 0x40)
        said = encode_reading(Reading(3, encode((1 << width - 2) // 3, width)), settings)
        found.append(bytes((choice,)) + in_chunks(said))
    said = b"03,W26:1F62469\r\nW34:12345678A\nW200:1\r" + b"7" * 80 + b"\r02AA\n"
    return [
        *found,
        b"\x00" + in_chunks(said),
        b"\x01" + in_chunks(b"7b1234zz\r\n12345678\r"),
        b"\x03\x05\x02\x01\x02\x1a\x03",
    ]


def _pcsc_seeds() -> list[bytes]:
    atrs = [
        _CLASSIC,
        *map(bytes.fromhex, ("3B8180018080", "3B878001C1052F2F01BCD6A9", "3B02144D", "3BF01800FF8131FE45")),
    ]
    cards = [
        b"\x03" + in_chunks(b"\x00\x01\x01\x00\x01\x04\x00\x05\xff\xca\x00\x00\x00\x00\x01\x02\x00\x01\x00"),
        b"\x03" + in_chunks(b"\x00\x00\x00\x01\x07\x00\x02\x01\x02"),
    ]
    hosts = [b"\x04" + in_chunks(len(_CLASSIC).to_bytes(2) + _CLASSIC + b"\x00\x02\x90\x00\x00\x00")]
    answers = [b"\x02\x04\xa1\xb2\xc3\x90\x00", b"\x02\x6a\x81"]
    return [b"\x00" + atr for atr in atrs] + [b"\x01" + atr[:-1] for atr in atrs] + answers + cards + hosts


def _lines_seeds() -> list[bytes]:
    text = b"9787562412345\r\n12\r0123456789ABCDEF\n\x00noise\r" + "借书".encode() + b"\r"
    frames = [
        b"\x0284003515AE0A\r\n\x03",
        b"\x024F0088AB7A\x03\x02\x03x\x0212",
        b"\x02" + b"1" * 70 + b"\x03\x02zz\x03",
    ]
    quiet = [bytes((choice,)) + in_chunks(text[:24]) + b"\x00" + in_chunks(text[24:]) for choice in range(0, 16, 2)]
    return quiet + [bytes((choice,)) + in_chunks(b"".join(frames)) for choice in range(1, 8, 2)]


TARGETS = {
    "wiegand": Target(
        wiegand, _wiegand_seeds, (b"W26:", b"W34:", b"03,W", b"\r\n", b"\x02\x03", b"\x05\x1a", b"\x06\x22")
    ),
    "pcsc": Target(
        pcsc, _pcsc_seeds, (b"\x3b\x8f\x80\x01", b"\x80\x4f\x0c\xa0\x00\x00\x03\x06\x03", b"\x90\x00", b"\x00\x01")
    ),
    "lines": Target(lines, _lines_seeds, (b"\x02", b"\x03", b"\r\n", b"4F0088AB7A")),
}
"""By name."""
