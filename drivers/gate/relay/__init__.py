"""Relay boards over Modbus RTU or Modbus TCP, with the turnstile or door behind their coils and inputs."""

from __future__ import annotations

from drivers.base import Driver, Options
from drivers.gate.relay.gate import RelayGate
from drivers.gate.relay.settings import RelaySettings, settings_of

__all__ = ["RelayGate", "RelaySettings", "build"]


def build(device: str, url: str, options: Options) -> Driver:
    """Make the driver of one relay board.

    Board: ``unit`` (1..247, 1), ``framing`` (rtu, or tcp where the URL is tcp:; rtu over a serial server is to be said), ``coils``
    (8; every one of them is put at rest at the start), ``inputs`` (8), ``poll_ms`` (10..1000, 50).
    Coils, from 0: ``coil_in`` (0), ``coil_out`` (none: one coil opens both ways), ``deny_coil`` (lamp or buzzer, none) for
    ``deny_tenths`` (5), ``active_low`` ("0,1": energised at rest).
    Who ends a pulse: ``flash`` waveshare (the board itself; in slices of ``lease_tenths``, 50) or none (the driver); ``proof_coil``
    (a coil that may be pulsed at the start to prove it, else the deny coil); ``watchdog_register`` and ``watchdog_value`` (a
    holding register of the board that makes it drop its coils when nobody asks any more).
    Inputs: see `drivers.gate.contacts.contact_settings`.
    Raises `ConfigurationError` UNKNOWN_OPTION, BAD_OPTION or BAD_URL.
    """
    return RelayGate(device, url, settings_of(options, url))
