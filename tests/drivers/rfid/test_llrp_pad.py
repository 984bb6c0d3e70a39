"""The LLRP driver over real TCP: against our simulated reader with all its faults."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from drivers.base import (
    ConfigurationError,
    DeviceEvent,
    DeviceOffline,
    DeviceRefused,
    DeviceState,
    Encoder,
    OpenGate,
    SetOutput,
    TagImage,
    TagsOnPad,
    load,
)
from drivers.rfid.llrp import LlrpPad, build
from firmware_sim.llrp import LlrpSimulator, simulate
from firmware_sim.uhf import Gen2Tag, tid_for
from protocols.iso28560 import TagError
from protocols.iso28560.part4 import encode_pc_uii, encode_user_bank
from protocols.iso28560.uhf import decode_uhf
from tests.drivers.rfid.llrp_station import FAST, OWNER, Opener, Station, book, school_book


@pytest.fixture
async def station() -> AsyncIterator[Opener]:
    made: list[Station] = []

    async def make(**options: Any) -> Station:
        sim = simulate("tcp:127.0.0.1:0", {"reads": "400"})
        assert isinstance(sim, LlrpSimulator)
        await sim.start()
        made.append(Station(sim, options))
        return made[-1]

    yield make
    for one in made:
        await one.close()


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("pty:/x", {}),
        ("tcp:", {}),
        ("tcp:127.0.0.1:5084", {"tls": "yes"}),
        ("tcp:127.0.0.1:5084", {"gone_ms": 1}),
        ("tcp:127.0.0.1:5084", {"session": 4}),
        ("tcp:127.0.0.1:5084", {"antennas": "1;2"}),
        ("tcp:127.0.0.1:5084", {"antennas": "0"}),
        ("tcp:127.0.0.1:5084", {"tid": "maybe"}),
        ("tcp:127.0.0.1:5084", {"password": "secret"}),
        ("tcp:127.0.0.1:5084", {"afi_secured": 7, "afi_on_loan": 7}),
        ("tcp:127.0.0.1:5084", {"mode": "fast"}),
        ("tcp:127.0.0.1:5084", {"tells": "door"}),
        ("tcp:127.0.0.1:5084", {"window_ms": 0}),
    ],
)
def test_options_that_make_no_sense_are_refused(url: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        build("llrp-1", url, options)


def test_the_driver_is_found_by_kind_is_an_encoder_and_knows_the_usual_port() -> None:
    driver = load("llrp")("llrp-1", "tcp:127.0.0.1", {"antennas": "1,2"})
    assert isinstance(driver, Encoder)
    assert {"InputChanged", "TagsOnPad"} <= driver.capabilities.events
    assert "SetOutput" in driver.capabilities.commands


async def test_what_is_no_llrp_reader_is_never_online() -> None:
    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(os.urandom(1_000_000))
        await asyncio.sleep(0.2)
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    driver = build("llrp-1", f"tcp:127.0.0.1:{server.sockets[0].getsockname()[1]}", FAST)
    events: list[DeviceEvent] = []
    task = asyncio.create_task(driver.run(events.append))
    async with asyncio.timeout(8):
        while not events:
            await asyncio.sleep(0.01)
    assert events == [DeviceState("llrp-1", "offline", "NO_ANSWER", {})]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    server.close()


async def test_nothing_there_and_a_reader_that_another_holds_are_told_apart(station: Opener) -> None:
    place = await station()
    await place.online()
    second = build("llrp-2", place.sim.url, FAST)
    nobody = build("llrp-3", "tcp:127.0.0.1:1", FAST)
    events: list[DeviceEvent] = []
    tasks = [asyncio.create_task(driver.run(events.append)) for driver in (second, nobody)]
    async with asyncio.timeout(8):
        while len(events) < 2:
            await asyncio.sleep(0.01)
    found = {(event.device, event.reason_code) for event in events if isinstance(event, DeviceState)}
    assert found == {("llrp-2", "PORT_BUSY"), ("llrp-3", "PORT_UNREACHABLE")}
    assert isinstance(nobody, LlrpPad)
    with pytest.raises(DeviceOffline):
        await nobody.read()
    with pytest.raises(DeviceOffline):
        await nobody.execute(SetOutput(0, True))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert place.states[-1] == ("online", "OK")


async def test_a_tag_pulled_away_a_locked_one_and_a_write_not_stored_are_told(station: Opener) -> None:
    place = await station()
    pulled, locked, weak = book(1), book(2, access_password=7, locked={1}), book(3)
    place.put(pulled, locked, weak)
    await place.shows([pulled, locked, weak])
    assert (await place.pad.secure(locked.key, False)).reason == "LOCKED"
    place.sim.reader.faults.forget = 1.0
    assert (await place.pad.secure(weak.key, False)).reason == "NOT_VERIFIED"
    place.sim.reader.faults.forget = 0.0
    place.sim.reader.faults.pull = 1.0
    written = await place.pad.secure(pulled.key, False)
    assert (written.ok, written.reason, written.failed) == (False, "NO_TAG", ("EPC",))
    assert [tag.pc & 0xFF for tag in (pulled, locked, weak)] == [0x07, 0x07, 0x07]


async def test_a_strangers_tag_is_never_rewritten(station: Opener) -> None:
    place = await station()
    retail = Gen2Tag(bytearray.fromhex("3034257BF7194E4000001A85"), tid_for(b"retail"))
    place.put(retail)
    await place.shows([retail])
    assert (await place.pad.secure(retail.key, False)).ok is False
    assert (retail.writes, place.pad.tags[0].secured) == (0, None)


async def test_tags_are_named_by_their_chip_told_with_content_and_leave(station: Opener) -> None:
    place = await station()
    bank = encode_user_bank({3: "CN-251020", 5: "1"}).ljust(20, b"\0")
    plain = book(2, afi=0xC2)
    tags = [book(1, user=bank), plain, school_book(3), book(4, fast_id=False)]
    place.put(*tags)
    await place.shows(tags)
    by = {tag.uid: tag for tag in place.pad.tags}
    assert by[tags[0].key].data.startswith(bank)
    assert (by[tags[0].key].afi, by[tags[0].key].secured) == (0x07, True)
    assert (by[plain.key].afi, by[plain.key].secured, by[plain.key].pc) == (0xC2, False, plain.pc)
    school = by[tags[2].key]
    content = decode_uhf(school.pc or 0, school.epc, user=school.data)
    assert (content.pii, content.owner) == ("00000003", "10611")
    place.sim.reader.field.take(plain)
    await place.shows([tags[0], tags[2], tags[3]])


@pytest.mark.parametrize("make", [book, school_book])
async def test_a_loan_is_written_read_back_and_taken_back(station: Opener, make: Any) -> None:
    place = await station()
    tag = make(1)
    place.put(tag)
    await place.shows([tag])
    lent = await place.pad.secure(tag.key, False)
    assert (lent.ok, tag.writes, place.pad.tags[0].secured) == (True, 1, False)
    told = len(place.events)
    await asyncio.sleep(0.2)  # reports under the old EPC are younger than gone_ms
    later = [event.tags for event in place.events[told:] if isinstance(event, TagsOnPad)]
    assert all([seen.secured for seen in tags] == [False] for tags in later)
    assert (await place.pad.restore(tag.key, lent.before)).ok
    assert tag.writes == 2
    await asyncio.sleep(0.5)
    assert [(seen.uid, seen.secured) for seen in place.pad.tags] == [(tag.key, True)]


async def test_a_whole_tag_is_written(station: Opener) -> None:
    place = await station()
    tag = school_book(1)
    place.put(tag)
    await place.shows([tag])
    bank = encode_user_bank({3: "CN-251020"}).ljust(16, b"\0")
    raw = encode_pc_uii(OWNER, "NEW000007", 0x07, umi=True)
    image = TagImage("UHF", bank, pc=int.from_bytes(raw[:2], "big"), epc=raw[2:])
    assert (await place.pad.write_tag(tag.key, image)).ok
    assert decode_uhf(tag.pc, tag.told, user=bytes(tag.user)).pii == "NEW000007"
    await asyncio.sleep(0.4)
    assert [seen.uid for seen in place.pad.tags] == [tag.key]


async def test_a_torn_write_is_no_item_and_is_put_right_when_the_tag_is_seen_again(station: Opener) -> None:
    place = await station()
    tag = school_book(1)
    before = tag.state()
    place.put(tag)
    await place.shows([tag])
    await place.sim.do({"op": "faults", "tear": 2})
    raw = encode_pc_uii(OWNER, "NEW000009", 0x07)
    image = TagImage("UHF", b"", pc=int.from_bytes(raw[:2], "big"), epc=raw[2:])
    written = await place.pad.write_tag(tag.key, image)
    assert (written.ok, written.reason) == (False, "NO_TAG")
    with pytest.raises(TagError):
        decode_uhf(tag.pc, tag.told, user=bytes(tag.user))
    await place.until(lambda: place.pad.tags == ())
    place.put(tag)
    await place.until(lambda: tag.state() == before)
    await place.shows([tag])
    assert place.pad.health()["repaired"] == 1


async def test_a_change_by_another_device_is_seen_in_the_reports(station: Opener) -> None:
    place = await station()
    tag = book(1)
    place.put(tag)
    await place.shows([tag])
    tag.pc = tag.pc & 0xFF00 | 0xC2
    await place.until(lambda: bool(place.pad.tags) and place.pad.tags[0].secured is False)
    assert place.pad.tags[0].afi == 0xC2


async def test_a_shelf_two_metres_away_is_not_on_the_pad(station: Opener) -> None:
    place = await station(rssi_floor_dbm=-60, antennas="1,2")
    near, far, elsewhere = book(1, rssi=90), book(2, rssi=68), book(3, rssi=90, antenna=3)
    place.put(near, far, elsewhere)
    await place.shows([near])
    await asyncio.sleep(0.3)
    await place.shows([near])
    assert int(place.pad.health()["weak"]) > 0


async def test_inputs_are_told_at_start_and_when_they_change_and_outputs_switch(station: Opener) -> None:
    place = await station()
    await place.online()
    assert place.inputs(0) == [False]
    await place.sim.do({"op": "gpi", "input_no": 0, "active": True})
    await place.until(lambda: place.inputs(0) == [False, True])
    await place.pad.execute(SetOutput(1, True, tenths=1))
    assert place.sim.reader._gpo_states[2]
    await place.until(lambda: not place.sim.reader._gpo_states[2])
    with pytest.raises(DeviceRefused):
        await place.pad.execute(SetOutput(9, True))
    with pytest.raises(DeviceRefused):
        await place.pad.execute(OpenGate(1))


async def test_exceptions_and_lost_antennas_are_counted(station: Opener) -> None:
    place = await station()
    await place.online()
    await place.sim.do({"op": "exception"})
    await place.sim.do({"op": "antenna", "antenna": 2, "connected": False})
    await place.until(lambda: place.pad.health()["exceptions"] == 1 and place.pad.health()["antennas_out"] == 1)


async def test_slow_split_and_missing_reports_never_make_a_wrong_tag(station: Opener) -> None:
    place = await station()
    tags = [book(number) for number in range(6)]
    await place.online()
    await place.sim.do({"op": "faults", "seed": 3, "split": 5, "collide": 0.3, "slow_s": 0.003})
    place.put(*tags)
    await place.shows(tags, 20)
    assert {(tag.uid, tag.epc) for tag in place.pad.tags} == {(tag.key, tag.told) for tag in tags}


async def test_noise_silence_and_a_power_cycle_are_survived(station: Opener) -> None:
    place = await station()
    tag = book(1)
    place.put(tag)
    await place.shows([tag])
    await place.sim.do({"op": "noise", "bytes": 300_000, "seed": 2})
    await place.until(lambda: place.states[-1][0] == "offline")
    await place.shows([tag], 20)
    await place.sim.do({"op": "faults", "silent": 1})
    await place.until(lambda: place.states[-1] == ("offline", "NO_ANSWER"), 20)
    await place.sim.do({"op": "faults"})
    await place.shows([tag], 20)
    await place.sim.do({"op": "unplug"})
    await place.until(lambda: place.states[-1] == ("offline", "PORT_UNREACHABLE"), 20)
    assert place.pad.tags == ()
    await place.sim.do({"op": "plug"})
    await place.shows([tag], 20)
    told = [seen.uid for event in place.events if isinstance(event, TagsOnPad) for seen in event.tags]
    assert set(told) == {tag.key}
