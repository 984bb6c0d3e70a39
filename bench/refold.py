"""Refold and checker over a log of a million events, and one late event into a long history.

The database is a hub's own, made beforehand from simulated consortia (``bench._history``). Each part is measured in a process of its
own, in CPU seconds of one core: reading the bodies item by item as the hub keeps them, decoding, folding; then the eighteen invariants.
"""

from __future__ import annotations

import json
import random
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import groupby
from pathlib import Path
from typing import Any

EVENTS = 1_000_000
LATE_IN = 200
LATE_RUNS = 400


def fold_all(database: Path) -> dict[str, Any]:
    """Every item of the log folded from its bodies."""
    from consortium.events import ITEM_KINDS, decode
    from consortium.fold import Logged, fold_item

    began = time.process_time()
    connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)
    branch_of = {(o, n): b for o, n, b in connection.execute("SELECT owner, item_no, owner_branch FROM items")}
    marks = ",".join("?" * len(ITEM_KINDS))
    rows = connection.execute(
        f"SELECT owner, item_no, body, rid FROM events WHERE kind IN ({marks}) ORDER BY owner, item_no",
        [kind.value for kind in ITEM_KINDS],
    )
    items = loans = folded = 0
    for key, found in groupby(rows, key=lambda row: (row[0], row[1])):
        logged = [Logged(decode(body), rid) for _, _, body, rid in found]
        history = fold_item(*key, branch_of[key], logged)
        items, loans, folded = items + 1, loans + len(history.loans), folded + len(logged)
    # The rest of the log is read and decoded too: entries and exits, refusals, holds, devices.
    others = connection.execute(
        f"SELECT body FROM events WHERE kind NOT IN ({marks})", [kind.value for kind in ITEM_KINDS]
    )
    decoded = sum(decode(body) is not None for (body,) in others)
    return {
        "fold_s": time.process_time() - began, "items": items, "loans": loans, "folded": folded, "events": folded + decoded
    }  # fmt: skip


def check_all(database: Path) -> dict[str, Any]:
    """The invariants, as ``tongjie check --db`` reads and checks them."""
    from consortium.invariants import check
    from tongjie.history import with_log

    began = time.process_time()
    findings = with_log(f"sqlite:///{database}", check)
    spent = time.process_time() - began
    return {
        "check_s": spent,
        "broken": [f"{one.invariant}: {one.offending[:3]} {one.note}" for one in findings if one.status == "broken"],
        "held": sum(one.status == "holds" for one in findings),
        "not_checked": [one.invariant for one in findings if one.status == "not-checked"],
    }


def late_event() -> dict[str, Any]:
    """One event somewhere in the past of an item with 200 others, put in and taken into account; beside it a fold of all 201."""
    from bench.simulation.measure import by_item
    from bench.simulation.plan import Habits, Plan, Wire
    from bench.simulation.world import tell
    from consortium.fold import fold_item
    from consortium.timeline import Timeline

    habits = Habits(loses=0, missing_per_day=0)
    told = tell(Plan(events=3 * LATE_IN, days=4_000, items=2, readers=20, habits=habits, wire=Wire(resent=0)), 1)
    key, events = max(by_item(told.arrived).items(), key=lambda one: len(one[1]))
    events = sorted({one.event.id: one for one in events}.values(), key=lambda one: one.event.order)[: LATE_IN + 1]
    branch = next(item.branch for item in told.truth.items if (item.owner, item.item_no) == key)
    chance = random.Random(1)
    spent, batch = [], []
    for _ in range(LATE_RUNS):
        late = chance.randrange(LATE_IN)
        timeline = Timeline(*key, branch, [*events[:late], *events[late + 1 :]])
        began = time.process_time()
        timeline.insert(events[late])
        spent.append(1_000 * (time.process_time() - began))
        began = time.process_time()
        history = fold_item(*key, branch, events)
        batch.append(1_000 * (time.process_time() - began))
        assert timeline.history == history
    spent.sort()
    return {
        "late_event_ms": statistics.median(spent), "late_event_p99_ms": spent[LATE_RUNS * 99 // 100],
        "late_in": len(events) - 1, "whole_item_ms": statistics.median(batch),
    }  # fmt: skip


def _apart(what: str, *words: str) -> dict[str, Any]:
    """Run one part in a fresh process and give what it printed, with its peak of memory."""
    done = subprocess.run([sys.executable, "-m", "bench.refold", what, *words], check=True, stdout=subprocess.PIPE)
    return dict(json.loads(done.stdout))


def run(events: int = EVENTS) -> dict[str, Any]:
    """All three parts."""
    with tempfile.TemporaryDirectory(prefix="tongjie-refold-") as folder:
        database = Path(folder) / "hub.sqlite"
        subprocess.run(
            [sys.executable, "-m", "bench._history", str(database), str(events)], check=True, stdout=subprocess.PIPE
        )
        size_mb = database.stat().st_size / 1e6
        fold, check = _apart("fold", str(database)), _apart("check", str(database))
    late = _apart("late")
    if check["broken"]:
        raise RuntimeError(f"the invariants do not hold over the bench's own log: {check['broken']}")
    return {
        "runs": 1,
        "figures": {
            "events": fold["events"],
            "fold_s": round(fold["fold_s"], 1),
            "check_s": round(check["check_s"], 1),
            "late_event_ms": round(late["late_event_ms"], 3),
            "late_event_p99_ms": round(late["late_event_p99_ms"], 3),
            "rss_mb": round(max(fold["rss_mb"], check["rss_mb"])),
            "fold_rss_mb": round(fold["rss_mb"]),
            "check_rss_mb": round(check["rss_mb"]),
        },
        "beside": {
            "limit_fold_s": 60,
            "limit_check_s": 60,
            "limit_late_event_ms": 1,
            "limit_rss_mb": 1_500,
            "whole_item_late_event_ms": round(late["whole_item_ms"], 3),
        },
        "notes": [
            f"{fold['items']} items, {fold['loans']} loans, a hub database of {size_mb:.0f} MB, which is made before the clock starts",
            "times are CPU seconds of one core, each part in a process of its own",
            f"{check['held']} invariants hold; not checked on a log without these ledgers: {', '.join(check['not_checked']) or 'none'}",
            f"late_event: into {late['late_in']} events by consortium.timeline; whole_item: folding all of them again",
        ],
    }


_PARTS = {"fold": fold_all, "check": check_all}


def _main(words: list[str]) -> None:
    found = late_event() if words[0] == "late" else _PARTS[words[0]](Path(words[1]))
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024  # KiB on Linux
    print(json.dumps({**found, "rss_mb": rss}))


if __name__ == "__main__":
    _main(sys.argv[1:])
