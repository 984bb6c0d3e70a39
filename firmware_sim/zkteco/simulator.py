"""The controller behind a TCP port, and people at its doors."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import datetime
from typing import Any

from firmware_sim.faults import Faults
from firmware_sim.operated import Operated, Operation, hex_bytes, number
from firmware_sim.scene import Step
from firmware_sim.zkteco.controller import Controller
from protocols.frames import FrameError
from protocols.zkteco import EventType, ZkFramer

__all__ = ["ZkSimulator"]

OPEN_S = 5.0
"""The controller's own lock time for a card of its list."""


class ZkSimulator(Operated):
    """A controller at tcp:HOST:PORT. Operations beside those of `Operated`:

    ``tap`` {card, door, direction, timeout_s} waits for the door to open and gives {opened, denied, ms}; ``pass`` {door, force}
    (gives ``passed``), ``door`` {door, open}, ``held`` {door}, ``aux`` {input, active}, ``duress`` {door}, ``power_cycle`` {seconds}.
    """

    kind = "zkteco"
    demo = (Step(0.0, {"op": "tap", "card": "04A1B2C3", "timeout_s": 0.2}),)

    def __init__(self, url: str, controller: Controller, faults: Faults | None = None) -> None:
        super().__init__(url, faults)
        self.controller = controller
        self._framer = ZkFramer()
        self._acts |= {
            "tap": self._tap,
            "pass": self._pass,
            "door": self._door,
            "held": lambda operation: self._event(EventType.OPENING_TIMEOUT, operation),
            "duress": lambda operation: self._event(EventType.DURESS_PASSWORD, operation),
            "aux": self._aux,
            "power_cycle": self._power_cycle,
        }

    def received(self, data: bytes) -> None:
        """A host asks."""
        for frame in self._framer.receive(data):
            try:
                reply = self.controller.answer(frame, datetime.now(), time.monotonic())
            except FrameError:
                continue
            if reply is not None:
                self.say(reply)

    def state(self) -> dict[str, Any]:
        """Doors whose lock is open, openings so far, requests answered."""
        now = time.monotonic()
        doors = [door for door in range(1, self.controller.doors + 1) if self.controller.is_open(door, now)]
        return {
            "plugged": self.plugged,
            "open_doors": doors,
            "openings": self.controller.openings,
            "requests": self.controller.requests,
            "aux": sorted(output for output, until in self.controller.aux_until.items() if until > now),
        }

    def _number(self, operation: Operation) -> int:
        return int(number(operation.get("door", 1), 1, self.controller.doors))

    async def _tap(self, operation: Operation) -> dict[str, Any]:
        card, door = int.from_bytes(hex_bytes(operation["card"], 1, 8), "big"), self._number(operation)
        direction = operation.get("direction", "IN")
        if direction not in ("IN", "OUT"):
            raise ValueError("direction is IN or OUT")
        patience = number(operation.get("timeout_s", 3.0), 0, 30)
        began = time.monotonic()
        openings = self.controller.openings
        known = card in self.controller.cards
        if known:
            self.controller.open(door, OPEN_S, began)
        event = EventType.PUNCH_OPEN if known else EventType.UNREGISTERED_CARD
        self.controller.happen(event, door, datetime.now(), card=card, way=0 if direction == "IN" else 3)
        if not known:
            seen = asyncio.Event()
            self.controller.on_open = seen.set
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await seen.wait()
        opened = self.controller.openings > openings
        return {"opened": opened, "denied": not known, "ms": round((time.monotonic() - began) * 1000, 3)}

    def _pass(self, operation: Operation) -> dict[str, Any]:
        door, now = self._number(operation), datetime.now()
        allowed = self.controller.is_open(door, time.monotonic())
        if not allowed and not operation.get("force"):
            return {"passed": 0}
        self.controller.happen(EventType.DOOR_OPENED if allowed else EventType.OPENED_BY_FORCE, door, now)
        self.controller.happen(EventType.DOOR_CLOSED, door, now)
        return {"passed": 1}

    def _door(self, operation: Operation) -> dict[str, Any]:
        door, opened = self._number(operation), bool(operation["open"])
        allowed = self.controller.is_open(door, time.monotonic())
        self.controller.sensors[door - 1] = 2 if opened else 1
        self.controller.alarms[door - 1] = 1 if opened and not allowed else 0
        event = EventType.DOOR_CLOSED if not opened else EventType.DOOR_OPENED if allowed else EventType.OPENED_BY_FORCE
        return self._event(event, operation)

    def _event(self, event: EventType, operation: Operation) -> dict[str, Any]:
        self.controller.happen(event, self._number(operation), datetime.now())
        return {}

    def _aux(self, operation: Operation) -> dict[str, Any]:
        event = EventType.AUX_SHORT if operation["active"] else EventType.AUX_OPEN
        self.controller.happen(event, int(number(operation["input"], 1, 12)), datetime.now())
        return {}

    def _power_cycle(self, operation: Operation) -> dict[str, Any]:
        seconds = number(operation.get("seconds", 0.5), 0.01, 60)
        self._unplug({})
        self.controller.lose_power()
        self.controller.happen(EventType.DEVICE_START, 1, datetime.now())
        self.later(seconds, lambda: self._plug({}))
        return {}
