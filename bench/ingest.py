"""Ingest with refold, exactly once: events a second from rows in hand to committed ack, on SQLite, beside the disk's own commits.

Rows are made beforehand, as edges would make them. Batches of a message's size come from several nodes at once; one in ten is sent
twice. The limit measured beside it is what the same file gives for the log table alone, in transactions of the same size.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from consortium import identity
from consortium.events import Event, Kind, encode
from hub.decide.reservations import Reservations
from hub.devices.nodes import Nodes
from hub.feed import Feed
from hub.identity.keys import Identity
from hub.ingest import Ingest
from hub.load import load
from hub.metrics import Metrics
from hub.policy.current import CurrentPolicy
from hub.spread.service import Spread
from hub.store.engine import Store
from protocols.bus import EventRow

_MASTER = bytes(32)
_NOW = 1_795_300_000_000
_ORGS = ("990001", "990002", "990003")
_BATCH = 20  # events of one 16 KB message


@dataclass
class _Edge:
    org: str
    seq: int = 0
    last: str = identity.CHAIN_START
    rows: list[EventRow] = field(default_factory=list)

    @property
    def branch(self) -> str:
        return f"{self.org}-01"

    def say(self, kind: Kind, at: int, data: dict[str, Any], rid: str, function: str) -> None:
        self.seq += 1
        salt = f"{self.seq:032x}"
        srid = identity.srid(identity.site_key(_MASTER, self.org), rid)
        decision = {
            "f": function, "o": "ALLOW", "c": ["OK"], "pv": 1, "k": [at] * 5, "s": "edge", "m": "ONLINE", "t": at,
            "facts": {
                "device": {"id": "kiosk1", "branch": self.branch}, "card": {"status": "ACTIVE", "assurance": "HIGH"},
                "reader": {"home": self.org, "category": "UG", "shared": 1},
            },
        }  # fmt: skip
        body = encode(
            Event(
                f"edge-{self.branch}", "1795300000000-b", self.seq, kind, self.branch, "kiosk1", at, at, 20, self.seq, "b",
                data, subject=identity.subject(salt, srid), decision=decision,
            )
        )  # fmt: skip
        self.last = identity.chain(self.last, body)
        self.rows.append(EventRow(self.seq, body, self.last, salt, srid))


def _file(readers: int, items: int) -> dict[str, Any]:
    libraries = [{"org": org, "isil": f"X-{org}", "name_zh": org, "name_en": org} for org in _ORGS]
    branches = [
        {"id": f"{org}-01", "org": org, "name_zh": org, "name_en": org, "calendar_id": "always"} for org in _ORGS
    ]
    agreement = {
        "id": "all", "version": 1, "parties": [{"org": org} for org in _ORGS], "services": ["ENTER", "BORROW", "RETURN"],
        "valid_from_ms": 0, "valid_to_ms": 1 << 50,
        "category_map": [{"home_org": org, "home_cat": "*", "shared_cat": "U"} for org in _ORGS],
    }  # fmt: skip
    return {
        "bundle": {
            "version": 1, "issued_ms": _NOW - 40 * 86_400_000, "valid_from_ms": 0, "valid_to_ms": 1 << 50, "libraries": libraries,
            "branches": branches, "calendars": [{"id": "always", "tz": "Asia/Shanghai", "weekly": [[[0, 1440]]] * 7}],
            "agreements": [agreement], "rules": [{"id": "r", "lend": True, "period_days": 30}], "limits": [],
        },
        "nodes": [{"node": f"edge-{org}-01", "org": org, "branch": f"{org}-01", "token": f"t-{org}"} for org in _ORGS],
        "readers": [
            {"home": org, "reader_no": f"{org[-1]}{n}", "category": "UG", "shared": True, "cards": []}
            for org in _ORGS for n in range(readers)
        ],
        "items": [
            {"owner": org, "item_no": f"{org[-1]}{n}", "type": "BOOK", "title": "A title", "owner_branch": f"{org}-01"}
            for org in _ORGS for n in range(items)
        ],
    }  # fmt: skip


def _play(edges: dict[str, _Edge], rids: list[str], items: int, events: int, chance: random.Random) -> None:
    """Loans, returns there and elsewhere, visits; events of the three branches interleave in time."""
    at = _NOW - 30 * 86_400_000
    while sum(len(edge.rows) for edge in edges.values()) < events:
        at += chance.randrange(100, 3_000)
        edge = edges[chance.choice(_ORGS)]
        rid = chance.choice(rids)
        owner = chance.choice(_ORGS)
        item = [owner, f"{owner[-1]}{chance.randrange(items)}"]
        kind = chance.random()
        if kind < 0.35:
            data = {
                "item": item,
                "type": "BOOK",
                "home": edge.org,
                "due": at + 2_592_000_000,
                "basis": ["r"],
                "flags": [],
            }
            edge.say(Kind.CHECKOUT, at, data, rid, "borrow")
        elif kind < 0.7:
            home = f"{owner}-01"
            action = "SHELVE" if home == edge.branch else "TRANSIT"
            route = {"action": action, "dest": home, "reason": "HOME"}
            edge.say(Kind.RETURN, at, {"item": item, "route": route, "code": "RETURN_HOME"}, rid, "return")
        elif kind < 0.85:
            edge.say(Kind.ENTRY, at, {"home": edge.org, "class": "own"}, rid, "enter")
        else:
            edge.say(Kind.EXIT, at, {}, rid, "enter")


async def _measure(folder: Path, events: int) -> dict[str, float]:
    readers, items = 300, 3_000
    store = await Store.open(f"sqlite+aiosqlite:///{folder / 'hub.sqlite'}")
    numbers = iter(range(1, 1 << 40))
    await load(store, _file(readers, items), _MASTER, _NOW, policy_key=_MASTER, new_id=lambda: f"{next(numbers):032x}")
    policy = CurrentPolicy()
    await policy.refresh(store)
    identity_ = Identity(_MASTER)
    spread = Spread(store, identity_, policy, folder, lambda: _NOW)
    metrics = Metrics()
    ingest = Ingest(
        store,
        identity_,
        policy,
        Nodes(store),
        spread,
        Feed(store),
        Reservations(),
        metrics,
        lambda: _NOW,
        epoch="bench",
    )
    edges = {org: _Edge(org) for org in _ORGS}
    chance = random.Random(2)
    _play(edges, [f"{n:032x}" for n in range(1, readers * len(_ORGS) + 1)], items, events, chance)
    total = sum(len(edge.rows) for edge in edges.values())

    async def send(edge: _Edge) -> None:
        window: set[asyncio.Task[Any]] = set()
        for first in range(0, len(edge.rows), _BATCH):
            rows = edge.rows[first : first + _BATCH]
            for _ in range(2 if chance.random() < 0.1 else 1):
                if len(window) >= 8:
                    done, window = await asyncio.wait(window, return_when="FIRST_COMPLETED")
                    for task in done:
                        task.result()
                window.add(asyncio.create_task(ingest.batch(f"edge-{edge.branch}", "1795300000000-b", rows)))
        for ack in await asyncio.gather(*window):
            if ack.rejected:
                raise RuntimeError(f"the bench's own rows were rejected: {ack.rejected[:3]}")

    cpu, began = time.process_time(), time.perf_counter()
    await asyncio.gather(*(send(edge) for edge in edges.values()))
    took, used = time.perf_counter() - began, time.process_time() - cpu
    await store.close()
    duplicates = metrics.events.labels("duplicate")._value.get()
    refolds = metrics.refolds._value.get()
    log_alone = _log_alone(folder / "alone.sqlite", [row for edge in edges.values() for row in edge.rows])
    return {
        "events": total,
        "events_per_s_sqlite": round(total / took),
        "cpu_us_per_event": round(used / total * 1e6),
        "duplicates": duplicates,
        "refolds": refolds,
        "log_alone_per_s": round(log_alone),
    }


def _log_alone(path: Path, rows: list[EventRow]) -> float:
    """Rows a second of a bare log table with the same index on its id, in transactions of a group's size, FULL."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE log (pos INTEGER PRIMARY KEY, seq INTEGER, hash TEXT UNIQUE, body TEXT)")
    began = time.perf_counter()
    for first in range(0, len(rows), 160):
        connection.execute("BEGIN IMMEDIATE")
        values = [(row.seq, row.hash, row.body) for row in rows[first : first + 160]]
        connection.executemany("INSERT INTO log (seq, hash, body) VALUES (?, ?, ?)", values)
        connection.execute("COMMIT")
    took = time.perf_counter() - began
    connection.close()
    return len(rows) / took


def run(events: int = 20_000) -> dict[str, Any]:
    """Measure and give ``name``, ``runs``, ``figures`` and, measured in the same run, ``beside``."""
    with tempfile.TemporaryDirectory(prefix="tongjie-bench-") as folder:
        found = asyncio.run(_measure(Path(folder), events))
    limit = found.pop("log_alone_per_s")
    return {"name": "ingest", "runs": 1, "figures": found, "beside": {"log_alone_events_per_s_sqlite": limit}}


if __name__ == "__main__":
    print(run())
