"""The branch's devices as a whole: one that fails, blocks its end or talks nonsense takes nobody with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import edge.devices
from drivers.base import DeviceOffline, DeviceRefused, ResetCounter, SetAlarm, SetOutput
from edge.devices import PUBLISHED, Devices
from tests.edge.bed import Bed, standard_rows, until, write_replica
from tests.edge.entrance.doors import Hall, Standing


@pytest.fixture
def hall() -> Hall:
    """An empty hall."""
    return Hall()


@pytest.fixture
async def bed(tmp_path: Path, hall: Hall) -> AsyncIterator[Bed]:
    """An edge with two devices."""
    write_replica(tmp_path, standard_rows())
    async with hall.bed(tmp_path, ("eas1", "eas", {}), ("gate1", "door", {})) as running:
        await until(lambda: all(running.agent.devices.records[name].state == "online" for name in ("eas1", "gate1")))
        yield running


class TestCommands:
    async def test_a_device_that_is_not_there_takes_none(self, bed: Bed) -> None:
        with pytest.raises(DeviceRefused) as caught:
            await bed.agent.devices.execute("nobody", ResetCounter())
        assert caught.value.code == "NOT_SUPPORTED"

    async def test_a_command_that_is_not_among_its_capabilities_never_reaches_a_device(
        self, bed: Bed, hall: Hall
    ) -> None:
        for device, command in (("gate1", ResetCounter()), ("eas1", SetOutput(0, True))):
            with pytest.raises(DeviceRefused):
                await bed.agent.devices.execute(device, command)
        assert hall.at["gate1"].done == hall.at["eas1"].done == []

    async def test_one_it_can_is_carried_out(self, bed: Bed, hall: Hall) -> None:
        await bed.agent.devices.execute("eas1", SetAlarm(False))
        assert hall.at["eas1"].done == [SetAlarm(False)]


class TestRestart:
    async def test_a_device_that_is_not_there_is_not_restarted(self, bed: Bed) -> None:
        with pytest.raises(DeviceOffline) as caught:
            await bed.agent.devices.restart("nobody")
        assert caught.value.code == "NOT_CONFIGURED"

    async def test_only_that_device_starts_again(self, bed: Bed, hall: Hall) -> None:
        await bed.agent.devices.restart("eas1")
        await until(lambda: hall.at["eas1"].starts == 2)
        assert hall.at["gate1"].starts == 1
        record = bed.agent.devices.records["eas1"]
        assert (record.state, record.restarts) == ("online", 1)

    async def test_a_driver_that_does_not_let_go_is_told_and_not_started_twice(
        self, bed: Bed, hall: Hall, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(edge.devices, "STOP_S", 0.1)
        gate, free = hall.at["gate1"], asyncio.Event()

        async def clinging(emit: Any) -> None:
            try:
                await Standing.run(gate, emit)
            finally:
                await free.wait()

        gate.run = clinging
        await bed.agent.devices.restart("gate1")
        await until(lambda: gate.starts == 2)
        with pytest.raises(DeviceOffline) as caught:
            await bed.agent.devices.restart("gate1")
        assert caught.value.code == "STUCK"
        assert gate.starts == 2
        record = bed.agent.devices.records["gate1"]
        assert (record.state, record.reason_code) == ("offline", "STUCK")
        free.set()
        await until(lambda: gate.starts == 3 and record.state == "online")
        await asyncio.sleep(0.05)
        assert gate.starts == 3

    async def test_one_that_let_go_and_is_pressed_again_at_once_runs_once(
        self, bed: Bed, hall: Hall, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(edge.devices, "STOP_S", 0.1)
        gate, free = hall.at["gate1"], asyncio.Event()

        async def clinging(emit: Any) -> None:
            try:
                await Standing.run(gate, emit)
            finally:
                await free.wait()

        gate.run = clinging
        await bed.agent.devices.restart("gate1")
        await until(lambda: gate.starts == 2)
        with pytest.raises(DeviceOffline):
            await bed.agent.devices.restart("gate1")
        free.set()
        await bed.agent.devices.restart("gate1")
        await asyncio.sleep(0.05)
        assert gate.starts == 3

    async def test_an_edge_that_stops_starts_no_device_again(self, tmp_path: Path, hall: Hall) -> None:
        write_replica(tmp_path, standard_rows())
        caught: list[str] = []
        async with hall.bed(tmp_path, ("gate1", "door", {})) as bed:
            devices = bed.agent.devices
            await until(lambda: devices.records["gate1"].state == "online")
            gate = hall.at["gate1"]

            async def pressing(emit: Any) -> None:
                try:
                    await Standing.run(gate, emit)
                finally:
                    try:
                        await devices.restart("gate1")
                    except DeviceOffline as error:
                        caught.append(error.code)

            gate.run = pressing
            await devices.restart("gate1")
            await until(lambda: gate.starts == 2)
        assert (caught, gate.starts) == (["STOPPING"], 2)


class TestHealth:
    async def test_what_a_driver_says_of_itself_is_kept_small(self, bed: Bed, hall: Hall) -> None:
        many = {f"k{n}": n for n in range(100)}
        hall.at["eas1"].told = {"firmware": "x" * 500, "last_frame_ms": 12, "opened": True, "odd": [1], **many}
        bed.agent.devices.look()
        record = bed.agent.devices.records["eas1"]
        assert record.health["firmware"] == "x" * 64
        assert record.health["opened"] == 1
        assert "odd" not in record.health
        assert len(record.health) <= 41
        assert {name for name in record.facts if name in PUBLISHED} == {"firmware", "last_frame_ms", "isolation"}

    async def test_a_driver_that_fails_to_say_how_it_is_stops_nobody(self, bed: Bed, hall: Hall) -> None:
        def broken() -> dict[str, int]:
            raise KeyError("firmware")

        hall.at["eas1"].health = broken
        hall.at["gate1"].told = {"firmware": "2.1"}
        bed.agent.devices.look()
        assert bed.agent.devices.records["gate1"].facts["firmware"] == "2.1"

    async def test_it_is_told_only_where_it_changed(self, bed: Bed, hall: Hall) -> None:
        told: list[str] = []
        devices = Devices([], now=lambda: 0, uniform=lambda: 0.5, on_state=lambda record, moved: told.append(record.id))
        devices.drivers["eas1"] = hall.at["eas1"]
        devices.records["eas1"] = bed.agent.devices.records["eas1"]
        hall.at["eas1"].told = {"timeouts": 1}
        devices.look()
        devices.look()
        assert told == ["eas1"]


async def test_a_hearer_that_fails_is_not_the_devices_fault(bed: Bed, hall: Hall) -> None:
    heard: list[Any] = []

    def broken(event: Any) -> None:
        raise RuntimeError

    bed.agent.devices.listen(broken)
    bed.agent.devices.listen(heard.append)
    hall.at["gate1"].walk()
    assert len(heard) == 1
    assert hall.at["gate1"].starts == 1
    assert bed.agent.devices.records["gate1"].state == "online"
