"""The 3M RFID501 item: fixed fields from byte 0, without a check value.

    0 04    1 set number (high nibble) and total    2 00    3 type of item    4-19 barcode, ASCII, 00 padded
    20-23 branch (12 bits) and library (20 bits)    24-27 custom, signed    28-31 00

Numbers are written high byte first. The layout is that of public drivers of 3M pads, and of recorded tags; it is recognised only
where every fixed byte and the padding are as they must be.
"""

from dataclasses import dataclass

from protocols.iso28560.errors import BlankTag, LocalTagError, TagError

__all__ = ["MmmItem", "decode_mmm_item", "encode_mmm_item"]

_MARK = 0x04
_BARCODE = slice(4, 20)
_ROOM = _BARCODE.stop - _BARCODE.start
_SIZE = 32
_LIBRARY_BITS = 20
MAX_BRANCH, MAX_LIBRARY, MAX_CUSTOM = (1 << 12) - 1, (1 << _LIBRARY_BITS) - 1, (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class MmmItem:
    """What a 3M tag says; `part` of `parts` pieces, both 0..15, 0 = not stated. `type` is 3M's own type of item (0..255).

    `barcode` has at most 16 characters. `branch` (0..4095) and `library` (0..1048575) are numbers, 0 = not stated; `custom` is the
    library's own, -2147483648..2147483647.
    """

    barcode: str
    branch: int = 0
    library: int = 0
    custom: int = 0
    part: int = 1
    parts: int = 1
    type: int = 1


def decode_mmm_item(data: bytes) -> MmmItem:
    """Return the item in a tag's user memory (20 bytes or more; numbers that the memory does not reach are 0).

    Raises `BlankTag` or `TagError`.
    """
    if not data.strip(b"\x00"):
        raise BlankTag("the tag is blank")
    if len(data) < _BARCODE.stop or data[0] != _MARK or data[2] or any(data[28:_SIZE]):
        raise TagError("this is no 3M item: 04, set, 00, type, barcode, numbers, 00")
    part, parts = data[1] >> 4, data[1] & 0x0F
    if part > parts:
        raise TagError(f"part {part} of {parts}")
    barcode = _text(data[_BARCODE])
    if not barcode:
        raise TagError("the item has no barcode")
    place = int.from_bytes(data[20:24].ljust(4, b"\x00"))
    custom = int.from_bytes(data[24:28].ljust(4, b"\x00"), signed=True)
    return MmmItem(barcode, place >> _LIBRARY_BITS, place & MAX_LIBRARY, custom, part, parts, data[3])


def _text(data: bytes) -> str:
    value = data.rstrip(b"\x00")
    if not value:
        return ""
    text = value.decode("ascii", "replace")
    if not text.isascii() or not text.isprintable():
        raise TagError("a field is not zero padded ASCII")
    return text


def encode_mmm_item(item: MmmItem) -> bytes:
    """Return the 32 bytes of `item`; raises `LocalTagError` for a value that does not fit."""
    if not (0 <= item.part <= item.parts <= 15 and 0 <= item.type <= 0xFF):
        raise LocalTagError("part and parts are 0..15, type 0..255")
    if not (0 <= item.branch <= MAX_BRANCH and 0 <= item.library <= MAX_LIBRARY and abs(item.custom) <= MAX_CUSTOM):
        raise LocalTagError(f"branch is 0..{MAX_BRANCH}, library 0..{MAX_LIBRARY}, custom has 32 bits with a sign")
    barcode = item.barcode
    if not (barcode and barcode.isascii() and barcode.isprintable() and len(barcode) <= _ROOM):
        raise LocalTagError(f"the barcode must be 1 to {_ROOM} printable ASCII characters")
    head = bytes((_MARK, item.part << 4 | item.parts, 0, item.type)) + barcode.encode("ascii").ljust(_ROOM, b"\x00")
    place = item.branch << _LIBRARY_BITS | item.library
    return (head + place.to_bytes(4) + item.custom.to_bytes(4, signed=True)).ljust(_SIZE, b"\x00")
