"""A branch's edge as it runs in a library: a process of its own, with broker and hub as processes beside it."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from bus.broker import make_broker
from consortium import identity
from consortium.seal import PolicyKey, public_key
from firmware_sim.consortium import build
from tongjie.demo.layout import secret_file
from tongjie.demo.load import load_file

LIBRARY, BRANCH, PARTNER = "251020", "251020-01", "990001"
_START_S = 90.0


@dataclass
class Branch:
    """A running edge: where its kiosks connect, with what password, and what its consortium holds."""

    http: str
    sip2: tuple[str, int]
    password: str
    data: dict[str, Any]
    hub_pid: int
    edge_pid: int

    def readers(self, home: str) -> list[dict[str, Any]]:
        """Readers of a library in good standing."""
        return [row for row in self.data["readers"] if row["home"] == home and row["free"]]

    def books(self) -> list[str]:
        """Numbers of the branch's own lendable books that nobody has."""
        lent = {(loan["owner"], loan["item_no"]) for loan in self.data["open_loans"]}
        return [
            row["item_no"]
            for row in self.data["items"]
            if row["owner_branch"] == BRANCH and row["item_type"] == "BOOK" and row["shareable"] and not row["reference"]
            and (row["owner"], row["item_no"]) not in lent
        ]  # fmt: skip

    async def state(self) -> dict[str, Any]:
        """The edge's own account of itself."""
        async with httpx2.AsyncClient(timeout=10) as client:
            found: dict[str, Any] = (await client.get(f"{self.http}/state")).json()
            return found

    async def delivered(self, timeout_s: float) -> bool:
        """Wait until the hub has acknowledged everything."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            if (await self.state())["outbox"]["depth"] == 0:
                return True
            await asyncio.sleep(0.2)
        return False

    def hold_hub(self, held: bool) -> None:
        """Stop the hub as a lost line does, or let it go on."""
        os.kill(self.hub_pid, signal.SIGSTOP if held else signal.SIGCONT)


async def _process(*words: str) -> tuple[asyncio.subprocess.Process, dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    async with asyncio.timeout(_START_S):
        while line := await process.stdout.readline():
            if line.startswith(b"{"):
                return process, json.loads(line)
    raise RuntimeError(f"{' '.join(words[:2])} did not start")


async def _end(process: asyncio.subprocess.Process | None) -> None:
    if process is not None and process.returncode is None:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 20)
        except TimeoutError:
            process.kill()
            await process.wait()


def _hub_toml(broker_url: str) -> str:
    return f'data = "hub"\nbroker_url = "{broker_url}"\nmaster_key_file = "hub/master.key"\n' \
           'policy_key_file = "hub/policy.key"\n[http]\nport = 0\n'  # fmt: skip


def _edge_toml(hub: str, broker_url: str, token: str, policy: PolicyKey, password: str) -> str:
    return f"""mode = "demo"
node = "edge-{BRANCH}"
branch = "{BRANCH}"
data = "edge"
hub_url = "{hub}"
broker_url = "{broker_url}"
node_token = "{token}"
site_key_file = "site.key"
policy_keys = ["{policy.public.hex()}"]
[http]
port = 0
[sip2]
port = 0
[[sip2.accounts]]
user = "kiosk1"
password = "{password}"
device = "{BRANCH}-kiosk1"
trusts_card = true
"""


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Branch]:
    """Start everything below ``folder`` and wait until the edge has its replica and a measured clock."""
    master, policy = secrets.token_bytes(32), secrets.token_bytes(32)
    token, password = secrets.token_hex(32), secrets.token_urlsafe(12)
    data = build(1, int(time.time() * 1000))
    data["nodes"] = [{"node": f"edge-{BRANCH}", "org": LIBRARY, "branch": BRANCH, "token": token}]
    (folder / "hub").mkdir()
    secret_file(folder / "hub" / "master.key", master.hex())
    secret_file(folder / "hub" / "policy.key", policy.hex())
    secret_file(folder / "site.key", identity.site_key(master, LIBRARY).hex())
    broker = make_broker("iotcore")
    url = await broker.start()
    hub = edge = None
    try:
        secret_file(folder / "hub.toml", _hub_toml(url))
        await load_file(folder / "hub.toml", data)
        hub, said = await _process("-m", "hub", "--config", str(folder / "hub.toml"))
        text = _edge_toml(said["hub"], url, token, public_key(policy), password)
        secret_file(folder / "edge.toml", text)
        edge, ready = await _process("-m", "edge", "--config", str(folder / "edge.toml"))
        sip2 = ready["sip2"]
        branch = Branch(ready["edge"], (sip2["host"], sip2["port"]), password, data, hub.pid, edge.pid)
        await _settled(branch)
        yield branch
    finally:
        await _end(edge)
        await _end(hub)
        await broker.stop()


async def _settled(branch: Branch) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        state = await branch.state()
        if state["replica"]["policy"] and state["clock"]["trusted"] and state["link"].get("online"):
            return
        await asyncio.sleep(0.2)
    raise RuntimeError("the edge did not come up with its hub")
