"""The hub as a process: it says when it answers, and stops in time although a stream is open."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path

import httpx2
import pytest

from bus.broker.iotcore import IotcoreBroker
from hub.load import load
from hub.store.engine import Store
from tests.hub.api import world
from tests.hub.api.hubside import bearer, config_at

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_hub_process_says_when_it_answers_and_stops_within_three_seconds(tmp_path: Path) -> None:
    broker = IotcoreBroker()
    config = config_at(tmp_path / "data", await broker.start())
    store = await Store.open(config.database)
    now = time.time_ns() // 1_000_000
    await load(store, world.consortium_file(now), world.MASTER, now, policy_key=world.POLICY_KEY, cost=config.pin)
    await store.close()
    file = tmp_path / "hub.toml"
    file.write_text(f'data = "data"\nbroker_url = "{config.broker_url}"\n[http]\nport = 0\n', encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hub", "--config", str(file), stdout=asyncio.subprocess.PIPE, env={**os.environ}
    )
    try:
        assert process.stdout is not None
        ready = json.loads(await asyncio.wait_for(process.stdout.readline(), 20))
        assert ready["ready"] is True
        async with (
            httpx2.AsyncClient(base_url=ready["hub"]) as client,
            client.stream("GET", "/api/v1/stream", headers=bearer("all")) as answer,
        ):
            assert answer.status_code == 200
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 10) in (0, -signal.SIGTERM)
            assert time.monotonic() - began < 4
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await broker.stop()
