"""A FEIG pad alone, for `tongjie sim feig`."""

from __future__ import annotations

from typing import Any, Literal, cast

from firmware_sim.faults import Faults
from firmware_sim.feig.pad import BOOT_S, SimPad
from firmware_sim.pty import open_line
from firmware_sim.scene import Step
from firmware_sim.simulators import AloneSimulator, Options, Simulator, refuse_unknown
from firmware_sim.stage import Operation, Stage, StageError
from protocols.iso28560 import encode_part3

DEMO_UID = "E004010012345678"
_DEMO_BLOCKS = encode_part3("01234567890", "CN-251020", usage=1, parts=1, part=1, size=34).ljust(36, b"\0").hex()
_FAULTS = ("noise", "drop", "double", "bad_crc", "slow_s", "forget", "collide")
_MORE = frozenset({"power_cycle", "input"})
_YES_NO = {"0": False, "1": True, "false": False, "true": True}


class FeigSimulator(AloneSimulator):
    """A pad behind a line of its own; beyond every pad's operations: ``power_cycle`` {seconds}, ``input`` {input_no, active}."""

    kind = "feig"
    operations = frozenset({"place", "lift", "pad", "faults", "unplug", "plug", "state"}) | _MORE
    demo = (
        Step(0.0, {"op": "place", "uid": DEMO_UID, "dsfid": 0x3E, "afi": 0x07, "blocks": _DEMO_BLOCKS}),
        Step(3.0, {"op": "lift", "uid": DEMO_UID}),
    )

    def __init__(self, device: SimPad) -> None:
        super().__init__(device, Stage(pad=device))
        self.pad = device

    async def do(self, operation: Operation) -> dict[str, Any]:
        """Carry out one operation; raises `StageError`."""
        match operation.get("op"):
            case "power_cycle":
                self.pad.power_cycle(_number(operation.get("seconds", BOOT_S), 0, 60))
            case "input":
                self.pad.work.set_input(
                    int(_number(operation.get("input_no"), 0, 2)), bool(operation.get("active", True))
                )
            case _:
                return await super().do(operation)
        return {}


def _number(value: object, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise StageError("BAD_OPERATION", f"a number from {least:g} to {most:g} is meant")
    return value


def simulate(url: str, options: Options) -> Simulator:
    """Make it.

    Options: line_speed (baud, 0 = as fast as possible), seed, noise, drop, double, bad_crc, forget, collide (0..1), slow_s, mode
    (host, buffered), scan_blocks (1..32), valid_ms, frame (any, standard, advanced), custom (true: knows the maker's commands, so
    EAS). Raises `ValueError`.
    """
    refuse_unknown(options, ("line_speed", "seed", *_FAULTS, "mode", "scan_blocks", "valid_ms", "frame", "custom"))
    faults = Faults(seed=int(options.get("seed", "0")))
    for name in _FAULTS:
        setattr(faults, name, float(options.get(name, "0")))
    mode, frame, custom = options.get("mode", "host"), options.get("frame", "any"), options.get("custom", "true")
    blocks = int(options.get("scan_blocks", "9"))
    if mode not in ("host", "buffered") or frame not in ("any", "standard", "advanced") or custom not in _YES_NO:
        raise ValueError("mode is host or buffered, frame any, standard or advanced, custom true or false")
    if not 1 <= blocks <= 32:
        raise ValueError("scan_blocks is 1 to 32")
    pad = SimPad(
        open_line(url),
        baudrate=int(options.get("line_speed", "38400")) or None,
        faults=faults,
        scans=mode == "buffered",
        scan_blocks=blocks,
        valid_s=int(options.get("valid_ms", "1000")) / 1000,
        custom=_YES_NO[custom],
        form=None if frame == "any" else cast("Literal['standard', 'advanced']", frame),
    )
    return FeigSimulator(pad)
