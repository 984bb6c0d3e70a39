"""What is wired to an OSDP cardreader: outputs and their polarity, inputs, light and sound, card formats, a bad line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
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
    InputChanged,
    Passage,
    ResetCounter,
    SetOutput,
    Signal,
    Tamper,
)
from drivers.gate.osdp import OsdpGate, build
from firmware_sim.osdp.simulator import OsdpSimulator, simulate
from protocols.wiegand import encode

KEY = bytes(range(16))


class Entrance:
    """A driver running, the cardreader it talks to, and what the driver told."""

    def __init__(self, gate: OsdpGate, simulator: OsdpSimulator) -> None:
        self.gate = gate
        self.simulator = simulator
        self.cardreader = simulator.cardreader
        self.events: list[DeviceEvent] = []
        self.task = asyncio.create_task(gate.run(self.events.append))

    def told(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(event.state, event.reason_code) for event in self.told(DeviceState)]

    async def do(self, op: str, **more: object) -> dict[str, Any]:
        return await self.simulator.do({"op": op, **more})

    async def until(self, what: Callable[[], object], seconds: float = 10.0) -> None:
        async with asyncio.timeout(seconds):
            while not what():
                await asyncio.sleep(0.01)

    async def online(self) -> None:
        await self.until(lambda: self.states and self.states[-1] == ("online", "OK"))


Make = Callable[..., Awaitable[Entrance]]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    made: list[Entrance] = []

    async def start(sim: dict[str, str] | None = None, **options: str | int | bool) -> Entrance:
        simulator = simulate(f"pty:{tmp_path}/gate", {"key": KEY.hex(), **(sim or {})})
        assert isinstance(simulator, OsdpSimulator)
        await simulator.start()
        gate = build("gate-1", simulator.url, {"key": KEY.hex(), **options})
        assert isinstance(gate, OsdpGate)
        made.append(Entrance(gate, simulator))
        await made[-1].online()
        return made[-1]

    yield start
    for one in made:
        one.task.cancel()
        await asyncio.gather(one.task, return_exceptions=True)
        await one.simulator.stop()


@pytest.mark.parametrize(
    "options",
    [{"output_no": 256}, {"output_out": "left"}, {"faces": "IN,UP"}, {"inputs": 33}, {"passage_in": 0}, {"inputs": 2, "door_input": 2},
     {"inputs": 2, "debounce_ms": 5}],
)  # fmt: skip
def test_wiring_that_makes_no_sense_is_refused(options: dict[str, str | int]) -> None:
    with pytest.raises(ConfigurationError):
        build("gate-1", "pty:/x", {"key": KEY.hex(), **options})


async def test_a_cardreader_without_a_gate_of_its_own_opens_nothing(make: Make) -> None:
    place = await make(output_no=-1)
    with pytest.raises(DeviceRefused) as refused:
        await place.gate.open(30)
    assert refused.value.code == "NO_OUTPUT"
    with pytest.raises(DeviceRefused):
        await place.gate.execute(ResetCounter())
    assert not place.cardreader.outputs


async def test_an_output_that_is_on_at_rest_goes_off_to_open_and_is_told_so_at_every_start(make: Make) -> None:
    place = await make({"active_low": "yes"}, active_low=True)
    await place.until(place.cardreader.at_rest)
    await place.gate.open(25)
    assert [(output.on, output.tenths) for output in place.cardreader.outputs] == [(False, 25)]
    place.cardreader.reboot()
    assert not place.cardreader.at_rest()
    await place.until(place.cardreader.at_rest)


async def test_each_way_has_its_output(make: Make) -> None:
    place = await make(output_no=0, output_out=1)
    await place.gate.open(10, "OUT")
    await place.gate.open(10, "IN")
    assert [output.output_no for output in place.cardreader.outputs] == [1, 0]


async def test_an_output_for_good_and_back(make: Make) -> None:
    place = await make()
    await place.gate.execute(SetOutput(1, True))
    await place.gate.execute(SetOutput(1, False))
    assert [(output.output_no, output.on, output.tenths) for output in place.cardreader.outputs] == [(1, True, 0)]
    assert place.cardreader.at_rest(1)


async def test_light_and_sound(make: Make) -> None:
    place = await make()
    await place.gate.execute(Signal("green", tenths=15, beeps=3, reader_no=1))
    await place.gate.execute(Signal("off"))
    assert [(order["reader"], order["on_color"], order["timer_count"]) for order in place.cardreader.leds] == [
        (1, 2, 15),
        (0, 0, 10),
    ]
    assert [order["rep_count"] for order in place.cardreader.beeps] == [3]


async def test_inputs_are_told_at_the_start_and_people_when_they_go_through(make: Make) -> None:
    place = await make(inputs=4, passage_in=0, passage_out=1)
    assert place.gate.confirms_passage
    await place.until(lambda: len(place.told(InputChanged)) == 4)
    assert place.told(Passage) == []
    await place.do("pass", direction="OUT")
    await place.do("pass", direction="IN")
    await place.until(lambda: len(place.told(Passage)) == 2)
    assert [event.direction for event in place.told(Passage)] == ["OUT", "IN"]
    await place.until(lambda: len(place.told(InputChanged)) == 8)


async def test_a_contact_that_closed_while_the_cardreader_was_away_is_no_passage(make: Make) -> None:
    place = await make(inputs=4, passage_in=0)
    await place.until(lambda: len(place.told(InputChanged)) == 4)
    place.cardreader.power_off()
    await place.until(lambda: place.states[-1][0] == "offline")
    place.cardreader.inputs[0] = True
    place.cardreader.reboot()
    await place.online()
    await place.until(lambda: [event for event in place.told(InputChanged) if event.active])
    await asyncio.sleep(0.3)
    assert place.told(Passage) == []


async def test_a_door_forced_and_held_open_is_told(make: Make) -> None:
    place = await make(inputs=4, door_input=2, door_held_s=1)
    await place.until(lambda: len(place.told(InputChanged)) == 4)
    await place.do("push_input", input=2, active=True)
    await place.until(lambda: len(place.told(DoorAlarm)) == 2)
    assert [alarm.code for alarm in place.told(DoorAlarm)] == ["FORCED_OPEN", "HELD_OPEN"]


async def test_a_failed_opening_excuses_no_door(make: Make) -> None:
    place = await make(inputs=4, door_input=2)
    await place.until(lambda: len(place.told(InputChanged)) == 4)
    place.cardreader.power_off()
    with pytest.raises((DeviceOffline, DeviceRefused)):
        await place.gate.open(600)
    await place.until(lambda: place.states[-1][0] == "offline")
    place.cardreader.reboot()
    await place.online()
    await place.do("push_input", input=2, active=False)
    await asyncio.sleep(0.3)
    await place.do("push_input", input=2, active=True)
    await place.until(lambda: place.told(DoorAlarm))
    assert place.told(DoorAlarm)[0].code == "FORCED_OPEN"


async def test_of_a_cardreader_that_reports_only_changes_the_first_one_counts(make: Make) -> None:
    place = await make({"inputs": "changes"}, inputs=4, passage_in=0, door_input=2)
    await asyncio.sleep(2.2)
    assert place.told(InputChanged) == []
    await place.do("pass", direction="IN")
    await place.until(lambda: place.told(Passage))
    await place.do("push_input", input=2, active=True)
    await place.until(lambda: place.told(DoorAlarm))
    assert [event.direction for event in place.told(Passage)] == ["IN"]


@pytest.mark.parametrize("width", [26, 34, 37])
async def test_wiegand_cards_keep_their_bit_count(make: Make, width: int) -> None:
    place = await make()
    card = encode(0x7B1234, width)
    await place.do("tap", card=card.raw.hex(), bits=width, timeout_s=0.2)
    await place.until(lambda: place.told(CardRead))
    read = place.told(CardRead)[0]
    assert (read.raw, read.bits, read.format) == (card.raw, width, "wiegand")


async def test_the_faces_lead_as_configured(make: Make) -> None:
    place = await make(faces="OUT,IN")
    for direction in ("IN", "OUT"):  # the simulator's names of faces 0 and 1
        await place.do("tap", card="04A1B2C3", direction=direction, timeout_s=0.2)
    await place.until(lambda: len(place.told(CardRead)) == 2)
    assert [(read.reader_no, read.direction) for read in place.told(CardRead)] == [(0, "OUT"), (1, "IN")]


async def test_a_case_opened_before_the_start_is_told_at_the_start(make: Make, tmp_path: Path) -> None:
    simulator = simulate(f"pty:{tmp_path}/open", {"key": KEY.hex()})
    assert isinstance(simulator, OsdpSimulator)
    await simulator.start()
    await simulator.do({"op": "tamper", "active": True})
    place = Entrance(build("gate-1", simulator.url, {"key": KEY.hex()}), simulator)  # type: ignore[arg-type]
    await place.until(lambda: Tamper("gate-1", True) in place.events)
    place.task.cancel()
    await asyncio.gather(place.task, return_exceptions=True)
    await simulator.stop()


async def test_over_a_bad_line_no_card_is_invented_and_the_gate_opens_again(make: Make) -> None:
    place = await make()
    await place.do("faults", seed=1, noise=0.02, drop=0.02, double=0.02, bad_crc=0.02)
    for _ in range(15):
        await place.do("tap", card="04A1B2C3D4E580", timeout_s=0.25)
        try:
            await place.gate.open(10)
        except (DeviceOffline, DeviceRefused):
            await asyncio.sleep(0.2)
    assert {read.raw for read in place.told(CardRead)} == {bytes.fromhex("04A1B2C3D4E580")}
    await place.do("faults")
    await place.until(lambda: place.states[-1] == ("online", "OK"), seconds=20)
    await place.gate.open(10)
    health = place.gate.health()
    assert health["last_frame_ms"] < 2000 and health["firmware"] >= 0  # type: ignore[operator]


async def test_a_power_cycle_is_survived(make: Make) -> None:
    place = await make()
    await place.do("power_cycle", seconds=2.0)
    await place.until(lambda: ("offline", "NO_ANSWER") in place.states)
    await place.online()
    await place.gate.open(10)
