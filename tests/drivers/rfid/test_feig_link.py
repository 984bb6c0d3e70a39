"""A FEIG link asked directly: what an error of a tag says, host mode and cancelled questions, tags pulled away while written."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from drivers.base import Security
from drivers.port import open_port
from drivers.rfid.feig import FeigLink
from drivers.rfid.link import TagRefused
from firmware_sim.feig import SimPad, SimTag
from firmware_sim.pty import PtyLine
from protocols.feig import ISO15693_ERROR, EasAlarmRequest, SystemInformationRequest
from protocols.iso28560 import encode_part3, image_of
from protocols.iso28560.content import TagContent
from protocols.iso28560.recognise import recognise_hf

SECURED = Security(0x07, True)
NOT_SUPPORTED = b"\x01"


def uid(number: int) -> str:
    return f"E00401{number:010X}"


def book(number: int) -> SimTag:
    blocks = encode_part3(f"TJ{number:06d}", "CN-251020", usage=1, parts=1, part=1, size=34)
    return SimTag(uid(number), 0x3E, 0x07, bytearray(blocks))


@pytest.mark.parametrize("error", [b"\x0f", b"", b"\x03"])
async def test_what_a_chip_lacks_is_told_apart_from_what_it_did_not_answer_now(tmp_path: Path, error: bytes) -> None:
    sim = SimPad(PtyLine(str(tmp_path / "pad")))
    sim.start()
    sim.place(book(1))
    port = await open_port(sim.line.url)
    link = FeigLink(port, form="advanced", mode="host")
    for kind, lacking in ((SystemInformationRequest, Security(None, True)), (EasAlarmRequest, Security(0x07, None))):
        sim.work.refuse(kind, ISO15693_ERROR, error)
        with pytest.raises(TagRefused):
            await link.security(uid(1))
        sim.work.refuse(kind, ISO15693_ERROR, NOT_SUPPORTED)
        assert await link.security(uid(1)) == lacking
    await port.close()
    sim.stop()


async def test_whoever_is_cancelled_waits_until_the_device_is_let_go(tmp_path: Path) -> None:
    sim = SimPad(PtyLine(str(tmp_path / "pad")), scans=True)
    sim.start()
    sim.place(book(1))
    port = await open_port(sim.line.url)
    link = FeigLink(port, form="advanced", mode="buffered")
    await link.begin()
    sim.faults.slow_s = 0.04
    for step in range(8):  # cancelled at the order to hold, at a question, at the order to let go
        asked = asyncio.create_task(link.security(uid(1)))
        async with asyncio.timeout(5):
            while not sim.held:
                await asyncio.sleep(0.001)
        await asyncio.sleep(step * 0.025)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        assert not sim.held
        assert await link.security(uid(1)) == SECURED
    await port.close()
    sim.stop()


async def test_an_order_to_let_go_is_never_left_beside_the_next_question(tmp_path: Path) -> None:
    sim = SimPad(PtyLine(str(tmp_path / "pad")), scans=True)
    sim.start()
    sim.place(book(1))
    port = await open_port(sim.line.url)
    link = FeigLink(port, form="advanced", mode="buffered")
    await link.begin()
    sim.faults.slow_s = 0.04
    asked = asyncio.create_task(link.security(uid(1)))
    async with asyncio.timeout(5):
        for held in (True, False):
            while sim.held is not held:
                await asyncio.sleep(0.001)
    asked.cancel()  # the order to let go has arrived, its answer has not
    await asyncio.gather(asked, return_exceptions=True)
    assert await link.security(uid(1)) == SECURED
    assert sim.overlaps == 0
    await port.close()
    sim.stop()


@pytest.mark.parametrize("form", ["28560-2", "28560-3", "3m"])
async def test_a_tag_pulled_away_after_any_block_is_the_old_item_the_new_one_or_none(tmp_path: Path, form: Any) -> None:
    owner = "" if form == "3m" else "CN-251020"
    sim = SimPad(PtyLine(str(tmp_path / "pad")))
    sim.start()
    port = await open_port(sim.line.url)
    link = FeigLink(port, form="advanced", mode="host")
    before = image_of(TagContent(form, "30114012345678", owner, usage=None), form)
    after = image_of(TagContent(form, "30125987654321", owner, usage=None), form)
    read = set()
    for blocks in range(len(after.data) // 4 + 3):
        tag = SimTag(uid(1), before.dsfid, 0x07, bytearray(before.data), leaves_after=blocks)
        sim.place(tag)
        try:
            await link.write_image(uid(1), after)
        except TagRefused:
            assert sim.remove(uid(1)) is None
        found = recognise_hf(bytes(tag.blocks), tag.dsfid, tag.afi)
        if found.kind == "item":
            assert found.content is not None
            read.add((blocks, found.content.pii))
    assert {pii for _, pii in read} == {"30114012345678", "30125987654321"}
    assert [blocks for blocks, pii in read if pii == "30114012345678"] == [0]
    await port.close()
    sim.stop()
