"""What this edge did itself and the ILS knows or is being told: so that a row of the feed that only repeats it is known as such.

Follows the outbox: CHECKOUT, RENEW, RETURN and RECEIVE of items of this library, and the BOOKED and REFUSED that answer them.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from consortium.events import Kind
from consortium.identity import EventId
from consortium.mastership import BY_THE_ILS, Task
from edge.clock import Stamp
from edge.ils.feeds import What
from edge.outbox import Draft, Outbox, Recorded

SKEW_MS = 120_000
"""How far the ILS's clock and ours may be apart, the time of a transaction included."""

MAX_ITEMS = 100_000
"""Items remembered; the ones touched longest ago go first."""

_KINDS = frozenset({Kind.CHECKOUT, Kind.RENEW, Kind.RETURN, Kind.RECEIVE, Kind.ILS_OBSERVED})
_TASK = {Kind.CHECKOUT: Task.CHECKOUT, Kind.RENEW: Task.RENEW, Kind.RETURN: Task.CHECKIN, Kind.RECEIVE: Task.CHECKIN}
_ROW = {Task.CHECKOUT: What.LOAN, Task.RENEW: What.RENEWAL, Task.CHECKIN: What.RETURN}


@dataclass(slots=True, eq=False)
class Done:
    """Something that this edge did.

    ``told``: when the ILS had it, None = not yet as far as is known. ``name`` of the event, "" = not durable yet.
    ``seen``: its row has come.
    """

    task: Task
    t: int
    srid: str | None
    told: int | None = None
    name: str = ""
    seen: bool = False


class Journal:
    """Own transactions by item. ``load`` once before use, with the outbox running."""

    def __init__(self, outbox: Outbox, org: str) -> None:
        self._outbox, self._org = outbox, org
        self._items: OrderedDict[str, list[Done]] = OrderedDict()
        self._tickets: dict[int, tuple[str, Done]] = {}
        self._names: dict[str, tuple[str, Done]] = {}

    def load(self, since_ms: int) -> None:
        """Read back what was done since then, and follow from now on."""
        for kept in self._outbox.counting(_KINDS, None, since_ms):
            body = json.loads(kept.body)
            done = self._note(kept.kind, body["data"], kept.srid, body["t_eff"])
            if done is not None:
                self._named(*done, body.get("reissue_of") or str(EventId(body["node"], kept.epoch, kept.seq)))
        self._outbox.observe(self)

    # --- the outbox's observer ---

    def accepted(self, ticket: int, draft: Draft, stamp: Stamp) -> None:
        """Something was done."""
        if draft.kind in _KINDS:
            done = self._note(draft.kind, draft.data, draft.srid, stamp.t_eff)
            if done is not None:
                self._tickets[ticket] = done

    def recorded(self, ticket: int, recorded: Recorded) -> None:
        """It is durable and has a name by which BOOKED refers to it."""
        entry = self._tickets.pop(ticket, None)
        if entry is not None:
            self._named(*entry, str(recorded.event_id))

    def failed(self, ticket: int) -> None:
        """It never happened."""
        entry = self._tickets.pop(ticket, None)
        if entry is not None:
            self._drop(*entry)

    def renumbered(self) -> None:
        """Names changed; BOOKED refers to the first name an event had, and what is told by then is told."""

    # --- what it says ---

    def repeats(self, item_no: str, what: What, t_ms: int, srid: str | None, now: int) -> bool:
        """Whether a row only repeats something done here; that is then used up, so that the next row of the kind is news."""
        for done in self._items.get(item_no, ()):
            if done.seen or _ROW[done.task] is not what:
                continue
            if what is not What.RETURN and None not in (done.srid, srid) and done.srid != srid:
                continue
            if done.t - SKEW_MS <= t_ms <= (done.told if done.told is not None else now) + SKEW_MS:
                done.seen = True
                return True
        return False

    def pending(self, item_no: str) -> bool:
        """Whether something about the item is not known to have reached the ILS."""
        return any(done.told is None for done in self._items.get(item_no, ()))

    def loan_name(self, item_no: str, t_out: int) -> str:
        """The event by which this edge lent the item then, "" where it did not or does not remember."""
        found = (done.name for done in self._items.get(item_no, ()) if done.task is Task.CHECKOUT and done.t == t_out)
        return next(found, "")

    def last(self, item_no: str) -> int:
        """When this edge last did something with the item, ms UTC; 0 = never as far as is remembered."""
        return max((done.t for done in self._items.get(item_no, ())), default=0)

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    # --- keeping it ---

    def _note(self, kind: Kind, data: Mapping[str, Any], srid: str | None, t: int) -> tuple[str, Done] | None:
        item = data.get("item")
        if not item or item[0] != self._org:
            return None
        if kind is Kind.ILS_OBSERVED:
            self._answered(str(item[1]), data, t)
            return None
        told = t if BY_THE_ILS in data.get("flags", ()) else None
        done = Done(_TASK[kind], t, srid, told)
        self._add(str(item[1]), done)
        return str(item[1]), done

    def _answered(self, item_no: str, data: Mapping[str, Any], t: int) -> None:
        if data["what"] not in ("BOOKED", "REFUSED"):
            return
        entry = self._names.get(str(data.get("ref", "")))
        if entry is not None:
            entry[1].told = int(data["as_of"])
            if data["what"] == "REFUSED":
                self._drop(*entry)
        elif data["what"] == "BOOKED" and data.get("status") in set(Task):  # the hub's work: done elsewhere, told here
            self._add(item_no, Done(Task(data["status"]), t, None, int(data["as_of"])))

    def _named(self, item_no: str, done: Done, name: str) -> None:
        done.name = name
        self._names[name] = (item_no, done)

    def _add(self, item_no: str, done: Done) -> None:
        known = self._items.setdefault(item_no, [])
        known.append(done)
        if len(known) > 16:
            self._forget(known.pop(0))
        self._items.move_to_end(item_no)
        while len(self._items) > MAX_ITEMS:
            _, oldest = self._items.popitem(last=False)
            for gone in oldest:
                self._forget(gone)

    def _drop(self, item_no: str, done: Done) -> None:
        self._forget(done)
        known = self._items.get(item_no)
        if known is not None and done in known:
            known.remove(done)
            if not known:
                del self._items[item_no]

    def _forget(self, done: Done) -> None:
        self._names.pop(done.name, None)
