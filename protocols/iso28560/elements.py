"""The data elements of ISO 28560-1 by object identifier, and one element as part 2 and the user bank of part 4 hold it."""

from typing import NamedTuple

from protocols.iso28560.errors import LocalTagError

__all__ = ["CONTENT", "NAMES", "OWNER", "PII", "SET_INFO", "USAGE", "Element", "octets", "set_info", "split_set_info"]

PII, CONTENT, OWNER, SET_INFO, USAGE = 1, 2, 3, 4, 5

NAMES = {
    PII: "pii",
    OWNER: "owner",
    SET_INFO: "set",
    USAGE: "usage",
    6: "shelf",
    7: "onix_media",
    8: "marc_media",
    9: "supplier",
    10: "order",
    11: "ill_library",
    12: "ill_transaction",
    13: "gs1",
    14: "alternative_unique_id",
    15: "local_a",
    16: "local_b",
    17: "title",
    18: "local_product",
    19: "other_media",
    20: "supply_stage",
    21: "invoice",
    22: "alternative_item",
    23: "alternative_owner",
    24: "subsidiary",
    25: "alternative_ill",
    26: "local_c",
}
"""Our short names of the elements; OID 2, the content parameter, only says which others are there."""


class Element(NamedTuple):
    """One data set: a named tuple, as one is made of every element of every tag, and a frozen dataclass takes thrice as long.

    `value` is text, the OIDs listed (OID 2), or upper-case hex where the application defines the bytes.

    `compaction` 0..7 (ISO/IEC 15962); `pad` = zero bytes after it that align the next element to a block; `divergence` names how its
    bytes depart from the standard, mostly empty.
    """

    oid: int
    compaction: int
    value: str | tuple[int, ...]
    pad: int = 0
    divergence: str = ""


def split_set_info(value: str) -> tuple[int, int] | None:
    """Return (parts, this part) of set information such as `1203`: half of the digits each; None if it is no such number."""
    half = len(value) // 2
    if not value.isascii() or not value.isdigit() or len(value) % 2:
        return None
    parts, part = int(value[:half]), int(value[half:])
    return (parts, part) if part <= parts else None


def set_info(parts: int, part: int) -> str:
    """Return the set information of piece `part` of `parts`, in as few digits as both need; raises `LocalTagError`."""
    if not (0 <= part <= parts and 1 <= parts <= 999):
        raise LocalTagError("set information is a part of at most 999 parts")
    width = len(str(parts))
    return f"{parts}{part:0{width}d}"


def octets(value: str) -> bytes:
    """Return the bytes of an element that is given as hex; raises `LocalTagError`."""
    try:
        return bytes.fromhex(value)
    except ValueError:
        raise LocalTagError("an element of octets is given as hex") from None
