"""3M 210/810 pads with ISO 15693 tags, over their USB-to-serial converter (19200 8N1)."""

from __future__ import annotations

from drivers.base import ConfigurationError, Driver, Options
from drivers.port import Port
from drivers.rfid.mmm.link import MmmLink
from drivers.rfid.polling import PollingPad
from protocols.iso28560 import AfiPair, LocalTagError

__all__ = ["MmmLink", "build"]

BAUDRATE = 19200
"""3M RFID Reader Protocol Specification 1.0.0, "Communication Scheme"."""
_OPTIONS = frozenset({"poll_ms", "afi_secured", "afi_on_loan", "eas", "read_style", "lock"})


def build(device: str, url: str, options: Options) -> Driver:
    """Make a 3M driver; options:

    ``poll_ms`` 20..5000 (250), ``afi_secured`` and ``afi_on_loan`` (0x07 and 0xC2; 3M's own pair is 0xD7 and 0xDA), ``eas`` (true:
    the chip's security bit is written with the AFI), ``read_style`` "new" or "old" (old firmware that does not even answer a request
    with options), ``lock`` (false: an image's blocks are never locked). Raises `ConfigurationError` UNKNOWN_OPTION, BAD_OPTION.
    """
    if unknown := set(options) - _OPTIONS:
        raise ConfigurationError("UNKNOWN_OPTION", f"a 3M pad has no option {', '.join(sorted(unknown))}")
    try:
        pair = AfiPair(int(options.get("afi_secured", 0x07)), int(options.get("afi_on_loan", 0xC2)))
        poll_ms = int(options.get("poll_ms", 250))
    except (ValueError, LocalTagError) as error:
        raise ConfigurationError("BAD_OPTION", "numbers of a 3M pad are numbers; the two AFIs differ") from error
    style = options.get("read_style", "new")
    if style not in ("new", "old"):
        raise ConfigurationError("BAD_OPTION", "read_style is new or old")
    eas, lock = _flag(options, "eas", True), _flag(options, "lock", False)

    def link(port: Port) -> MmmLink:
        return MmmLink(port, afi_pair=pair, eas=eas, old_reads=style == "old", lock=lock)

    return PollingPad(device, url, kind="3m", link=link, baudrate=BAUDRATE, poll_ms=poll_ms)


def _flag(options: Options, name: str, default: bool) -> bool:
    value = options.get(name, default)
    if value in (True, "true", "yes"):
        return True
    if value in (False, "false", "no"):
        return False
    raise ConfigurationError("BAD_OPTION", f"{name} is true or false")
