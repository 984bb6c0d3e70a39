"""The simulated UHFReader18/288, asked by raw bytes as another maker's software would ask it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from firmware_sim.stage import StageError
from firmware_sim.uhf import Gen2Tag, UhfDevice, simulate, tid_for
from firmware_sim.uhf.device import AIR_PER_TAG_S, ROUND_S
from firmware_sim.uhf.tags import TagError
from protocols.crc import crc_mcrf4xx

EPC = "010453001853044000000B0D"


def framed(head: str) -> bytes:
    raw = bytes.fromhex(head)
    raw = bytes((len(raw) + 2,)) + raw
    return raw + crc_mcrf4xx(raw).to_bytes(2, "little")


class Desk:
    """A device and a file descriptor at the host's end of its line."""

    def __init__(self, sim: UhfDevice, link: Path) -> None:
        self.sim = sim
        self.host = os.open(link, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)

    async def ask(self, *pieces: bytes, wait_s: float = 0.03) -> bytes:
        for piece in pieces:
            os.write(self.host, piece)
            await asyncio.sleep(0.002)
        await asyncio.sleep(wait_s)
        try:
            return os.read(self.host, 4096)
        except BlockingIOError:
            return b""


@pytest.fixture(params=["18", "288"])
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    sim = simulate(f"pty:{tmp_path}/uhf", {"family": request.param, "line_speed": "0"})
    assert isinstance(sim, UhfDevice)
    await sim.start()
    made = Desk(sim, tmp_path / "uhf")
    yield made
    os.close(made.host)
    await sim.stop()


@pytest.mark.parametrize(
    "options",
    [{"family": "9"}, {"ports": "2"}, {"ports": "4"}, {"address": "255"}, {"line_speed": "-1"}, {"wheels": "4"}],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"family|ports|address|line_speed|wheels"):
        simulate("tcp:127.0.0.1:0", options)


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "place"},
        {"op": "place", "epc": "01"},
        {"op": "place", "epc": EPC, "pc": "F800"},
        {"op": "place", "epc": EPC, "tid": "E2"},
        {"op": "place", "epc": EPC, "rssi": 300},
        {"op": "place", "epc": EPC, "lock": [7]},
        {"op": "move", "tid": "E280"},
        {"op": "faults", "gremlins": 1},
        {"op": "antenna", "antenna": 2, "connected": False},
        {"op": "antenna", "antenna": 1},
        {"op": "faults", "stranger": 2},
        {"op": "dance"},
    ],
)
async def test_an_operation_that_makes_no_sense_is_refused(desk: Desk, operation: dict[str, object]) -> None:
    with pytest.raises(StageError):
        await desk.sim.do(operation)


def test_a_tag_refuses_what_a_chip_refuses() -> None:
    tag = Gen2Tag(bytearray.fromhex(EPC), tid_for(b"1"))
    for bank, word, count, code in ((2, 0, 1, 0x04), (1, 0, 1, 0x04), (3, 32, 1, 0x03), (1, 18, 1, 0x03)):
        with pytest.raises(TagError) as caught:
            tag.check_write(bank, word, count, 0)
        assert caught.value.code == code
    with pytest.raises(TagError):
        tag.read(3, 30, 3)
    with pytest.raises(TagError):
        tag.write_word(1, 1, b"\xf8\x00")  # a PC longer than its memory


async def test_a_wrong_crc_and_an_unknown_command_are_answered_fe_and_another_address_not_at_all(desk: Desk) -> None:
    refused = framed("0000FE")
    assert await desk.ask(framed("0077")) == refused
    assert await desk.ask(framed("0021")[:-1] + b"\x00", wait_s=0.06) == refused
    assert await desk.ask(framed("0921")) == b""


async def test_the_vectors_of_inventory_and_information_are_answered(desk: Desk) -> None:
    """Vectors G1a, G1c, G1e."""
    old = desk.sim.family == "18"
    nothing = await desk.ask(bytes.fromhex("040001DB4B"))
    assert nothing == (framed("0001FB") if old else framed("0001010100"))
    information = await desk.ask(bytes.fromhex("04FF211995"))
    assert (len(information), information[1:4]) == (14 if old else 18, b"\x00\x21\x00")
    await desk.sim.do({"op": "place", "epc": EPC, "rssi": 64})
    found = await desk.ask(bytes.fromhex("040001DB4B"))
    if old:
        assert found == framed("000101010C" + EPC)
    else:
        assert found.hex().upper() == "1500010101010C010453001853044000000B0D40B5C8"


async def test_banks_are_read_and_written_by_whole_epc(desk: Desk) -> None:
    placed = await desk.sim.do({"op": "place", "epc": EPC, "user": "0C02D994"})
    head = "0002" + "06" + EPC
    assert await desk.ask(framed(head + "030002" + "00000000")) == framed("000200" + "0C02D994")
    assert await desk.ask(framed(head + "020006" + "00000000")) == framed("000200" + placed["tid"])
    assert await desk.ask(framed(head + "030003" + "00000000")) == framed("0002FC03")
    assert await desk.ask(framed("0002" + "01FFFF" + "030001" + "00000000")) == framed("0002FB")
    assert await desk.ask(framed("0003" + "01" + "06" + EPC + "0102" + "8104" + "00000000")) == framed("000300")
    assert (await desk.sim.do({"op": "lift", "tid": placed["tid"]}))["epc"] == "8104" + EPC[4:]
    assert (await desk.sim.do({"op": "lift", "tid": placed["tid"]})) == {"found": False}
    await desk.sim.do({"op": "place", "tid": placed["tid"]})
    assert (await desk.sim.do({"op": "state"}))["tags"][0]["epc"] == "8104" + EPC[4:]


async def test_the_vector_of_an_epc_bank_has_the_crc_that_a_chip_computes(desk: Desk) -> None:
    """Vector B2: PC 45C2, CRC 4723."""
    uii = "141CC04FC70BADB5C6E2DA1DED4DD319"
    await desk.sim.do({"op": "place", "epc": uii, "pc": "45C2"})
    assert await desk.ask(framed("000208" + uii + "010003" + "00000000")) == framed("000200" + "4723" + "45C2" + "141C")


async def test_a_lock_needs_the_password_and_then_holds(desk: Desk) -> None:
    await desk.sim.do({"op": "place", "epc": EPC, "access_password": 0x11223344})
    lock = "0006" + "06" + EPC + "0402"
    write = "0003" + "01" + "06" + EPC + "0300" + "ABCD"
    assert await desk.ask(framed(lock + "00000000")) == framed("000605")
    assert await desk.ask(framed(lock + "11223344")) == framed("000600")
    assert await desk.ask(framed(write + "00000000")) == framed("0003FC04")
    assert await desk.ask(framed(write + "11223344")) == framed("000300")


async def test_forty_tags_come_in_several_frames(desk: Desk) -> None:
    for number in range(40):
        await desk.sim.do({"op": "place", "epc": f"{number:024X}"})
    raw = await desk.ask(framed("0001"))
    states = []
    while raw:
        states.append(raw[3])
        raw = raw[raw[0] + 1 :]
    assert states[:-1] == [3] * (len(states) - 1)
    assert (states[-1], len(states) > 2) == (1, True)


async def test_an_antenna_pulled_off_or_not_there_and_a_form_not_known_are_refused(tmp_path: Path) -> None:
    sim = simulate(f"pty:{tmp_path}/uhf", {"family": "288", "ports": "4", "takes": "parameters", "line_speed": "0"})
    assert isinstance(sim, UhfDevice)
    await sim.start()
    desk = Desk(sim, tmp_path / "uhf")
    await sim.do({"op": "place", "epc": EPC})
    await sim.do({"op": "antenna", "antenna": 2, "connected": False})

    async def status(request: str) -> int:
        return (await desk.ask(framed(request)))[3]

    assert await status("0001040000800a") == 0x01  # Q 4, session 0, target 0, antenna 1, a second
    assert await status("0001040000810a") == 0xF8
    assert await status("0001040000840a") == 0xFF
    assert await status("0001240000800a") == 0xFF  # FastID
    await sim.do({"op": "antenna", "antenna": 2, "connected": True})
    assert await status("0001040000810a") == 0x01
    os.close(desk.host)
    await sim.stop()


async def test_a_device_paced_like_its_wire_answers_no_faster(tmp_path: Path) -> None:
    sim = simulate(f"pty:{tmp_path}/slow", {"line_speed": "57600"})
    await sim.start()
    host = os.open(tmp_path / "slow", os.O_RDWR | os.O_NOCTTY)
    for number in range(5):
        await sim.do({"op": "place", "epc": f"{number:024X}"})
    loop = asyncio.get_running_loop()
    began = loop.time()
    os.write(host, framed("0001"))
    answer = await asyncio.to_thread(os.read, host, 4096)
    assert len(answer) == 7 + 5 * 13
    assert loop.time() - began >= (5 + len(answer)) * 10 / 57600 + ROUND_S + 5 * AIR_PER_TAG_S
    os.close(host)
    await sim.stop()
