"""The one question a pad's driver asks: which item is this? And the AFI pair that says whether it is secured."""

from dataclasses import dataclass, field
from typing import Literal

from protocols.iso28560 import part2, part3
from protocols.iso28560.elements import OWNER, PII, SET_INFO, USAGE, split_set_info
from protocols.iso28560.errors import BlankTag, LocalTagError, TagError, UnreadableTag
from protocols.iso28560.rfid501 import decode_mmm_item

__all__ = ["DEFAULT_AFI", "READER_CARD", "AfiPair", "AfiState", "TagContent", "TagFormat", "decode_tag"]

TagFormat = Literal["28560-2", "28560-3", "28560-4", "gaoxiao", "3m"]
AfiState = Literal["secured", "on_loan", "foreign"]

READER_CARD = 8
"""Type of usage of a reader's card; such a tag is no item."""

_MMM_DSFID = 0x00


@dataclass(frozen=True, slots=True)
class AfiPair:
    """The two AFIs of a site: `secured` = in stock, the gate alarms; `on_loan` = it stays quiet. Default 07 and C2.

    Other pairs in use: 3M D7/DA; some Danish-model software writes 21 as unsecured.
    """

    secured: int = 0x07
    on_loan: int = 0xC2

    def __post_init__(self) -> None:
        if not (0 <= self.secured <= 0xFF and 0 <= self.on_loan <= 0xFF) or self.secured == self.on_loan:
            raise LocalTagError("an AFI pair is two different bytes")

    def state(self, afi: int) -> AfiState:
        """Return what `afi` means here; `foreign` = neither of the pair."""
        return "secured" if afi == self.secured else "on_loan" if afi == self.on_loan else "foreign"


DEFAULT_AFI = AfiPair()
"""The pair that a site has until it says otherwise."""


@dataclass(frozen=True, slots=True)
class TagContent:
    """What a tag says about the item that carries it.

    `owner` is the owner institution as written (may be empty: the site decides whose it is). `usage` is the type of usage of
    ISO 28560-1 or None where the tag has none. `parts`, `part`: number of pieces of the item and which one this is.
    `divergences` name each way in which the tag departs from its standard.
    """

    format: TagFormat
    pii: str
    owner: str
    usage: int | None = 1
    parts: int = 1
    part: int = 1
    divergences: tuple[str, ...] = field(default=())
    afi: int | None = None
    uid: str | None = None

    @property
    def is_reader_card(self) -> bool:
        """Whether this is a reader's card and not an item."""
        return self.usage == READER_CARD


def decode_tag(blocks: bytes, *, dsfid: int | None, afi: int | None, uid: str | None = None) -> TagContent:
    """Return the item of an ISO 15693 tag from its user memory (blocks in the tag's own order, from block 0).

    ISO 28560-3 is recognised by its CRC whatever the DSFID says; part 2 (DSFID 06) and 3M (DSFID 00) have no check value and are
    tried only where the DSFID is theirs or not known. Raises `BlankTag`; the error of the format that the DSFID names
    (`BadTagCheck`, `TagError`); `UnreadableTag` where nothing fits. Garbage never becomes an item.
    """
    if not blocks.strip(b"\x00") or not blocks.strip(b"\xff"):
        raise BlankTag("the tag is blank")
    try:
        return _part3(blocks, dsfid, afi, uid)
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
    odd = () if dsfid in (None, part3.DSFID) else ("dsfid",)
    divergences = (*odd, *basic.divergences)
    return TagContent("28560-3", basic.pii, basic.owner, basic.usage, basic.parts, basic.part, divergences, afi, uid)


def _part2(blocks: bytes, afi: int | None, uid: str | None) -> TagContent:
    item = part2.decode_part2(blocks)
    texts = {element.oid: element.value for element in item.elements if isinstance(element.value, str)}
    divergences = list(item.divergences)
    parts, part = 1, 1
    if SET_INFO in texts:
        found = split_set_info(texts[SET_INFO])
        if found is None:
            divergences.append("set-information")
        else:
            parts, part = found
    return TagContent(
        "28560-2", texts[PII], texts.get(OWNER, ""), _usage(texts.get(USAGE)), parts, part, tuple(divergences), afi, uid
    )


def _usage(octets: str | None) -> int | None:
    """Return the main category: the high nibble of the first octet of OID 5 (general knowledge; no vector holds it)."""
    return int(octets[0], 16) if octets and octets[0] in "0123456789ABCDEF" else None


def _mmm(blocks: bytes, afi: int | None, uid: str | None) -> TagContent:
    item = decode_mmm_item(blocks)
    return TagContent("3m", item.barcode, item.library, None, item.parts, item.part, (), afi, uid)
