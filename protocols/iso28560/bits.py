"""Strings as bit fields, highest bit first: what the packed alphabets of ISO/IEC 15962 and the ISIL code are made of."""

from collections.abc import Iterable

__all__ = ["pack"]


def pack(fields: Iterable[tuple[int, int]], pad: str = "0") -> bytes:
    """Return `(value, width)` fields packed into bytes; the last byte is filled from the front of the endless `pad` pattern."""
    bits = "".join([f"{value:0{width}b}" for value, width in fields])
    missing = -len(bits) % 8
    bits += (pad * 8)[:missing]
    return int(bits or "0", 2).to_bytes(len(bits) // 8, "big")
