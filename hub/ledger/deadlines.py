"""Deadlines kept: conflicts that nobody settled in time are settled by their default, as events of the hub's own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from sqlalchemy.exc import SQLAlchemyError

_log = logging.getLogger(__name__)
EVERY_S = 600.0
"""Seconds between two looks; a deadline is days away."""


class Deadlines:
    """Looks now and then. ``take`` settles what is due and gives how many; the worker owns this and stops it."""

    def __init__(self, take: Callable[[], Awaitable[int]], *, every_s: float = EVERY_S) -> None:
        self._take = take
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look, at once and then again and again."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="hub deadlines")

    async def stop(self) -> None:
        """End; what is due then is found at the next start."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                settled = await self._take()
            except SQLAlchemyError as error:  # the database is away: the next look finds the same
                _log.warning("conflicts past their deadline could not be settled: %s", type(error).__name__)
            else:
                if settled:
                    _log.info("%d conflicts were settled by their default", settled)
            await asyncio.sleep(self._every_s)
