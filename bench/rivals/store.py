"""A Redis of the bench's own, for invenio-sip2, which keeps its clients in one: loopback, a free port, nothing on disk."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

__all__ = ["PROGRAM", "Store", "StoreMissing", "store"]

PROGRAM = "redis-server"
_READY_S = 10.0
_TRIES = 3
"""Another process can take the port between our looking and Redis's binding it."""


class StoreMissing(Exception):
    """There is no ``redis-server`` on PATH, or it does not answer; the text says which."""


@dataclass(frozen=True, slots=True)
class Store:
    """A Redis that is up: its process, and where it answers."""

    pid: int
    url: str


@contextmanager
def store(ready_s: float = _READY_S) -> Iterator[Store]:
    """A Redis that has answered within ``ready_s`` seconds; it ends, and its folder goes, with the block.

    Raises StoreMissing.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise StoreMissing(f"{PROGRAM} is not on PATH")
    with tempfile.TemporaryDirectory(prefix="tongjie-redis-") as folder:
        process, port = _started(program, folder, ready_s)
        try:
            yield Store(process.pid, f"redis://127.0.0.1:{port}/0")
        finally:
            _end(process)


def _started(program: str, folder: str, ready_s: float) -> tuple[subprocess.Popen[bytes], int]:
    for _ in range(_TRIES):
        port = _free_port()
        words = [
            program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no", "--dir", folder,
            "--daemonize", "no",
        ]  # fmt: skip
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + ready_s
        while process.poll() is None and time.monotonic() < until:
            if _answers(port):
                return process, port
            time.sleep(0.02)
        if process.poll() is None:
            _end(process)
            raise StoreMissing(f"{PROGRAM} did not answer in {ready_s:g} s")
    raise StoreMissing(f"{PROGRAM} ended as soon as it was started, with exit code {process.returncode}")


def _free_port() -> int:
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        port: int = line.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as line:
        line.sendall(b"PING\r\n")
        return line.recv(64).startswith(b"+PONG")
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
