"""Which item a tag is: what the tag says, this library's words for owners, and what is known of single chips. It never guesses.

In this order, the first that speaks decides: a member's ISIL or code on the tag; what staff or an encoding here said of the chip; an
owner code that this library's alias table translates; its map of chips; and, for a tag that names nobody, this library's own item of
that number where the replica knows it. What then is nobody's is asked: a partner's item is never concluded from its number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from consortium.bundle import Policy
from consortium.identity import MAX_NUMBER, ItemKey
from drivers.base import PadTag
from edge.countries import looks_like_isil
from edge.tagstore import TagStore
from edge.uidmap import UidMap
from protocols.iso28560 import AfiPair, TagContent
from protocols.iso28560.recognise import Recognition, recognise_hf, recognise_uhf
from protocols.iso28560.uhf import secured_of

__all__ = ["ASK_OWNER", "TagItem", "TagMap", "plain_owner", "recognised", "security_of"]

ASK_OWNER = "ASK_OWNER"
"""The code of a tag that names no owner anybody here can place: a person has to say whose it is."""

UID_SAYS_OTHERWISE = "uid-map"
"""The divergence of a tag that names another item than what is known of its chip."""

_CODES: Mapping[str, str] = {
    "reader_card": "READER_CARD", "shelf_label": "SHELF_LABEL", "equipment": "EQUIPMENT", "blank": "BLANK",
    "foreign": "FOREIGN", "damaged": "DAMAGED",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TagItem:
    """One tag as the branch understands it.

    ``key`` is None where it is no item of the consortium; ``code`` then says what it is: BLANK, FOREIGN, DAMAGED, READER_CARD,
    SHELF_LABEL, EQUIPMENT, ASK_OWNER. ``secured`` is None where the tag's state is neither of the site's. ``part`` of ``parts``: which
    piece of the item, 1 of 1 where the tag says nothing. ``by`` says who placed it: TAG, STAFF, ALIAS, UID_MAP, OWN; "" for none.
    """

    uid: str
    key: ItemKey | None
    secured: bool | None
    code: str = "OK"
    part: int = 1
    parts: int = 1
    by: str = ""
    content: TagContent | None = None
    divergences: tuple[str, ...] = ()


def recognised(tag: PadTag, pair: AfiPair) -> Recognition:
    """What a tag's bytes are, whatever air interface it has; never raises."""
    if tag.tech == "UHF":
        return recognise_uhf(tag.pc or 0, tag.epc, tag.data, tag.uid, pair=pair)
    return recognise_hf(tag.data, tag.dsfid, tag.afi, tag.uid, pair=pair)


def security_of(tag: PadTag, pair: AfiPair) -> bool | None:
    """Whether a tag says "in stock": the driver's own word first, else its AFI or the bits of its EPC."""
    if tag.secured is not None:
        return tag.secured
    if tag.tech == "UHF":
        return secured_of(tag.pc, tag.epc, pair) if tag.pc is not None else None
    return None if tag.afi is None else {"secured": True, "on_loan": False}.get(pair.state(tag.afi))


def plain_owner(written: str) -> str:
    """An owner code as codes are compared: ISO 28560-3 drops the hyphen of an ISIL, and case carries nothing."""
    return written.replace("-", "").replace(" ", "").upper()


class TagMap:
    """Resolves tags for one branch of ``org``. ``owns`` tells whether a number is one of the library's own, as the replica knows."""

    def __init__(
        self,
        org: str,
        *,
        aliases: Mapping[str, str],
        policy: Callable[[], Policy | None],
        owns: Callable[[str], bool],
        store: TagStore,
        uids: UidMap,
    ) -> None:
        self.org = org
        self._aliases = {plain_owner(written): owner for written, owner in aliases.items()}
        self._policy = policy
        self._owns = owns
        self._store = store
        self._uids = uids

    def member(self, written: str) -> str | None:
        """The member whose ISIL or code stands there; None = no member's."""
        plain, policy = plain_owner(written), self._policy()
        for library in policy.libraries.values() if policy is not None and plain else ():
            if plain in (plain_owner(library.isil), library.org.upper()):
                return library.org
        return None

    def alias(self, written: str) -> str | None:
        """The member that this library's alias table means by a code; None where it has no such line, or means no member."""
        owner = self._aliases.get(plain_owner(written))
        return self.member(owner) if owner is not None else None

    def local_code(self, org: str, digits: int) -> str | None:
        """The code of so many digits that the alias table has for a member: what a university's UHF tag needs as owner."""
        codes = (
            code for code, owner in self._aliases.items() if code.isdigit() and len(code) == digits and owner == org
        )
        return next(codes, None)

    def chip(self, uid: str) -> tuple[ItemKey, str] | None:
        """The item known of a chip and who said so (STAFF or UID_MAP), None where nobody did."""
        said = self._store.learned(uid)
        if said is not None:
            return said, "STAFF"
        row = self._uids.find(uid)
        owner = self.member(row[0]) or self.alias(row[0]) if row is not None else None
        return (ItemKey(owner, row[1]), "UID_MAP") if row is not None and owner is not None else None

    def read(self, tag: PadTag, pair: AfiPair) -> TagItem:
        """What a tag is at this branch; never raises."""
        found = recognised(tag, pair)
        secured, content = security_of(tag, pair), found.content
        divergences = content.divergences if content is not None else ()
        if found.kind in ("reader_card", "shelf_label", "equipment"):
            return TagItem(tag.uid, None, secured, _CODES[found.kind], content=content, divergences=divergences)
        named = self._named(content) if found.kind == "item" and content is not None else None
        chip = self.chip(tag.uid)
        part, parts = _set_of(content)
        if named is not None:
            if chip is not None and chip[0] != named:
                divergences = (*divergences, UID_SAYS_OTHERWISE)
            return TagItem(tag.uid, named, secured, "OK", part, parts, "TAG", content, divergences)
        # A chip's number comes with its own check over the air: it is known even where the memory is blank or damaged.
        placed = chip if chip is not None and chip[1] == "STAFF" else None
        if placed is None and found.kind == "item" and content is not None:
            placed = self._translated(content) or chip or self._own(content)
        placed = placed or chip
        if placed is not None:
            if content is not None and content.pii and content.pii != placed[0].item_no:
                divergences = (*divergences, UID_SAYS_OTHERWISE)
            return TagItem(tag.uid, placed[0], secured, "OK", part, parts, placed[1], content, divergences)
        return TagItem(
            tag.uid, None, secured, self._why_nobodys(found), part, parts, content=content, divergences=divergences
        )

    async def learn(self, uid: str, key: ItemKey, now: int) -> None:
        """Remember whose a chip is, as a person or an encoding said. Raises TagStoreError."""
        await self._store.learn(uid, key, now)

    async def forget(self, uid: str) -> None:
        """Forget what was said of a chip. Raises TagStoreError."""
        await self._store.forget(uid)

    def _named(self, content: TagContent) -> ItemKey | None:
        return _key(self.member(content.owner), content.pii) if content.owner else None

    def _translated(self, content: TagContent) -> tuple[ItemKey, str] | None:
        key = _key(self.alias(content.owner), content.pii) if content.owner else None
        return (key, "ALIAS") if key is not None else None

    def _own(self, content: TagContent) -> tuple[ItemKey, str] | None:
        """This library's own item of the number, only where the tag names nobody and the replica has that item."""
        if content.owner or not content.pii or len(content.pii) > MAX_NUMBER or not self._owns(content.pii):
            return None
        return ItemKey(self.org, content.pii), "OWN"

    @staticmethod
    def _why_nobodys(found: Recognition) -> str:
        if found.kind != "item" or found.content is None:
            return _CODES.get(found.kind, "FOREIGN")
        if not found.content.pii or len(found.content.pii) > MAX_NUMBER:
            return "FOREIGN"
        # Another country's library, or one outside the consortium, has said who it is; a word of its own has not.
        return "FOREIGN" if looks_like_isil(found.content.owner) else ASK_OWNER


def _key(owner: str | None, pii: str) -> ItemKey | None:
    return ItemKey(owner, pii) if owner is not None and 0 < len(pii) <= MAX_NUMBER else None


def _set_of(content: TagContent | None) -> tuple[int, int]:
    """Part and parts; a tag that states neither, or only one of them, is a piece of its own."""
    if content is None or content.parts <= 1 or not 1 <= content.part <= content.parts:
        return 1, 1
    return content.part, content.parts
