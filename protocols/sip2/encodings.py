"""Which encoding a peer's bytes are in: UTF-8, GB18030 (GBK), CP850 (the standard's own), ISO 8859-1, or only ASCII.

UTF-8 proves itself by sequences of three bytes; two bytes may be a character of GBK as well (一 is a Cyrillic letter in
UTF-8). Otherwise the neighbours decide: a European letter stands in a word of ASCII letters, a Chinese character takes
two bytes above 7F, seldom alone. CP850 has its letters where Latin-1 has control codes.
"""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from itertools import pairwise

__all__ = ["ENCODINGS", "guess", "guess_encoding", "known_encoding"]

ENCODINGS: tuple[str, ...] = ("ascii", "cp850", "latin-1", "utf-8", "gb18030", "gbk")
"""What a peer may be said to speak; `auto` besides."""

_NAMES = {
    "iso-8859-1": "latin-1", "iso8859-1": "latin-1", "latin1": "latin-1", "utf8": "utf-8", "gb2312": "gbk",
    "cp936": "gbk", "us-ascii": "ascii", "ibm850": "cp850",
}  # fmt: skip

_LOOK_AT = 2048
"""Bytes of a frame that are looked at, from its first that is not ASCII: more would let a long frame take long."""

_HIGH = re.compile(rb"[\x80-\xff]")
_RUN = re.compile("[^\x00-\x7f]+")
_WORD = re.compile("[A-Za-z]{3}")
# Latin-1 has control codes in 80-9F and signs in A0-A5, where CP850 has its letters but ß and the capitals with accents.
_CONTROL = frozenset(range(0x80, 0xA0))
_CP850_SMALL = frozenset(range(0xA0, 0xA6))
_LETTERS = frozenset(map(chr, (_CONTROL | _CP850_SMALL | frozenset(range(0xC0, 0x180))) - {0xD7, 0xF7}))


def known_encoding(name: str) -> str | None:
    """The name as it is written here, `auto` too; None for an encoding that is not among ENCODINGS."""
    written = name.strip().lower().replace("_", "-")
    written = _NAMES.get(written, written)
    return written if written in ENCODINGS or written == "auto" else None


def guess(data: bytes) -> tuple[str | None, bool]:
    """The encoding of a frame with bytes above 7F, and whether it is sure; None where they show none.

    Not sure are the European encodings (a few letters look alike) and UTF-8 without sequences of three bytes.
    """
    first = _HIGH.search(data)
    if first is None:
        return None, False
    data = data[max(first.start() - 4, 0) :][:_LOOK_AT]
    text = _decoded(data, "utf-8")
    if text is not None:
        if max(text) > "\u07ff" or all(_in_words(text, 99)) or not _is_chinese(data):
            return "utf-8", max(text) > "\u07ff"
        return "gb18030", False
    in_words = _in_words(data.decode("latin-1"), 2)
    if all(in_words):
        return _european(data), False
    if _is_chinese(data):
        return "gb18030", True
    return (_european(data) if any(in_words) else None), False


def _decoded(data: bytes, encoding: str) -> str | None:
    """The text, without a character that the look's end has cut; None where it is none."""
    try:
        return getincrementaldecoder(encoding)().decode(data, len(data) < _LOOK_AT)
    except UnicodeDecodeError:
        return None


def _in_words(text: str, longest: int) -> list[bool]:
    """For each run of characters that are not ASCII whether they are at most `longest` letters with ASCII letters beside
    them; those of a field's identifier do not count.
    """
    found = []
    for run in _RUN.finditer(text):
        start, end = run.span()
        beside = text[end : end + 1].isalpha() or text[max(start - 1, 0) : start].islower()
        beside = beside or _WORD.fullmatch(text, max(start - 3, 0), start) is not None
        found.append(beside and end - start <= longest and _LETTERS.issuperset(run.group()))
    return found


def _is_chinese(data: bytes) -> bool:
    """Whether it reads as GB18030 with two Chinese characters side by side, or one that fills a value."""
    text = _decoded(data, "gb18030")
    if text is None:
        return False
    wide = [one for one in text if not one.isascii()]
    if not all(map(_is_east_asian, wide)):
        return False
    return any(not a.isascii() and not b.isascii() for a, b in pairwise(text)) or all(map(_is_common, wide))


def _is_east_asian(one: str) -> bool:
    """Chinese characters, kana, punctuation, full-width forms."""
    return (
        "\u2010" <= one <= "\u266f" or "\u3000" <= one <= "\u9fff" or "\uf900" <= one <= "\uffef" or one >= "\U00020000"
    )


def _is_common(one: str) -> bool:
    """A character of GB 2312: both bytes above A0."""
    encoded = one.encode("gb18030", "replace")
    return len(encoded) == 2 and encoded[0] > 0xA0 and encoded[1] > 0xA0


def _european(data: bytes) -> str:
    high = {byte for byte in data if byte > 0x7F}
    return "cp850" if high & _CONTROL or high <= _CP850_SMALL else "latin-1"


def guess_encoding(data: bytes) -> str:
    """The likeliest encoding of one frame on its own: ascii, utf-8, gb18030, gbk, cp850 or latin-1.

    Bytes in the rows of GB 2312 fit GBK and GB18030 alike and are given to the standard in force; characters that GBK
    added (second byte below A1) are given to GBK, four-byte characters to GB18030.
    """
    if data.isascii():
        return "ascii"
    found, _ = guess(data)
    if found not in (None, "gb18030"):
        return found or "latin-1"
    for name in ("gb2312", "gbk", "gb18030"):
        try:
            data.decode(name)
        except UnicodeDecodeError:
            continue
        return "gb18030" if name == "gb2312" else name
    return "latin-1"
