"""A simulated self-check as vendors sell it: a SIP2 client with its own small I/O, over TCP, TLS or a serial line, in any accent."""

from firmware_sim.kiosk.accents import ACCENTS, Accent, accent_of
from firmware_sim.kiosk.kiosk import LoginFailed, SimKiosk, SimKioskSession, Timing
from firmware_sim.kiosk.link import KioskOffline
from firmware_sim.kiosk.wire import Place, place_of

__all__ = [
    "ACCENTS",
    "Accent",
    "KioskOffline",
    "LoginFailed",
    "Place",
    "SimKiosk",
    "SimKioskSession",
    "Timing",
    "accent_of",
    "place_of",
]
