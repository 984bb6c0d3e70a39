"""A simulated relay board, the driver that talks to it, and what the driver told: for the tests of gates behind relays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from drivers.base import DeviceEvent, DeviceState, InputChanged
from drivers.gate.relay import RelayGate, build
from firmware_sim.relay import RelaySimulator, simulate

__all__ = ["PASSAGES", "Make", "Turnstile", "make"]


class Turnstile:
    """A driver running, the board it talks to, and what the driver told."""

    def __init__(self, gate: RelayGate, board: RelaySimulator) -> None:
        self.gate = gate
        self.board = board
        self.events: list[DeviceEvent] = []
        self.task = asyncio.create_task(gate.run(self.events.append))

    def told(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(event.state, event.reason_code) for event in self.told(DeviceState)]

    async def do(self, op: str, **more: object) -> dict[str, Any]:
        return await self.board.do({"op": op, **more})

    async def coils(self) -> list[bool]:
        return (await self.do("state"))["coils"]  # type: ignore[no-any-return]

    async def until(self, what: Callable[[], object], seconds: float = 8.0) -> None:
        async with asyncio.timeout(seconds):
            while not what():
                await asyncio.sleep(0.01)

    async def coil(self, number: int, on: bool, seconds: float = 5.0) -> None:
        async with asyncio.timeout(seconds):
            while (await self.coils())[number] != on:
                await asyncio.sleep(0.01)

    async def online(self) -> None:
        await self.until(lambda: self.states and self.states[-1] == ("online", "OK"))

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


Make = Callable[..., Awaitable[Turnstile]]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    made: list[Turnstile] = []

    async def start(
        options: dict[str, str | int | bool] | None = None,
        sim: dict[str, str] | None = None,
        url: str = "",
        online: bool = True,
    ) -> Turnstile:
        board = simulate(url or f"pty:{tmp_path}/board", sim or {})
        assert isinstance(board, RelaySimulator)
        await board.start()
        gate = build("gate-1", board.url, options or {})
        assert isinstance(gate, RelayGate)
        made.append(Turnstile(gate, board))
        if online:
            await made[-1].online()
            await made[-1].until(lambda: made[-1].told(InputChanged))  # the first look is no edge
        return made[-1]

    yield start
    for one in made:
        await one.stop()
        await one.board.stop()


PASSAGES: dict[str, str | int | bool] = {"passage_in": 0, "passage_out": 1}
