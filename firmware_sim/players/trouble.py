"""What goes wrong with machines: a cable pulled out, a noisy line, a power cut; one device of a branch at a time, by seed.

Nothing here is about people. A device is left as it should be before the next one is taken, and when the day ends.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from firmware_sim.branch_client import SimBranchClient, SimBranchError

__all__ = ["Trouble"]

BETWEEN_S, LASTS_S = 6.0, 2.0
NOISE = {"drop": 0.05, "double": 0.05, "noise": 0.1}
QUIET = {"drop": 0.0, "double": 0.0, "noise": 0.0}
_CHECKED = ("pad", "gate2", "gate3", "station", "eas")
"""Devices whose frames have check values, and whose simulators spoil their lines: on others noise could only be believed."""


class Trouble:
    """Trouble at the devices of one branch. ``pause`` gives the seconds of a pause by the players' pace."""

    def __init__(
        self,
        devices: list[str],
        client: Callable[[], Awaitable[SimBranchClient]],
        rng: Random,
        counts: Counter[str],
        pause: Callable[[float], float],
    ) -> None:
        self._devices = devices
        self._client = client
        self._rng = rng
        self._counts = counts
        self._pause = pause

    async def strike(self) -> None:
        """One device has trouble for a while."""
        await asyncio.sleep(self._pause(BETWEEN_S))
        device = self._rng.choice(self._devices)
        noisy = device.startswith(_CHECKED) and self._rng.random() < 0.5
        name, begin, end = ("noise", "faults", "faults") if noisy else ("unplugged", "unplug", "plug")
        client = await self._client()
        try:
            await client.do(begin, device=device, **(NOISE if noisy else {}))
            self._counts[f"fault_{name}"] += 1
            await asyncio.sleep(LASTS_S)
        finally:
            await _mend(client, end, device, QUIET if noisy else {})


async def _mend(client: SimBranchClient, operation: str, device: str, arguments: dict[str, Any]) -> None:
    """Put it right, also where the day ends meanwhile."""
    with contextlib.suppress(SimBranchError):
        await asyncio.shield(client.do(operation, device=device, **arguments))
