"""URN Code 40 (ISO/IEC 15962, used by ISO/TS 28560-4): three characters in two bytes, with escapes.

1600a + 40b + c + 1; A-Z 1-26, `-` 27, `.` 28, `:` 29, 0-9 30-39, pad 0. Bytes FB-FF begin no triplet (the highest is FA00):
FB = nine or more digits, (digits - 9) << 4 | (bytes - 4), then the number; FC, FD, FE = one character in 1, 2, 3 bytes of UTF-8.
"""

import re

from protocols.iso28560.errors import LocalTagError, TagError

__all__ = ["decode_code40", "encode_code40"]

_ALPHABET = "\x00ABCDEFGHIJKLMNOPQRSTUVWXYZ-.:0123456789"
_CODE = {char: code for code, char in enumerate(_ALPHABET)}
_PAIRS = (
    tuple(
        first.rstrip("\x00") + second.rstrip("\x00") if first != "\x00" else ""
        for first in _ALPHABET
        for second in _ALPHABET
    )
    + ("",) * 7
)
"""The first two characters of a triplet by its value // 40, one where the second is padding; empty where no triplet begins so:
the first is padding, the value is over FA00, or (from the end) it is 0000."""
_NONE = (-1, 0)
_LONG_NUMBER = 0xFB
_UTF8 = {0xFC: 1, 0xFD: 2, 0xFE: 3}
_RUNS = re.compile(r"[0-9]{9,24}|[-A-Z.:0-9]|[^-A-Z.:0-9]")


def decode_code40(data: bytes) -> str:
    """Return the text in `data`; zero bytes at the end are padding to a word. Raises `TagError`."""
    text = ""
    at = 0
    end_of_text = len(data.rstrip(b"\x00"))
    while at < end_of_text:
        first = data[at]
        if first < _LONG_NUMBER:
            # a triplet's low byte may be one of the zeros that were taken for padding
            pair, third = divmod((first << 8 | data[at + 1]) - 1, 40) if at + 1 < len(data) else _NONE
            piece = _PAIRS[pair]
            if not piece or (third and len(piece) < 2):
                raise TagError("a triplet is cut off or out of range, or padding stands before one of its characters")
            text += piece + _ALPHABET[third] if third else piece
            at += 2
        elif first == _LONG_NUMBER:
            piece, at = _long_number(data, at + 1)
            text += piece
        elif first in _UTF8:
            end = at + 1 + _UTF8[first]
            text += _character(data[at + 1 : end], _UTF8[first])
            at = end
        else:
            raise TagError("FF begins neither a triplet nor an escape")
    if not text:
        raise TagError("there is no identifier")
    return text


def _long_number(data: bytes, at: int) -> tuple[str, int]:
    if at >= len(data):
        raise TagError("a long number is cut off")
    digits, size = (data[at] >> 4) + 9, (data[at] & 0x0F) + 4
    piece = data[at + 1 : at + 1 + size]
    number = str(int.from_bytes(piece, "big")).zfill(digits)
    if len(piece) < size or len(number) > digits:
        raise TagError("a long number is cut off or longer than it says")
    return number, at + 1 + size


def _character(piece: bytes, size: int) -> str:
    try:
        char = piece.decode()
    except UnicodeDecodeError:
        raise TagError("an escaped character is not UTF-8") from None
    if len(piece) < size or len(char) != 1:
        raise TagError("an escaped character is cut off or not one character")
    return char


def encode_code40(text: str) -> bytes:
    """Return the bytes of `text`; a run of nine or more digits becomes a long number. Raises `LocalTagError`."""
    if not text:
        raise LocalTagError("there is no identifier")
    out = bytearray()
    plain = ""
    for run in _RUNS.findall(text):
        if run in _CODE and run != "\x00":
            plain += run
            continue
        out += _triplets(plain)
        plain = ""
        out += _escaped(run)
    return bytes(out + _triplets(plain))


def _escaped(run: str) -> bytes:
    if len(run) >= 9:
        number = int(run)
        size = max(4, (number.bit_length() + 7) // 8)
        return bytes((_LONG_NUMBER, (len(run) - 9) << 4 | (size - 4))) + number.to_bytes(size, "big")
    char = run.encode()
    if len(char) > 3 or char == b"\x00":
        raise LocalTagError("this character has no place in URN Code 40")
    return bytes((0xFB + len(char),)) + char


def _triplets(text: str) -> bytes:
    out = bytearray()
    for at in range(0, len(text), 3):
        a, b, c = (_CODE[char] for char in text[at : at + 3].ljust(3, "\x00"))
        out += (1600 * a + 40 * b + c + 1).to_bytes(2, "big")
    return bytes(out)
