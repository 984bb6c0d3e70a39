"""The edge's checks of itself: one question a file, run over one look at the whole edge."""

from edge.checks.base import Check, DeviceVitals, Issue, Vitals
from edge.checks.clock import Clock
from edge.checks.device_state import DeviceStates
from edge.checks.disk_free import DiskFree
from edge.checks.hub_link import HubLink
from edge.checks.outbox_age import OutboxAge
from edge.checks.replica_age import ReplicaAge

CHECKS: tuple[Check, ...] = (HubLink(), OutboxAge(), ReplicaAge(), Clock(), DiskFree(), DeviceStates())
"""Every check, in the order in which their issues are shown."""


def run(vitals: Vitals) -> list[Issue]:
    """Every issue that holds, in the order of ``CHECKS``."""
    return [issue for check in CHECKS for issue in check.find(vitals)]


__all__ = ["CHECKS", "Check", "DeviceVitals", "Issue", "Vitals", "run"]
