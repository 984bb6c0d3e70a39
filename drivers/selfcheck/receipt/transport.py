"""The ways to a printer: our ports for TCP, serial lines and ptys, device files without blocking, python-escpos for USB in a thread.

``tcp:HOST`` or ``tcp:HOST:PORT`` (9100), ``serial:PATH?baudrate=…``, ``pty:PATH``, ``rfc2217://…``, ``usb:VENDOR:PRODUCT`` (hex) and
``file:PATH`` (a printer's device file such as lp0; one way).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

from drivers.base import ConfigurationError
from drivers.port import Port, PortError, open_port, parse_url

__all__ = ["PrinterUrl", "line_speed", "open_printer", "parse_printer_url"]

RAW_TCP_PORT = 9100
_USB = re.compile(r"usb:([0-9A-Fa-f]{4}):([0-9A-Fa-f]{4})")
_TCP_HOST = re.compile(r"tcp:(//)?([^:/?\[\]]+|\[[0-9A-Fa-f:]+\])")
STEP_S = 5.0
"""One write or the closing of a USB printer, whose library gives up after 2 s, and one write to a device file."""
USB_TIMEOUT_MS = 2000
TAKES_AGAIN_S = 0.02
"""A device file that takes nothing now is tried again so often: not every kernel driver can be waited for (lp has no poll)."""


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


def line_speed(where: PrinterUrl, baudrate: int) -> int | None:
    """Bits per second of the line to the printer, whose URL wins over ``baudrate``; None where it has no such speed."""
    if where.way != "port":
        return None
    port = parse_url(where.url, baudrate=baudrate)
    return port.baudrate if port.scheme in ("serial", "rfc2217") else None


async def open_printer(where: PrinterUrl, baudrate: int) -> Port:
    """Open it; raises `PortError`."""
    if where.way == "port":
        return await open_port(where.url, baudrate=baudrate)
    if where.way == "file":
        return _PrinterFile(where.url)
    from escpos.exceptions import Error

    try:
        async with asyncio.timeout(STEP_S):
            printer = await asyncio.to_thread(_open_usb, where)
    except TimeoutError as error:
        raise PortError("PORT_UNREACHABLE", "the printer's port did not open in time") from error
    except (Error, OSError) as error:
        raise PortError("PORT_MISSING", "the printer is not there; plug it in or correct its address") from error
    return _UsbPrinter(printer)


def _open_usb(where: PrinterUrl) -> Any:
    from escpos.printer import Usb

    printer = Usb(where.vendor, where.product, timeout=USB_TIMEOUT_MS)
    printer.open()
    return printer


class _PrinterFile:
    """A `drivers.port.Port` over a printer's device file, one way and never blocking.

    Without paper such a file takes nothing, for hours: a thread that waits in it could be neither ended nor abandoned.
    """

    def __init__(self, path: str) -> None:
        try:
            self._fd: int | None = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except PermissionError as error:
            raise PortError("PORT_DENIED", "this user may not open the printer's device file") from error
        except OSError as error:
            raise PortError("PORT_MISSING", "the printer is not there; plug it in or correct its address") from error

    async def read(self, n: int) -> bytes:
        """Wait for ever: a device file tells nothing."""
        while True:
            self._open()
            await asyncio.sleep(0.05)

    async def write(self, data: bytes) -> None:
        """Send all of it; raises `PortError` PORT_STUCK where the printer takes nothing for `STEP_S`."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + STEP_S
        while data:
            try:
                taken = os.write(self._open(), data)
            except BlockingIOError:
                taken = 0
            except OSError as error:
                raise PortError("PORT_LOST", "the printer's port was lost") from error
            data = data[taken:]
            if taken:
                give_up_at = loop.time() + STEP_S
            elif loop.time() >= give_up_at:
                raise PortError("PORT_STUCK", "the printer takes no bytes any more")
            else:
                await asyncio.sleep(TAKES_AGAIN_S)

    def _open(self) -> int:
        if self._fd is None:
            raise PortError("PORT_LOST", "the printer's port was lost")
        return self._fd

    def discard(self) -> int:
        """Nothing is kept here."""
        return 0

    async def close(self) -> None:
        """Close; a second call does nothing."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            with contextlib.suppress(OSError):
                os.close(fd)


class _UsbPrinter:
    """A `drivers.port.Port` over python-escpos's USB printer: every call in a thread and with a deadline."""

    def __init__(self, printer: Any) -> None:
        self._printer = printer
        self._closed = False

    async def read(self, n: int) -> bytes:
        """Wait for an answer."""
        while True:
            self._check()
            data = await self._call(self._printer._read)
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
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STEP_S):
                    await asyncio.to_thread(printer.close)
