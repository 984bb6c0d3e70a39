"""The commonest wiring on real ptys: a serial cardreader, a relay board with passage contacts, a receipt printer; with faults on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from consortium.events import Kind
from edge.config import DeviceConfig
from edge.printing import Slip, receipt_of
from firmware_sim.simulators import Simulator, load
from tests.edge.bed import Bed, make_config, now_ms, srid_of, standard_rows, until, write_replica
from tests.edge.test_printing import AT, NAMES, item

OWN, PARTNER = "04A1B2C3", "04D1D2D3"


class Place:
    """A branch's door on ptys."""

    def __init__(self, bed: Bed, reader: Simulator, board: Simulator) -> None:
        self.bed = bed
        self.reader = reader
        self.board = board

    async def tap(self, card: str) -> None:
        """Present a card."""
        await self.reader.do({"op": "tap", "card": card})

    async def went_through(self, direction: str = "IN", op: str = "pass", **more: Any) -> None:
        """Walk until the gate lets it happen."""
        async with asyncio.timeout(5):
            while not (await self.board.do({"op": op, "direction": direction, **more}))["passed"]:
                await asyncio.sleep(0.02)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """A cardreader on a noisy line beside a relay board whose inputs 0 and 1 tell of people."""
    write_replica(tmp_path, standard_rows())
    reader = load("cardserial")(f"pty:{tmp_path}/card", {"seed": "5", "noise": "0.01"})
    board = load("relay")(
        f"pty:{tmp_path}/relay", {"passage_in": "0", "passage_out": "1", "seed": "7", "slow_s": "0.002"}
    )
    await reader.start()
    await board.start()
    gate = {"passage_in": 0, "passage_out": 1, "open_tenths": 10, "poll_ms": 10}
    devices = (
        DeviceConfig("gate1", "relay", board.url, gate),
        DeviceConfig("reader1", "cardserial", reader.url, {"gate": "gate1"}),
    )
    try:
        async with Bed(make_config(tmp_path, devices=devices)) as bed:
            await until(lambda: all(bed.agent.devices.records[name].state == "online" for name in ("gate1", "reader1")))
            yield Place(bed, reader, board)
    finally:
        await reader.stop()
        await board.stop()


async def test_a_card_that_is_refused_opens_nothing(place: Place) -> None:
    await place.tap("0499999999")
    await place.bed.settled(Kind.REFUSED)
    assert (await place.board.do({"op": "pass", "direction": "IN"}))["passed"] == 0
    assert place.bed.events(Kind.ENTRY) == []


async def test_a_reader_comes_in_and_the_contact_confirms_it(place: Place) -> None:
    await place.tap(OWN)
    await place.went_through()
    (event,) = await place.bed.settled(Kind.ENTRY)
    assert (event.device, event.data["passage"]) == ("gate1", "confirmed")
    assert place.bed.subjects(Kind.ENTRY) == [srid_of("R1")]


async def test_two_on_one_card_are_one_visit_and_one_tailgater(place: Place) -> None:
    await place.tap(OWN)
    await place.went_through(op="tailgate", count=2)
    facts = place.bed.agent.devices.records["gate1"].facts
    await until(lambda: facts.get("tailgated") == 1)
    assert len(await place.bed.settled(Kind.ENTRY)) == 1
    assert place.bed.agent.facts.occupancy(now_ms()) == 1


async def test_the_cardreader_pulled_out_and_put_back_needs_no_restart(place: Place) -> None:
    await place.reader.do({"op": "unplug"})
    await until(lambda: place.bed.agent.devices.records["reader1"].state == "offline")
    assert place.bed.agent.devices.records["gate1"].state == "online"
    await place.reader.do({"op": "plug"})
    await until(lambda: place.bed.agent.devices.records["reader1"].state == "online", 10)
    await place.tap(PARTNER)
    await place.went_through()
    await place.bed.settled(Kind.ENTRY)


async def test_a_restart_from_the_page_brings_the_same_device_back(place: Place) -> None:
    await place.bed.agent.devices.restart("gate1")
    await until(lambda: place.bed.agent.devices.records["gate1"].state == "online", 10)
    await place.tap(OWN)
    await place.went_through()
    await place.bed.settled(Kind.ENTRY)


async def test_a_receipt_reads_from_the_paper_as_it_was_meant(tmp_path: Path) -> None:
    write_replica(tmp_path, standard_rows())
    printer = load("printer")(f"pty:{tmp_path}/paper", {})
    await printer.start()
    try:
        devices = (DeviceConfig("printer1", "printer", printer.url, {"poll_ms": 200}),)
        async with Bed(make_config(tmp_path, devices=devices)) as bed:
            await until(lambda: bed.agent.devices.records["printer1"].state == "online")
            driver = bed.agent.devices.printer(None)
            assert driver is not None
            meant = receipt_of(Slip("borrow", (item(1), item(2, title="Ulysses")), AT, 0), NAMES, "zh")
            await driver.print_receipt(meant)
            (piece,) = (await printer.do({"op": "take"}))["receipts"]
            text = piece["text"] if isinstance(piece["text"], str) else "\n".join(piece["text"])
            for line in meant.lines:
                assert line.text.strip() in text
    finally:
        await printer.stop()
