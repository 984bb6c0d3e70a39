"""What a demo stands on: a folder of its own, locked, and free ports. What cannot be had is one sentence and leaves nothing."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from firmware_sim.consortium import BRANCHES

MARKER = ".tongjie-demo"
HUB_PORT, EDGE_PORT, SIP2_PORT = 8080, 8101, 6101


class DemoError(Exception):
    """The demo cannot start; the message says what to do. ``status`` is the exit status: 1, or 2 for wrong usage."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


def unwritable(folder: Path, error: OSError) -> DemoError:
    """The DemoError for a folder in which something could not be written."""
    return DemoError(f"{folder} cannot be written ({error.strerror}); give another folder with --data DIR")


def open_folder(folder: Path) -> IO[str]:
    """Make the demo's folder and take its lock; raises DemoError where another demo has it or it cannot be written."""
    if any(char in '?"\\' or ord(char) < 32 or char == "\x7f" for char in str(folder)):
        # The name becomes part of port URLs and of TOML texts.
        raise DemoError(
            f"a folder's name may not hold ? \" \\ or control characters: {folder}; give another with --data", 2
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()) and not (folder / MARKER).exists():
            raise DemoError(f"{folder} holds other files; give an empty folder with --data DIR")
        lock = (folder / MARKER).open("a+", encoding="utf-8")
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        with lock:
            lock.seek(0)
            pid = lock.read(20).strip() or "unknown"
        raise DemoError(
            f"a demo is already running in {folder} (process {pid}); stop it, or give --data DIR and --ports auto"
        ) from error
    except OSError as error:
        lock.close()
        raise unwritable(folder, error) from error
    try:
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
    except OSError as error:
        raise unwritable(folder, error) from error
    return lock


def clear(folder: Path) -> None:
    """Remove what an earlier demo left in its own folder."""
    for entry in folder.iterdir():
        if entry.name == MARKER:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


@contextmanager
def claimed(folder: Path) -> Iterator[IO[str]]:
    """The folder, made and locked; where the body raises, it is left as it was found: gone, empty, or an earlier demo's."""
    try:
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        fresh = bool(missing) or not (folder / MARKER).exists()
    except OSError as error:
        raise unwritable(folder, error) from error
    lock = None
    try:
        lock = open_folder(folder)
        yield lock
    except BaseException:
        with contextlib.suppress(OSError):
            if lock is not None and fresh:
                clear(folder)
                (folder / MARKER).unlink()
            for path in missing:
                path.rmdir()
        if lock is not None:
            lock.close()
        raise


def _bind(probe: socket.socket, port: int, what: str) -> int:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind(("127.0.0.1", port))
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise DemoError(
                f"port {port} ({what}) is in use; stop what uses it, or run with --ports auto or --ports BASE"
            ) from error
        raise DemoError(f"no port can be had on 127.0.0.1 ({error.strerror})") from error
    number: int = probe.getsockname()[1]
    return number


def hold_ports(wanted: list[tuple[int, str]]) -> tuple[list[int], ExitStack]:
    """Numbers for (number, whose) that are free now, 0 = any, and what holds them until it is closed. Raises DemoError.

    On Linux a bound socket that does not listen keeps the system from giving its number to anybody's outgoing connection, and
    still lets a server listen there that sets SO_REUSEADDR, as ours all do: so a number stays ours until its process is up,
    and while it is restarted. Elsewhere such a server would be refused, and nothing is held.
    """
    with ExitStack() as held:
        # Numbers that were asked for first: one given for 0 must not be one of them.
        order = sorted(range(len(wanted)), key=lambda i: wanted[i][0] == 0)
        found = {i: _bind(held.enter_context(socket.socket()), *wanted[i]) for i in order}
        numbers = [found[i] for i in range(len(wanted))]
        return numbers, held.pop_all() if sys.platform == "linux" else ExitStack()


def numbers_of(ports: str) -> list[tuple[int, str]]:
    """What ``--ports`` asks for, as (number, whose): hub, edges, SIP2 servers; 0 = any. Raises DemoError."""
    count = len(BRANCHES)
    if ports in ("auto", "0"):
        hub, edge, sip2, step = 0, 0, 0, 0
    elif not ports:
        hub, edge, sip2, step = HUB_PORT, EDGE_PORT, SIP2_PORT, 1
    elif ports.isascii() and ports.isdigit() and 1024 <= int(ports) <= 65_000:
        hub = int(ports)
        edge, sip2, step = hub + 1, hub + 11, 1
    else:
        raise DemoError("--ports is 'auto' or a number from 1024 to 65000", 2)
    edges = [(edge + step * i, "edge") for i in range(count)]
    return [(hub, "hub"), *edges, *((sip2 + step * i, "SIP2") for i in range(count))]
