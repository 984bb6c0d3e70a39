"""From events newly inside a prefix to every projection, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.bundle import Policy
from consortium.clocks import Clocks, Correction
from consortium.events import HOLD_KINDS, ITEM_KINDS, VISIT_KINDS, Event, Kind
from consortium.fold import Logged
from hub.identity.keys import Identity
from hub.ils import work
from hub.ledger import changes, charges, clocks, disputes, histories, holds, payments, review, strangers, visits
from hub.ledger.charges import Owing
from hub.ledger.histories import ItemsChanged
from hub.ledger.items import Key
from hub.ledger.log import Taken
from hub.ledger.policies import Policies
from hub.store.engine import execute_rows, insert_new, upsert
from hub.store.schema import decisions, devices


@dataclass(slots=True)
class Changed:
    """What the projections moved: what replicas and counters have to hear of. ``reservations`` were consumed by a CHECKOUT."""

    items: dict[Key, frozenset[str]] = field(default_factory=dict)
    rids: set[str] = field(default_factory=set)
    conflicts: list[str] = field(default_factory=list)
    reservations: list[str] = field(default_factory=list)
    refolded: int = 0
    work_for: set[str] = field(default_factory=set)
    """Libraries whose own ILS has new work."""


@dataclass(slots=True)
class Memory:
    """What a process keeps at hand between transactions; all of it can be read again from the log."""

    identity: Identity
    clocks: clocks.ClockBook = field(default_factory=clocks.ClockBook)
    policies: Policies = field(default_factory=Policies)


def first_branches(policy: Policy | None) -> dict[str, str]:
    """Each library's first branch: where an item that no catalogue knows is at home."""
    out: dict[str, str] = {}
    for branch in sorted(policy.branches.values(), key=lambda one: one.id) if policy else ():
        out.setdefault(branch.org, branch.id)
    return out


async def project(
    conn: AsyncConnection, taken: Taken, policy: Policy | None, memory: Memory, known: Clocks | None, now: int
) -> Changed:
    """Fold and project what a transaction took. ``known``: the clocks as it began; ``now`` in ms UTC."""
    out = Changed()
    covered = taken.covered
    measured = [(one.event.name, Correction.of(one.event)) for one in covered if one.event.kind is Kind.CLOCK_CORRECTED]
    moved = clocks.Moved()
    if measured and (newest := await memory.clocks.read(conn)) is not None:
        known = newest
        moved = await clocks.move(conn, newest, measured)
        covered = [replace(one, event=newest.corrected(one.event)) for one in covered]
    met = await strangers.recognise(conn)
    covered = [strangers.named(one, met) for one in covered] if met.names else covered

    of_visits = [one for one in covered if one.event.kind in VISIT_KINDS]
    again = moved.visits.keys() | met.visits.keys()
    if of_visits or again:
        out.refolded += await visits.fold_in(conn, of_visits, again, known)
    if moved.alone and known is not None:
        await visits.fold_alone(conn, moved.alone, known)
    taken_ = [row for one in covered if (row := _decision_row(one.event)) is not None]
    await execute_rows(conn, insert_new(conn, decisions), taken_)
    await _items(
        conn, taken, covered, {**moved.items, **met.items}, moved.holds | met.holds, policy, memory, known, now, out
    )
    if any(one.event.kind in payments.KINDS for one in covered):
        await payments.fold_in(conn, covered)
    out.work_for = await work.fold_in(conn, policy, covered, now)
    await disputes.settle(conn, [one.event for one in covered if one.event.kind is Kind.CONFLICT_SETTLED])
    await _devices(conn, [one.event for one in covered if one.event.kind is Kind.DEVICE])
    out.reservations = [
        reservation
        for one in covered
        if one.event.kind is Kind.CHECKOUT and (reservation := one.event.data.get("reservation"))
    ]
    return out


async def _items(
    conn: AsyncConnection,
    taken: Taken,
    covered: Sequence[Logged],
    again: dict[Key, str],
    holds_again: set[Key],
    policy: Policy | None,
    memory: Memory,
    known: Clocks | None,
    now: int,
    out: Changed,
) -> None:
    """Items, their holds, the second pass over both, and the records of what changed."""
    of_items = [one for one in covered if one.event.kind in ITEM_KINDS and one.event.item is not None]
    moved = ItemsChanged()
    if of_items or again:
        moved = await histories.fold_in(conn, of_items, first_branches(policy), now, again=again, clocks=known)
        out.items, out.rids, out.conflicts = moved.items, moved.rids, moved.conflicts
        out.refolded += len(moved.redone)
    waited_for = await holds.fold_in(conn, covered, {*holds_again, *(redone.key for redone in moved.redone)}, known)
    spoken_of = {one.event.item for one in covered if one.event.kind in HOLD_KINDS and one.event.item} | holds_again
    for key in spoken_of:
        out.items.setdefault(key, frozenset())
    dirty = review.dirty(moved, covered, now)
    await review.freed(conn, dirty, moved.ended)
    for key in spoken_of:
        await review.add_item(conn, dirty, key)
    found = await review.review(conn, memory.identity, memory.policies, policy, dirty, waited_for, now)
    out.conflicts += found.conflicts
    told = [changes.Told(redone.cause, redone.changes) for redone in moved.redone]
    await changes.write(conn, [*told, *found.told], taken.positions, max(taken.last_pos, taken.first_pos - 1), now)
    owing = charges.concerned(moved.ended)
    for redone in moved.redone:
        owing += charges.concerned(redone.after.loans, redone.cause)
        kept = {loan.id for loan in redone.after.loans}
        owing += [
            Owing(loan, redone.cause, gone=True) for name, loan in redone.before.loans.items() if name not in kept
        ]
    if owing and policy is not None:
        await charges.book(conn, policy, owing, taken.positions, taken.first_pos, now)


def _decision_row(event: Event) -> dict[str, Any] | None:
    record = event.decision
    if record is None:
        return None
    return {
        "id": str(event.id), "function": record["f"], "outcome": record["o"], "primary_code": record["c"][0],
        "codes": record["c"], "branch": event.branch, "device": event.device, "home": event.data.get("home"),
        "t": record.get("t", event.t_eff), "source": record["s"], "mode": record["m"], "policy_version": record["pv"],
        "record": record,
    }  # fmt: skip


async def _devices(conn: AsyncConnection, events: Sequence[Event]) -> None:
    """The last word of each device in this batch; one that comes late changes nothing that is newer."""
    if not events:
        return
    rows = {}
    for event in sorted(events, key=lambda one: one.order):
        facts = {"reason": event.data["reason"]} if isinstance(event.data.get("reason"), str) else {}
        rows[event.node, event.device] = {
            "id": event.device, "node": event.node, "branch": event.branch, "kind": event.data["kind"],
            "state": event.data["state"], "since": event.t_eff, "last_seen": event.t_eff, "facts": facts,
        }  # fmt: skip
    statement = upsert(conn, devices, newer="since")
    await execute_rows(conn, statement, list(rows.values()))
