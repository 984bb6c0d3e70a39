"""The 3M RFID501 item: fixed fields from byte 0, without a check value.

    0 04    1 set number (high nibble) and total    2 00    3 type of item
    4-15 barcode    16-27 branch    28-47 library    48-79 custom, all text zero padded

So it is recognised only where every fixed byte and every padding is as it must be.
"""

from dataclasses import dataclass

from protocols.iso28560.errors import BlankTag, LocalTagError, TagError

__all__ = ["MmmItem", "decode_mmm_item", "encode_mmm_item"]

_MARK = 0x04
_FIELDS = {"barcode": slice(4, 16), "branch": slice(16, 28), "library": slice(28, 48), "custom": slice(48, 80)}
_LEAST = 16


@dataclass(frozen=True, slots=True)
class MmmItem:
    """What a 3M tag says; `part` of `parts` pieces, both 0..15, 0 = not stated. `type` is 3M's own type of item (0..255)."""

    barcode: str
    branch: str = ""
    library: str = ""
    custom: str = ""
    part: int = 1
    parts: int = 1
    type: int = 1


def decode_mmm_item(data: bytes) -> MmmItem:
    """Return the item in a tag's user memory (16 bytes or more; fields that the memory does not reach are empty).

    Raises `BlankTag` or `TagError`.
    """
    if not data.strip(b"\x00"):
        raise BlankTag("the tag is blank")
    if len(data) < _LEAST or data[0] != _MARK or data[2]:
        raise TagError("this is no 3M item: 04, set, 00, type, barcode")
    part, parts = data[1] >> 4, data[1] & 0x0F
    if part > parts:
        raise TagError(f"part {part} of {parts}")
    texts = {name: _text(data[place]) for name, place in _FIELDS.items()}
    if not texts["barcode"]:
        raise TagError("the item has no barcode")
    return MmmItem(**texts, part=part, parts=parts, type=data[3])


def _text(data: bytes) -> str:
    value = data.rstrip(b"\x00")
    if not value:
        return ""
    text = value.decode("ascii", "replace")
    if not text.isascii() or not text.isprintable():
        raise TagError("a field is not zero padded ASCII")
    return text


def encode_mmm_item(item: MmmItem) -> bytes:
    """Return the 80 bytes of `item`; raises `LocalTagError` for a field that is too long or not ASCII."""
    if not (0 <= item.part <= item.parts <= 15 and 0 <= item.type <= 0xFF):
        raise LocalTagError("part and parts are 0..15, type 0..255")
    head = bytes((_MARK, item.part << 4 | item.parts, 0, item.type))
    if not item.barcode:
        raise LocalTagError("an item has a barcode")
    body = b""
    for name, place in _FIELDS.items():
        text = str(getattr(item, name))
        room = place.stop - place.start
        if not text.isascii() or not text.isprintable() or len(text) > room:
            raise LocalTagError(f"{name} must be at most {room} printable ASCII characters")
        body += text.encode("ascii").ljust(room, b"\x00")
    return head + body
