"""Kiosks as load: closed-loop or paced, on plain sockets, one process for all of them; and the bad neighbours among them."""

from __future__ import annotations

import os
import selectors
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.servers import stub
from protocols.sip2 import seal

__all__ = ["Kiosks", "Pace", "cpu_seconds", "neighbour", "resident_mb"]

_TICK = os.sysconf("SC_CLK_TCK")
_HERE = Path(__file__).parent
_NO_ANSWER_S = 10.0


def cpu_seconds(pid: int) -> float:
    """CPU time of a process, user and system, in seconds; the kernel counts in hundredths."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / _TICK


def resident_mb(pid: int) -> float:
    """Resident memory of a process, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def neighbour(kind: str, port: int) -> subprocess.Popen[bytes]:
    """A process of kiosks that behave badly: ``flood`` or ``half`` (bench/servers/neighbour.py)."""
    words = [sys.executable, "-m", "bench.servers.neighbour", kind, str(port)]
    process = subprocess.Popen(words, cwd=_HERE.parent, stdout=subprocess.PIPE, stdin=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def login_frame() -> bytes:
    """93 with its terminator."""
    return seal(f"9300CN{stub.USER}|CO{stub.PASSWORD}|".encode(), "0") + b"\r"


def _rounds(number: int) -> list[bytes]:
    """Thirty frames of one kiosk: 99 23 63 17 11 09 with AY 1, 2 … 9, 0; items and readers of its own.

    No date is left blank: pysip2 closes the connection on blanks.
    """
    who, item_no = f"R{number:06d}", f"{number:010d}"
    bodies = (
        "9900802.00",
        f"23019{stub.CLOCK}AO{stub.INSTITUTION}|AA{who}|AC|AD1234|",
        f"63019{stub.CLOCK}  Y       AO{stub.INSTITUTION}|AA{who}|AC|AD1234|",
        f"17{stub.CLOCK}AO{stub.INSTITUTION}|AB{item_no}|AC|",
        f"11YN{stub.CLOCK}{stub.CLOCK}AO{stub.INSTITUTION}|AA{who}|AB{item_no}|AC|AD1234|BON|",
        f"09N{stub.CLOCK}{stub.CLOCK}AP|AO{stub.INSTITUTION}|AB{item_no}|AC|BIN|",
    )
    return [seal(bodies[at % 6].encode(), str((at + 1) % 10)) + b"\r" for at in range(30)]


@dataclass(slots=True)
class Pace:
    """What came of a stretch: answers, seconds, and each answer's time in milliseconds."""

    answers: int
    seconds: float
    times_ms: list[float] = field(repr=False)

    def percentile(self, share: float) -> float:
        """A percentile of the answers' times, in milliseconds."""
        ordered = sorted(self.times_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("inf")

    @property
    def median(self) -> float:
        """The median of the answers' times, in milliseconds."""
        return statistics.median(self.times_ms)


@dataclass(slots=True, eq=False)
class _Kiosk:
    socket: socket.socket
    frames: list[bytes]
    at: int = 0
    sent_at: float = 0.0
    due_at: float = 0.0
    got: bytes = b""


class Kiosks:
    """``count`` kiosks of one server, logged in; ``logged_in`` says how many got their 94 with ok 1."""

    def __init__(self, port: int, count: int, *, first: int = 0) -> None:
        self._selector = selectors.DefaultSelector()
        self._kiosks: list[_Kiosk] = []
        began = time.perf_counter()
        for number in range(first, first + count):
            line = socket.socket()
            line.setblocking(False)
            line.connect_ex(("127.0.0.1", port))
            self._kiosks.append(_Kiosk(line, _rounds(number)))
            self._selector.register(line, selectors.EVENT_WRITE, self._kiosks[-1])
        self.logged_in = self._log_in(login_frame(), began)
        self.arrival_s = time.perf_counter() - began

    def _log_in(self, frame: bytes, began: float) -> int:
        waiting, right = len(self._kiosks), 0
        while waiting and time.perf_counter() - began < _NO_ANSWER_S:
            for key, mask in self._selector.select(0.5):
                kiosk: _Kiosk = key.data
                try:
                    if mask & selectors.EVENT_WRITE:
                        kiosk.socket.send(frame)
                        self._selector.modify(kiosk.socket, selectors.EVENT_READ, kiosk)
                        continue
                    kiosk.got += kiosk.socket.recv(4096)
                except OSError:
                    self._selector.unregister(kiosk.socket)
                    waiting -= 1
                    continue
                if kiosk.got.endswith(b"\r"):
                    right += kiosk.got.startswith(b"941")
                    kiosk.got = b""
                    waiting -= 1
        return right

    def run(self, seconds: float, *, every_s: float = 0.0) -> Pace:
        """Let them ask for a while: as fast as they are answered, or each once in ``every_s``, spread evenly."""
        began = time.perf_counter()
        until, times, clock = began + seconds, [], time.perf_counter
        for n, kiosk in enumerate(self._kiosks):
            kiosk.due_at = began + every_s * n / len(self._kiosks)
            if not every_s:
                self._ask(kiosk)
        idle = list(self._kiosks) if every_s else []
        open_ = 0 if every_s else len(self._kiosks)
        while (now := clock()) < until or open_:
            if now > until + _NO_ANSWER_S:
                raise RuntimeError("a kiosk was not answered")
            if idle and now < until:
                due = [kiosk for kiosk in idle if kiosk.due_at <= now]
                for kiosk in due:
                    idle.remove(kiosk)
                    open_ += 1
                    self._ask(kiosk)
            wait = 0.5 if not idle else max(0.0, min(kiosk.due_at for kiosk in idle) - clock())
            for key, _ in self._selector.select(min(wait, 0.5)):
                kiosk = key.data
                kiosk.got += kiosk.socket.recv(4096)
                if not kiosk.got:
                    raise RuntimeError("the server closed a kiosk's line")
                if not kiosk.got.endswith(b"\r"):
                    continue
                kiosk.got = b""
                now = clock()
                times.append((now - kiosk.sent_at) * 1000)
                if every_s:
                    kiosk.due_at = max(kiosk.due_at + every_s, now)
                    idle.append(kiosk)
                    open_ -= 1
                elif now < until:
                    self._ask(kiosk)
                else:
                    open_ -= 1
        return Pace(len(times), clock() - began, times)

    def _ask(self, kiosk: _Kiosk) -> None:
        kiosk.sent_at = time.perf_counter()
        kiosk.socket.send(kiosk.frames[kiosk.at])
        kiosk.at = (kiosk.at + 1) % len(kiosk.frames)

    def close(self) -> None:
        """Hang up."""
        self._selector.close()
        for kiosk in self._kiosks:
            kiosk.socket.close()
