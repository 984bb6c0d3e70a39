"""The SIP2 server as a process of its own beside pysip2's and invenio-sip2's: same stub handlers, same kiosks.

A kiosk asks 99 23 63 17 11 09 with AY and AZ. CPU is what the kernel counts for the server's process; time is seen from
the kiosk. The load shares the machine with the server, so rates are lower bounds and CPU per message is what compares.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench._kiosks import Kiosks, cpu_seconds, neighbour, resident_mb
from bench.rivals import EnvironmentMissing, environment
from bench.rivals.store import StoreMissing, store

RUNS = 7
SECONDS = 1.0
_ROOT = Path(__file__).resolve().parents[1]
_SERVERS = Path(__file__).parent / "servers"
_STRETCHES = 6
_Name = tuple[str, str]
"""Of a server in figures: before and after the figure's own name."""
_Costs = dict[str, list[float]]
"""What ``cost`` found with ``_1``, ``_16`` or ``_200`` behind its name: a value for each run."""
_RIVALS = (("pysip2_", ""), ("invenio_", ""))
_PACED, _EVERY_S = 16, 0.05
"""Kiosks beside a bad neighbour, and how often each asks: twenty times a second is more than any person scans."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is up."""

    pid: int
    port: int


@contextmanager
def serving(words: list[str]) -> Iterator[Server]:
    """A server's process, from its first line to the end of its standard input."""
    process = subprocess.Popen(
        words, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(words[1:])} did not start")
        yield Server(process.pid, json.loads(line)["port"])
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def cost(server: Server, kiosks: int, seconds: float, helper: int | None = None) -> dict[str, float]:
    """CPU a message, messages a second and answer times of so many kiosks, each as fast as it is answered.

    ``helper`` is a process that works for the server: its CPU is counted apart, as ``helper_cpu_us``.
    """
    pids = {"cpu_us": server.pid} | ({} if helper is None else {"helper_cpu_us": helper})
    load = Kiosks(server.port, kiosks)
    try:
        load.run(0.25)
        before = {name: cpu_seconds(pid) for name, pid in pids.items()}
        pace = load.run(seconds)
        spent = {name: cpu_seconds(pid) - before[name] for name, pid in pids.items()}
    finally:
        load.close()
    return {name: value / pace.answers * 1e6 for name, value in spent.items()} | {
        "per_s": pace.answers / pace.seconds,
        "p50_ms": pace.median,
        "p99_ms": pace.percentile(0.99),
    }


def quiet_p99(server: Server, kind: str | None, seconds: float) -> float:
    """The p99 of paced kiosks, milliseconds, alone or beside a bad neighbour."""
    load = Kiosks(server.port, _PACED)
    other = None if kind is None else neighbour(kind, server.port)
    try:
        load.run(0.5, every_s=_EVERY_S)
        return load.run(seconds, every_s=_EVERY_S).percentile(0.99)
    finally:
        load.close()
        if other is not None:
            other.kill()
            other.wait()


def beside_others(server: Server, seconds: float, stretches: int = _STRETCHES) -> dict[str, float]:
    """How much a flood and half messages raise the others' p99: each from its best stretch, taken in turns.

    The best, because whatever else the machine does raises a p99 tenfold now and then, and never lowers it.
    """
    found: dict[str | None, list[float]] = {None: [], "flood": [], "half": []}
    for _ in range(stretches):
        for kind, times in found.items():
            times.append(quiet_p99(server, kind, seconds))
    return {kind: min(times) / min(found[None]) for kind, times in found.items() if kind is not None}


def speeds(words: dict[_Name, list[str]], seconds: float, runs: int, helper: int | None = None) -> dict[_Name, _Costs]:
    """Costs of servers at 1, 16 and 200 kiosks, the last once; ``helper`` as in ``cost``.

    All are up together and are asked in turns: a machine that slows down for a minute slows all of them.
    """
    found: dict[_Name, _Costs] = {name: {} for name in words}
    with ExitStack() as up:
        servers = {name: up.enter_context(serving(command)) for name, command in words.items()}
        for kiosks in (*(1, 16) * runs, 200):
            for name, server in servers.items():
                for key, value in cost(server, kiosks, seconds, helper).items():
                    found[name].setdefault(f"{key}_{kiosks}", []).append(value)
    return found


def crowd(words: list[str]) -> dict[str, float]:
    """Memory of 1,000 that log in and are silent, and how many of 300 that come at once are answered."""
    with serving(words) as server:
        Kiosks(server.port, 20).close()
        time.sleep(0.3)
        before = resident_mb(server.pid)
        load = Kiosks(server.port, 1000)
        time.sleep(0.5)
        grown, idle = resident_mb(server.pid) - before, load.logged_in
        load.close()
    with serving(words) as server:
        load = Kiosks(server.port, 300)
        load.close()
    return {"idle_1000_mb": grown, "idle_1000": idle, "answered_300": load.logged_in, "arrival_300_s": load.arrival_s}


def _named(name: _Name, found: dict[str, float]) -> dict[str, Any]:
    coarse = ("cpu", "redis_cpu", "per_s", "idle")
    return {
        f"{name[0]}{key.replace('cpu_us_', 'cpu_us_per_message_')}{name[1]}": round(
            value, 1 if key.startswith(coarse) else 2
        )
        for key, value in found.items()
    }


def invenio(folder: Path, seconds: float, runs: int) -> _Costs | str:
    """invenio-sip2's costs, its Redis's as ``redis_cpu_us``; or why there are none."""
    words = [str(folder / "bin" / "python"), str(_SERVERS / "invenio_server.py"), "--redis"]
    try:
        with store() as redis:
            found = speeds({_RIVALS[1]: [*words, redis.url]}, seconds, runs, redis.pid)[_RIVALS[1]]
    except (StoreMissing, RuntimeError, OSError) as error:
        return f"invenio-sip2 is not measured: {error}"
    return {key.replace("helper_", "redis_"): values for key, values in found.items()}


def shares(costs: dict[_Name, _Costs]) -> dict[str, float]:
    """Our CPU a message at 16 kiosks over each measured rival's without uvloop: the median of the runs' shares."""
    found = {}
    for rival in _RIVALS:
        for suffix in ("", "_uvloop"):
            pairs = zip(*(costs.get(name, {}).get("cpu_us_16", ()) for name in (("", suffix), rival)), strict=False)
            if runs := [ours / theirs for ours, theirs in pairs]:
                found[f"share_of_{rival[0]}16{suffix}"] = round(statistics.median(runs), 2)
    return found


def run(seconds: float = SECONDS, runs: int = RUNS, stretches: int = _STRETCHES) -> dict[str, Any]:
    """Ours and pysip2's, both with and without uvloop where it can be had, then invenio-sip2's where Redis can."""
    ours = [sys.executable, "-m", "bench.servers.ours"]
    words: dict[_Name, list[str]] = {("", ""): ours}
    notes = [
        f"medians of {runs} runs, ratios from the best of {stretches} stretches; stub handlers, load on the same cores"
    ]
    folder = None
    try:
        folder = environment()
    except EnvironmentMissing as error:
        notes.append(f"no rival and no uvloop in this run: {error}")
    else:
        packages = next((folder / "lib").glob("python3*")) / "site-packages"
        theirs = [str(folder / "bin" / "python"), str(_SERVERS / "pysip2_server.py")]
        words |= {
            ("", "_uvloop"): [*ours, "--uvloop", str(packages)],
            _RIVALS[0]: theirs,
            ("pysip2_", "_uvloop"): [*theirs, "--uvloop"],
        }
    figures: dict[str, Any] = {}
    beside: dict[str, Any] = {}
    costs = speeds(words, seconds, runs)
    if folder is not None:
        theirs_or_why = invenio(folder, seconds, runs)
        if isinstance(theirs_or_why, str):
            beside["invenio_note"] = theirs_or_why
        else:
            costs[_RIVALS[1]] = theirs_or_why
            notes.append("invenio-sip2's clients are in a Redis of the bench's own, its CPU apart; its log is off")
        beside |= _named(_RIVALS[0], crowd(theirs))
    for name, found in costs.items():
        medians = {key: statistics.median(values) for key, values in found.items()}
        best = {"cpu_us_best_16": min(found["cpu_us_16"])}  # of the run that the rest of the machine disturbed least
        (beside if name[0] else figures).update(_named(name, medians | best))
    figures |= _named(("", ""), crowd(ours)) | shares(costs)
    with serving(ours) as server:
        ratios = beside_others(server, seconds, stretches)
    figures |= {"flood_ratio": round(ratios["flood"], 2), "half_message_ratio": round(ratios["half"], 2)}
    return {"runs": runs, "figures": figures, "beside": beside, "notes": notes}
