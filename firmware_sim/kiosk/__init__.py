"""A simulated self-check as vendors sell it: a SIP2 client with its own small I/O."""

from firmware_sim.kiosk.kiosk import LoginFailed, SimKiosk, SimKioskSession, Timing
from firmware_sim.kiosk.link import KioskOffline

__all__ = ["KioskOffline", "LoginFailed", "SimKiosk", "SimKioskSession", "Timing"]
