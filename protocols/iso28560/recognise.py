"""What kind of thing carries a tag: an item, a reader's card, a label, a stranger's tag; asked of every tag, and never raising."""

from dataclasses import dataclass
from typing import Literal

from protocols.iso28560 import part2, part3
from protocols.iso28560.content import DEFAULT_AFI, EQUIPMENT, LIBRARY_AFIS, READER_CARD, AfiPair, TagContent
from protocols.iso28560.errors import BadTagCheck, BlankTag, TagError, UnreadableTag
from protocols.iso28560.tag import decode_tag
from protocols.iso28560.uhf import TOGGLE, decode_uhf

__all__ = ["Kind", "Recognition", "recognise_hf", "recognise_uhf"]

Kind = Literal["item", "reader_card", "shelf_label", "equipment", "blank", "foreign", "damaged"]


@dataclass(frozen=True, slots=True)
class Recognition:
    """What a tag is. `content` is None where nothing sound was read (blank, damaged, and mostly foreign).

    `code`: OK, READER_CARD, SHELF_LABEL, EQUIPMENT, BLANK; foreign: FOREIGN_DSFID, FOREIGN_AFI (content tells what it would be),
    FOREIGN_EPC (a GS1 code or another application's), UNREADABLE (no DSFID and no format fits); damaged: BAD_CRC, MALFORMED.
    """

    kind: Kind
    content: TagContent | None
    code: str


_BLANK = Recognition("blank", None, "BLANK")


def recognise_hf(
    blocks: bytes, dsfid: int | None, afi: int | None, uid: str | None = None, *, pair: AfiPair = DEFAULT_AFI
) -> Recognition:
    """Return what an ISO 15693 tag is, from its user memory, DSFID and AFI.

    The formats without a check value (28560-2 and 3M) are believed only under an AFI that libraries use or the site's `pair` has: the
    DSFID alone is too little. Damaged = the DSFID is ours and the data is not sound.
    """
    try:
        content = decode_tag(blocks, dsfid=dsfid, afi=afi, uid=uid)
    except BlankTag:
        return _BLANK
    except UnreadableTag:
        return Recognition("foreign", None, "UNREADABLE" if dsfid in (None, 0) else "FOREIGN_DSFID")
    except TagError as error:
        if dsfid in (part2.DSFID, part3.DSFID):
            return _damaged(error)
        return Recognition("foreign", None, "UNREADABLE")
    if content.format != "28560-3" and not _ours(afi, pair):
        return Recognition("foreign", content, "FOREIGN_AFI")
    return _kind(content)


def recognise_uhf(
    pc: int, epc: bytes, user: bytes = b"", tid: str | None = None, *, pair: AfiPair = DEFAULT_AFI
) -> Recognition:
    """Return what a Gen2 tag is, from its PC, EPC and as much of the user bank as was read.

    Damaged = the toggle bit is set, the AFI is a library's, and the identifier is not sound.
    """
    iso = bool(pc & TOGGLE)
    try:
        content = decode_uhf(pc, epc, user=user, tid=tid)
    except BlankTag:
        return _BLANK
    except TagError as error:
        return _damaged(error) if iso and _ours(pc & 0xFF, pair) else Recognition("foreign", None, "FOREIGN_EPC")
    if iso and not _ours(pc & 0xFF, pair):
        return Recognition("foreign", content, "FOREIGN_AFI")
    return _kind(content)


def _ours(afi: int | None, pair: AfiPair) -> bool:
    return afi is None or afi in LIBRARY_AFIS or afi in (pair.secured, pair.on_loan)


def _damaged(error: TagError) -> Recognition:
    return Recognition("damaged", None, "BAD_CRC" if isinstance(error, BadTagCheck) else "MALFORMED")


def _kind(content: TagContent) -> Recognition:
    if content.usage == READER_CARD:
        return Recognition("reader_card", content, "READER_CARD")
    if content.usage == EQUIPMENT:
        return Recognition("equipment", content, "EQUIPMENT")
    if content.shelf_label:
        return Recognition("shelf_label", content, "SHELF_LABEL")
    return Recognition("item", content, "OK")
