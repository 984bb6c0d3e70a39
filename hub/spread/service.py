"""Spread: deltas to a library's nodes as soon as they are committed, watermarks while nothing changes, snapshots on demand.

What is to be sent stands in ``site_deltas``, written in the transaction of the change itself, so that a rolled-back change sends
nothing and a crash between commit and sending loses nothing: an edge that sees a gap says ``hello`` and is given the missing
steps or a snapshot.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.identity.filling import fill, filled, is_filled
from hub.identity.index import reindex, with_namesakes
from hub.identity.keys import Identity
from hub.identity.readers import load_readers
from hub.ledger.items import Key
from hub.policy.current import CurrentPolicy
from hub.spread import changes
from hub.spread.snapshot import Body, assemble, build, sweep
from hub.spread.versions import (
    Delta,
    Includes,
    Version,
    deltas_after,
    forget_before,
    includes_of,
    raise_versions,
    versions_of,
)
from hub.store.engine import Store
from hub.store.schema import nodes

_log = logging.getLogger(__name__)

Send = Callable[[str, str, dict[str, Any]], Awaitable[None]]
"""Sends data to (node, part of the replica topic); it may fail, the edge then sees a gap and asks."""

KEEP_DELTAS_MS = 15 * 60_000
_CATCH_UP = 500  # version steps that are cheaper sent one by one than as a snapshot


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A file on disk and the manifest that names it."""

    path: Path
    manifest: dict[str, Any]


class Spread:
    """The outgoing side of every replica. ``folder`` holds snapshot files; ``send`` may be set later, without it nothing is sent."""

    def __init__(
        self,
        store: Store,
        identity: Identity,
        policy: CurrentPolicy,
        folder: Path,
        clock: Callable[[], int],
        *,
        watermark_s: float = 30.0,
    ) -> None:
        self._store = store
        self._identity = identity
        self._policy = policy
        self._folder = folder
        self._clock = clock
        self._watermark_s = watermark_s
        self.send: Send | None = None
        self.sent_deltas = 0
        self.send_failures = 0
        self._sent: dict[str, Version] = {}
        self._lock = asyncio.Lock()
        self._building: dict[str, asyncio.Lock] = {}
        self._bodies: dict[str, Body] = {}
        self._announced: dict[str, Snapshot] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    # ---- inside the transaction of a change ----

    async def changed(
        self,
        conn: AsyncConnection,
        *,
        rids: Iterable[str] = (),
        loans_of: Iterable[str] = (),
        items: Mapping[Key, frozenset[str]] | Iterable[Key] = (),
        policy: bool = False,
    ) -> None:
        """Raise the versions of the libraries a change concerns, in its transaction. Call ``publish`` after the commit.

        ``rids``: readers whose card, number, status or sharing changed (their names at every library are written anew); ``loans_of``:
        readers of whom only loans or blocks changed; ``items``: with the libraries whose replica had them before, where they moved;
        ``policy``: a new bundle is in force, so that everybody needs a snapshot.
        """
        found = self._policy.found
        orgs = self._policy.orgs
        now = self._clock()
        if policy:
            await raise_versions(conn, dict.fromkeys(orgs), self._committed, now)
            return
        if found is None:
            return
        steps = []
        wanted = set(rids)
        if wanted:
            records = await load_readers(conn, await with_namesakes(conn, wanted), now)
            await reindex(conn, self._identity, orgs, records.values())
            steps.append(await changes.readers_changed(conn, self._identity, found, orgs, wanted, now))
        if loaned := set(loans_of) - wanted:
            steps.append(await changes.loans_changed(conn, self._identity, found, orgs, loaned, now))
        before = dict(items) if isinstance(items, Mapping) else dict.fromkeys(items, frozenset[str]())
        if before:
            steps.append(await changes.items_changed(conn, self._identity, orgs, before))
        await changes.write_steps(conn, steps, self._committed, now)

    async def _committed(self, orgs: Sequence[str]) -> dict[str, Includes]:
        async with self._store.read() as beside:
            return await includes_of(beside, orgs)

    # ---- before the first answer ----

    async def complete(self) -> None:
        """Write down what an index of an earlier version lacks, before any snapshot is served; at once where nothing does.

        Afterwards every library's edges take a snapshot: theirs lacks the same. With a million cards it takes minutes and logs
        how far it is.
        """
        if await is_filled(self._store):
            return
        await fill(self._store, self._identity)
        async with self._store.write() as conn:
            await filled(conn, self._clock())
            await self.changed(conn, policy=True)

    # ---- after it ----

    def start(self) -> None:
        """Begin to send what is committed and, while nothing is, watermarks."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="hub spread")

    async def stop(self) -> None:
        """End; what was not sent is asked for by the edges."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def poke(self) -> None:
        """Something was committed: send it soon."""
        self._wake.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), max(0.0, due - loop.time()))
            self._wake.clear()
            try:
                if loop.time() >= due:
                    due = loop.time() + self._watermark_s
                    await self.watermark()
                else:
                    await self.publish()
            except Exception:  # outer edge of the task: the next round sends again
                self.send_failures += 1
                _log.exception("spread: a round failed")
                await asyncio.sleep(0.2)

    async def publish(self) -> None:
        """Send every committed step that was not sent yet to every node of its library."""
        async with self._lock:
            await self._publish()

    async def watermark(self) -> None:
        """Send what is due, then to every node the version it should have and the events contained in it."""
        now = self._clock()
        async with self._lock:
            at, includes = await self._publish()
            for org, version in at.items():
                for node, (epoch, upto) in includes.get(org, {}).items():
                    data = {
                        "generation": version.generation, "version": version.version, "asof_ms": now,
                        "includes": {"epoch": epoch, "upto": upto},
                    }  # fmt: skip
                    await self._say(node, "watermark", data)
        async with self._store.write() as conn:
            await forget_before(conn, now - KEEP_DELTAS_MS)

    async def _publish(self) -> tuple[dict[str, Version], dict[str, dict[str, tuple[str, int]]]]:
        # versions, steps and includes are read at one moment: a watermark must not name a step that comes after it
        due: dict[str, list[Delta]] = {}
        async with self._store.read() as conn:
            at = await versions_of(conn, self._policy.orgs)
            includes = await includes_of(conn, at)
            for org, version in at.items():
                last = self._sent.get(org)
                if last is not None and (last.generation, last.version) != (version.generation, version.version):
                    due[org] = await deltas_after(conn, org, last.version)
        for org, deltas in due.items():
            nodes_here = list(includes.get(org, {}))
            for delta in deltas:
                if delta.rows is None:
                    await self._announce(org, nodes_here)
                else:
                    await asyncio.gather(*(self._delta(node, at[org].generation, delta) for node in nodes_here))
        self._sent.update(at)
        return at, includes

    async def _delta(self, node: str, generation: int, delta: Delta) -> None:
        epoch, upto = delta.includes.get(node, ("", 0))
        data = {
            "generation": generation, "version": delta.version, "rows": delta.rows,
            "includes": {"epoch": epoch, "upto": upto}, "asof_ms": delta.t,
        }  # fmt: skip
        self.sent_deltas += 1
        await self._say(node, "delta", data)

    async def _announce(self, org: str, nodes_here: Iterable[str]) -> None:
        for node in nodes_here:
            snapshot = await self._fresh(org, node)
            await self._say(node, "manifest", snapshot.manifest)

    async def _say(self, node: str, part: str, data: dict[str, Any]) -> None:
        if self.send is None:
            return
        try:
            await self.send(node, part, data)
        except ConnectionError as error:
            self.send_failures += 1
            _log.info("spread: %s of %s was not sent: %s", part, node, error)

    # ---- when an edge asks ----

    async def catch_up(
        self, node: str, org: str, generation: int, version: int
    ) -> tuple[Version, dict[str, Any] | None]:
        """Bring a node that has this version up to date: the missing steps are sent to it, or the manifest of a snapshot is given."""
        async with self._lock:
            async with self._store.read() as conn:
                at = (await versions_of(conn, [org])).get(org)
                if at is None:
                    raise KeyError(org)
                behind = generation == at.generation and version <= at.version
                steps = await deltas_after(conn, org, version, limit=_CATCH_UP + 1) if behind else []
            whole = [step.version for step in steps] == list(range(version + 1, at.version + 1))
            if behind and whole and len(steps) <= _CATCH_UP and all(step.rows is not None for step in steps):
                for step in steps:
                    await self._delta(node, generation, step)
                return at, None
        snapshot = await self._fresh(org, node)
        return at, snapshot.manifest

    async def snapshot(self, org: str, node: str | None = None) -> Snapshot:
        """The snapshot that the node was last told of, as long as the steps after it are kept; else a new one.

        ``node`` defaults to the library's first. Raises KeyError for a library or node the hub does not serve.
        """
        async with self._store.read() as conn:
            query = select(nodes.c.node).where(nodes.c.org == org).order_by(nodes.c.node)
            known = list((await conn.execute(query)).scalars())
        if not known or (node is not None and node not in known):
            raise KeyError(node or org)
        node = node or known[0]
        told = self._announced.get(node)
        if told is not None and told.path.exists() and self._clock() - told.manifest["asof_ms"] < KEEP_DELTAS_MS // 2:
            return told
        return await self._fresh(org, node)

    async def _fresh(self, org: str, node: str) -> Snapshot:
        """A snapshot of the present version for this node, built unless there is one."""
        async with self._building.setdefault(org, asyncio.Lock()):
            async with self._store.read() as conn:
                at = (await versions_of(conn, [org]))[org]
            body = self._bodies.get(org)
            if body is None or body.at != at or not body.path.exists():
                url, identity = self._store.url, self._identity
                body = await asyncio.to_thread(build, url, identity, org, self._folder, self._clock())
                self._bodies[org] = body
            told = self._announced.get(node)
            stands = (told.manifest["generation"], told.manifest["version"]) if told else None
            if told is None or stands != (body.at.generation, body.at.version) or not told.path.exists():
                path, manifest = await asyncio.to_thread(assemble, body, node, self._folder)
                told = self._announced[node] = Snapshot(path, manifest)
            keep = {body.path, *(one.path for one in self._announced.values())}
            await asyncio.to_thread(sweep, self._folder, org, keep)
            return told
