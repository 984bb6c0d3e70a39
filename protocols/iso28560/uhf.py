"""The item on a UHF tag: ISO/TS 28560-4 where the toggle bit of its PC is set, the university format where it is not.

The university format has no mark and no check value, and every retail tag has T = 0 too. So it is believed only where nothing
speaks against it: reserved bits 0 (no GS1 header has them so), the packing of the identifier exact to the last zero, and the user
bank, where it was read, in the same format and listed by the content parameter.
"""

from protocols.iso28560 import gaoxiao, part4
from protocols.iso28560.code40 import decode_code40
from protocols.iso28560.content import DEFAULT_AFI, AfiPair, TagContent
from protocols.iso28560.dataset import NOTHING_SAID, Said, said_by
from protocols.iso28560.elements import OWNER, split_set_info
from protocols.iso28560.errors import BlankTag, LocalTagError, TagError, UnreadableTag
from protocols.iso28560.gaoxiao_content import content_of
from protocols.iso28560.part4 import split_uii

__all__ = ["TOGGLE", "decode_uhf", "identity", "secured_of", "with_security"]

TOGGLE = 0x0100
"""The bit of the PC that says: the low byte is an AFI (ISO), not attributes (GS1)."""

_LENT = 0x80
_TID_CLASS = 0xE2
"""First byte of every TID; chips leave the factory with a copy of theirs as EPC, and GS1 gives no code this header."""
_SUSPECT = frozenset({0x00, 0xFF, _TID_CLASS})
"""First bytes of an EPC that may be nobody's."""


def identity(pc: int, epc: bytes) -> str:
    """Return the name of a tag whose TID was not read: its EPC in upper-case hex.

    A change of the security state does not change it: the AFI is in the PC, and the lent bit of a university tag is taken as 0. Two
    chips that carry the same item have the same identity.
    """
    if epc and epc[0] & _LENT and not pc & TOGGLE and _university(pc, epc) is not None:
        epc = bytes((epc[0] & ~_LENT,)) + epc[1:]
    return epc.hex().upper()


def decode_uhf(pc: int, epc: bytes, *, user: bytes = b"", tid: str | None = None) -> TagContent:
    """Return the item of a Gen2 tag from its PC word, its EPC (whole words) and as much of the user bank as was read.

    `tid` is passed on as `uid`. Raises `BlankTag`, `UnreadableTag` (a sound tag, but no library's) or `TagError`. Divergences:
    `user-bank` (its content is not that of the format, only the EPC was taken), `user-bank-cut` (fewer words were read than it has),
    `owner` and `set-information` (the banks contradict each other; the EPC holds), and those of the formats.
    """
    if not epc or (epc[0] in _SUSPECT and (epc[0] == _TID_CLASS or not epc.strip(epc[:1]))):
        raise BlankTag("the tag is blank, or as the factory left it")
    if pc >> 11 != len(epc) // 2 or len(epc) % 2:
        raise TagError(f"the PC says {pc >> 11} words, here are {len(epc)} bytes")
    if pc & TOGGLE:
        return _part4(pc, epc, user, tid)
    try:
        tag = gaoxiao.decode_epc(epc)
    except TagError as error:
        raise UnreadableTag("the toggle bit is 0 and this is no university tag") from error
    return content_of(tag, user, tid)


def _part4(pc: int, epc: bytes, user: bytes, tid: str | None) -> TagContent:
    identifier = decode_code40(epc)
    owner, pii, sets = split_uii(identifier)
    if not pii or not identifier.isprintable():
        raise TagError("the identifier is empty or not printable")
    said, inside, divergences = _user_bank(user)
    parts, part, own = said.parts, said.part, said.own
    if sets:
        found = split_set_info(sets)
        if found is None:
            own = tuple(sorted({**dict(own), "set": sets}.items()))
        if found is None or (parts, part) not in ((1, 1), found):
            divergences += ("set-information",)
        parts, part = found or (parts, part)
    if not owner:
        owner = inside
    elif inside and inside.replace("-", "").upper() != owner.replace("-", "").upper():
        divergences += ("owner",)
    if divergences:
        divergences = tuple(dict.fromkeys(divergences))
    return TagContent("28560-4", pii, owner, said.usage, parts, part, divergences, pc & 0xFF, tid, said.elements, own)


def _user_bank(user: bytes) -> tuple[Said, str, tuple[str, ...]]:
    """What MB11 says, the owner in it, and its divergences; a bank of another format says nothing."""
    if not user.strip(b"\x00"):
        return NOTHING_SAID, "", ()
    try:
        elements, divergences = part4.read_user_bank(user)
    except TagError:
        return NOTHING_SAID, "", ("user-bank",)
    said = said_by(elements)
    owner = ""
    for oid, _, value, _, _ in elements:
        if oid == OWNER and isinstance(value, str):
            owner = value
    return said, owner, divergences + said.divergences


def _university(pc: int, epc: bytes) -> gaoxiao.UniversityTag | None:
    if pc & TOGGLE or pc >> 11 != len(epc) // 2 or len(epc) % 2 or not epc.strip(b"\x00"):
        return None
    try:
        return gaoxiao.decode_epc(epc)
    except TagError:
        return None


def secured_of(pc: int, epc: bytes, pair: AfiPair = DEFAULT_AFI) -> bool | None:
    """Return whether a security gate of this site would take the tag as secured; None where the tag says neither."""
    if pc & TOGGLE:
        return {"secured": True, "on_loan": False}.get(pair.state(pc & 0xFF))
    tag = _university(pc, epc)
    return None if tag is None else not tag.lent


def with_security(pc: int, epc: bytes, secured: bool, pair: AfiPair = DEFAULT_AFI) -> tuple[int, bytes]:
    """Return the PC and EPC that say `secured`: the AFI for 28560-4, the lent bit for a university tag.

    Only for tags that `decode_uhf` takes: raises `LocalTagError` for any other, so that a stranger's tag is never rewritten.
    """
    if pc & TOGGLE:
        try:
            part4.decode_pc_uii(pc.to_bytes(2, "big") + epc)
        except TagError as error:
            raise LocalTagError("this tag is no library's: it keeps its security state") from error
        return pc & 0xFF00 | pair.of(secured), epc
    if _university(pc, epc) is None:
        raise LocalTagError("this tag is no library's: it keeps its security state")
    first = epc[0] & ~_LENT if secured else epc[0] | _LENT
    return pc, bytes((first,)) + epc[1:]
