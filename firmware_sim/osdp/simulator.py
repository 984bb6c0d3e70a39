"""An OSDP gate alone, for `tongjie sim osdp`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from firmware_sim.faults import Faults
from firmware_sim.operated import FAULT_OPTIONS, PIECE_S, faults_of, number, raw_faults
from firmware_sim.osdp.cardreader import OsdpCardreader
from firmware_sim.pty import Line, OnBytes, open_line
from firmware_sim.scene import Step
from firmware_sim.simulators import AloneSimulator, Options, Simulator, refuse_unknown
from firmware_sim.stage import Stage, StageError

DEMO_CARD = "04A1B2C3D4E580"
CONTACT_S = 0.2
"""A passage contact is closed for so long."""
_OPERATIONS = frozenset(
    {"tap", "tamper", "reboot", "unplug", "plug", "state", "faults", "push_input", "pass", "power_cycle"}
)
_CONTACT_OF = {"IN": 0, "OUT": 1}
"""Inputs wired to the turnstile by direction."""


class FaultyLine:
    """A line on which the faults spoil whatever the device says."""

    def __init__(self, line: Line, faults: Faults) -> None:
        self._line = line
        self.url = line.url
        self.faults = faults

    def plug(self, on_bytes: OnBytes) -> None:
        """Put the cable in."""
        self._line.plug(on_bytes)

    def unplug(self) -> None:
        """Pull the cable out."""
        self._line.unplug()

    def write(self, data: bytes) -> int:
        """Send, in pieces and late where the faults say so."""
        for count, piece in enumerate(self.faults.spoil(data)):
            wait = self.faults.slow_s + count * PIECE_S
            if wait:
                asyncio.get_running_loop().call_later(wait, self._line.write, piece)
            else:
                self._line.write(piece)
        return len(data)


class OsdpSimulator(AloneSimulator):
    """A cardreader with a gate behind a line of its own.

    Beside the stage's operations: ``push_input`` {input, active}, ``pass`` {direction} (somebody goes through: input 0 or 1 closes
    for 0.2 s), ``power_cycle`` {seconds}, ``faults``.
    """

    kind = "osdp"
    operations = _OPERATIONS
    demo = (Step(0.0, {"op": "tap", "card": DEMO_CARD, "direction": "IN"}),)

    def __init__(
        self,
        url: str,
        *,
        key: bytes | None,
        address: int,
        active_low: bool = False,
        inputs_at_start: bool = True,
        faults: Faults | None = None,
    ) -> None:
        self._line = FaultyLine(open_line(url), faults or Faults())
        self.cardreader = OsdpCardreader(
            self._line, address=address, key=key, active_low=active_low, inputs_at_start=inputs_at_start
        )
        super().__init__(self.cardreader, Stage(gate=self.cardreader))

    async def do(self, operation: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out one operation; raises `StageError`."""
        try:
            return await self._do(operation)
        except (ValueError, TypeError) as error:
            raise StageError("BAD_OPERATION", f"{operation.get('op')}: {error}") from error
        except KeyError as error:
            raise StageError("BAD_OPERATION", f"{operation.get('op')} needs {error.args[0]}") from error

    async def _do(self, operation: Mapping[str, Any]) -> dict[str, Any]:
        name = operation.get("op")
        if name == "faults":
            self._line.faults = raw_faults(
                {key: value for key, value in operation.items() if key not in ("op", "id", "device")}
            )
        elif name == "push_input":
            contact = int(number(operation["input"], 0, len(self.cardreader.inputs) - 1))
            self.cardreader.push(contact, bool(operation.get("active", True)))
        elif name == "pass":
            contact = _CONTACT_OF[operation.get("direction", "IN")]
            self.cardreader.push(contact, True)
            await asyncio.sleep(CONTACT_S)
            self.cardreader.push(contact, False)
        elif name == "power_cycle":
            self.cardreader.power_off()
            await asyncio.sleep(number(operation.get("seconds", 0.5), 0.01, 60))
            self.cardreader.reboot()
        else:
            return await super().do(operation)
        return {}


def simulate(url: str, options: Options) -> Simulator:
    """Make it.

    Options: key (32 hex digits; without one it starts on the default key and takes KEYSET), address, active_low (yes: the gate opens
    when its output goes off), inputs (start: their state is told to a panel that begins, or changes: only
    those), and seed, noise, drop, double, bad_crc, slow_s.
    """
    refuse_unknown(options, ("key", "address", "active_low", "inputs", *FAULT_OPTIONS))
    key = bytes.fromhex(options["key"]) if options.get("key") else None
    address = int(options.get("address", "0"))
    if (
        (key is not None and len(key) != 16)
        or not 0 <= address <= 126
        or options.get("active_low", "no") not in ("yes", "no")
        or options.get("inputs", "start") not in ("start", "changes")
    ):
        raise ValueError(
            "the key is 32 hex digits, the address 0 to 126, active_low yes or no, inputs are start or changes"
        )
    return OsdpSimulator(
        url,
        key=key,
        address=address,
        active_low=options.get("active_low") == "yes",
        inputs_at_start=options.get("inputs", "start") == "start",
        faults=faults_of(options),
    )
