"""The 3M driver's options, its line and its link, asked directly."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from drivers.base import ConfigurationError, DeviceEvent, DeviceOffline, DeviceState, Encoder, TagImage, load
from drivers.port import open_port
from drivers.rfid.link import TagRefused
from drivers.rfid.mmm import MmmLink, build
from drivers.rfid.mmm.line import ANSWER_S, MmmLine
from drivers.rfid.polling import PollingPad
from firmware_sim.feig.tags import SimTag
from firmware_sim.mmm import MmmSimulator
from protocols.iso28560 import encode_part3, image_of
from protocols.iso28560.content import TagContent
from protocols.iso28560.recognise import recognise_hf
from protocols.mmm import GetAfiRequest, InventoryReply, InventoryRequest, ReadBlocksRequest


def uid(number: int) -> str:
    return f"E00401{number:010X}"


def blocks(number: int) -> bytes:
    return encode_part3(f"TJ{number:06d}", "CN-251020", usage=1, parts=1, part=1, size=34)


@pytest.mark.parametrize(
    "options",
    [
        {"poll_ms": 5},
        {"afi_secured": 7, "afi_on_loan": 7},
        {"afi_secured": "seven"},
        {"read_style": "newest"},
        {"eas": "perhaps"},
        {"lock": 2},
        {"colour": "red"},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, str | int]) -> None:
    with pytest.raises(ConfigurationError):
        build("pad-1", "pty:/x", options)


def test_the_driver_is_found_by_kind_and_can_encode() -> None:
    driver = load("3m")("pad-1", "pty:/x", {"afi_secured": 0xD7, "afi_on_loan": 0xDA})
    assert isinstance(driver, Encoder)
    assert driver.kind == "3m"
    assert driver.capabilities.isolation == "loop"


async def test_a_pad_that_is_not_there_is_offline_and_refuses_at_once(tmp_path: Path) -> None:
    events: list[DeviceEvent] = []
    pad = build("pad-1", f"pty:{tmp_path}/none", {})
    assert isinstance(pad, PollingPad)
    task = asyncio.create_task(pad.run(events.append))
    await asyncio.sleep(0.1)
    assert events == [DeviceState("pad-1", "offline", "PORT_MISSING", {})]
    with pytest.raises(DeviceOffline):
        await pad.read()
    assert (await pad.secure(uid(1), False)).reason == "OFFLINE"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_late_answer_is_never_taken_for_the_next_one(tmp_path: Path) -> None:
    sim = MmmSimulator(f"pty:{tmp_path}/pad")
    await sim.start()
    tag = sim.pad.place(SimTag(uid(1), 0x3E, 0x07))
    sim.pad.place(SimTag(uid(2), 0x3E, 0xC2))
    port = await open_port(sim.url)
    line = MmmLine(port)
    await line.greet()
    sim.faults.slow_s = ANSWER_S + 0.05
    first = asyncio.create_task(line.ask(GetAfiRequest(uid(1))))
    await asyncio.sleep(ANSWER_S + 0.02)
    tag.afi = 0xC2  # the late answer, asked before, says 07
    sim.faults.slow_s = 0.0
    assert (await first).value == 0xC2
    for number in (2, 1, 2):
        assert (await line.ask(GetAfiRequest(uid(number)))).uid == uid(number)
    assert line.counters()["timeouts"] >= 1
    await port.close()
    await sim.stop()


async def test_an_inventory_without_dsfid_still_tells_it(tmp_path: Path) -> None:
    sim = MmmSimulator(f"pty:{tmp_path}/pad", old=True)
    await sim.start()
    sim.pad.place(SimTag(uid(1), 0x3E, 0x07, bytearray(blocks(1))))
    port = await open_port(sim.url)
    link = MmmLink(port)
    await link.begin()
    assert isinstance(await link._line.ask(InventoryRequest(0, 1)), InventoryReply)
    whole = await link.read_whole(uid(1))
    assert (whole.dsfid, len(whole.data)) == (0x3E, 112)
    assert (await link._line.ask(ReadBlocksRequest(uid(1), 0, 2))).data == bytes(sim.pad.on_pad[uid(1)].blocks[:8])
    await port.close()
    await sim.stop()


@pytest.mark.parametrize("form", ["28560-2", "28560-3", "3m"])
async def test_a_tag_pulled_away_after_any_block_is_the_old_item_the_new_one_or_none(tmp_path: Path, form: Any) -> None:
    owner = "" if form == "3m" else "CN-251020"
    sim = MmmSimulator(f"pty:{tmp_path}/pad")
    await sim.start()
    port = await open_port(sim.url)
    link = MmmLink(port)
    await link.begin()
    before = image_of(TagContent(form, "30114012345678", owner, usage=None), form)
    after = image_of(TagContent(form, "30125987654321", owner, usage=None), form)
    read = set()
    for count in range(len(after.data) // 4 + 3):
        tag = SimTag(uid(1), before.dsfid, 0x07, bytearray(before.data), leaves_after=count)
        sim.pad.place(tag)
        try:
            await link.write_image(uid(1), after)
        except TagRefused:
            assert uid(1) not in sim.pad.on_pad
        found = recognise_hf(bytes(tag.blocks), tag.dsfid, tag.afi)
        if found.kind == "item":
            assert found.content is not None
            read.add((count, found.content.pii))
    assert {pii for _, pii in read} == {"30114012345678", "30125987654321"}
    assert [count for count, pii in read if pii == "30114012345678"] == [0]
    await port.close()
    await sim.stop()


async def test_a_locked_first_block_keeps_a_tag_without_check_value_from_being_rewritten(tmp_path: Path) -> None:
    sim = MmmSimulator(f"pty:{tmp_path}/pad")
    await sim.start()
    port = await open_port(sim.url)
    link = MmmLink(port)
    await link.begin()
    before = image_of(TagContent("3m", "30114012345678", "", usage=None), "3m")
    tag = sim.pad.place(SimTag(uid(1), 0, 0x07, bytearray(before.data), locked={0}))
    with pytest.raises(TagRefused) as refused:
        await link.write_image(uid(1), image_of(TagContent("3m", "30125987654321", "", usage=None), "3m"))
    assert refused.value.reason == "LOCKED"
    assert tag.blocks[: len(before.data)] == before.data
    memory = blocks(2)
    tag = sim.pad.place(SimTag(uid(2), 0x3E, 0x07, bytearray(memory), locked={0}))
    tag.blocks[-4:] = b"abcd"
    await link.write_image(uid(2), TagImage("HF", memory.ljust(112, b"\0"), dsfid=0x3E))
    assert tag.blocks[-4:] == bytes(4)
    await port.close()
    await sim.stop()
