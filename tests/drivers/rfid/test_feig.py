"""The FEIG driver against a pad that speaks real frames over a real pty: tags, AFI, faults, loss and return."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import AfiWrite, ConfigurationError, DeviceEvent, DeviceOffline, DeviceState, Pad, TagsOnPad, load
from drivers.port import open_port
from drivers.rfid.feig import FeigPad, build
from drivers.rfid.feig.line import ANSWER_S, FeigLine
from drivers.rfid.feig.tags import KEEP_S, ContentCache, Sightings
from firmware_sim.feig import Faults, SimPad, SimTag, TagStore
from firmware_sim.pty import PtyLine, TcpLine
from protocols.feig import ReadBlocksRequest, VersionRequest
from protocols.iso28560 import AfiPair, encode_part3

PAIR = AfiPair()


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

    def make(*, tcp: bool = False, store: TagStore | None = None, baudrate: int | None = None) -> Kiosk:
        line = TcpLine("127.0.0.1", 0) if tcp else PtyLine(str(tmp_path / f"pad{len(made)}"))
        sim = SimPad(line, store=store, baudrate=baudrate)
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
    assert isinstance(driver, Pad)
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
    assert await pad.write_afi(uid(1), 0xC2) == AfiWrite(uid(1), None, None, False, "OFFLINE")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_no_afi_is_claimed_written_on_a_tag_that_is_not_there(kiosk: Callable[..., Kiosk]) -> None:
    place = kiosk()
    await place.online()
    assert await place.pad.write_afi(uid(1), 0xC2) == AfiWrite(uid(1), None, None, False, "NO_TAG")


async def test_a_tag_pulled_away_before_the_write_is_told_with_the_state_before(kiosk: Callable[..., Kiosk]) -> None:
    place = kiosk()
    tag = place.sim.place(book(1))
    await place.shows([1])
    place.sim.faults.pull = 1.0
    assert await place.pad.unsecure(uid(1)) == AfiWrite(uid(1), PAIR.secured, None, False, "NO_TAG")
    assert tag.afi == PAIR.secured


async def test_a_locked_afi_is_told_as_locked(kiosk: Callable[..., Kiosk]) -> None:
    place = kiosk()
    place.sim.place(book(1)).afi_locked = True
    await place.shows([1])
    assert await place.pad.unsecure(uid(1)) == AfiWrite(uid(1), PAIR.secured, PAIR.secured, False, "LOCKED")


async def test_a_write_confirmed_but_not_stored_is_found_out_by_reading_back(kiosk: Callable[..., Kiosk]) -> None:
    place = kiosk()
    tag = place.sim.place(book(1))
    await place.shows([1])
    place.sim.faults.forget = 1.0
    assert await place.pad.unsecure(uid(1)) == AfiWrite(uid(1), PAIR.secured, PAIR.secured, False, "NOT_VERIFIED")
    assert tag.writes == 3
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


async def test_the_afi_is_written_and_read_back_and_the_security_gate_agrees(kiosk: Callable[..., Kiosk]) -> None:
    place = kiosk()
    place.sim.place(book(1))
    await place.shows([1])
    assert place.sim.store.is_secured(uid(1))
    assert await place.pad.unsecure(uid(1)) == AfiWrite(uid(1), 0x07, 0xC2, True, "")
    assert not place.sim.store.is_secured(uid(1))
    assert place.pad.tags[0].afi == 0xC2
    assert await place.pad.write_afi(uid(1), 0xC2) == AfiWrite(uid(1), 0xC2, 0xC2, True, "")
    assert place.sim.tags[0].writes == 1
    assert await place.pad.secure(uid(1)) == AfiWrite(uid(1), 0xC2, 0x07, True, "")


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
    assert (await there.pad.unsecure(uid(1))).ok
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
    place.sim.faults = Faults(seed=seed, noise=0.1, drop=0.07, bad_crc=0.07, split=5)
    for number in range(6):
        place.sim.place(book(number))
    await place.shows(list(range(6)), 15)
    for number, tag in enumerate(place.pad.tags):
        assert (tag.uid, tag.afi) == (uid(number), PAIR.secured)
        assert f"TJ{number:06d}".encode() in tag.data
    written = await place.pad.unsecure(uid(3))
    assert written.ok == (place.sim.tags[3].afi == PAIR.on_loan)
    assert int(place.pad.health()["bad_frames"]) > 0


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
        place.pad.read(), place.pad.unsecure(uid(0)), place.pad.unsecure(uid(1)), place.pad.read(), place.pad.read()
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


def test_one_missed_look_does_not_lift_a_tag_and_one_sighting_does_not_lay_it_down() -> None:
    seen = Sightings()
    assert seen.take({"A"})
    assert seen.stable == frozenset()
    assert not seen.take({"A"})
    assert seen.stable == {"A"}
    assert seen.take(set())
    assert seen.stable == {"A"}
    assert not seen.take({"A"})
    seen.take(set())
    seen.take(set())
    assert seen.stable == frozenset()


@given(st.lists(st.frozensets(st.sampled_from("ABCD")), max_size=30))
def test_two_equal_looks_always_settle_the_picture(looks: list[frozenset[str]]) -> None:
    seen = Sightings()
    for look in looks:
        seen.take(look)
    last = looks[-1] if looks else frozenset()
    seen.take(last)
    seen.take(last)
    assert seen.stable == last


def test_content_is_believed_for_a_while_and_the_cache_is_bounded() -> None:
    from drivers.base import PadTag

    cache = ContentCache()
    tag = PadTag(uid(1), 0x3E, 7, b"x", 4)
    cache.put(tag, now=0.0)
    assert cache.get(uid(1), KEEP_S) == tag
    assert cache.get(uid(1), KEEP_S + 1) is None
    cache.touch([uid(1)], now=KEEP_S)
    assert cache.get(uid(1), KEEP_S + 1) == tag
    for number in range(2, 1100):
        cache.put(PadTag(uid(number), 0x3E, 7, b"x", 4), now=KEEP_S)
    assert cache.get(uid(1), KEEP_S + 1) is None
    assert cache.get(uid(1099), KEEP_S + 1) is not None
