"""Closing a port: a cancellation that comes at that very moment is not lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from drivers.port import open_port
from firmware_sim.pty import PtyLine


@pytest.mark.parametrize("steps", range(1, 7))
async def test_a_task_cancelled_while_it_closes_its_port_ends(tmp_path: Path, steps: int) -> None:
    line = PtyLine(str(tmp_path / "port"))
    line.plug(lambda _data: None)
    port = await open_port(line.url)

    async def close_and_go_on() -> None:
        await port.close()
        await asyncio.sleep(60.0)

    task = asyncio.create_task(close_and_go_on())
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=1.0)
    line.unplug()
    task.cancel()
    assert done
