"""The receipt printer against one that reads ESC/POS: what stands on paper, and an honest word where nothing or half of it does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from drivers.base import ConfigurationError, DeviceEvent, DeviceState, Printer, Receipt, ReceiptLine, load
from drivers.selfcheck.receipt import PrinterError, ReceiptPrinter, build
from drivers.selfcheck.receipt import printer as driver_module
from drivers.selfcheck.receipt.rendering import render
from drivers.selfcheck.receipt.status import is_realtime, is_turn
from drivers.selfcheck.receipt.transport import parse_printer_url
from firmware_sim.faults import Faults
from firmware_sim.printer import PrinterSimulator
from tests.drivers.selfcheck.receipt_desk import LONG, ZH, Desk


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    made: list[Desk] = []

    async def make(*, tcp: bool = False, faults: Faults | None = None, online: bool = True, **options: Any) -> Desk:
        sim = PrinterSimulator("tcp:127.0.0.1:0" if tcp else f"pty:{tmp_path}/printer{len(made)}", faults=faults)
        await sim.start()
        printer = build("printer-1", sim.url, {"poll_ms": 200, **options})
        assert isinstance(printer, ReceiptPrinter)
        made.append(Desk(printer, sim))
        if online:
            await made[-1].is_("online", "OK")
        return made[-1]

    yield make
    for one in made:
        await one.close()


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("pty:/x", {"colour": "red"}),
        ("pty:/x", {"encoding": "big5"}),
        ("pty:/x", {"cut": "half"}),
        ("pty:/x", {"status": "perhaps"}),
        ("pty:/x", {"poll_ms": 1}),
        ("pty:/x", {"baudrate": "fast"}),
        ("usb:4b8:e15", {}),
        ("file:lp0", {}),
        ("lpt:1", {}),
    ],
)
def test_options_and_addresses_that_make_no_sense_are_refused(url: str, options: dict[str, str | int]) -> None:
    with pytest.raises(ConfigurationError):
        build("printer-1", url, options)


def test_the_driver_is_found_by_kind_and_is_a_printer() -> None:
    driver = load("printer")("printer-1", "tcp:127.0.0.1", {})
    assert isinstance(driver, Printer)
    assert driver.capabilities.isolation == "thread"
    assert parse_printer_url("tcp:127.0.0.1").url == "tcp:127.0.0.1:9100"


async def test_a_printer_that_is_not_there_refuses_at_once_and_certainly(tmp_path: Path) -> None:
    printer = build("printer-1", f"pty:{tmp_path}/none", {})
    assert isinstance(printer, ReceiptPrinter)
    events: list[DeviceEvent] = []
    task = asyncio.create_task(printer.run(events.append))
    await asyncio.sleep(0.1)
    assert [(e.state, e.reason_code) for e in events if isinstance(e, DeviceState)] == [("offline", "PORT_MISSING")]
    async with asyncio.timeout(0.1):
        with pytest.raises(PrinterError) as caught:
            await printer.print_receipt(ZH)
    assert (caught.value.code, caught.value.uncertain) == ("DEVICE_OFFLINE", False)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_without_paper_nothing_is_printed_and_a_later_try_prints_it_once(desk: Callable[..., Any]) -> None:
    place = await desk()
    await place.do("paper", state="out")
    error = await place.refused(ZH)
    assert (error.code, error.uncertain) == ("PAPER_OUT", False)
    await place.is_("offline", "PAPER_OUT")
    assert place.printer.health()["paper"] == "out"
    await place.do("paper", state="ok")
    await place.is_("online", "OK")
    await place.printer.print_receipt(ZH)
    assert len(await place.taken()) == 1


async def test_paper_out_midway_is_uncertain_and_the_rest_never_comes_out(desk: Callable[..., Any]) -> None:
    place = await desk()
    await place.do("paper", lines=20)
    error = await place.refused(LONG)
    assert (error.code, error.uncertain) == ("PAPER_OUT", True)
    await place.is_("offline", "PAPER_OUT")
    await place.until(lambda: place.sim.interpreter.waiting <= 2)  # ESC @ waits for paper
    await place.do("paper", state="ok")
    await place.is_("online", "OK")
    await place.printer.print_receipt(ZH)
    texts = "\n".join(str(piece["text"]) for piece in await place.taken())
    assert "line 19" in texts and "line 20" not in texts
    assert texts.count("借书凭条") == 1
    assert place.printer.health()["uncertain"] == 1


async def test_an_open_cover_is_told(desk: Callable[..., Any]) -> None:
    place = await desk()
    await place.do("cover", open=True)
    assert (await place.refused(ZH)).code == "COVER_OPEN"
    await place.is_("offline", "COVER_OPEN")
    await place.do("cover", open=False)
    await place.is_("online", "OK")


async def test_more_receipts_than_wait_are_refused_and_the_others_come_out_in_order(desk: Callable[..., Any]) -> None:
    place = await desk(faults=Faults(slow_s=0.05))
    receipts = [Receipt((ReceiptLine(f"receipt {number}"),)) for number in range(12)]
    done = await asyncio.gather(*(place.printer.print_receipt(one) for one in receipts), return_exceptions=True)
    codes = [result.code for result in done if isinstance(result, PrinterError)]
    assert codes == ["QUEUE_FULL"] * 4
    assert [piece["text"] for piece in await place.taken()] == [f"receipt {number}" for number in range(8)]


async def test_a_cancelled_receipt_that_waits_is_not_printed(desk: Callable[..., Any]) -> None:
    place = await desk(faults=Faults(slow_s=0.1))
    first = asyncio.create_task(place.printer.print_receipt(Receipt((ReceiptLine("first"),))))
    second = asyncio.create_task(place.printer.print_receipt(Receipt((ReceiptLine("second"),))))
    await asyncio.sleep(0.05)
    second.cancel()
    await first
    await place.printer.print_receipt(Receipt((ReceiptLine("third"),)))
    assert [piece["text"] for piece in await place.taken()] == ["first", "third"]


@pytest.mark.parametrize("tcp", [False, True])
async def test_unplugged_midway_it_is_uncertain_and_found_again(desk: Callable[..., Any], tcp: bool) -> None:
    place = await desk(tcp=tcp)
    place.sim.faults.slow_s = 0.2
    printing = asyncio.create_task(place.refused(LONG))
    await place.until(lambda: len(place.sim.paper.hanging.lines) + len(place.sim.paper.pieces) > 0)
    await place.do("unplug")
    error = await printing
    assert (error.code, error.uncertain) == ("DEVICE_OFFLINE", True)
    place.sim.faults.slow_s = 0.0
    await place.is_("offline", "PORT_UNREACHABLE" if tcp else "PORT_MISSING")
    await place.taken()
    await place.do("plug")
    await place.is_("online", "OK")
    await place.printer.print_receipt(ZH)
    assert [piece["text"].split("\n")[0] for piece in await place.taken()] == ["借书凭条"]


async def test_a_printer_that_falls_silent_midway_costs_a_bounded_time(
    desk: Callable[..., Any], monkeypatch: Any
) -> None:
    monkeypatch.setattr(driver_module, "PRINT_S", 0.8)
    place = await desk()
    printing = asyncio.create_task(place.refused(LONG))
    await place.until(
        lambda: (place.sim.interpreter.answers == [] and len(place.sim.paper.hanging.lines) > 0) or printing.done()
    )
    place.sim.faults.silent = True
    again = await asyncio.wait_for(asyncio.gather(printing, return_exceptions=True), 5)
    if isinstance(again[0], PrinterError):
        assert again[0].uncertain
    error = await asyncio.wait_for(place.refused(ZH), 5)
    assert error.code == "DEVICE_OFFLINE"
    await place.is_("offline", "NO_ANSWER")


@pytest.mark.parametrize("tcp", [False, True])
async def test_a_chinese_receipt_reads_back_from_the_paper_exactly(desk: Callable[..., Any], tcp: bool) -> None:
    place = await desk(tcp=tcp)
    await place.printer.print_receipt(ZH)
    (piece,) = await place.taken()
    assert piece["text"] == "\n".join(line.text for line in ZH.lines)
    assert piece["lines"][0] == {"text": "借书凭条", "bold": True, "align": "center", "size": [2, 2]}
    assert [line["align"] for line in piece["lines"][:3]] == ["center", "left", "right"]
    assert (piece["codes"], piece["cut"]) == (["https://example.org/r/1?a=b"], "full")
    assert place.sim.state()["unknown"] == 0


@pytest.mark.parametrize("encoding", ["cp437", "cp850", "cp858", "cp1252"])
async def test_a_latin_receipt_reads_back_in_its_code_page(desk: Callable[..., Any], encoding: str) -> None:
    place = await desk(encoding=encoding, cut="partial")
    text = "Prêt: Les misérables – 借" if encoding == "cp1252" else "Prêt: Les misérables 借"
    await place.printer.print_receipt(Receipt((ReceiptLine(text), ReceiptLine("zurück"))))
    (piece,) = await place.taken()
    assert piece["text"] == text.replace("借", "?") + "\nzurück"
    assert piece["cut"] == "partial"
    assert place.printer.health()["replaced_chars"] == 1


async def test_a_title_cannot_command_the_printer(desk: Callable[..., Any]) -> None:
    place = await desk()
    await place.printer.print_receipt(Receipt((ReceiptLine("a\x1bi\x10\x04\x01b\nc"),)))
    (piece,) = await place.taken()
    assert piece["text"] == "a?i???b?c"


async def test_low_paper_is_told_and_printing_goes_on(desk: Callable[..., Any]) -> None:
    place = await desk()
    await place.do("paper", state="near_end")
    await place.is_("degraded", "PAPER_LOW")
    await place.printer.print_receipt(ZH)
    assert len(await place.taken()) == 1


async def test_trouble_told_once_by_a_flipped_byte_is_not_believed(tmp_path: Path) -> None:
    class Flips(PrinterSimulator):
        flips = 0

        def say(self, answer: bytes) -> None:
            super().say(bytes((answer[0] | 0x60,)) if self.flips > 0 else answer)  # a fault, or no paper
            self.flips -= 1

    sim = Flips(f"pty:{tmp_path}/printer")
    await sim.start()
    printer = build("printer-1", sim.url, {"poll_ms": 200})
    assert isinstance(printer, ReceiptPrinter)
    place = Desk(printer, sim)
    await place.is_("online", "OK")
    for _ in range(3):
        sim.flips = 1  # asked once more it says otherwise
        await place.printer.print_receipt(ZH)
    await place.close()
    assert place.states == [("online", "OK")]


@pytest.mark.parametrize("seed", range(4))
async def test_a_bad_line_back_never_prints_twice_nor_invents_trouble(desk: Callable[..., Any], seed: int) -> None:
    place = await desk()
    place.sim.faults = Faults(seed=seed, noise=0.2, drop=0.1, double=0.1)
    printed = 0
    for number in range(5):
        with contextlib.suppress(PrinterError):
            await place.printer.print_receipt(Receipt((ReceiptLine(f"receipt {number}"),)))
            printed += 1
    place.sim.faults = Faults()
    texts = [piece["text"] for piece in await place.taken()]
    assert len(texts) == len(set(texts)) >= printed
    assert not {"PAPER_OUT", "COVER_OPEN"} & {reason for _, reason in place.states}


async def test_a_megabyte_of_noise_is_survived(desk: Callable[..., Any]) -> None:
    place = await desk()
    await place.do("noise", bytes=1_000_000)
    await asyncio.sleep(0.5)
    await place.until(lambda: place.states[-1] == ("online", "OK"), 20)
    await place.printer.print_receipt(ZH)
    assert int(place.printer.health()["bad_frames"]) > 0


async def test_a_printer_without_answers_prints_what_it_is_sent(desk: Callable[..., Any]) -> None:
    place = await desk(status="no")
    place.sim.faults.silent = True
    await place.printer.print_receipt(ZH)
    await place.until(lambda: bool(place.sim.paper.pieces))
    assert place.printer.health()["paper"] == "unknown"


async def test_a_printers_device_file_takes_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "lp0"
    path.touch()
    printer = build("printer-1", f"file:{path}", {"poll_ms": 200})
    assert isinstance(printer, ReceiptPrinter)
    events: list[DeviceEvent] = []
    task = asyncio.create_task(printer.run(events.append))
    async with asyncio.timeout(5):
        while not events:
            await asyncio.sleep(0.01)
        await printer.print_receipt(ZH)
    assert bytes.fromhex("BDE8CAE9") in path.read_bytes()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_kanji_mode_holds_the_given_bytes_and_what_gbk_cannot_say_is_counted() -> None:
    done = render(Receipt((ReceiptLine("借书 🙂 ?"),)))
    assert b"\x1c&" in done.data
    assert bytes.fromhex("BDE8CAE9") + b" ? ?\n" in done.data
    assert done.replaced == 1


def test_no_byte_answers_both_questions_and_few_are_answers() -> None:
    assert not any(is_realtime(byte) and is_turn(byte) for byte in range(256))
    assert sum(map(is_realtime, range(256))) == 16
    assert sum(map(is_turn, range(256))) == 4
