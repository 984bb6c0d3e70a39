"""Devices over their real wires on this machine: card to open gate, a stack of tags, fifty devices at once.

The simulated devices are a process of their own, each on a pty: a libosdp cardreader, a FEIG pad paced at 38400 baud. Cards are
decided as an edge decides them, from a replica with the real functions. The floor of a tap is libosdp's poll every 50 ms; that of
a stack is the time of its bytes on the wire.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench import _feig, _fifty, _tags, tap
from consortium.decisions import may_enter
from consortium.seal import Trust, public_key
from drivers.base import CardRead, DeviceEvent, DeviceState
from drivers.gate.osdp import OsdpGate
from edge.clock import EdgeClock
from edge.facts import Facts
from edge.outbox import Outbox
from edge.overlay import Overlay
from edge.replica import Replica
from firmware_sim.branch_client import SimBranchClient

TAPS = 100
REFRESH_MS = (1, 5)
"""The edge's own choice is 5; 1 is what libosdp's own figures were measured at."""
CARDS = 10_000
IDLE_S = 4.0


def run() -> dict[str, Any]:
    """Measure; gives runs, figures, beside and notes as `tongjie bench` prints them."""
    figures: dict[str, Any] = {}
    beside: dict[str, Any] = {"poll_card_to_open_p50_ms": 25.0, "poll_card_to_open_p95_ms": 47.5}
    with tempfile.TemporaryDirectory() as folder:
        tap.fill(Path(folder) / "replica", CARDS, time.time_ns() // 1_000_000)
        for refresh_ms in REFRESH_MS:
            found = asyncio.run(_card_to_open(Path(folder), refresh_ms))
            last = refresh_ms == REFRESH_MS[-1]
            figures |= {name if last else f"{name}_refresh_{refresh_ms}": value for name, value in found.items()}
    with tempfile.TemporaryDirectory() as folder:
        stack = asyncio.run(_feig.run(Path(folder)))
    with tempfile.TemporaryDirectory() as folder:
        fifty = asyncio.run(_fifty.measure(Path(folder)))
    tags = _tags.run()
    figures |= stack["figures"] | {name: value for name, value in fifty.items() if not name.startswith("bare")}
    beside |= stack["beside"] | {
        f"no_device_{name[5:]}": value for name, value in fifty.items() if name.startswith("bare")
    }
    figures |= tags["figures"]
    beside |= tags["beside"]
    return {
        "runs": 1,
        "figures": figures,
        "beside": beside,
        "notes": [
            f"{TAPS} taps, decided from a replica of {CARDS} cards; polled every 50 ms, a card waits 25 ms on average "
            "before it can be told; the panel refreshes every 5 ms (and 1 ms under _refresh_1), its share of a core beside it",
            *stack["notes"],
            f"cpu_share_50: {int(fifty['devices_50'])} serial devices polled by one edge process, and its resident memory; "
            "no_device: the same edge without them",
        ],
    }


@asynccontextmanager
async def _deciding(folder: Path) -> AsyncIterator[Any]:
    """A function (card bytes) → allowed, as an edge decides it."""
    clock = EdgeClock()
    clock.measure(clock.now(), clock.mono(), clock.mono())
    replica = Replica(folder / "replica", clock, Trust((public_key(tap.KEY),)))
    await replica.start()
    outbox = Outbox(folder / f"outbox-{secrets.token_hex(4)}.db", "edge-251020-01", clock)
    await outbox.start()
    overlay = Overlay(outbox, replica)
    overlay.load(clock.now())
    facts = Facts(replica, overlay, clock, branch=tap.BRANCH, org=tap.HOME, site_key=tap.KEY)
    policy = replica.policy
    assert policy is not None

    def allowed(raw: bytes) -> bool:
        now = clock.now()
        found, _ = facts.enter(facts.token_of_uid(raw), facts.device("gate1"), now)
        return may_enter(policy, found, now).allowed

    try:
        yield allowed
    finally:
        await outbox.close()
        await replica.close()


async def _card_to_open(folder: Path, refresh_ms: int) -> dict[str, float]:
    key = secrets.token_bytes(16)
    branch = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "firmware_sim.branch", "--osdp-link", f"{folder}/gate"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "TONGJIE_SIM_OSDP_KEY": key.hex()},
    )
    assert branch.stdin
    assert branch.stdout
    client = SimBranchClient(json.loads(await branch.stdout.readline())["control"])
    await client.connect()
    gate = OsdpGate("gate", f"pty:{folder}/gate", scbk=key, refresh_ms=refresh_ms)
    opening: set[asyncio.Task[None]] = set()
    online = asyncio.Event()
    async with _deciding(folder) as allowed:

        def emit(event: DeviceEvent) -> None:
            if isinstance(event, CardRead) and allowed(event.raw):
                opening.add(asyncio.create_task(gate.open(30)))
            elif isinstance(event, DeviceState) and event.state == "online":
                online.set()

        task = asyncio.create_task(gate.run(emit))
        try:
            async with asyncio.timeout(10):
                await online.wait()
            taps = await _taps(client)
            before, began = time.process_time(), time.perf_counter()
            await asyncio.sleep(IDLE_S)
            share = (time.process_time() - before) / (time.perf_counter() - began)
        finally:
            task.cancel()
            await asyncio.gather(task, *opening, return_exceptions=True)
            await client.close()
            branch.stdin.close()
            await branch.wait()
    return {
        "card_to_open_p50_ms": round(taps[len(taps) // 2], 1),
        "card_to_open_p95_ms": round(taps[int(len(taps) * 0.95)], 1),
        "panel_idle_cpu_share": round(share, 4),
    }


async def _taps(client: SimBranchClient) -> list[float]:
    found = []
    for turn in range(TAPS):
        seen = await client.tap(tap.uid_of(turn * 31 % CARDS).hex(), timeout_s=5.0)
        if not seen.opened:
            raise RuntimeError("a tap did not open the gate")
        found.append(seen.ms)
        await asyncio.sleep(0.011 + turn % 7 * 0.007)
    return sorted(found)
