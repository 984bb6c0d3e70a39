"""A simulated barcode scanner on a serial line."""

from __future__ import annotations

from typing import Any

from firmware_sim.faults import Faults
from firmware_sim.operated import FAULT_OPTIONS, Operated, Operation, faults_of
from firmware_sim.scene import Step
from firmware_sim.simulators import Options, Simulator, refuse_unknown

__all__ = ["ENDS", "BarcodeSimulator", "simulate"]

ENDS = {"cr": b"\r", "lf": b"\n", "crlf": b"\r\n", "none": b""}
"""Line ends by name; "none" is a scanner whose suffix nobody set up."""
DEMO_CODE = "01234567890"


class BarcodeSimulator(Operated):
    """One scanner. Operations: ``scan`` {text, aim, end} and those of `Operated`.

    ``text`` has up to 1024 characters, ``aim`` (such as "]C1") goes in front, ``end`` is another end for once.
    """

    kind = "barcode"
    demo = (Step(0.0, {"op": "scan", "text": DEMO_CODE}),)

    def __init__(
        self, url: str, *, end: str = "cr", prefix: str = "", suffix: str = "", faults: Faults | None = None
    ) -> None:
        super().__init__(url, faults)
        self._end = end
        self._prefix = prefix
        self._suffix = suffix
        self._scans = 0
        self._acts["scan"] = self._scan

    def _scan(self, operation: Operation) -> dict[str, Any]:
        text, end = operation["text"], operation.get("end", self._end)
        if not isinstance(text, str) or not 1 <= len(text) <= 1024:
            raise ValueError("text is 1 to 1024 characters")
        if end not in ENDS:
            raise ValueError(f"end is one of {', '.join(ENDS)}")
        whole = self._prefix + str(operation.get("aim", "")) + text + self._suffix
        self.say(whole.encode("utf-8") + ENDS[end])
        self._scans += 1
        return {"characters": len(text)}

    def state(self) -> dict[str, Any]:
        """Whether plugged in, and scans so far."""
        return {"plugged": self.plugged, "scans": self._scans}


def simulate(url: str, options: Options) -> Simulator:
    """Make it; options: end (cr, lf, crlf, none), prefix, suffix, and seed, noise, drop, double, bad_crc (0..1), slow_s."""
    refuse_unknown(options, ("end", "prefix", "suffix", *FAULT_OPTIONS))
    end = options.get("end", "cr")
    if end not in ENDS:
        raise ValueError(f"end is one of {', '.join(ENDS)}")
    return BarcodeSimulator(
        url, end=end, prefix=options.get("prefix", ""), suffix=options.get("suffix", ""), faults=faults_of(options)
    )
