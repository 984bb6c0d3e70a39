"""A simulated ESC/POS receipt printer that reads what it is sent and can say what stands on its paper."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any

from firmware_sim.faults import Faults
from firmware_sim.operated import FAULT_OPTIONS, Operated, Operation, faults_of, number
from firmware_sim.printer.interpreter import Interpreter
from firmware_sim.printer.paper import Paper, PaperLine, Printed, Style
from firmware_sim.scene import Step
from firmware_sim.simulators import Options, Simulator, refuse_unknown

__all__ = ["Paper", "PaperLine", "Printed", "PrinterSimulator", "Style", "simulate"]

_CLEAR = b"\x14\x08\x01\x03\x14\x01\x06\x02\x08"
_FIXED = 0x12
_BREAK = b"\0"
"""What a serial line reads when the printer at its other end loses power."""
_CARRIED = 16
"""Bytes that a paced line gives at a time."""


class PrinterSimulator(Operated):
    """One printer; its faults spoil its answers. ``baudrate`` paces what it is sent like a serial line (None = at once).

    Operations: ``paper`` {state: ok | near_end | out, lines: until it is out}, ``cover`` {open}, ``take`` (what was printed since, as
    text and in full), ``switch`` {on}: off, its line breaks (00) and is dead; ``power_cycle``, and those of `Operated`.
    """

    kind = "printer"
    demo = (Step(0.0, {"op": "state"}),)

    def __init__(self, url: str, *, faults: Faults | None = None, baudrate: int | None = None) -> None:
        super().__init__(url, faults)
        self.paper = Paper()
        self.interpreter = Interpreter(self.paper)
        self.questions = 0
        self._cover_open = False
        self._held = b""
        self._baudrate = baudrate
        self._on = True
        self._lives = 0
        self._free_at = 0.0
        self._acts |= {
            "paper": self._set_paper,
            "cover": self._set_cover,
            "take": self._take,
            "switch": self._switch,
            "power_cycle": self._power_cycle,
        }

    def power(self, on: bool) -> None:
        """Without power the buffer is lost; the paper stays."""
        self.interpreter.clear()
        self._held = b""
        self._on = on
        self._lives += 1

    def received(self, data: bytes) -> None:
        """Take bytes, as fast as the line carries them."""
        if self._baudrate is None:
            self._carried(self._lives, data)
            return
        now = asyncio.get_running_loop().time()
        self._free_at = max(now, self._free_at)
        for at in range(0, len(data), _CARRIED):
            piece = data[at : at + _CARRIED]
            self._free_at += len(piece) * 10 / self._baudrate
            self.later(self._free_at - now, functools.partial(self._carried, self._lives, piece))

    def _carried(self, life: int, data: bytes) -> None:
        """Real-time commands act at once, wherever they stand; the rest waits its turn."""
        if not self._on or life != self._lives:
            return
        data = self._held + data
        self._held = b""
        at = 0
        while (found := data.find(b"\x10", at)) >= 0:
            rest = data[found + 1 :]
            if not rest or (rest[:1] == b"\x04" and len(rest) < 2) or (rest != _CLEAR and _CLEAR.startswith(rest)):
                self._held = data[found:]
                data = data[:found]
                break
            if rest[:1] == b"\x04":
                data = data[:found] + data[found + 3 :]
                self._answer_at_once(rest[1])
                at = found
            elif rest.startswith(_CLEAR):
                self.interpreter.clear()
                data = data[found + 1 + len(_CLEAR) :]
                at = 0
            else:
                at = found + 1
        self._act(data)

    def _act(self, data: bytes = b"") -> None:
        self.interpreter.feed(data, stopped=self._cover_open)
        while self.interpreter.answers:
            self.say(bytes((self.interpreter.answers.pop(0),)))

    def _answer_at_once(self, what: int) -> None:
        """DLE EOT 1 printer, 2 cause of being off line, 3 error, 4 paper."""
        self.questions += 1
        near, out = self.paper.near_end or self.paper.out, self.paper.out
        answers: dict[int, Callable[[], int]] = {
            1: lambda: 0x08 if out or self._cover_open else 0,
            2: lambda: (0x04 if self._cover_open else 0) | (0x20 if out else 0),
            3: lambda: 0,
            4: lambda: (0x0C if near else 0) | (0x60 if out else 0),
        }
        if what in answers:
            self.say(bytes((_FIXED | answers[what](),)))

    def _set_paper(self, operation: Operation) -> dict[str, Any]:
        state = operation.get("state", "ok")
        if state not in ("ok", "near_end", "out"):
            raise ValueError("state is ok, near_end or out")
        lines = operation.get("lines")
        self.paper.left = 0 if state == "out" else None if lines is None else int(number(lines, 0, 100_000))
        self.paper.near_end = state == "near_end"
        self._act()
        return {}

    def _set_cover(self, operation: Operation) -> dict[str, Any]:
        if not isinstance(operation["open"], bool):
            raise TypeError("open is true or false")
        self._cover_open = operation["open"]
        self._act()
        return {}

    def _take(self, _: Operation) -> dict[str, Any]:
        pieces = self.paper.take()
        return {"receipts": [piece.told() for piece in pieces]}

    def _switch(self, operation: Operation) -> dict[str, Any]:
        if not isinstance(operation["on"], bool):
            raise TypeError("on is true or false")
        if self._on and not operation["on"]:
            self.line.write(_BREAK)
        self.power(operation["on"])
        return {}

    def _power_cycle(self, _: Operation) -> dict[str, Any]:
        self.power(True)
        return {}

    def state(self) -> dict[str, Any]:
        """Whether plugged in; paper, cover; pieces cut; questions answered; bytes waiting and not understood."""
        paper = "out" if self.paper.out else "near_end" if self.paper.near_end else "ok"
        return {
            "plugged": self.plugged,
            "paper": paper,
            "cover": "open" if self._cover_open else "closed",
            "receipts": len(self.paper.pieces),
            "questions": self.questions,
            "waiting": self.interpreter.waiting,
            "unknown": self.interpreter.unknown,
        }


def simulate(url: str, options: Options) -> Simulator:
    """Make it; options: line_speed (baud, 0 = as fast as possible, the default); seed, noise, drop, double, bad_crc (0..1), slow_s, all
    of its answers."""
    refuse_unknown(options, ("line_speed", *FAULT_OPTIONS))
    speed = int(options.get("line_speed", "0"))
    if speed < 0:
        raise ValueError("line_speed is a number of bits per second, or 0")
    return PrinterSimulator(url, faults=faults_of(options), baudrate=speed or None)
