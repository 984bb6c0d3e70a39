"""How the university consortium format (高校联盟) packs an item identifier into an EPC of 96 or 128 bits, or as UTF-8.

All words are four bytes, low byte first. Both packings keep the last character whole, since it may be anything printable:
a school appends a mark of its own.
"""

from struct import Struct

from protocols.iso28560.errors import LocalTagError, TagError

__all__ = ["IPC96", "IPC128", "UTF8", "decode_id", "encode_id", "id_encoding"]

IPC96, IPC128, UTF8 = 0, 1, 2
"""The id encodings of byte 1, bits 7-6."""

_SHORT = {IPC96: 7, IPC128: 11}
_LONGEST = 14
_TWO, _THREE = Struct("<2I"), Struct("<3I")
_SIX = tuple(chr(code) if chr(code).isdigit() or "A" <= chr(code) <= "Z" else "" for code in range(0x30, 0x70))
"""The character of each six-bit code, empty where there is none."""


def decode_id(encoding: int, data: bytes) -> str:
    """Return the identifier in `data`, which may be zero padded; raises `TagError` for what the encoding cannot have made."""
    if not data:
        raise TagError("there is no identifier")
    if encoding == UTF8:
        text = _utf8(data)
    elif encoding not in _SHORT:
        raise TagError(f"id encoding {encoding} is not known")
    elif data[0] <= _SHORT[encoding]:
        text = _short(data)
    elif encoding == IPC96:
        text = _decode_96(data)
    else:
        text = _decode_128(data)
    if not text or not text.isprintable():
        raise TagError("the identifier is empty or not printable")
    return text


def encode_id(encoding: int, text: str) -> bytes:
    """Return `text` in one of the three encodings, not padded; raises `LocalTagError` if it does not fit."""
    if not text or not text.isprintable():
        raise LocalTagError("an identifier has at least one printable character")
    if encoding == UTF8:
        return text.encode()
    if encoding not in _SHORT or not text.isascii() or len(text) > _LONGEST:
        raise LocalTagError("the packed encodings hold up to 14 ASCII characters")
    if len(text) <= _SHORT[encoding]:
        return bytes((len(text),)) + text.encode("ascii")
    return _encode_96(text) if encoding == IPC96 else _encode_128(text)


def id_encoding(text: str) -> int:
    """Return the encoding that makes `text` shortest: 96 bits, 128 bits, or UTF-8."""
    for encoding in (IPC96, IPC128):
        try:
            encode_id(encoding, text)
        except LocalTagError:
            continue
        return encoding
    return UTF8


def _utf8(data: bytes) -> str:
    try:
        return data.rstrip(b"\x00").decode()
    except UnicodeDecodeError:
        raise TagError("the identifier is not UTF-8") from None


def _short(data: bytes) -> str:
    length = data[0]
    text, after = data[1 : 1 + length], data[1 + length :]
    if not length or len(text) < length or after.strip(b"\x00") or not text.isascii():
        raise TagError("a short identifier is its length, as many ASCII characters, and zeros")
    return text.decode("ascii")


def _words(data: bytes, words: Struct) -> tuple[int, ...]:
    if len(data) < words.size or data[words.size :].strip(b"\x00"):
        raise TagError(f"a packed identifier has {words.size} bytes, then zeros")
    return words.unpack_from(data)


def _code(char: str) -> int:
    if not ("0" <= char <= "9" or "A" <= char <= "Z"):
        raise LocalTagError("the packed encodings hold A-Z and 0-9 before the last character")
    return ord(char) - 0x30


def _last(word: int) -> str:
    char = chr(word >> 4 & 0xFF)
    if not char.isascii():
        raise TagError("the last character is not ASCII")
    return char


def _decode_96(data: bytes) -> str:
    first, second = _words(data, _TWO)
    length = first & 0x0F
    fourth = first >> 30 | (second & 3) << 2
    digits = str(second >> 2).zfill(length - 5)
    if not 8 <= length <= _LONGEST or fourth > 9 or len(digits) > length - 5:
        raise TagError("the packed identifier contradicts its length")
    return f"{_unpack(first >> 12, 3)}{fourth}{digits}{_last(first)}"


def _encode_96(text: str) -> bytes:
    digits = text[3:-1]
    if not digits.isdigit():
        raise LocalTagError("the 96-bit encoding holds digits from the fourth character on, but for the last")
    c1, c2, c3 = (_code(char) for char in text[:3])
    fourth = int(digits[0])
    first = len(text) | ord(text[-1]) << 4 | c3 << 12 | c2 << 18 | c1 << 24 | (fourth & 3) << 30
    second = fourth >> 2 | int(digits[1:]) << 2
    return first.to_bytes(4, "little") + second.to_bytes(4, "little")


def _unpack(value: int, count: int) -> str:
    """The characters in the low bits of a word, six bits each, the first one highest."""
    text = "".join([_SIX[value >> at & 0x3F] for at in range(6 * count - 6, -1, -6)])
    if len(text) != count:
        raise TagError("a packed character is neither capital letter nor digit")
    return text


def _pack(text: str) -> int:
    value = 0
    for char in text:
        value = value << 6 | _code(char)
    return value


def _decode_128(data: bytes) -> str:
    w0, w1, w2 = _words(data, _THREE)
    length = w0 & 0x0F
    beyond = length - 11
    if not 1 <= beyond <= 3 or w0 >> 12 >> 6 * beyond or w1 >> 30 or w2 >> 30:
        raise TagError("the packed identifier contradicts its length")
    return _unpack(w2, 5) + _unpack(w1, 5) + _unpack(w0 >> 12, beyond) + _last(w0)


def _encode_128(text: str) -> bytes:
    w0 = len(text) | ord(text[-1]) << 4 | _pack(text[10:-1]) << 12
    return b"".join(word.to_bytes(4, "little") for word in (w0, _pack(text[5:10]), _pack(text[:5])))
