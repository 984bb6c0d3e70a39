"""Pads of a branch for tests: simulated FEIG pads on ptys in this process, tags that move between them, and an edge over them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from edge.answers import Identified
from edge.config import DeviceConfig
from edge.selfservice.pad import PadKiosk
from edge.selfservice.tags import PadTags
from firmware_sim.faults import Faults
from firmware_sim.feig import SimPad, SimTag, TagStore
from firmware_sim.pty import PtyLine
from protocols.iso28560 import AfiPair, encode_part3
from tests.edge.bed import PIN, Bed, make_config, standard_rows, until, write_replica
from tests.make import HOME

PAIR = AfiPair()
IN_STOCK, ON_LOAN = PAIR.secured, PAIR.on_loan


def uid(number: int) -> str:
    """The chip number of test tag ``number``."""
    return f"E00401{number:010X}"


def book(
    item_no: str, chip: int, *, owner: str = f"CN-{HOME}", afi: int = IN_STOCK, parts: int = 1, part: int = 1, usage: int = 1
) -> SimTag:  # fmt: skip
    """A tag of ISO 28560-3."""
    memory = bytearray(encode_part3(item_no, owner, usage, parts, part))
    tag = SimTag(uid(chip), 0x3E, afi, memory)
    tag.eas = afi != ON_LOAN
    return tag


def blank(chip: int) -> SimTag:
    """A tag as it comes from its maker."""
    tag = SimTag(uid(chip), 0, 0)
    tag.eas = False
    return tag


class Pads:
    """Simulated pads by device id; a tag moved between them is the same chip."""

    def __init__(self, folder: Path, names: Sequence[str] = ("pad1",), *, baudrate: int | None = None) -> None:
        self.store = TagStore()
        self.sims = {
            name: SimPad(PtyLine(str(folder / f"line-{name}")), store=self.store, baudrate=baudrate) for name in names
        }
        for sim in self.sims.values():
            sim.start()

    def devices(self, **options: dict[str, Any]) -> tuple[DeviceConfig, ...]:
        """Devices of an edge's configuration, with options by pad."""
        return tuple(
            DeviceConfig(name, "feig", sim.line.url, {"poll_ms": 20, **options.get(name, {})})
            for name, sim in self.sims.items()
        )

    def put(self, *tags: SimTag, pad: str = "pad1") -> None:
        """Lay tags down."""
        for tag in tags:
            self.sims[pad].place(tag)

    def take(self, *chips: int, pad: str = "pad1") -> None:
        """Lift tags."""
        for chip in chips:
            self.sims[pad].remove(uid(chip))

    def fault(self, pad: str = "pad1", **faults: Any) -> None:
        """Let things go wrong."""
        self.sims[pad].faults = Faults(**faults)

    def afi(self, *chips: int) -> list[int | None]:
        """What stands on chips now, wherever they are."""
        return [tag.afi if (tag := self.store.get(uid(chip))) else None for chip in chips]

    def cut(self, pad: str = "pad1") -> None:
        """Pull the cable out."""
        self.sims[pad].stop()

    def mend(self, pad: str = "pad1") -> None:
        """Put it in again."""
        self.sims[pad].start()

    def close(self) -> None:
        """Switch everything off."""
        for sim in self.sims.values():
            sim.stop()


@asynccontextmanager
async def edge_over(folder: Path, pads: Pads, *, rows: list[Any] | None = None, **more: Any) -> AsyncIterator[Bed]:
    """An edge with these pads whose hub is away; ``options`` by pad in ``pad_options``."""
    options = more.pop("pad_options", {})
    if not (folder / "replica").exists():
        write_replica(folder, rows if rows is not None else standard_rows())
    async with Bed(make_config(folder, devices=pads.devices(**options), **more)) as bed:
        await until(lambda: all(tags.online for tags in bed.agent.pads.values()))
        yield bed


def kiosk_of(bed: Bed) -> PadKiosk:
    """The edge's own kiosk."""
    assert bed.agent.kiosk is not None
    return bed.agent.kiosk


async def signed_in(bed: Bed, number: str = "R1") -> str:
    """A reader's session at the kiosk."""
    return str((await kiosk_of(bed).identify(number, "", PIN, "zh"))["session"])


async def reader(bed: Bed, number: str = "R1") -> Identified:
    """A reader as a kiosk identified them."""
    return kiosk_of(bed)._sessions[await signed_in(bed, number)].reader


async def seen(tags: PadTags, n: int) -> None:
    """Wait until a pad sees so many tags."""
    await until(lambda: len(tags.read) == n)


async def quiet(s: float = 0.2) -> None:
    """Let happen what may happen."""
    await asyncio.sleep(s)
