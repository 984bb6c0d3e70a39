"""CK: SIP2's media type of an item, from the type the rules know it by (SIP2 2.00, media type)."""

from __future__ import annotations

OTHER = "000"

_MEDIA = {
    "BOOK": "001", "KIT": "000", "MAGAZINE": "002", "PERIODICAL": "002", "JOURNAL": "003", "BOUND": "003",
    "AUDIO": "004", "TAPE": "004", "VIDEO": "005", "DVD": "005", "CD": "006", "DISC": "006", "DISKETTE": "007",
    "BOOK_DISKETTE": "008", "BOOK_CD": "009", "BOOK_TAPE": "010",
}  # fmt: skip


def media_of(item_type: str) -> str:
    """Three digits; "other" for every type that has none of its own."""
    return _MEDIA.get(item_type.upper(), OTHER)
