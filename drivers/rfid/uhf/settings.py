"""What a site says about an UHFReader18/288: which antennas, how near a tag must be, whose security marks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from protocols.iso28560 import DEFAULT_AFI, AfiPair
from protocols.uhf.target import Family

__all__ = ["RSSI_SLACK", "TidMode", "UhfSettings"]

TidMode = Literal["auto", "read", "never"]

RSSI_SLACK = 6
"""A tag already on the pad may be so much weaker than the floor before it counts as gone: a hand above it costs as much."""


@dataclass(frozen=True, slots=True)
class UhfSettings:
    """Settings of one device; the options of `drivers.rfid.uhf.build` say what each means."""

    address: int = 0xFF
    family: Family | None = None
    tid: TidMode = "auto"
    afi_pair: AfiPair = DEFAULT_AFI
    antennas: tuple[int, ...] = (1,)
    q: int = 4
    scan_ms: int | None = None
    power_dbm: int | None = None
    rssi_floor: int = 0
    password: int = field(default=0, repr=False)
