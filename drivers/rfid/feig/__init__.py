"""FEIG OBID pads (CPR, MR, LR) with ISO 15693 tags."""

from __future__ import annotations

from drivers.base import AfiWrite, ConfigurationError, Driver, Options
from drivers.rfid.feig.pad import FeigPad
from protocols.iso28560 import AfiPair, LocalTagError

__all__ = ["AfiWrite", "FeigPad", "build"]


def build(device: str, url: str, options: Options) -> Driver:
    """Make a FEIG driver; options: poll_ms, address, afi_secured and afi_on_loan (numbers, 0x07 and 0xC2)."""
    if unknown := set(options) - {"poll_ms", "address", "afi_secured", "afi_on_loan"}:
        raise ConfigurationError("UNKNOWN_OPTION", f"a FEIG pad has no option {', '.join(sorted(unknown))}")
    try:
        pair = AfiPair(int(options.get("afi_secured", 0x07)), int(options.get("afi_on_loan", 0xC2)))
        poll_ms, address = int(options.get("poll_ms", 250)), int(options.get("address", 0xFF))
    except (ValueError, LocalTagError) as error:
        raise ConfigurationError("BAD_OPTION", "options of a FEIG pad are numbers; the two AFIs differ") from error
    return FeigPad(device, url, afi_pair=pair, poll_ms=poll_ms, address=address)
