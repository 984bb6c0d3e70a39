"""What fifty polled serial devices cost one edge: the real agent in a process of its own, fifty simulated devices in another.

Twenty pads with two tags each, ten OSDP gates, ten relay boards and ten serial cardreaders, each on a pty of its own. The edge has
no hub to talk to, which costs it a connection attempt now and then.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
import time
from pathlib import Path
from typing import Any

import httpx2

from consortium.seal import public_key
from firmware_sim.branch_client import SimBranchClient
from protocols.iso28560 import encode_part3

PADS, GATES, RELAYS, CARDREADERS = 20, 10, 10, 10
SPAN_S = 10.0
READY_S = 60.0


def _plan(folder: Path) -> tuple[list[dict[str, Any]], str]:
    """The simulated devices, and the edge's configuration."""
    sims: list[dict[str, Any]] = []
    parts = [_head(folder)]

    def add(name: str, kind: str, options: dict[str, Any], sim: dict[str, Any]) -> None:
        url = f"pty:{folder}/{name}"
        sims.append({"name": name, "kind": kind, "url": url, "options": sim})
        text = f'\n[[devices]]\nid = "{name}"\nkind = "{kind}"\nurl = "{url}"\n'
        if options:
            text += "[devices.options]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in options.items())
        parts.append(text)

    for n in range(PADS):
        add(f"pad{n}", "feig", {}, {"line_speed": 38400})
    for n in range(GATES):
        key = secrets.token_hex(16)
        add(f"gate{n}", "osdp", {"key": key}, {"key": key})
    for n in range(RELAYS):
        add(f"relay{n}", "relay", {}, {})
    for n in range(CARDREADERS):
        add(f"card{n}", "cardserial", {"gate": f"relay{n}"}, {})
    return sims, "".join(parts)


def _head(folder: Path) -> str:
    key = folder / "site.key"
    key.write_text(secrets.token_hex(32))
    key.chmod(0o600)
    return f"""node = "edge-bench"
branch = "251020-01"
org = "251020"
data = "data"
hub_url = "http://127.0.0.1:9"
broker_url = "mqtt://127.0.0.1:9"
node_token = "{secrets.token_hex(32)}"
site_key_file = "site.key"
policy_keys = ["{public_key(secrets.token_bytes(32)).public.hex()}"]
[http]
port = 0
[sip2]
port = 0
"""


async def _spawn(*words: str) -> tuple[asyncio.subprocess.Process, dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout
    async with asyncio.timeout(READY_S):
        return process, json.loads(await process.stdout.readline())


async def _end(process: asyncio.subprocess.Process) -> None:
    assert process.stdin
    process.stdin.close()
    if process.returncode is None:
        process.terminate()
    await process.wait()


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    """Resident memory of a process in MB (10^6 bytes)."""
    line = next(row for row in Path(f"/proc/{pid}/status").read_text().splitlines() if row.startswith("VmRSS"))
    return int(line.split()[1]) * 1024 / 1e6


async def _online(address: str) -> int:
    """How many devices the edge says are online."""
    async with httpx2.AsyncClient(timeout=5) as client:
        told = (await client.get(f"{address}/state")).json()
    return sum(device["state"] == "online" for device in told["devices"].values())


async def measure(folder: Path) -> dict[str, float]:
    """Shares of a core and MB: ``cpu_share_50``, ``rss_mb_50``, ``idle_rss_mb`` (the same edge without devices), ``devices_50``."""
    sims, config = _plan(folder)
    (folder / "devices.json").write_text(json.dumps(sims))
    devices, ready = await _spawn("-m", "firmware_sim.branch", "--devices", str(folder / "devices.json"))
    client = SimBranchClient(ready["control"])
    await client.connect()
    for n in range(PADS):
        for at in range(2):
            blocks = (
                encode_part3(f"TJ{n:04d}{at}", "CN-251020", usage=1, parts=1, part=1, size=34).ljust(36, b"\0").hex()
            )
            await client.do("place", device=f"pad{n}", uid=f"E00401{n * 2 + at:010X}", dsfid=0x3E, afi=7, blocks=blocks)
    try:
        bare = await _edge(folder, config.split("\n[[devices]]")[0], 0)
        full = await _edge(folder, config, len(sims))
    finally:
        await client.close()
        await _end(devices)
    return {
        "cpu_share_50": full["cpu_share"],
        "rss_mb_50": full["rss_mb"],
        "bare_cpu_share": bare["cpu_share"],
        "bare_rss_mb": bare["rss_mb"],
        "devices_50": float(len(sims)),
    }


async def _edge(folder: Path, config: str, wanted: int) -> dict[str, float]:
    path = folder / "edge.toml"
    path.write_text(config)
    path.chmod(0o600)
    edge, ready = await _spawn("-m", "edge", "--config", str(path))
    try:
        deadline = time.monotonic() + READY_S
        while (online := await _online(ready["edge"])) < wanted:
            if time.monotonic() > deadline:
                raise RuntimeError(f"only {online} of {wanted} devices came online")
            await asyncio.sleep(0.5)
        await asyncio.sleep(3.0)
        before, began = cpu_s(edge.pid), time.perf_counter()
        await asyncio.sleep(SPAN_S)
        share = (cpu_s(edge.pid) - before) / (time.perf_counter() - began)
        return {"cpu_share": round(share, 4), "rss_mb": round(rss_mb(edge.pid), 1)}
    finally:
        await _end(edge)
