"""A simulated OSDP cardreader with a gate on its output, speaking the real protocol through libosdp."""

from firmware_sim.osdp.cardreader import OpenResult, OsdpCardreader, Output

__all__ = ["OpenResult", "OsdpCardreader", "Output"]
