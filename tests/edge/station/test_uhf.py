"""UHF tags on a pad are lent, returned and encoded like any other: a UHFReader18 on a pty, with faults on its line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from consortium.events import Kind
from edge.config import DeviceConfig
from edge.station.station import Order, StationRefusal
from edge.tags_config import TagsConfig
from firmware_sim.simulators import Simulator
from firmware_sim.uhf import simulate
from protocols.iso28560 import DEFAULT_AFI, TagContent
from protocols.iso28560.encode import image_of
from protocols.iso28560.uhf import decode_uhf, secured_of
from tests.edge.bed import Bed, make_config, standard_rows, until, write_replica
from tests.edge.pads import kiosk_of, seen, signed_in
from tests.make import HOME

MINISTRY = "10611"


def tid(chip: int) -> str:
    """The TID of a test chip."""
    return f"E2801160200000000000{chip:04X}"


def epc_of(state: dict[str, Any]) -> tuple[int, bytes]:
    """PC and EPC that a chip has now."""
    return int(str(state["pc"]), 16), bytes.fromhex(state["epc"])


@pytest.fixture
async def sim(tmp_path: Path) -> AsyncIterator[Simulator]:
    made = simulate(f"pty:{tmp_path / 'uhf'}", {"line_speed": "0", "noise": "0.02", "drop": "0.02", "seed": "7"})
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def bed(tmp_path: Path, sim: Simulator) -> AsyncIterator[Bed]:
    write_replica(tmp_path, standard_rows())
    devices = (DeviceConfig("pad1", "uhfreader18", sim.url, {"poll_ms": 20}),)
    config = make_config(tmp_path, devices=devices, tags=TagsConfig({MINISTRY: HOME}))
    async with Bed(config) as running:
        await until(lambda: running.agent.pads["pad1"].online, 10)
        yield running


async def place(sim: Simulator, chip: int, form: str, owner: str) -> None:
    """Lay an item's tag down."""
    image = image_of(TagContent(form, f"100{chip}", owner), form, capacity=64)  # type: ignore[arg-type]
    await sim.do({"op": "place", "tid": tid(chip), "pc": image.pc, "epc": image.epc.hex(), "user": image.data.hex()})


async def test_both_uhf_formats_are_lent_and_returned(bed: Bed, sim: Simulator) -> None:
    await place(sim, 1, "28560-4", f"CN-{HOME}")
    await place(sim, 2, "gaoxiao", MINISTRY)
    await seen(bed.agent.pads["pad1"], 2)
    assert {item["item_no"]: item["secured"] for item in kiosk_of(bed).view()["items"]} == {"1001": True, "1002": True}
    answer = await kiosk_of(bed).borrow(await signed_in(bed), "zh")
    assert {item["outcome"] for item in answer["items"]} == {"ALLOW"}
    await until(lambda: not bed.agent.pads["pad1"].put_back, 10)
    assert {bed.agent.pads["pad1"].secured(key) for key in bed.agent.pads["pad1"].on_pad()} == {False}
    await kiosk_of(bed).give_back("zh")
    await until(lambda: not bed.agent.pads["pad1"].put_back, 10)
    assert {bed.agent.pads["pad1"].secured(key) for key in bed.agent.pads["pad1"].on_pad()} == {True}
    assert len(bed.events(Kind.CHECKOUT)) == len(bed.events(Kind.RETURN)) == 2


async def test_a_uhf_tag_is_encoded_in_this_librarys_format_and_no_other_bands(bed: Bed, sim: Simulator) -> None:
    await sim.do({"op": "place", "tid": tid(1), "pc": 0x3000, "epc": "00" * 12, "user": "00" * 64})
    await seen(bed.agent.pads["pad1"], 1)
    station = bed.agent.tags.station
    with pytest.raises(StationRefusal) as refused:
        await station.encode("pad1", Order("1001", form="28560-3"))
    assert refused.value.code == "FORMAT_CANNOT_HOLD"
    for form, owner in ((None, f"CN-{HOME}"), ("gaoxiao", MINISTRY)):
        answer = await station.encode("pad1", Order("1001", form=form))  # type: ignore[arg-type]
        assert answer["format"] == form or answer["format"] == "28560-4"
        state = await sim.do({"op": "lift", "tid": tid(1)})
        pc, epc = epc_of(state)
        content = decode_uhf(pc, epc, user=bytes.fromhex(state["user"]))
        assert (content.pii, content.owner, secured_of(pc, epc, DEFAULT_AFI)) == ("1001", owner, True)
        await sim.do({"op": "place", "tid": tid(1)})
        await seen(bed.agent.pads["pad1"], 1)
