"""Inside the namespaces: ``python -m firmware_sim.pcsc.namespace FOLDER [--tether]``, started by `PcscDaemon.words`.

Makes ``/run/pcscd`` be ``FOLDER/run``, switches the loopback on, runs pcscd, and joins the Unix socket ``FOLDER/vpcd.sock`` to the TCP
port of vpcd, which nobody outside can reach. Ends when pcscd ends, by SIGTERM, and with ``--tether`` when its standard input ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from firmware_sim.pcsc.line import READ, dial, quick

TCP_PORT = 35963
"""Where vpcd listens, in a network of its own; its second slot has the port after it."""
_SIOCSIFFLAGS, _IFF_UP_RUNNING = 0x8914, 0x41
_GRACE_S = 2.0


def arrange(folder: Path) -> None:
    """Put our folder in the place of pcscd's and switch the loopback on; we are root here, if only in this namespace."""
    ours = os.open(folder / "run", os.O_PATH | os.O_DIRECTORY)  # held open: it may lie below the /run that we cover
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
    Path("/run/pcscd").mkdir()
    subprocess.run(["mount", "--bind", f"/proc/self/fd/{ours}", "/run/pcscd"], check=True, pass_fds=(ours,))
    os.close(ours)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP_RUNNING))


async def join(inner: socket.socket) -> None:
    """Carry bytes between a card outside and vpcd until either ends."""
    try:
        outer = await dial(("127.0.0.1", TCP_PORT))
    except OSError:
        inner.close()
        return
    ways = [asyncio.ensure_future(_carry(*pair)) for pair in ((inner, outer), (outer, inner))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        inner.close()
        outer.close()


async def _carry(source: socket.socket, sink: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while True:
            quick(source)
            data = await loop.sock_recv(source, READ)
            if not data:
                return
            await loop.sock_sendall(sink, data)


async def serve(folder: Path, tethered: bool) -> int:
    """Run pcscd and the socket; gives pcscd's exit status."""
    loop = asyncio.get_running_loop()
    daemon = await asyncio.create_subprocess_exec(
        "pcscd", "--foreground", "--error", "--config", str(folder / "reader.conf"), stdin=asyncio.subprocess.DEVNULL
    )

    def end() -> None:
        with contextlib.suppress(ProcessLookupError):
            daemon.terminate()
            loop.call_later(_GRACE_S, daemon.kill)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    if tethered:
        loop.add_reader(0, _until_end, loop, end)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "vpcd.sock"))
    listener.listen(4)
    listener.setblocking(False)
    accepting = asyncio.create_task(_accept(listener))
    try:
        return await daemon.wait()
    finally:
        accepting.cancel()
        await asyncio.gather(accepting, return_exceptions=True)
        listener.close()


def _until_end(loop: asyncio.AbstractEventLoop, end: Callable[[], None]) -> None:
    if not os.read(0, READ):
        loop.remove_reader(0)
        end()


async def _accept(listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    joined: set[asyncio.Task[None]] = set()
    try:
        while True:
            inner, _ = await loop.sock_accept(listener)
            inner.setblocking(False)
            task = loop.create_task(join(inner))
            joined.add(task)
            task.add_done_callback(joined.discard)
    finally:
        for task in joined:
            task.cancel()
        await asyncio.gather(*joined, return_exceptions=True)


def main(words: list[str]) -> int:
    """Arrange and serve."""
    folder = Path(words[0])
    arrange(folder)
    return asyncio.run(serve(folder, "--tether" in words[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
