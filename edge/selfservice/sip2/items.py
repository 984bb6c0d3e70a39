"""17 and 19: what an item is, and what a kiosk notes about it (SIP2 2.00: Item Information, Item Status Update)."""

from __future__ import annotations

from dataclasses import dataclass

from consortium.agreement import Master
from consortium.events import Kind
from consortium.facts import ItemStatus
from drivers.selfcheck import ItemResult, ItemUpdateResult, Reply
from edge.ils.port import ItemSaid
from edge.lookup import ItemView
from edge.selfservice.sip2.call import Call
from edge.selfservice.sip2.front import Front
from edge.selfservice.sip2.media import media_of
from protocols.sip2.dates import format_date

_CIRCULATION = {
    ItemStatus.SHELVED: "03",
    ItemStatus.ON_LOAN: "04",
    ItemStatus.RETURNED_AT: "09",
    ItemStatus.IN_TRANSIT: "10",
    ItemStatus.HOLD_SHELF: "08",
    ItemStatus.MISSING: "13",
    ItemStatus.LOST: "12",
    ItemStatus.CLAIMED_RETURNED: "11",
}
_OTHER, _RECALLED = "01", "07"

_ACTED_ON = {"DAMAGED": "MARKED_DAMAGED"}
"""Words in CH that mean something to us, and what we say to them; everything else in CH is not ours to keep."""


@dataclass(frozen=True, slots=True)
class _Standing:
    """How an item stands: SIP2's two digits, the due instant where it is out, how many wait."""

    circulation: str
    due: int | None
    holds: int


class Items:
    """Answers about items."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._desk = front.desk

    async def information(self, call: Call) -> Reply:
        """17 → 18: from the replica, the branch's own ILS or the hub."""
        found = await self._desk.look(call.item)
        if not isinstance(found, ItemView):
            return call.reply(ItemResult(circulation_status=_OTHER, screen=[call.line(found)]))
        facts = found.facts
        standing = _standing(found, await self._ask_ils(facts.owner, facts.item_no))
        recalled = found.recalled if standing.due is not None else None
        return call.reply(
            ItemResult(
                circulation_status=_RECALLED if recalled is not None else standing.circulation,
                title=found.title,
                due=call.site.due_text(standing.due) if standing.due is not None else None,
                owner=facts.owner,
                media=media_of(facts.item_type),
                permanent_location=facts.owner_branch,
                current_location=found.branch,
                hold_queue=standing.holds or None,
                recall_date=format_date(call.local(recalled)) if recalled is not None else None,
            )
        )

    async def _ask_ils(self, owner: str, item_no: str) -> ItemSaid | None:
        """An own item as the branch's own ILS sees it, where it keeps the loans."""
        ils, policy = self._desk.ils, self._desk.policy
        library = policy.libraries.get(self._desk.org) if policy is not None else None
        own = owner == self._desk.org and library is not None and library.masters.loans is Master.ILS
        return await ils.item(item_no) if ils is not None and own and ils.up else None

    async def update(self, call: Call) -> Reply:
        """19 → 20: nothing here keeps item properties, and the reply says so; a word that means something is acted on."""
        word = call.request.get("CH").strip().upper()
        key = self._desk.key_of(call.item)
        seen = self._desk.known_item(key) if key is not None else None
        title = seen.title if seen is not None else ""
        if key is None or seen is None:
            return call.reply(ItemUpdateResult(ok=False, screen=[call.line("ITEM_UNKNOWN")]))
        if word not in _ACTED_ON:
            return call.reply(ItemUpdateResult(ok=False, title=title, screen=[call.line("NOT_KEPT")]))
        done = await self._desk.note(Kind.ITEM_MARKED, key, call.device, {"mark": word})
        code = _ACTED_ON[word] if done else "OUT_OF_SERVICE"
        properties = word if done else None
        return call.reply(ItemUpdateResult(ok=done, title=title, properties=properties, screen=[call.line(code)]))


def _standing(found: ItemView, said: ItemSaid | None) -> _Standing:
    holds = max(found.holds, 1 if found.held else 0)
    if said is not None and said.circulation:
        return _Standing(said.circulation, said.due_ms, max(holds, said.holds))
    return _Standing(_CIRCULATION.get(found.facts.status, _OTHER), found.due, holds)
