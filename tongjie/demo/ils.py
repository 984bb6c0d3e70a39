"""The member of the demo that keeps its own ILS: its books, its desk that lends behind our back, its outage, and what came of it.

The ILS is a process of ``firmware_sim.ils`` on a SIP2 server that is not ours. Its desk lends ``BEHIND`` items in the first part of the
run without telling anybody; in the middle it is away for a while. What the edge made of both is read from the edge's own outbox.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from consortium.bundle import Policy, from_plain
from consortium.events import Event, Kind, decode
from consortium.mastership import bookings
from firmware_sim.branch_client import SimBranchClient, SimBranchError
from tongjie.demo.supervisor import StartError, Supervisor

__all__ = ["BEHIND", "NAME", "IlsDay", "IlsLayout", "Outcome", "behind_items", "config", "outcome", "seed", "settled"]

NAME = "ILS"
USER = "tongjie"
BEHIND = 50
"""Items that the ILS's desk lends behind our back."""

_FIRST_S = 3.0
_UNBOUNDED_S = 240.0
"""How long a day is taken to be when nobody said when it ends."""

_TOLD = {Kind.CHECKOUT, Kind.RENEW, Kind.RETURN, Kind.RECEIVE}


@dataclass
class IlsLayout:
    """One library's own ILS: where it answers, with what secrets, and where its books are."""

    library: str
    branch: str
    port: int
    control: int
    folder: Path
    password: str = field(repr=False)

    @property
    def books(self) -> Path:
        """Its SQLite file."""
        return self.folder / "books.db"

    def words(self) -> list[str]:
        """Arguments of its process."""
        return [
            "-m", "firmware_sim.ils", "--port", str(self.port), "--db", str(self.books), "--seed", str(self.folder / "seed.json"),
            "--user", USER, "--password-env", "TONGJIE_DEMO_ILS_PASSWORD", "--institution", self.library,
            "--control-port", str(self.control),
        ]  # fmt: skip

    def environment(self) -> dict[str, str]:
        """Its secret, not on the command line."""
        return {"TONGJIE_DEMO_ILS_PASSWORD": self.password}


def proxy(library: str) -> str:
    """The reader number under which an ILS knows all readers of another library."""
    return f"TONGJIE-{library}"


def config(ils: IlsLayout, libraries: Iterable[str]) -> str:
    """The ``[ils]`` part of the branch's edge.toml: SQL views of the ILS's own file as feed, compared every minute."""
    proxies = "".join(f'{library} = "{proxy(library)}"\n' for library in libraries)
    changes = "SELECT * FROM tongjie_changes WHERE id > :after ORDER BY id LIMIT :limit"
    return f"""
[ils]
url = "sip2://127.0.0.1:{ils.port}"
user = "{USER}"
password = "{ils.password}"
institution = "{ils.library}"

[ils.proxies]
{proxies}
[ils.feed]
kind = "sql"
module = "sqlite3"
db_database = "{ils.books}"
changes = "{changes}"
open_loans = "SELECT * FROM tongjie_open_loans"
every_s = 2

[ils.reconcile]
every_s = 60
"""  # noqa: S608 - a configuration file, no query is put together here


def seed(data: dict[str, Any], library: str) -> dict[str, Any]:
    """The ILS's books at the beginning: its readers and items, its own open loans, and an account for each partner."""
    zone = ZoneInfo("Asia/Shanghai")
    own = {row["reader_no"] for row in data["readers"] if row["home"] == library}
    partners = [row["org"] for row in data["bundle"]["libraries"]]
    return {
        "patrons": [
            *({"number": proxy(org), "name": org, "proxy": True} for org in partners),
            *(
                {"number": row["reader_no"], "name": "", "pin": row["pin"] or ""}
                for row in data["readers"]
                if row["home"] == library
            ),
        ],
        "items": [
            {"item_no": row["item_no"], "title": row["title"], "location": row["owner_branch"]}
            for row in data["items"]
            if row["owner"] == library
        ],
        "loans": [
            {
                "item_no": loan["item_no"],
                "number": loan["reader_no"] if loan["reader_no"] in own else proxy(loan["home"]),
                "t_out": loan["t_out"],
                "due": f"{datetime.fromtimestamp(loan['due'] / 1000, zone):%Y-%m-%d}",
            }
            for loan in data["open_loans"]
            if loan["owner"] == library
        ],
    }


def behind_items(data: dict[str, Any], library: str) -> list[str]:
    """The items that the desk will lend: neither the players' nor those left to other programs."""
    lent = {(loan["owner"], loan["item_no"]) for loan in data["open_loans"]}
    found = [
        row["item_no"]
        for row in data["items"]
        if row["owner"] == library and not row["free"] and row["item_type"] == "BOOK" and row["shareable"]
        and not row["reference"] and (library, row["item_no"]) not in lent
    ]  # fmt: skip
    return found[-BEHIND:]


@dataclass
class IlsDay:
    """What happens to the ILS during a run; `run` is cancelled at its end. Times are ms UTC.

    ``seconds`` is how long the run lasts, None = until Ctrl-C.
    """

    ils: IlsLayout
    supervisor: Supervisor
    items: list[str]
    readers: list[str]
    seconds: float | None
    lent: list[str] = field(default_factory=list)
    away_from: int | None = None
    away_until: int | None = None

    async def run(self) -> None:
        """Lend behind our back, then be away, then be there again."""
        length = self.seconds or _UNBOUNDED_S
        await asyncio.sleep(min(_FIRST_S, length / 10))
        await self._lend(min(60.0, length * 0.3))
        await asyncio.sleep(length * 0.1)
        await self._away(max(3.0, min(30.0, length * 0.2)))

    async def _lend(self, within_s: float) -> None:
        """One item after the other, each to another reader; a reader whom the ILS refuses is passed over."""
        client = SimBranchClient(self.ils.control)
        await client.connect()
        try:
            for at, item_no in enumerate(self.items):
                for turn in range(3):
                    number = self.readers[(at + turn * len(self.items)) % len(self.readers)]
                    try:
                        await client.do("lend", number=number, item_no=item_no)
                    except SimBranchError as error:
                        if error.code != "REFUSED":
                            raise
                        continue
                    self.lent.append(item_no)
                    break
                await asyncio.sleep(within_s / len(self.items))
        finally:
            await client.close()

    async def _away(self, seconds: float) -> None:
        self.away_from = _now()
        await self.supervisor.pause(NAME, 3.0)
        try:
            await asyncio.sleep(seconds)
        finally:
            self.away_until = _now()
        await self.supervisor.resume(NAME)

    async def back(self) -> None:
        """Make sure that the ILS is there, for the end of a run that ended in the middle of its outage."""
        if self.away_from is not None and self.supervisor.paused(NAME):
            self.away_until = self.away_until or _now()
            try:
                await self.supervisor.resume(NAME)
            except StartError:
                return  # the report then tells what was not booked


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the edge made of it: items found of those lent behind our back, transactions while the ILS was away and how they ended."""

    behind_our_back: int
    found: int
    while_away: int
    booked: int
    refused: int

    @property
    def complete(self) -> bool:
        """Whether nothing is left to be found or told."""
        return self.found >= self.behind_our_back and self.booked + self.refused >= self.while_away

    def public(self) -> dict[str, int]:
        """As the report has it."""
        return {
            "behind_our_back": self.behind_our_back, "found": self.found, "while_away": self.while_away, "booked": self.booked,
            "refused": self.refused,
        }  # fmt: skip


def _now() -> int:
    return time.time_ns() // 1_000_000


def _events(outbox: Path) -> list[Event]:
    if not outbox.exists():
        return []
    connection = sqlite3.connect(f"file:{outbox}?mode=ro", uri=True)
    try:
        return [decode(body) for (body,) in connection.execute("SELECT body FROM events ORDER BY pos")]
    finally:
        connection.close()


def outcome(data: dict[str, Any], outbox: Path, day: IlsDay) -> Outcome:
    """Read what came of it from the durable events of the branch's edge."""
    policy, library = Policy(from_plain(data["bundle"])), day.ils.library
    events = _events(outbox)
    seen = {event.item for event in events if event.kind is Kind.ILS_OBSERVED and event.data.get("what") == "LOAN"}
    ended = {
        event.data.get("ref"): event.data["what"]
        for event in events
        if event.kind is Kind.ILS_OBSERVED and event.data.get("what") in ("BOOKED", "REFUSED")
    }
    away = [
        event.name
        for event in events
        if event.kind in _TOLD and _within(event.t_eff, day) and _of_its_own(policy, event, library)
    ]
    found = sum((library, item_no) in seen for item_no in day.lent)
    outcomes = [ended.get(name) for name in away]
    return Outcome(len(day.lent), found, len(away), outcomes.count("BOOKED"), outcomes.count("REFUSED"))


def _of_its_own(policy: Policy, event: Event, library: str) -> bool:
    """Whether the library's ILS is to be told: of its own items (``book_foreign`` is off), where it does not know already."""
    return any(booking.org == library == booking.item.owner for booking in bookings(policy, event))


def _within(t: int, day: IlsDay) -> bool:
    return day.away_from is not None and day.away_from <= t <= (day.away_until or _now())


async def settled(data: dict[str, Any], outbox: Path, day: IlsDay, timeout_s: float) -> Outcome:
    """Wait until everything is found and told, at most ``timeout_s``; gives how it stands then."""
    until = time.monotonic() + timeout_s
    while True:
        found = await asyncio.to_thread(outcome, data, outbox, day)
        if found.complete or time.monotonic() > until:
            return found
        await asyncio.sleep(0.5)


def write_seed(data: dict[str, Any], ils: IlsLayout) -> str:
    """The seed as text."""
    return json.dumps(seed(data, ils.library), ensure_ascii=False)
