"""A hub's database of any size, made from simulated consortia: the log, and the projections as ``consortium.fold`` gives them.

Run as a program it writes one and ends, so that what it needed of memory and time is nobody else's.
"""

from __future__ import annotations

import json
import random
import sqlite3
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, ColumnDefault, Table, create_engine

from bench.simulation.edges import Row
from bench.simulation.measure import by_item
from bench.simulation.plan import DAY, START, Habits, Plan, Wire
from bench.simulation.world import Told, tell
from consortium import identity
from consortium.agreement import Agreement, Branch, CategoryMap, Library, Party, PolicyRule, Service
from consortium.bundle import Bundle, Policy, to_json
from consortium.calendar import round_the_clock
from consortium.decisions import may_borrow, may_enter
from consortium.events import Event, Kind, encode
from consortium.facts import (
    Assurance,
    BorrowFacts,
    CardFacts,
    CardStatus,
    Device,
    EnterFacts,
    ItemFacts,
    Known,
    ReaderFacts,
)
from consortium.fold import Logged, fold_item, fold_visits
from consortium.record import record
from hub.ledger.rows import loan_row, state_row, transit_row
from hub.store import schema

REGIONS = 40
DECIDED = 0.5
"""Of the loans and entries: those whose event carries the decision and its facts; the rest stands for imported and older events."""
_REGION = Plan(
    events=30_000, days=400, readers=2_500, items=5_000, habits=Habits(kept_ms=4 * DAY),
    wire=Wire(resent=0, new_epochs_per_day=0), visits_per_reader_day=0.2,
)  # fmt: skip
_CARD = CardFacts(CardStatus.ACTIVE, Assurance.HIGH)


def bundle() -> Bundle:
    """Every library of every region; one agreement a region."""
    regions = [[f"{990001 + 10 * region + n}" for n in range(3)] for region in range(REGIONS)]
    orgs = [org for region in regions for org in region]
    agreements = (
        Agreement(
            f"region-{n}", 1, tuple(Party(org) for org in region), frozenset(Service), START - DAY, START + 900 * DAY,
            category_map=tuple(CategoryMap(org, "*", "U") for org in region),
        )
        for n, region in enumerate(regions)
    )  # fmt: skip
    return Bundle(
        1, START, START - DAY, START + 900 * DAY,
        tuple(Library(org, f"X-{org}", org, org) for org in orgs),
        tuple(Branch(f"{org}-{n:02d}", org, org, org, "always") for org in orgs for n in (1, 2)),
        (round_the_clock("always"),),
        tuple(agreements),
        (PolicyRule("general", lend=True, period_days=30, renewals=5),),
        (),
    )  # fmt: skip


class Maker:
    """Writes regions into one database until it holds enough rows."""

    def __init__(self, database: Path) -> None:
        create = create_engine(f"sqlite:///{database}")
        schema.metadata.create_all(create)
        create.dispose()
        self._db = sqlite3.connect(database)
        self._db.execute("PRAGMA synchronous=OFF")
        self._chance = random.Random(1)
        rules = bundle()
        self._policy = Policy(rules)
        body = to_json(rules)
        self._insert(schema.bundles, [{"version": 1, "digest": "0" * 64, "issued_ms": START, "body": body}])

    def make(self, rows: int) -> int:
        """At least ``rows`` rows; returns how many."""
        made = region = 0
        while made < rows:
            share = min(1.0, (rows - made) / (1.7 * _REGION.events))
            plan = replace(_REGION, region=region, events=max(200, round(share * _REGION.events)))
            made += self._write(tell(plan, region))
            self._db.commit()
            region += 1
        self._db.execute("ANALYZE")
        self._db.close()
        return made

    def _write(self, told: Told) -> int:
        branch_of = {(item.owner, item.item_no): item.branch for item in told.truth.items}
        said = self._said(told.arrived, branch_of)
        self._log(said)
        self._insert(
            schema.items,
            [
                {"owner": owner, "item_no": item_no, "item_type": "BOOK", "title": "A title", "owner_branch": branch}
                for (owner, item_no), branch in branch_of.items()
            ],
        )
        histories = [fold_item(*key, branch_of[key], events) for key, events in by_item(said).items()]
        self._insert(schema.item_state, map(state_row, histories))
        self._insert(schema.loans, (loan_row(loan) for one in histories for loan in one.loans))
        self._insert(schema.transits, (transit_row(transit) for one in histories for transit in one.transits))
        conflicts = ({**asdict(conflict), "state": "OPEN"} for one in histories for conflict in one.conflicts)
        self._insert(schema.conflicts, conflicts)
        comings: dict[tuple[str | None, str], list[Logged]] = defaultdict(list)
        for row in said:
            if row.event.kind in (Kind.ENTRY, Kind.EXIT):
                comings[row.who, row.event.branch].append(Logged(row.event, row.who))
        visits = (asdict(visit) for events in comings.values() for visit in fold_visits(events))
        self._insert(schema.visits, ({**visit, "rid": visit["who"]} for visit in visits))
        return len(said)

    def _said(self, rows: Iterable[Row], branch_of: dict[tuple[str, str], str]) -> list[Row]:
        """Each row once, as an edge that decides says it."""
        once = {row.event.id: row for row in rows}
        return [replace(row, event=self._decided(row.event, branch_of)) for row in once.values()]

    def _decided(self, event: Event, branch_of: dict[tuple[str, str], str]) -> Event:
        if event.kind not in (Kind.CHECKOUT, Kind.ENTRY) or self._chance.random() >= DECIDED:
            return event
        now = event.t_eff
        known = Known(now - 40_000, now - 30_000, now - 30_000, now - 30_000, now - 30_000)
        device = Device(event.device, event.branch)
        reader = ReaderFacts(event.data["home"], "UG", shared=True, age=20)
        if event.kind is Kind.ENTRY:
            entering = EnterFacts(device, known, _CARD, reader, occupancy=self._chance.randrange(200))
            return replace(event, decision=record(may_enter(self._policy, entering, now), entering, now))
        owner, item_no = event.data["item"]
        item = ItemFacts(owner, item_no, "BOOK", branch_of[owner, item_no], value=1)
        borrowing = BorrowFacts(device, known, _CARD, reader, item, pin=True)
        decision = may_borrow(self._policy, borrowing, now)
        data = {**event.data, "due": decision.due_ms, "basis": list(decision.basis)}
        if decision.terms is not None:
            data["terms"] = decision.terms.to_plain()
        return replace(event, data=data, decision=record(decision, borrowing, now))

    def _log(self, rows: list[Row]) -> None:
        """Bodies, hashes and the identities beside them; positions are the order of arrival."""
        chains: dict[tuple[str, str], str] = {}
        hashes: dict[Any, tuple[str, str, str | None, str | None]] = {}
        for row in sorted(rows, key=lambda row: (row.event.node, row.event.epoch, row.event.seq)):
            event, salt, srid = row.event, None, None
            if row.who is not None:
                salt = f"{self._chance.getrandbits(128):032x}"
                srid = identity.srid(bytes(32), row.who)
                event = replace(event, subject=identity.subject(salt, srid))
            body = encode(event)
            node = (event.node, event.epoch)
            chains[node] = identity.chain(chains.get(node, identity.CHAIN_START), body)
            hashes[event.id] = (body, chains[node], salt, srid)
        log, subjects = [], []
        upto: dict[tuple[str, str], int] = defaultdict(int)
        for row in rows:
            event = row.event
            body, digest, salt, srid = hashes[event.id]
            name = {"node": event.node, "epoch": event.epoch, "seq": event.seq}
            upto[event.node, event.epoch] = max(upto[event.node, event.epoch], event.seq)
            owner, item_no = event.item or (None, None)
            log.append(
                {
                    **name, "kind": event.kind.value, "branch": event.branch, "device": event.device, "t_eff": event.t_eff,
                    "t_arr": row.ready, "owner": owner, "item_no": item_no, "rid": row.who, "body": body, "hash": digest,
                }
            )  # fmt: skip
            if salt is not None:
                subjects.append({**name, "salt": salt, "srid": srid})
        self._insert(schema.events, log)
        self._insert(schema.subjects, subjects)
        self._insert(
            schema.cursors,
            [
                {"node": node, "epoch": epoch, "upto": seq, "chain": chains[node, epoch], "t": START, "top": seq}
                for (node, epoch), seq in upto.items()
            ],
        )

    def _insert(self, table: Table, rows: Iterable[dict[str, Any]]) -> None:
        defaults = {c.name: c.default.arg for c in table.c if isinstance(c.default, ColumnDefault)}
        listed = [{**defaults, **row} for row in rows]
        if not listed:
            return
        columns = [column for column in table.c if column.name in listed[0]]
        names = ",".join(f'"{column.name}"' for column in columns)
        sql = f'INSERT INTO "{table.name}" ({names}) VALUES ({",".join("?" * len(columns))})'
        self._db.executemany(sql, ([_cell(column.type, row[column.name]) for column in columns] for row in listed))


def _cell(kind: Any, value: Any) -> Any:
    return json.dumps(value) if isinstance(kind, JSON) and value is not None else value


if __name__ == "__main__":
    print(Maker(Path(sys.argv[1])).make(int(sys.argv[2])))
