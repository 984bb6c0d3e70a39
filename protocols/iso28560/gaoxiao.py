"""The university consortium format (高校联盟) on a UHF tag: the EPC after its PC, and the user bank.

EPC: byte 0 = bit 7 lent, bits 6-5 reserved, sort code; byte 1 = bits 7-6 id encoding, bits 5-0 version - 1; bytes 2-3 content
parameter; then the identifier. The text gives the sort code five bits, software four: write at most 15.
User bank: 6-bit OID, 10-bit length, data; 00 ends. The OIDs are not those of ISO 28560.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from protocols.iso28560.errors import LocalTagError, TagError
from protocols.iso28560.gaoxiao_id import UTF8, decode_id, encode_id, id_encoding

__all__ = [
    "CONTENT_OIDS",
    "OWNER",
    "SET_INFO",
    "USAGE",
    "UniversityTag",
    "content_bits",
    "content_oids",
    "decode_epc",
    "decode_owner",
    "decode_set_info",
    "decode_usage",
    "decode_user_bank",
    "encode_epc",
    "encode_owner",
    "encode_set_info",
    "encode_usage",
    "encode_user_bank",
    "read_user_bank",
]

CONTENT_OIDS = (3, 4, 5, 6, 11, 12, 14, 15, 16, 24, 26, 27, 28, 29, 30, 31)
"""The OID that each bit of the content parameter stands for, bit 0 first."""

_BITS = {oid: 1 << bit for bit, oid in enumerate(CONTENT_OIDS)}

OWNER, SET_INFO, USAGE = 3, 4, 5


class UniversityTag(NamedTuple):
    """What the EPC says; a named tuple for speed, as `elements.Element`.

    `content` is the content parameter with its high byte first, as the text has it.

    A real tag stores it low byte first: `content_given` finds the order that agrees with the user bank.
    """

    pii: str
    lent: bool
    sort: int
    encoding: int
    version: int
    content: int

    @property
    def swapped(self) -> int:
        """The content parameter read low byte first."""
        return self.content >> 8 | (self.content & 0xFF) << 8

    def content_given(self, bank: Sequence[tuple[int, bytes]]) -> tuple[int, ...] | None:
        """Return the OIDs of the order that agrees with the user bank, or None where neither does."""
        there = {oid for oid, _ in bank}
        for oids in (content_oids(self.content), content_oids(self.swapped)):
            if set(oids) == there:
                return oids
        return None


def content_oids(bits: int) -> tuple[int, ...]:
    """Return the OIDs in a content parameter (0..FFFF)."""
    return tuple(oid for bit, oid in enumerate(CONTENT_OIDS) if bits >> bit & 1)


def content_bits(oids: Iterable[int]) -> int:
    """Return the content parameter of `oids`; raises `LocalTagError` for one that it cannot name."""
    bits = 0
    for oid in oids:
        if oid not in _BITS:
            raise LocalTagError("the content parameter cannot name one of these elements")
        bits |= _BITS[oid]
    return bits


def decode_epc(data: bytes) -> UniversityTag:
    """Return what the EPC payload after the PC says; raises `TagError`."""
    if len(data) < 6:
        raise TagError(f"an EPC of this format has at least 6 bytes, here are {len(data)}")
    if data[0] & 0x60:
        raise TagError("reserved bits are set")
    encoding = data[1] >> 6
    content = data[2] << 8 | data[3]
    pii = decode_id(encoding, data[4:])
    return UniversityTag(pii, bool(data[0] & 0x80), data[0] & 0x1F, encoding, (data[1] & 0x3F) + 1, content)


def encode_epc(
    pii: str, *, lent: bool, sort: int = 1, version: int = 5, oids: Sequence[int] = (), encoding: int | None = None
) -> bytes:
    """Return the EPC payload, zero padded to 12 or 16 bytes (whole words for a longer UTF-8 identifier).

    `lent` is the security bit; `oids` are the elements in the user bank; `encoding` is chosen where it is None.
    """
    if not (0 <= sort <= 15 and 1 <= version <= 64):
        raise LocalTagError("sort code must be 0..15 and version 1..64")
    chosen = id_encoding(pii) if encoding is None else encoding
    packed = encode_id(chosen, pii)
    head = bytes(((0x80 if lent else 0) | sort, chosen << 6 | (version - 1))) + content_bits(oids).to_bytes(2, "big")
    data = head + packed
    if len(data) > 62:
        raise LocalTagError("the identifier is longer than an EPC")
    if chosen == UTF8 and len(data) > 16:
        return data + bytes(len(data) % 2)
    return data.ljust(12 if len(data) <= 12 else 16, b"\x00")


def decode_user_bank(data: bytes) -> tuple[tuple[int, bytes], ...]:
    """Return the (OID, data) pairs of the user bank; raises `TagError` where one is cut off or an OID is not of the format."""
    found, whole = read_user_bank(data)
    if not whole:
        raise TagError("an element is cut off")
    return found


def read_user_bank(data: bytes) -> tuple[tuple[tuple[int, bytes], ...], bool]:
    """Return the whole (OID, data) pairs of the words that were read of a user bank, and whether nothing was cut off.

    Raises `TagError` for an OID that is not of the format or there twice, and for anything but zeros behind the end.
    """
    found: dict[int, bytes] = {}
    at, end = 0, len(data)
    while at + 2 <= end and data[at] >> 2:
        head = data[at] << 8 | data[at + 1]
        oid, start = head >> 10, at + 2
        at = start + (head & 0x3FF)
        if oid not in _BITS or oid in found:
            raise TagError(f"element {oid} is unknown or there twice")
        if at > end:
            return tuple(found.items()), False
        found[oid] = data[start:at]
    if at + 1 == end and data[at]:
        return tuple(found.items()), False
    if data[at:].strip(b"\x00"):
        raise TagError("something follows the end of the user bank")
    return tuple(found.items()), True


def encode_user_bank(elements: Sequence[tuple[int, bytes]]) -> bytes:
    """Return the user bank of (OID, data) pairs with its end mark, zero padded to a word."""
    if any(oid not in CONTENT_OIDS or len(value) > 0x3FF for oid, value in elements):
        raise LocalTagError("an element of this format has a known OID and at most 1023 bytes")
    data = b"".join((oid << 10 | len(value)).to_bytes(2, "big") + value for oid, value in elements) + b"\x00"
    return data + bytes(len(data) % 2)


def decode_owner(data: bytes) -> str:
    """Return the five-digit Ministry of Education code of the owner (not CALIS: map it); a leading 9 is stored as 6."""
    if len(data) != 2:
        raise TagError("an owner has two bytes")
    text = f"{data[0] << 8 | data[1]:05d}"
    return "9" + text[1:] if text[0] == "6" else text


def encode_owner(code: str) -> bytes:
    """Return the two bytes of a five-digit code; raises `LocalTagError` for one that 16 bits cannot hold."""
    number = (
        int("6" + code[1:] if code[:1] == "9" else code) if len(code) == 5 and code.isascii() and code.isdigit() else -1
    )
    if not 0 <= number <= 0xFFFF or code[0] == "6":
        raise LocalTagError("an owner is a five-digit code up to 59999, or 90000 to 95535")
    return number.to_bytes(2, "big")


def decode_set_info(data: bytes) -> str:
    """Return `number/total` of set information."""
    if len(data) != 4:
        raise TagError("set information has four bytes")
    return f"{data[2] << 8 | data[3]}/{data[0] << 8 | data[1]}"


def encode_set_info(value: str) -> bytes:
    """Return the four bytes of `number/total`, each 0..65535; raises `LocalTagError`."""
    number, total = _pair(value, "/", 0xFFFF, "set information is number/total")
    return total.to_bytes(2, "big") + number.to_bytes(2, "big")


def decode_usage(data: bytes) -> str:
    """Return `category.state` of the usage; 0 document (0 lendable, 1 not, 2 discarded, 3 in process), 1 disc, 2 shelf label,
    3 card, 4 equipment.
    """
    if len(data) != 2:
        raise TagError("the type of usage has two bytes")
    return f"{data[0]}.{data[1]}"


def encode_usage(value: str) -> bytes:
    """Return the two bytes of `category.state`; raises `LocalTagError`."""
    return bytes(_pair(value, ".", 0xFF, "the type of usage is category.state"))


def _pair(value: str, mark: str, most: int, rule: str) -> tuple[int, int]:
    left, _, right = value.partition(mark)
    if not (left.isdigit() and right.isdigit() and value.isascii() and int(left) <= most and int(right) <= most):
        raise LocalTagError(rule)
    return int(left), int(right)
