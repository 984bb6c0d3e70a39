"""ISO 28560-3: the fixed basic block of 32 or 34 bytes, its CRC, and the extension blocks behind it (DSFID 3E).

    0      version (high nibble, 1) and type of usage
    1, 2   number of parts in the item, number of this part
    3-18   primary item identifier, UTF-8, zero padded
    19, 20 CRC, low byte first, over bytes 0-18 and 21-33; a 32-byte tag counts two zero bytes it does not have
    21-33  owner ISIL without its hyphen (11 bytes on a 32-byte tag)

Real tags differ in ways that leave no doubt what they mean. Each is accepted and named in `divergences`:
`blocks-reversed`, `nibbles-swapped`, `parts-swapped`, `identifier-padding`, `owner-padding`, `owner-hyphen`,
`extension-bad`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import xor
from typing import Literal

from protocols.crc import crc_ibm3740
from protocols.iso28560.errors import BadTagCheck, BlankTag, LocalTagError, TagError

__all__ = [
    "DSFID",
    "BasicBlock",
    "Extension",
    "decode_part3",
    "encode_part3",
    "is_part3",
    "pad_to_blocks",
    "reverse_blocks",
    "without_country_hyphen",
]

DSFID = 0x3E
"""The DSFID of an ISO 28560-3 tag."""

_VERSION = 1
_PII = slice(3, 19)
_OWNER = slice(21, 34)
_LONG, _SHORT = 34, 32
_REACH = 36
"""Whole blocks that the basic block lies in."""


@dataclass(frozen=True, slots=True)
class Extension:
    """An extension block: `id` 1 library, 2 acquisition, 3 library supplement, 4 title, 5 inter-library loan.

    `payload` is kept as bytes: strings separated by 00; block 1 begins with the type of media.
    """

    id: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class BasicBlock:
    """What a sound basic block says. `crc` is the stored value; `owner` has no hyphen after its country code.

    `usage`: 0 acquisition, 1 circulating, 2 not circulating, 7 discarded, 8 reader card, 9 equipment.
    """

    pii: str
    owner: str
    usage: int
    parts: int
    part: int
    version: int
    crc: int
    extensions: tuple[Extension, ...] = ()
    divergences: tuple[str, ...] = field(default=())


def reverse_blocks(data: bytes) -> bytes:
    """Return `data` with every block of four bytes reversed; an incomplete last block stays as it is."""
    whole = len(data) & ~3
    turned = bytearray(data)
    for at in range(4):
        turned[at:whole:4] = data[3 - at : whole : 4]
    return bytes(turned)


def pad_to_blocks(data: bytes, block_size: int = 4, block_count: int = 0) -> bytes:
    """Return `data` filled with zeros to whole blocks, and to `block_count` blocks where a chip is to be wiped behind it."""
    whole = data + bytes(-len(data) % block_size)
    return whole.ljust(block_size * block_count, b"\x00")


def _checked(data: bytes) -> int:
    tail = data[21:_LONG] if len(data) >= _LONG else data[21:_SHORT] + b"\x00\x00"
    return crc_ibm3740(data[:19] + tail)


def is_part3(data: bytes) -> bool:
    """Whether the CRC of a basic block agrees, straight or with the blocks reversed."""
    return _oriented(data) != ""


def _oriented(data: bytes) -> Literal["", "straight", "reversed"]:
    if len(data) < _SHORT:
        return ""
    if _checked(data) == data[19] | data[20] << 8:
        return "straight"
    if _VERSION not in (data[3] >> 4, data[3] & 0x0F):  # it would be byte 0, and the version nibble is one of its two
        return ""
    turned = reverse_blocks(data[:_REACH])
    return "reversed" if _checked(turned) == turned[19] | turned[20] << 8 else ""


def decode_part3(data: bytes) -> BasicBlock:
    """Return the basic block and the extension blocks of a tag's user memory (32 bytes or more).

    Raises `BlankTag`, `BadTagCheck` (fields `crc` stored, `right` computed) where the CRC agrees neither straight nor with the
    blocks reversed, and `TagError` where it agrees but the content is not an item's.
    """
    if len(data) < _SHORT:
        raise TagError(f"a basic block has at least 32 bytes, here are {len(data)}")
    way = _oriented(data)
    if way == "straight":
        return _interpret(data)
    if way == "reversed":
        return _interpret(reverse_blocks(data), "blocks-reversed")
    if not data.strip(b"\x00") or not data.strip(b"\xff"):
        raise BlankTag("the tag is blank")
    right, stored = f"{_checked(data):04X}", f"{data[20]:02X}{data[19]:02X}"
    raise BadTagCheck(f"the CRC is {right}, the tag says {stored}", crc=stored, crc_ok=False, right=right)


def _interpret(data: bytes, *found: str) -> BasicBlock:
    divergences = list(found)
    version, usage = data[0] >> 4, data[0] & 0x0F
    if version != _VERSION and usage == _VERSION:
        version, usage = usage, version
        divergences.append("nibbles-swapped")
    if version != _VERSION:
        raise TagError(f"version {version} of the data model is not known")
    parts, part = data[1], data[2]
    if part > parts:
        parts, part = part, parts
        divergences.append("parts-swapped")
    pii_bytes, _, after = data[_PII].partition(b"\x00")
    if after.strip(b"\x00"):
        divergences.append("identifier-padding")
    owner_bytes, _, after = data[_OWNER].partition(b"\x00")
    if after.strip(b"\x00"):
        divergences.append("owner-padding")
    try:
        pii, owner = pii_bytes.decode("utf-8"), owner_bytes.decode("ascii")
    except UnicodeDecodeError:
        raise TagError("the identifier is not UTF-8 or the owner not ASCII") from None
    if without_country_hyphen(owner) != owner:
        divergences.append("owner-hyphen")
    if not (pii + owner).isprintable():
        raise TagError("the identifier or the owner holds control characters")
    extensions, sound = _extensions(data[_LONG:]) if data[_LONG : _LONG + 1].strip(b"\x00") else ((), True)
    if not sound:
        divergences.append("extension-bad")
    crc = data[19] | data[20] << 8
    return BasicBlock(pii, owner, usage, parts, part, version, crc, extensions, tuple(divergences))


def _extensions(data: bytes) -> tuple[tuple[Extension, ...], bool]:
    """Return the blocks up to the end mark, or up to the first bad one and False: a bad block hides all after it."""
    found: list[Extension] = []
    at = 0
    while at < len(data) and data[at]:
        length = data[at]
        block = data[at : at + length]
        if length < 4 or len(block) < length or reduce(xor, block):
            return tuple(found), False
        found.append(Extension(block[1] | block[2] << 8, block[4:]))
        at += length
    return tuple(found), True


def encode_part3(
    pii: str,
    owner: str,
    usage: int = 1,
    parts: int = 1,
    part: int = 1,
    *,
    size: Literal[32, 34] = 34,
    extensions: Sequence[Extension] = (),
) -> bytes:
    """Return the user memory of a tag: `size` bytes, and the extension blocks with their end mark; `pad_to_blocks` fits it to a chip.

    `pii` has 1..16 bytes of UTF-8; `owner` up to 13 ASCII characters (11 with `size` 32), the hyphen after a two-letter country
    code is dropped as the standard says. Extension blocks need `size` 34. Raises `LocalTagError`.
    """
    pii_bytes = pii.encode()
    owner_bytes = without_country_hyphen(owner).encode("ascii", "replace")
    room = size - 21
    if not 1 <= len(pii_bytes) <= 16 or not pii.isprintable():
        raise LocalTagError("the identifier must be 1..16 printable bytes of UTF-8")
    if len(owner_bytes) > room or not owner.isascii() or not owner.isprintable():
        raise LocalTagError(f"the owner must be at most {room} ASCII characters")
    if not (0 <= usage <= 15 and 0 <= part <= parts <= 255):
        raise LocalTagError("usage must be 0..15 and part 0..parts, parts at most 255")
    if extensions and size != _LONG:
        raise LocalTagError("a 32-byte tag has no room for extension blocks")
    head = bytes((_VERSION << 4 | usage, parts, part)) + pii_bytes.ljust(16, b"\x00")
    tail = owner_bytes.ljust(13, b"\x00")
    basic = head + crc_ibm3740(head + tail).to_bytes(2, "little") + tail[:room]
    blocks = b"".join(_extension_bytes(extension) for extension in extensions)
    return basic + blocks + (b"\x00" if blocks else b"")


def _extension_bytes(extension: Extension) -> bytes:
    length = len(extension.payload) + 4
    if length > 0xFF or not 0 <= extension.id <= 0xFFFF:
        raise LocalTagError("an extension block holds at most 251 bytes and a two-byte id")
    head = bytes((length, extension.id & 0xFF, extension.id >> 8))
    return head + bytes((reduce(xor, head + extension.payload),)) + extension.payload


def without_country_hyphen(owner: str) -> str:
    """Return an ISIL as the basic block holds it: the hyphen after a two-letter country code is dropped."""
    return owner[:2] + owner[3:] if owner[2:3] == "-" and owner[:2].isalpha() else owner
