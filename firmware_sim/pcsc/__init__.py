"""A card on a virtual PC/SC cardreader: pcscd and its driver vpcd are the real ones, only the plastic is simulated."""

from __future__ import annotations

from firmware_sim.pcsc.card import ATRS, VirtualCard
from firmware_sim.pcsc.daemon import DaemonError, PcscDaemon
from firmware_sim.pcsc.simulator import PcscSimulator, simulate

__all__ = ["ATRS", "DaemonError", "PcscDaemon", "PcscSimulator", "VirtualCard", "simulate"]
