"""What the tests of the LLRP driver share: tags of books, and a reader's simulator with its driver running."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from drivers.base import DeviceEvent, DeviceState, InputChanged, TagPassed
from drivers.rfid.llrp import LlrpPad, build
from firmware_sim.llrp import LlrpSimulator
from firmware_sim.uhf import Gen2Tag, tid_for
from protocols.iso28560 import gaoxiao
from protocols.iso28560.part4 import encode_pc_uii

OWNER = "CN-251020"
FAST = {"poll_ms": 20, "gone_ms": 300, "op_ms": 400, "keepalive_ms": 500}


def book(number: int, *, afi: int = 0x07, user: bytes = b"", **more: Any) -> Gen2Tag:
    raw = encode_pc_uii(OWNER, f"TJ{number:06d}", afi, umi=bool(user))
    return Gen2Tag(
        bytearray(raw[2:]),
        tid_for(b"%d" % number),
        int.from_bytes(raw[:2], "big"),
        bytearray(user.ljust(64, b"\0")),
        **more,
    )


def school_book(number: int) -> Gen2Tag:
    user = gaoxiao.encode_user_bank([(gaoxiao.OWNER, gaoxiao.encode_owner("10611"))]).ljust(64, b"\0")
    epc = gaoxiao.encode_epc(f"{number:08d}", lent=False, oids=(gaoxiao.OWNER,))
    return Gen2Tag(bytearray(epc), tid_for(b"s%d" % number), -1, bytearray(user))


class Station:
    """A reader's simulator, the driver running, and what the driver told."""

    def __init__(self, sim: LlrpSimulator, options: dict[str, Any]) -> None:
        self.sim = sim
        driver = build("llrp-1", sim.url, {**FAST, **options})
        assert isinstance(driver, LlrpPad)
        self.pad = driver
        self.events: list[DeviceEvent] = []
        self._task = asyncio.create_task(driver.run(self.events.append))

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(e.state, e.reason_code) for e in self.events if isinstance(e, DeviceState)]

    def inputs(self, number: int) -> list[bool]:
        return [e.active for e in self.events if isinstance(e, InputChanged) and e.input_no == number]

    @property
    def passed(self) -> list[tuple[str, bool | None]]:
        return [(e.tag.uid, e.tag.secured) for e in self.events if isinstance(e, TagPassed)]

    async def until(self, what: Callable[[], bool], seconds: float = 10.0) -> None:
        async with asyncio.timeout(seconds):
            while not what():
                await asyncio.sleep(0.005)

    async def online(self, seconds: float = 10.0) -> None:
        await self.until(lambda: bool(self.states) and self.states[-1] == ("online", "OK"), seconds)

    async def shows(self, tags: list[Gen2Tag], seconds: float = 10.0) -> None:
        want = {tag.key for tag in tags}
        await self.until(lambda: {tag.uid for tag in self.pad.tags} == want, seconds)

    def put(self, *tags: Gen2Tag) -> None:
        for tag in tags:
            self.sim.reader.field.put(tag)

    async def end(self) -> None:
        """The driver ends; the reader stays."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def close(self) -> None:
        await self.end()
        await self.sim.stop()


Opener = Callable[..., Any]
