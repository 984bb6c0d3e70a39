"""The live feed: rows of the event log by position, as public JSON, to everybody who listens.

Nothing about a person leaves here: no rid, no srid, no salt, no body. A listener whose queue is full loses it whole and is told to
``resync``; nobody waits for a slow listener.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Any

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.store.engine import Store
from hub.store.schema import events, items

_log = logging.getLogger(__name__)
MAX_PAGE = 1_000
QUEUE = 512
"""Rows a listener may be behind before it is told to resync."""

_SHOWN = (
    "codes",
    "function",
    "class",
    "due",
    "flags",
    "code",
    "to",
    "state",
    "kind",
    "reason",
    "secured",
    "ok",
    "block",
    "basis",
    "passage",
    "antenna",
    "sounded",
    "came",
    "left",
    "drift",
    "missing",
    "tailgated",
)
_ROUTE = ("action", "dest", "via", "reason")


def public(row: Any) -> dict[str, Any]:
    """A log row as the world may see it. ``codes`` and ``outcome`` come from the decision where the event carries one."""
    body = msgspec.json.decode(row.body)
    data = body["data"]
    decision = body.get("decision") or {}
    out: dict[str, Any] = {
        "pos": row.pos,
        "id": f"{row.node}/{row.epoch}/{row.seq}",
        "node": row.node,
        "t_eff": row.t_eff,
        "t_arr": row.t_arr,
        "kind": row.kind,
        "branch": row.branch,
        "device": row.device,
        "item": None if row.owner is None else {"owner": row.owner, "item_no": row.item_no, "title": row.title},
        "home": data.get("home"),
        "outcome": decision.get("o"),
        "codes": decision.get("c") or data.get("codes") or [],
        "data": {name: data[name] for name in _SHOWN if name in data},
    }
    if isinstance(data.get("route"), dict):
        out["route"] = {name: data["route"][name] for name in _ROUTE if data["route"].get(name) is not None}
    return out


class Subscription:
    """A listener: an async iterator of public rows, in order of ``pos``. ``{"kind": "RESYNC", "pos": n}`` means rows up to ``n`` were
    dropped. Use it as an async context manager."""

    def __init__(self, feed: Feed, limit: int) -> None:
        self._feed = feed
        self._queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(limit)

    def push(self, row: dict[str, Any]) -> None:
        """Give it a row; where it is full, everything waiting becomes one RESYNC."""
        if self._queue.full():
            while not self._queue.empty():
                self._queue.get_nowait()
            self._queue.put_nowait({"kind": "RESYNC", "pos": row.get("pos")})
            return
        self._queue.put_nowait(row)

    async def next(self, timeout_s: float | None = None) -> dict[str, Any]:
        """The next row. Raises TimeoutError where none comes within ``timeout_s``."""
        async with asyncio.timeout(timeout_s):
            return await self._queue.get()

    async def __aenter__(self) -> Subscription:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Listen no more."""
        self._feed.unsubscribe(self)

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        while True:
            yield await self._queue.get()


class Feed:
    """Reads the log forward and hands it to listeners. ``publish`` is called after every commit that logged something."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._listeners: set[Subscription] = set()
        self._last = 0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return len(self._listeners)

    async def start(self) -> None:
        """Begin at the end of the log."""
        if self._task is None:
            async with self._store.read() as conn:
                self._last = await last_position(conn)
            self._task = asyncio.create_task(self._run(), name="hub feed")

    async def stop(self) -> None:
        """End; listeners get nothing more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def publish(self, *positions: int) -> None:
        """The log was committed up to these positions."""
        if self._listeners:
            self._wake.set()
        else:
            self._last = max(self._last, *positions)

    def announce(self, row: dict[str, Any]) -> None:
        """Tell every listener something that is not in the log, such as ``{"kind": "NODE", …}``; it has no ``pos``."""
        for listener in list(self._listeners):
            listener.push(row)

    def subscribe(self, *, limit: int = QUEUE) -> Subscription:
        """Listen to everything committed from now on; read what is older with ``since`` afterwards and drop what comes twice."""
        listener = Subscription(self, limit)
        self._listeners.add(listener)
        return listener

    def unsubscribe(self, listener: Subscription) -> None:
        """Stop one listener; safe to call twice."""
        self._listeners.discard(listener)

    async def since(self, pos: int, limit: int = 200) -> list[dict[str, Any]]:
        """Public rows after ``pos``, oldest first, at most ``limit`` (and never more than 1,000)."""
        async with self._store.read() as conn:
            return await rows_since(conn, pos, min(max(limit, 1), MAX_PAGE))

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                while rows := await self.since(self._last, MAX_PAGE):
                    self._last = rows[-1]["pos"]
                    self._hand_out(rows)
            except Exception:  # outer edge of the task: the next commit tries again
                _log.exception("feed: the log could not be read")

    def _hand_out(self, rows: Iterable[dict[str, Any]]) -> None:
        for row in rows:
            for listener in list(self._listeners):
                listener.push(row)


async def last_position(conn: AsyncConnection) -> int:
    """The newest position of the log, 0 where it is empty."""
    return int((await conn.execute(select(func.coalesce(func.max(events.c.pos), 0)))).scalar_one())


async def rows_since(conn: AsyncConnection, pos: int, limit: int) -> list[dict[str, Any]]:
    """Public rows after ``pos`` on a connection."""
    about = (items.c.owner == events.c.owner) & (items.c.item_no == events.c.item_no)
    query = (
        select(
            events.c.pos, events.c.node, events.c.epoch, events.c.seq, events.c.kind, events.c.branch, events.c.device,
            events.c.t_eff, events.c.t_arr, events.c.owner, events.c.item_no, events.c.body, items.c.title,
        )
        .select_from(events.outerjoin(items, about))
        .where(events.c.pos > pos)
        .order_by(events.c.pos)
        .limit(limit)
    )  # fmt: skip
    return [public(row) for row in await conn.execute(query)]
