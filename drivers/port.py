"""Byte streams to devices, opened by URL: the one place that knows serial lines, ptys, TCP and RFC 2217.

``serial:PATH?baudrate=38400&parity=E``, ``pty:PATH`` (a pty or a symlink to one: no line settings, a pty has no
parity), ``tcp:HOST:PORT``, ``listen:HOST:PORT`` for a device that connects to us (``listen:PORT`` = from this machine only) and
``rfc2217://HOST:PORT?baudrate=…``. `open_port` is for the event loop; `open_raw` for a driver that owns a thread and
polls. Both open a line for themselves alone: two programs on one device garble both.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import termios
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, cast
from urllib.parse import parse_qsl

import serial
import serial_asyncio_fast

from drivers.base import ConfigurationError, DeviceOffline
from drivers.listening import ListeningPort
from drivers.serial_line import open_line, tell_empty_from_gone
from drivers.tcp_line import forget_unsent, watch

Parity = Literal["N", "E", "O"]
MAX_BUFFER = 65536
"""Unread bytes kept for a slow driver; a serial line fills this in 17 s at 38400 baud, so more is a fault."""
OPEN_TIMEOUT_S = 5.0
WRITE_TIMEOUT_S = 5.0
"""A line takes 64 KB in a quarter of a minute at worst; whoever takes nothing for so long takes nothing more."""
_PARITIES: dict[str, Parity] = {"N": "N", "E": "E", "O": "O"}


class PortError(DeviceOffline):
    """The port cannot be opened now, or broke: PORT_MISSING, PORT_BUSY, PORT_DENIED, PORT_UNREACHABLE, PORT_STUCK, PORT_LOST."""


@dataclass(frozen=True, slots=True)
class PortUrl:
    """A port's address and line settings; ``baudrate`` in bits per second, always 8 data bits and one stop bit."""

    scheme: Literal["serial", "pty", "tcp", "listen", "rfc2217"]
    path: str = ""
    host: str = ""
    tcp_port: int = 0
    baudrate: int = 9600
    parity: Parity = "N"


def parse_url(url: str, *, baudrate: int = 9600, parity: Parity = "N") -> PortUrl:
    """Read a port URL; settings in it win over the arguments. Raises `ConfigurationError` BAD_URL."""
    scheme, colon, rest = url.partition(":")
    rest, _, query = rest.partition("?")
    settings = dict(parse_qsl(query, keep_blank_values=True))
    speed, sign = settings.pop("baudrate", str(baudrate)), settings.pop("parity", parity).upper()
    if settings or not colon or not speed.isascii() or not speed.isdigit() or not 300 <= int(speed) <= 4_000_000:
        raise _bad_url()
    if sign not in _PARITIES:
        raise _bad_url()
    line = PortUrl("serial", baudrate=int(speed), parity=_PARITIES[sign])
    if scheme in ("serial", "pty") and rest:
        return replace(line, scheme=cast("Literal['serial', 'pty']", scheme), path=rest)
    if scheme in ("tcp", "listen", "rfc2217"):
        if scheme == "listen" and ":" not in rest:
            rest = f"127.0.0.1:{rest}"
        host, _, number = rest.removeprefix("//").rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if host and number.isascii() and number.isdigit() and 0 < int(number) < 65536:
            kind = cast("Literal['tcp', 'listen', 'rfc2217']", scheme)
            return replace(line, scheme=kind, host=host, tcp_port=int(number))
    raise _bad_url()


def _bad_url() -> ConfigurationError:
    return ConfigurationError(
        "BAD_URL",
        "a port is serial:PATH?baudrate=38400&parity=E, pty:PATH, tcp:HOST:PORT, listen:HOST:PORT or rfc2217://HOST:PORT",
    )


class Port(Protocol):
    """A byte stream to a device, on the event loop."""

    async def read(self, n: int) -> bytes:
        """Wait for at least one byte and give at most ``n``; raises `PortError` once the port is lost.

        Cancelling it (a timeout) loses no bytes.
        """

    async def write(self, data: bytes) -> None:
        """Send all of ``data``; raises `PortError` once the port is lost."""

    def discard(self) -> int:
        """Forget bytes received and not read (the answer to a question given up); gives their number."""

    async def close(self) -> None:
        """Close the port; a second call does nothing."""


class Inbox:
    """Bytes received and not yet read, with one waiter; what every kind of port here keeps."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._changed = asyncio.Event()
        self._lost: PortError | None = None
        self.on_room: Callable[[], None] | None = None

    def __len__(self) -> int:
        return len(self._bytes)

    def put(self, data: bytes) -> None:
        """Take bytes that came."""
        self._bytes += data
        self._changed.set()

    def lose(self, error: PortError) -> None:
        """Say that nothing will come any more; the first reason counts."""
        if self._lost is None:
            self._lost = error
        self._changed.set()

    def check(self) -> None:
        """Raise why the port was lost, if it was."""
        if self._lost is not None:
            raise PortError(self._lost.code, str(self._lost))

    def discard(self) -> int:
        """Forget what came and was not read; gives the number of bytes."""
        dropped = len(self._bytes)
        self._bytes.clear()
        self._changed.clear()
        self._make_room()
        return dropped

    async def take(self, n: int) -> bytes:
        """Wait for bytes and give at most ``n``; raises `PortError`."""
        while not self._bytes:
            self.check()
            self._changed.clear()
            await self._changed.wait()
        data = bytes(self._bytes[:n])
        del self._bytes[:n]
        self._make_room()
        return data

    def _make_room(self) -> None:
        if self.on_room is not None and len(self._bytes) < MAX_BUFFER // 2:
            self.on_room()


class _StreamPort(asyncio.Protocol):
    """A port over an asyncio transport: pyserial-asyncio-fast for lines, the loop's own for TCP."""

    def __init__(self) -> None:
        self._inbox = Inbox()
        self._transport: Any = None
        self._paused = False
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._closed = asyncio.Event()
        self.made = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._inbox.on_room = self._resume
        self.made.set()

    def data_received(self, data: bytes) -> None:
        self._inbox.put(data)
        if len(self._inbox) >= MAX_BUFFER and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and not self._closed.is_set():
            self._paused = False
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._inbox.lose(PortError("PORT_LOST", f"the port was lost ({type(exc).__name__ if exc else 'closed'})"))
        self._closed.set()
        self._may_write.set()
        self.made.set()

    async def read(self, n: int) -> bytes:
        return await self._inbox.take(n)

    async def write(self, data: bytes) -> None:
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await self._may_write.wait()
        except TimeoutError:
            raise PortError("PORT_STUCK", "the device takes no bytes any more") from None
        self._inbox.check()
        self._transport.write(data)

    def discard(self) -> int:
        return self._inbox.discard()

    async def close(self) -> None:
        if self._transport is not None and not self._closed.is_set():
            # abort, not close: close waits in tcdrain for a device that may never take the bytes
            self._transport.abort()
            with contextlib.suppress(TimeoutError):
                # not wait_for: in Python 3.11 it swallows a cancellation that comes as the wait ends, and the driver lives on
                async with asyncio.timeout(2.0):
                    await self._closed.wait()


class _ThreadPort:
    """A port over a blocking pyserial object without a file descriptor (RFC 2217), read by one thread."""

    def __init__(self, line: Any) -> None:
        self._line = line
        self._inbox = Inbox()
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._pump, name="port-rfc2217", daemon=True)
        self._thread.start()

    def _pump(self) -> None:
        try:
            while not self._stop.is_set():
                data = self._line.read(max(1, min(self._line.in_waiting, 4096)))
                if data and len(self._inbox) < MAX_BUFFER:
                    self._tell(self._inbox.put, data)
        except (serial.SerialException, OSError, TypeError):
            # TypeError: pyserial's rfc2217 trips over its own closed socket
            self._tell(self._inbox.lose, PortError("PORT_LOST", "the RFC 2217 server closed the line"))

    def _tell(self, call: Callable[..., None], *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            self._loop.call_soon_threadsafe(call, *args)

    async def read(self, n: int) -> bytes:
        return await self._inbox.take(n)

    async def write(self, data: bytes) -> None:
        self._inbox.check()
        try:
            await asyncio.to_thread(self._line.write, data)
        except (serial.SerialException, OSError) as error:
            raise PortError("PORT_LOST", "the RFC 2217 server closed the line") from error

    def discard(self) -> int:
        return self._inbox.discard()

    async def close(self) -> None:
        if not self._stop.is_set():
            self._stop.set()
            self._inbox.lose(PortError("PORT_LOST", "the port was closed"))
            await asyncio.to_thread(self._shut)

    def _shut(self) -> None:
        self._thread.join(2.0)
        self._line.close()


async def open_port(
    url: str, *, baudrate: int = 9600, parity: Parity = "N", timeout_s: float = OPEN_TIMEOUT_S, orders: bool = False
) -> Port:
    """Open a port on the running loop; raises `PortError` (retry) or `ConfigurationError` (do not).

    ``orders``: what is sent opens doors and must not arrive late, so closing a TCP port drops whatever is unsent.
    """
    where = parse_url(url, baudrate=baudrate, parity=parity)
    loop = asyncio.get_running_loop()
    port = _StreamPort()
    try:
        async with asyncio.timeout(timeout_s):
            if where.scheme == "rfc2217":
                return _ThreadPort(await asyncio.to_thread(_open_rfc2217, where, 0.1))
            if where.scheme == "listen":
                return await ListeningPort.listen(where.host, where.tcp_port, Inbox())
            if where.scheme == "tcp":
                transport, _ = await loop.create_connection(lambda: port, where.host, where.tcp_port)
                watch(transport.get_extra_info("socket"))
                if orders:
                    forget_unsent(transport.get_extra_info("socket"))
            else:
                line = await asyncio.to_thread(_open_line, where)
                await serial_asyncio_fast.connection_for_serial(loop, lambda: port, line)
            # the serial library returns before connection_made
            await port.made.wait()
    except TimeoutError as error:
        raise PortError("PORT_UNREACHABLE", f"the {where.scheme} port did not open in {timeout_s} s") from error
    except (OSError, termios.error) as error:
        raise _explain(error, where) from error
    return port


class RawPort:
    """A non-blocking port for a polling thread; `wait` sleeps until bytes come, where the line can tell."""

    def __init__(self, line: Any, fd: int | None) -> None:
        self._line = line
        self.fd = fd
        """File descriptor to select on, or None where there is none (RFC 2217)."""

    def read(self, most: int) -> bytes:
        """Give what is there, at most ``most`` bytes, b"" for nothing; raises `PortError` PORT_LOST."""
        try:
            if self.fd is None:
                return bytes(self._line.read(min(most, self._line.in_waiting)))
            data = os.read(self.fd, max(most, 1))
        except BlockingIOError:
            return b""
        except (OSError, TypeError) as error:
            raise PortError("PORT_LOST", "the port was lost while reading") from error
        if not data:
            raise PortError("PORT_LOST", "the other end of the port is gone")
        return data

    def write(self, data: bytes) -> int:
        """Send what fits and give its length; raises `PortError` PORT_LOST."""
        try:
            if self.fd is None:
                return int(self._line.write(data))
            return os.write(self.fd, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise PortError("PORT_LOST", "the port was lost while writing") from error

    def close(self) -> None:
        """Close the port."""
        with contextlib.suppress(OSError):
            self._line.close()


def open_raw(url: str, *, baudrate: int = 9600, parity: Parity = "N", timeout_s: float = OPEN_TIMEOUT_S) -> RawPort:
    """Open a port for a polling thread; blocks up to ``timeout_s``; raises as `open_port` does."""
    where = parse_url(url, baudrate=baudrate, parity=parity)
    if where.scheme == "listen":
        raise ConfigurationError("BAD_URL", "this driver connects to its device and cannot wait to be connected to")
    try:
        if where.scheme == "rfc2217":
            return RawPort(_open_rfc2217(where, 0), None)
        if where.scheme == "tcp":
            peer = socket.create_connection((where.host, where.tcp_port), timeout=timeout_s)
            watch(peer)
            peer.setblocking(False)
            return RawPort(peer, peer.fileno())
        line = _open_line(where)
        tell_empty_from_gone(line.fileno())
        return RawPort(line, line.fileno())
    except (OSError, termios.error) as error:
        raise _explain(error, where) from error


def _open_line(where: PortUrl) -> Any:
    return open_line(where.path, where.baudrate, where.parity, pty=where.scheme == "pty")


def _open_rfc2217(where: PortUrl, timeout_s: float) -> Any:
    line = serial.serial_for_url(
        f"rfc2217://{where.host}:{where.tcp_port}", do_not_open=True, baudrate=where.baudrate, parity=where.parity
    )
    line.timeout = timeout_s
    line.open()
    watch(line._socket)  # pyserial sets only TCP_NODELAY, and has no other way to it
    return line


_CODES = {
    errno.ENOENT: ("PORT_MISSING", "there is no such port; plug the device in or correct the path"),
    errno.ENXIO: ("PORT_MISSING", "the port has no device behind it"),
    errno.ENODEV: ("PORT_MISSING", "the path is not a serial port"),
    errno.EIO: ("PORT_MISSING", "the other end of the port is gone"),
    errno.EAGAIN: ("PORT_BUSY", "another program holds the port; stop it"),
    errno.EBUSY: ("PORT_BUSY", "another program holds the port; stop it"),
    errno.EACCES: ("PORT_DENIED", "this user may not open the port; add it to the group that owns the port"),
}


def _explain(error: Exception, where: PortUrl) -> PortError:
    if where.scheme == "listen":
        return PortError("PORT_BUSY", "the address to listen on is taken, or is not this machine's")
    if where.scheme in ("tcp", "rfc2217"):
        return PortError("PORT_UNREACHABLE", f"nothing answers at the {where.scheme} address")
    code, message = _CODES.get(getattr(error, "errno", None) or 0, ("PORT_LOST", "the port could not be set up"))
    return PortError(code, message)
