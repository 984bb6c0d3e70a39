"""The outbox's durable append: 32 producers, each waiting for its own row, with the stdlib's group commit beside it.

The rival is the least that could do the job: 32 threads, a queue, one thread that inserts 256-byte rows and commits them together. It
makes no event, no hash and no subject; ours makes all three.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from consortium.events import Kind
from edge.clock import EdgeClock
from edge.outbox import Draft, Outbox

_BRANCH = "251020-01"


def run(*, producers: int = 32, seconds: float = 4.0, runs: int = 3) -> dict[str, Any]:
    """Medians over ``runs``: rows a second and p99 of one append in ms, ours and the rival's in turn."""
    ours: list[tuple[float, float]] = []
    rival: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as directory:
        for turn in range(runs):
            rival.append(_rival(Path(directory) / f"rival{turn}.db", producers, seconds))
            ours.append(asyncio.run(_ours(Path(directory) / f"ours{turn}", producers, seconds)))
    return {
        "name": "outbox",
        "runs": runs,
        "figures": {
            f"rows_per_s_{producers}": round(statistics.median(rate for rate, _ in ours)),
            f"p99_ms_{producers}": round(statistics.median(p99 for _, p99 in ours), 2),
        },
        "beside": {
            f"stdlib_rows_per_s_{producers}": round(statistics.median(rate for rate, _ in rival)),
            f"stdlib_p99_ms_{producers}": round(statistics.median(p99 for _, p99 in rival), 2),
        },
    }


def _summary(times: list[float], elapsed: float) -> tuple[float, float]:
    times.sort()
    return len(times) / elapsed, times[int(len(times) * 0.99)] * 1000


async def _ours(directory: Path, producers: int, seconds: float) -> tuple[float, float]:
    outbox = Outbox(directory / "outbox.db", "edge-251020-01", EdgeClock())
    await outbox.start()
    draft = Draft(
        Kind.CHECKOUT,
        _BRANCH,
        "kiosk1",
        {"item": ["251020", "0012345678"], "type": "BOOK", "home": "251020", "due": 1_900_000_000_000, "basis": ["r1"]},
        srid="0123456789abcdef0123456789abcdef",
        decision={"f": "borrow", "o": "ALLOW", "c": ["OK"], "pv": 1, "k": [1, 1, 1, 1, 1], "s": "edge", "m": "ONLINE"},
    )
    times: list[float] = []
    until = time.perf_counter() + seconds

    async def produce() -> None:
        while (began := time.perf_counter()) < until:
            await outbox.append(draft)
            times.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(produce() for _ in range(producers)))
    elapsed = time.perf_counter() - began
    await outbox.close()
    return _summary(times, elapsed)


def _rival(path: Path, producers: int, seconds: float) -> tuple[float, float]:
    waiting: queue.SimpleQueue[threading.Event | None] = queue.SimpleQueue()
    body = b"x" * 256
    times: list[float] = []
    until = time.perf_counter() + seconds

    def write() -> None:
        conn = sqlite3.connect(path, isolation_level=None)
        conn.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t(i INTEGER PRIMARY KEY, b BLOB)"
        )
        while (first := waiting.get()) is not None:
            group = [first]
            while len(group) < 512:
                try:
                    more = waiting.get_nowait()
                except queue.Empty:
                    break
                if more is not None:
                    group.append(more)
            conn.execute("BEGIN IMMEDIATE")
            conn.executemany("INSERT INTO t(b) VALUES(?)", [(body,)] * len(group))
            conn.execute("COMMIT")
            for done in group:
                done.set()
        conn.close()

    def produce() -> None:
        while (began := time.perf_counter()) < until:
            done = threading.Event()
            waiting.put(done)
            done.wait()
            times.append(time.perf_counter() - began)

    writer = threading.Thread(target=write)
    writer.start()
    threads = [threading.Thread(target=produce) for _ in range(producers)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - began
    waiting.put(None)
    writer.join()
    return _summary(times, elapsed)
