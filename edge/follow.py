"""Following the hub's replica: deltas and watermarks in order, a snapshot where they do not fit.

One task takes the messages one after the other. Where one does not fit, the hub is greeted: it sends the missing steps again, or names
a snapshot. While that is fetched and built, what arrives waits in a bounded queue and is applied after it; what the snapshot contains
already is passed over by its version.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.config import EdgeConfig
from edge.replica import Gap, Replica, ReplicaInvalid, process

_log = logging.getLogger(__name__)
_QUEUE = 2_048  # messages of at most 16 KB that wait while a snapshot is made
_FETCH_TIMEOUT_S = 1_600.0
_RETRY_S = (1.0, 2.0, 5.0, 10.0, 30.0)
_REFUSED_RETRY_S = 300.0
"""A policy that is refused stays refused until somebody publishes another; a snapshot is too large to be fetched meanwhile."""
_REFUSED = ("SEAL_", "AGREEMENT_", "BUNDLE_")
_WAITS = "BUNDLE_NOT_YET"  # passes by itself: our clock or the hub's is a little off


@dataclass(slots=True)
class FollowStats:
    """Counters since start."""

    deltas: int = 0
    rows: int = 0
    gaps: int = 0
    snapshots: int = 0
    failures: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """What could not be used, by code."""


class Follower:
    """Keeps one replica after the hub's. ``greet`` asks the hub what it has: its hello reply, or None while it is away."""

    def __init__(
        self, config: EdgeConfig, replica: Replica, greet: Callable[[], Awaitable[Mapping[str, Any] | None]]
    ) -> None:
        self.stats = FollowStats()
        self._config = config
        self._replica = replica
        self._greet = greet
        self._queue: deque[tuple[str, Mapping[str, Any]]] = deque()
        self._came = asyncio.Event()

    def push(self, part: str, data: Mapping[str, Any]) -> None:
        """A message of ``replica/{part}`` came, or a hello reply named a manifest. Never waits."""
        if part == "manifest":
            for held in [one for one in self._queue if one[0] == "manifest"]:
                self._queue.remove(held)  # only the newest is worth fetching
        if len(self._queue) >= _QUEUE:
            self._queue.popleft()  # makes a gap, which a snapshot closes
        self._queue.append((part, data))
        self._came.set()

    async def run(self) -> None:
        """The task: until cancelled."""
        while True:
            while not self._queue:
                self._came.clear()
                await self._came.wait()
            part, data = self._queue.popleft()
            try:
                fits = await self._take(part, data)
            except ReplicaInvalid as error:
                self._refuse(part, error)
                fits = False
            if not fits:
                await self._catch_up()

    async def _take(self, part: str, data: Mapping[str, Any]) -> bool:
        if part == "manifest":
            return not self._wanted(data) or await self._snapshot(data)
        if part == "delta":
            self.stats.deltas += 1
            self.stats.rows += len(data.get("rows", ()))
            result = await self._replica.apply_delta(data)
        elif part == "watermark":
            result = await self._replica.apply_watermark(data)
        else:
            return True
        if isinstance(result, Gap):
            self.stats.gaps += 1
            _log.warning("replica: version %s came, we hold %s; fetching a snapshot", result.got, result.have)
            return False
        return True

    def _wanted(self, manifest: Mapping[str, Any]) -> bool:
        generation, version = manifest.get("generation"), manifest.get("version")
        if not isinstance(generation, int) or not isinstance(version, int):
            raise ReplicaInvalid("REPLICA_MANIFEST", "the manifest names no generation and version")
        return not self._replica.ready or (generation, version) > (self._replica.generation, self._replica.version)

    async def _catch_up(self) -> None:
        """Ask the hub what we lack, until it has answered and a snapshot it names is in use."""
        attempt = 0
        while True:
            answer = await self._greet()
            wait_s = _RETRY_S[min(attempt, len(_RETRY_S) - 1)]
            if answer is not None:
                manifest = answer.get("manifest")
                if not isinstance(manifest, dict):
                    # The missing steps came before the answer, but behind what was in the queue already.
                    self._queue = deque(sorted(self._queue, key=_order))
                    return
                try:
                    if await self._snapshot(manifest):
                        return
                except ReplicaInvalid as error:
                    self._refuse("snapshot", error)
                    if error.code.startswith(_REFUSED) and error.code != _WAITS:
                        wait_s = _REFUSED_RETRY_S
            await asyncio.sleep(wait_s)
            attempt += 1

    def _refuse(self, part: str, error: ReplicaInvalid) -> None:
        self.stats.failures += 1
        self.stats.refused[error.code] += 1
        _log.error("replica: a %s cannot be used (%s); what we have stays in use", part, error.code)

    async def _snapshot(self, manifest: Mapping[str, Any]) -> bool:
        where, size, sha256 = manifest.get("url"), manifest.get("size"), manifest.get("sha256")
        if (
            not isinstance(where, str)
            or not where.startswith("/")
            or where.startswith("//")
            or not isinstance(size, int)
            or not isinstance(sha256, str)
            or not sha256.isalnum()
        ):
            # An address elsewhere would get our token.
            raise ReplicaInvalid("REPLICA_MANIFEST", "the manifest names no path on the hub, no size or no hash")
        directory = self._config.data / "snapshots"
        path = directory / f"{sha256[:64]}.jsonl.gz"
        await asyncio.to_thread(_only, directory, path)
        job = {
            "url": self._config.hub_url + where,
            "token": self._config.node_token,
            "size": size,
            "path": str(path),
            "sha256": sha256,
        }
        await process.run("edge.replica.fetch", stdin=json.dumps(job).encode(), timeout_s=_FETCH_TIMEOUT_S)
        try:
            await self._replica.apply_snapshot(path, manifest)
        finally:
            path.unlink(missing_ok=True)  # whole and used, or whole and wrong: neither is wanted again
        self.stats.snapshots += 1
        return True


def _order(message: tuple[str, Mapping[str, Any]]) -> tuple[int, int, bool]:
    part, data = message
    generation, version = data.get("generation"), data.get("version")
    return (
        generation if isinstance(generation, int) else 0,
        version if isinstance(version, int) else 0,
        part != "delta",  # a watermark of a version comes behind the step that makes it
    )


def _only(directory: Path, path: Path) -> None:
    """Keep of half-fetched snapshots only this one."""
    directory.mkdir(parents=True, exist_ok=True)
    for other in directory.iterdir():
        if other != path:
            other.unlink(missing_ok=True)
