"""Tells the ILS what it must book: in order for each item, for ever until it answers, each outcome an event of ours."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from consortium.events import Kind
from edge.ils.queue import Job, Queue, QueueFault
from edge.outbox import Draft, DraftInvalid, Outbox, OutboxError

log = logging.getLogger(__name__)

Settled = Literal["BOOKED", "REFUSED"]

_BATCH = 256
_FIRST_S, _MOST_S = 2.0, 900.0
_REST_S = 30.0
_GATHER_S = 0.05
"""Events that come close together are looked at together, with one flush to disk."""

_SWEEP_S = 3600.0
_TROUBLE_S = 5.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the ILS said to a booking: settled, or None for no answer. ``status``: why it could not even be asked, e.g. NO_PROXY."""

    settled: Settled | None
    status: str = ""
    asked: bool = True
    """False where the ILS was known to be away: that is nobody's fault and makes nothing wait longer."""


class Booker:
    """Works one queue off. ``book`` asks the ILS about one job, ``up`` says whether it can be asked, ``follow`` fills the queue.

    At most ``width`` bookings are under way at once, of different items. A booking that gets no answer though the ILS answers others
    waits longer each time, up to a quarter of an hour, and only what concerns its item waits with it.
    """

    def __init__(
        self,
        queue: Queue,
        outbox: Outbox,
        *,
        branch: str,
        book: Callable[[Job], Awaitable[Outcome]],
        up: Callable[[], bool],
        follow: Callable[[], Awaitable[bool]],
        clock_ms: Callable[[], int],
        width: int,
        told: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._outbox = outbox
        self._branch = branch
        self._book = book
        self._up = up
        self._follow = follow
        self._clock_ms = clock_ms
        self._slots = asyncio.Semaphore(width)
        self._told = told
        self._wake = asyncio.Event()
        self._waits: dict[int, tuple[int, float]] = {}  # job id -> tries without an answer, when it is tried again
        self._swept = 0.0
        self.booked = 0
        self.refused = 0
        self.trouble = ""
        """Code of what keeps it from working, "" for nothing."""

    @property
    def stuck(self) -> int:
        """Bookings that the ILS did not answer though it was there."""
        return len(self._waits)

    def stir(self) -> None:
        """There may be something to do."""
        self._wake.set()

    def retry_now(self) -> None:
        """The ILS came back: what it had not answered is asked again at once."""
        self._waits = {id_: (tries, 0.0) for id_, (tries, _) in self._waits.items()}
        self.stir()

    async def begin(self) -> None:
        """Settle what was settled before the last stop and not forgotten yet. Raises QueueFault, OutboxClosed."""
        last = 0
        while jobs := await self._queue.after(last, _BATCH):
            for job in jobs:
                if self._outbox.memo(_memo_key(job)) is not None:
                    await self._queue.done(job)
            last = jobs[-1].id

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            self._wake.clear()
            try:
                rest = await self._turn()
                self.trouble = ""
            except (QueueFault, OutboxError) as error:
                if self.trouble != error.code:
                    log.error("the ILS is told nothing: %s", error.code)
                self.trouble, rest = error.code, _TROUBLE_S
            self._told()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(rest):
                    await self._wake.wait()
                await asyncio.sleep(_GATHER_S)

    async def _turn(self) -> float:
        """One look at everything; gives the seconds until the next is due by itself."""
        complete = await self._follow()
        while await self._work() and not complete:
            complete = await self._follow()
        if time.monotonic() - self._swept > _SWEEP_S:
            await self._queue.sweep()
            self._swept = time.monotonic()
        due = min((due for _, due in self._waits.values()), default=time.monotonic() + _REST_S)
        return min(_REST_S if complete else _TROUBLE_S, max(0.1, due - time.monotonic()))

    async def _work(self) -> bool:
        """Work off what can be; gives whether anything was settled."""
        settled = False
        while self._up():
            now = time.monotonic()
            barred = [id_ for id_, (_, due) in self._waits.items() if due > now]
            jobs = await self._queue.heads(_BATCH, barred)
            if not jobs:
                break
            before = self._queue.depth
            ends = await asyncio.gather(*(self._one(job) for job in jobs), return_exceptions=True)
            self._look_at(jobs, ends)
            self._told()
            if self._queue.depth >= before:
                break  # no reason to ask the same again at once
            settled = True
        return settled

    async def _one(self, job: Job) -> None:
        async with self._slots:
            if self._outbox.memo(_memo_key(job)) is None:
                if not self._up():
                    return
                outcome = await self._book(job)
                if outcome.settled is None:
                    if outcome.asked:
                        self._later(job)
                    return
                await self._record(job, outcome.settled, outcome.status)
            await self._queue.done(job)
            self._waits.pop(job.id, None)

    def _look_at(self, jobs: list[Job], ends: list[BaseException | None]) -> None:
        """One faulty booking must not stop the rest; a full disk stops all. Raises QueueFault, OutboxError."""
        for job, end in zip(jobs, ends, strict=True):
            if isinstance(end, QueueFault | OutboxError):
                raise end
            if end is not None:
                log.error("a booking of the ILS failed: %s", job.of, exc_info=end)
                self._later(job)

    def _later(self, job: Job) -> None:
        tries, _ = self._waits.get(job.id, (0, 0.0))
        wait = min(_MOST_S, _FIRST_S * 2 ** min(tries, 12))
        self._waits[job.id] = (tries + 1, time.monotonic() + wait)

    async def _record(self, job: Job, settled: Settled, status: str) -> None:
        """The outcome as an event, and in the same transaction the memo that it is settled. Raises OutboxError."""
        data: dict[str, Any] = {
            "what": settled,
            "as_of": self._clock_ms(),
            "item": [job.item.owner, job.item.item_no],
            "status": status or job.task.value,
            "ref": job.of,
        }
        if job.home:
            data["home"] = job.home
        if job.due is not None:
            data["due"] = job.due
        draft = Draft(Kind.ILS_OBSERVED, self._branch, "ils", data)
        try:
            await self._outbox.append(draft, (_memo_key(job), settled.encode()))
        except DraftInvalid as error:
            log.error("an outcome of the ILS cannot be an event: %s", error.event_code)  # nothing would mend it later
            return
        if settled == "BOOKED":
            self.booked += 1
        else:
            self.refused += 1


def _memo_key(job: Job) -> str:
    return f"ils:{job.of}"
