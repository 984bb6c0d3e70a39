"""What staff see of the branch's gates: alarms as they come, counts, how each device is, and what a person may press."""

from edge.gatepages.board import GateBoard, PressRefused
from edge.gatepages.routes import COOKIE, GatePages, mount_gates

__all__ = ["COOKIE", "GateBoard", "GatePages", "PressRefused", "mount_gates"]
