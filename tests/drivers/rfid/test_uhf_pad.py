"""The UHF driver against a device that speaks real frames over a real pty: names, content, security, torn writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from drivers.base import (
    ConfigurationError,
    DeviceOffline,
    DeviceRefused,
    Encoder,
    OpenGate,
    Security,
    Signal,
    TagImage,
    load,
)
from drivers.rfid.uhf import UhfPad, build
from firmware_sim.uhf import Gen2Tag, UhfDevice, simulate, tid_for
from protocols.iso28560 import TagError
from protocols.iso28560.part4 import encode_user_bank
from protocols.iso28560.uhf import decode_uhf
from tests.drivers.rfid.uhf_station import Opener, Station, book, image, school_book, stations


@pytest.fixture(params=["18", "288"])
async def station(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opener]:
    async with stations(tmp_path, request.param) as make:
        yield make


@pytest.mark.parametrize(
    "options",
    [
        {"colour": "red"},
        {"poll_ms": 5},
        {"address": 256},
        {"family": "17"},
        {"tid": "sometimes"},
        {"antennas": "0"},
        {"antennas": "1;2"},
        {"q": "many"},
        {"rssi_floor": 300},
        {"password": "12"},
        {"afi_secured": 7, "afi_on_loan": 7},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        build("uhf-1", "pty:/x", options)


def test_the_driver_is_found_by_kind_and_is_an_encoder() -> None:
    assert isinstance(load("uhfreader18")("uhf-1", "pty:/x", {"family": "288", "antennas": "1,3"}), Encoder)


async def test_a_device_that_is_not_there_refuses_at_once(tmp_path: Path) -> None:
    pad = build("uhf-1", f"pty:{tmp_path}/none", {})
    assert isinstance(pad, UhfPad)
    with pytest.raises(DeviceOffline):
        await pad.read()
    assert (await pad.secure("E280", True)).reason == "OFFLINE"


async def test_a_strangers_tag_is_never_rewritten(station: Opener) -> None:
    place = await station()
    retail = Gen2Tag(bytearray.fromhex("3034257BF7194E4000001A85"), tid_for(b"retail"))
    place.put(retail)
    await place.shows([retail])
    assert place.pad.tags[0].secured is None
    assert (await place.pad.secure(retail.key, False)).ok is False
    assert (retail.writes, place.pad.tags[0].secured) == (0, None)


async def test_a_tag_pulled_away_before_the_write_is_told_with_the_state_before(station: Opener) -> None:
    place = await station()
    tag = book(1)
    place.put(tag)
    await place.shows([tag])
    place.sim.faults.pull = 1.0
    written = await place.pad.secure(tag.key, False)
    assert (written.ok, written.reason, written.failed) == (False, "NO_TAG", ("EPC",))
    assert written.before == Security(epc=f"{tag.pc:04X}{tag.told.hex().upper()}")
    assert tag.pc & 0xFF == 0x07


async def test_a_locked_bank_and_a_write_not_stored_are_told(station: Opener) -> None:
    place = await station()
    locked, weak = book(1, access_password=7, locked={1}), book(2)
    place.put(locked, weak)
    await place.shows([locked, weak])
    assert (await place.pad.secure(locked.key, False)).reason == "LOCKED"
    place.sim.faults.forget = 1.0
    assert (await place.pad.secure(weak.key, False)).reason == "NOT_VERIFIED"
    assert (locked.writes, weak.writes) == (0, 0)


async def test_an_image_too_large_changes_nothing(station: Opener) -> None:
    place = await station()
    tag = book(1)
    place.put(tag)
    await place.shows([tag])
    assert (await place.pad.write_tag(tag.key, image(1, bytes(80)))).reason == "TOO_SMALL"
    assert (await place.pad.write_tag(tag.key, TagImage("HF", bytes(112)))).reason == "WRITE_ERROR"
    assert tag.writes == 0


async def test_tags_are_named_by_their_chip_and_told_with_content(station: Opener) -> None:
    place = await station()
    bank = encode_user_bank({3: "CN-251020", 5: "1"}).ljust(20, b"\0")
    first, second, third = book(1, user=bank), book(2, afi=0xC2), school_book(3)
    place.put(first, second, third)
    await place.shows([first, second, third])
    by = {tag.uid: tag for tag in place.pad.tags}
    assert (by[first.key].afi, by[first.key].secured, by[first.key].pc) == (0x07, True, first.pc)
    assert by[first.key].data.startswith(bank)
    assert (by[second.key].afi, by[second.key].secured, by[second.key].data) == (0xC2, False, b"")
    school = by[third.key]
    content = decode_uhf(school.pc or 0, school.epc, user=school.data)
    assert (content.pii, content.owner, school.secured, school.afi) == ("00000003", "10611", True, None)
    place.sim.field.take(first)
    await place.shows([second, third])


@pytest.mark.parametrize("make", [book, school_book])
async def test_a_loan_changes_one_word_and_the_chip_keeps_its_crc_and_name(station: Opener, make: Any) -> None:
    place = await station()
    tag = make(1)
    place.put(tag)
    await place.shows([tag])
    lent = await place.pad.secure(tag.key, False)
    assert (lent.ok, tag.writes) == (True, 1)
    assert place.pad.tags[0].secured is False
    assert lent.after == Security(epc=f"{tag.pc:04X}{tag.told.hex().upper()}")
    again = await place.pad.secure(tag.key, False)
    assert (again.ok, again.before, tag.writes) == (True, lent.after, 1)
    back = await place.pad.restore(tag.key, lent.before)
    assert (back.ok, back.after, tag.writes) == (True, lent.before, 2)
    await asyncio.sleep(0.1)
    assert [seen.uid for seen in place.pad.tags] == [tag.key]
    assert decode_uhf(tag.pc, tag.told).pii


async def test_a_whole_tag_is_written_and_read_back(station: Opener) -> None:
    place = await station()
    tag = school_book(1)
    place.put(tag)
    await place.shows([tag])
    bank = encode_user_bank({3: "CN-251020"}).ljust(16, b"\0")
    assert (await place.pad.write_tag(tag.key, image(7, bank))).ok
    assert decode_uhf(tag.pc, tag.told, user=bytes(tag.user)).pii == "NEW000007"
    assert bytes(tag.user).startswith(bank)
    whole = await place.pad.read_whole(tag.key)
    assert whole is not None and len(whole.data) == 64 and whole.epc == tag.told


@pytest.mark.parametrize(("tear", "user"), [(1, 10), (3, 10), (1, 0), (3, 0)])
async def test_a_torn_write_is_no_item_and_is_put_right_when_the_tag_is_seen_again(
    station: Opener, tear: int, user: int
) -> None:
    place = await station()
    tag = school_book(1)
    before = tag.state()
    place.put(tag)
    await place.shows([tag])
    await place.sim.do({"op": "faults", "tear": tear})
    written = await place.pad.write_tag(tag.key, image(9, b"\x0c" * user))
    assert (written.ok, written.reason) == (False, "NO_TAG")
    assert tag not in place.sim.field.tags
    with pytest.raises(TagError):
        decode_uhf(tag.pc, tag.told, user=bytes(tag.user))
    await place.until(lambda: place.pad.tags == ())
    place.put(tag)
    await place.shows([tag])
    await place.until(lambda: tag.state() == before)
    assert place.pad.health()["repaired"] == 1
    assert place.pad.tags[0].epc == tag.told


async def test_what_another_station_finished_is_never_undone(station: Opener) -> None:
    place = await station()
    tag = school_book(1)
    place.put(tag)
    await place.shows([tag])
    await place.sim.do({"op": "faults", "tear": 1})
    assert not (await place.pad.write_tag(tag.key, image(9))).ok
    await place.until(lambda: place.pad.tags == ())
    elsewhere = school_book(2)
    tag.pc, tag.epc, tag.user = elsewhere.pc, elsewhere.epc, elsewhere.user
    place.put(tag)
    await place.until(lambda: [seen.epc for seen in place.pad.tags] == [tag.told])
    tag.epc[:2] = b"\xff\xff"  # and then torn there once more
    state = tag.state()
    await place.until(lambda: bool(place.pad.tags) and place.pad.tags[0].epc.startswith(b"\xff\xff"))
    await asyncio.sleep(0.2)
    assert (tag.state(), place.pad.health()["repaired"]) == (state, 0)


async def test_a_tag_that_tells_no_number_is_named_by_its_identity(station: Opener) -> None:
    place = await station(tid="never")
    tag = school_book(4)
    place.put(tag)
    await place.until(lambda: [seen.uid for seen in place.pad.tags] == [tag.told.hex().upper()])
    uid = place.pad.tags[0].uid
    assert (await place.pad.secure(uid, False)).ok
    await asyncio.sleep(0.1)
    assert [seen.uid for seen in place.pad.tags] == [uid]
    assert tag.epc[0] & 0x80
    assert (await place.pad.write_tag(uid, image(5))).ok


async def test_a_change_by_another_device_is_seen(station: Opener) -> None:
    place = await station()
    tag = school_book(1)
    place.put(tag)
    await place.shows([tag])
    tag.epc[0] |= 0x80
    await place.until(lambda: place.pad.tags != () and place.pad.tags[0].secured is False)
    assert place.pad.tags[0].uid == tag.key


async def test_a_user_bank_of_any_size_is_read_to_its_end(station: Opener) -> None:
    place = await station()
    tags = [book(1), book(2), book(3)]
    tags[0].user = bytearray(range(40))
    tags[1].user = bytearray()
    place.put(*tags)
    await place.shows(tags)
    found = [await place.pad.read_whole(tag.key) for tag in tags]
    assert [whole.data if whole else None for whole in found] == [bytes(range(40)), b"", bytes(64)]


async def test_it_beeps_and_takes_no_other_command(station: Opener) -> None:
    place = await station()
    await place.online()
    await place.pad.execute(Signal("green", beeps=2))
    assert place.sim.beeps == 2
    with pytest.raises(DeviceRefused):
        await place.pad.execute(OpenGate(1))
    assert "Signal" in place.pad.capabilities.commands


async def test_settings_are_written_only_where_they_differ(station: Opener) -> None:
    place = await station(power_dbm=21)
    await place.online()
    assert place.sim.power_dbm == 21
    assert place.pad.health()["power_dbm"] == 21


async def test_a_shelf_two_metres_away_is_not_on_the_pad(tmp_path: Path) -> None:
    device = simulate(f"pty:{tmp_path}/uhf", {"family": "288", "ports": "4", "line_speed": "0"})
    assert isinstance(device, UhfDevice)
    await device.start()
    place = Station(device, {"antennas": "2,3", "rssi_floor": 70})
    near, far, elsewhere = book(1, rssi=90, antenna=2), book(2, rssi=50, antenna=3), book(3, rssi=90, antenna=1)
    place.put(near, far, elsewhere)
    await place.shows([near])
    near.rssi = 66  # a hand above it
    await asyncio.sleep(0.2)
    await place.shows([near])
    near.rssi = 50
    await place.shows([])
    assert int(place.pad.health()["weak"]) > 0
    await place.close()
