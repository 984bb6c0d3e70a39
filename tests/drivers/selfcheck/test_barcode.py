"""The barcode scanner against one on a pty and on TCP: codes, ends, junk, an unplugging."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from drivers.base import CodeScanned, ConfigurationError, DeviceEvent, DeviceState, Driver, load
from drivers.selfcheck.barcode import build
from drivers.talker import IDLE_S
from firmware_sim.barcode import BarcodeSimulator
from firmware_sim.faults import Faults


class Desk:
    """A simulated scanner, its driver running, and what the driver told."""

    def __init__(self, driver: Driver, sim: BarcodeSimulator) -> None:
        self.driver = driver
        self.sim = sim
        self.events: list[DeviceEvent] = []
        self._task = asyncio.create_task(driver.run(self.events.append))

    @property
    def codes(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, CodeScanned)]

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(e.state, e.reason_code) for e in self.events if isinstance(e, DeviceState)]

    async def scan(self, text: str, **more: Any) -> None:
        await self.sim.do({"op": "scan", "text": text, **more})

    async def until(self, what: Callable[[], bool], seconds: float = 8.0) -> None:
        async with asyncio.timeout(seconds):
            while not what():
                await asyncio.sleep(0.005)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.sim.stop()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    made: list[Desk] = []

    async def make(*, tcp: bool = False, options: dict[str, Any] | None = None, **more: Any) -> Desk:
        sim = BarcodeSimulator("tcp:127.0.0.1:0" if tcp else f"pty:{tmp_path}/scanner{len(made)}", **more)
        await sim.start()
        made.append(Desk(build("scanner-1", sim.url, options or {}), sim))
        await made[-1].until(lambda: made[-1].states == [("online", "OK")])
        return made[-1]

    yield make
    for one in made:
        await one.close()


@pytest.mark.parametrize(
    "options",
    [
        {"colour": "red"},
        {"prefix": "x" * 17},
        {"suffix": "\r"},
        {"encoding": "latin-1"},
        {"aim": "perhaps"},
        {"min_chars": 0},
        {"min_chars": "few"},
        {"baudrate": "fast"},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, str | int]) -> None:
    with pytest.raises(ConfigurationError):
        build("scanner-1", "pty:/x", options)


def test_the_driver_is_found_by_kind() -> None:
    assert load("barcode")("scanner-1", "pty:/x", {}).kind == "barcode"


async def test_a_line_without_an_end_is_dropped_and_counted(desk: Callable[..., Any]) -> None:
    place = await desk()
    await place.scan("0123456789", end="none")
    await place.until(lambda: int(place.driver.health()["bad_frames"]) == 1)
    await place.scan("9876543210")
    await place.until(lambda: place.codes == ["9876543210"])


async def test_what_is_too_long_too_short_or_no_text_is_no_code(desk: Callable[..., Any]) -> None:
    place = await desk()
    for text in ("x" * 513, "x" * 600, "abc", "借书证号"):
        await place.scan(text)
        await asyncio.sleep(IDLE_S + 0.1)
    await place.scan("x" * 512)
    await place.until(lambda: place.codes == ["x" * 512])
    assert int(place.driver.health()["bad_frames"]) >= 4


async def test_a_code_without_the_prefix_is_refused(desk: Callable[..., Any]) -> None:
    place = await desk(options={"prefix": "B:", "suffix": "#"})
    for text in ("0123456789", "B:0123456789", "0123456789#", "B:0123456789#"):
        await place.scan(text)
    await place.until(lambda: place.codes == ["0123456789"])
    assert place.driver.health()["refused"] == 3


async def test_a_megabyte_of_noise_makes_no_code_and_a_degraded_device(desk: Callable[..., Any]) -> None:
    place = await desk()
    await place.sim.do({"op": "noise", "bytes": 1_000_000})
    await place.until(lambda: ("degraded", "NOISY_LINE") in place.states)
    await place.until(lambda: int(place.driver.health()["bytes"]) > 900_000)
    await asyncio.sleep(IDLE_S * 2)
    await place.scan("0123456789")
    await place.until(lambda: "0123456789" in place.codes)
    assert place.codes == ["0123456789"]


@pytest.mark.parametrize("seed", range(3))
async def test_a_bad_line_never_makes_one_code_of_two(desk: Callable[..., Any], seed: int) -> None:
    place = await desk(faults=Faults(seed=seed, drop=0.3, noise=0.3, split=3))
    for _ in range(10):
        await place.scan("0123456789")
        await asyncio.sleep(IDLE_S + 0.05)
    assert place.codes
    assert all(len(code) <= 18 and code.count("01234567") <= 1 for code in place.codes)


@pytest.mark.parametrize("end", ["cr", "lf", "crlf"])
@pytest.mark.parametrize("tcp", [False, True])
async def test_codes_are_told_whatever_ends_them(desk: Callable[..., Any], end: str, tcp: bool) -> None:
    place = await desk(tcp=tcp, end=end)
    for text in ("01234567890", "978-7-5442-5399-4"):
        await place.scan(text)
    await place.until(lambda: place.codes == ["01234567890", "978-7-5442-5399-4"])
    assert place.driver.health()["bad_frames"] == 0
    assert "01234567890" not in repr(place.events)


async def test_the_symbology_is_taken_off_and_utf8_is_read(desk: Callable[..., Any]) -> None:
    place = await desk(options={"encoding": "utf-8"})
    await place.scan("0123456789", aim="]C1")
    await place.scan("读者证号一二三四", aim="]Q1")
    await place.until(lambda: place.codes == ["0123456789", "读者证号一二三四"])
    kept = await desk(options={"aim": False})
    await kept.scan("0123456789", aim="]C1")
    await kept.until(lambda: kept.codes == ["]C10123456789"])


async def test_an_unplugged_scanner_is_found_again(desk: Callable[..., Any]) -> None:
    place = await desk()
    await place.sim.do({"op": "unplug"})
    await place.until(lambda: place.states[-1] == ("offline", "PORT_MISSING"))
    await place.sim.do({"op": "plug"})
    await place.until(lambda: place.states[-1] == ("online", "OK"))
    await place.scan("0123456789")
    await place.until(lambda: place.codes == ["0123456789"])
    assert place.driver.health()["opened"] == 2
