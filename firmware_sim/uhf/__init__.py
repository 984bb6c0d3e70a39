"""Simulated UHFReader18/288 devices with EPC Gen2 tags, speaking the real frames."""

from __future__ import annotations

from typing import cast

from firmware_sim.operated import FAULT_OPTIONS, faults_of
from firmware_sim.simulators import Options, Simulator, refuse_unknown
from firmware_sim.uhf.device import Takes, UhfDevice
from firmware_sim.uhf.field import TagField
from firmware_sim.uhf.tags import Gen2Tag, tid_for
from protocols.uhf.target import Family

__all__ = ["Gen2Tag", "TagField", "UhfDevice", "simulate", "tid_for"]


def simulate(url: str, options: Options) -> Simulator:
    """Make it; options: family (18 or 288), ports (antennas: 1, 4, 8, 12, 16; more than 1 only with 288), address (0..254),
    takes (inventories in what form: "fast_id", "parameters" = without FastID, "bare" = the command alone), line_speed (baud, 0 = as
    fast as possible), and the faults seed, noise, drop, double, bad_crc (0..1), slow_s."""
    refuse_unknown(options, ("family", "ports", "address", "takes", "line_speed", *FAULT_OPTIONS))
    family = options.get("family", "18")
    ports, address = int(options.get("ports", "1")), int(options.get("address", "0"))
    if family not in ("18", "288"):
        raise ValueError("family is 18 or 288")
    if ports not in (1, 4, 8, 12, 16) or (ports > 1 and family == "18"):
        raise ValueError("ports is 1, or 4, 8, 12, 16 in family 288")
    if not 0 <= address <= 254:
        raise ValueError("address is 0 to 254")
    takes = options.get("takes", "fast_id")
    if takes not in ("fast_id", "parameters", "bare"):
        raise ValueError("takes is fast_id, parameters or bare")
    speed = int(options.get("line_speed", "57600"))
    if speed < 0:
        raise ValueError("line_speed is a number of bits per second, or 0")
    return UhfDevice(
        url,
        family=cast("Family", family),
        ports=ports,
        address=address,
        baudrate=speed or None,
        takes=cast("Takes", takes),
        faults=faults_of(options),
    )
