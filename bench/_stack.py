"""A stack of twenty tags on a FEIG pad at 38400 baud: one look with content, and from laying it down to being told.

The pad's answers are paced like the wire and its commands like the air; the computed limit is the time of the bytes alone.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from drivers.base import DeviceEvent, DeviceState, TagsOnPad
from drivers.rfid.feig import build
from firmware_sim.branch_client import SimBranchClient
from protocols.iso28560 import encode_part3

STACK = 20
RUNS = 5
BITS_PER_BYTE, BAUD = 11, 38400
HOST_BYTES_PER_TAG = 10 + (21 + 10 + 9 * 5)
"""By host commands: inventory entry, and a read of nine blocks, both ways, of one ISO 28560-3 tag."""
BUFFER_BYTES_PER_TAG = 17 + 9 * 4
"""By the RFID reader's buffer: one record with UID and nine blocks."""
NOTES = [
    f"feig_20_tags_ms: one look at {STACK} ISO 28560-3 tags with their content, median of {RUNS}; the bytes on the wire beside it, "
    "by host commands and by the RFID reader's own buffer",
    "feig_20_tags_told_ms: from laying the last one down to the event, two looks that agree included",
]


def _wire_ms(bytes_per_tag: int) -> float:
    return round(STACK * bytes_per_tag * BITS_PER_BYTE / BAUD * 1000, 1)


def run() -> tuple[dict[str, float], dict[str, float]]:
    """Figures, and what stands beside them."""
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(_measure(Path(folder)))
    return figures, {
        "wire_feig_20_tags_ms": _wire_ms(BUFFER_BYTES_PER_TAG),
        "wire_host_feig_20_tags_ms": _wire_ms(HOST_BYTES_PER_TAG),
    }


async def _measure(folder: Path) -> dict[str, float]:
    branch = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "firmware_sim.branch", "--feig-link", f"{folder}/pad"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert branch.stdin
    assert branch.stdout
    client = SimBranchClient(json.loads(await branch.stdout.readline())["control"])
    await client.connect()
    pad: Any = build("pad", f"pty:{folder}/pad", {})
    online, stacked = asyncio.Event(), asyncio.Event()

    def emit(event: DeviceEvent) -> None:
        if isinstance(event, DeviceState) and event.state == "online":
            online.set()
        elif isinstance(event, TagsOnPad) and len(event.tags) == STACK:
            stacked.set()

    task = asyncio.create_task(pad.run(emit))
    try:
        async with asyncio.timeout(10):
            await online.wait()
        blocks = encode_part3("01234567890", "CN-251020", usage=1, parts=1, part=1, size=34).ljust(36, b"\0").hex()
        for number in range(STACK):
            await client.place(f"E00401{number:010X}", dsfid=0x3E, afi=0x07, blocks=blocks)
        began = time.perf_counter()
        async with asyncio.timeout(20):
            await stacked.wait()
        told = time.perf_counter() - began
        looks = []
        for _ in range(RUNS):
            began = time.perf_counter()
            found = await look(pad)
            looks.append(time.perf_counter() - began)
            if found < STACK:
                raise RuntimeError("a look lost a tag")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.close()
        branch.stdin.close()
        await branch.wait()
    return {
        "feig_20_tags_ms": round(sorted(looks)[RUNS // 2] * 1000, 1),
        "feig_20_tags_told_ms": round(told * 1000, 1),
    }


async def look(pad: Any) -> int:
    """One look with content, and how many tags it found."""
    return len(await pad.read())
