"""Which policy was in force at an instant: every published bundle, compiled when it is first needed."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.bundle import Bundle, Policy, from_json
from consortium.review import PolicyAt
from hub.store.schema import bundles

MOST_COMPILED = 8
"""Policies kept compiled; beyond it the one compiled first is let go."""


@dataclass(frozen=True, slots=True)
class _Version:
    """A bundle in force from when it was issued, as far as it says that it is valid; ``since`` and ``until`` in ms UTC."""

    bundle: Bundle
    since: int
    until: int


class Policies:
    """The published bundles by time. A bundle never changes once it is published, so only new versions are ever read."""

    __slots__ = ("_compiled", "_versions")

    def __init__(self) -> None:
        self._versions: list[_Version] = []
        self._compiled: dict[int, Policy] = {}

    async def by_time(self, conn: AsyncConnection, current: Policy | None) -> PolicyAt:
        """Who asks for an instant gets the policy in force then; of several the newest. ``current``: the one decided by now."""
        newest = self._versions[-1].bundle.version if self._versions else 0
        if current is not None and current.version > newest:
            query = select(bundles.c.body).where(bundles.c.version > newest, bundles.c.version <= current.version)
            for body in (await conn.execute(query.order_by(bundles.c.version))).scalars():
                bundle = from_json(body)
                since = max(bundle.issued_ms, bundle.valid_from_ms)
                self._versions.append(_Version(bundle, since, bundle.valid_to_ms))
        return self._at

    def _at(self, t: int) -> Policy | None:
        for one in reversed(self._versions):
            if one.since <= t < one.until:
                return self._policy(one.bundle)
        return None

    def _policy(self, bundle: Bundle) -> Policy:
        found = self._compiled.get(bundle.version)
        if found is None:
            if len(self._compiled) >= MOST_COMPILED:
                del self._compiled[next(iter(self._compiled))]
            found = self._compiled[bundle.version] = Policy(bundle)
        return found
