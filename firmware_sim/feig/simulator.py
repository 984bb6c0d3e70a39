"""A FEIG pad alone, for `tongjie sim feig`."""

from __future__ import annotations

from firmware_sim.feig.faults import Faults
from firmware_sim.feig.pad import SimPad
from firmware_sim.pty import open_line
from firmware_sim.scene import Step
from firmware_sim.simulators import AloneSimulator, Options, Simulator, refuse_unknown
from firmware_sim.stage import Stage
from protocols.iso28560 import encode_part3

DEMO_UID = "E004010012345678"
_DEMO_BLOCKS = encode_part3("01234567890", "CN-251020", usage=1, parts=1, part=1, size=34).ljust(36, b"\0").hex()
_OPERATIONS = frozenset({"place", "lift", "pad", "faults", "unplug", "plug", "state"})
_FAULTS = ("noise", "drop", "bad_crc", "slow_s", "forget")


class FeigSimulator(AloneSimulator):
    """A pad behind a line of its own."""

    kind = "feig"
    operations = _OPERATIONS
    demo = (
        Step(0.0, {"op": "place", "uid": DEMO_UID, "dsfid": 0x3E, "afi": 0x07, "blocks": _DEMO_BLOCKS}),
        Step(3.0, {"op": "lift", "uid": DEMO_UID}),
    )

    def __init__(self, url: str, *, baudrate: int | None, faults: Faults) -> None:
        device = SimPad(open_line(url), baudrate=baudrate, faults=faults)
        super().__init__(device, Stage(pad=device))


def simulate(url: str, options: Options) -> Simulator:
    """Make it; options: line_speed (baud, 0 = as fast as possible), seed, noise, drop, bad_crc, forget (0..1), slow_s."""
    refuse_unknown(options, ("line_speed", "seed", *_FAULTS))
    faults = Faults(seed=int(options.get("seed", "0")))
    for name in _FAULTS:
        setattr(faults, name, float(options.get(name, "0")))
    return FeigSimulator(url, baudrate=int(options.get("line_speed", "38400")) or None, faults=faults)
