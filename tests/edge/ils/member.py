"""A member that keeps its own ILS: a third party's SIP2 server as a process, and a branch whose edge asks and tells it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from consortium.agreement import Library, Master, Mastership
from consortium.bundle import Bundle, Policy
from consortium.events import Event, Kind, decode
from consortium.identity import srid
from edge.clock import EdgeClock
from edge.ils.config import IlsConfig
from edge.ils.ils import Ils
from edge.outbox import Draft, Outbox, OutboxLimits
from tests.make import HOME, HOST, THIRD, Make

KEY = bytes(range(32))
ZONE = ZoneInfo("Asia/Shanghai")
BRANCH = f"{HOME}-01"
PASSWORD = "ils-secret-9"
PROXY = "PROXY-HOST-1"
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def now_ms() -> int:
    """Wall time, ms UTC."""
    return time.time_ns() // 1_000_000


def policy() -> Policy:
    """All three libraries serve each other; the home library's ILS keeps its loans."""
    standard: Bundle = Make.bundle()

    def kept(library: Library) -> Library:
        masters = Mastership(loans=Master.ILS, readers=Master.ILS, items=Master.ILS)
        return replace(library, masters=masters) if library.org == HOME else library

    return Policy(replace(standard, libraries=tuple(map(kept, standard.libraries))))


async def until(ask: Callable[[], Any], within_s: float = 10.0) -> Any:
    """What ``ask`` gives once it is true."""
    deadline = time.monotonic() + within_s
    while not (found := ask()):
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.01)
    return found


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Member:
    """The library's ILS: pysip2 over books in SQLite, in its own process; stopped, killed, frozen and started at will."""

    def __init__(self, folder: Path, *, items: int = 20) -> None:
        self.books = folder / "books.db"
        self.port = free_port()
        self._control = free_port()
        self._process: subprocess.Popen[str] | None = None
        seed = {
            "patrons": [
                {"number": "R1", "name": "王小明", "pin": "2468"},
                {"number": "R2", "name": "李雷", "pin": "1357", "blocked": True, "fees": 1250},
                {"number": PROXY, "name": "联盟馆", "proxy": True},
            ],
            "items": [{"item_no": str(1001 + n), "title": f"红楼梦 {n}", "location": BRANCH} for n in range(items)],
        }
        self._seed = folder / "seed.json"
        self._seed.write_text(json.dumps(seed))

    def start(self) -> None:
        """Start it on its port and wait until it answers."""
        words = [sys.executable, "-m", "firmware_sim.ils", "--port", str(self.port), "--db", str(self.books), "--seed",
                 str(self._seed), "--user", "tongjie", "--password-env", "ILS_PASSWORD", "--institution", HOME,
                 "--control-port", str(self._control)]  # fmt: skip
        environment = dict(os.environ, PYTHONPATH=os.getcwd(), ILS_PASSWORD=PASSWORD)
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
        )
        assert self._process.stdout is not None
        assert json.loads(self._process.stdout.readline())["port"] == self.port

    def kill(self) -> None:
        """kill -9: no farewell."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def signal(self, number: int) -> None:
        """Send it a signal (SIGSTOP: it takes connections and says nothing)."""
        assert self._process is not None
        self._process.send_signal(number)

    async def staff(self, op: str, **more: Any) -> dict[str, Any]:
        """Something done at its own desk."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._control)
        writer.write(json.dumps({"id": 1, "op": op, **more}).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await asyncio.wait_for(reader.readline(), 10))
        writer.close()
        assert "error" not in answer, answer
        return answer

    def ask(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Read its books."""
        with contextlib.closing(sqlite3.connect(self.books)) as db:
            return db.execute(sql, values).fetchall()

    def loans(self) -> dict[str, tuple[str, int, str]]:
        """Open loans: number, when, until which day, by item."""
        rows = self.ask("SELECT item_no, number, t_out, due FROM loans")
        return {item_no: (number, t_out, due) for item_no, number, t_out, due in rows}

    def changes(self) -> list[tuple[str, str, int]]:
        """Everything that was ever done: (what, item, t), in order."""
        rows = self.ask("SELECT what, item_no, t FROM changes WHERE item_no IS NOT NULL ORDER BY id")
        return [(what, item_no, t) for what, item_no, t in rows]


class Place:
    """One branch's outbox with its ILS beside it, over a data directory that outlives it."""

    def __init__(self, data: Path, port: int, **more: Any) -> None:
        self.data = data
        fields: dict[str, Any] = {
            "url": f"sip2://127.0.0.1:{port}", "user": "tongjie", "password": PASSWORD, "institution": HOME,
            "location": BRANCH, "proxies": {HOST: PROXY},
        }  # fmt: skip
        self.config = IlsConfig(**{**fields, **more})
        self.states: list[tuple[str, str]] = []
        self.policy: Policy | None = policy()
        clock = EdgeClock()
        self.outbox = Outbox(data / "outbox.db", f"edge-{BRANCH}", clock, limits=OutboxLimits())
        self.ils = Ils(
            self.config, org=HOME, branch=BRANCH, policy=lambda: self.policy, outbox=self.outbox, clock_ms=now_ms,
            wall=lambda: datetime.now(ZONE), data=data, key=KEY,
            on_state=lambda state, reason, facts: self.states.append((state, reason)),
        )  # fmt: skip

    async def __aenter__(self) -> Place:
        await self.outbox.start()
        await self.ils.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.ils.stop()
        await self.outbox.close()

    async def ready(self) -> Place:
        """Once it is connected and has looked at every event."""
        await until(lambda: self.states and self.states[-1][0] == "online" and not self.ils.public()["queue"]["behind"])
        await until(lambda: self.ils.public()["sip2"]["connections"])
        return self

    @property
    def waiting(self) -> int:
        """Bookings that wait."""
        return int(self.ils.public()["queue"]["waiting"])

    def events(self, *kinds: Kind) -> list[Event]:
        """Durable events, in order."""
        out, after = [], 0
        while rows := self.outbox.unsent(after, 1_000_000):
            out += [decode(row.body) for row, _ in rows]
            after = rows[-1][0].seq
        return [event for event in out if not kinds or event.kind in kinds]

    def outcomes(self) -> list[tuple[str, str, str]]:
        """(what, item, status) of everything the ILS answered, in order."""
        found = [event.data for event in self.events(Kind.ILS_OBSERVED)]
        return [(data["what"], data["item"][1], data["status"]) for data in found]

    async def lend(self, item_no: str, *, home: str = HOME, number: str = "R1", owner: str = HOME, t: int | None = None,
                   due: int | None = None, flags: tuple[str, ...] = ("ILS_AWAY",)) -> str:  # fmt: skip
        """A loan made by our own rules; gives the event's name."""
        who = srid(KEY, f"{home}-{number}")
        if home == HOME:
            await self.ils.remember(who, number)
        data = {"item": [owner, item_no], "type": "BOOK", "home": home, "due": due or now_ms() + 30 * DAY_MS,
                "flags": list(flags)}  # fmt: skip
        recorded = await self.outbox.append(Draft(Kind.CHECKOUT, BRANCH, "kiosk1", data, srid=who, t_eff=t))
        return str(recorded.event_id)

    async def take_back(self, item_no: str, *, t: int | None = None, flags: tuple[str, ...] = ()) -> str:
        """A return; gives the event's name."""
        data = {
            "item": [HOME, item_no],
            "type": "BOOK",
            "route": {"action": "SHELVE", "reason": "HOME"},
            "code": "RETURN_HOME",
            "flags": [*flags],
        }
        recorded = await self.outbox.append(Draft(Kind.RETURN, BRANCH, "kiosk1", data, t_eff=t))
        return str(recorded.event_id)


__all__ = ["BRANCH", "DAY_MS", "HOME", "HOST", "HOUR_MS", "KEY", "PROXY", "THIRD", "ZONE", "Member", "Place", "until"]
