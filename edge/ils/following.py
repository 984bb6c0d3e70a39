"""From the edge's own durable events to what the ILS must be told: each once, in order, over restarts and re-issued epochs."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable

from consortium.bundle import Policy
from consortium.events import Event, EventError, Kind, decode
from consortium.identity import EventId, IdentityError, ItemKey
from consortium.mastership import BY_THE_ILS, Booking, bookings
from edge.clock import Stamp
from edge.ils.queue import Job, Queue
from edge.outbox import Draft, Kept, Outbox, Recorded

log = logging.getLogger(__name__)

KINDS = frozenset({Kind.CHECKOUT, Kind.RENEW, Kind.RETURN, Kind.RECEIVE})
"""Events that an ILS may have to book."""

_CHUNK = 500
_FRESH_MOST = 100_000


class Follower:
    """Watches one outbox and fills one queue; ``stirred`` is called on the loop when there is something to follow.

    A new ``ils.db`` begins at the present end of the outbox: what was before is not booked again. Where the queue is full it stops, and
    the outbox's archive keeps what follows.
    """

    def __init__(
        self,
        queue: Queue,
        outbox: Outbox,
        *,
        org: str,
        policy: Callable[[], Policy | None],
        book_foreign: bool,
        stirred: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._outbox = outbox
        self._org = org
        self._policy = policy
        self._book_foreign = book_foreign
        self._stirred = stirred
        self._fresh: dict[int, ItemKey] = {}  # tickets of events that were handed in and not yet looked at
        self._placed: dict[tuple[str, int], int] = {}  # their places once they are durable
        self._items: Counter[ItemKey] = Counter()  # of those, by item
        self._losses = 0  # how often it lost sight of what is new
        self._lost = True  # there may be events in the outbox that were neither looked at nor noted

    @property
    def behind(self) -> bool:
        """Whether there may be events in the outbox that were not looked at."""
        return self._lost or bool(self._fresh)

    async def begin(self) -> None:
        """Start to watch; a new queue begins here. Raises QueueFault, OutboxClosed."""
        if self._queue.cursor is None:
            await self._queue.add((), (self._outbox.epoch, self._outbox.last_seq))
        self._outbox.observe(self)

    def waits_for(self, item: ItemKey) -> bool:
        """Whether the ILS may have to be told something about this item before it can be asked about it."""
        return self._lost or self._queue.waits_for(item) or item in self._items

    # --- the outbox's observer

    def accepted(self, ticket: int, draft: Draft, stamp: Stamp) -> None:
        """An own event was handed in."""
        if draft.kind not in KINDS or BY_THE_ILS in draft.data.get("flags", ()):
            return
        if len(self._fresh) >= _FRESH_MOST:
            self._lose_sight()
            return
        item = self._fresh[ticket] = ItemKey(*draft.data["item"])
        self._items[item] += 1

    def recorded(self, ticket: int, recorded: Recorded) -> None:
        """It is durable."""
        if ticket in self._fresh:
            self._placed[recorded.event_id.epoch, recorded.event_id.seq] = ticket
            self._stirred()

    def failed(self, ticket: int) -> None:
        """It was not recorded."""
        self._looked_at(ticket)

    def renumbered(self) -> None:
        """Events were issued again under a new epoch."""
        self._lose_sight()
        self._fresh.clear()
        self._placed.clear()
        self._items.clear()
        self._stirred()

    def _lose_sight(self) -> None:
        self._losses += 1
        self._lost = True

    def _looked_at(self, ticket: int) -> None:
        item = self._fresh.pop(ticket, None)
        if item is not None:
            self._items[item] -= 1
            if self._items[item] <= 0:
                del self._items[item]

    # --- following

    async def follow(self) -> bool:
        """Look at every new event; False where it had to stop for want of a policy or of room. Raises QueueFault, OutboxClosed."""
        policy = self._policy()
        if policy is None:
            return False
        losses = self._losses
        kept = self._outbox.counting(KINDS, self._queue.cursor)
        while kept:
            most = min(_CHUNK, self._queue.room)  # an event is one booking here at most
            if most == 0:
                self._lost = True
                return False
            await self._take(policy, kept[:most])
            del kept[:most]
        if losses == self._losses:
            self._lost = False
        return True

    async def _take(self, policy: Policy, kept: list[Kept]) -> None:
        jobs: dict[str, list[Job]] = {}
        for one in kept:
            of_epoch = jobs.setdefault(one.epoch, [])
            if not self._seen(one):
                of_epoch += self._jobs(policy, one)
        ends = {one.epoch: one.seq for one in kept}
        for epoch, found in jobs.items():
            await self._queue.add(found, (epoch, ends[epoch]))
        for one in kept:
            ticket = self._placed.pop((one.epoch, one.seq), None)
            if ticket is not None:
                self._looked_at(ticket)

    def _seen(self, kept: Kept) -> bool:
        """Whether an event issued again was looked at under its first name."""
        if '"reissue_of"' not in kept.body:
            return False
        try:
            first = EventId.parse(str(json.loads(kept.body).get("reissue_of")))
        except (IdentityError, ValueError):
            return False
        reached = self._queue.reached
        return first.seq <= reached.get(first.epoch, 0) or first.epoch < min(reached, default="")

    def _jobs(self, policy: Policy, kept: Kept) -> list[Job]:
        try:
            event = decode(kept.body)
        except EventError as error:
            log.error("an own event cannot be read for the ILS: %s/%d %s", kept.epoch, kept.seq, error.code)
            return []
        return [self._job(event, kept, one) for one in bookings(policy, event) if self._is_ours(one)]

    def _is_ours(self, one: Booking) -> bool:
        return one.org == self._org and (one.item.owner == self._org or self._book_foreign)

    @staticmethod
    def _job(event: Event, kept: Kept, one: Booking) -> Job:
        return Job(event.reissue_of or one.of, one.task, one.item, one.t, one.due, one.home, kept.srid)
