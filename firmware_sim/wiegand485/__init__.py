"""Simulated cardreaders with Wiegand outputs behind converters on one RS-485 line."""

from __future__ import annotations

from typing import Any, cast

from firmware_sim.faults import Faults
from firmware_sim.operated import FAULT_OPTIONS, Operated, Operation, faults_of, hex_bytes, number
from firmware_sim.scene import Step
from firmware_sim.simulators import Options, Simulator, refuse_unknown
from protocols.wiegand import Check, Dialect, LineSettings, Reading, WiegandBits, encode, encode_reading

__all__ = ["WiegandSimulator", "simulate"]

DEMO_CARD = "04A1B2C3"


class WiegandSimulator(Operated):
    """Converters on one line. Operations: ``tap`` {card, bits, address, spoil_parity} and those of `Operated`.

    ``card`` is hex. With ``bits`` it is the bit string as the cardreader sends it, parity included, left-aligned; without, it is
    the chip's number (3, 4, 5, 6, 7 or 8 bytes) and gets its two parity bits.
    """

    kind = "wiegand485"
    demo = (Step(0.0, {"op": "tap", "card": DEMO_CARD}),)

    def __init__(self, url: str, *, settings: LineSettings, address: int = 1, faults: Faults | None = None) -> None:
        super().__init__(url, faults)
        self._settings = settings
        self._address = address
        self._taps = 0
        self._acts["tap"] = self._tap

    def _tap(self, operation: Operation) -> dict[str, Any]:
        raw = hex_bytes(operation["card"], 1, 16)
        if "bits" in operation:
            bits = WiegandBits(int(number(operation["bits"], 1, 128)), raw)
        else:
            bits = encode(int.from_bytes(raw, "big"), len(raw) * 8 + 2)
        if operation.get("spoil_parity"):
            bits = WiegandBits.from_int(bits.value() ^ 1, bits.bits)
        address = int(number(operation.get("address", self._address), 0, 255))
        self.say(encode_reading(Reading(address, bits), self._settings))
        self._taps += 1
        return {"bits": bits.bits}

    def state(self) -> dict[str, Any]:
        """Whether plugged in, and taps so far."""
        return {"plugged": self.plugged, "taps": self._taps}


def simulate(url: str, options: Options) -> Simulator:
    """Make it; options: dialect, bits, check as of the driver, address, and seed, noise, drop, double, bad_crc, slow_s."""
    refuse_unknown(options, ("dialect", "bits", "check", "address", *FAULT_OPTIONS))
    settings = LineSettings(
        dialect=cast("Dialect", options.get("dialect", "w")),
        bits=int(options.get("bits", "34")),
        check=cast("Check", options.get("check", "xor")),
    )
    address = int(options.get("address", "1"))
    if not 0 <= address <= 255:
        raise ValueError("an address is 0 to 255")
    return WiegandSimulator(url, settings=settings, address=address, faults=faults_of(options))
