"""Receipt printers that speak ESC/POS: network, serial, USB."""

from __future__ import annotations

from drivers.base import ConfigurationError, Driver, Options
from drivers.selfcheck.receipt.printer import PrinterError, ReceiptPrinter
from drivers.selfcheck.receipt.rendering import CODE_PAGES, Cut

__all__ = ["PrinterError", "ReceiptPrinter", "build"]

_OPTIONS = frozenset({"encoding", "cut", "status", "poll_ms", "baudrate"})
_CUTS: dict[str, Cut] = {"full": "full", "partial": "partial", "none": "none"}


def build(device: str, url: str, options: Options) -> Driver:
    """Make a printer (URLs: `drivers.selfcheck.receipt.transport`); options:

    ``encoding`` "gbk" (Chinese, the default) or a code page (cp437, cp850, cp852, cp858, cp860, cp863, cp865, cp866, cp1252), ``cut``
    "full", "partial" or "none", ``status`` "yes" or "no" (a printer or print server that gives no answers), ``poll_ms`` 200..60000
    (2000), ``baudrate`` (19200, also in the URL). Raises `ConfigurationError` UNKNOWN_OPTION, BAD_OPTION, BAD_URL, USB_NOT_INSTALLED.
    """
    if unknown := set(options) - _OPTIONS:
        raise ConfigurationError("UNKNOWN_OPTION", f"a receipt printer has no option {', '.join(sorted(unknown))}")
    encoding = str(options.get("encoding", "gbk")).lower()
    if encoding != "gbk" and encoding not in CODE_PAGES:
        raise ConfigurationError("BAD_OPTION", f"encoding is gbk, {', '.join(CODE_PAGES)}")
    cut = _CUTS.get(str(options.get("cut", "full")))
    if cut is None:
        raise ConfigurationError("BAD_OPTION", "cut is full, partial or none")
    status = options.get("status", "yes")
    if status not in ("yes", "no", "true", "false", True, False):
        raise ConfigurationError("BAD_OPTION", "status is yes or no")
    try:
        poll_ms, baudrate = int(options.get("poll_ms", 2000)), int(options.get("baudrate", 19200))
    except ValueError as error:
        raise ConfigurationError("BAD_OPTION", "poll_ms and baudrate are numbers") from error
    if not 200 <= poll_ms <= 60_000 or not 300 <= baudrate <= 4_000_000:
        raise ConfigurationError("BAD_OPTION", "poll_ms is 200 to 60000, baudrate 300 to 4000000")
    two_way = status in ("yes", "true", True)
    return ReceiptPrinter(
        device, url, encoding=encoding, cut=cut, two_way=two_way, poll_s=poll_ms / 1000, baudrate=baudrate
    )
