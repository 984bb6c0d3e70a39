"""Devices over their real wires on this machine: card to open gate, a stack of tags, and what it costs to wait.

The simulated branch is a process of its own with a libosdp cardreader and a FEIG pad paced at 38400 baud; the drivers
run here. The floor of a tap is libosdp's poll every 50 ms; that of a stack is the time of its bytes on the wire.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import _tags
from drivers.base import CardRead, DeviceEvent, DeviceState, TagsOnPad
from drivers.gate.osdp import OsdpGate
from drivers.rfid.feig import FeigPad
from firmware_sim.branch_client import SimBranchClient
from protocols.iso28560 import decode_tag, encode_part3

TAPS = 60
STACK = 20
IDLE_S = 4.0
BITS_PER_BYTE, BAUD = 11, 38400
BYTES_PER_TAG = 10 + (19 + 23) + (21 + 10 + 9 * 5)
"""Inventory entry, system information and nine blocks, both ways, of one ISO 28560-3 tag."""


def run() -> dict[str, Any]:
    """Measure; gives runs, figures, beside and notes as `tongjie bench` prints them."""
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(_measure(Path(folder)))
    tags = _tags.run()
    for part in ("figures", "beside"):
        result[part] = {**result[part], **tags[part]}
    return result


async def _measure(folder: Path) -> dict[str, Any]:
    key = secrets.token_bytes(16)
    branch = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "firmware_sim.branch", "--osdp-link", f"{folder}/gate", "--feig-link", f"{folder}/pad"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "TONGJIE_SIM_OSDP_KEY": key.hex()},
    )
    assert branch.stdin
    assert branch.stdout
    client = SimBranchClient(json.loads(await branch.stdout.readline())["control"])
    await client.connect()
    gate = OsdpGate("gate", f"pty:{folder}/gate", scbk=key)
    pad = FeigPad("pad", f"pty:{folder}/pad")
    opening: set[asyncio.Task[None]] = set()
    online = {"gate": asyncio.Event(), "pad": asyncio.Event()}
    stacked = asyncio.Event()

    def emit(event: DeviceEvent) -> None:
        if isinstance(event, CardRead):
            opening.add(asyncio.create_task(gate.open(30)))
        elif isinstance(event, DeviceState) and event.state == "online":
            online[event.device].set()
        elif isinstance(event, TagsOnPad) and len(event.tags) == STACK:
            stacked.set()

    tasks = [asyncio.create_task(gate.run(emit)), asyncio.create_task(pad.run(emit))]
    try:
        async with asyncio.timeout(10):
            await online["gate"].wait()
            await online["pad"].wait()
        taps = await _taps(client)
        stack_ms, read_ms = await _stack(client, pad, stacked)
        drivers, devices = await _idle(branch.pid)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *opening, return_exceptions=True)
        await client.close()
        branch.stdin.close()
        await branch.wait()
    return {
        "runs": 1,
        "figures": {
            "card_to_open_p50_ms": round(taps[TAPS // 2], 1),
            "card_to_open_p95_ms": round(taps[int(TAPS * 0.95)], 1),
            "feig_20_tags_ms": round(stack_ms, 1),
            "feig_20_tags_again_ms": round(read_ms, 1),
            "tag_decode_per_s": round(_decode_rate()),
            "idle_cpu_share_drivers": round(drivers, 4),
            "idle_cpu_share_devices": round(devices, 4),
        },
        "beside": {
            "poll_card_to_open_p50_ms": 25.0,
            "poll_card_to_open_p95_ms": 47.5,
            "wire_feig_20_tags_ms": round(STACK * BYTES_PER_TAG * BITS_PER_BYTE / BAUD * 1000, 1),
        },
        "notes": [
            f"{TAPS} taps; a cardreader is polled every 50 ms, so a card waits 25 ms on average before it can be told",
            f"{STACK} ISO 28560-3 tags from laying down to told with AFI and content; the wire alone beside it",
        ],
    }


async def _taps(client: SimBranchClient) -> list[float]:
    found = []
    for turn in range(TAPS):
        tap = await client.tap("04A1B2C3D4E580")
        if not tap.opened:
            raise RuntimeError("a tap did not open the gate")
        found.append(tap.ms)
        await asyncio.sleep(0.011 + turn % 7 * 0.007)
    return sorted(found)


async def _stack(client: SimBranchClient, pad: FeigPad, stacked: asyncio.Event) -> tuple[float, float]:
    blocks = encode_part3("01234567890", "CN-251020", usage=1, parts=1, part=1, size=34).ljust(36, b"\0").hex()
    began = time.perf_counter()
    for number in range(STACK):
        await client.place(f"E00401{number:010X}", dsfid=0x3E, afi=0x07, blocks=blocks)
    async with asyncio.timeout(20):
        await stacked.wait()
    told = time.perf_counter()
    if len(await pad.read()) < STACK:
        raise RuntimeError("the second reading lost a tag")
    again = time.perf_counter()
    for number in range(STACK):
        await client.lift(f"E00401{number:010X}")
    return (told - began) * 1000, (again - told) * 1000


async def _idle(pid: int) -> tuple[float, float]:
    await asyncio.sleep(1.0)
    before = time.process_time(), _cpu_s(pid), time.perf_counter()
    await asyncio.sleep(IDLE_S)
    elapsed = time.perf_counter() - before[2]
    return (time.process_time() - before[0]) / elapsed, (_cpu_s(pid) - before[1]) / elapsed


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _decode_rate() -> float:
    tag = encode_part3("01234567890", "CN-251020", usage=1, parts=1, part=1, size=34).ljust(36, b"\0")
    count = 5000
    began = time.perf_counter()
    for _ in range(count):
        decode_tag(tag, dsfid=0x3E, afi=0x07)
    return count / (time.perf_counter() - began)
