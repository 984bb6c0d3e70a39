"""The one question a pad's driver asks: which item is this?"""

from protocols.iso28560 import part2, part3
from protocols.iso28560.content import DEFAULT_AFI, READER_CARD, AfiPair, AfiState, TagContent, TagFormat
from protocols.iso28560.dataset import said_by
from protocols.iso28560.elements import OWNER, PII
from protocols.iso28560.errors import BlankTag, TagError, UnreadableTag
from protocols.iso28560.extensions import read_extensions
from protocols.iso28560.rfid501 import decode_mmm_item

__all__ = ["DEFAULT_AFI", "READER_CARD", "AfiPair", "AfiState", "TagContent", "TagFormat", "decode_tag"]

_MMM_DSFID = 0x00
_BRANCH = 24
_MMM_TYPE = 1


def decode_tag(blocks: bytes, *, dsfid: int | None, afi: int | None, uid: str | None = None) -> TagContent:
    """Return the item of an ISO 15693 tag from its user memory (blocks in the tag's own order, from block 0).

    ISO 28560-3 is recognised by its CRC whatever the DSFID says; part 2 (DSFID 06) and 3M (DSFID 00) have no check value and are
    tried only where the DSFID is theirs or not known. Raises `BlankTag`; the error of the format that the DSFID names
    (`BadTagCheck`, `TagError`); `UnreadableTag` where nothing fits. Garbage never becomes an item.
    """
    if not blocks.strip(b"\x00") or not blocks.strip(b"\xff"):
        raise BlankTag("the tag is blank")
    if dsfid == part3.DSFID or part3.is_part3(blocks):
        try:
            return _part3(blocks, dsfid, afi, uid)
        except BlankTag:
            raise
        except TagError:
            if dsfid == part3.DSFID:
                raise
    try:
        if dsfid in (None, part2.DSFID):
            return _part2(blocks, afi, uid)
    except TagError:
        if dsfid is not None:
            raise
    try:
        if dsfid in (None, _MMM_DSFID):
            return _mmm(blocks, afi, uid)
    except TagError as error:
        raise UnreadableTag("no known format fits this tag") from error
    raise UnreadableTag(f"DSFID {dsfid:02X} names no known format, and none fits")


def _part3(blocks: bytes, dsfid: int | None, afi: int | None, uid: str | None) -> TagContent:
    basic = part3.decode_part3(blocks)
    if not basic.pii:
        raise BlankTag("the tag was prepared and holds no identifier yet")
    divergences = basic.divergences
    if dsfid not in (None, part3.DSFID):
        divergences = ("dsfid", *divergences)
    if not basic.extensions:
        return TagContent(
            "28560-3", basic.pii, basic.owner, basic.usage, basic.parts, basic.part, divergences, afi, uid
        )
    elements, own, more = read_extensions(basic.extensions)
    divergences += more
    return TagContent(
        "28560-3", basic.pii, basic.owner, basic.usage, basic.parts, basic.part, divergences, afi, uid, elements, own
    )


def _part2(blocks: bytes, afi: int | None, uid: str | None) -> TagContent:
    item = part2.decode_part2(blocks)
    pii = owner = ""
    for element in item.elements:
        if isinstance(element.value, str):
            if element.oid == PII:
                pii = element.value
            elif element.oid == OWNER:
                owner = element.value
    if not (pii + owner).isprintable():
        raise TagError("the identifier or the owner holds control characters")
    said = said_by(item.elements)
    divergences = item.divergences + said.divergences
    return TagContent(
        "28560-2", pii, owner, said.usage, said.parts, said.part, divergences, afi, uid, said.elements, said.own
    )


def _mmm(blocks: bytes, afi: int | None, uid: str | None) -> TagContent:
    item = decode_mmm_item(blocks)
    elements = ((_BRANCH, str(item.branch)),) if item.branch else ()
    own: tuple[tuple[str, str], ...] = (("custom", str(item.custom)),) if item.custom else ()
    if item.type != _MMM_TYPE:
        own += (("type", str(item.type)),)
    library = str(item.library) if item.library else ""
    return TagContent("3m", item.barcode, library, None, item.parts, item.part, (), afi, uid, elements, own)
