"""A broker and a hub as processes of their own, and questions of one edge at a steady rate."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bus import BusError, RequestTimeout, Transport
from bus.broker import make_broker
from bus.rpc import Requester
from consortium import identity
from firmware_sim.consortium import build
from protocols.bus import topics
from tongjie.demo.load import load_file

NODE, BRANCH, LIBRARY = "edge-990001-01", "990001-01", "990001"


def _quantile(samples: list[float], share: float) -> float:
    ordered = sorted(samples)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)


async def steady(ask: Callable[[int], Awaitable[object]], rate: float, seconds: float) -> tuple[list[float], int]:
    """Ask at a fixed rate, whether or not earlier answers came (open loop); answer times in ms and how many never came."""
    samples: list[float] = []
    lost = 0

    async def one(number: int) -> None:
        nonlocal lost
        began = time.perf_counter()
        try:
            await ask(number)
        except (RequestTimeout, BusError, TimeoutError):
            lost += 1
            return
        samples.append((time.perf_counter() - began) * 1000)

    loop = asyncio.get_running_loop()
    start = loop.time()
    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            pause = start + number / rate - loop.time()
            if pause > 0:
                await asyncio.sleep(pause)
            group.create_task(one(number))
    return samples, lost


@asynccontextmanager
async def hub_process(folder: Path, broker_url: str) -> AsyncIterator[dict[str, Any]]:
    """A hub with the demo consortium on a fresh store; yields the consortium and the master key."""
    master = secrets.token_bytes(32)
    (folder / "hub").mkdir()
    key = folder / "hub" / "master.key"
    key.touch(0o600)
    key.write_text(master.hex())
    config = folder / "hub.toml"
    config.write_text(f'data = "hub"\nbroker_url = "{broker_url}"\n[http]\nport = 0\n')
    data = build(1, int(time.time() * 1000))
    data["nodes"] = [{"node": NODE, "org": LIBRARY, "branch": BRANCH, "token": secrets.token_hex(32)}]
    await load_file(config, data)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hub", "--config", str(config), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            while not (line := await process.stdout.readline()).startswith(b"{"):
                if not line:
                    raise RuntimeError("the hub did not start")
        yield {"data": data, "master": master, "ready": json.loads(line)}
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def over_the_bus(rate: float, seconds: float) -> dict[str, Any]:
    """Borrow questions about partner readers at ``rate`` a second, and a bare echo through the same broker."""
    broker = make_broker("iotcore")
    url = await broker.start()
    try:
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
            async with hub_process(Path(name), url) as hub:
                return await _measure(url, hub, rate, seconds)
    finally:
        await broker.stop()


async def _measure(url: str, hub: dict[str, Any], rate: float, seconds: float) -> dict[str, Any]:
    key = identity.site_key(hub["master"], LIBRARY)
    readers = [
        identity.token(key, identity.TokenKind.UID, identity.canonical_uid(row["cards"][0]["uid"]))
        for row in hub["data"]["readers"]
        if row["free"] and row["home"] != LIBRARY
    ]
    items = [row["item_no"] for row in hub["data"]["items"] if row["free"] and row["owner"] == LIBRARY]
    transport = Transport(url, NODE)
    await transport.connect()
    try:
        requester = Requester(transport, NODE)
        await requester.start()

        async def borrow(number: int) -> object:
            now = int(time.time() * 1000)
            question = {
                "branch": BRANCH,
                "device": f"{BRANCH}-kiosk1",
                "srid": None,
                "token": readers[number % len(readers)],
                "pin": True,
                "items": [{"owner": LIBRARY, "item_no": items[number % len(items)]}],
                "t": now,
            }
            return await requester.request("borrow", question, deadline_ms=now + 2_000, timeout_s=2.0)

        await steady(borrow, rate, 2.0)
        samples, lost = await steady(borrow, rate, seconds)
        echo = await _echo(url, rate, min(seconds, 5.0))
    finally:
        await transport.close()
    return {
        "p50_ms": _quantile(samples, 0.5),
        "p99_ms": _quantile(samples, 0.99),
        "n": len(samples),
        "lost": lost,
        "rate": rate,
        "echo_p50_ms": _quantile(echo, 0.5),
        "echo_p99_ms": _quantile(echo, 0.99),
    }


async def _echo(url: str, rate: float, seconds: float) -> list[float]:
    """What broker and client alone take there and back."""
    transport = Transport(url, "bench-echo")
    waiting: dict[bytes, asyncio.Future[None]] = {}
    topic = topics.rep("bench-echo")

    async def back(message: Any) -> None:
        waiting.pop(message.payload).set_result(None)

    await transport.connect()
    try:
        await transport.subscribe(topic, back)

        async def once(number: int) -> None:
            payload = number.to_bytes(4, "big") * 64
            waiting[payload] = asyncio.get_running_loop().create_future()
            future = waiting[payload]
            await transport.publish(topic, payload)
            async with asyncio.timeout(2.0):
                await future

        samples, _ = await steady(once, rate, seconds)
    finally:
        await transport.close()
    return samples
