"""What the tests of the UHF driver share: tags of books, and a device with its driver running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from drivers.base import DeviceEvent, DeviceState, TagImage
from drivers.rfid.uhf import UhfPad, build
from firmware_sim.uhf import Gen2Tag, UhfDevice, simulate, tid_for
from protocols.iso28560 import gaoxiao
from protocols.iso28560.part4 import encode_pc_uii

OWNER = "CN-251020"
Opener = Callable[..., Any]


def book(number: int, *, afi: int = 0x07, user: bytes = b"", **more: Any) -> Gen2Tag:
    """A book by ISO/TS 28560-4."""
    raw = encode_pc_uii(OWNER, f"TJ{number:06d}", afi, umi=bool(user))
    bank = bytearray(user.ljust(64, b"\0"))
    return Gen2Tag(bytearray(raw[2:]), tid_for(b"%d" % number), int.from_bytes(raw[:2], "big"), bank, **more)


def school_book(number: int, *, lent: bool = False) -> Gen2Tag:
    """A book of the university format, owner in the user bank."""
    user = gaoxiao.encode_user_bank([(gaoxiao.OWNER, gaoxiao.encode_owner("10611"))]).ljust(64, b"\0")
    epc = gaoxiao.encode_epc(f"{number:08d}", lent=lent, oids=(gaoxiao.OWNER,))
    return Gen2Tag(bytearray(epc), tid_for(b"s%d" % number), -1, bytearray(user))


def image(number: int, user: bytes = b"") -> TagImage:
    raw = encode_pc_uii(OWNER, f"NEW{number:06d}", 0x07, umi=bool(user))
    return TagImage("UHF", user, pc=int.from_bytes(raw[:2], "big"), epc=raw[2:])


class Station:
    """A simulated device, its driver running, and what the driver told."""

    def __init__(self, sim: UhfDevice, options: dict[str, Any]) -> None:
        self.sim = sim
        driver = build("uhf-1", sim.url, {"poll_ms": 20, **options})
        assert isinstance(driver, UhfPad)
        self.pad = driver
        self.events: list[DeviceEvent] = []
        self._task = asyncio.create_task(driver.run(self.events.append))

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(e.state, e.reason_code) for e in self.events if isinstance(e, DeviceState)]

    async def until(self, what: Callable[[], bool], seconds: float = 8.0) -> None:
        async with asyncio.timeout(seconds):
            while not what():
                await asyncio.sleep(0.005)

    async def online(self) -> None:
        await self.until(lambda: bool(self.states) and self.states[-1] == ("online", "OK"))

    async def shows(self, tags: list[Gen2Tag], seconds: float = 8.0) -> None:
        want = {tag.key for tag in tags}
        await self.until(lambda: {tag.uid for tag in self.pad.tags} == want, seconds)

    def put(self, *tags: Gen2Tag) -> None:
        for tag in tags:
            self.sim.field.put(tag)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.sim.stop()


@asynccontextmanager
async def stations(folder: Path, family: str) -> AsyncIterator[Opener]:
    """Give what makes a station of that family; all are closed at the end."""
    made: list[Station] = []

    async def make(*, sim: dict[str, str] | None = None, **options: Any) -> Station:
        found = {"line_speed": "0", "family": family, **(sim or {})}
        device = simulate(f"pty:{folder}/uhf{len(made)}", found)
        assert isinstance(device, UhfDevice)
        device.scan_100ms = 3
        await device.start()
        made.append(Station(device, options))
        return made[-1]

    try:
        yield make
    finally:
        for one in made:
            await one.close()
