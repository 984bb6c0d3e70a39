"""The Wiegand driver against its simulator over real ptys and TCP: parity, dialects, shared lines, noise, loss and return."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import CardRead, ConfigurationError, DeviceEvent, DeviceState, Driver
from drivers.card.wiegand485 import build
from firmware_sim.wiegand485 import simulate
from protocols.wiegand import (
    LineReceiver,
    LineSettings,
    LocalWiegandError,
    Reading,
    WiegandBits,
    WiegandError,
    encode,
    encode_reading,
    facility_and_number,
)


class Hall:
    """A driver running, and what it told."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.events: list[DeviceEvent] = []
        self.task = asyncio.create_task(driver.run(self.events.append))

    @property
    def cards(self) -> list[CardRead]:
        return [event for event in self.events if isinstance(event, CardRead)]

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(event.state, event.reason_code) for event in self.events if isinstance(event, DeviceState)]

    async def until(self, what: Callable[[], object], seconds: float = 8.0) -> None:
        async with asyncio.timeout(seconds):
            while not what():
                await asyncio.sleep(0.01)


Make = Callable[..., Awaitable[tuple[Hall, Callable[..., Awaitable[dict[str, object]]]]]]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    halls, simulators = [], []

    async def start(url: str = "", sim: dict[str, str] | None = None, **options: str | int | bool) -> tuple[Hall, Any]:
        simulator = simulate(url or f"pty:{tmp_path}/line", sim or {})
        await simulator.start()
        simulators.append(simulator)
        hall = Hall(build("reader-1", simulator.url, options))
        halls.append(hall)
        await hall.until(lambda: hall.states == [("online", "OK")])

        async def do(op: str, **more: object) -> dict[str, object]:
            return await simulator.do({"op": op, **more})

        return hall, do

    yield start
    for hall in halls:
        hall.task.cancel()
        await asyncio.gather(hall.task, return_exceptions=True)
    for simulator in simulators:
        await simulator.stop()


# --- the bits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [(25, "00000000"), (0, ""), (129, "00" * 17), (26, "000000")])
def test_bytes_that_hold_another_number_of_bits_are_refused(bits: tuple[int, str]) -> None:
    with pytest.raises(WiegandError):
        WiegandBits(bits[0], bytes.fromhex(bits[1]) + b"\x01")


def test_a_bit_behind_the_last_one_is_refused() -> None:
    with pytest.raises(WiegandError, match="behind"):
        WiegandBits(26, bytes.fromhex("00000001"))


@pytest.mark.parametrize(("bits", "number"), [(26, 1 << 24), (34, -1), (3, 0), (200, 1)])
def test_a_number_that_does_not_fit_is_not_built(bits: int, number: int) -> None:
    with pytest.raises(LocalWiegandError):
        encode(number, bits)


def test_the_published_26_bit_layout_by_hand() -> None:
    """H10301: facility 123 = 01111011, number 4660 = 0001001000110100; even parity over the first 12, odd over the last 12."""
    first, last = "011110110001", "001000110100"
    even, odd = first.count("1") % 2, (last.count("1") + 1) % 2
    found = encode(123 << 16 | 4660, 26)
    assert f"{found.value():026b}" == f"{even}{first}{last}{odd}"
    assert facility_and_number(found.checked(), 26) == (123, 4660)


def test_in_37_bits_the_middle_bit_counts_for_both_halves() -> None:
    middle = 1 << 17
    found = encode(middle, 37)
    assert (found.value() >> 36, found.value() & 1) == (1, 0)


@given(st.sampled_from([26, 34, 37, 58, 66, 9]), st.data())
def test_every_number_comes_back_and_every_flipped_bit_is_seen(width: int, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, (1 << (width - 2)) - 1))
    found = encode(number, width)
    assert found.checked() == number
    assert found == WiegandBits(width, found.raw)
    middle = -1 if width % 2 == 0 else width // 2
    bit = data.draw(st.integers(0, width - 1).filter(lambda at: at != middle or width % 2 == 0))
    with pytest.raises(WiegandError):
        WiegandBits.from_int(found.value() ^ (1 << bit), width).checked()


# --- the lines ---------------------------------------------------------------------------------------------------------

DIALECTS = [
    LineSettings("w"),
    LineSettings("binary"),
    LineSettings("binary", check="sum"),
    LineSettings("hex", bits=26),
    LineSettings("decimal", bits=34),
]


@given(
    st.sampled_from(DIALECTS),
    st.integers(0, (1 << 24) - 1),
    st.integers(0, 255),
    st.lists(st.integers(1, 9), max_size=30),
)
def test_any_split_of_a_line_gives_the_same_card(
    settings: LineSettings, number: int, address: int, cuts: list[int]
) -> None:
    bits = encode(number, settings.bits if settings.dialect in ("hex", "decimal") else 26)
    wire = encode_reading(Reading(address, bits), settings) * 2
    receiver, found = LineReceiver(settings), []
    for cut in cuts:
        found += receiver.receive(wire[:cut])
        wire = wire[cut:]
    found += receiver.receive(wire)
    spoken = address if settings.dialect in ("w", "binary") else 0
    assert found == [Reading(spoken, bits)] * 2
    assert receiver.bad_frames == receiver.bad_parity == 0


@pytest.mark.parametrize("settings", DIALECTS, ids=lambda one: f"{one.dialect}-{one.check}")
def test_a_line_that_lost_or_doubled_any_byte_is_no_card(settings: LineSettings) -> None:
    wire = encode_reading(
        Reading(7, encode(0x7B1234, settings.bits if settings.dialect in ("hex", "decimal") else 26)), settings
    )
    end = len(wire.rstrip(b"\r\n"))
    for at in range(end):
        for spoiled in (wire[:at] + wire[at + 1 :], wire[:at] + wire[at : at + 1] + wire[at:]):
            receiver = LineReceiver(settings)
            found = receiver.receive(spoiled) + receiver.idle()
            # a doubled first or last byte of a binary frame is only noise beside a sound one
            assert found == [] or (settings.dialect == "binary" and wire in spoiled), (at, spoiled)


@given(st.sampled_from(DIALECTS), st.binary(max_size=3000))
def test_noise_never_breaks_the_receiver(settings: LineSettings, noise: bytes) -> None:
    receiver = LineReceiver(settings)
    receiver.receive(noise)
    receiver.idle()
    assert not receiver.pending
    width = settings.bits if settings.dialect in ("hex", "decimal") else 26
    reading = Reading(0, encode(1, width))
    assert receiver.receive(encode_reading(reading, settings)) == [reading]


@pytest.mark.parametrize(
    ("dialect", "line", "bits"),
    [("hex", b"7B1234\r", 26), ("decimal", b"0008065588\r\n", 26), ("w", b"W26:1F62469\n", 26)],
)
def test_the_documented_lines_are_read(dialect: str, line: bytes, bits: int) -> None:
    [found] = LineReceiver(LineSettings(dialect, bits=bits, parity=False)).receive(line)  # type: ignore[arg-type]
    assert found.bits.bits == bits
    if dialect != "w":
        assert found.bits.checked() == {"hex": 0x7B1234, "decimal": 8065588}[dialect]


# --- the driver --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [{"dialect": "morse"}, {"bits": 3}, {"bits": "many"}, {"check": "crc"}, {"faces": "1=UP"}, {"faces": "1=IN,1=OUT"},
     {"direction": "UP"}, {"colour": "red"}, {"parity": "sometimes"}, {"faces": "256=IN"}],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(options: dict[str, str | int]) -> None:
    with pytest.raises(ConfigurationError):
        build("reader-1", "pty:/x", options)


async def test_a_card_with_wrong_parity_is_counted_and_is_no_card(make: Make) -> None:
    hall, do = await make()
    await do("tap", card="04A1B2C3", spoil_parity=True)
    await hall.until(lambda: hall.driver.health()["bad_parity"] == 1)
    await do("tap", card="04A1B2C4")
    await hall.until(lambda: hall.cards)
    assert [card.raw for card in hall.cards] == [encode(0x04A1B2C4, 34).raw]


async def test_parity_is_not_asked_of_a_width_that_has_none(make: Make) -> None:
    hall, do = await make()
    await do("tap", card="DEADBEEF", bits=32)
    await hall.until(lambda: hall.cards)
    assert (hall.cards[0].raw, hall.cards[0].bits) == (bytes.fromhex("DEADBEEF"), 32)


@pytest.mark.parametrize("settings", DIALECTS, ids=lambda one: f"{one.dialect}-{one.check}")
async def test_a_card_is_told_with_its_bits_in_every_dialect(make: Make, settings: LineSettings) -> None:
    words = {"dialect": settings.dialect, "bits": str(settings.bits), "check": settings.check}
    hall, do = await make(sim=words, direction="IN", **words)
    card = "7B1234" if settings.bits == 26 else "04A1B2C3"
    await do("tap", card=card)
    await hall.until(lambda: hall.cards)
    read = hall.cards[0]
    assert (read.format, read.bits, read.direction, read.reader_no) == ("wiegand", len(card) * 4 + 2, "IN", 0)
    assert WiegandBits(read.bits, read.raw).checked() == int(card, 16)
    assert card not in repr(read) and card not in str(dict(hall.driver.health()))


async def test_addresses_on_one_line_are_faces_and_a_foreign_one_is_dropped(make: Make) -> None:
    hall, do = await make(sim={"dialect": "binary"}, dialect="binary", faces="1=IN,2=OUT")
    for address in (9, 2, 1):
        await do("tap", card="04A1B2C3", address=address)
    await hall.until(lambda: len(hall.cards) == 2)
    assert [(card.reader_no, card.direction) for card in hall.cards] == [(1, "OUT"), (0, "IN")]
    assert hall.driver.health()["foreign"] == 1


async def test_over_tcp_and_in_single_bytes(make: Make) -> None:
    hall, do = await make(url="tcp:127.0.0.1:0")
    await do("faults", split=1)
    await do("tap", card="04A1B2C3")
    await hall.until(lambda: hall.cards)
    assert hall.driver.health()["bad_frames"] == 0


async def test_faults_lose_cards_and_never_invent_one(make: Make) -> None:
    hall, do = await make(sim={"dialect": "binary"}, dialect="binary")
    await do("faults", seed=3, noise=0.2, drop=0.2, double=0.2, bad_crc=0.2)
    for _ in range(60):
        await do("tap", card="04A1B2C3D4E580")
        await asyncio.sleep(0.12)  # a person is slower than the silence that ends a broken frame
    await do("faults")
    await do("tap", card="04A1B2C3D4E580")
    await hall.until(lambda: hall.states[-1][0] == "online" and len(hall.cards) > 20)
    assert {card.raw for card in hall.cards} == {encode(0x04A1B2C3D4E580, 58).raw}
    assert hall.driver.health()["bad_frames"] > 0


@pytest.mark.parametrize("dialect", ["w", "binary"])
async def test_a_megabyte_of_noise_is_survived_and_reported(make: Make, dialect: str) -> None:
    hall, do = await make(sim={"dialect": dialect}, dialect=dialect)
    await do("noise", bytes=1_000_000)
    await hall.until(lambda: hall.states[-1] == ("degraded", "NOISY_LINE"))
    await hall.until(lambda: hall.driver.health()["bad_frames"] > 100)
    await asyncio.sleep(0.5)
    before = 0
    while before != (before := int(hall.driver.health()["bad_frames"])):
        await asyncio.sleep(0.3)
    assert hall.cards == []
    await do("tap", card="04A1B2C3")
    await hall.until(lambda: hall.cards and hall.states[-1] == ("online", "OK"))
    assert len(hall.cards) == 1


async def test_an_unplugged_line_is_told_and_found_again(make: Make) -> None:
    hall, do = await make()
    await do("unplug")
    await hall.until(lambda: hall.states[-1][0] == "offline")
    await do("plug")
    await hall.until(lambda: hall.states[-1] == ("online", "OK"))
    await do("tap", card="04A1B2C3")
    await hall.until(lambda: hall.cards)
    assert hall.driver.health()["opened"] == 2
    assert hall.driver.health()["last_frame_ms"] < 2000  # type: ignore[operator]
