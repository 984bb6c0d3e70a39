"""The driver of docs/write-a-driver.md, as it stands there, on a real pty: what the page promises is true of it."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import pty
import sys
import tomllib
import tty
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers.base import DRIVER_GROUP, ConfigurationError, DeviceEvent, DeviceState, Driver, InputChanged

FOLDER = Path(__file__).parents[2] / "docs" / "examples" / "driver"


@pytest.fixture
def module() -> Iterator[Any]:
    spec = importlib.util.spec_from_file_location("binsensor", FOLDER / "binsensor.py")
    assert spec and spec.loader
    made = importlib.util.module_from_spec(spec)
    sys.modules["binsensor"] = made
    spec.loader.exec_module(made)
    yield made
    del sys.modules["binsensor"]


class Sensor:
    """The device's end of the cable."""

    def __init__(self, link: Path) -> None:
        self._link = link
        self._fds: tuple[int, int] = (-1, -1)

    def plug(self) -> None:
        self._fds = pty.openpty()
        tty.setraw(self._fds[1])
        self._link.symlink_to(os.ttyname(self._fds[1]))

    def say(self, data: bytes) -> None:
        os.write(self._fds[0], data)

    def unplug(self) -> None:
        self._link.unlink()
        for fd in self._fds:
            os.close(fd)


@pytest.fixture
async def bench(module: Any, tmp_path: Path) -> AsyncIterator[tuple[Sensor, Driver, list[DeviceEvent]]]:
    sensor, events = Sensor(tmp_path / "bin"), list[DeviceEvent]()
    sensor.plug()
    driver = module.build("bin", f"pty:{tmp_path}/bin", {"silence_s": 1})
    task = asyncio.create_task(driver.run(events.append))
    async with asyncio.timeout(5):
        while not driver.health()["opened"]:
            await asyncio.sleep(0.01)
    yield sensor, driver, events
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    sensor.unplug()


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(8):
        while not what():
            await asyncio.sleep(0.01)


def states(events: list[DeviceEvent]) -> list[tuple[str, str]]:
    return [(event.state, event.reason_code) for event in events if isinstance(event, DeviceState)]


@pytest.mark.parametrize("options", [{"colour": "red"}, {"silence_s": 0}, {"silence_s": "long"}])
def test_senseless_options_are_refused_in_a_sentence(module: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        module.build("bin", "pty:/x", options)


def test_the_example_is_a_driver_and_its_package_names_it_for_the_edge(module: Any) -> None:
    assert isinstance(module.build("bin", "pty:/x", {}), Driver)
    points = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]["entry-points"]
    assert points == {DRIVER_GROUP: {"binsensor": "binsensor:build"}}


async def test_a_full_bin_is_told_once_and_noise_never(bench: tuple[Sensor, Driver, list[DeviceEvent]]) -> None:
    sensor, driver, events = bench
    sensor.say(b"\x00\xff" * 100 + b"\nBIN 1 FU")
    sensor.say(b"LL\r\nBIN 1 FULL\r\nBIN 9 HALF\r\nBIN 1 OK\r\n")
    await until(lambda: len([event for event in events if isinstance(event, InputChanged)]) == 2)
    told = [(event.input_no, event.active) for event in events if isinstance(event, InputChanged)]
    assert told == [(0, True), (0, False)]
    assert states(events) == [("online", "OK")]
    assert int(driver.health()["bad_frames"]) >= 2


async def test_silence_and_the_cable_are_told_and_it_comes_back_by_itself(
    bench: tuple[Sensor, Driver, list[DeviceEvent]],
) -> None:
    sensor, _, events = bench
    sensor.say(b"ALIVE\n")
    await until(lambda: states(events)[-1:] == [("offline", "NO_ANSWER")])
    sensor.unplug()
    await until(lambda: states(events)[-1][0] == "offline" and states(events)[-1][1].startswith("PORT_"))
    sensor.plug()
    await asyncio.sleep(0)

    def heard() -> bool:
        sensor.say(b"ALIVE\n")
        return states(events)[-1] == ("online", "OK")

    await until(heard)
