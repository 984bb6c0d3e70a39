"""The simulated printer, sent raw bytes as any software would send them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_sim.printer import Paper, PrinterSimulator, simulate
from firmware_sim.printer.interpreter import Interpreter
from firmware_sim.simulators import load
from firmware_sim.stage import StageError

QR = "https://example.org/借"


def qr(text: str) -> bytes:
    raw = text.encode()
    return b"\x1d(k" + (len(raw) + 3).to_bytes(2, "little") + b"1P0" + raw + b"\x1d(k\x03\x001Q0"


class Desk:
    """A printer and a file descriptor at the host's end of its line."""

    def __init__(self, sim: PrinterSimulator, path: Path) -> None:
        self.sim = sim
        self.host = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)

    async def ask(self, *pieces: bytes) -> bytes:
        for piece in pieces:
            os.write(self.host, piece)
            await asyncio.sleep(0.01)
        try:
            return os.read(self.host, 256)
        except BlockingIOError:
            return b""

    async def do(self, op: str, **more: Any) -> dict[str, Any]:
        return await self.sim.do({"op": op, **more})


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    sim = PrinterSimulator(f"pty:{tmp_path}/printer")
    await sim.start()
    made = Desk(sim, tmp_path / "printer")
    yield made
    os.close(made.host)
    await sim.stop()


def test_unknown_options_are_refused() -> None:
    with pytest.raises(ValueError):
        simulate("pty:/x", {"colour": "red"})


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "dance"},
        {"op": "paper", "state": "wet"},
        {"op": "cover"},
        {"op": "cover", "open": "yes"},
        {"op": "switch"},
        {"op": "switch", "on": "yes"},
    ],
)
async def test_nonsense_is_told_as_such(desk: Desk, operation: dict[str, Any]) -> None:
    with pytest.raises(StageError):
        await desk.sim.do(operation)


async def test_a_line_breaks_when_power_is_lost_and_what_was_half_printed_is_gone(desk: Desk) -> None:
    assert await desk.ask(b"half a line\x10\x04\x02") == b"\x12"
    await desk.do("switch", on=False)
    assert await desk.ask() == b"\x00"
    assert await desk.ask(b"\x10\x04\x02\x1dr\x01") == b""
    await desk.do("switch", on=True)
    assert await desk.ask(b"whole\n\x1dr\x01") == b"\x00"
    assert [piece["text"] for piece in (await desk.do("take"))["receipts"]] == ["whole"]


async def test_a_paced_printer_gets_its_bytes_no_faster_than_its_line_carries_them(tmp_path: Path) -> None:
    sim = simulate(f"pty:{tmp_path}/printer", {"line_speed": "2400"})
    await sim.start()
    desk = Desk(sim, tmp_path / "printer")  # type: ignore[arg-type]
    began = asyncio.get_running_loop().time()
    os.write(desk.host, b"x" * 99 + b"\n\x1dr\x01")
    while await desk.ask() != b"\x00":
        assert asyncio.get_running_loop().time() - began < 5
        await asyncio.sleep(0.01)
    assert asyncio.get_running_loop().time() - began >= 103 * 10 / 2400
    os.close(desk.host)
    await sim.stop()


async def test_sensors_are_told_at_once_even_without_paper(desk: Desk) -> None:
    assert await desk.ask(b"\x10\x04\x02", b"\x10\x04\x04") == b"\x12\x12"
    await desk.do("paper", state="out")
    assert await desk.ask(b"waits\n\x10\x04\x01", b"\x10", b"\x04\x04") == b"\x1a\x7e"
    await desk.do("cover", open=True)
    assert await desk.ask(b"\x10\x04\x02") == b"\x36"


async def test_what_is_answered_in_its_turn_waits_for_paper(desk: Desk) -> None:
    await desk.do("paper", lines=2)
    assert await desk.ask(b"1\n2\n3\n\x1dr\x01") == b""
    await desk.do("paper", state="near_end")
    await asyncio.sleep(0.01)
    assert await desk.ask(b"") == b"\x03"
    (piece,) = (await desk.do("take"))["receipts"]
    assert piece["text"] == "1\n2\n3"


@pytest.mark.parametrize("cancel", [b"\x10\x14\x08\x01\x03\x14\x01\x06\x02\x08", None])
async def test_a_cleared_or_switched_off_printer_forgets_what_waits(desk: Desk, cancel: bytes | None) -> None:
    await desk.do("paper", lines=1)
    await desk.ask(b"1\n2\n3\n")
    if cancel is None:
        await desk.do("power_cycle")
    else:
        await desk.ask(cancel[:4], cancel[4:])
    await desk.do("paper", state="ok")
    (piece,) = (await desk.do("take"))["receipts"]
    assert piece["text"] == "1"


async def test_the_demo_can_be_played(tmp_path: Path) -> None:
    sim = load("printer")(f"pty:{tmp_path}/demo", {})
    await sim.start()
    assert [await sim.do(step.operation) for step in sim.demo]
    await sim.stop()


def printed(data: bytes) -> Paper:
    paper = Paper()
    Interpreter(paper).feed(data)
    return paper


def test_looks_codes_and_cuts_are_read() -> None:
    data = (
        b"\x1b@\x1c&\x1ba\x01\x1d!\x11\x1bE\x01\xbd\xe8\xca\xe9\n\x1b!\x00\x1ba\x00x\n"
        + qr(QR)
        + b"\x1bd\x03\x1dVB\x00"
    )
    (piece,) = printed(data).take()
    first, second = piece.lines
    assert (first.text, first.style.bold, first.style.align, first.style.size) == ("借书", True, "center", (2, 2))
    assert (second.text, second.style.bold, second.style.size) == ("x", False, (1, 1))
    assert (piece.codes, piece.cut) == ([QR], "partial")


def test_code_pages_hold_only_outside_kanji_mode() -> None:
    (piece,) = printed(b"\x1c.\x1bt\x10\xe9\n\x1bt\x02\x82\n\x1c&\xbd\xe8\n").take()
    assert [line.text for line in piece.lines] == ["é", "é", "借"]


def test_pictures_and_drawers_leave_no_text() -> None:
    picture = b"\x1dv0\x00\x02\x00\x02\x00abcd" + b"\x1b*\x00\x03\x00abc" + b"\x1bp\x00\x19\xfa"
    (piece,) = printed(picture + b"text\n").take()
    assert piece.text == "text"


@given(st.binary(max_size=400), st.integers(1, 50))
def test_any_bytes_are_survived_whatever_the_splits(data: bytes, step: int) -> None:
    whole, pieces = Paper(), Paper()
    Interpreter(whole).feed(data)
    interpreter = Interpreter(pieces)
    for at in range(0, len(data), step):
        interpreter.feed(data[at : at + step])
    assert [piece.told() for piece in whole.take()] == [piece.told() for piece in pieces.take()]
