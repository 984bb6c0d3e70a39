"""Who polls a feed: one task, back-off where the feed fails, and a state that staff can read. A broken feed stops nothing else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.ils.feed_csv import make_csv_feed
from edge.ils.feed_mapping import Table, number, text
from edge.ils.feed_rest import make_rest_feed
from edge.ils.feed_sql import make_sql_feed
from edge.ils.feeds import Feed, FeedError
from edge.ils.observe import Observer
from edge.outbox import OutboxError

_log = logging.getLogger(__name__)

_MAKERS: dict[str, Callable[[Table, str, Path], Feed]] = {
    "sql": make_sql_feed,
    "csv": make_csv_feed,
    "rest": make_rest_feed,
}
_SETTINGS = {
    "sql": {"module", "changes", "cursor", "timeout_s", "read_only"},
    "csv": {"folder", "encoding", "delimiter", "open_loans_age_h", "settle_s"},
    "rest": {"url", "token_file", "ca", "rows", "open_loans_rows", "timeout_s"},
}
_MOST_S = 300.0  # between two tries of a feed that fails


def make_feed(table: Table, *, zone: str, base: Path) -> Feed:
    """The feed that ``[ils.feed]`` describes; its files are relative to ``base``, dates without a zone are in ``zone``.

    Raises FeedError FEED_CONFIG.
    """
    kind = text(table, "kind")
    maker = _MAKERS.get(kind)
    if maker is None:
        raise FeedError("FEED_CONFIG", f"ils.feed.kind is one of {', '.join(sorted(_MAKERS))}", retry=False)
    known = _SETTINGS[kind] | {
        "kind",
        "every_s",
        "limit",
        "start",
        "open_loans",
        "date_format",
        "zone",
        "currency",
        "words",
    }
    for key in table:
        if key not in known and not key.startswith("col_") and not (kind == "sql" and key.startswith("db_")):
            raise FeedError("FEED_CONFIG", f"ils.feed.{key} is no setting of a feed of kind {kind}", retry=False)
    return maker(table, zone, base)


class FeedFollower:
    """Polls one feed into an observer. ``table`` gives ``every_s`` (15), ``limit`` (500) and ``start`` (a cursor to begin at)."""

    def __init__(self, feed: Feed, observer: Observer, table: Table, *, now: Callable[[], int]) -> None:
        self.feed = feed
        self._observer = observer
        self._now = now
        self._every_s = number(table, "every_s", 15, 1, 86_400)
        self._limit = number(table, "limit", 500, 1, 5_000)
        self._start = text(table, "start", "")
        self._task: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self.polls = self.rows = self.errors = 0
        self._failing = 0
        self._code = ""
        self._last_ok: int | None = None
        self._last_row: int | None = None

    async def start(self) -> None:
        """Begin to poll; what the observer does on touch is the feed's work from now on."""
        self._observer.fed = True
        self._task = asyncio.create_task(self._run(), name="ils-feed")

    async def stop(self) -> None:
        """Stop polling and close the feed."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self.feed.close()

    async def catch_up(self) -> None:
        """Take everything the feed has now. Raises FeedError, OutboxError."""
        async with self._turn:
            while True:
                after = self._observer.cursor or self._start
                batch = await self.feed.poll(after, self._limit)
                self.polls += 1
                all_taken = await self._observer.take(batch)
                self._last_ok = self._now()
                self.rows += len(batch.changes)
                times = [change.t_ms for change in batch.changes if change.t_ms is not None]
                if times:
                    self._last_row = max(times)
                if not all_taken or not batch.more or batch.cursor == after:
                    return

    async def _run(self) -> None:
        while True:
            try:
                await self.catch_up()
                if self._failing:
                    _log.info("ils feed: answers again after %d failures", self._failing)
                self._failing, self._code = 0, ""
            except FeedError as error:
                self._failed(error.code)
            except OutboxError as error:
                self._failed(error.code)
            except Exception:  # outer edge of the task: a feed must never end the edge, and the next poll may be well
                _log.exception("ils feed: failed")
                self._failed("FEED_FAULT")
            await asyncio.sleep(min(self._every_s * 2 ** min(self._failing, 16), max(_MOST_S, self._every_s)))

    def _failed(self, code: str) -> None:
        self.errors += 1
        self._failing += 1
        if code != self._code:
            _log.warning("ils feed (%s): %s", self.feed.kind, code)
        self._code = code

    def public(self) -> dict[str, Any]:
        """The feed's state; times ms UTC, ``lag_ms`` since it last answered. No row's content."""
        now = self._now()
        return {
            "kind": self.feed.kind,
            "state": "FAILING" if self._failing else "OK" if self._last_ok else "STARTING",
            "code": self._code,
            "last_ok": self._last_ok,
            "last_row": self._last_row,
            "lag_ms": now - self._last_ok if self._last_ok is not None else None,
            "polls": self.polls,
            "rows": self.rows,
            "errors": self.errors,
            "every_s": self._every_s,
            "taken": self._observer.public(),
        }
