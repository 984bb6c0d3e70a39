"""The compactions of ISO/IEC 15962 that ISO 28560-2 uses: how a text becomes the fewest bytes, and back.

0 application-defined, 1 integer, 2 numeric (BCD), 3 5-bit, 4 6-bit, 5 7-bit, 6 ISO 8859-1, 7 UTF-8.
Decoding is strict, padding included: part 2 has no check value, so exactness is what tells an item from noise.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from protocols.iso28560.bits import pack
from protocols.iso28560.errors import LocalTagError, TagError

__all__ = ["APPLICATION", "SCHEMES", "best_scheme", "compact", "expand"]

APPLICATION = 0
"""Compaction 0: the bytes mean what the object identifier says (bitmap, ISIL, octets)."""


@dataclass(frozen=True, slots=True)
class _Scheme:
    name: str
    fits: Callable[[str], bool]
    compact: Callable[[str], bytes]
    expand: Callable[[bytes], str]


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _integer_out(data: bytes) -> str:
    if len(data) > 8 or data[0] == 0:
        raise TagError("an integer has 1..8 bytes and no leading zero")
    return str(int.from_bytes(data, "big"))


def _integer_in(text: str) -> bytes:
    value = int(text)
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _bcd_in(text: str) -> bytes:
    return bytes.fromhex(text + "F" * (len(text) % 2))


def _bcd_out(data: bytes) -> str:
    digits = data.hex().upper()
    text = digits.removesuffix("F")
    if not _is_digits(text):
        raise TagError("a numeric string holds digits, and one F at its end")
    return text


def _within(low: str, high: str, least: int) -> Callable[[str], bool]:
    return lambda text: len(text) >= least and low <= min(text) and max(text) <= high


def _packed_in(width: int, pad: str) -> Callable[[str], bytes]:
    mask = (1 << width) - 1
    return lambda text: pack(((ord(char) & mask, width) for char in text), pad)


def _packed_out(width: int, pad: str, alphabet: Sequence[str]) -> Callable[[bytes], str]:
    """Undo `_packed_in`: a whole character of padding is one that the alphabet never ends with.

    `alphabet` holds the character of each code, "" where there is none.
    """

    mask = (1 << width) - 1
    pads = [int("0" + (pad * 8)[:spare], 2) for spare in range(width + 1)]
    empty = pads[width]

    def expand(data: bytes) -> str:
        value, bits = int.from_bytes(data, "big"), len(data) * 8
        end = spare = bits % width
        if value >> spare & mask == empty:
            end += width
        if end > 7 or value & (1 << spare) - 1 != pads[spare]:
            raise TagError("the packed text is not padded as its alphabet says")
        if value >> end & mask == empty:
            raise TagError("the packed text is empty or ends in padding")
        text = "".join([alphabet[value >> at & mask] for at in range(bits - width, end - 1, -width)])
        if len(text) != (bits - end) // width:
            raise TagError("the packed text has a code that is no character of its alphabet")
        return text

    return expand


def _decoder(encoding: str) -> Callable[[bytes], str]:
    def expand(data: bytes) -> str:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            raise TagError(f"the text is not {encoding}") from None

    return expand


def _fits_encoding(encoding: str) -> Callable[[str], bool]:
    def fits(text: str) -> bool:
        try:
            return bool(text.encode(encoding))
        except UnicodeEncodeError:
            return False

    return fits


_BLANK = "100000"
_FIVE = ("", *map(chr, range(0x41, 0x60)))
_SIX = tuple(chr(code if code & 0x20 else code | 0x40) for code in range(64))
_SEVEN = (*map(chr, range(0x7F)), "")

SCHEMES: dict[int, _Scheme] = {
    1: _Scheme(
        "integer",
        lambda text: _is_digits(text) and 2 <= len(text) <= 19 and text[0] != "0",
        _integer_in,
        _integer_out,
    ),
    2: _Scheme("numeric", lambda text: _is_digits(text) and len(text) >= 2, _bcd_in, _bcd_out),
    3: _Scheme("5-bit", _within("\x41", "\x5f", 3), _packed_in(5, "0"), _packed_out(5, "0", _FIVE)),
    4: _Scheme(
        "6-bit",
        lambda text: _within("\x20", "\x5f", 4)(text) and text[-1] != " ",
        _packed_in(6, _BLANK),
        _packed_out(6, _BLANK, _SIX),
    ),
    5: _Scheme("7-bit", _within("\x00", "\x7e", 1), _packed_in(7, "1"), _packed_out(7, "1", _SEVEN)),
    6: _Scheme("8859-1", _fits_encoding("latin-1"), lambda text: text.encode("latin-1"), _decoder("latin-1")),
    7: _Scheme("utf-8", _fits_encoding("utf-8"), lambda text: text.encode(), _decoder("utf-8")),
}
"""The text schemes by number; the encoder takes the first that fits."""


def best_scheme(text: str) -> int:
    """Return the compaction an encoder chooses for `text` (1..7); raises `LocalTagError` for the empty string."""
    for number, scheme in SCHEMES.items():
        if text and scheme.fits(text):
            return number
    raise LocalTagError("no compaction holds an empty text")


def compact(number: int, text: str) -> bytes:
    """Return `text` in compaction `number` (1..7); raises `LocalTagError` if its rule forbids it."""
    scheme = SCHEMES.get(number)
    if scheme is None or not text or not scheme.fits(text):
        raise LocalTagError(f"compaction {number} does not hold this text")
    return scheme.compact(text)


def expand(number: int, data: bytes) -> str:
    """Return the text in `data` by compaction `number` (1..7); raises `TagError` for bytes it cannot have made."""
    scheme = SCHEMES.get(number)
    if scheme is None:
        raise TagError(f"compaction {number} is not a text")
    if not data:
        raise TagError("a compacted text has at least one byte")
    return scheme.expand(data)
