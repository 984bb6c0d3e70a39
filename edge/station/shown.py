"""One tag as staff see it: what it says, what is known of the item, and where the two disagree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from consortium.identity import ItemKey
from drivers.base import PadTag
from edge.desk import Desk
from edge.selfservice.sets import ItemSet
from edge.selfservice.tags import PadTags
from edge.tagmap import UID_SAYS_OTHERWISE, TagItem, TagMap

__all__ = ["shown_stack"]


def shown_stack(pad: PadTags, desk: Desk, tagmap: TagMap, owns: Callable[[str], bool]) -> list[dict[str, Any]]:
    """Every tag on a pad, in the pad's order; ``owns`` tells whether a number is one of the library's own."""
    raw = {tag.uid: tag for tag in pad.tags}
    sets = pad.sets()
    return [_shown(item, raw.get(item.uid), sets, desk, tagmap, owns) for item in pad.read]


def _shown(
    item: TagItem,
    tag: PadTag | None,
    sets: dict[ItemKey, ItemSet],
    desk: Desk,
    tagmap: TagMap,
    owns: Callable[[str], bool],
) -> dict[str, Any]:
    key, content = item.key, item.content
    if item.code == "READER_CARD":  # shown as what it is; its number is nobody's business
        return {"uid": "", "code": item.code, "findings": []}
    stack = sets.get(key) if key is not None else None
    known = desk.known_item(key) if key is not None else None
    chip = tagmap.chip(item.uid) if UID_SAYS_OTHERWISE in item.divergences else None
    return {
        "uid": item.uid,
        "code": item.code,
        "tech": tag.tech if tag is not None else "",
        "format": content.format if content is not None else "",
        "owner": key.owner if key is not None else None,
        "owner_name": desk.org_names(key.owner) if key is not None else None,
        "owner_written": content.owner if content is not None else "",
        "item_no": key.item_no if key is not None else content.pii if content is not None else "",
        "by": item.by,
        "title": known.title if known is not None else "",
        "status": known.facts.status.value if known is not None else None,
        "part": item.part,
        "parts": item.parts,
        "missing": list(stack.missing) if stack is not None else [],
        "afi": f"{tag.afi:02X}" if tag is not None and tag.afi is not None else None,
        "eas": tag.eas if tag is not None else None,
        "secured": item.secured,
        "should_be": desk.should_be_secured(key) if key is not None else None,
        "divergences": list(item.divergences),
        "chip_item": [chip[0].owner, chip[0].item_no] if chip is not None else None,
        "findings": _findings(item, stack, desk, owns),
    }


def _findings(item: TagItem, stack: ItemSet | None, desk: Desk, owns: Callable[[str], bool]) -> list[str]:
    key = item.key
    if key is None or stack is None:
        return []
    found = []
    should, known = desk.should_be_secured(key), desk.known_item(key) is not None
    if not known and key.owner == desk.org:
        found.append("NOT_IN_REPLICA")
    if not known and key.owner != desk.org and owns(key.item_no):
        found.append("OWNER_SUSPECT")
    if item.secured is None:
        found.append("SECURITY_UNCLEAR")
    elif should is not None and item.secured is not should:
        found.append("SECURED_ON_LOAN" if item.secured else "UNSECURED_IN_STOCK")
    if not stack.complete:
        found.append("PARTS_MISSING")
    if item.uid in stack.duplicates:
        found.append("DUPLICATE_TAG")
    if UID_SAYS_OTHERWISE in item.divergences:
        found.append("UID_SAYS_OTHERWISE")
    return found
