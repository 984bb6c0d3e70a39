"""Sending work to the edges that have an ILS beside them: at once, at their hello, and every minute until it is taken."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from hub.ils import work
from hub.ils.places import Places
from hub.metrics import Metrics
from hub.store.engine import Store

_log = logging.getLogger(__name__)

EVERY_S = 60.0
"""Seconds after which work that was not taken is sent again."""

WINDOW = 50
"""Jobs of one library under way at once; what is taken makes room for the next."""

Send = Callable[[str, dict[str, Any]], Awaitable[None]]
"""Sends a job to a node; raises ConnectionError where it cannot be sent now."""


class Sender:
    """One task. ``poke`` says that there is work, ``again`` that a library's nodes may have missed some; ``taken`` is an edge's
    answer."""

    def __init__(
        self,
        store: Store,
        places: Places,
        metrics: Metrics,
        clock: Callable[[], int],
        send: Send,
        *,
        every_s: float = EVERY_S,
    ) -> None:
        self._store = store
        self._places = places
        self._metrics = metrics
        self._clock = clock
        self._send = send
        self._every_s = every_s
        self._wanted: set[str] = set()
        self._sent: dict[tuple[str, str], float] = {}  # when, by the loop's clock
        self._taken: list[tuple[str, str, str]] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; what waited from before is looked for at once."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="hub ils work")

    async def stop(self) -> None:
        """End; what was not taken is sent again at the next start."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def poke(self, orgs: Iterable[str]) -> None:
        """These libraries have new work, committed."""
        self._wanted.update(orgs)
        self._wake.set()

    def again(self, org: str) -> None:
        """A node of this library has come (back): send what was not taken."""
        for name in [name for name in self._sent if name[0] == org]:
            del self._sent[name]
        self.poke([org])

    def taken(self, node: str, org: str, data: Mapping[str, Any]) -> bool:
        """An edge's answer on ``work-rep``; False where it is none. A node speaks for its own library alone."""
        of = data.get("of")
        if data.get("org") != org or data.get("state") != "taken" or not isinstance(of, str) or len(of) > 160:
            return False
        self._taken.append((org, of, node))
        self._wanted.add(org)
        self._wake.set()
        return True

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due - loop.time())):
                    await self._wake.wait()
            self._wake.clear()
            try:
                if loop.time() >= due:
                    due = loop.time() + self._every_s
                    self._sent = {name: at for name, at in self._sent.items() if loop.time() - at < self._every_s}
                    async with self._store.read() as conn:
                        self._wanted.update(await work.waiting_for(conn, self._clock()))
                await self._round(loop.time())
            except SQLAlchemyError as error:  # the database is away: the next round finds the same
                _log.warning("ils: work could not be read (%s)", type(error).__name__)
                await asyncio.sleep(1.0)

    async def _round(self, at: float) -> None:
        taken, self._taken = self._taken, []
        if taken:
            async with self._store.write() as conn:
                await work.take(conn, taken, self._clock())
            for org, of, _ in taken:
                self._sent.pop((org, of), None)
        orgs, self._wanted = self._wanted, set()
        for org in sorted(orgs):
            await self._send_to(org, at)
        async with self._store.read() as conn:
            found = await work.counts(conn)
        for state, n in found.items():
            self._metrics.ils_work.labels(state).set(n)

    async def _send_to(self, org: str, at: float) -> None:
        node = self._places.for_work(org, self._clock())
        if node is None:
            return
        async with self._store.read() as conn:
            jobs = await work.to_send(conn, org, self._clock(), most=WINDOW)
        for job in jobs:
            name = (job.org, job.of)
            if name in self._sent and at - self._sent[name] < self._every_s:
                continue
            try:
                await self._send(node, job.to_data())
            except ConnectionError as error:
                _log.info("ils: work for %s was not sent: %s", node, error)
                return
            self._sent[name] = at
