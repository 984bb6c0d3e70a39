"""A stack of ISO 28560-3 tags on a FEIG pad paced at 38400 baud: by host commands, and by the device's own buffer.

``await run(folder)`` gives figures, limits beside them and notes, to be merged into `bench.devices`.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any, Literal

from drivers.base import DeviceEvent, TagsOnPad
from drivers.port import open_port
from drivers.rfid.feig import FeigLink, FeigPad
from firmware_sim.feig import SimPad, SimTag
from firmware_sim.feig.air import inventory_s, read_s
from firmware_sim.pty import PtyLine
from protocols.iso28560 import encode_part3

STACK, BLOCKS, BAUD, BITS_PER_BYTE = 20, 9, 38400, 11
RECORD_BYTES = 2 + 3 + 8 + 3 + BLOCKS * 4
"""A tag in a buffer: length, kind of id, UID, count and size of blocks, blocks."""
BUFFER_BYTES = (9 + 11) + STACK * RECORD_BYTES
"""Question, frame of the answer, records."""
HOST_BYTES_PER_TAG = 10 + (17 + 22) + (19 + 10 + BLOCKS * 5)
"""Inventory entry, system information, nine blocks, both ways."""


async def run(folder: Path) -> dict[str, Any]:
    """Measure; every stack is the same, the simulated pads keep the time of wire and air."""
    host = await _told_ms(folder, "host")
    buffered = await _told_ms(folder, "buffered")
    fetched = await _fetch_ms(folder)
    return {
        "figures": {
            "feig_20_tags_ms": round(fetched, 1),
            "feig_20_tags_laid_to_told_ms": round(buffered, 1),
            "feig_20_tags_laid_to_told_host_ms": round(host, 1),
        },
        "beside": {
            "wire_feig_20_tags_ms": round(_wire_ms(BUFFER_BYTES), 1),
            "wire_feig_20_tags_host_ms": round(_wire_ms(STACK * HOST_BYTES_PER_TAG), 1),
            "air_feig_20_tags_ms": round((inventory_s(STACK) + STACK * read_s(BLOCKS)) * 1000, 1),
        },
        "notes": [
            f"feig_20_tags_ms: one question for the buffer of an RFID reader that scans by itself, {STACK} tags with {BLOCKS} blocks; "
            "the answer's bytes at 38400 baud beside it",
            "laid_to_told: from the first tag laid down until all are told; the air (26 kbit/s) alone beside it",
        ],
    }


def _wire_ms(count: int) -> float:
    return count * BITS_PER_BYTE / BAUD * 1000


def _tag(number: int) -> SimTag:
    blocks = encode_part3("01234567890", "CN-251020", usage=1, parts=1, part=1, size=34)
    return SimTag(f"E00401{number:010X}", 0x3E, 0x07, bytearray(blocks))


async def _told_ms(folder: Path, mode: Literal["host", "buffered"]) -> float:
    """From the first tag laid down to the event with all of them."""
    sim = SimPad(PtyLine(str(folder / mode)), baudrate=BAUD, scans=mode == "buffered")
    sim.start()
    pad = FeigPad("pad", sim.line.url, mode=mode)
    online, told = asyncio.Event(), asyncio.Event()

    def emit(event: DeviceEvent) -> None:
        online.set()
        if isinstance(event, TagsOnPad) and len(event.tags) == STACK:
            told.set()

    task = asyncio.create_task(pad.run(emit))
    try:
        async with asyncio.timeout(20):
            await online.wait()
            await asyncio.sleep(0.3)
            began = time.perf_counter()
            for number in range(STACK):
                sim.place(_tag(number))
            await told.wait()
            return (time.perf_counter() - began) * 1000
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        sim.stop()


async def _fetch_ms(folder: Path) -> float:
    """One inventory with data of a stack that lies: the buffer has been filled while nobody asked."""
    sim = SimPad(PtyLine(str(folder / "fetch")), baudrate=BAUD, scans=True)
    sim.start()
    port = await open_port(sim.line.url, baudrate=BAUD, parity="E")
    try:
        link = FeigLink(port, mode="buffered")
        await link.begin()
        for number in range(STACK):
            sim.place(_tag(number))
        await asyncio.sleep(0.8)
        began = time.perf_counter()
        found = await link.inventory()
        elapsed = time.perf_counter() - began
        if sum(seen.tag is not None for seen in found.values()) != STACK:
            raise RuntimeError("the buffer did not hold the stack")
        return elapsed * 1000
    finally:
        await port.close()
        sim.stop()
