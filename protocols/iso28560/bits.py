"""Strings as bit fields, highest bit first: what the packed alphabets of ISO/IEC 15962 and the ISIL code are made of."""

from collections.abc import Iterable

from protocols.iso28560.errors import TagError

__all__ = ["BitReader", "pack"]


class BitReader:
    """Takes fields of any width from bytes, highest bit first."""

    __slots__ = ("_left", "_value")

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = len(data) * 8

    @property
    def left(self) -> int:
        """Bits not taken yet."""
        return self._left

    def take(self, width: int) -> int:
        """Return the next `width` bits; raises `TagError` past the end."""
        if width > self._left:
            raise TagError("the packed text ends inside a character")
        self._left -= width
        return self._value >> self._left & (1 << width) - 1


def pack(fields: Iterable[tuple[int, int]], pad: str = "0") -> bytes:
    """Return `(value, width)` fields packed into bytes; the last byte is filled from the front of the endless `pad` pattern."""
    bits = "".join(f"{value:0{width}b}" for value, width in fields)
    missing = -len(bits) % 8
    bits += (pad * 8)[:missing]
    return int(bits or "0", 2).to_bytes(len(bits) // 8, "big")
