"""The security gate's driver against a gate on real lines: tags, people, alarm, loss and return."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from drivers.base import (
    ConfigurationError,
    DeviceEvent,
    DeviceOffline,
    DeviceRefused,
    DeviceState,
    InputChanged,
    OpenGate,
    PeopleCounted,
    ResetCounter,
    SecurityGate,
    SetAlarm,
    SetOutput,
    TagPassed,
    Tamper,
    load,
)
from drivers.gate.security import FeigGate, build
from firmware_sim.security_gate import SimSecurityGate
from firmware_sim.stage import StageError
from protocols.feig import OutputChange
from protocols.iso28560 import decode_tag, encode_part3

UID = "E00401500A203FA3"
BLOCKS = encode_part3("01234567890", "CN-251020", usage=1, parts=1, part=1, size=34).ljust(36, b"\0").hex()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


class Exit:
    """A simulated gate, its driver, and what the driver told."""

    def __init__(self, sim: SimSecurityGate, url: str, options: dict[str, Any]) -> None:
        self.sim = sim
        usual = {"people_ms": 200, "poll_ms": 50, "keepalive_s": 1}
        driver = build("eas-1", url, {**usual, **options})
        assert isinstance(driver, FeigGate)
        self.gate = driver
        self.events: list[DeviceEvent] = []
        self._task = asyncio.create_task(self.gate.run(self.events.append))

    def all(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(e.state, e.reason_code) for e in self.all(DeviceState)]

    async def until(self, what: Callable[[], bool], seconds: float = 8.0) -> None:
        async with asyncio.timeout(seconds):
            while not what():
                await asyncio.sleep(0.01)

    async def online(self) -> None:
        await self.until(lambda: bool(self.states) and self.states[-1] == ("online", "OK"))

    async def counting(self) -> None:
        await self.online()
        await asyncio.sleep(0.3)

    async def do(self, op: str, **more: Any) -> dict[str, Any]:
        return await self.sim.do({"op": op, **more})

    async def close(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task  # a driver that died of something tells it here
        await self.sim.stop()


@pytest.fixture
async def exit_(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    made: list[Exit] = []

    async def make(how: str = "pty", sim: dict[str, Any] | None = None, **options: Any) -> Exit:
        number = free_port()
        at = {"pty": f"pty:{tmp_path}/gate", "tcp": f"tcp:127.0.0.1:{number}", "connect": f"connect:127.0.0.1:{number}"}
        device = SimSecurityGate(at[how], **{"keepalive_s": 0.3, **(sim or {})})
        await device.start()
        made.append(Exit(device, f"listen:127.0.0.1:{number}" if how == "connect" else device.url, options))
        return made[-1]

    yield make
    for one in made:
        await one.close()


@pytest.mark.parametrize(
    "options",
    [{"mode": "listen"}, {"people": 1}, {"poll_ms": 1}, {"keepalive_s": "x"}, {"alarm_block": "0F"}, {"alarm_block": "x"},
     {"tamper_input": 3}, {"colour": "red"}],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        build("eas-1", "tcp:127.0.0.1:10001", options)
    assert refused.value.code in ("BAD_OPTION", "UNKNOWN_OPTION")


def test_an_address_that_is_none_is_refused_and_the_driver_is_found_by_kind() -> None:
    with pytest.raises(ConfigurationError):
        build("eas-1", "listen:", {})
    assert isinstance(load("gate")("eas-1", "listen:127.0.0.1:10001", {}), SecurityGate)


async def test_a_gate_that_is_not_there_is_offline_and_takes_no_command(tmp_path: Path) -> None:
    events: list[DeviceEvent] = []
    gate = build("eas-1", f"pty:{tmp_path}/none", {})
    assert isinstance(gate, FeigGate)
    task = asyncio.create_task(gate.run(events.append))
    await asyncio.sleep(0.1)
    assert events == [DeviceState("eas-1", "offline", "PORT_MISSING", {})]
    with pytest.raises(DeviceOffline):
        await gate.execute(SetAlarm(True))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_a_gate_cannot_do_is_refused(exit_: Callable[..., Any]) -> None:
    place = await exit_(sim={"people": False})
    await place.online()
    for command in (OpenGate(10), ResetCounter()):
        with pytest.raises(DeviceRefused):
            await place.gate.execute(command)
    with pytest.raises(StageError):
        await place.do("pass", uid="E004")


@pytest.mark.parametrize("how", ["pty", "tcp", "connect"])
async def test_a_tag_carried_through_is_told_once_with_its_content(exit_: Callable[..., Any], how: str) -> None:
    place = await exit_(how)
    await place.online()
    assert await place.do("pass", uid=UID, afi=7, blocks=BLOCKS, antenna=2, times=5) == {"sounded": True}
    await place.do("pass", uid="E004015000000001", afi=0xC2, blocks=BLOCKS)
    await place.until(lambda: place.gate.health()["tags_seen"] == 6)
    first, second = place.all(TagPassed)
    assert (first.tag.uid, first.antenna, first.alarmed, first.tag.secured) == (UID, 2, None, None)
    assert decode_tag(first.tag.data, dsfid=None, afi=None).pii == "01234567890"
    assert second.tag.uid == "E004015000000001"
    assert place.sim.sounded == 1
    await place.until(lambda: place.sim.acknowledged >= 1)


async def test_a_gate_that_keeps_its_tags_is_asked_for_them(exit_: Callable[..., Any]) -> None:
    place = await exit_(sim={"pushes": False}, mode="poll")
    await place.online()
    await place.do("pass", uid=UID, blocks=BLOCKS)
    await place.until(lambda: len(place.all(TagPassed)) == 1)
    await asyncio.sleep(0.3)
    assert place.gate.health()["tags_seen"] == 1
    for number in range(130):
        await place.do("pass", uid=f"E0040150{number:08X}", blocks=BLOCKS)
    await place.until(lambda: len(place.all(TagPassed)) == 101)
    assert place.gate.health()["records_lost"] == 1


async def test_a_gate_that_selects_secured_tags_says_so_and_whether_it_sounded(exit_: Callable[..., Any]) -> None:
    place = await exit_(sim={"selects": "secured"}, selects="secured")
    await place.online()
    await place.gate.execute(SetAlarm(True))
    await place.do("pass", uid="E004015000000001", afi=0xC2, blocks=BLOCKS)
    await place.do("pass", uid=UID, afi=7, blocks=BLOCKS)
    await place.until(lambda: len(place.all(TagPassed)) == 1)
    assert (place.all(TagPassed)[0].alarmed, place.all(TagPassed)[0].tag.secured) == (True, True)


class TestPeople:
    async def test_people_are_told_as_they_come_and_leave(self, exit_: Callable[..., Any]) -> None:
        place = await exit_()
        await place.do("people", came=40, left=7)  # before we came: not ours
        await place.counting()
        await place.do("people", came=3, left=1)
        await place.until(lambda: len(place.all(PeopleCounted)) == 1)
        told = place.all(PeopleCounted)[0]
        assert (told.came, told.left, told.total_in, told.total_out, told.reset) == (3, 1, 43, 8, False)

    async def test_directions_mounted_the_wrong_way_round_are_swapped(self, exit_: Callable[..., Any]) -> None:
        place = await exit_(swap=True)
        await place.counting()
        await place.do("people", came=3)
        await place.until(lambda: bool(place.all(PeopleCounted)))
        assert (place.all(PeopleCounted)[0].came, place.all(PeopleCounted)[0].left) == (0, 3)

    @pytest.mark.parametrize("fault", ["clock_reset", "power_cycle", "overflow"])
    async def test_a_counter_that_begins_anew_is_told_and_never_counts_a_crowd(
        self, exit_: Callable[..., Any], fault: str
    ) -> None:
        place = await exit_()
        await place.do("people", came=400, left=300)
        await place.counting()
        await place.do(fault)
        await place.until(lambda: any(e.reset for e in place.all(PeopleCounted)), 10)
        await place.do("people", came=4, left=3)
        await place.until(lambda: sum(e.came for e in place.all(PeopleCounted)) == 4)
        assert sum(e.left for e in place.all(PeopleCounted)) == 3
        assert all(0 <= e.came < 10 and 0 <= e.left < 10 for e in place.all(PeopleCounted))

    async def test_a_reset_counts_what_came_until_then(self, exit_: Callable[..., Any]) -> None:
        place = await exit_(people_ms=60_000)
        await place.counting()
        await place.do("people", came=2, left=1)
        await place.gate.execute(ResetCounter())
        assert [(e.came, e.left, e.reset) for e in place.all(PeopleCounted)] == [(2, 1, False), (0, 0, True)]
        assert (await place.do("state"))["in"] == 0


class TestAlarm:
    async def test_an_alarm_never_seen_on_cannot_be_invented(self, exit_: Callable[..., Any]) -> None:
        place = await exit_()
        await place.do("set_alarm", on=False)
        await place.online()
        with pytest.raises(DeviceRefused) as refused:
            await place.gate.execute(SetAlarm(True))
        assert refused.value.code == "ALARM_BLOCK_UNKNOWN"

    async def test_an_alarm_that_stays_as_it_was_is_told(self, exit_: Callable[..., Any]) -> None:
        place = await exit_()
        await place.online()
        await place.do("faults", forget=1.0)
        with pytest.raises(DeviceRefused) as refused:
            await place.gate.execute(SetAlarm(False))
        assert refused.value.code == "NOT_VERIFIED"

    async def test_the_alarm_is_silenced_and_comes_back_as_the_site_had_it(self, exit_: Callable[..., Any]) -> None:
        place = await exit_()
        await place.online()
        block = place.sim._block
        await place.gate.execute(SetAlarm(False))
        assert (await place.do("pass", uid=UID, blocks=BLOCKS)) == {"sounded": False}
        await place.gate.execute(SetAlarm(True))
        assert place.sim._block == block
        assert place.gate.health()["alarm"] == "on"


async def test_an_output_is_set_and_inputs_and_tamper_are_told(exit_: Callable[..., Any]) -> None:
    place = await exit_(inputs=True, tamper_input=2)
    await place.online()
    await place.gate.execute(SetOutput(0, True, 20))
    assert place.sim.outputs == [(OutputChange(0x81, 1, 20),)]
    await place.do("tamper", active=True)
    await place.do("input", input_no=0, active=True)
    await place.until(lambda: Tamper("eas-1", True) in place.events)
    assert place.all(Tamper)[0] == Tamper("eas-1", False)
    assert [(e.input_no, e.active) for e in place.all(InputChanged)][-1] == (0, True)


@pytest.mark.parametrize("how", ["pty", "connect"])
async def test_a_gate_that_falls_silent_is_offline_and_comes_back_by_itself(
    exit_: Callable[..., Any], how: str
) -> None:
    place = await exit_(how)
    await place.online()
    await place.do("power_cycle", seconds=3)
    await place.until(lambda: place.states[-1] == ("offline", "NO_KEEPALIVE"))
    await place.online()
    await place.do("pass", uid=UID, blocks=BLOCKS)
    await place.until(lambda: len(place.all(TagPassed)) == 1)


@pytest.mark.parametrize("options", [{}, {"mode": "push", "people": False}], ids=["asks", "only listens"])
async def test_behind_a_connection_that_leads_nowhere_the_gate_is_looked_for_anew(options: dict[str, Any]) -> None:
    peers: list[asyncio.StreamWriter] = []

    async def nobody(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        peers.append(sink)
        while await source.read(100):
            pass
        sink.close()

    async with await asyncio.start_server(nobody, "127.0.0.1", 0) as server:
        events: list[DeviceEvent] = []
        gate = build("eas-1", f"tcp:127.0.0.1:{server.sockets[0].getsockname()[1]}", {"keepalive_s": 1, **options})
        task = asyncio.create_task(gate.run(events.append))
        async with asyncio.timeout(10):
            while len(peers) < 2:
                await asyncio.sleep(0.01)
        assert events == [DeviceState("eas-1", "offline", "NO_KEEPALIVE", {})]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_an_unplugged_gate_is_found_again(exit_: Callable[..., Any]) -> None:
    place = await exit_()
    await place.online()
    await place.do("unplug")
    await place.until(lambda: place.states[-1] == ("offline", "PORT_MISSING"))
    await place.do("plug")
    await place.online()


@pytest.mark.parametrize("seed", range(4))
async def test_faults_on_the_line_make_no_tag_and_no_crowd(exit_: Callable[..., Any], seed: int) -> None:
    place = await exit_(people_ms=200)
    await place.counting()
    await place.do("faults", seed=seed, noise=0.1, drop=0.1, double=0.1, bad_crc=0.1, split=7)
    for number in range(20):
        await place.do("pass", uid=f"E00401500000{number:04X}", blocks=BLOCKS)
        await place.do("people", came=1)
        await asyncio.sleep(0.05)
    await place.do("faults")
    await place.until(lambda: sum(e.came for e in place.all(PeopleCounted)) == 20)
    told = {e.tag.uid for e in place.all(TagPassed)}
    assert told <= {f"E00401500000{number:04X}" for number in range(20)}
    assert len(told) >= 8
    assert all(e.tag.data.hex() == BLOCKS for e in place.all(TagPassed))


async def test_a_megabyte_of_noise_is_survived(exit_: Callable[..., Any]) -> None:
    place = await exit_()
    await place.online()
    noise, sent = random.Random(9).randbytes(1_000_000), 0
    async with asyncio.timeout(30):
        while sent < len(noise):
            sent += place.sim.line.write(noise[sent : sent + 4096])
            await asyncio.sleep(0.001)
    await asyncio.sleep(0.2)
    await place.do("pass", uid=UID, blocks=BLOCKS)
    await place.until(lambda: len(place.all(TagPassed)) == 1)
    assert place.gate.health()["bad_frames"] > 0
