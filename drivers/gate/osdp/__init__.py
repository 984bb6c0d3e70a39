"""OSDP (IEC 60839-11-5) cardreaders and the gates behind them, over libosdp with a secure channel."""

from __future__ import annotations

from drivers.base import ConfigurationError, Driver, Options
from drivers.gate.osdp.gate import OsdpGate

__all__ = ["OsdpGate", "build"]


def build(device: str, url: str, options: Options) -> Driver:
    """Make an OSDP driver; options: key (32 hex digits), commission, address, output_no, refresh_ms, baudrate."""
    known = {"key", "commission", "address", "output_no", "refresh_ms", "baudrate"}
    if unknown := set(options) - known:
        raise ConfigurationError("UNKNOWN_OPTION", f"an OSDP cardreader has no option {', '.join(sorted(unknown))}")
    try:
        scbk = bytes.fromhex(str(options["key"])) if options.get("key") else None
        return OsdpGate(
            device,
            url,
            scbk=scbk,
            commission=bool(options.get("commission", False)),
            address=int(options.get("address", 0)),
            output_no=int(options.get("output_no", 0)),
            baudrate=int(options.get("baudrate", 9600)),
            refresh_ms=float(options.get("refresh_ms", 5)),
        )
    except ValueError as error:
        raise ConfigurationError("BAD_OPTION", "the key is 32 hex digits, the other options are numbers") from error
