"""A simulated FEIG pad with ISO 15693 tags, speaking the real frames."""

from firmware_sim.feig.faults import Faults
from firmware_sim.feig.pad import SimPad
from firmware_sim.feig.tags import SimTag, TagStore

__all__ = ["Faults", "SimPad", "SimTag", "TagStore"]
