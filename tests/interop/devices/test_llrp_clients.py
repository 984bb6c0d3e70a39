"""Clients that are not ours speak to our simulated UHF readers: sllurp by LLRP, uhfreader18 by serial frames over TCP.

Each runs as its own process in an environment of its own. Without it this is skipped, and fails where CI=true.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from firmware_sim.llrp import simulate as simulate_llrp
from firmware_sim.uhf import simulate as simulate_uhf
from protocols.iso28560.part4 import encode_pc_uii
from tests.interop.devices.llrp_environment import RfidClientsMissing, interpreter

HERE = Path(__file__).parent
BOOK = encode_pc_uii("CN-251020", "TJ000001", 0x07)


@pytest.fixture(scope="module")
def python() -> str:
    try:
        return str(interpreter())
    except RfidClientsMissing as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


async def said(python: str, script: str, *words: str) -> dict[str, Any]:
    command = [python, "-E", str(HERE / script), *words]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


async def test_sllurp_lists_the_tags_of_our_llrp_reader(python: str) -> None:
    sim = simulate_llrp("tcp:127.0.0.1:0", {})
    await sim.start()
    epcs = [encode_pc_uii("CN-251020", f"TJ{number:06d}", 0x07)[2:].hex().upper() for number in range(3)]
    for epc in epcs:
        await sim.do({"op": "place", "epc": epc})
    host, tcp_port = sim.url.removeprefix("tcp:").split(":")
    found = await said(python, "llrp_session_sllurp.py", host, tcp_port, "2")
    assert set(found["seen"]) == set(epcs)
    assert sum(found["seen"].values()) > 50
    await sim.stop()


async def test_uhfreader18_reads_and_writes_through_our_device(python: str) -> None:
    sim = simulate_uhf("tcp:127.0.0.1:0", {"line_speed": "0", "address": "7"})
    await sim.start()
    placed = await sim.do({"op": "place", "epc": BOOK[2:].hex(), "pc": BOOK[:2].hex()})
    host, tcp_port = sim.url.removeprefix("tcp:").split(":")
    found = await said(python, "llrp_session_uhfreader18.py", host, tcp_port, "31C2")
    assert found == {
        "version": "2.38", "address": 7, "power": 21, "epc": placed["epc"], "tid": placed["tid"], "written": True,
    }  # fmt: skip
    assert (await sim.do({"op": "lift", "tid": placed["tid"]}))["pc"] == "31C2"
    await sim.stop()
