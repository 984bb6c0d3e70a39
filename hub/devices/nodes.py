"""The nodes that may speak: which library and branch an edge belongs to."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from sqlalchemy import select

from hub.store.engine import Store
from hub.store.schema import nodes


@dataclass(frozen=True, slots=True)
class Node:
    """An enrolled edge."""

    node: str
    org: str
    branch: str


class Nodes:
    """Who is enrolled, remembered; an id not yet known is looked up, at most once in ``retry_ms``."""

    def __init__(self, store: Store, *, retry_ms: int = 1_000) -> None:
        self._store = store
        self._retry_ms = retry_ms
        self._known: dict[str, Node] = {}
        self._looked: int | None = None
        self._looking = asyncio.Lock()

    async def find(self, node: str, now: int) -> Node | None:
        """The enrolled node of this id, None for a stranger."""
        if node not in self._known:
            async with self._looking:  # whoever comes meanwhile waits for the answer
                if node not in self._known and (self._looked is None or now - self._looked >= self._retry_ms):
                    await self.refresh()
                    self._looked = now
        return self._known.get(node)

    async def refresh(self) -> None:
        """Read the enrolled nodes again."""
        async with self._store.read() as conn:
            rows = (await conn.execute(select(nodes.c.node, nodes.c.org, nodes.c.branch))).all()
        self._known = {row.node: Node(row.node, row.org, row.branch) for row in rows}
