"""A security gate on a real line: what it pushes becomes an alarm, its counter becomes people, and staff's buttons reach it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from consortium.events import Kind
from edge.config import DeviceConfig
from firmware_sim.simulators import Simulator, load
from tests.edge.bed import Bed, make_config, standard_rows, tag, until, write_replica
from tests.make import HOME


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Simulator]:
    """A gate on a noisy line."""
    simulated = load("gate")(f"pty:{tmp_path}/gate", {"seed": "3", "noise": "0.001", "keepalive_s": "1"})
    await simulated.start()
    yield simulated
    await simulated.stop()


@pytest.fixture
async def bed(tmp_path: Path, gate: Simulator) -> AsyncIterator[Bed]:
    """An edge with that gate; item 1012 is on loan."""
    write_replica(tmp_path, standard_rows())
    options: dict[str, Any] = {"people_ms": 200, "compared_with": ""}
    async with Bed(make_config(tmp_path, devices=(DeviceConfig("eas1", "gate", gate.url, options),))) as running:
        await until(lambda: running.agent.devices.records["eas1"].state == "online", 10)
        yield running


async def carry(gate: Simulator, item_no: str, afi: int = 0x07) -> None:
    """Carry a book through; the antennas see it several times."""
    blocks = tag(item_no)
    await gate.do(
        {"op": "pass", "uid": f"E00401000000{item_no}", "afi": afi, "blocks": blocks, "antenna": 2, "times": 3}
    )


async def test_a_loan_passes_in_silence_and_a_book_that_nobody_borrowed_does_not(bed: Bed, gate: Simulator) -> None:
    await carry(gate, "1012", 0xC2)
    await carry(gate, "1001")
    (event,) = await bed.settled(Kind.GATE_ALARM)
    assert (event.data["code"], event.data["item"], event.data["antenna"]) == ("NOT_LENT", [HOME, "1001"], 2)
    await asyncio.sleep(0.3)
    assert [note.title for note in bed.agent.gates.alarms.notes] == ["书名 1001"]


async def test_people_are_counted_and_a_counter_that_overflows_counts_on(bed: Bed, gate: Simulator) -> None:
    await gate.do({"op": "people", "came": 3, "left": 1})
    await until(lambda: bed.agent.gates.counters.today("eas1") == (3, 1))
    await gate.do({"op": "overflow"})
    await asyncio.sleep(0.5)
    await gate.do({"op": "people", "came": 4, "left": 4})
    await asyncio.sleep(0.5)
    came, left = bed.agent.gates.counters.today("eas1")
    assert 3 <= came <= 20 and 1 <= left <= 20


async def test_the_alarm_is_switched_from_the_page_and_the_counter_set_to_zero(bed: Bed, gate: Simulator) -> None:
    base = await bed.serve()
    async with httpx2.AsyncClient(base_url=base, timeout=20) as http:
        view = {device["id"]: device for device in (await http.get("/gate/api/state")).json()["devices"]}
        assert "alarm_off" in view["eas1"]["can"]
        answer = await http.post("/gate/api/press", json={"device": "eas1", "command": "alarm_off"})
        assert (answer.status_code, (await gate.do({"op": "state"}))["alarm"]) == (200, False)
        await gate.do({"op": "people", "came": 5, "left": 5})
        answer = await http.post("/gate/api/press", json={"device": "eas1", "command": "reset_counter"})
        assert (answer.status_code, (await gate.do({"op": "state"}))["in"]) == (200, 0)


async def test_a_gate_that_lost_its_power_is_told_and_comes_back(bed: Bed, gate: Simulator) -> None:
    await gate.do({"op": "unplug"})
    await until(lambda: bed.agent.devices.records["eas1"].state == "offline", 10)
    await gate.do({"op": "plug"})
    await until(lambda: bed.agent.devices.records["eas1"].state == "online", 15)
    await carry(gate, "1001")
    await bed.settled(Kind.GATE_ALARM)
