"""The ZKTeco driver against a simulated controller over real TCP: decided here or there, passages, alarms, a bad line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Any

import pytest

from drivers.base import (
    CardRead,
    ConfigurationError,
    DeviceEvent,
    DeviceOffline,
    DeviceRefused,
    DeviceState,
    DoorAlarm,
    Gate,
    InputChanged,
    Passage,
    SetOutput,
    Tamper,
    load,
)
from drivers.gate.zkteco import ZkGate, build
from firmware_sim.zkteco import ZkSimulator, simulate
from protocols.zkteco import EventType

CARD = "04A1B2C3"


class Door:
    """A driver running, the controller it talks to, and what the driver told."""

    def __init__(self, gate: ZkGate, controller: ZkSimulator) -> None:
        self.gate = gate
        self.controller = controller
        self.events: list[DeviceEvent] = []
        self.lets_in = False
        self._opening: set[asyncio.Task[None]] = set()
        self.task = asyncio.create_task(gate.run(self._hear))

    def _hear(self, event: DeviceEvent) -> None:
        self.events.append(event)
        if isinstance(event, CardRead) and self.lets_in:
            self._opening.add(asyncio.create_task(self.gate.open(30, event.direction)))  # type: ignore[arg-type]

    def told(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(event.state, event.reason_code) for event in self.told(DeviceState)]

    async def do(self, op: str, **more: object) -> dict[str, Any]:
        return await self.controller.do({"op": op, **more})

    async def until(self, what: Callable[[], object], seconds: float = 8.0) -> None:
        async with asyncio.timeout(seconds):
            while not what():
                await asyncio.sleep(0.01)

    async def online(self) -> None:
        await self.until(lambda: self.states and self.states[-1] == ("online", "OK"))

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, *self._opening, return_exceptions=True)


Make = Callable[..., Awaitable[Door]]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    made: list[Door] = []

    async def start(
        options: dict[str, str | int | bool] | None = None, sim: dict[str, str] | None = None, online: bool = True
    ) -> Door:
        controller = simulate("tcp:127.0.0.1:0", sim or {})
        assert isinstance(controller, ZkSimulator)
        await controller.start()
        gate = build("gate-1", controller.url, options or {})
        assert isinstance(gate, ZkGate)
        made.append(Door(gate, controller))
        if online:
            await made[-1].online()
        return made[-1]

    yield start
    for one in made:
        await one.stop()
        await one.controller.stop()


# --- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [{"colour": "red"}, {"mode": "guess"}, {"passage": "sometimes"}, {"door_in": 5}, {"door_out": 1}, {"passage": "aux"},
     {"passage_in": 1}, {"passage": "aux", "passage_in": 1, "fire_aux": 1}, {"password": "密码"}, {"poll_ms": 5}, {"card_bits": 26}],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(options: dict[str, str | int]) -> None:
    with pytest.raises(ConfigurationError):
        build("gate-1", "tcp:127.0.0.1:4370", options)


def test_only_tcp_reaches_a_controller_and_the_driver_is_a_gate() -> None:
    with pytest.raises(ConfigurationError):
        build("gate-1", "pty:/x", {})
    assert isinstance(load("zkteco")("gate-1", "tcp:127.0.0.1:4370", {}), Gate)


async def test_a_wrong_password_is_told_and_opens_nothing(make: Make) -> None:
    place = await make({"password": "wrong"}, sim={"password": "right"}, online=False)
    await place.until(lambda: place.states == [("offline", "PASSWORD_REFUSED")])
    with pytest.raises(DeviceOffline):
        await place.gate.open(10)
    assert place.controller.controller.openings == 0


async def test_an_opening_of_more_than_254_seconds_is_refused(make: Make) -> None:
    place = await make()
    with pytest.raises(DeviceRefused):
        await place.gate.open(2541)
    await place.gate.open(2540)


async def test_cards_and_passages_gathered_while_nobody_listened_are_dropped(make: Make) -> None:
    place = await make({"passage": "door"})
    await place.do("unplug")
    await place.until(lambda: place.states[-1][0] == "offline")
    await place.do("tap", card=CARD, timeout_s=0)
    place.controller.controller.open(1, 5, 0.0)
    await place.do("held", door=1)
    place.lets_in = True
    await place.do("plug")
    await place.online()
    await place.until(lambda: place.told(DoorAlarm))
    await asyncio.sleep(0.3)
    assert place.told(CardRead) == place.told(Passage) == []
    assert place.gate.health()["backlog"] == 2


async def test_in_mode_observe_nothing_is_sent_and_what_the_controller_refused_stays_refused(make: Make) -> None:
    place = await make({"mode": "observe"})
    assert not (await place.do("tap", card=CARD, timeout_s=0.3))["opened"]
    await place.until(lambda: place.told(CardRead))
    with pytest.raises(DeviceRefused) as refused:
        await place.gate.open(30)
    assert refused.value.code == "CONTROLLER_DENIED"
    assert place.controller.controller.openings == 0


async def test_in_mode_observe_one_opening_answers_for_one_card(make: Make) -> None:
    place = await make({"mode": "observe"}, sim={"cards": CARD})
    await place.do("tap", card=CARD)
    await place.until(lambda: len(place.told(CardRead)) == 1)
    await place.do("tap", card="0BADCAFE", timeout_s=0)
    await place.until(lambda: len(place.told(CardRead)) == 2)
    with pytest.raises(DeviceRefused):
        await place.gate.open(30)
    await place.do("tap", card=CARD)
    await place.until(lambda: len(place.told(CardRead)) == 3)
    await place.gate.open(30)
    with pytest.raises(DeviceRefused):
        await place.gate.open(30)


async def shown_while_away(place: Door, cards: int) -> None:
    """So many cards at the door while nobody is connected."""
    await place.do("unplug")
    await place.until(lambda: place.states[-1][0] == "offline")
    for number in range(cards):
        await place.do("tap", card=f"{0x04A10000 + number:08X}", timeout_s=0)


@pytest.mark.parametrize(("log", "cards"), [("text", 300), ("binary", 900)])
async def test_a_backlog_of_any_length_opens_for_nobody(make: Make, log: str, cards: int) -> None:
    place = await make(sim={"log": log})
    await shown_while_away(place, cards)
    place.lets_in = True
    await place.do("plug")
    await place.until(lambda: place.gate.health()["backlog"] == cards, seconds=20)
    await place.online()
    await asyncio.sleep(0.3)
    assert (place.told(CardRead), place.controller.controller.openings) == ([], 0)
    assert (await place.do("tap", card=CARD))["opened"]


async def test_while_a_long_backlog_is_read_the_door_opens_when_told_to_and_no_card_is(make: Make) -> None:
    place = await make(sim={"log": "text"})
    await shown_while_away(place, 80)
    await place.do("faults", slow_s=0.05)
    await place.do("plug")
    await place.until(lambda: place.states[-1] == ("degraded", "BACKLOG"))
    await place.gate.open(10)
    assert place.controller.controller.openings == 1
    await place.online()
    assert place.told(CardRead) == []
    place.lets_in = True
    assert (await place.do("tap", card=CARD))["opened"]


# --- what it is for ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sim", [{}, {"log": "text"}, {"session": "no"}, {"password": "secret"}], ids=lambda one: str(one) or "plain"
)
async def test_a_card_that_the_controller_does_not_know_is_decided_by_us(make: Make, sim: dict[str, str]) -> None:
    options = {"password": sim["password"]} if "password" in sim else {}
    place = await make(options, sim=sim)
    place.lets_in = True
    seen = await place.do("tap", card=CARD, direction="OUT")
    assert seen["opened"] and seen["denied"]
    read = place.told(CardRead)[0]
    assert (read.raw, read.bits, read.format, read.direction, read.reader_no) == (
        bytes.fromhex(CARD),
        32,
        "raw",
        "OUT",
        1,
    )
    assert (await place.do("state"))["open_doors"] == [1]
    assert "a1b2c3" not in (repr(read) + str(dict(place.gate.health()))).lower()
    assert place.gate.health()["firmware"] == "AC Ver 4.1.9 simulated"


async def test_in_mode_observe_an_opening_of_the_controller_is_confirmed(make: Make) -> None:
    place = await make({"mode": "observe"}, sim={"cards": CARD})
    assert (await place.do("tap", card=CARD))["opened"]
    await place.until(lambda: place.told(CardRead))
    await place.gate.open(30)
    assert place.controller.controller.openings == 1


async def test_each_way_has_its_door_and_other_doors_are_left_alone(make: Make) -> None:
    place = await make({"door_in": 1, "door_out": 2}, sim={"doors": "4"})
    await place.gate.open(30, "OUT")
    assert (await place.do("state"))["open_doors"] == [2]
    for door in (3, 2, 1):
        await place.do("tap", card=CARD, door=door, timeout_s=0)
    await place.until(lambda: len(place.told(CardRead)) == 2)
    assert [(read.direction, read.reader_no) for read in place.told(CardRead)] == [("OUT", 1), ("IN", 0)]
    assert place.gate.health()["foreign"] == 1


async def test_a_card_of_more_than_32_bits_keeps_them_all(make: Make) -> None:
    place = await make(sim={"log": "text"})
    await place.do("tap", card="04A1B2C3D4E580", timeout_s=0)
    await place.until(lambda: place.told(CardRead))
    assert (place.told(CardRead)[0].raw, place.told(CardRead)[0].bits) == (bytes.fromhex("04A1B2C3D4E580"), 56)


async def test_passages_are_told_by_the_door_sensor_or_by_inputs(make: Make) -> None:
    place = await make({"passage": "door"})
    assert place.gate.confirms_passage
    await place.gate.open(30, "IN")
    assert (await place.do("pass")) == {"passed": 1}
    await place.until(lambda: place.told(Passage))
    assert place.told(Passage)[0].direction == "IN"
    other = await make({"passage": "aux", "passage_in": 1, "passage_out": 2})
    for number in (2, 1):
        await other.do("aux", input=number, active=True)
        await other.do("aux", input=number, active=False)
    await other.until(lambda: len(other.told(Passage)) == 2)
    assert [passage.direction for passage in other.told(Passage)] == ["OUT", "IN"]
    assert len(other.told(InputChanged)) == 4
    assert not (await make()).gate.confirms_passage


async def test_who_leaves_by_the_exit_button_does_not_go_the_way_of_somebody_before(make: Make) -> None:
    place = await make({"passage": "door"})
    await place.gate.open(10, "IN")
    for event in (EventType.EXIT_BUTTON, EventType.DOOR_OPENED, EventType.DOOR_CLOSED):
        place.controller.controller.happen(event, 1, datetime.now())
    await place.until(lambda: place.told(Passage))
    assert [passage.direction for passage in place.told(Passage)] == [""]


async def test_forced_held_fire_and_tamper_are_told_once(make: Make) -> None:
    place = await make({"fire_aux": 1, "tamper_aux": 2})
    await place.do("door", door=1, open=True)
    await place.do("held", door=1)
    await place.do("duress", door=1)
    await place.do("aux", input=1, active=True)
    await place.do("aux", input=2, active=True)
    await place.until(lambda: place.told(Tamper) and len(place.told(DoorAlarm)) == 4)
    await asyncio.sleep(0.5)
    assert [(alarm.code, alarm.detail) for alarm in place.told(DoorAlarm)] == [
        ("FORCED_OPEN", ""), ("HELD_OPEN", ""), ("DEVICE", "DURESS"), ("FIRE", ""),
    ]  # fmt: skip


async def test_an_auxiliary_output_is_switched(make: Make) -> None:
    place = await make()
    await place.gate.execute(SetOutput(1, True, 50))
    assert (await place.do("state"))["aux"] == [2]
    await place.gate.execute(SetOutput(1, False))
    assert (await place.do("state"))["aux"] == []


# --- a bad line --------------------------------------------------------------------------------------------------------


async def test_over_a_bad_line_no_card_is_invented_and_no_opening_confirmed_that_was_none(make: Make) -> None:
    place = await make()
    await place.do("faults", seed=2, noise=0.05, drop=0.03, double=0.03, bad_crc=0.1, split=3)
    confirmed = 0
    for _ in range(20):
        try:
            await place.gate.open(10)
            confirmed += 1
        except DeviceOffline:
            await asyncio.sleep(0.3)
        await place.do("tap", card=CARD, timeout_s=0)
    openings = place.controller.controller.openings
    assert 5 < confirmed <= openings
    assert place.gate.health()["bad_frames"] or place.gate.health()["timeouts"]
    await place.do("faults")
    await place.online()
    assert {read.raw for read in place.told(CardRead)} <= {bytes.fromhex(CARD)}
    place.lets_in = True
    assert (await place.do("tap", card=CARD))["opened"]


async def test_a_late_answer_confirms_no_opening(make: Make) -> None:
    place = await make()
    await place.do("faults", slow_s=1.7)
    with pytest.raises(DeviceOffline):
        await place.gate.open(10)
    await place.do("faults")
    await place.online()


async def test_a_megabyte_of_noise_is_survived(make: Make) -> None:
    place = await make()
    await place.do("noise", bytes=1_000_000)
    await asyncio.sleep(2.0)
    await place.until(lambda: place.states[-1] == ("online", "OK"), seconds=20)
    assert place.told(CardRead) == place.told(DoorAlarm) == []
    place.lets_in = True
    assert (await place.do("tap", card=CARD))["opened"]


async def test_a_controller_that_lost_power_is_found_again(make: Make) -> None:
    place = await make()
    await place.do("power_cycle", seconds=0.5)
    await place.until(lambda: place.states[-1][0] == "offline")
    await place.online()
    place.lets_in = True
    assert (await place.do("tap", card=CARD))["opened"]
    assert place.gate.health()["opened"] >= 2  # type: ignore[operator]
