"""A simulated cardreader that sends card numbers by itself, as lines or between STX and ETX."""

from __future__ import annotations

from functools import reduce
from typing import Any

from firmware_sim.faults import Faults
from firmware_sim.operated import FAULT_OPTIONS, Operated, Operation, faults_of, hex_bytes, number
from firmware_sim.scene import Step
from firmware_sim.simulators import Options, Simulator, refuse_unknown

__all__ = ["CardSerialSimulator", "simulate"]

DEMO_CARD = "04A1B2C3"


class CardSerialSimulator(Operated):
    """One cardreader. Operations: ``tap`` {card, bits, format, times} and those of `Operated`.

    ``card`` is hex: with ``format`` "raw" (the default) a chip's number of 3 to 10 bytes, sent as digits in the cardreader's radix
    (dec: the big-endian number, ten digits or more); with "ascii" the digits themselves as bytes. ``times`` 1..20 sends
    it again and again, as some cardreaders do while the card lies there. ``bits`` is taken for the sake of other cardreaders' scenes.
    """

    kind = "cardserial"
    demo = (Step(0.0, {"op": "tap", "card": DEMO_CARD}),)

    def __init__(
        self, url: str, *, stx: bool = False, radix: str = "hex", check: str = "none", faults: Faults | None = None
    ) -> None:
        super().__init__(url, faults)
        self._stx = stx
        self._radix = radix
        self._check = check
        self._taps = 0
        self._acts["tap"] = self._tap

    def _tap(self, operation: Operation) -> dict[str, Any]:
        form = operation.get("format", "raw")
        if form not in ("raw", "ascii"):
            raise ValueError("format is raw or ascii")
        card = hex_bytes(operation["card"], 1, 64 if form == "ascii" else 10)
        digits = card.decode("ascii") if form == "ascii" else self._digits(card)
        times = int(number(operation.get("times", 1), 1, 20))
        for _ in range(times):
            self.say(self._framed(digits, card if form == "raw" else b""))
        self._taps += 1
        return {"digits": len(digits)}

    def _digits(self, card: bytes) -> str:
        return f"{int.from_bytes(card, 'big'):010d}" if self._radix == "dec" else card.hex().upper()

    def _framed(self, digits: str, card: bytes) -> bytes:
        if not self._stx:
            return digits.encode("ascii") + b"\r\n"
        check = f"{reduce(lambda a, b: a ^ b, card, 0):02X}" if self._check == "xor" else ""
        return b"\x02" + (digits + check).encode("ascii") + b"\x03"

    def state(self) -> dict[str, Any]:
        """Whether plugged in, and taps so far."""
        return {"plugged": self.plugged, "taps": self._taps}


def simulate(url: str, options: Options) -> Simulator:
    """Make it; options: frame (line, stx), radix (hex, dec), check (none, xor), and seed, noise, drop, double, bad_crc, slow_s."""
    refuse_unknown(options, ("frame", "radix", "check", *FAULT_OPTIONS))
    frame, radix, check = options.get("frame", "line"), options.get("radix", "hex"), options.get("check", "none")
    if frame not in ("line", "stx") or radix not in ("hex", "dec") or check not in ("none", "xor"):
        raise ValueError("frame is line or stx, radix hex or dec, check none or xor")
    if check == "xor" and (frame, radix) != ("stx", "hex"):
        raise ValueError("check xor goes with frame stx and radix hex")
    return CardSerialSimulator(url, stx=frame == "stx", radix=radix, check=check, faults=faults_of(options))
