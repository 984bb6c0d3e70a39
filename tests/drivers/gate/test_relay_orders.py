"""Orders to a relay board that arrive late or not at all, and outputs switched as they are."""

from __future__ import annotations

import asyncio
import time

import pytest

from drivers.base import DeviceOffline, DoorAlarm, InputChanged, SetOutput
from tests.drivers.gate.relay_bed import Make, Turnstile, make

__all__ = ["make"]  # a fixture


async def switchings(place: Turnstile) -> list[tuple[int, bool]]:
    return [(entry["coil"], entry["on"]) for entry in (await place.do("state"))["log"]]


async def open_and_fail(place: Turnstile, tenths: int = 30) -> None:
    with pytest.raises(DeviceOffline):
        await place.gate.open(tenths)


async def lose_an_order(place: Turnstile) -> None:
    """An opening whose order was sent and got no answer (and not one that failed because a look had failed before)."""
    for _ in range(10):
        await place.do("faults", silent=True)
        with pytest.raises(DeviceOffline) as failed:
            await place.gate.open(30)
        await place.do("faults")
        if failed.value.code == "NO_ANSWER":
            break
        await asyncio.sleep(0.5)
        await place.online()


class TestLateOrders:
    @pytest.mark.parametrize(
        ("url", "flash", "seconds"),
        [("", "waveshare", 1.5), ("", "none", 1.5), ("tcp:127.0.0.1:0", "waveshare", 1.5), ("tcp:127.0.0.1:0", "waveshare", 5.0)],
    )  # fmt: skip
    async def test_an_opening_told_as_failed_does_not_stand_open_later(
        self, make: Make, url: str, flash: str, seconds: float
    ) -> None:
        place = await make({"flash": flash, "poll_ms": 1000}, sim={"flash": flash}, url=url)
        await asyncio.sleep(0.2)  # no question is under way when the order is sent
        await place.do("hang", seconds=seconds)
        await open_and_fail(place)
        await asyncio.sleep(seconds)
        await place.online()
        state = await place.do("state")
        assert state["flashes"] <= 2
        assert state["log"]  # it did open
        for on, off in zip(state["log"][::2], state["log"][1::2], strict=True):
            assert (on["coil"], on["on"], off["on"]) == (0, True, False)
            assert on["ago_ms"] - off["ago_ms"] < 100  # three seconds were asked for
        assert not (await place.coils())[0]

    async def test_an_order_that_comes_late_over_another_way_is_seen_at_once(self, make: Make) -> None:
        place = await make({"poll_ms": 200})
        await lose_an_order(place)
        await place.online()
        for _ in range(3):
            await asyncio.sleep(0.2)
            place.board.board.flash(0, True, 30, time.monotonic())
            await place.coil(0, False, seconds=0.45)  # else once a second

    async def test_somebody_elses_opening_is_not_cut_short(self, make: Make) -> None:
        place = await make({"poll_ms": 1000})
        await asyncio.sleep(0.2)
        await place.gate.open(20)
        await place.do("hang", seconds=0.9)
        await open_and_fail(place)
        await asyncio.sleep(0.5)
        assert (await place.coils())[0]
        await place.coil(0, False, seconds=6.0)


async def test_a_failed_opening_excuses_no_door(make: Make) -> None:
    place = await make({"door_input": 2})
    await place.until(lambda: len(place.told(InputChanged)) == 8)
    await place.do("faults", silent=True)
    await open_and_fail(place, 600)
    await place.do("faults")
    await place.online()
    await asyncio.sleep(0.3)
    await place.do("door", open=True)
    await place.until(lambda: [alarm.code for alarm in place.told(DoorAlarm)] == ["FORCED_OPEN"])


class TestOutputs:
    async def test_on_is_energised_whatever_is_wired_to_it(self, make: Make) -> None:
        place = await make({"active_low": "0"}, sim={"active_low": "0"})
        await place.gate.execute(SetOutput(0, True))
        assert (await place.coils())[0]
        await place.gate.execute(SetOutput(0, False))
        assert not (await place.coils())[0]
        await asyncio.sleep(1.2)
        assert not (await place.coils())[0]  # for good, and not put back as a fault
        await place.gate.execute(SetOutput(0, True))
        assert (await place.coils())[0]

    async def test_off_for_a_time_releases_what_is_energised_at_rest(self, make: Make) -> None:
        place = await make({"active_low": "0"}, sim={"active_low": "0"})
        await place.gate.execute(SetOutput(0, False, 5))
        assert not (await place.coils())[0]
        await place.coil(0, True, seconds=1.5)

    @pytest.mark.parametrize("flash", ["waveshare", "none"])
    async def test_what_is_on_for_good_goes_off_for_a_time_and_back(self, make: Make, flash: str) -> None:
        place = await make({"flash": flash, "lease_tenths": 10})
        await place.gate.execute(SetOutput(3, True))
        await place.gate.execute(SetOutput(3, False, 5))
        assert not (await place.coils())[3]
        await place.coil(3, True, seconds=2.0)
        await asyncio.sleep(1.5)
        assert (await place.coils())[3]
        await place.gate.execute(SetOutput(3, False))
        await asyncio.sleep(0.6)
        assert not (await place.coils())[3]

    async def test_what_is_off_stays_off(self, make: Make) -> None:
        place = await make()
        await place.gate.execute(SetOutput(3, False, 3))
        await asyncio.sleep(0.6)
        assert (3, True) not in await switchings(place)
