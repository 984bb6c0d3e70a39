"""A Wiegand bit string: its number, its parity and its bytes."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = [
    "MAX_BITS",
    "PARITY_WIDTHS",
    "LocalWiegandError",
    "WiegandBits",
    "WiegandError",
    "encode",
    "facility_and_number",
    "has_parity",
]

MAX_BITS = 128
"""Longest bit string that any converter here reports; cards on Wiegand carry at most 84."""
PARITY_WIDTHS = frozenset({26, 34, 37, 42, 50, 58, 66})
"""Widths that in practice carry an even and an odd parity bit around the number; 26, 34 and 37 are published, the others (a chip's
5, 6, 7 and 8 bytes with two parity bits) are general knowledge of cardreaders sold in China."""
_FACILITY_BITS = {26: 8, 34: 16, 37: 16}
"""Facility code in front of the number: H10301, the common 34-bit layout, H10304."""


class WiegandError(ValueError):
    """What came is no Wiegand number; ``code`` is BAD_PARITY, BAD_LENGTH or BAD_PAD, and nothing of the number is in the message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class LocalWiegandError(ValueError):
    """We asked for a bit string that cannot be built; never caused by a peer."""


def has_parity(bits: int) -> bool:
    """Whether a bit string of that width carries two parity bits in practice."""
    return bits in PARITY_WIDTHS


def _parity(number: int, data_bits: int) -> tuple[int, int]:
    """Even parity over the first half of the data bits, odd over the last; the middle bit of an odd width is in both."""
    half = (data_bits + 1) // 2
    first = number >> (data_bits - half)
    last = number & ((1 << half) - 1)
    return first.bit_count() & 1, (last.bit_count() & 1) ^ 1


@dataclass(frozen=True, slots=True)
class WiegandBits:
    """``bits`` bits in ``raw``, first bit highest in the first byte, unused low bits of the last byte 0; ``raw`` is not in repr.

    Raises `WiegandError` BAD_LENGTH where the bytes do not hold exactly so many bits, BAD_PAD where unused bits are set.
    """

    bits: int
    raw: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= MAX_BITS or len(self.raw) != (self.bits + 7) // 8:
            raise WiegandError("BAD_LENGTH", f"{len(self.raw)} bytes do not hold {self.bits} bits")
        if self._int() & ((1 << self._pad) - 1):
            raise WiegandError("BAD_PAD", "bits behind the last one are set")

    @property
    def _pad(self) -> int:
        return -self.bits % 8

    def _int(self) -> int:
        return int.from_bytes(self.raw, "big")

    @classmethod
    def from_int(cls, value: int, bits: int) -> WiegandBits:
        """Make it of a number whose highest of ``bits`` bits came first, parity included; raises `WiegandError` BAD_LENGTH."""
        if not 1 <= bits <= MAX_BITS or not 0 <= value < 1 << bits:
            raise WiegandError("BAD_LENGTH", f"the value is not one of {bits} bits")
        return cls(bits, (value << (-bits % 8)).to_bytes((bits + 7) // 8, "big"))

    def value(self) -> int:
        """All bits as one number, parity included."""
        return self._int() >> self._pad

    def parity_ok(self) -> bool:
        """Whether the first bit is the even parity of the first half of the number and the last the odd parity of the second."""
        if self.bits < 4:
            return False
        value = self.value()
        even, odd = _parity(self.number(), self.bits - 2)
        return value >> (self.bits - 1) == even and value & 1 == odd

    def number(self) -> int:
        """The number between the two parity bits, unchecked."""
        return self.value() >> 1 & ((1 << max(self.bits - 2, 0)) - 1)

    def checked(self) -> int:
        """The number between the parity bits; raises `WiegandError` BAD_PARITY."""
        if not self.parity_ok():
            raise WiegandError("BAD_PARITY", f"the parity of {self.bits} bits is wrong")
        return self.number()


def encode(number: int, bits: int) -> WiegandBits:
    """Put a number of ``bits`` - 2 bits between its parity bits; raises `LocalWiegandError` where it does not fit.

    ``encode(0x7B1234, 26)`` is facility code 123 and number 4660 of H10301.
    """
    data_bits = bits - 2
    if not 4 <= bits <= MAX_BITS or not 0 <= number < 1 << data_bits:
        raise LocalWiegandError(f"the number does not fit into {bits} bits with two parity bits")
    even, odd = _parity(number, data_bits)
    return WiegandBits.from_int(even << (bits - 1) | number << 1 | odd, bits)


def facility_and_number(number: int, bits: int) -> tuple[int, int]:
    """Facility code and card number of a 26-, 34- or 37-bit number; raises `LocalWiegandError` for a width without one."""
    if bits not in _FACILITY_BITS:
        raise LocalWiegandError(f"{bits} bits have no agreed facility code")
    low = bits - 2 - _FACILITY_BITS[bits]
    return number >> low, number & ((1 << low) - 1)
