"""From what a tag shall say to the bytes of the whole tag, in any of the five formats, and from one format to another.

Writing is strict: what a format cannot hold is refused, and what was made is read back before it is given, so that no image is
ever read as another item or with a divergence.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from protocols.iso28560 import gaoxiao, part2, part3, part4
from protocols.iso28560.content import DEFAULT_AFI, AfiPair, TagContent, TagFormat
from protocols.iso28560.dataset import values_of
from protocols.iso28560.elements import NAMES, OWNER, PII, SET_INFO
from protocols.iso28560.errors import LocalTagError, TagError
from protocols.iso28560.extensions import extensions_of
from protocols.iso28560.gaoxiao_content import bank_of
from protocols.iso28560.image import TagImage
from protocols.iso28560.rfid501 import MmmItem, encode_mmm_item
from protocols.iso28560.tag import decode_tag
from protocols.iso28560.uhf import decode_uhf

__all__ = ["Conversion", "convert", "image_of"]

_MMM_DSFID = 0x00
_UMI = 0x0400
_BRANCH = 24
_LAYOUTS: tuple[tuple[int, ...], ...] = (PII, OWNER), (PII,), ()
"""Elements of a 28560-2 tag in blocks of their own, best first."""
_YIELDING = frozenset({"usage", "text_5", "category", "state"})
"""Own facts that say more of a type of usage, and yield where another usage is wanted now."""
_ASSUMED = frozenset({("sort", "1"), ("version", "5"), ("type", "1")})
"""Own facts that are read where nothing else is said."""
_UNSAID = (None, 1)
"""Types of usage that a format without room for it may leave out: not stated, and circulating, which is what is assumed."""


@dataclass(frozen=True, slots=True)
class _Site:
    """How and on what is written."""

    afi: int
    secured: bool
    capacity: int
    block_size: int


def image_of(
    content: TagContent,
    form: TagFormat,
    *,
    pair: AfiPair = DEFAULT_AFI,
    secured: bool = True,
    capacity: int = 112,
    block_size: int = 4,
    tid: str | None = None,
) -> TagImage:
    """Return the bytes of a whole tag that says `content` in `form`; format, afi, uid and divergences of `content` do not matter.

    `secured` is written as the AFI of `pair` and as EAS (HF), as the AFI in the PC (28560-4) or the lent bit (gaoxiao). `capacity` is
    the chip's user memory in bytes, on UHF its user bank: give 0 for a chip without one. `block_size` is for HF only; a 28560-2 tag
    lays identifier and owner into blocks of their own where they fit so, and names them in `locks`. `tid` is the chip's where known
    (UHF, 8 to 32 hex digits); no format depends on it. A UHF image of 28560-4 without further elements clears the first word
    of the user bank, so that what an earlier item said there is not read with this one.

    Raises `LocalTagError` where the format or the chip cannot hold it.
    """
    writer = _WRITERS.get(form)
    if writer is None:
        raise LocalTagError(f"there is no format {form}")
    if not 0 <= capacity <= 8192 or not 1 <= block_size <= 32:
        raise LocalTagError("a chip has at most 8192 bytes, in blocks of 1..32")
    if tid is not None and (form not in ("28560-4", "gaoxiao") or not _is_tid(tid)):
        raise LocalTagError("a TID is 8 to 32 hex digits from E0 or E2, of a UHF chip")
    image = writer(content, _Site(pair.of(secured), secured, capacity, block_size))
    if len(image.data) > capacity:
        raise LocalTagError(f"the tag needs {len(image.data)} bytes, the chip has {capacity}")
    _read_back(image, content, form)
    return image


def _is_tid(tid: str) -> bool:
    return 8 <= len(tid) <= 32 and tid[:2] in ("E0", "E2") and all(char in "0123456789ABCDEF" for char in tid)


def _part2(content: TagContent, site: _Site) -> TagImage:
    if content.shelf_label:
        raise LocalTagError("ISO 28560-2 knows no shelf label")
    values, schemes = values_of(content)
    values[PII] = content.pii
    if content.owner:
        values[OWNER] = content.owner
    data: bytes = b""
    locked: tuple[int, ...] = ()
    for locked in _LAYOUTS:
        data = part2.encode_part2(values, lockable=locked, compactions=schemes, block_size=site.block_size)
        if len(data) <= site.capacity:
            break
    locks = part2.blocks_of(data, locked, site.block_size)
    if part2.decode_part2(data).size == len(data) < site.capacity:
        data += bytes(site.block_size)  # an end mark: else what stood on the chip before is read on
    return _hf(data, part2.DSFID, site, locks)


def _part3(content: TagContent, site: _Site) -> TagImage:
    if content.shelf_label:
        raise LocalTagError("ISO 28560-3 knows no shelf label")
    extensions = extensions_of(content.elements, content.own)
    usage = 1 if content.usage is None else content.usage
    long = site.capacity - site.capacity % site.block_size >= 34
    data = part3.encode_part3(
        content.pii,
        content.owner,
        usage,
        content.parts,
        content.part,
        size=34 if long else 32,
        extensions=extensions,
    )
    return _hf(part3.pad_to_blocks(data, site.block_size), part3.DSFID, site)


def _mmm(content: TagContent, site: _Site) -> TagImage:
    own = dict(content.own)
    kind, custom = own.pop("type", "1"), own.pop("custom", "")
    branch = content.element(_BRANCH)
    if own or len(content.elements) > bool(branch) or content.shelf_label or content.usage not in _UNSAID:
        raise LocalTagError("a 3M item has barcode, library, branch, set, type and a number of one's own")
    if not (kind.isascii() and kind.isdigit()):
        raise LocalTagError("3M's type of item is a number")
    place, library, own_number = _number(branch), _number(content.owner), _number(custom)
    item = MmmItem(content.pii, place, library, own_number, content.part, content.parts, int(kind))
    return _hf(part3.pad_to_blocks(encode_mmm_item(item), site.block_size), _MMM_DSFID, site)


def _number(text: str) -> int:
    """A number of a 3M item, "" = 0 = not stated; what would be read back otherwise is refused."""
    try:
        value = int(text or "0")
    except ValueError:
        value = -1
    if str(value) != (text or "0") or (text and not value):
        raise LocalTagError("a 3M item names library, branch and its own by numbers without leading zeros")
    return value


def _hf(data: bytes, dsfid: int, site: _Site, locks: tuple[int, ...] = ()) -> TagImage:
    return TagImage("HF", data, dsfid, site.afi, site.secured, site.block_size, locks=locks)


def _part4(content: TagContent, site: _Site) -> TagImage:
    if content.shelf_label:
        raise LocalTagError("ISO/TS 28560-4 knows no shelf label")
    if {"set", "octets_4", "text_4"} & dict(content.own).keys():
        raise LocalTagError("set information in a UII is a part of a number of parts")
    if content.usage in _UNSAID and not _YIELDING & dict(content.own).keys():
        content = replace(content, usage=None)
    values, schemes = values_of(content)
    text = values.pop(SET_INFO, "")
    user = part4.encode_user_bank(values, schemes) if values else b""
    user += bytes(len(user) % 2)
    bank = part4.encode_pc_uii(content.owner, content.pii, site.afi, set_info=text, umi=bool(user))
    if not user and site.capacity >= 2:
        user = bytes(2)
    return TagImage("UHF", user, afi=site.afi, pc=bank[0] << 8 | bank[1], epc=bank[2:])


def _gaoxiao(content: TagContent, site: _Site) -> TagImage:
    pairs = bank_of(content)
    own = dict(content.own)
    sort, version = own.get("sort", "1"), own.get("version", "5")
    if not (sort.isdigit() and version.isdigit() and (sort + version).isascii()):
        raise LocalTagError("sort code and version are numbers")
    oids = tuple(oid for oid, _ in pairs)
    epc = gaoxiao.encode_epc(content.pii, lent=not site.secured, sort=int(sort), version=int(version), oids=oids)
    user = gaoxiao.encode_user_bank(pairs) if pairs else bytes(min(site.capacity, 2))
    pc = len(epc) // 2 << 11 | (_UMI if pairs else 0)
    return TagImage("UHF", user, pc=pc, epc=epc)


_WRITERS: dict[str, Callable[[TagContent, _Site], TagImage]] = {
    "28560-2": _part2,
    "28560-3": _part3,
    "28560-4": _part4,
    "gaoxiao": _gaoxiao,
    "3m": _mmm,
}


def _read_back(image: TagImage, content: TagContent, form: TagFormat) -> None:
    """Refuse an image that would be read as anything else than `content`."""
    try:
        if image.tech == "HF":
            found = decode_tag(image.data, dsfid=image.dsfid, afi=image.afi)
        else:
            found = decode_uhf(image.pc or 0, image.epc, user=image.data)
    except TagError as error:
        raise LocalTagError(f"this would be read as no item: {error}") from error
    wanted = part3.without_country_hyphen(content.owner) if form == "28560-3" else content.owner
    same = (found.format, found.pii, found.owner) == (form, content.pii, wanted)
    usage = found.usage == content.usage or (found.usage in _UNSAID and content.usage in _UNSAID)
    pieces = (found.parts, found.part) == (content.parts, content.part)
    elements = found.elements == tuple(sorted(content.elements))
    own = dict(content.own).items() - dict(found.own).items()
    kept = all(name in _YIELDING or (name, value) in _ASSUMED for name, value in own)
    if not (same and usage and pieces and elements and kept and not found.divergences):
        raise LocalTagError(f"{form} would not be read as the same item")


@dataclass(frozen=True, slots=True)
class Conversion:
    """A tag in another format. `lost` names what it cannot say: `owner`, `set`, `usage`, `shelf_label`, elements, own facts."""

    image: TagImage
    lost: tuple[str, ...]


def convert(
    content: TagContent,
    form: TagFormat,
    *,
    pair: AfiPair = DEFAULT_AFI,
    secured: bool = True,
    capacity: int = 112,
    block_size: int = 4,
    tid: str | None = None,
) -> Conversion:
    """Return `content`, read from one format, as a tag in `form`, keeping what both can say; the other arguments as in `image_of`.

    An owner read from ISO 28560-3, which drops the hyphen after the country, gets it back where a digit follows. Facts are kept in
    the order owner, set, usage, own facts, elements by number, as long as there is room. Raises `LocalTagError` where not
    even the identifier fits (28560-4: identifier and owner).
    """

    def image(of: TagContent) -> TagImage:
        return image_of(of, form, pair=pair, secured=secured, capacity=capacity, block_size=block_size, tid=tid)

    kept = TagContent(form, content.pii, _isil(content, form), usage=None)
    lost: list[str] = []
    try:
        made = image(kept)
    except LocalTagError:
        if not kept.owner:
            raise
        kept = replace(kept, owner="")
        made = image(kept)
        lost.append("owner")
    for name, more in _facts(content):
        wanted = more(kept)
        try:
            made = image(wanted)
        except LocalTagError:
            lost.append(name)
        else:
            kept = wanted
    return Conversion(made, tuple(lost))


def _isil(content: TagContent, form: TagFormat) -> str:
    owner = content.owner
    if content.format == "28560-3" != form and owner[:2].isalpha() and owner[:2].isupper() and owner[2:3].isdigit():
        return f"{owner[:2]}-{owner[2:]}"
    return owner


def _facts(content: TagContent) -> Iterator[tuple[str, Callable[[TagContent], TagContent]]]:
    """Yield (name, how to add it) of what the content says beside identifier and owner."""
    if (content.parts, content.part) != (1, 1):
        yield "set", lambda kept: replace(kept, parts=content.parts, part=content.part)
    if content.usage is not None:
        yield "usage", lambda kept: replace(kept, usage=content.usage)
    if content.shelf_label:
        yield "shelf_label", lambda kept: replace(kept, shelf_label=True)
    for fact in content.own:
        yield fact[0], partial(_with_own, fact)
    for element in content.elements:
        yield NAMES.get(element[0], f"element_{element[0]}"), partial(_with_element, element)


def _with_own(fact: tuple[str, str], kept: TagContent) -> TagContent:
    return replace(kept, own=(*kept.own, fact))


def _with_element(element: tuple[int, str], kept: TagContent) -> TagContent:
    return replace(kept, elements=(*kept.elements, element))
