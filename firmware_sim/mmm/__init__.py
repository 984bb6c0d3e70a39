"""A simulated 3M 210/810 pad with ISO 15693 tags, speaking the real frames."""

from __future__ import annotations

import asyncio
from typing import Any

from firmware_sim.faults import Faults
from firmware_sim.feig.tags import SimTag, TagStore
from firmware_sim.mmm.pad import MmmPad
from firmware_sim.operated import FAULT_OPTIONS, PIECE_S, Operated, Operation, faults_of, hex_bytes, number
from firmware_sim.scene import Step
from firmware_sim.simulators import Options, Simulator, refuse_unknown
from protocols.iso28560 import encode_part3
from protocols.mmm import Framer, InventoryRequest

__all__ = ["MmmPad", "MmmSimulator", "simulate"]

BITS_PER_BYTE = 10
"""8N1."""
FRAME_GAP_S = 0.05
"""Silence after which the pad gives up an unfinished request (not specified)."""
AIR_S, AIR_PER_TAG_S = 0.005, 0.006
"""Time on the air of a command, and of each tag in an inventory (general knowledge of ISO 15693 at 26 kbit/s)."""
POWER_UP_S = 1.0
"""After power came the pad is deaf for so long (not specified)."""
DEMO_UID = "E004010012345678"
_DEMO_BLOCKS = encode_part3("01234567890", "CN-251020", usage=1, parts=1, part=1, size=34).ljust(36, b"\0").hex()


class MmmSimulator(Operated):
    """A pad behind a line of its own.

    Operations: ``place`` {uid, dsfid, afi, eas, blocks, locked}, ``lift`` {uid} (answers with what stands on the tag), ``pad`` (its
    tags), ``power_cycle``, and those of `Operated`. ``baudrate`` paces it like wire and air, None = at once.
    """

    kind = "3m"
    demo = (
        Step(0.0, {"op": "place", "uid": DEMO_UID, "dsfid": 0x3E, "afi": 0x07, "blocks": _DEMO_BLOCKS}),
        Step(3.0, {"op": "lift", "uid": DEMO_UID}),
    )

    def __init__(
        self,
        url: str,
        *,
        store: TagStore | None = None,
        baudrate: int | None = None,
        old: bool = False,
        repeat: float = 0.0,
        faults: Faults | None = None,
    ) -> None:
        super().__init__(url, faults)
        self.pad = MmmPad(lambda: self.faults, store if store is not None else TagStore(), old, repeat)
        self.overlaps = 0
        """Requests that came before the answer to the one before: a host must not do that."""
        self._baudrate = baudrate
        self._framer = Framer()
        self._gap: asyncio.TimerHandle | None = None
        self._free_at = 0.0
        self._deaf_until = 0.0
        self._acts |= {
            "place": self._place,
            "lift": self._lift,
            "pad": lambda _operation: {"tags": [_told(tag) for tag in self.pad.on_pad.values()]},
            "power_cycle": self._power_cycle,
        }

    def power(self, on: bool) -> None:
        """Without power the tags forget that they were told to be quiet."""
        self.pad.quiet.clear()
        self._framer = Framer()

    def received(self, data: bytes) -> None:
        """Take bytes of the host."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._deaf_until:
            return
        if self._gap is not None:
            self._gap.cancel()
            self._gap = None
        for frame in self._framer.receive(data):
            self.overlaps += loop.time() < self._free_at
            inventory = frame.command == InventoryRequest.CODE
            air_s = AIR_S + AIR_PER_TAG_S * len(self.pad.on_pad) * inventory
            self._send(self.pad.answer(frame), len(frame.payload) + 5, air_s)
        if self._framer.pending:
            self._gap = self.later(FRAME_GAP_S, self._framer.idle)

    def _send(self, answer: bytes, received: int, air_s: float) -> None:
        loop = asyncio.get_running_loop()
        delay = self.faults.slow_s
        if self._baudrate is not None:
            delay += (received + len(answer)) * BITS_PER_BYTE / self._baudrate + air_s
        at = max(loop.time(), self._free_at) + delay
        for index, piece in enumerate(self.faults.spoil(answer)):
            self.later(at + index * PIECE_S - loop.time(), lambda piece=piece: self.line.write(piece))
        self._free_at = at

    def _place(self, operation: Operation) -> dict[str, Any]:
        uid = str(operation["uid"]).upper()
        tag = self.pad.store.get(uid)
        if tag is None or "blocks" in operation:
            memory = bytearray(hex_bytes(operation.get("blocks", ""), 0, 1024))
            dsfid, afi = (int(number(operation.get(k, d), 0, 255)) for k, d in (("dsfid", 0x3E), ("afi", 0x07)))
            tag = SimTag(uid, dsfid, afi, memory)
        elif "afi" in operation:
            tag.afi = int(number(operation["afi"], 0, 255))
        tag.eas = bool(operation.get("eas", tag.eas))
        tag.locked |= {int(number(block, 0, 255)) for block in operation.get("locked", ())}
        return _told(self.pad.place(tag))

    def _lift(self, operation: Operation) -> dict[str, Any]:
        tag = self.pad.remove(str(operation["uid"]).upper())
        return {"found": tag is not None} | ({"afi": None} if tag is None else _told(tag))

    def _power_cycle(self, _: Operation) -> dict[str, Any]:
        """Power goes and comes: what was under way is lost, the USB converter stays plugged in."""
        for timer in tuple(self._timers):
            timer.cancel()
        self._timers.clear()
        self.power(True)
        self._deaf_until = asyncio.get_running_loop().time() + POWER_UP_S
        return {}

    def state(self) -> dict[str, Any]:
        """Whether plugged in, tags on the pad, requests and overlaps so far."""
        return {
            "plugged": self.plugged,
            "tags": len(self.pad.on_pad),
            "requests": self.pad.requests,
            "overlaps": self.overlaps,
        }


def _told(tag: SimTag) -> dict[str, Any]:
    return {"uid": tag.uid, "dsfid": tag.dsfid, "afi": tag.afi, "eas": tag.eas, "blocks": tag.blocks.hex().upper()}


def simulate(url: str, options: Options) -> Simulator:
    """Make it; options: line_speed (baud, 0 = as fast as possible), firmware "new" or "old", repeat (0..1: tags told twice),
    forget, collide, and seed, noise, drop, double, bad_crc (0..1), slow_s."""
    refuse_unknown(options, ("line_speed", "firmware", "repeat", "forget", "collide", *FAULT_OPTIONS))
    faults = faults_of(options)
    faults.forget, faults.collide = float(options.get("forget", "0")), float(options.get("collide", "0"))
    firmware = options.get("firmware", "new")
    if firmware not in ("new", "old"):
        raise ValueError("firmware is new or old")
    return MmmSimulator(
        url,
        baudrate=int(options.get("line_speed", "19200")) or None,
        old=firmware == "old",
        repeat=float(options.get("repeat", "0")),
        faults=faults,
    )
