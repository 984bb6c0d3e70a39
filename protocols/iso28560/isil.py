"""The ISIL code of ISO 28560-2 (compaction 0 of OIDs 3 and 11): upper and lower set of 5 bits, numeric set of 4.

It starts in the upper set. A latch changes the set for good, a shift for one character. The encoder shifts for a single
character and latches for more, as the annex's example `US-InU-Mu` = ACC09EBAA06F6B does.
"""

from typing import Literal

from protocols.iso28560.bits import BitReader, pack
from protocols.iso28560.errors import LocalTagError, TagError

__all__ = ["decode_isil", "encode_isil"]

_Set = Literal["upper", "lower", "numeric"]
_SETS: tuple[_Set, ...] = ("upper", "lower", "numeric")
_WIDTH: dict[_Set, int] = {"upper": 5, "lower": 5, "numeric": 4}
_CHARS: dict[_Set, dict[str, int]] = {
    "upper": {"-": 0, ":": 27, **{chr(64 + n): n for n in range(1, 27)}},
    "lower": {"-": 0, "/": 27, **{chr(96 + n): n for n in range(1, 27)}},
    "numeric": {"-": 10, ":": 11, **{str(n): n for n in range(10)}},
}
_LATCH: dict[_Set, dict[_Set, int]] = {
    "upper": {"lower": 28, "numeric": 30},
    "lower": {"upper": 28, "numeric": 30},
    "numeric": {"upper": 12, "lower": 14},
}
_SHIFT: dict[_Set, dict[_Set, int]] = {
    "upper": {"lower": 29, "numeric": 31},
    "lower": {"upper": 29, "numeric": 31},
    "numeric": {"upper": 13, "lower": 15},
}
_TEXT = {name: {code: char for char, code in chars.items()} for name, chars in _CHARS.items()}
_MOVES: dict[_Set, dict[int, tuple[_Set, bool]]] = {
    at: {
        **{code: (to, True) for to, code in _LATCH[at].items()},
        **{code: (to, False) for to, code in _SHIFT[at].items()},
    }
    for at in _SETS
}


def decode_isil(data: bytes) -> str:
    """Return the ISIL in `data`; raises `TagError` for a code that its set does not have.

    The padding is ones: at most a shift that nothing follows. Zero padding, seen where writers pad like the other alphabets, would
    read as a hyphen, and a hyphen never ends an ISIL (ISO 15511): it is dropped.
    """
    bits = BitReader(data)
    text: list[str] = []
    current: _Set = "upper"
    shifted: _Set | None = None
    while bits.left >= _WIDTH[shifted or current]:
        active = shifted or current
        code = bits.take(_WIDTH[active])
        char = _TEXT[active].get(code)
        if char is not None:
            text.append(char)
            shifted = None
            continue
        move = _MOVES[active].get(code)
        if move is None or shifted:
            raise TagError(f"code {code} is not in the {active} set of the ISIL code")
        if move[1]:
            current = move[0]
        else:
            shifted = move[0]
    return "".join(text).rstrip("-")


def encode_isil(isil: str) -> bytes:
    """Return the packed ISIL; raises `LocalTagError` for a character that no set has, or a hyphen at the end."""
    if not isil or isil.endswith("-"):
        raise LocalTagError("an ISIL has at least one character and no hyphen at its end")
    fields: list[tuple[int, int]] = []
    current: _Set = "upper"
    for at, char in enumerate(isil):
        if char not in _CHARS[current]:
            target = next((name for name in _SETS if char in _CHARS[name]), None)
            if target is None:
                raise LocalTagError("an ISIL has letters, digits, hyphen, colon and slash only")
            following = isil[at + 1 : at + 2]
            lasting = bool(following) and following in _CHARS[target] and following not in _CHARS[current]
            if not lasting:
                fields.append((_SHIFT[current][target], _WIDTH[current]))
                fields.append((_CHARS[target][char], _WIDTH[target]))
                continue
            fields.append((_LATCH[current][target], _WIDTH[current]))
            current = target
        fields.append((_CHARS[current][char], _WIDTH[current]))
    return pack(fields, "1")
