"""A simulated Modbus relay board with a turnstile and a door wired to it."""

from __future__ import annotations

import time
from typing import Any

from firmware_sim.faults import Faults
from firmware_sim.operated import FAULT_OPTIONS, Operated, Operation, faults_of, number
from firmware_sim.relay.board import Board, Wiring
from firmware_sim.relay.modbus import Slave
from firmware_sim.scene import Step
from firmware_sim.simulators import Options, Simulator, refuse_unknown

__all__ = ["Board", "RelaySimulator", "Wiring", "simulate"]

CONTACT_S = 0.2
"""A passage contact closes for so long when somebody goes through; so long between two people close together."""
_WIRES = ("coils", "inputs", "coil_in", "coil_out", "passage_in", "passage_out", "door", "fire")


class RelaySimulator(Operated):
    """The board behind a line. Operations beside those of `Operated`:

    ``pass`` {direction, force} one person, ``tailgate`` {direction, count} several on one opening (gives ``passed``: 0 where it
    is locked), ``push_input`` {input, active | ms}, ``door`` {open}, ``fire`` {active}, ``power_cycle`` {seconds},
    ``stuck`` {coil, state: true, false or null}, ``hang`` {seconds}: the converter before the board hangs and works off then what
    it was sent, whose answers are lost.
    """

    kind = "relay"
    demo = (Step(0.0, {"op": "pass", "direction": "IN", "force": True}),)

    def __init__(self, url: str, wiring: Wiring, faults: Faults | None = None, **slave: Any) -> None:
        super().__init__(url, faults)
        self.board = Board(wiring)
        self._slave = Slave(self.board, tcp=slave.pop("tcp", url.startswith("tcp:")), **slave)
        self._dark = False
        self._hung: list[bytes] | None = None
        self._passed = {"IN": 0, "OUT": 0}
        self._acts |= {
            "pass": lambda operation: self._people(operation, 1),
            "tailgate": lambda operation: self._people(operation, int(number(operation.get("count", 2), 1, 20))),
            "push_input": self._push,
            "door": lambda operation: self._contact(self.board.wiring.door, bool(operation["open"])),
            "fire": lambda operation: self._contact(self.board.wiring.fire, bool(operation["active"])),
            "power_cycle": self._power_cycle,
            "stuck": self._stuck,
            "hang": self._hang,
        }

    def received(self, data: bytes) -> None:
        """A master asks; without power nobody answers."""
        if self._hung is not None:
            self._hung.append(data)
        elif not self._dark:
            for answer in self._slave.receive(data, time.monotonic()):
                self.say(answer)

    def state(self) -> dict[str, Any]:
        """The board, people who went through, requests answered, requests that made no sense, timed pulses begun."""
        return {
            "plugged": self.plugged,
            **self.board.describe(time.monotonic()),
            "passed": dict(self._passed),
            "requests": self._slave.requests,
            "bad_requests": self._slave.bad,
            "flashes": self._slave.flashes,
        }

    def _people(self, operation: Operation, count: int) -> dict[str, Any]:
        direction = operation.get("direction", "IN")
        if direction not in self._passed:
            raise ValueError("direction is IN or OUT")
        if not operation.get("force") and not self.board.unlocked(direction, time.monotonic()):
            return {"passed": 0}
        contact = self.board.wiring.passage_in if direction == "IN" else self.board.wiring.passage_out
        for person in range(count):
            self.later(person * 2 * CONTACT_S, lambda: self._close(contact, CONTACT_S))
        self._passed[direction] += count
        return {"passed": count}

    def _close(self, contact: int, seconds: float) -> None:
        self.board.contacts[contact] = True
        self.later(seconds, lambda: self.board.contacts.__setitem__(contact, False))

    def _push(self, operation: Operation) -> dict[str, Any]:
        contact = int(number(operation["input"], 0, len(self.board.contacts) - 1))
        if "active" in operation:
            return self._contact(contact, bool(operation["active"]))
        self._close(contact, number(operation.get("ms", 200), 1, 60_000) / 1000)
        return {}

    def _contact(self, contact: int, closed: bool) -> dict[str, Any]:
        if not 0 <= contact < len(self.board.contacts):
            raise ValueError("no such contact is wired")
        self.board.contacts[contact] = closed
        return {}

    def _power_cycle(self, operation: Operation) -> dict[str, Any]:
        self._dark = True
        self.board.lose_power(time.monotonic())
        self.later(number(operation.get("seconds", 0.5), 0.01, 60), lambda: setattr(self, "_dark", False))
        return {}

    def _hang(self, operation: Operation) -> dict[str, Any]:
        self._hung = []
        self.later(number(operation.get("seconds", 1.0), 0.01, 60), self._work_off)
        return {}

    def _work_off(self) -> None:
        hung, self._hung = self._hung or [], None
        for data in hung:
            self._slave.receive(data, time.monotonic())

    def _stuck(self, operation: Operation) -> dict[str, Any]:
        state = operation["state"]
        if state not in (True, False, None):
            raise ValueError("state is true, false or null")
        self.board.weld(int(number(operation["coil"], 0, len(self.board.relays) - 1)), state)
        return {}


def simulate(url: str, options: Options) -> Simulator:
    """Make it; a tcp: URL speaks Modbus TCP unless ``framing`` says rtu.

    Options: unit, framing, flash (waveshare, none), many (no = function 15 unknown), watchdog_register (holding register of
    tenths of a second), coils, inputs, coil_in, coil_out, active_low ("0,1"), passage_in, passage_out, door, fire, and seed, noise,
    drop, double, bad_crc, slow_s.
    """
    refuse_unknown(
        options, ("unit", "framing", "flash", "many", "watchdog_register", "active_low", *_WIRES, *FAULT_OPTIONS)
    )
    framing = options.get("framing", "tcp" if url.startswith("tcp:") else "rtu")
    flash, many = options.get("flash", "waveshare"), options.get("many", "yes")
    if framing not in ("rtu", "tcp") or flash not in ("waveshare", "none") or many not in ("yes", "no"):
        raise ValueError("framing is rtu or tcp, flash is waveshare or none, many is yes or no")
    active_low = frozenset(int(part) for part in options.get("active_low", "").split(",") if part)
    wiring = Wiring(active_low=active_low, **{name: int(options[name]) for name in _WIRES if name in options})
    wired = (wiring.coil_in, wiring.coil_out, *active_low)
    if not (1 <= wiring.coils <= 64 and 0 <= wiring.inputs <= 64 and max(wired) < wiring.coils and wiring.coil_in >= 0):
        raise ValueError("coils are 1 to 64, inputs 0 to 64, and what is wired is among them")
    return RelaySimulator(
        url,
        wiring,
        faults_of(options),
        unit=int(options.get("unit", "1")),
        tcp=framing == "tcp",
        flash=flash == "waveshare",
        many=many == "yes",
        watchdog_register=int(options.get("watchdog_register", "-1")),
    )
