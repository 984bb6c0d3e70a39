"""The second pass: what all facts together say against the loans that this transaction opened or changed (``consortium.review``).

A loan that the hub itself allowed, online, and that came back while its reservation stood is not looked at: the hub decided it over
these same facts, and nothing that it decided meanwhile could pass the reservation by. Every other new loan makes its reader and its
item dirty, and so does whatever folded again, and what is learned later of blocks and cards. A dirty reader's loans are judged from
the first instant that changed; those before it stand as they were judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.bundle import Policy
from consortium.corrections import Change, Correction
from consortium.events import Event, Kind
from consortium.fold import Logged
from consortium.review import Breach, PolicyAt, conflicts_of, review_item, review_reader
from consortium.states import Hold, Loan
from hub.decide.reservations import LASTS_MS
from hub.identity.keys import Identity
from hub.ledger import disputes
from hub.ledger.changes import Told
from hub.ledger.histories import ItemsChanged
from hub.ledger.items import Key
from hub.ledger.policies import Policies
from hub.ledger.readers import Person, persons
from hub.ledger.rows import is_person, loan_of
from hub.store.chunks import chunks
from hub.store.schema import items, loans

_ITEM_KINDS = frozenset({"CF_HELD_FOR_OTHER", "CF_ITEM_NOT_LENDABLE"})
_READER_KINDS = disputes.REVIEW_KINDS - _ITEM_KINDS
_OF_ITEM = frozenset({"POLICY_BREACH:ITEM_HELD", "POLICY_BREACH:ITEM_REFERENCE"})
_ABOUT_READERS = frozenset({Kind.BLOCK_SET, Kind.BLOCK_LIFTED, Kind.CARD_STATUS})
_IMPORTED = "IMPORTED"


@dataclass(slots=True)
class Dirty:
    """Whom and what to look at: readers with the first instant that changed and the event that changed it; loans by item."""

    readers: dict[str, tuple[int, str]] = field(default_factory=dict)
    items: dict[Key, list[Loan]] = field(default_factory=dict)
    new: set[str] = field(default_factory=set)
    """Loans that nobody was told of before."""

    def reader(self, rid: str, since: int, cause: str) -> None:
        """A reader, from an instant (ms UTC) on."""
        if is_person(rid) and (rid not in self.readers or since < self.readers[rid][0]):
            self.readers[rid] = (since, cause)


@dataclass(slots=True)
class Reviewed:
    """What the second pass found: kinds of the conflicts it opened, and what it changed of what was told before."""

    conflicts: list[str] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)


def dirty(moved: ItemsChanged, covered: Sequence[Logged], now: int) -> Dirty:
    """Whom and what these changes concern."""
    out = Dirty()
    said = {one.event.name: one.event for one in covered if one.event.kind is Kind.CHECKOUT}
    for loan in moved.opened:
        out.new.add(loan.id)
        if loan.observed or _IMPORTED in loan.flags or _decided_here(said.get(loan.id), now):
            continue
        out.reader(loan.who, loan.t_out, loan.id)
        out.items.setdefault((loan.owner, loan.item_no), []).append(loan)
    for redone in moved.redone:
        before = redone.before.loans
        out.new.update(loan.id for loan in redone.after.loans if loan.id not in before)
        out.items[redone.after.owner, redone.after.item_no] = [
            loan for loan in redone.after.loans if _IMPORTED not in loan.flags
        ]
        after = {loan.id: loan for loan in redone.after.loans}
        for name in before.keys() | after.keys():
            was, is_ = before.get(name), after.get(name)
            for either in (was, is_) if was != is_ else ():
                if either is not None:
                    out.reader(either.who, either.t_out, redone.cause)
    for one in covered:
        if one.who is not None and one.event.kind in _ABOUT_READERS:
            out.reader(one.who, one.event.t_eff, one.event.name)
    return out


def _decided_here(event: Event | None, now: int) -> bool:
    record = event.decision if event is not None else None
    return (
        record is not None
        and (record.get("f"), record.get("s"), record.get("m")) == ("borrow", "hub", "ONLINE")
        and 0 <= now - int(record.get("t", 0)) <= LASTS_MS
    )


async def add_item(conn: AsyncConnection, found: Dirty, key: Key) -> None:
    """Add an item whose holds changed, with every loan of it."""
    query = select(loans).where(loans.c.owner == key[0], loans.c.item_no == key[1])
    every = [loan_of(row) for row in await conn.execute(query)]
    found.items[key] = [loan for loan in every if _IMPORTED not in loan.flags]


_BREACHED = select(loans.c.rid).where(loans.c.breaches.is_not(None), loans.c.rid.in_(bindparam("rids", expanding=True)))


async def freed(conn: AsyncConnection, found: Dirty, ended: Iterable[Loan]) -> None:
    """Add readers of loans that ended, where a loan of theirs stands marked: it may have been within the limit after all."""
    first: dict[str, Loan] = {}
    for loan in ended:
        if is_person(loan.who) and (loan.who not in first or _end(loan) < _end(first[loan.who])):
            first[loan.who] = loan
    for part in chunks(sorted(first)):
        for rid in (await conn.execute(_BREACHED, {"rids": part})).scalars():
            loan = first[rid]
            found.reader(rid, _end(loan), loan.end_event or loan.id)


def _end(loan: Loan) -> int:
    return loan.t_out if loan.t_end is None else loan.t_end


async def review(
    conn: AsyncConnection,
    identity: Identity,
    policies: Policies,
    policy: Policy | None,
    found: Dirty,
    holds: Mapping[Key, Sequence[Hold]],
    now: int,
) -> Reviewed:
    """Judge what is dirty, mark loans and open conflicts, and take back what no longer stands. ``now`` in ms UTC."""
    out = Reviewed()
    if not found.readers and not found.items:
        return out
    at = await policies.by_time(conn, policy)
    people = await persons(conn, identity, {rid: since for rid, (since, _) in found.readers.items()})
    verdicts: dict[str, _Verdict] = {}
    for rid, person in people.items():
        since, cause = found.readers[rid]
        _judge_reader(at, person, since, cause, verdicts)
    await _judge_items(conn, found, holds, people, verdicts)
    changed = [one for one in verdicts.values() if one.flags != one.marked]
    if changed:
        await _mark(conn, changed, found, out, now)
    return out


@dataclass(slots=True)
class _Verdict:
    """What a loan is marked with, what it should be marked with after this pass, and for which kinds it was looked at."""

    loan: Loan
    marked: frozenset[str]
    flags: frozenset[str]
    cause: str
    breaches: list[Breach] = field(default_factory=list)
    kinds: frozenset[str] = frozenset()


def _judge_reader(at: PolicyAt, person: Person, since: int, cause: str, verdicts: dict[str, _Verdict]) -> None:
    breaches = review_reader(lambda t: at(t) if t >= since else None, person.timeline)
    against: dict[str, list[Breach]] = {}
    for breach in breaches:
        against.setdefault(breach.loan, []).append(breach)
    for loan in person.timeline.loans:
        if loan.t_out < since:
            continue
        marked = person.marked.get(loan.id, frozenset())
        found = against.get(loan.id, [])
        flags = (marked & _OF_ITEM) | {breach.flag for breach in found}
        verdicts[loan.id] = _Verdict(loan, marked, frozenset(flags), cause, found, _READER_KINDS)


_OPEN_LOANS = select(loans.c.id, loans.c.breaches).where(loans.c.id.in_(bindparam("ids", expanding=True)))
_REFERENCE = select(items.c.owner, items.c.item_no).where(items.c.reference.is_(True))


async def _judge_items(
    conn: AsyncConnection,
    found: Dirty,
    holds: Mapping[Key, Sequence[Hold]],
    people: Mapping[str, Person],
    verdicts: dict[str, _Verdict],
) -> None:
    reference = {key for person in people.values() for key in person.reference}
    unseen = {loan.id for of_item in found.items.values() for loan in of_item} - verdicts.keys()
    marked: dict[str, frozenset[str]] = {}
    for part in chunks(sorted(unseen)):
        for row in await conn.execute(_OPEN_LOANS, {"ids": part}):
            marked[row.id] = frozenset(row.breaches or ())
    for key, of_item in found.items.items():
        if any(loan.id in unseen for loan in of_item):
            query = _REFERENCE.where(items.c.owner == key[0], items.c.item_no == key[1])
            reference.update((row.owner, row.item_no) for row in await conn.execute(query))
        breaches = review_item(of_item, holds.get(key, ()), reference=key in reference)
        for loan in of_item:
            mine = [breach for breach in breaches if breach.loan == loan.id]
            verdict = verdicts.get(loan.id)
            if verdict is None:
                was = marked.get(loan.id, frozenset())
                verdict = verdicts[loan.id] = _Verdict(loan, was, was, loan.id)
            verdict.flags = (verdict.flags - _OF_ITEM) | {breach.flag for breach in mine}
            verdict.breaches += mine
            verdict.kinds |= _ITEM_KINDS


_MARK = (
    update(loans).where(loans.c.id == bindparam("of")).values(breaches=bindparam("marks", type_=loans.c.breaches.type))
)


async def _mark(conn: AsyncConnection, changed: Sequence[_Verdict], found: Dirty, out: Reviewed, now: int) -> None:
    await conn.execute(_MARK, [{"of": one.loan.id, "marks": sorted(one.flags) or None} for one in changed])
    gone: dict[str, _Verdict] = {}
    opened: list[disputes.Dispute] = []
    changes: dict[str, list[Correction]] = {}
    for one in changed:
        loan, against = one.loan, {breach.kind: breach for breach in one.breaches}
        for conflict in conflicts_of(one.breaches, [loan]):
            breach = against.pop(conflict.kind)
            if breach.flag in one.marked:
                continue
            opened.append(disputes.Dispute(conflict, [loan], breach.codes))
            said = {"kind": conflict.kind, "loan": loan.id, "codes": list(breach.codes)}
            told = Correction(Change.CONFLICT_OPENED, conflict.id, loan.owner, loan.item_no, {}, said)
            changes.setdefault(loan.id, []).append(told)
        if one.marked - one.flags:
            kinds = one.kinds - {breach.kind for breach in one.breaches}
            gone.update({f"{kind}:{loan.id}": one for kind in kinds})
    for name in await disputes.standing(conn, gone):
        loan = gone[name].loan
        said = {"kind": name.partition(":")[0], "loan": loan.id}
        told = Correction(Change.CONFLICT_DISSOLVED, name, loan.owner, loan.item_no, said, {})
        changes.setdefault(loan.id, []).append(told)
    await disputes.open_(conn, opened, now)
    await disputes.dissolve(conn, gone)
    out.conflicts = [one.conflict.kind for one in opened]
    # What is said of a loan for the first time corrects nothing.
    causes = {one.loan.id: one.cause for one in changed}
    out.told = [Told(causes[loan], found_) for loan, found_ in changes.items() if loan not in found.new]
