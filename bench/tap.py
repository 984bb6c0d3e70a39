"""Tap to decision at an edge: a replica of a million cards, changed at 1,000 rows a second, while cards are presented.

Another process plays the gate: it writes a chip number and the instant into a socket. The time counts from there to the decision, so it
holds the wait for a busy loop; the wire of a real cardreader is not in it. Beside it: the bare point read of one token from the same
file at the same moments.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from consortium.agreement import (
    Agreement,
    Branch,
    CategoryMap,
    Library,
    LimitScope,
    LimitSet,
    Party,
    PolicyRule,
    Service,
)
from consortium.bundle import Bundle, to_json
from consortium.calendar import round_the_clock
from consortium.decisions import may_enter
from consortium.events import Kind
from consortium.identity import TokenKind
from consortium.identity import token as make_token
from consortium.record import record
from consortium.seal import Trust, public_key, seal, to_text
from edge.clock import EdgeClock
from edge.facts import Facts
from edge.outbox import Draft, Outbox
from edge.overlay import Overlay
from edge.replica import ReaderRow, Replica, store
from edge.replica.rows import plain

HOME, _PARTNER = "251020", "990001"
BRANCH = "251020-01"
KEY = bytes(range(32))
_ROWS_A_DELTA = 50
_DAY = 86_400_000

_GATE = """
import random, socket, sys, time
sock, cards, taps, rate = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
rng, at = random.Random(5), time.monotonic()
for _ in range(taps):
    at += rng.expovariate(rate)
    time.sleep(max(0.0, at - time.monotonic()))
    sock.send(rng.randrange(cards).to_bytes(8, "big") + time.monotonic_ns().to_bytes(8, "big"))
time.sleep(0.2)
"""


def uid_of(n: int) -> bytes:
    """Chip number of card ``n`` of the bench's replica."""
    return b"\x04" + n.to_bytes(6, "big")


def _srid(n: int) -> str:
    return f"{n:032x}"


def _reader(n: int) -> ReaderRow:
    return ReaderRow(HOME if n % 3 else _PARTNER, "UG", shared=True, age=20, open_loans=((HOME, "BOOK", n % 4, n % 4),))


def _bundle(now: int) -> Bundle:
    libraries = tuple(Library(org, f"CN-{org}", f"馆{org}", f"Library {org}") for org in (HOME, _PARTNER))
    agreement = Agreement(
        "both", 1, parties=(Party(HOME), Party(_PARTNER)), services=frozenset(Service), valid_from_ms=now - _DAY,
        valid_to_ms=now + 400 * _DAY, category_map=(CategoryMap(HOME, "UG", "U"), CategoryMap(_PARTNER, "UG", "U")),
    )  # fmt: skip
    return Bundle(
        1, now, now - _DAY, now + 400 * _DAY, libraries,
        tuple(Branch(f"{org}-01", org, "馆", "Branch", "always") for org in (HOME, _PARTNER)),
        (round_the_clock("always"),), (agreement,), (PolicyRule("general", lend=True, period_days=30),),
        (LimitSet("lender", LimitScope.LENDER, 20),),
    )  # fmt: skip


def fill(directory: Path, cards: int, now: int) -> None:
    """Make a replica of so many cards in a new folder."""
    directory.mkdir(parents=True)
    out = directory / "replica-1-1-0.db"
    conn = store.create(out)
    conn.execute("BEGIN")
    tokens = (
        (bytes.fromhex(make_token(KEY, TokenKind.UID, uid_of(n))), _srid(n), "ACTIVE", "LOW", None)
        for n in range(cards)
    )
    conn.executemany(store.STATEMENTS["put_token"], sorted(tokens))
    conn.executemany(
        store.STATEMENTS["put_reader"], ((_srid(n), msgspec.json.encode(_reader(n))) for n in range(cards))
    )
    conn.execute(store.STATEMENTS["put_policy"], (1, to_text(seal(to_json(_bundle(now)), KEY))))
    store.write_head(conn, store.Head(HOME, 1, 1, now, "", 0))
    conn.execute("COMMIT")
    conn.execute("PRAGMA journal_mode=WAL")
    conn.close()
    store.set_current(directory, out)


@dataclass(slots=True)
class _Times:
    tap: list[int] = field(default_factory=list)  # ns, from the gate's write to the decision
    decide: list[int] = field(default_factory=list)  # ns, the decision alone
    read: list[int] = field(default_factory=list)  # ns, the bare point read
    cpu: list[int] = field(default_factory=list)  # ns of this thread's CPU, the decision alone
    bare: list[int] = field(default_factory=list)  # ns, the same gate at an idle loop
    codes: dict[str, int] = field(default_factory=dict)
    applied: int = 0


async def _play(directory: Path, cards: int, updates_per_s: int, taps_per_s: float, seconds: float) -> _Times:
    clock = EdgeClock()
    clock.measure(clock.now(), clock.mono(), clock.mono())
    replica = Replica(directory / "replica", clock, Trust((public_key(KEY),)))
    await replica.start()
    outbox = Outbox(directory / "outbox.db", "edge-251020-01", clock)
    await outbox.start()
    overlay = Overlay(outbox, replica)
    overlay.load(clock.now())
    facts = Facts(replica, overlay, clock, branch=BRANCH, org=HOME, site_key=KEY)
    policy = replica.policy
    path = store.current(directory / "replica")
    assert policy is not None
    assert path is not None
    bare = sqlite3.connect(path, isolation_level=None)
    times = _Times()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.setblocking(False)

    def tapped() -> None:
        message = ours.recv(64)
        card = int.from_bytes(message[:8], "big")
        began, cpu = time.perf_counter_ns(), time.thread_time_ns()
        now = clock.now()
        found, person = facts.enter(facts.token_of_uid(uid_of(card)), facts.device("gate1"), now)
        decision = may_enter(policy, found, now)
        done, spent = time.perf_counter_ns(), time.thread_time_ns() - cpu
        times.tap.append(time.monotonic_ns() - int.from_bytes(message[8:], "big"))
        times.decide.append(done - began)
        times.cpu.append(spent)
        times.codes[decision.primary] = times.codes.get(decision.primary, 0) + 1
        if decision.allowed and person is not None:
            data = {"home": person.home, "class": "own" if person.home == HOME else "partner"}
            kept = record(decision, found, now)
            outbox.append_nowait(Draft(Kind.ENTRY, BRANCH, "gate1", data, srid=person.srid, decision=kept))
        key = bytes.fromhex(make_token(KEY, TokenKind.UID, uid_of((card * 7919) % cards)))
        began = time.perf_counter_ns()
        bare.execute("SELECT srid, status, assurance, to_ms FROM tokens WHERE token = ?", (key,)).fetchone()
        times.read.append(time.perf_counter_ns() - began)

    messages = _messages(replica, clock, cards, int(seconds * 1.5 + 5) * updates_per_s // _ROWS_A_DELTA)
    loop = asyncio.get_running_loop()
    loop.add_reader(ours, tapped)
    updating = asyncio.create_task(_update(replica, messages, updates_per_s, times))
    await _gate(theirs, cards, taps_per_s, seconds)
    updating.cancel()
    await asyncio.gather(updating, return_exceptions=True)
    loop.remove_reader(ours)
    ours.close()
    bare.close()
    await outbox.close()
    await replica.close()
    return times


def _messages(replica: Replica, clock: EdgeClock, cards: int, n: int) -> list[bytes]:
    """What the hub would send: made before the clock runs, because the hub is another machine."""
    rng = random.Random(3)
    out = []
    for version in range(replica.version + 1, replica.version + 1 + n):
        changed = [rng.randrange(cards) for _ in range(_ROWS_A_DELTA)]
        rows = [["reader", _srid(each), plain(_reader(each + 1))] for each in changed]
        step = {
            "generation": 1,
            "version": version,
            "rows": rows,
            "asof_ms": clock.now(),
            "includes": {"epoch": "", "upto": 0},
        }
        out.append(msgspec.json.encode(step))
    return out


async def _update(replica: Replica, messages: list[bytes], rows_per_s: int, times: _Times) -> None:
    """Deltas as the bus brings them: JSON of one message, decoded on the loop, applied by the replica."""
    at = asyncio.get_running_loop().time()
    for message in messages:
        await replica.apply_delta(msgspec.json.decode(message))
        times.applied += _ROWS_A_DELTA
        at += _ROWS_A_DELTA / rows_per_s
        await asyncio.sleep(max(0.0, at - asyncio.get_running_loop().time()))


async def _bare(taps_per_s: float, seconds: float) -> list[int]:
    """The same gate at a loop that does nothing else: what the machine itself costs at this moment."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.setblocking(False)
    times: list[int] = []

    def tapped() -> None:
        message = ours.recv(64)
        times.append(time.monotonic_ns() - int.from_bytes(message[8:], "big"))

    asyncio.get_running_loop().add_reader(ours, tapped)
    await _gate(theirs, 1, taps_per_s, seconds)
    asyncio.get_running_loop().remove_reader(ours)
    ours.close()
    return times


async def _gate(sock: socket.socket, cards: int, taps_per_s: float, seconds: float) -> None:
    gate = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _GATE, str(sock.fileno()), str(cards), str(int(taps_per_s * seconds)), str(taps_per_s),
        pass_fds=(sock.fileno(),), stderr=subprocess.DEVNULL,
    )  # fmt: skip
    await gate.wait()
    sock.close()


def _ms(values: list[int], share: float) -> float:
    return round(sorted(values)[min(len(values) - 1, int(len(values) * share))] / 1e6, 4)


def run(
    *,
    cards: int = 1_000_000,
    updates_per_s: int = 1_000,
    taps_per_s: float = 100.0,
    seconds: float = 15.0,
    runs: int = 1,
) -> dict[str, Any]:
    """Times of taps in ms, of all ``runs`` together. ``cards`` scales the replica; filling a million takes about half a minute."""
    every = _Times()
    rates = []
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        fill(directory / "replica", cards, time.time_ns() // 1_000_000)
        size = sum(path.stat().st_size for path in (directory / "replica").iterdir())
        for _ in range(runs):
            every.bare += asyncio.run(_bare(taps_per_s, seconds / 3))
            began = time.monotonic()
            times = asyncio.run(_play(directory, cards, updates_per_s, taps_per_s, seconds))
            rates.append(times.applied / (time.monotonic() - began))
            for name_of in ("tap", "decide", "cpu", "read"):
                getattr(every, name_of).extend(getattr(times, name_of))
            for code, n in times.codes.items():
                every.codes[code] = every.codes.get(code, 0) + n
    return {
        "name": "tap",
        "runs": runs,
        "figures": {
            "cards": cards,
            "p50_ms": _ms(every.tap, 0.5),
            "p99_ms": _ms(every.tap, 0.99),
            "max_ms": _ms(every.tap, 1.0),
            "decide_p50_ms": _ms(every.decide, 0.5),
            "decide_p99_ms": _ms(every.decide, 0.99),
            "decide_cpu_us": round(statistics.median(every.cpu) / 1_000),
            "taps": len(every.tap),
            "allowed": every.codes.get("OK", 0),
            "updates_per_s": round(statistics.median(rates)),
            "replica_mib": round(size / 2**20),
        },
        "beside": {
            "sqlite_point_read_p50_ms": _ms(every.read, 0.5),
            "sqlite_point_read_p99_ms": _ms(every.read, 0.99),
            "bare_loop_p50_ms": _ms(every.bare, 0.5),
            "bare_loop_p99_ms": _ms(every.bare, 0.99),
        },
    }


if __name__ == "__main__":
    print(json.dumps(run()))
