"""People at the gates of a branch: each kind of gate as it is used, and the security gate behind it that counts and looks at bags."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from firmware_sim.branch_client import SimBranchClient
from firmware_sim.players.world import Book, Person, World

WAIT_S = 2.5
"""How long somebody stands before a gate that stays locked."""
PATIENCE_S = 8.0
"""How long somebody waits for the one before."""
POLL_S = 0.05
TURNS_BACK, FOLLOWED, FORGETFUL = 0.03, 0.02, 0.1
"""Of those for whom a turnstile opens: who does not go through, and behind whom another slips in. Of those who leave: who carries
something that was never lent."""
SHORT = 4
"""Bytes of a chip number that a cardreader with room for 32 bits sends."""

Devices = Callable[[], Awaitable[SimBranchClient]]


@dataclass(frozen=True, slots=True)
class Walk:
    """What became of it: whether the gate opened, whether somebody went through, and ms to the open gate where it says so."""

    opened: bool
    through: bool
    ms: float | None = None


class GateWalks:
    """The gates of one branch, as its plan lists them."""

    def __init__(self, gates: list[dict[str, Any]], devices: Devices, library: str, rng: Random) -> None:
        self._gates = gates
        self._devices = devices
        self._library = library
        self._rng = rng

    def choose(self, person: Person) -> dict[str, Any]:
        """A gate that can tell this card: one that reads numbers cut short is for the library's own people."""
        fit = [gate for gate in self._gates if not gate.get("short") or person.library == self._library]
        return self._rng.choice(fit)

    async def walk(self, gate: dict[str, Any], card: str, direction: str) -> Walk:
        """Show a card and go through where it opens."""
        if gate["how"] == "osdp":
            seen = await (await self._devices()).tap(card, direction, device=gate["device"])
            return Walk(seen.opened, seen.opened, seen.ms if seen.opened else None)
        client = await self._devices()
        if gate["how"] == "zkteco":
            told = await client.do("tap", device=gate["device"], card=_as_sent(card, gate), direction=direction)
            passed = told["opened"] and (await client.do("pass", device=gate["device"])).get("passed")
            return Walk(bool(told["opened"]), bool(passed))
        await self._locked(client, gate["device"])
        more = {"medium": gate["medium"]} if "medium" in gate else {}
        await client.do("tap", device=gate["cards"], card=_as_sent(card, gate), **more)
        return await self._turnstile(client, gate["device"], direction)

    async def _locked(self, client: SimBranchClient, device: str) -> None:
        """Let the one before go through: who follows too closely goes through for nothing."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            if not (await client.do("state", device=device)).get("unlocked"):
                return
            await asyncio.sleep(POLL_S)

    async def _turnstile(self, client: SimBranchClient, device: str, direction: str) -> Walk:
        """Try the bar until it gives or patience ends."""
        until = time.monotonic() + WAIT_S
        turns_back = self._rng.random() < TURNS_BACK
        count = 2 if self._rng.random() < FOLLOWED else 1
        while time.monotonic() < until:
            if turns_back and direction in (await client.do("state", device=device)).get("unlocked", ()):
                return Walk(True, False)
            if not turns_back:
                passed = await client.do("tailgate", device=device, direction=direction, count=count)
                if passed.get("passed"):
                    return Walk(True, True)
            await asyncio.sleep(POLL_S)
        return Walk(False, False)


def _as_sent(card: str, gate: dict[str, Any]) -> str:
    raw = bytes.fromhex(card)
    if gate.get("short"):
        raw = raw[-SHORT:]
    return (raw[::-1] if gate.get("turned") else raw).hex().upper()


async def through_security(client: SimBranchClient, device: str, person: Person, direction: str, world: World) -> str:
    """Somebody goes through the security gate with a bag; gives what a person would have heard: "" or "alarm"."""
    await client.do("people", device=device, **({"came": 1} if direction == "IN" else {"left": 1}))
    if direction == "IN":
        return ""
    carried = [book for book in person.bag if not book.tag.uhf][:3]
    taken: list[Book] = []
    if world.rng.random() < FORGETFUL and person.inside:
        taken = world.take(person.inside, 1, for_pad=True)
    heard = ""
    try:
        for book in (*carried, *taken):
            told = await client.do(
                "pass", device=device, **book.tag.hf(book.item_no), afi=book.afi, direction=direction
            )
            heard = "alarm" if told.get("sounded") else heard
    finally:
        for book in taken:  # staff take it back to its shelf
            world.shelve(book, person.inside or book.home)
    return heard
