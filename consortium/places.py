"""How far apart branches are: what makes one card at two of them a copy (domain M6)."""

from __future__ import annotations

from math import asin, cos, radians, sin, sqrt

from consortium.agreement import Branch

EARTH_KM = 6_371.0
FASTEST_KM_H = 150.0
"""Nobody gets from one branch to another faster than this; slower would suspect readers who took a train."""


def travel_ms(first: Branch, second: Branch) -> int:
    """The shortest time between two branches in ms; 0 where a place is not known or both are one."""
    if first.geo is None or second.geo is None or first.id == second.id:
        return 0
    (lat1, lon1), (lat2, lon2) = (tuple(radians(part / 1e6) for part in geo) for geo in (first.geo, second.geo))
    half = sin((lat2 - lat1) / 2) ** 2 + cos(lat1) * cos(lat2) * sin((lon2 - lon1) / 2) ** 2
    return int(2 * EARTH_KM * asin(sqrt(half)) / FASTEST_KM_H * 3_600_000)
