"""Kiosks that behave badly beside others: ``python -m bench.servers.neighbour flood|half PORT``.

``flood`` is one kiosk that sends requests without waiting for its answers, as fast as they are taken. ``half`` are fifty
that send half a message and one byte more every tenth of a second. Prints a line when it has begun; ends with standard
input.
"""

from __future__ import annotations

import itertools
import select
import socket
import sys
import time

from bench._kiosks import _rounds, login_frame

_HALVES, _EACH_S = 50, 0.1


def _dial(port: int) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", port))
    line.sendall(login_frame())
    line.recv(100)
    return line


def _told() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])


def flood(port: int) -> None:
    """One kiosk; what it is answered is read and dropped."""
    line = _dial(port)
    line.setblocking(False)
    data = b"".join(_rounds(900_000)) * 20
    at = 0
    print("begun", flush=True)
    while True:
        readable, writable, _ = select.select([line, sys.stdin], [line], [])
        if sys.stdin in readable:
            return
        if line in readable:
            line.recv(65_536)
        if writable:
            at += line.send(data[at : at + 16_384])
            at = 0 if at >= len(data) else at


def half(port: int) -> None:
    """Fifty kiosks that never come to an end."""
    lines = [_dial(port) for _ in range(_HALVES)]
    for line in lines:
        line.sendall(b"11YN20261122    1937")
    print("begun", flush=True)
    for line in itertools.cycle(lines):
        line.sendall(b"1")
        time.sleep(_EACH_S / _HALVES)
        if _told():
            return


if __name__ == "__main__":
    {"flood": flood, "half": half}[sys.argv[1]](int(sys.argv[2]))
