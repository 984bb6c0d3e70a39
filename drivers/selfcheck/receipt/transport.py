"""The ways to a printer: our ports for TCP, serial lines and ptys; python-escpos's own for USB and device files, in a thread.

``tcp:HOST`` or ``tcp:HOST:PORT`` (9100), ``serial:PATH?baudrate=…``, ``pty:PATH``, ``rfc2217://…``, ``usb:VENDOR:PRODUCT`` (hex) and
``file:PATH`` (a printer's device file such as lp0; one way).
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

from drivers.base import ConfigurationError
from drivers.port import Port, PortError, open_port, parse_url

__all__ = ["PrinterUrl", "open_printer", "parse_printer_url"]

RAW_TCP_PORT = 9100
_USB = re.compile(r"usb:([0-9A-Fa-f]{4}):([0-9A-Fa-f]{4})")
_TCP_HOST = re.compile(r"tcp:(//)?([^:/?\[\]]+|\[[0-9A-Fa-f:]+\])")
STEP_S = 5.0
"""One write of the blocking kinds; the library's own time-out is below it."""


@dataclass(frozen=True, slots=True)
class PrinterUrl:
    """Where a printer is: ``port`` (``url``), ``usb`` (``vendor``, ``product``) or ``file`` (``url`` is its path)."""

    way: Literal["port", "usb", "file"]
    url: str = ""
    vendor: int = 0
    product: int = 0


def parse_printer_url(url: str) -> PrinterUrl:
    """Read a printer's URL; raises `ConfigurationError` BAD_URL, USB_NOT_INSTALLED."""
    if url.startswith("usb:"):
        found = _USB.fullmatch(url)
        if found is None:
            raise ConfigurationError("BAD_URL", "a USB printer is usb:VENDOR:PRODUCT, four hex digits each")
        if find_spec("usb") is None:
            raise ConfigurationError("USB_NOT_INSTALLED", "install pyusb, or use the printer's device file: file:PATH")
        return PrinterUrl("usb", vendor=int(found[1], 16), product=int(found[2], 16))
    if url.startswith("file:"):
        if not url.removeprefix("file:").startswith("/"):
            raise ConfigurationError("BAD_URL", "a printer's device file is file: and a whole path")
        return PrinterUrl("file", url=url.removeprefix("file:"))
    if _TCP_HOST.fullmatch(url):
        url = f"{url}:{RAW_TCP_PORT}"
    parse_url(url)
    return PrinterUrl("port", url=url)


async def open_printer(where: PrinterUrl, baudrate: int) -> Port:
    """Open it; raises `PortError`."""
    if where.way == "port":
        return await open_port(where.url, baudrate=baudrate)
    from escpos.exceptions import Error

    try:
        async with asyncio.timeout(STEP_S):
            printer = await asyncio.to_thread(_open_blocking, where)
    except TimeoutError as error:
        raise PortError("PORT_UNREACHABLE", "the printer's port did not open in time") from error
    except (Error, OSError) as error:
        raise PortError("PORT_MISSING", "the printer is not there; plug it in or correct its address") from error
    return _ThreadedPrinter(printer, where.way == "usb")


def _open_blocking(where: PrinterUrl) -> Any:
    from escpos.printer import File, Usb

    printer = (
        File(where.url, auto_flush=True) if where.way == "file" else Usb(where.vendor, where.product, timeout=2000)
    )
    printer.open()
    return printer


class _ThreadedPrinter:
    """A `drivers.port.Port` over a blocking python-escpos printer: every call in a thread and with a deadline."""

    def __init__(self, printer: Any, two_way: bool) -> None:
        self._printer = printer
        self._two_way = two_way
        self._closed = False

    async def read(self, n: int) -> bytes:
        """Wait for an answer; a one-way printer never has one."""
        while True:
            self._check()
            data = await self._call(self._printer._read) if self._two_way else b""
            if data:
                return bytes(data)[:n]
            await asyncio.sleep(0.05)

    async def write(self, data: bytes) -> None:
        """Send all of it."""
        self._check()
        await self._call(self._printer._raw, data)

    async def _call(self, call: Any, *args: Any) -> Any:
        from escpos.exceptions import Error

        try:
            async with asyncio.timeout(STEP_S):
                return await asyncio.to_thread(call, *args)
        except (TimeoutError, Error, OSError) as error:
            self._closed = True
            raise PortError("PORT_LOST", "the printer's port was lost") from error

    def _check(self) -> None:
        if self._closed:
            raise PortError("PORT_LOST", "the printer's port was lost")

    def discard(self) -> int:
        """Nothing is kept here."""
        return 0

    async def close(self) -> None:
        """Close; a second call does nothing."""
        self._closed = True
        if self._printer is not None:
            printer, self._printer = self._printer, None
            await asyncio.to_thread(printer.close)
