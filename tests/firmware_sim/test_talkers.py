"""The simulated barcode scanner and serial cardreader: the bytes they send."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from firmware_sim.simulators import load
from firmware_sim.stage import StageError


async def sent(kind: str, tmp_path: Path, options: dict[str, str], *operations: dict[str, Any]) -> bytes:
    sim = load(kind)(f"pty:{tmp_path}/device", options)
    await sim.start()
    host = os.open(tmp_path / "device", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        for operation in operations:
            await sim.do(operation)
        await asyncio.sleep(0.02)
        return os.read(host, 4096)
    except BlockingIOError:
        return b""
    finally:
        os.close(host)
        await sim.stop()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("barcode", {"end": "tab"}),
        ("barcode", {"colour": "red"}),
        ("cardserial", {"frame": "block"}),
        ("cardserial", {"radix": "octal"}),
        ("cardserial", {"check": "xor"}),
    ],
)
def test_options_that_make_no_sense_are_refused(kind: str, options: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        load(kind)("pty:/x", options)


@pytest.mark.parametrize(
    ("kind", "operation"),
    [
        ("barcode", {"op": "scan"}),
        ("barcode", {"op": "scan", "text": ""}),
        ("barcode", {"op": "scan", "text": "x", "end": "tab"}),
        ("cardserial", {"op": "tap"}),
        ("cardserial", {"op": "tap", "card": "0"}),
        ("cardserial", {"op": "tap", "card": "04A1", "format": "wiegand"}),
        ("cardserial", {"op": "tap", "card": "04A1", "times": 1000}),
    ],
)
async def test_nonsense_is_told_as_such(kind: str, operation: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(StageError):
        await sent(kind, tmp_path, {}, operation)


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, b"0123\r"), ({"end": "crlf", "prefix": "<", "suffix": ">"}, b"<]C10123>\r\n"), ({"end": "none"}, b"0123")],
)
async def test_a_scanner_sends_text_and_end(options: dict[str, str], expected: bytes, tmp_path: Path) -> None:
    aim = {"aim": "]C1"} if "prefix" in options else {}
    assert await sent("barcode", tmp_path, options, {"op": "scan", "text": "0123", **aim}) == expected


@pytest.mark.parametrize(
    ("options", "operation", "expected"),
    [
        ({}, {"card": "04A1B2C3"}, b"04A1B2C3\r\n"),
        ({"radix": "dec"}, {"card": "04A1B2C3"}, b"0077705923\r\n"),
        ({"frame": "stx"}, {"card": "04A1B2C3"}, b"\x0204A1B2C3\x03"),
        ({"frame": "stx", "check": "xor"}, {"card": "04A1B2C3"}, b"\x0204A1B2C3D4\x03"),
        ({}, {"card": "313233", "format": "ascii", "times": 2}, b"123\r\n123\r\n"),
    ],
)
async def test_a_cardreader_sends_its_digits(
    options: dict[str, str], operation: dict[str, Any], expected: bytes, tmp_path: Path
) -> None:
    assert await sent("cardserial", tmp_path, options, {"op": "tap", **operation}) == expected


@pytest.mark.parametrize("kind", ["barcode", "cardserial"])
async def test_the_demo_shows_something(kind: str, tmp_path: Path) -> None:
    sim = load(kind)(f"pty:{tmp_path}/x", {})
    assert await sent(kind, tmp_path, {}, *(dict(step.operation) for step in sim.demo))
