"""The relay driver against a simulated board over real ptys and TCP: refusals, pulses, polarity, safe state."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import pytest

from drivers.base import (
    ConfigurationError,
    DeviceEvent,
    DeviceOffline,
    DeviceRefused,
    DeviceState,
    Gate,
    ResetCounter,
    SetOutput,
    load,
)
from drivers.gate.relay import RelayGate, build
from firmware_sim.relay import RelaySimulator, simulate
from tests.drivers.gate.relay_bed import PASSAGES, Make, Turnstile, make

__all__ = ["make"]  # a fixture


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


_EDGE = """
import asyncio, sys
from drivers.gate.relay import build
async def main():
    gate = build("gate-1", sys.argv[1], {"lease_tenths": 5})
    online = asyncio.Event()
    task = asyncio.create_task(gate.run(lambda event: getattr(event, "state", "") == "online" and online.set()))
    await online.wait()
    await gate.open(600)
    print("open", flush=True)
    await task
asyncio.run(main())
"""


async def test_the_gate_shuts_by_itself_when_the_process_of_the_edge_is_killed(tmp_path: Path) -> None:
    board = simulate(f"pty:{tmp_path}/board", {})
    assert isinstance(board, RelaySimulator)
    await board.start()
    edge = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _EDGE, board.url, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert edge.stdout
    async with asyncio.timeout(20):
        assert await edge.stdout.readline() == b"open\n"
    await asyncio.sleep(1.0)
    assert (await board.do({"op": "state"}))["coils"][0]  # renewed all the while
    edge.kill()
    await edge.wait()
    await asyncio.sleep(0.7)
    assert not (await board.do({"op": "state"}))["coils"][0]
    await board.stop()
