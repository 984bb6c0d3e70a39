"""The device's end of a cable: a pty behind a link, a listening TCP port, or a call to its host.

The device keeps the slave side of its pty open, so that a driver may close and reopen the line as it likes; pulling
the plug closes both sides, which a driver sees as a hang-up, and removes the link, as udev would.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import socket
import tty
from collections.abc import Callable
from typing import Protocol

OnBytes = Callable[[bytes], None]
_READ = 4096
RETRY_S = 0.3
"""How soon a device that calls its host calls again."""


class LineError(Exception):
    """The line cannot be set up; ``code`` is LINK_TAKEN, LINK_DENIED, TCP_PORT_TAKEN or BAD_URL."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Line(Protocol):
    """One cable, at most one host at its other end."""

    url: str

    def plug(self, on_bytes: OnBytes) -> None:
        """Put the cable in; ``on_bytes`` is called in the running loop with whatever the host sends."""

    def write(self, data: bytes) -> int:
        """Send to the host and give the number of bytes taken; what nobody reads is lost, as on a wire."""

    def unplug(self) -> None:
        """Pull the cable out; the host sees it. `plug` puts it in again under the same URL."""


class PtyLine:
    """A pty whose slave is found at ``link``, a symbolic link made by this object and removed by `unplug`."""

    def __init__(self, link: str) -> None:
        self.link = link
        self.url = f"pty:{link}"
        self._master = self._slave = -1

    def plug(self, on_bytes: OnBytes) -> None:
        """Make the pty and the link; raises `LineError` where the link's place is taken by something else."""
        if os.path.lexists(self.link) and not os.path.islink(self.link):
            raise LineError("LINK_TAKEN", f"{self.link} exists and is no link; choose another place")
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        fresh = f"{self.link}.{os.getpid()}.new"
        try:
            os.symlink(os.ttyname(self._slave), fresh)
            os.replace(fresh, self.link)  # a link left behind by a killed process is replaced in one step
        except OSError as error:
            self._close()
            raise LineError("LINK_DENIED", f"cannot make the link {self.link}: {error.strerror}") from error
        asyncio.get_running_loop().add_reader(self._master, self._readable, on_bytes)

    def _readable(self, on_bytes: OnBytes) -> None:
        with contextlib.suppress(BlockingIOError):
            on_bytes(os.read(self._master, _READ))

    def write(self, data: bytes) -> int:
        """Send to the host."""
        if self._master < 0:
            return 0
        try:
            return os.write(self._master, data)
        except BlockingIOError:
            return 0

    def unplug(self) -> None:
        """Close the pty and remove the link where it is still ours."""
        if self._master < 0:
            return
        asyncio.get_running_loop().remove_reader(self._master)
        with contextlib.suppress(OSError):
            if os.readlink(self.link) == os.ttyname(self._slave):
                os.unlink(self.link)
        self._close()

    def _close(self) -> None:
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = -1


class TcpLine:
    """A TCP port on which the device listens for one host; a second host is turned away while the first is there."""

    def __init__(self, host: str, tcp_port: int) -> None:
        self._listener = _listen(host, tcp_port)
        self._address = self._listener.getsockname()[:2]
        self.url = f"tcp:{self._address[0]}:{self._address[1]}"
        self._listening = True
        self._peer: socket.socket | None = None

    def plug(self, on_bytes: OnBytes) -> None:
        """Listen (again) on the port chosen at the start."""
        if not self._listening:
            self._listener = _listen(*self._address)
            self._listening = True
        asyncio.get_running_loop().add_reader(self._listener.fileno(), self._accept, on_bytes)

    def _accept(self, on_bytes: OnBytes) -> None:
        peer, _ = self._listener.accept()
        if self._peer is not None:
            peer.close()
            return
        peer.setblocking(False)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._peer = peer
        asyncio.get_running_loop().add_reader(peer.fileno(), self._readable, peer, on_bytes)

    def _readable(self, peer: socket.socket, on_bytes: OnBytes) -> None:
        try:
            data = peer.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            on_bytes(data)
        else:
            self._drop()

    def _drop(self) -> None:
        if self._peer is not None:
            asyncio.get_running_loop().remove_reader(self._peer.fileno())
            self._peer.close()
            self._peer = None

    def write(self, data: bytes) -> int:
        """Send to the host."""
        if self._peer is None:
            return 0
        try:
            return self._peer.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self._drop()
            return 0

    def unplug(self) -> None:
        """Drop the host and stop listening."""
        self._drop()
        if self._listening:
            asyncio.get_running_loop().remove_reader(self._listener.fileno())
            self._listener.close()
            self._listening = False


class CallingLine:
    """``connect:HOST:PORT``: what a gate in notification mode does."""

    def __init__(self, host: str, tcp_port: int) -> None:
        self.url = f"connect:{host}:{tcp_port}"
        self._address = (host, tcp_port)
        self._task: asyncio.Task[None] | None = None
        self._sink: asyncio.StreamWriter | None = None

    @property
    def connected(self) -> bool:
        """Whether a host took the call."""
        return self._sink is not None

    def plug(self, on_bytes: OnBytes) -> None:
        """Begin to call."""
        self._task = asyncio.create_task(self._call(on_bytes))

    async def _call(self, on_bytes: OnBytes) -> None:
        while True:
            with contextlib.suppress(OSError):
                source, sink = await asyncio.open_connection(*self._address)
                sink.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._sink = sink
                try:
                    while data := await source.read(_READ):
                        on_bytes(data)
                finally:
                    self._sink = None
                    sink.close()
            await asyncio.sleep(RETRY_S)

    def write(self, data: bytes) -> int:
        """Send to the host; lost where there is none."""
        if self._sink is None or self._sink.is_closing():
            return 0
        self._sink.write(data)
        return len(data)

    def forget(self) -> None:
        """Lose power: the connection is forgotten and never closed, and the host is called anew."""
        self._sink = None

    def unplug(self) -> None:
        """Hang up."""
        if self._task is not None:
            self._task.cancel()
            self._task = None


def _listen(host: str, tcp_port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, tcp_port))
        listener.listen(1)
    except OSError as error:
        listener.close()
        raise LineError("TCP_PORT_TAKEN", f"cannot listen on {host}:{tcp_port}: {error.strerror}") from error
    listener.setblocking(False)
    return listener


def open_line(url: str) -> PtyLine | TcpLine | CallingLine:
    """Make the device's end of ``pty:LINK``, ``tcp:HOST:PORT`` (port 0 = any) or ``connect:HOST:PORT``; raises `LineError`."""
    scheme, _, rest = url.partition(":")
    if scheme == "pty" and rest:
        return PtyLine(rest)
    host, _, number = rest.removeprefix("//").rpartition(":")
    if scheme == "tcp" and host and number.isascii() and number.isdigit() and int(number) < 65536:
        return TcpLine(host.removeprefix("[").removesuffix("]"), int(number))
    if scheme == "connect" and host and number.isascii() and number.isdigit() and 0 < int(number) < 65536:
        return CallingLine(host.removeprefix("[").removesuffix("]"), int(number))
    raise LineError("BAD_URL", "a simulated device sits at pty:LINK, tcp:HOST:PORT or connect:HOST:PORT")
