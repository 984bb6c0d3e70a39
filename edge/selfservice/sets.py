"""An item and its parts on a pad: one box of three discs is lent whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from consortium.identity import ItemKey
from edge.tagmap import TagItem

__all__ = ["INCOMPLETE", "ItemSet", "sets_of"]

INCOMPLETE = "ITEM_INCOMPLETE"
"""Code of an item of which a part is missing; the kiosk's own, since no agreement or rule speaks of it."""


@dataclass(frozen=True, slots=True)
class ItemSet:
    """The tags of one item. ``parts`` is the most that any of them states, ``present`` which parts lie here, counted from 1."""

    key: ItemKey
    tags: tuple[TagItem, ...]
    parts: int
    present: frozenset[int]

    @property
    def complete(self) -> bool:
        """Whether every part lies here."""
        return len(self.present) == self.parts

    @property
    def missing(self) -> tuple[int, ...]:
        """The parts that do not lie here, in order."""
        return tuple(part for part in range(1, self.parts + 1) if part not in self.present)

    @property
    def duplicates(self) -> tuple[str, ...]:
        """UIDs of tags that repeat a part another tag has already: a chip that was glued in beside an old one."""
        seen: set[int] = set()
        again = []
        for tag in self.tags:
            if tag.part in seen:
                again.append(tag.uid)
            seen.add(tag.part)
        return tuple(again)

    @property
    def secured(self) -> bool | None:
        """What all its tags say; None where they differ or one says neither."""
        states = {tag.secured for tag in self.tags}
        return states.pop() if len(states) == 1 else None


def sets_of(tags: Iterable[TagItem]) -> dict[ItemKey, ItemSet]:
    """The items among some tags, in the order of their first tags."""
    found: dict[ItemKey, list[TagItem]] = {}
    for tag in tags:
        if tag.key is not None:
            found.setdefault(tag.key, []).append(tag)
    return {key: _set(key, tuple(mine)) for key, mine in found.items()}


def _set(key: ItemKey, tags: tuple[TagItem, ...]) -> ItemSet:
    parts = max(tag.parts for tag in tags)
    # A tag that states no set is the whole of a single item, but nobody knows which part of a set it would be.
    present = frozenset(tag.part for tag in tags if tag.parts > 1 or parts == 1)
    return ItemSet(key, tags, parts, present)
