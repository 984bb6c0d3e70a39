"""The FEIG driver against a pad that speaks real frames over a real pty: tags, AFI, faults, loss and return."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from drivers.base import (
    ConfigurationError,
    DeviceEvent,
    DeviceOffline,
    DeviceState,
    Encoder,
    Security,
    SecurityWrite,
    TagsOnPad,
    load,
)
from drivers.port import open_port
from drivers.rfid.feig import FeigPad, build
from drivers.rfid.feig.line import ANSWER_S, FeigLine
from firmware_sim.faults import Faults
from firmware_sim.feig import SimPad, SimTag, TagStore
from firmware_sim.pty import PtyLine, TcpLine
from protocols.feig import ReadBlocksRequest, VersionRequest
from protocols.iso28560 import AfiPair, encode_part3

PAIR = AfiPair()
SECURED, ON_LOAN = Security(PAIR.secured, True), Security(PAIR.on_loan, False)


def uid(number: int) -> str:
    return f"E00401{number:010X}"


def book(number: int, afi: int = PAIR.secured) -> SimTag:
    blocks = encode_part3(f"TJ{number:06d}", "CN-251020", usage=1, parts=1, part=1, size=34)
    return SimTag(uid(number), 0x3E, afi, bytearray(blocks))


class Kiosk:
    """A simulated pad, its driver running, and what the driver told."""

    def __init__(self, pad: FeigPad, sim: SimPad) -> None:
        self.pad = pad
        self.sim = sim
        self.events: list[DeviceEvent] = []
        self._task = asyncio.create_task(pad.run(self.events.append))

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(e.state, e.reason_code) for e in self.events if isinstance(e, DeviceState)]

    @property
    def told(self) -> list[set[str]]:
        return [{tag.uid for tag in e.tags} for e in self.events if isinstance(e, TagsOnPad)]

    async def until(self, what: Callable[[], bool], seconds: float = 6.0) -> None:
        async with asyncio.timeout(seconds):
            while not what():
                await asyncio.sleep(0.005)

    async def online(self) -> None:
        await self.until(lambda: bool(self.states) and self.states[-1] == ("online", "OK"))

    async def shows(self, numbers: list[int], seconds: float = 6.0) -> None:
        want = {uid(number) for number in numbers}
        await self.until(lambda: {tag.uid for tag in self.pad.tags} == want, seconds)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self.sim.stop()


@pytest.fixture
async def kiosk(tmp_path: Path) -> AsyncIterator[Callable[..., Kiosk]]:
    made: list[Kiosk] = []

    def make(
        *, tcp: bool = False, store: TagStore | None = None, baudrate: int | None = None, custom: bool = True
    ) -> Kiosk:
        line = TcpLine("127.0.0.1", 0) if tcp else PtyLine(str(tmp_path / f"pad{len(made)}"))
        sim = SimPad(line, store=store, baudrate=baudrate, custom=custom)
        sim.start()
        made.append(Kiosk(FeigPad("pad-1", line.url, poll_ms=20, uniform=lambda: 0.0), sim))
        return made[-1]

    yield make
    for one in made:
        await one.close()


@pytest.mark.parametrize(
    "options",
    [
        {"poll_ms": 5},
        {"address": 256},
        {"afi_secured": 7, "afi_on_loan": 7},
        {"afi_secured": "seven"},
        {"colour": "red"},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, str | int]) -> None:
    with pytest.raises(ConfigurationError):
        build("pad-1", "pty:/x", options)


def test_the_driver_is_found_by_kind_and_is_a_pad() -> None:
    driver = load("feig")("pad-1", "pty:/x", {"afi_secured": 0xD7, "afi_on_loan": 0xDA})
    assert isinstance(driver, Encoder)
    assert isinstance(driver, FeigPad)
    assert driver.afi_pair == AfiPair(0xD7, 0xDA)


async def test_a_pad_that_is_not_there_is_offline_and_refuses_at_once(tmp_path: Path) -> None:
    events: list[DeviceEvent] = []
    pad = FeigPad("pad-1", f"pty:{tmp_path}/none")
    task = asyncio.create_task(pad.run(events.append))
    await asyncio.sleep(0.1)
    assert events == [DeviceState("pad-1", "offline", "PORT_MISSING", {})]
    with pytest.raises(DeviceOffline):
        await pad.read()
    assert await pad.secure(uid(1), False) == SecurityWrite(uid(1), Security(), Security(), False, "OFFLINE")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_no_security_is_claimed_written_on_a_tag_that_is_not_there(kiosk: Callable[..., Kiosk]) -> None:
    place = kiosk()
    await place.online()
    assert await place.pad.secure(uid(1), False) == SecurityWrite(uid(1), Security(), Security(), False, "NO_TAG")


async def test_a_tag_pulled_away_before_the_write_is_told_with_the_state_before(kiosk: Callable[..., Kiosk]) -> None:
    place = kiosk()
    tag = place.sim.place(book(1))
    await place.shows([1])
    place.sim.faults.pull = 1.0
    written = await place.pad.secure(uid(1), False)
    assert written == SecurityWrite(uid(1), SECURED, Security(), False, "NO_TAG", ("AFI", "EAS"))
    assert (tag.afi, tag.eas) == (PAIR.secured, True)


async def test_a_locked_afi_is_told_as_locked_and_the_eas_bit_is_switched_all_the_same(
    kiosk: Callable[..., Kiosk],
) -> None:
    place = kiosk()
    place.sim.place(book(1)).afi_locked = True
    await place.shows([1])
    after = Security(PAIR.secured, False)
    assert await place.pad.secure(uid(1), False) == SecurityWrite(uid(1), SECURED, after, False, "LOCKED", ("AFI",))


async def test_a_write_confirmed_but_not_stored_is_found_out_by_reading_back(kiosk: Callable[..., Kiosk]) -> None:
    place = kiosk()
    tag = place.sim.place(book(1))
    await place.shows([1])
    place.sim.faults.forget = 1.0
    written = await place.pad.secure(uid(1), False)
    assert written == SecurityWrite(uid(1), SECURED, SECURED, False, "NOT_VERIFIED", ("AFI", "EAS"))
    assert tag.writes == 6
    assert place.sim.store.is_secured(uid(1))


async def test_tags_are_told_with_their_content_and_told_when_they_leave(kiosk: Callable[..., Kiosk]) -> None:
    place = kiosk()
    await place.online()
    place.sim.place(book(1))
    place.sim.place(book(2, afi=PAIR.on_loan))
    await place.shows([1, 2])
    first, second = place.pad.tags
    assert (first.uid, first.dsfid, first.afi, second.afi) == (uid(1), 0x3E, 0x07, 0xC2)
    assert b"TJ000001" in first.data and b"TJ000002" in second.data
    place.sim.remove(uid(1))
    await place.shows([2])
    place.sim.remove(uid(2))
    await place.shows([])
    assert place.told[-1] == set()


async def test_afi_and_eas_are_written_and_read_back_and_the_security_gate_agrees(kiosk: Callable[..., Kiosk]) -> None:
    place = kiosk()
    tag = place.sim.place(book(1))
    await place.shows([1])
    assert place.sim.store.is_secured(uid(1))
    assert await place.pad.secure(uid(1), False) == SecurityWrite(uid(1), SECURED, ON_LOAN, True)
    assert not place.sim.store.is_secured(uid(1))
    assert not tag.eas
    shown = place.pad.tags[0]
    assert (shown.afi, shown.eas, shown.secured) == (0xC2, False, False)
    assert await place.pad.secure(uid(1), False) == SecurityWrite(uid(1), ON_LOAN, ON_LOAN, True)
    assert tag.writes == 2
    assert await place.pad.secure(uid(1), True) == SecurityWrite(uid(1), ON_LOAN, SECURED, True)


async def test_a_refused_loan_puts_back_exactly_what_stood_on_the_tag(kiosk: Callable[..., Kiosk]) -> None:
    place = kiosk()
    tag = place.sim.place(book(1, afi=0x21))
    tag.eas = False
    await place.shows([1])
    assert place.pad.tags[0].secured is None
    before = (await place.pad.secure(uid(1), False)).before
    assert before == Security(0x21, False)
    assert (await place.pad.restore(uid(1), before)).ok
    assert (tag.afi, tag.eas) == (0x21, False)


@pytest.mark.parametrize(("chip", "custom"), [("E00702", True), ("E00401", False)])
async def test_a_chip_or_a_pad_without_eas_has_its_afi_alone(
    kiosk: Callable[..., Kiosk], chip: str, custom: bool
) -> None:
    place = kiosk(custom=custom)
    number = f"{chip}0000000001"
    place.sim.place(SimTag(number, 0x3E, 0x07, bytearray(book(1).blocks)))
    await place.until(lambda: len(place.pad.tags) == 1)
    written = await place.pad.secure(number, False)
    assert written == SecurityWrite(number, Security(0x07), Security(0xC2), True)


async def test_a_book_carries_its_afi_from_pad_to_pad_and_no_pad_believes_its_memory(
    kiosk: Callable[..., Kiosk],
) -> None:
    store = TagStore()
    here, there = kiosk(store=store), kiosk(store=store)
    tag = here.sim.place(book(1))
    await here.shows([1])
    here.sim.remove(uid(1))
    await here.shows([])
    there.sim.place(tag)
    await there.shows([1])
    assert (await there.pad.secure(uid(1), False)).ok
    there.sim.remove(uid(1))
    here.sim.place(tag)
    await here.shows([1])
    assert here.pad.tags[0].afi == PAIR.on_loan


async def test_more_tags_than_one_answer_holds_are_all_found(kiosk: Callable[..., Kiosk]) -> None:
    place = kiosk()
    for number in range(60):
        place.sim.place(book(number))
    await place.shows(list(range(60)))
    assert len(await place.pad.read()) == 60


async def test_a_fresh_reading_sees_what_was_laid_down_a_moment_ago(kiosk: Callable[..., Kiosk]) -> None:
    place = kiosk()
    await place.online()
    place.sim.place(book(7))
    tags = await place.pad.read()
    assert [tag.uid for tag in tags] == [uid(7)]
    place.sim.remove(uid(7))
    assert await place.pad.read() == ()


async def test_long_content_is_read_to_its_end(kiosk: Callable[..., Kiosk]) -> None:
    place = kiosk()
    await place.online()
    long = book(1)
    long.blocks[34:60] = bytes(range(1, 27))
    place.sim.place(long)
    place.sim.place(SimTag(uid(2), 0x06, 0x07, bytearray(range(112))))
    place.sim.place(book(3))
    await place.shows([1, 2, 3])
    assert [len(tag.data) for tag in place.pad.tags] == [112, 112, 36]
    assert place.pad.tags[0].data == bytes(long.blocks)
    assert place.pad.tags[1].data == bytes(range(112))


@pytest.mark.parametrize("seed", range(6))
async def test_noise_split_and_damaged_answers_never_make_a_wrong_tag(kiosk: Callable[..., Kiosk], seed: int) -> None:
    place = kiosk()
    await place.online()
    place.sim.faults = Faults(seed=seed, noise=0.1, drop=0.07, double=0.07, bad_crc=0.07, split=5)
    for number in range(6):
        place.sim.place(book(number))
    await place.shows(list(range(6)), 15)
    for number, tag in enumerate(place.pad.tags):
        assert (tag.uid, tag.afi) == (uid(number), PAIR.secured)
        assert f"TJ{number:06d}".encode() in tag.data
    written = await place.pad.secure(uid(3), False)
    assert written.ok == (place.sim.tags[3].afi == PAIR.on_loan)
    await place.until(lambda: int(place.pad.health()["bad_frames"]) > 0)


async def test_a_late_answer_is_never_taken_for_that_of_another_tag(tmp_path: Path) -> None:
    sim = SimPad(PtyLine(str(tmp_path / "pad")))
    sim.start()
    for number in (1, 2):
        sim.place(book(number))
    port = await open_port(sim.line.url)
    line = FeigLine(port)
    await line.ask(VersionRequest())
    sim.faults.slow_s = ANSWER_S + 0.05
    first = asyncio.create_task(line.ask(ReadBlocksRequest(uid(1), 0, 9)))
    await asyncio.sleep(ANSWER_S + 0.03)
    sim.faults.slow_s = 0.0
    assert b"TJ000001" in (await first).data
    for number in (2, 1, 2):
        assert f"TJ{number:06d}".encode() in (await line.ask(ReadBlocksRequest(uid(number), 0, 9))).data
    assert line.counters()["timeouts"] >= 1
    await port.close()
    sim.stop()


async def test_only_one_command_is_under_way_whoever_asks(kiosk: Callable[..., Kiosk]) -> None:
    place = kiosk(baudrate=38400)
    for number in range(3):
        place.sim.place(book(number))
    await place.shows([0, 1, 2])
    await asyncio.gather(
        place.pad.read(),
        place.pad.secure(uid(0), False),
        place.pad.secure(uid(1), False),
        place.pad.read(),
        place.pad.read(),
    )
    assert place.sim.overlaps == 0
    assert [tag.afi for tag in place.sim.tags] == [0xC2, 0xC2, 0x07]


async def test_a_cancelled_question_leaves_the_line_usable(kiosk: Callable[..., Kiosk]) -> None:
    place = kiosk()
    place.sim.place(book(1))
    await place.shows([1])
    place.sim.faults.slow_s = 0.1
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(place.pad.read(), 0.05)
    place.sim.faults.slow_s = 0.0
    assert [tag.uid for tag in await place.pad.read()] == [uid(1)]


async def test_a_pad_that_falls_silent_is_offline_with_nothing_on_it_and_comes_back(
    kiosk: Callable[..., Kiosk],
) -> None:
    place = kiosk()
    place.sim.place(book(1))
    await place.shows([1])
    place.sim.faults.silent = True
    await place.until(lambda: place.states[-1] == ("offline", "NO_ANSWER"))
    await place.shows([])
    place.sim.faults.silent = False
    await place.online()
    await place.shows([1])


@pytest.mark.parametrize("tcp", [False, True])
async def test_an_unplugged_pad_is_found_again_without_restart(kiosk: Callable[..., Kiosk], tcp: bool) -> None:
    place = kiosk(tcp=tcp)
    place.sim.place(book(1))
    await place.shows([1])
    place.sim.stop()
    await place.until(lambda: place.states[-1] == ("offline", "PORT_UNREACHABLE" if tcp else "PORT_MISSING"))
    place.sim.place(book(2))
    place.sim.start()
    await place.online()
    await place.shows([1, 2])
    assert place.pad.health()["opened"] == 2


async def test_a_bad_line_is_degraded_until_it_is_good_again(kiosk: Callable[..., Kiosk]) -> None:
    place = kiosk()
    await place.online()
    place.sim.faults = Faults(seed=1, bad_crc=0.4)
    await place.until(lambda: ("degraded", "NOISY_LINE") in place.states, 10)
    place.sim.faults = Faults()
    await place.online()
