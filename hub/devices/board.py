"""The state topic: births, last wills and the ten-second word of every branch, into ``nodes`` and ``devices``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select, update

from hub.devices.nodes import Nodes
from hub.metrics import Metrics
from hub.store.engine import Store, execute_rows, upsert
from hub.store.schema import devices, nodes

MAX_DEVICES = 500
_STATES = frozenset({"online", "degraded", "offline", "unknown"})


class Board:
    """Writes what branches say of themselves."""

    def __init__(self, store: Store, enrolled: Nodes, metrics: Metrics) -> None:
        self._store = store
        self._nodes = enrolled
        self._metrics = metrics

    async def state(self, node: str, data: Mapping[str, Any], *, retained: bool, now: int) -> dict[str, Any] | None:
        """Take one message of ``{node}/state``; gives what listeners should hear when the node came or went, else None.

        A retained message is an old one told again: it is as old as its own ``t``, and the hub never calls anybody seen for it.
        """
        known = await self._nodes.find(node, now)
        if known is None:
            return None
        online = data.get("online") is True
        said_at = _time(data.get("t"), now)
        seen = (said_at or 0) if retained else now
        async with self._store.write() as conn:
            before = (await conn.execute(select(nodes).where(nodes.c.node == node))).one()
            flipped = before.online != online
            values: dict[str, Any] = {"online": online}
            if flipped:
                values["since"] = (said_at if retained and said_at else now) if online else now
            if online:
                values["last_seen"] = max(before.last_seen, seen)
                values["version"] = _text(data.get("version"), 32)
                values["epoch"] = _text(data.get("epoch"), 64)
                rows = _device_rows(node, known.branch, data.get("devices"), values["last_seen"])
                await execute_rows(conn, upsert(conn, devices), rows)
            await conn.execute(update(nodes).where(nodes.c.node == node).values(**values))
        self._metrics.node_online.labels(node).set(online)
        if online:
            self._metrics.node_last_seen.labels(node).set(values["last_seen"] / 1000)
            for row in rows:
                self._metrics.device_last_seen.labels(node, row["id"]).set(row["last_seen"] / 1000)
        if not flipped:
            return None
        return {"kind": "NODE", "node": node, "branch": known.branch, "online": online, "since": values["since"]}


def _text(value: Any, most: int) -> str | None:
    return value[:most] if isinstance(value, str) else None


def _time(value: Any, now: int) -> int | None:
    """A time somebody else's clock gave; never in our future."""
    return min(value, now) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _device_rows(node: str, branch: str, given: Any, seen: int) -> list[dict[str, Any]]:
    rows = []
    for name, one in list(given.items())[:MAX_DEVICES] if isinstance(given, dict) else ():
        if not isinstance(one, dict) or not 0 < len(name) <= 64:
            continue
        state = one.get("state")
        facts = one.get("facts")
        rows.append(
            {"id": name, "node": node, "branch": branch, "kind": _text(one.get("kind"), 24) or "unknown",
             "state": state if state in _STATES else "unknown", "since": _time(one.get("since"), seen) or seen,
             "last_seen": seen, "facts": facts if isinstance(facts, dict) else {}}
        )  # fmt: skip
    return rows
