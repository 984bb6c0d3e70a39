"""Serial cardreaders against one on a pty and on TCP: lines and STX frames, digits and junk, an unplugging."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from drivers.base import CardRead, ConfigurationError, DeviceEvent, DeviceState, Driver, load
from drivers.card.serial import build
from drivers.talker import IDLE_S
from firmware_sim.card_serial import CardSerialSimulator
from firmware_sim.faults import Faults

CARD = "04A1B2C3"


class Desk:
    """A simulated cardreader, its driver running, and what the driver told."""

    def __init__(self, driver: Driver, sim: CardSerialSimulator) -> None:
        self.driver = driver
        self.sim = sim
        self.events: list[DeviceEvent] = []
        self._task = asyncio.create_task(driver.run(self.events.append))

    @property
    def cards(self) -> list[CardRead]:
        return [event for event in self.events if isinstance(event, CardRead)]

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(e.state, e.reason_code) for e in self.events if isinstance(e, DeviceState)]

    async def tap(self, card: str, **more: Any) -> None:
        await self.sim.do({"op": "tap", "card": card, **more})

    async def until(self, what: Callable[[], bool], seconds: float = 8.0) -> None:
        async with asyncio.timeout(seconds):
            while not what():
                await asyncio.sleep(0.005)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.sim.stop()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    made: list[Desk] = []

    async def make(*, tcp: bool = False, options: dict[str, Any] | None = None, **more: Any) -> Desk:
        sim = CardSerialSimulator("tcp:127.0.0.1:0" if tcp else f"pty:{tmp_path}/reader{len(made)}", **more)
        await sim.start()
        made.append(Desk(build("reader-1", sim.url, options or {}), sim))
        await made[-1].until(lambda: made[-1].states == [("online", "OK")])
        return made[-1]

    yield make
    for one in made:
        await one.close()


@pytest.mark.parametrize(
    "options",
    [
        {"colour": "red"},
        {"frame": "block"},
        {"radix": "octal"},
        {"check": "xor"},
        {"frame": "stx", "radix": "ascii"},
        {"frame": "stx", "radix": "dec", "check": "xor"},
        {"digits": 3},
        {"digits": "many"},
        {"prefix": "x" * 9},
        {"direction": "UP"},
        {"same_card_ms": -1},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, str | int]) -> None:
    with pytest.raises(ConfigurationError):
        build("reader-1", "pty:/x", options)


def test_the_driver_is_found_by_kind() -> None:
    assert load("cardserial")("reader-1", "pty:/x", {}).kind == "cardserial"


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({}, "04A1B2C"),  # odd
        ({}, "04A1"),  # too short for a card
        ({}, "04A1B2CG"),
        ({"radix": "dec"}, "12345"),
        ({"radix": "dec"}, "04A1B2C3"),
        ({"digits": 10}, "04A1B2C3"),
        ({"prefix": "UID:"}, "04A1B2C3"),
    ],
)
async def test_what_is_no_number_of_this_kind_is_no_card(
    desk: Callable[..., Any], options: dict[str, Any], sent: str
) -> None:
    place = await desk(options=options)
    await place.tap(sent.encode().hex(), format="ascii")
    await place.until(lambda: place.driver.health()["refused"] == 1)
    assert place.cards == []


@pytest.mark.parametrize("options", [{}, {"radix": "dec"}, {"frame": "stx", "check": "xor"}])
async def test_a_megabyte_of_noise_makes_no_card(desk: Callable[..., Any], options: dict[str, Any]) -> None:
    place = await desk(options=options)
    await place.sim.do({"op": "noise", "bytes": 1_000_000})
    await place.until(lambda: ("degraded", "NOISY_LINE") in place.states)
    await place.until(lambda: int(place.driver.health()["bytes"]) > 900_000)
    assert place.cards == []


@pytest.mark.parametrize("seed", range(3))
async def test_a_bad_line_never_makes_a_wrong_card_where_a_check_is_sent(desk: Callable[..., Any], seed: int) -> None:
    place = await desk(
        options={"frame": "stx", "check": "xor", "same_card_ms": 0},
        stx=True,
        check="xor",
        faults=Faults(seed=seed, drop=0.2, double=0.2, bad_crc=0.2, noise=0.2, split=2),
    )
    for _ in range(12):
        await place.tap(CARD)
        await asyncio.sleep(IDLE_S + 0.03)
    assert {card.raw.hex().upper() for card in place.cards} == {CARD}
    assert 0 < len(place.cards) < 12
    assert int(place.driver.health()["bad_frames"]) > 0


async def test_a_lost_digit_of_a_line_is_noticed(desk: Callable[..., Any]) -> None:
    place = await desk(options={"digits": 8, "same_card_ms": 0}, faults=Faults(seed=1, drop=1.0))
    for _ in range(4):
        await place.tap(CARD)
        await asyncio.sleep(IDLE_S + 0.03)
    # the lost byte may also be one of the two that end the line
    assert {card.raw.hex().upper() for card in place.cards} <= {CARD}


@pytest.mark.parametrize("tcp", [False, True])
async def test_hex_digits_are_told_as_bytes_in_their_order(desk: Callable[..., Any], tcp: bool) -> None:
    place = await desk(tcp=tcp, options={"direction": "OUT"})
    await place.tap(CARD)
    await place.until(lambda: len(place.cards) == 1)
    card = place.cards[0]
    assert (card.format, card.bits, card.raw.hex().upper(), card.direction) == ("raw", 32, CARD, "OUT")
    assert CARD not in repr(place.events) + repr(place.driver.health())


async def test_decimal_digits_are_told_as_they_came(desk: Callable[..., Any]) -> None:
    place = await desk(radix="dec", options={"radix": "dec", "digits": 10})
    await place.tap(CARD)
    await place.until(lambda: len(place.cards) == 1)
    assert (place.cards[0].format, place.cards[0].raw) == ("ascii", b"0077705923")


async def test_any_text_is_told_where_the_site_wants_it(desk: Callable[..., Any]) -> None:
    place = await desk(options={"radix": "ascii", "prefix": "UID:"})
    await place.tap(b"UID:STAFF-0042".hex(), format="ascii")
    await place.until(lambda: len(place.cards) == 1)
    assert (place.cards[0].format, place.cards[0].raw) == ("ascii", b"STAFF-0042")


async def test_a_card_that_lies_there_is_told_once(desk: Callable[..., Any]) -> None:
    place = await desk(options={"same_card_ms": 300})
    await place.tap(CARD, times=5)
    await place.tap("0102030405060708")
    await asyncio.sleep(0.4)
    await place.tap(CARD)
    await place.until(lambda: len(place.cards) == 3)
    assert [len(card.raw) for card in place.cards] == [4, 8, 4]


async def test_an_unplugged_cardreader_is_found_again(desk: Callable[..., Any]) -> None:
    place = await desk()
    await place.sim.do({"op": "unplug"})
    await place.until(lambda: place.states[-1] == ("offline", "PORT_MISSING"))
    await place.sim.do({"op": "plug"})
    await place.until(lambda: place.states[-1] == ("online", "OK"))
    await place.tap(CARD)
    await place.until(lambda: len(place.cards) == 1)
