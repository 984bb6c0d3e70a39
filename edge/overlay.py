"""Own events that the replica does not contain yet, and what they mean for items, readers and the house.

For an item the last own event decides; for a reader's loans the replica's row and that event are compared item by item, so that nothing
is forgotten and nothing counted twice, whichever of the two arrives first (domain §6). The occupancy of a branch is counted here alone.
"""

from __future__ import annotations

import json
from bisect import insort
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any

from consortium.events import ITEM_KINDS, VISIT_KINDS, Kind
from consortium.facts import ItemStatus
from consortium.identity import ItemKey
from edge.clock import Stamp
from edge.outbox import Draft, Outbox, Recorded, Watermark
from edge.replica import Replica

VISIT_MS = 16 * 3_600_000
"""A visit without an exit counts this long; the hub closes it at night, the house empties by itself here."""

DAY_MS = 86_400_000

_AFTER = {"TRANSIT": ItemStatus.IN_TRANSIT, "HOLD": ItemStatus.HOLD_SHELF, "DESK": ItemStatus.EXCEPTION,
          "HOLD_HERE": ItemStatus.RETURNED_AT}  # fmt: skip
_MARKS = {"MISSING": ItemStatus.MISSING, "LOST": ItemStatus.LOST, "WITHDRAWN": ItemStatus.WITHDRAWN}


@dataclass(slots=True, eq=False)
class Own:
    """One own event about an item; ``place`` is (epoch, seq) once it is durable. ``srid``: who has the item after it.

    ``t_eff`` ms UTC is when it happened; ``renews`` whether it renewed a loan, ``terms`` what a loan or renewal promised.
    """

    status: ItemStatus
    branch: str
    srid: str | None = None
    item_type: str | None = None
    transit_to: str | None = None
    due: int | None = None
    place: tuple[str, int] = ("", 0)
    t_eff: int = 0
    renews: bool = False
    terms: dict[str, int] = field(default_factory=dict)

    @property
    def durable(self) -> bool:
        """Whether it is on the disk: nothing is promised, and no tag switched, by one that is not."""
        return self.place != ("", 0)


@dataclass(slots=True)
class House:
    """Who is inside one branch, by own ENTRY and EXIT events. Every answer is a kept count: a tap walks through no list.

    Of somebody seen to leave whom no card names, the oldest visit is taken for theirs until a card says otherwise.
    """

    partners: int = 0
    # srid -> (since ms, partner), oldest first; those taken for gone are all older than those inside.
    _inside: OrderedDict[str, tuple[int, bool]] = field(default_factory=OrderedDict)
    _gone: OrderedDict[str, tuple[int, bool]] = field(default_factory=OrderedDict)
    _entries: deque[int] = field(default_factory=deque)  # instants of partner entries, oldest first
    _day: tuple[int, int] = (0, 0)  # a day's start and the partner entries since

    def enter(self, srid: str, at: int, partner: bool) -> None:
        """A reader came in; a second entry without an exit starts a new visit."""
        if self._gone.pop(srid, None) is None and self._out(srid) and self._gone:
            # It was this reader whom nobody named: the visit that was taken for theirs goes on.
            other, visit = self._gone.popitem()
            self._inside[other] = visit
            self._inside.move_to_end(other, last=False)
            self.partners += visit[1]
        self._inside[srid] = (at, partner)
        if partner:
            self.partners += 1
            self._entries.append(at)
            self._day = (self._day[0], self._day[1] + (at >= self._day[0]))

    def leave(self, srid: str | None) -> None:
        """A reader went out; an unknown one changes nothing."""
        if srid is not None and self._gone.pop(srid, None) is not None:
            self.somebody_left()  # whoever went before was another
        elif srid is not None:
            self._out(srid)

    def somebody_left(self) -> None:
        """Somebody was seen to go out, and no card says who; with nobody inside it changes nothing."""
        if self._inside:
            srid, visit = next(iter(self._inside.items()))
            self._out(srid)
            self._gone[srid] = visit

    def _out(self, srid: str) -> bool:
        was = self._inside.pop(srid, None)
        if was is not None and was[1]:
            self.partners -= 1
        return was is not None

    def holds(self, srid: str) -> bool:
        """Whether this reader is inside."""
        return srid in self._inside

    def occupancy(self, now: int) -> int:
        """Persons inside; visits older than a visit may be are closed first."""
        for visits in (self._gone, self._inside):
            while visits:
                srid, (since, _) = next(iter(visits.items()))
                if since > now - VISIT_MS:
                    break
                if visits is self._gone:
                    del self._gone[srid]
                else:
                    self._out(srid)
        return len(self._inside)

    def partner_entries(self, day_start: int) -> int:
        """Entries of partner readers since ``day_start``, an instant within the last two days."""
        if self._day[0] != day_start:
            while self._entries and self._entries[0] < day_start - DAY_MS:
                self._entries.popleft()
            self._day = (day_start, sum(1 for at in self._entries if at >= day_start))
        return self._day[1]


class Overlay:
    """Follows one outbox; ``load`` once after both have started. What the replica includes is dropped, the rest answers at once."""

    def __init__(self, outbox: Outbox, replica: Replica) -> None:
        self._outbox = outbox
        self._replica = replica
        self._items: dict[ItemKey, list[Own]] = {}
        self._about: dict[
            str, set[ItemKey]
        ] = {}  # srid -> items whose loan by this reader an own event opened or ended
        self._waiting: dict[int, tuple[ItemKey, Own]] = {}
        self._order: deque[tuple[ItemKey, Own]] = deque()  # durable ones, by (epoch, seq)
        self._houses: dict[str, House] = {}
        self._includes: Watermark | None = None
        outbox.observe(self)

    def load(self, now: int) -> None:
        """Read own events back from the outbox file: items after what the replica includes, visits of the last two days."""
        self._waiting, self._houses = {}, {}
        self._load_items()
        for kept in self._outbox.counting(VISIT_KINDS, None, now - 2 * DAY_MS):
            body = json.loads(kept.body)
            self._visit(kept.kind, body["branch"], body["data"], kept.srid, body["t_eff"])

    def _load_items(self) -> None:
        self._items, self._about, self._order = {}, {}, deque()
        self._includes = self._replica.includes
        for kept in self._outbox.counting(ITEM_KINDS, self._includes):
            body = json.loads(kept.body)
            own = _own(kept.kind, body["branch"], body["data"], kept.srid, body["t_eff"])
            if own is not None:
                own.place = (kept.epoch, kept.seq)
                key = ItemKey(*body["data"]["item"])
                self._add(key, own)
                self._order.append((key, own))

    # --- the outbox's observer ---

    def accepted(self, ticket: int, draft: Draft, stamp: Stamp) -> None:
        """An own event was handed in: it counts from now on, durable or not yet."""
        if draft.kind in VISIT_KINDS:
            self._visit(draft.kind, draft.branch, draft.data, draft.srid, stamp.t_eff)
        elif draft.kind in ITEM_KINDS:
            own = _own(draft.kind, draft.branch, draft.data, draft.srid, stamp.t_eff)
            if own is not None:
                key = ItemKey(*draft.data["item"])
                self._add(key, own)
                self._waiting[ticket] = (key, own)

    def recorded(self, ticket: int, recorded: Recorded) -> None:
        """It is durable and has its place in the chain."""
        entry = self._waiting.pop(ticket, None)
        if entry is not None:
            entry[1].place = (recorded.event_id.epoch, recorded.event_id.seq)
            self._order.append(entry)

    def failed(self, ticket: int) -> None:
        """It could not be recorded: no loan and no return was promised. (A visit stays counted: the person did walk in.)"""
        entry = self._waiting.pop(ticket, None)
        if entry is not None:
            self._remove(*entry)

    def renumbered(self) -> None:
        """Events were issued again under a new epoch: read them anew; those not durable yet follow with their own answers."""
        self._load_items()
        for key, own in self._waiting.values():
            self._add(key, own)

    # --- what it says ---

    def item(self, key: ItemKey) -> Own | None:
        """The last own event about an item that the replica does not contain yet."""
        self._trim()
        owns = self._items.get(key)
        return owns[-1] if owns else None

    def owns(self, key: ItemKey) -> tuple[Own, ...]:
        """All own events about an item that the replica does not contain yet, in the order they happened."""
        self._trim()
        return tuple(self._items.get(key, ()))

    def item_type(self, key: ItemKey) -> str | None:
        """The type that own events name for an item."""
        return next((own.item_type for own in reversed(self._items.get(key, ())) if own.item_type), None)

    def about(self, srid: str) -> list[tuple[ItemKey, Own]]:
        """Items whose loan by this reader own events opened or ended, each with the last own event."""
        self._trim()
        keys = self._about.get(srid)
        if not keys:
            return []
        gone = [key for key in keys if key not in self._items]
        keys.difference_update(gone)
        if not keys:
            del self._about[srid]
        return [(key, self._items[key][-1]) for key in sorted(keys)]

    def house(self, branch: str) -> House:
        """Who is inside a branch."""
        return self._houses.setdefault(branch, House())

    def __len__(self) -> int:
        """Items with own events that the replica does not contain yet."""
        self._trim()
        return len(self._items)

    # --- keeping it ---

    def _trim(self) -> None:
        includes = self._replica.includes
        if includes is None or includes == self._includes:
            return
        self._includes = includes
        while self._order and includes.holds(*self._order[0][1].place):
            self._remove(*self._order.popleft())

    def _visit(self, kind: Kind, branch: str, data: dict[str, Any], srid: str | None, at: int) -> None:
        if kind is Kind.EXIT and srid is None and data.get("passage") == "confirmed":
            self.house(branch).somebody_left()
        elif kind is Kind.EXIT:
            self.house(branch).leave(srid)
        elif srid is not None:
            self.house(branch).enter(srid, at, data["class"] == "partner")

    def _add(self, key: ItemKey, own: Own) -> None:
        owns = self._items.setdefault(key, [])
        known = self._replica.item(key.owner, key.item_no)
        before = owns[-1].srid if owns else known.loan_srid if known else None
        for srid in {own.srid, before} - {None}:
            self._about.setdefault(str(srid), set()).add(key)
        if own.item_type is None and owns:
            own.item_type = owns[-1].item_type
        # What a kiosk reports after having been off line goes where it happened: a later event still decides.
        insort(owns, own, key=lambda one: one.t_eff)

    def _remove(self, key: ItemKey, own: Own) -> None:
        owns = self._items[key]
        owns.remove(own)
        if not owns:
            del self._items[key]


def _own(kind: Kind, branch: str, data: dict[str, Any], srid: str | None, t_eff: int) -> Own | None:
    if kind in (Kind.CHECKOUT, Kind.RENEW):
        return Own(
            ItemStatus.ON_LOAN, branch, srid, data.get("type"), due=data["due"], t_eff=t_eff,
            renews=kind is Kind.RENEW, terms=data.get("terms") or {},
        )  # fmt: skip
    if kind in (Kind.RETURN, Kind.RECEIVE):
        route = data["route"]
        status = _AFTER.get(route["action"], ItemStatus.SHELVED)
        to = route.get("dest") if status is ItemStatus.IN_TRANSIT else None
        return Own(status, branch, None, data.get("type"), to, t_eff=t_eff)
    if kind is Kind.ILS_OBSERVED and data.get("item"):
        return _seen_in_the_ils(branch, data, srid, t_eff)
    return None  # TRANSIT_SENT: the item was on its way before


def _seen_in_the_ils(branch: str, data: dict[str, Any], srid: str | None, t_eff: int) -> Own | None:
    """What a member's own ILS did with the item; what it merely says about one of our events moves nothing."""
    what = data["what"]
    if what == "RENEWAL" and srid is None:
        return None  # whose loan it is stands in what is known already
    if what in ("LOAN", "RENEWAL"):
        return Own(
            ItemStatus.ON_LOAN, branch, srid, data.get("type") or None, due=data.get("due"), t_eff=t_eff,
            renews=what == "RENEWAL",
        )  # fmt: skip
    if what == "RETURN":
        return Own(ItemStatus.SHELVED, branch, t_eff=t_eff)
    status = _MARKS.get(data.get("status", "")) if what == "ITEM" else None
    return Own(status, branch, t_eff=t_eff) if status is not None else None
