"""What a relay board's inputs tell, and a bad line to it: passages, alarms, faults, noise, loss and return."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from drivers.base import (
    CardRead,
    DeviceOffline,
    DoorAlarm,
    InputChanged,
    OpenGate,
    Passage,
)
from drivers.gate.relay import build
from firmware_sim.pty import PtyLine
from tests.drivers.gate.relay_bed import PASSAGES, Make, Turnstile, make

__all__ = ["make"]  # a fixture

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
    assert opened >= 10
    await place.until(lambda: int(place.gate.health()["bad_frames"]))
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


class Neighbour:
    """Another unit on the same line that answers whatever is asked of us: sound frames, bytes by hand."""

    def __init__(self, link: str, unit: int) -> None:
        self.line = PtyLine(link)
        self._unit = unit

    def start(self) -> None:
        self.line.plug(self._received)

    def _received(self, data: bytes) -> None:
        answer = bytes((self._unit,)) + (
            b"\x02\x01\xff" if data[1] == 2 else b"\x01\x01\x00" if data[1] == 1 else data[1:6]
        )
        crc = 0xFFFF
        for byte in answer:
            crc ^= byte
            for _ in range(8):
                crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
        self.line.write(answer + crc.to_bytes(2, "little"))


@pytest.mark.parametrize(("unit", "state"), [(1, ("online", "OK")), (2, ("offline", "NO_ANSWER"))])
async def test_only_our_own_unit_is_believed(tmp_path: Path, unit: int, state: tuple[str, str]) -> None:
    neighbour = Neighbour(str(tmp_path / "line"), unit)
    neighbour.start()
    place = Turnstile(build("gate-1", neighbour.line.url, PASSAGES), neighbour)  # type: ignore[arg-type]
    await place.until(lambda: place.states == [state])
    await asyncio.sleep(0.2)
    assert bool(place.told(InputChanged)) == (unit == 1)
    if unit != 1:
        assert int(place.gate.health()["bad_frames"]) > 0
        with pytest.raises(DeviceOffline):
            await place.gate.open(10)
    await place.stop()
    neighbour.line.unplug()
