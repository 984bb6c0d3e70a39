"""The ISIL code of ISO 28560-2 (compaction 0 of OIDs 3 and 11): upper and lower set of 5 bits, numeric set of 4.

It starts in the upper set. A latch changes the set for good, a shift for one character: the annex's example `US-InU-Mu` is
ACC09EBAA06F6B.
"""

from functools import lru_cache
from typing import Literal

from protocols.iso28560.bits import pack
from protocols.iso28560.errors import LocalTagError, TagError

__all__ = ["decode_isil", "encode_isil", "read_isil"]

_Set = Literal["upper", "lower", "numeric"]
_LONGEST = 64
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
_Step = str | tuple[_Set, bool] | None


def _steps(at: _Set) -> tuple[_Step, ...]:
    found: dict[int, _Step] = {code: char for char, code in _CHARS[at].items()}
    found |= {code: (to, True) for to, code in _LATCH[at].items()}
    found |= {code: (to, False) for to, code in _SHIFT[at].items()}
    return tuple(found.get(code) for code in range(1 << _WIDTH[at]))


_STEPS: dict[_Set, tuple[int, tuple[_Step, ...]]] = {at: (_WIDTH[at], _steps(at)) for at in _SETS}
"""By set: the width of its codes, and for each code a character, (set, latch for good?) or None."""


def decode_isil(data: bytes) -> str:
    """Return the ISIL in `data`; raises `TagError` for a code that its set does not have.

    The padding is ones: at most a shift that nothing follows. Zero padding, seen where writers pad like the other alphabets, would
    read as a hyphen, and a hyphen never ends an ISIL (ISO 15511): it is dropped (`read_isil` tells).
    """
    return read_isil(data)[0]


@lru_cache(maxsize=256)  # a pad sees the same few owners all day
def read_isil(data: bytes) -> tuple[str, bool]:
    """Return the ISIL in `data` and whether it was padded with zeros instead of ones; raises `TagError`."""
    value, left = int.from_bytes(data, "big"), len(data) * 8
    text: list[str] = []
    current: _Set = "upper"
    shifted: _Set | None = None
    width, steps = _STEPS[current]
    while left >= width:
        left -= width
        step = steps[value >> left & (1 << width) - 1]
        if isinstance(step, str):
            text.append(step)
            if shifted:
                shifted = None
                width, steps = _STEPS[current]
            continue
        if step is None or shifted:
            raise TagError(f"the {shifted or current} set of the ISIL code does not have this code here")
        to, latch = step
        if latch:
            current = to
        else:
            shifted = to
        width, steps = _STEPS[to]
    isil = "".join(text)
    plain = isil.rstrip("-")
    return plain, plain != isil


def encode_isil(isil: str) -> bytes:
    """Return the packed ISIL in as few bits as its three sets allow.

    Raises `LocalTagError` for a character that no set has, or a hyphen at the end.
    """
    if not isil or isil.endswith("-") or len(isil) > _LONGEST:
        raise LocalTagError("an ISIL has 1..64 characters and no hyphen at its end")
    # By set: bits so far, and the fields that led there. A shift costs its code once, a latch for all that follows.
    ways: dict[_Set, tuple[int, tuple[tuple[int, int], ...]]] = {"upper": (0, ())}
    for char in isil:
        homes = [at for at in _SETS if char in _CHARS[at]]
        if not homes:
            raise LocalTagError("an ISIL has letters, digits, hyphen, colon and slash only")
        found: dict[_Set, tuple[int, tuple[tuple[int, int], ...]]] = {}
        for at, (bits, fields) in ways.items():
            for home in homes:
                code = (_CHARS[home][char], _WIDTH[home])
                if at == home:
                    _keep(found, at, bits, fields, (code,))
                    continue
                _keep(found, at, bits, fields, ((_SHIFT[at][home], _WIDTH[at]), code))
                _keep(found, home, bits, fields, ((_LATCH[at][home], _WIDTH[at]), code))
        ways = found
    return pack(min(ways.values(), key=lambda way: way[0])[1], "1")


def _keep(
    found: dict[_Set, tuple[int, tuple[tuple[int, int], ...]]],
    at: _Set,
    bits: int,
    fields: tuple[tuple[int, int], ...],
    more: tuple[tuple[int, int], ...],
) -> None:
    """Take the way into `found` if it is the shortest that ends in the set `at`."""
    bits += sum(width for _, width in more)
    if at not in found or bits < found[at][0]:
        found[at] = (bits, fields + more)
