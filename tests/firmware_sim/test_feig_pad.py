"""The simulated FEIG pad, asked by raw bytes as another maker's software would ask it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from firmware_sim.feig import Faults, SimPad, SimTag, TagStore
from firmware_sim.pty import PtyLine
from protocols.crc import crc_mcrf4xx
from protocols.iso28560 import AfiPair

UID = "E004010012345678"


def framed(head: str) -> bytes:
    raw = bytes.fromhex(head)
    return raw + crc_mcrf4xx(raw).to_bytes(2, "little")


class Desk:
    """A pad and a file descriptor at the host's end of its line."""

    def __init__(self, folder: Path) -> None:
        self.pad = SimPad(PtyLine(str(folder / "pad")))
        self.pad.start()
        self.host = os.open(folder / "pad", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)

    async def ask(self, *pieces: bytes, wait_s: float = 0.03) -> bytes:
        for piece in pieces:
            os.write(self.host, piece)
            await asyncio.sleep(0.002)
        await asyncio.sleep(wait_s)
        try:
            return os.read(self.host, 4096)
        except BlockingIOError:
            return b""


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(tmp_path)
    yield made
    os.close(made.host)
    made.pad.stop()


@pytest.mark.parametrize("bad", ["E0040100", "e004010012345678", "G004010012345678"])
def test_a_uid_that_is_none_makes_no_tag(bad: str) -> None:
    with pytest.raises(ValueError, match="16 upper-case hex"):
        SimTag(bad, 0x3E, 0x07)


async def test_a_frame_with_a_wrong_crc_is_not_answered(desk: Desk) -> None:
    assert await desk.ask(bytes.fromhex("07FFB001001C57")) == b""


async def test_a_frame_for_another_address_is_not_answered(desk: Desk) -> None:
    assert await desk.ask(framed("0709B00100")) == b""


async def test_an_unknown_command_is_answered_80_and_wrong_data_02(desk: Desk) -> None:
    assert await desk.ask(framed("020007FFD0")) == framed("02000800D080")
    assert await desk.ask(framed("020009FFB00102")) == framed("02000800B002")


async def test_the_vector_of_an_empty_pad_in_a_standard_frame(desk: Desk) -> None:
    """Vectors F7a and F7c: inventory without a tag, both ways byte for byte."""
    assert await desk.ask(bytes.fromhex("07FFB001001C56")) == bytes.fromhex("0600B0015C63")


async def test_the_vector_of_a_reset_in_an_advanced_frame(desk: Desk) -> None:
    """Vectors F3d and F3e."""
    assert await desk.ask(bytes.fromhex("020007FF635804")) == bytes.fromhex("020008006300C3AA")


async def test_a_request_in_pieces_and_after_noise_is_answered(desk: Desk) -> None:
    assert await desk.ask(b"\x02\x00", b"\x09\xff\xb0", b"\x01\x00\x18\x43") == framed("02000800B001")
    assert await desk.ask(b"\x02\x03\x99", b"", wait_s=0.03) == b""
    assert await desk.ask(bytes.fromhex("020009FFB001001843")) == framed("02000800B001")


async def test_the_vector_of_writing_an_afi_reaches_the_tag(desk: Desk) -> None:
    """Vector F7d."""
    tag = desk.pad.place(SimTag(UID, 0x3E, 0x07))
    assert await desk.ask(bytes.fromhex("10FFB02701E004010012345678C2794F")) == framed("0600B000")
    assert tag.afi == 0xC2


async def test_blocks_travel_reversed_with_their_security_byte(desk: Desk) -> None:
    desk.pad.place(SimTag(UID, 0x3E, 0x07, bytearray(b"\x11\x01\x01ABCDE")))
    answer = await desk.ask(framed(f"11FFB02301{UID}0002"))
    assert answer == framed("1200B000020400410101110045444342")


async def test_two_tags_collide_where_none_is_addressed_and_no_tag_is_01(desk: Desk) -> None:
    assert await desk.ask(framed(f"0FFFB02B01{UID}")) == framed("0600B001")
    desk.pad.place(SimTag(UID, 0x3E, 0x07))
    desk.pad.place(SimTag("E004010000000001", 0x3E, 0x07))
    assert await desk.ask(framed("07FFB02B00")) == framed("0600B083")


async def test_reading_beyond_the_memory_and_a_locked_afi_are_the_tags_own_errors(desk: Desk) -> None:
    tag = desk.pad.place(SimTag(UID, 0x3E, 0x07))
    assert await desk.ask(framed(f"11FFB02301{UID}1B02")) == framed("0700B09510")
    assert await desk.ask(framed(f"0FFFB02801{UID}")) == framed("0600B000")
    assert await desk.ask(framed(f"10FFB02701{UID}C2")) == framed("0700B09512")
    assert tag.afi == 0x07


async def test_a_pad_paced_like_its_wire_answers_no_faster(tmp_path: Path) -> None:
    pad = SimPad(PtyLine(str(tmp_path / "slow")), baudrate=38400)
    pad.start()
    host = os.open(tmp_path / "slow", os.O_RDWR | os.O_NOCTTY)
    loop = asyncio.get_running_loop()
    for number in range(10):
        pad.place(SimTag(f"E00401{number:010X}", 0x3E, 0x07))
    began = loop.time()
    os.write(host, bytes.fromhex("020009FFB001001843"))
    answer = await asyncio.to_thread(os.read, host, 4096)
    assert len(answer) == 109
    assert loop.time() - began >= (9 + 109) * 11 / 38400
    os.close(host)
    pad.stop()


def test_a_security_gate_looks_for_the_sites_own_afi() -> None:
    store = TagStore()
    store.put(SimTag(UID, 0x3E, 0xD7))
    assert not store.is_secured(UID)
    assert store.is_secured(UID, AfiPair(0xD7, 0xDA))
    assert not store.is_secured("E004010000000009")


def test_the_same_seed_gives_the_same_faults() -> None:
    def run() -> list[list[bytes]]:
        faults = Faults(seed=7, noise=0.5, drop=0.5, bad_crc=0.5, split=3)
        return [faults.spoil(bytes(range(10))) for _ in range(50)]

    assert run() == run()
    assert len({b"".join(pieces) for pieces in run()}) > 10
