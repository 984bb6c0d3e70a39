"""What is left on a pad: loans whose items nobody carried away, and items that came back without all their parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from consortium.identity import ItemKey
from drivers.base import DeviceOffline
from edge.answers import Answer, ItemRef
from edge.desk import Desk, HowReturned
from edge.selfservice.session import Lent
from edge.selfservice.sets import ItemSet
from edge.selfservice.tags import PadTags
from edge.staffnotes import StaffNotes

__all__ = ["LeftOnPad", "note_missing", "parts_of"]

CANCELS_CHECKOUT = "CHECKOUT_CANCELLED"
"""The flag of a return that undoes a loan which did not come about at the kiosk."""


class LeftOnPad:
    """Undoes a loan whose tags could not all be unsecured and whose reader left everything where it lay.

    The item never left the library, and one part of it would have alarmed. A reader who carried any of it away has the loan.
    """

    def __init__(self, tags: PadTags, desk: Desk, notes: StaffNotes) -> None:
        self._tags = tags
        self._desk = desk
        self._notes = notes

    def behind(self, lent: Mapping[ItemKey, Lent]) -> dict[ItemKey, Lent]:
        """Of what was lent, the items whose tags are not finished and all lie there still, and that nobody returned meanwhile."""
        waits = set(self._tags.put_back)
        return {
            key: each
            for key, each in lent.items()
            if key in waits and self._still_here(each.stack) and self._desk.loan_of(key) == each.loan
        }

    async def undo(self, left: Mapping[ItemKey, Lent]) -> list[Answer]:
        """Undo those loans: first that is durable, then the tags take back exactly what stood on them before.

        Only these very loans, for the item may be another reader's by now, and only what a fresh look finds there still: a pad that
        does not answer proves nothing, and then the loan stands.
        """
        try:
            await self._tags.fresh()
        except DeviceOffline:
            return []
        answers = []
        for key in left:
            each = self.behind({key: left[key]}).get(key)
            if each is None:
                continue  # mended, or taken, while this waited
            how = HowReturned(flags=(CANCELS_CHECKOUT,), loan=each.loan)
            answer = await self._desk.give_back(ItemRef(key.owner, key.item_no), self._tags.device, how=how)
            answers.append(answer)
            if answer.ok:
                await self._tags.undo(key, each.stack.tags)
                uids = tuple(tag.uid for tag in each.stack.tags)
                await self._notes.add("LEFT_ON_PAD", self._tags.device, key=key, uids=uids)
        return answers

    def _still_here(self, stack: ItemSet) -> bool:
        here = {tag.uid for tag in self._tags.read}
        return all(tag.uid in here for tag in stack.tags)


def parts_of(stack: ItemSet) -> dict[str, Any]:
    """How many parts the item has, how many lie here and which do not; nothing for an item of one piece."""
    if stack.parts == 1:
        return {}
    return {"parts": stack.parts, "parts_here": len(stack.present), "missing": list(stack.missing)}


async def note_missing(notes: StaffNotes, device: str, stack: ItemSet) -> None:
    """Tell staff which parts of a returned item did not come back."""
    missing = ",".join(str(part) for part in stack.missing[:20])
    uids = tuple(tag.uid for tag in stack.tags)
    await notes.add("PARTS_MISSING", device, key=stack.key, uids=uids, detail=f"{missing} / {stack.parts}")
