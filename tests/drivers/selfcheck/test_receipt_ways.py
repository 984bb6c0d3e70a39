"""The receipt printer where its way is the trouble: a line that breaks, one that is slow, a device file that takes nothing."""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from drivers.base import ConfigurationError, DeviceState, Receipt, ReceiptLine
from drivers.selfcheck.receipt import ReceiptPrinter, build, transport
from drivers.selfcheck.receipt import printer as driver_module
from drivers.selfcheck.receipt.transport import line_speed, parse_printer_url
from firmware_sim.printer import PrinterSimulator, simulate
from tests.drivers.selfcheck.receipt_desk import LONG, Desk

SLOW = 4800
"""Bits per second: a receipt of 1 kB is under way for two seconds."""


@pytest.fixture
async def slow_desk(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    made: list[Desk] = []

    async def make(scheme: str) -> Desk:
        sim = simulate(f"pty:{tmp_path}/printer{len(made)}", {"line_speed": str(SLOW)})
        assert isinstance(sim, PrinterSimulator)
        await sim.start()
        url = f"{scheme}:{tmp_path}/printer{len(made)}?baudrate={SLOW}"
        printer = build("printer-1", url, {"poll_ms": 200})
        assert isinstance(printer, ReceiptPrinter)
        made.append(Desk(printer, sim))
        await made[-1].is_("online", "OK")
        return made[-1]

    yield make
    for one in made:
        await one.close()


def test_a_line_speed_that_is_no_number_is_refused_by_the_simulator(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="line_speed"):
        simulate(f"pty:{tmp_path}/printer", {"line_speed": "-1"})


@pytest.mark.parametrize("breaks", [1, 3])
async def test_a_printer_that_loses_power_midway_has_printed_nothing_for_certain(
    slow_desk: Callable[..., Any], monkeypatch: Any, breaks: int
) -> None:
    monkeypatch.setattr(driver_module, "PRINT_S", 4.0)
    place = await slow_desk("pty")
    printing = asyncio.create_task(place.refused(LONG))
    await place.until(lambda: len(place.sim.paper.hanging.lines) > 5)
    await place.do("switch", on=False)  # the line breaks, which reads as "printed, paper is there"
    for _ in range(breaks - 1):
        await asyncio.sleep(0.1)
        place.sim.line.write(b"\0")
    error = await printing
    assert (error.code, error.uncertain) == ("DEVICE_OFFLINE", True)
    assert place.printer.health()["printed"] == 0


async def test_a_stray_byte_while_it_prints_is_no_proof_of_a_receipt(slow_desk: Callable[..., Any]) -> None:
    place = await slow_desk("pty")
    printing = asyncio.create_task(place.printer.print_receipt(LONG))
    await place.until(lambda: len(place.sim.paper.hanging.lines) > 5)
    place.sim.line.write(b"\0")
    await printing
    assert [piece["cut"] for piece in await place.taken()] == ["full"]


async def test_a_receipt_that_a_slow_line_carries_longer_than_it_prints_is_printed(
    slow_desk: Callable[..., Any], monkeypatch: Any
) -> None:
    monkeypatch.setattr(driver_module, "PRINT_S", 1.5)
    place = await slow_desk("serial")
    lines = [f"line {number:03d} of a long receipt" for number in range(40)]
    started = asyncio.get_running_loop().time()
    await place.printer.print_receipt(Receipt(tuple(ReceiptLine(line) for line in lines)))
    assert asyncio.get_running_loop().time() - started > 1.5
    (piece,) = await place.taken()
    assert piece["text"].split("\n") == lines


@pytest.mark.parametrize(
    ("url", "speed"),
    [
        ("serial:/dev/ttyUSB0", 9600),
        ("serial:/dev/ttyUSB0?baudrate=38400", 38400),
        ("rfc2217://127.0.0.1:4000?baudrate=1200", 1200),
        ("pty:/x", None),
        ("tcp:127.0.0.1", None),
        ("file:/dev/usb/lp0", None),
    ],
)
def test_the_speed_of_a_line_is_its_urls_else_the_options(url: str, speed: int | None) -> None:
    assert line_speed(parse_printer_url(url), 9600) == speed


class Blocked:
    """A printer's device file that takes 4 KB and then nothing more, as one without paper does."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self.fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        fcntl.fcntl(self.fd, fcntl.F_SETPIPE_SZ, 4096)

    def close(self) -> None:
        os.close(self.fd)


@pytest.fixture
def blocked(tmp_path: Path) -> Any:
    file = Blocked(tmp_path / "lp0")
    yield file
    file.close()


def test_a_device_file_that_is_not_there_or_not_ours_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        parse_printer_url("file:lp0")
    with pytest.raises(transport.PortError) as caught:
        asyncio.run(transport.open_printer(parse_printer_url(f"file:{tmp_path}/none"), 9600))
    assert caught.value.code == "PORT_MISSING"


async def test_a_device_file_that_takes_nothing_is_uncertain_and_never_holds_a_thread(
    blocked: Blocked, monkeypatch: Any
) -> None:
    monkeypatch.setattr(transport, "STEP_S", 0.5)
    printer = build("printer-1", f"file:{blocked.path}", {"poll_ms": 200})
    assert isinstance(printer, ReceiptPrinter)
    states: list[tuple[str, str]] = []
    task = asyncio.create_task(
        printer.run(
            lambda event: states.append((event.state, event.reason_code)) if isinstance(event, DeviceState) else None
        )
    )
    async with asyncio.timeout(5):
        while not states:
            await asyncio.sleep(0.01)
    await printer.print_receipt(Receipt((ReceiptLine("warm"),)))  # the library is loaded and its thread is there
    threads = threading.active_count()
    wide = Receipt(tuple(ReceiptLine("x" * 200) for _ in range(200)))
    long = asyncio.gather(*(printer.print_receipt(wide) for _ in range(2)), return_exceptions=True)
    async with asyncio.timeout(8):
        first, second = await long
    assert (getattr(first, "code", ""), getattr(first, "uncertain", None)) == ("DEVICE_OFFLINE", True)
    assert (getattr(second, "code", ""), getattr(second, "uncertain", None)) == ("DEVICE_OFFLINE", False)
    assert threading.active_count() <= threads + 1
    task.cancel()
    async with asyncio.timeout(2):
        await asyncio.gather(task, return_exceptions=True)


def test_a_loop_with_a_blocked_device_file_ends(blocked: Blocked) -> None:
    async def fill() -> None:
        port = await transport.open_printer(parse_printer_url(f"file:{blocked.path}"), 9600)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await port.write(bytes(1_000_000))
        await port.close()
        await port.close()

    ended = threading.Thread(target=lambda: asyncio.run(fill()), daemon=True)
    ended.start()
    ended.join(10)
    assert not ended.is_alive()


async def test_a_device_file_that_takes_bytes_again_goes_on_where_it_stood(blocked: Blocked) -> None:
    port = await transport.open_printer(parse_printer_url(f"file:{blocked.path}"), 9600)
    data = bytes(range(256)) * 1000
    writing = asyncio.create_task(port.write(data))
    found = b""
    async with asyncio.timeout(10):
        while len(found) < len(data):
            await asyncio.sleep(0.03)
            try:
                found += os.read(blocked.fd, 65536)
            except BlockingIOError:
                continue
    await writing
    await port.close()
    assert found == data
