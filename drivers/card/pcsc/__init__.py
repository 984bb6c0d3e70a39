"""PC/SC cardreaders (USB desk readers, built-in ones of kiosks) through the system's pcscd and pyscard."""

from __future__ import annotations

from drivers.base import ConfigurationError, Driver, Options
from drivers.card.pcsc.driver import PcscCardreader

__all__ = ["PcscCardreader", "build"]


def build(device: str, url: str, options: Options) -> Driver:
    """Make the driver for ``pcsc:`` (the first cardreader) or ``pcsc:PART`` (the first whose name has this part).

    Option: ``socket``, the path of pcscd's socket where it is not the system's own. Raises `ConfigurationError` UNKNOWN_OPTION,
    BAD_OPTION, BAD_URL, PCSC_MISSING.
    """
    if unknown := set(options) - {"socket"}:
        raise ConfigurationError("UNKNOWN_OPTION", f"a PC/SC cardreader has no option {', '.join(sorted(unknown))}")
    socket = options.get("socket", "")
    if not isinstance(socket, str) or len(socket) > 100 or "\0" in socket:
        raise ConfigurationError("BAD_OPTION", "socket is the path of pcscd's socket")
    return PcscCardreader(device, url, socket=socket)
