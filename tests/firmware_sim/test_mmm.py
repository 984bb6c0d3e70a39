"""The simulated 3M pad, asked by raw bytes as another maker's software would ask it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from firmware_sim.mmm import MmmSimulator, simulate
from firmware_sim.simulators import load
from firmware_sim.stage import StageError
from protocols.crc import crc_gen2

UID = "E004010012345678"


def framed(payload: str, start: str = "D6") -> bytes:
    body = bytes.fromhex(payload)
    checked = (len(body) + 2).to_bytes(2, "big") + body
    return bytes.fromhex(start) + checked + crc_gen2(checked).to_bytes(2, "big")


class Desk:
    """A pad and a file descriptor at the host's end of its line."""

    def __init__(self, sim: MmmSimulator, path: Path) -> None:
        self.sim = sim
        self.host = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)

    async def do(self, op: str, **more: Any) -> dict[str, Any]:
        return await self.sim.do({"op": op, **more})

    async def ask(self, *pieces: bytes, wait_s: float = 0.03) -> bytes:
        for piece in pieces:
            os.write(self.host, piece)
            await asyncio.sleep(0.002)
        await asyncio.sleep(wait_s)
        try:
            return os.read(self.host, 4096)
        except BlockingIOError:
            return b""

    async def payload(self, payload: str) -> str:
        answer = await self.ask(framed(payload))
        assert answer == framed(answer[3:-2].hex())
        return answer[3:-2].hex().upper()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    sim = MmmSimulator(f"pty:{tmp_path}/pad")
    await sim.start()
    made = Desk(sim, tmp_path / "pad")
    yield made
    os.close(made.host)
    await sim.stop()


@pytest.mark.parametrize("options", [{"firmware": "newest"}, {"colour": "red"}, {"seed": "x"}, {"line_speed": "fast"}])
def test_options_that_make_no_sense_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        simulate("pty:/x", options)


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "dance"},
        {"op": "place"},
        {"op": "place", "uid": "E004"},
        {"op": "place", "uid": UID, "afi": 256},
        {"op": "place", "uid": UID, "blocks": "0"},
        {"op": "faults", "gravity": 1},
    ],
)
async def test_nonsense_is_told_as_such(desk: Desk, operation: dict[str, Any]) -> None:
    with pytest.raises(StageError):
        await desk.sim.do(operation)


async def test_bad_bcc_noise_and_half_frames_are_passed_over(desk: Desk) -> None:
    bad = bytearray(framed("FE0005"))
    bad[-1] ^= 1
    assert await desk.ask(bytes(bad)) == b""
    assert await desk.ask(b"\x00\xd6\x00\x00" + framed("FE0005")[:4], wait_s=0.1) == b""
    assert await desk.ask(framed("FE0005")) == framed("FE00000500")


async def test_unknown_commands_and_short_requests_get_their_error(desk: Desk) -> None:
    assert await desk.payload("CC") == "CC02"
    assert await desk.payload("FE00") == "FE32"
    assert await desk.payload("FE0080") == "FE31"


async def test_a_tag_that_is_not_there_is_no_transponder(desk: Desk) -> None:
    assert await desk.payload(f"0A{UID}") == f"0A06{UID}"
    assert await desk.payload(f"03{UID}") == f"0306{UID}00"


async def test_what_is_locked_stays(desk: Desk) -> None:
    await desk.do("place", uid=UID, afi=7, locked=[1])
    assert await desk.payload(f"05{UID}0111223344") == f"0512{UID}"
    assert await desk.payload(f"06{UID}") == f"0600{UID}"
    assert await desk.payload(f"09{UID}C2") == f"0912{UID}"
    assert await desk.payload(f"0E{UID}") == f"0E00{UID}"
    assert await desk.payload(f"0B{UID}06") == f"0B12{UID}"
    assert await desk.payload(f"08{UID}01") == f"0812{UID}"


async def test_version_inventory_and_blocks_in_every_style(desk: Desk) -> None:
    assert await desk.ask(bytes.fromhex("D500050400118C66")) == framed("0400110A050002", "D5")
    assert await desk.payload("11") == "11000A030206"
    await desk.do("place", uid=UID, dsfid=0x3E, afi=7, blocks="0011223344556677")
    assert await desk.payload("FE0005") == f"FE00000501{UID}"
    assert await desk.payload("FE0003") == f"FE000003013E{UID}"
    assert await desk.payload("FEC201") == "FE00C20100"
    assert await desk.payload(f"02{UID}0002") == f"0200{UID}02" + "000000112233" + "010044556677"
    assert await desk.payload(f"02{UID}000204") == f"0200{UID}0002" + "0000112233" + "0044556677"
    assert await desk.payload(f"02{UID}00020C") == f"0200{UID}0002" + "00112233" + "44556677"
    assert await desk.payload(f"02{UID}1B02") == f"0211{UID}"
    assert await desk.payload(f"0D{UID}0F") == f"0D00{UID}0F3E07031B0001"


async def test_writing_reading_back_and_lifting(desk: Desk) -> None:
    await desk.do("place", uid=UID, dsfid=0x3E, afi=7, eas=True)
    assert await desk.payload(f"04{UID}000200" + "1234ABCD55667788") == f"0400{UID}02"
    assert await desk.payload(f"09{UID}C2") == f"0900{UID}"
    assert await desk.payload(f"0A{UID}") == f"0A00{UID}C2"
    assert await desk.payload(f"03{UID}") == f"0300{UID}01"
    assert await desk.payload(f"0C{UID}00") == f"0C00{UID}"
    assert await desk.payload(f"03{UID}") == f"0306{UID}00"
    assert await desk.payload(f"0B{UID}06") == f"0B00{UID}"
    assert await desk.payload(f"0F{UID}") == f"0F00{UID}06"
    lifted = await desk.do("lift", uid=UID)
    assert (lifted["afi"], lifted["eas"], lifted["blocks"][:16]) == (0xC2, False, "1234ABCD55667788")
    assert (await desk.do("lift", uid=UID))["found"] is False


async def test_a_quiet_tag_is_not_in_the_inventory_until_it_was_lifted(desk: Desk) -> None:
    await desk.do("place", uid=UID)
    assert await desk.payload(f"01{UID}") == f"0100{UID}"
    assert await desk.payload("FE0005") == "FE00000500"
    await desk.do("lift", uid=UID)
    await desk.do("place", uid=UID)
    assert await desk.payload("FE0005") == f"FE00000501{UID}"


async def test_commands_pass_through_to_the_tag(desk: Desk) -> None:
    await desk.do("place", uid=UID, dsfid=0x3E, afi=7, blocks="55555555")
    air_uid = bytes.fromhex(UID)[::-1].hex().upper()
    assert await desk.payload(f"14000B000600002320{air_uid}00") == "140083" + "0005" + "0055555555"
    assert await desk.payload(f"14000A00200000232B{air_uid}") == f"140083000F000F{air_uid}3E071B0301"
    assert await desk.payload(f"14000B000600002327{air_uid}C2") == "140083" + "0001" + "00"
    assert await desk.payload(f"0A{UID}") == f"0A00{UID}C2"


async def test_old_firmware_knows_no_options_and_no_tag_information(tmp_path: Path) -> None:
    sim = MmmSimulator(f"pty:{tmp_path}/old", old=True)
    await sim.start()
    desk = Desk(sim, tmp_path / "old")
    await desk.do("place", uid=UID)
    assert await desk.payload("FE0003") == "FE31"
    assert await desk.payload(f"02{UID}00010C") == f"0231{UID}"
    assert await desk.payload(f"0D{UID}03") == f"0D02{UID}"
    os.close(desk.host)
    await sim.stop()


async def test_a_pad_paced_like_its_wire_answers_no_faster(tmp_path: Path) -> None:
    sim = MmmSimulator(f"pty:{tmp_path}/slow", baudrate=19200)
    await sim.start()
    for number in range(10):
        await sim.do({"op": "place", "uid": f"E00401{number:010X}"})
    desk = Desk(sim, tmp_path / "slow")
    os.set_blocking(desk.host, True)
    loop = asyncio.get_running_loop()
    began = loop.time()
    os.write(desk.host, framed("FE0005"))
    answer = await asyncio.to_thread(os.read, desk.host, 4096)
    assert loop.time() - began >= (8 + len(answer)) * 10 / 19200
    os.close(desk.host)
    await sim.stop()


async def test_the_demo_shows_a_tag(tmp_path: Path) -> None:
    sim = load("3m")(f"pty:{tmp_path}/demo", {})
    await sim.start()
    for step in sim.demo:
        assert step.at_s <= 5
        assert step.operation["op"] in sim.operations
        await sim.do(step.operation)
    await sim.stop()
