"""The faults of every simulated device live in `firmware_sim.faults`; this is where they were first."""

from firmware_sim.faults import Faults

__all__ = ["Faults"]
