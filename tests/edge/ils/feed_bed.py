"""A simulated ILS in its own process, and an edge's outbox, replica and facts beside it, for tests of feeds and reconciliation."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from consortium.agreement import Library, Master, Mastership
from consortium.bundle import to_json
from consortium.events import Event, Kind, decode
from consortium.identity import ItemKey
from edge.clock import EdgeClock
from edge.facts import Facts
from edge.ils.observe import Observer
from edge.outbox import Draft, Outbox
from edge.overlay import Overlay
from edge.replica import Replica
from tests.edge.bed import BRANCH, KEY, NODE, Rows, now_ms, srid_of, write_replica
from tests.make import HOME, HOST, Make
from tests.sealing import TRUST

DAY = 86_400_000
READERS = [f"R{n}" for n in range(1, 11)]
ITEMS = [f"{n}" for n in range(1001, 1101)]
PROXY = f"PROXY-{HOST}"
TOKEN = "feed-token"
START = "SELECT * FROM tongjie_changes WHERE id > :after ORDER BY id LIMIT :limit"
OPEN = "SELECT * FROM tongjie_open_loans"


def policy_text() -> str:
    """A bundle in which the home library's ILS is master of its loans, readers and fees."""
    now = now_ms()
    libraries = tuple(
        replace(one, masters=Mastership(loans=Master.ILS, readers=Master.ILS, fees=Master.ILS))
        if one.org == HOME
        else one
        for one in (Library(org, f"CN-{org}", f"馆{org}", f"Library {org}") for org in (HOME, HOST, "990002"))
    )
    return to_json(
        Make.bundle(issued_ms=now, valid_from_ms=now - DAY, valid_to_ms=now + 1000 * DAY, libraries=libraries)
    )


def rows(**items: dict[str, Any]) -> list[Any]:
    """Replica rows: own readers, one of a partner, own items (changed by number as ``i1001={…}``) and a partner's."""
    found: list[Any] = []
    for number in READERS:
        found += Rows.reader(number)
    found += Rows.reader("P1", home=HOST)
    for number in ITEMS:
        found += Rows.item(number, **items.get(f"i{number}", {}))
    return found + Rows.item("2001", owner=HOST)


def seed(**more: Any) -> dict[str, Any]:
    """What the ILS begins with: the same readers and items, a reader that the replica lacks, and the partner's account."""
    patrons = [{"number": number, "name": f"name of {number}", "pin": "1234"} for number in [*READERS, "STRANGER"]]
    return {
        "patrons": [*patrons, {"number": PROXY, "proxy": True}],
        "items": [{"item_no": number, "title": f"书 {number}", "location": BRANCH} for number in ITEMS],
        **more,
    }


class Ils:
    """The simulated ILS as a process. Its options are those of ``python -m firmware_sim.ils``."""

    def __init__(self, folder: Path, *more: str, seeded: dict[str, Any] | None = None) -> None:
        self.folder = folder
        self.db = folder / "books.db"
        (folder / "seed.json").write_text(json.dumps(seeded if seeded is not None else seed()), encoding="utf-8")
        words = [sys.executable, "-m", "firmware_sim.ils", "--db", str(self.db), "--seed", str(folder / "seed.json"), "--user", "edge",
                 "--password-env", "ILS_PASSWORD", "--institution", HOME, "--control-port", "0", *more]  # fmt: skip
        environment = {**os.environ, "ILS_PASSWORD": "secret", "TONGJIE_SIM_ILS_TOKEN": TOKEN}
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        assert self.process.stdout is not None
        self.ready = json.loads(self.process.stdout.readline())
        self._control = socket.create_connection(("127.0.0.1", self.ready["control"]), timeout=10)
        self._lines = self._control.makefile("rw", encoding="utf-8")
        self._n = 0

    def __enter__(self) -> Ils:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._control.close()
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()

    def do(self, op: str, **more: Any) -> dict[str, Any]:
        """Staff do something; their refusal is under "error"."""
        self._n += 1
        self._lines.write(json.dumps({"id": self._n, "op": op, **more}) + "\n")
        self._lines.flush()
        found: dict[str, Any] = json.loads(self._lines.readline())
        assert found.pop("id") == self._n
        return found

    def sip(self) -> Sip:
        """A logged-in SIP2 connection of plain bytes."""
        return Sip(self.ready["port"])


class Sip:
    """SIP2 by hand, without error detection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._read = self._socket.makefile("rb")
        assert self.ask("9300CNedge|COsecret|") == "941"

    def ask(self, message: str) -> str:
        """Send a message and give the reply, "" where the connection was closed."""
        self._socket.sendall(message.encode() + b"\r")
        line = b""
        while (byte := self._read.read(1)) not in (b"\r", b""):
            line += byte
        return line.decode()

    def close(self) -> None:
        """Hang up."""
        self._read.close()
        self._socket.close()


class Side:
    """The edge's side without an agent, on real files: outbox, replica, overlay, facts, observer. ``start`` and ``stop`` may repeat."""

    def __init__(
        self, data: Path, *, replica_rows: list[Any] | None = None, now: Callable[[], int] | None = None
    ) -> None:
        self.data = data
        if not (data / "replica").exists():
            write_replica(data, replica_rows if replica_rows is not None else rows(), policy=policy_text())
        self.clock = EdgeClock()
        mono = self.clock.mono()
        self.clock.measure(now_ms(), mono, mono)
        self.now = now or self.clock.now

    async def start(self) -> Side:
        self.outbox = Outbox(self.data / "outbox.db", NODE, self.clock)
        await self.outbox.start()
        self.replica = Replica(self.data / "replica", self.clock, TRUST)
        await self.replica.start()
        assert self.replica.ready
        overlay = Overlay(self.outbox, self.replica)
        overlay.load(self.now())
        self.facts = Facts(self.replica, overlay, self.clock, branch=BRANCH, org=HOME, site_key=KEY)
        self.observer = Observer(
            self.outbox, self.facts, BRANCH, HOME, {HOST: PROXY}, self.now, store=self.data / "ils-feed.db"
        )
        self.observer.start()
        return self

    async def stop(self) -> None:
        self.observer.stop()
        await self.outbox.close()
        await self.replica.close()

    async def __aenter__(self) -> Side:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def seen(self, *what: str) -> list[Event]:
        """ILS_OBSERVED events in order, of these kinds."""
        events: list[Event] = []
        while found := self.outbox.unsent(events[-1].seq if events else 0, 50_000_000):
            events += [decode(row.body) for row, _ in found]
        return [e for e in events if e.kind is Kind.ILS_OBSERVED and (not what or e.data["what"] in what)]

    def loans(self) -> dict[str, str | None]:
        """Item number to reader id of all own items that are out, as far as the edge knows."""
        found = {number: self.observer.out(ItemKey(HOME, number)) for number in ITEMS}
        return {number: out.srid for number, out in found.items() if out is not None}

    async def checkout(
        self,
        number: str,
        item_no: str,
        *,
        due: int,
        flags: tuple[str, ...] = (),
        t: int | None = None,
        home: str = HOME,
    ) -> str:
        """This edge lends an item itself; gives the event's name."""
        data = {"item": [HOME, item_no], "type": "BOOK", "home": home, "due": due, "basis": [], "flags": list(flags)}
        draft = Draft(Kind.CHECKOUT, BRANCH, "kiosk1", data, srid_of(number), t_eff=t)
        return str((await self.outbox.append(draft)).event_id)

    async def give_back(self, item_no: str, *, flags: tuple[str, ...] = (), t: int | None = None) -> str:
        """This edge takes an item back itself; gives the event's name."""
        data = {
            "item": [HOME, item_no],
            "type": "BOOK",
            "route": {"action": "SHELVE"},
            "code": "RETURN_HOME",
            "flags": list(flags),
        }
        return str((await self.outbox.append(Draft(Kind.RETURN, BRANCH, "bin1", data, None, t_eff=t))).event_id)

    async def booked(self, item_no: str, ref: str, task: str, what: str = "BOOKED") -> None:
        """The ILS was told."""
        data = {"what": what, "as_of": self.now(), "item": [HOME, item_no], "status": task, "ref": ref}
        await self.outbox.append(Draft(Kind.ILS_OBSERVED, BRANCH, "ils", data))


def sql_table(ils: Ils, **more: Any) -> dict[str, Any]:
    """An ``[ils.feed]`` on the SQL view."""
    return {
        "kind": "sql",
        "module": "sqlite3",
        "db_database": str(ils.db),
        "changes": START,
        "open_loans": OPEN,
        "every_s": 1,
        **more,
    }


def csv_table(folder: Path, **more: Any) -> dict[str, Any]:
    """An ``[ils.feed]`` on a drop folder."""
    return {"kind": "csv", "folder": str(folder), "open_loans": "open-loans.csv", "settle_s": 0, "every_s": 1, **more}


def rest_table(ils: Ils, folder: Path, **more: Any) -> dict[str, Any]:
    """An ``[ils.feed]`` on the REST poll."""
    (folder / "token").write_text(TOKEN + "\n", encoding="utf-8")
    base = ils.ready["rest"]
    where = {"url": f"{base}/changes", "open_loans": f"{base}/open-loans", "token_file": str(folder / "token")}
    return {"kind": "rest", "every_s": 1, **where, **more}
