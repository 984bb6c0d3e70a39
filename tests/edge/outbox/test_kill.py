"""kill -9 while 16 producers append: what was promised is there, and nothing is torn."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

from consortium.identity import CHAIN_START, chain
from edge.clock import EdgeClock
from edge.outbox import Outbox

ROOT = Path(__file__).parents[3]


def promised_before_the_kill(path: Path, after_lines: int) -> list[list[str]]:
    """Start the appender, kill it in the middle of whatever it does, and give the lines it had printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.edge.outbox.appender", str(path), "16"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(after_lines)]
    process.kill()
    lines += process.stdout.readlines()
    process.wait()
    process.stdout.close()
    return [line.decode().split() for line in lines if line.endswith(b"\n")]


async def test_every_promised_event_and_memo_survives_kill_9_and_the_chain_has_no_gap(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    rng = random.Random(7)
    promised: list[list[str]] = []
    for _ in range(4):
        promised += promised_before_the_kill(path, rng.randrange(200, 900))
    assert len({(epoch, seq) for epoch, seq, _, _ in promised}) == len(promised) > 800

    outbox = Outbox(path, "edge-251020-01", EdgeClock())
    await outbox.start()
    held: dict[tuple[str, str], str] = {}
    digest, after = CHAIN_START, 0
    while rows := outbox.unsent(after, 1_000_000):
        for row, _ in rows:
            assert row.seq == after + 1
            digest = chain(digest, row.body)
            assert row.hash == digest
            held[outbox.epoch, str(row.seq)] = row.hash
            after = row.seq
    assert after == outbox.last_seq
    for epoch, seq, digest, key in promised:
        assert held[epoch, seq] == digest
        assert outbox.memo(key) == f"answer to {key}".encode()
    await outbox.close()
