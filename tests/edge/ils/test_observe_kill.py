"""kill -9 between a poll and its commit: whatever the ILS did is recorded once, in its order, however often that happens."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from edge.ils.feed_follow import FeedFollower, make_feed
from tests.edge.ils.feed_bed import Ils, Side, csv_table, sql_table

ROUNDS = 3


def _kill_soon(data: Path, table: dict[str, Any], rng: random.Random) -> int:
    """Run the program, kill it within milliseconds of its first durable row; gives how many rows it told of."""
    program = subprocess.Popen(
        [sys.executable, "-m", "tests.edge.ils.feed_program", str(data), json.dumps(table)], stdout=subprocess.PIPE
    )
    assert program.stdout is not None
    too_long = threading.Timer(30, program.kill)  # a program that says nothing must not hang the test
    too_long.start()
    assert program.stdout.readline() == b"ready\n"
    told = 1 if program.stdout.readline() else 0
    time.sleep(rng.uniform(0.0, 0.05))
    program.kill()
    told += len(program.stdout.readlines())
    program.wait()
    too_long.cancel()
    program.stdout.close()
    return told


@pytest.mark.parametrize("kind", ["sql", "csv"])
async def test_a_kill_between_poll_and_commit_gives_no_double_and_no_loss(kind: str, tmp_path: Path) -> None:
    rng = random.Random(4)
    options = ["--csv", str(tmp_path / "drop"), "--csv-every", "0.05"] if kind == "csv" else []
    with Ils(tmp_path, *options) as ils:
        table = csv_table(tmp_path / "drop", limit=5) if kind == "csv" else sql_table(ils, limit=5)
        stop = threading.Event()
        charged = 0

        def live() -> None:
            nonlocal charged
            while not stop.is_set():
                charged = ils.do("charge", number="R1", amount=1)[
                    "fees"
                ]  # each row differs from the last, so a double shows
                time.sleep(0.02)

        async with Side(tmp_path / "edge"):
            pass  # the replica is built once
        staff = threading.Thread(target=live)
        staff.start()
        killed = [_kill_soon(tmp_path / "edge", table, rng) for _ in range(ROUNDS)]
        stop.set()
        staff.join()
        if kind == "csv":
            ils.do("drop")
        async with Side(tmp_path / "edge") as side:
            follower = FeedFollower(
                make_feed(table, zone="Asia/Shanghai", base=tmp_path), side.observer, table, now=side.now
            )
            await follower.catch_up()
            await follower.stop()
            assert [event.data["amount"] for event in side.seen()] == list(range(1, charged + 1))
            assert all(killed) and sum(killed) <= charged
