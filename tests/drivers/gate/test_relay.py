"""The relay driver against a simulated board over real ptys and TCP: pulses, polarity, safe state, contacts, faults."""

from __future__ import annotations

import asyncio
import time
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
    Gate,
    InputChanged,
    OpenGate,
    Passage,
    ResetCounter,
    SetOutput,
    load,
)
from drivers.gate.relay import RelayGate, build
from firmware_sim.relay import RelaySimulator, simulate


class Turnstile:
    """A driver running, the board it talks to, and what the driver told."""

    def __init__(self, gate: RelayGate, board: RelaySimulator) -> None:
        self.gate = gate
        self.board = board
        self.events: list[DeviceEvent] = []
        self.task = asyncio.create_task(gate.run(self.events.append))

    def told(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(event.state, event.reason_code) for event in self.told(DeviceState)]

    async def do(self, op: str, **more: object) -> dict[str, Any]:
        return await self.board.do({"op": op, **more})

    async def coils(self) -> list[bool]:
        return (await self.do("state"))["coils"]  # type: ignore[no-any-return]

    async def until(self, what: Callable[[], object], seconds: float = 8.0) -> None:
        async with asyncio.timeout(seconds):
            while not what():
                await asyncio.sleep(0.01)

    async def coil(self, number: int, on: bool, seconds: float = 5.0) -> None:
        async with asyncio.timeout(seconds):
            while (await self.coils())[number] != on:
                await asyncio.sleep(0.01)

    async def online(self) -> None:
        await self.until(lambda: self.states and self.states[-1] == ("online", "OK"))

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


Make = Callable[..., Awaitable[Turnstile]]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    made: list[Turnstile] = []

    async def start(
        options: dict[str, str | int | bool] | None = None,
        sim: dict[str, str] | None = None,
        url: str = "",
        online: bool = True,
    ) -> Turnstile:
        board = simulate(url or f"pty:{tmp_path}/board", sim or {})
        assert isinstance(board, RelaySimulator)
        await board.start()
        gate = build("gate-1", board.url, options or {})
        assert isinstance(gate, RelayGate)
        made.append(Turnstile(gate, board))
        if online:
            await made[-1].online()
        return made[-1]

    yield start
    for one in made:
        await one.stop()
        await one.board.stop()


PASSAGES: dict[str, str | int | bool] = {"passage_in": 0, "passage_out": 1}


# --- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"colour": "red"},
        {"unit": 0},
        {"unit": "first"},
        {"flash": "perhaps"},
        {"framing": "ascii"},
        {"coil_in": 8},
        {"coil_out": 0},
        {"coil_in": 1, "deny_coil": 1},
        {"coil_out": 2, "proof_coil": 2},
        {"active_low": "9"},
        {"active_low": "all"},
        {"passage_in": 0, "passage_out": 0},
        {"passage_in": 8},
        {"inputs": 0, "door_input": 0},
        {"passage_edge": "both"},
        {"debounce_ms": -1},
        {"poll_ms": 1},
        {"lease_tenths": 1},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, str | int]) -> None:
    with pytest.raises(ConfigurationError):
        build("gate-1", "pty:/x", options)


@pytest.mark.parametrize("options", [{"unit": "300"}, {"flash": "x"}, {"coil_in": "9"}, {"colour": "1"}, {"many": "1"}])
def test_a_board_that_makes_no_sense_is_not_simulated(options: dict[str, str]) -> None:
    if options == {"unit": "300"}:
        options = {"coils": "0"}
    with pytest.raises(ValueError):
        simulate("tcp:127.0.0.1:0", options)


def test_the_driver_is_found_by_kind_and_is_a_gate() -> None:
    assert isinstance(load("relay")("gate-1", "pty:/x", {}), Gate)
    assert build("gate-1", "pty:/x", PASSAGES).confirms_passage  # type: ignore[attr-defined]
    assert not build("gate-1", "pty:/x", {}).confirms_passage  # type: ignore[attr-defined]


async def test_a_board_that_is_not_there_opens_nothing(tmp_path: Path) -> None:
    gate = build("gate-1", f"pty:{tmp_path}/none", {})
    assert isinstance(gate, RelayGate)
    events: list[DeviceEvent] = []
    task = asyncio.create_task(gate.run(events.append))
    await asyncio.sleep(0.1)
    with pytest.raises(DeviceOffline):
        await gate.open(10)
    assert events == [DeviceState("gate-1", "offline", "PORT_MISSING", events[0].facts)]  # type: ignore[union-attr]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_answer_of_another_unit_is_not_ours(make: Make) -> None:
    place = await make({"unit": 2}, online=False)
    await place.until(lambda: place.states == [("offline", "NO_ANSWER")])
    with pytest.raises(DeviceOffline):
        await place.gate.open(10)
    assert not any(await place.coils())


async def test_a_board_without_flash_opens_nothing_where_it_should_end_pulses_itself(make: Make) -> None:
    place = await make({"flash": "waveshare"}, sim={"flash": "none"})
    with pytest.raises(DeviceRefused) as refused:
        await place.gate.open(10)
    assert refused.value.code == "FLASH_UNSUPPORTED"
    await place.until(lambda: place.states[-1] == ("degraded", "FLASH_UNSUPPORTED"))
    assert not any(await place.coils())


async def test_with_a_proof_coil_such_a_board_is_found_out_at_the_start(make: Make) -> None:
    place = await make({"flash": "waveshare", "proof_coil": 7}, sim={"flash": "none"}, online=False)
    await place.until(lambda: place.states == [("offline", "FLASH_UNSUPPORTED")])
    with pytest.raises(DeviceOffline):
        await place.gate.open(10)


async def test_a_command_that_a_relay_board_has_not_is_refused(make: Make) -> None:
    place = await make()
    with pytest.raises(DeviceRefused):
        await place.gate.execute(ResetCounter())
    with pytest.raises(DeviceRefused):
        await place.gate.execute(SetOutput(8, True))


# --- opening -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["", "tcp:127.0.0.1:0"], ids=["rtu", "tcp"])
@pytest.mark.parametrize("flash", ["waveshare", "none"])
async def test_the_coil_acts_for_the_pulse_and_no_longer(make: Make, url: str, flash: str) -> None:
    place = await make({"flash": flash}, url=url)
    began = time.monotonic()
    await place.gate.open(5)
    assert (await place.coils())[0]
    assert (await place.do("state"))["unlocked"] == ["IN", "OUT"]
    await place.coil(0, False)
    assert 0.4 < time.monotonic() - began < 1.5
    log = (await place.do("state"))["log"]
    assert [(entry["coil"], entry["on"]) for entry in log] == [(0, True), (0, False)]
    assert place.gate.health()["safe_state"] == ("board" if flash == "waveshare" else "driver")


@pytest.mark.parametrize("flash", ["waveshare", "none"])
async def test_a_coil_energised_at_rest_drops_to_open(make: Make, flash: str) -> None:
    place = await make({"flash": flash, "active_low": "0"}, sim={"active_low": "0"})
    assert (await place.coils())[0]
    assert (await place.do("state"))["unlocked"] == []
    await place.gate.open(5)
    assert not (await place.coils())[0]
    await place.coil(0, True)
    assert (await place.do("state"))["unlocked"] == []


async def test_each_direction_has_its_coil(make: Make) -> None:
    place = await make({"coil_in": 0, "coil_out": 1}, sim={"coil_out": "1"})
    await place.gate.open(5, "OUT")
    assert (await place.do("state"))["unlocked"] == ["OUT"]
    assert (await place.do("pass", direction="IN")) == {"passed": 0}
    await place.coil(1, False)
    await place.gate.open(5, "IN")
    assert (await place.do("state"))["unlocked"] == ["IN"]


@pytest.mark.parametrize("flash", ["waveshare", "none"])
async def test_a_second_opening_lengthens_the_first_and_a_shorter_one_does_not_cut_it(make: Make, flash: str) -> None:
    place = await make({"flash": flash})
    began = time.monotonic()
    await place.gate.open(10)
    await place.gate.open(2)
    await asyncio.sleep(0.6)
    assert (await place.coils())[0]
    await place.coil(0, False)
    assert 0.9 < time.monotonic() - began < 2.2


async def test_a_long_opening_is_renewed_in_slices_which_end_soon_after_the_driver(make: Make) -> None:
    place = await make({"lease_tenths": 5})
    await place.gate.open(20)
    await asyncio.sleep(1.2)
    assert (await place.coils())[0]  # renewed: one slice is half a second
    log = (await place.do("state"))["log"]
    assert [entry["on"] for entry in log] == [True]
    await place.do("unplug")  # as when the edge dies: nobody renews
    await place.coil(0, False, seconds=1.0)


async def test_an_output_for_good_lasts_until_it_is_switched_off(make: Make) -> None:
    place = await make({"lease_tenths": 5})
    await place.gate.execute(SetOutput(3, True))
    await asyncio.sleep(1.5)
    assert (await place.coils())[3]
    await place.gate.execute(SetOutput(3, False))
    assert not (await place.coils())[3]


async def test_a_refusal_pulses_its_lamp_and_opens_nothing(make: Make) -> None:
    place = await make({"deny_coil": 7, "deny_tenths": 2})
    assert place.gate.health()["proven"] == 1  # the lamp is also what proves the board's timer
    await place.gate.deny(0)
    assert (await place.coils()) == [False] * 7 + [True]
    await place.coil(7, False)


# --- safe state --------------------------------------------------------------------------------------------------------


async def test_at_the_start_every_coil_is_put_at_rest(make: Make, tmp_path: Path) -> None:
    board = simulate(f"pty:{tmp_path}/other", {"active_low": "1"})
    assert isinstance(board, RelaySimulator)
    await board.start()
    for coil in (0, 5):
        board.board.write(coil, True, time.monotonic())
    place = Turnstile(build("gate-1", board.url, {"active_low": "1"}), board)  # type: ignore[arg-type]
    await place.online()
    assert await place.coils() == [False, True, *[False] * 6]
    await place.stop()
    await board.stop()


@pytest.mark.parametrize("flash", ["waveshare", "none"])
async def test_a_driver_that_ends_leaves_every_coil_at_rest(make: Make, flash: str) -> None:
    place = await make({"flash": flash})
    await place.gate.open(200)
    await place.stop()
    assert not any(await place.coils())


async def test_a_board_with_a_watchdog_drops_its_coils_when_nobody_asks_any_more(make: Make) -> None:
    place = await make(
        {"flash": "none", "watchdog_register": 256, "watchdog_value": 5},
        sim={"watchdog_register": "256", "flash": "none"},
    )
    assert place.gate.health()["safe_state"] == "watchdog"
    await place.gate.open(100)
    await asyncio.sleep(1.0)
    assert (await place.coils())[0]  # asked all the while
    await place.do("unplug")
    await place.coil(0, False, seconds=2.0)


async def test_a_board_that_knows_no_function_15_is_put_at_rest_coil_by_coil(make: Make) -> None:
    place = await make(sim={"many": "no", "active_low": "0"}, options={"active_low": "0"})
    assert (await place.coils())[0]


async def test_a_welded_relay_is_told_and_told_again_when_it_is_mended(make: Make) -> None:
    place = await make()
    await place.do("stuck", coil=0, state=True)
    await place.until(lambda: place.states[-1] == ("degraded", "RELAY_STUCK"))
    await place.do("stuck", coil=0, state=None)
    await place.online()


async def test_a_board_that_lost_power_is_put_at_rest_again(make: Make) -> None:
    place = await make({"active_low": "0"}, sim={"active_low": "0"})
    await place.do("power_cycle", seconds=0.1)
    assert not (await place.coils())[0]  # a lock that opens without current
    await place.coil(0, True)
    await place.until(lambda: place.gate.health()["repaired"] == 1)


# --- contacts ----------------------------------------------------------------------------------------------------------


async def test_inputs_are_told_at_the_start_and_at_every_change(make: Make) -> None:
    place = await make({"inputs": 4})
    await place.until(lambda: len(place.told(InputChanged)) == 4)
    assert {(event.input_no, event.active) for event in place.told(InputChanged)} == {(n, False) for n in range(4)}
    await place.do("push_input", input=2, active=True)
    await place.until(lambda: place.told(InputChanged)[4:])
    assert (place.told(InputChanged)[4].input_no, place.told(InputChanged)[4].active) == (2, True)
    assert place.told(Passage) == place.told(CardRead) == []


async def test_people_who_go_through_are_told_with_their_way_and_one_by_one(make: Make) -> None:
    place = await make(PASSAGES)
    assert (await place.do("pass", direction="IN")) == {"passed": 0}
    await place.gate.open(20)
    assert (await place.do("pass", direction="IN")) == {"passed": 1}
    await place.until(lambda: len(place.told(Passage)) == 1)
    assert place.told(Passage)[0].direction == "IN"
    await place.gate.open(30, "OUT")
    assert (await place.do("tailgate", direction="OUT", count=3)) == {"passed": 3}
    await place.until(lambda: len(place.told(Passage)) == 4)
    await asyncio.sleep(0.4)
    assert [event.direction for event in place.told(Passage)] == ["IN", "OUT", "OUT", "OUT"]


async def test_a_contact_that_bounces_is_one_passage_and_a_spike_none(make: Make) -> None:
    place = await make({**PASSAGES, "poll_ms": 10, "debounce_ms": 100})
    for _ in range(6):
        await place.do("push_input", input=0, ms=20)
        await asyncio.sleep(0.04)
    await asyncio.sleep(0.3)
    assert place.told(Passage) == []
    await place.do("push_input", input=0, ms=300)
    await place.until(lambda: place.told(Passage))
    await asyncio.sleep(0.5)
    assert len(place.told(Passage)) == 1


async def test_a_contact_closed_while_nobody_looked_is_no_passage(make: Make) -> None:
    place = await make(PASSAGES)
    await place.until(lambda: len(place.told(InputChanged)) == 8)
    await place.do("unplug")
    await place.until(lambda: place.states[-1][0] == "offline")
    await place.do("push_input", input=0, active=True)
    await place.do("plug")
    await place.online()
    await place.until(lambda: len(place.told(InputChanged)) == 9)
    assert place.told(Passage) == []


async def test_a_light_barrier_that_opens_is_told_on_the_falling_edge(make: Make) -> None:
    place = await make({"passage": 0, "passage_edge": "falling", "inverted": "0"})
    await place.do("push_input", input=0, active=True)
    await place.until(lambda: place.told(Passage))
    assert place.told(Passage)[0].direction == ""


async def test_a_door_forced_open_held_open_and_a_fire_are_told_once_each(make: Make) -> None:
    place = await make({"door_input": 2, "fire_input": 3, "door_held_s": 1})
    await place.until(lambda: len(place.told(InputChanged)) == 8)
    await place.do("door", open=True)
    await place.do("fire", active=True)
    await place.until(lambda: len(place.told(DoorAlarm)) == 3)
    await asyncio.sleep(0.3)
    assert [alarm.code for alarm in place.told(DoorAlarm)] == ["FORCED_OPEN", "FIRE", "HELD_OPEN"]
    await place.do("door", open=False)
    await place.do("fire", active=False)
    await place.gate.open(10)
    await place.do("door", open=True)
    await asyncio.sleep(0.8)
    await place.do("door", open=False)
    await asyncio.sleep(0.3)
    assert len(place.told(DoorAlarm)) == 3


# --- a bad line --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["", "tcp:127.0.0.1:0"], ids=["rtu", "tcp"])
async def test_over_a_bad_line_the_gate_opens_and_no_passage_is_invented(make: Make, url: str) -> None:
    place = await make({**PASSAGES, "flash": "waveshare"}, url=url)
    await place.do("faults", seed=5, noise=0.1, drop=0.05, double=0.05, bad_crc=0.05, split=3)
    opened = 0
    for _ in range(12):
        try:
            await place.gate.open(1)
            opened += 1
        except DeviceOffline:
            await asyncio.sleep(0.5)
    health = place.gate.health()
    assert opened >= 10
    assert int(health["bad_frames"]) > 0
    assert place.told(Passage) == [] and not [event for event in place.told(InputChanged) if event.active]
    await place.do("faults")
    await place.online()
    assert 0 <= place.gate.health()["last_frame_ms"] < 2000  # type: ignore[operator]


async def test_a_silent_board_is_offline_and_found_again(make: Make) -> None:
    place = await make()
    await place.do("faults", silent=True)
    await place.until(lambda: place.states[-1] == ("offline", "NO_ANSWER"))
    with pytest.raises(DeviceOffline):
        await place.gate.open(10)
    await place.do("faults")
    await place.online()
    await place.gate.open(10)


async def test_an_unplugged_board_is_found_without_restart(make: Make) -> None:
    place = await make()
    await place.do("unplug")
    await place.until(lambda: place.states[-1][0] == "offline")
    await place.do("plug")
    await place.online()
    await place.gate.execute(OpenGate(10))
    assert (await place.coils())[0]
    assert place.gate.health()["opened"] == 2


async def test_a_megabyte_of_noise_is_counted_and_survived(make: Make) -> None:
    place = await make(PASSAGES)
    await place.do("noise", bytes=1_000_000)
    await place.until(lambda: place.gate.health()["noisy"], seconds=10)
    await asyncio.sleep(1.5)
    await place.until(lambda: place.states[-1] == ("online", "OK"), seconds=30)
    assert place.told(Passage) == [] and not [event for event in place.told(InputChanged) if event.active]
    await place.gate.open(10)
    assert (await place.coils())[0]
