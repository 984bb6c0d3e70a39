"""The LLRP driver against llrpkit's own emulator as it comes: an implementation of the protocol that we did not write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from llrpkit.emulator import LLRPEmulator
from llrpkit.emulator.core import EmulatedTag
from llrpkit.protocol import messages

from drivers.base import DeviceEvent, DeviceState, InputChanged, SetOutput
from drivers.rfid.llrp import LlrpPad, build
from protocols.iso28560 import gaoxiao
from protocols.iso28560.uhf import decode_uhf

EPCS = [gaoxiao.encode_epc(f"{number:08d}", lent=False) for number in (10611001, 10611002, 10611003)]


class Reader:
    """The emulator, the driver running, and what the driver told."""

    def __init__(self, emulator: LLRPEmulator) -> None:
        self.emulator = emulator
        driver = build("llrp-1", f"tcp:127.0.0.1:{emulator.port}", {"poll_ms": 20, "gone_ms": 400, "keepalive_ms": 300})
        assert isinstance(driver, LlrpPad)
        self.pad = driver
        self.events: list[DeviceEvent] = []
        self._task = asyncio.create_task(driver.run(self.events.append))

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(e.state, e.reason_code) for e in self.events if isinstance(e, DeviceState)]

    async def until(self, what: Callable[[], bool], seconds: float = 15.0) -> None:
        async with asyncio.timeout(seconds):
            while not what():
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@pytest.fixture
async def reader():
    tags = [EmulatedTag(epc=epc, antennas=(1,)) for epc in EPCS]
    async with LLRPEmulator(tags=tags, reads_per_sec=300) as emulator:
        made = Reader(emulator)
        yield made
        await made.close()


def epcs_of(reader: Reader) -> set[bytes]:
    return {tag.epc for tag in reader.pad.tags}


async def test_an_answer_that_never_comes_is_tried_again(reader: Reader) -> None:
    reader.emulator.drop_next(messages.ADD_ROSPEC)
    await reader.until(lambda: ("offline", "NO_ANSWER") in reader.states)
    await reader.until(lambda: epcs_of(reader) == set(EPCS))


async def test_its_tags_are_told_and_are_items(reader: Reader) -> None:
    await reader.until(lambda: epcs_of(reader) == set(EPCS))
    for tag in reader.pad.tags:
        assert decode_uhf(tag.pc or 0, tag.epc, user=tag.data).pii.startswith("10611")
        assert tag.secured is True


async def test_a_lent_bit_is_written_and_read_back(reader: Reader) -> None:
    await reader.until(lambda: epcs_of(reader) == set(EPCS))
    uid = next(tag.uid for tag in reader.pad.tags if tag.epc == EPCS[0])
    lent = await reader.pad.secure(uid, False)
    assert lent.ok
    assert {tag.epc for tag in reader.emulator.tags} >= {bytes((EPCS[0][0] | 0x80,)) + EPCS[0][1:]}
    assert (await reader.pad.restore(uid, lent.before)).ok
    assert {tag.epc for tag in reader.emulator.tags} == set(EPCS)


async def test_a_tag_taken_away_and_an_antenna_pulled_off_leave_the_pad(reader: Reader) -> None:
    await reader.until(lambda: epcs_of(reader) == set(EPCS))
    del reader.emulator.tags[0]
    await reader.until(lambda: epcs_of(reader) == set(EPCS[1:]))
    await reader.emulator.set_antenna_connected(1, False)
    await reader.until(lambda: reader.pad.tags == ())
    assert reader.pad.health()["antennas_out"] == 1


async def test_keepalives_are_answered_and_inputs_and_outputs_work(reader: Reader) -> None:
    await reader.until(lambda: ("online", "OK") in reader.states)
    await reader.emulator.send_keepalive()
    await reader.emulator.wait_keepalive_ack()
    await reader.emulator.set_gpi(2, True)
    await reader.until(lambda: any(isinstance(e, InputChanged) and e.input_no == 1 and e.active for e in reader.events))
    await reader.pad.execute(SetOutput(3, True))
    assert reader.emulator._gpo_states[4]


async def test_a_restarted_reader_is_found_again(reader: Reader) -> None:
    await reader.until(lambda: epcs_of(reader) == set(EPCS))
    await reader.emulator.stop()
    await reader.until(lambda: reader.states[-1][0] == "offline")
    assert reader.pad.tags == ()
    await reader.emulator.start()
    await reader.until(lambda: epcs_of(reader) == set(EPCS))
    assert reader.pad.health()["opened"] == 2
