"""Work for the members' own ILS: what each must book of events at other libraries' branches, and what became of it.

Written in the transaction of the events themselves and named by (library, event), so that a batch sent twice is work once. What
happened at a library's own branch its own node books by itself (``consortium.mastership``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import bindparam, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.agreement import Master
from consortium.bundle import Policy
from consortium.events import Event, Kind
from consortium.fold import Logged
from consortium.identity import org_of_branch
from consortium.mastership import bookings
from hub.store.engine import execute_rows, insert_new
from hub.store.schema import ils_work

_MOVES = frozenset({Kind.CHECKOUT, Kind.RENEW, Kind.RETURN, Kind.RECEIVE})
_IMPORTED = "IMPORTED"  # open before the library joined: its ILS knows
RETAKE_MS = 24 * 3_600_000
"""Work that was taken and is not done after this time is sent once more: the box that took it may be gone."""


class WorkState(StrEnum):
    """Where a job stands: TAKEN = durable at an edge; BOOKED and REFUSED are what the ILS said in the end."""

    WAITING = "WAITING"
    TAKEN = "TAKEN"
    BOOKED = "BOOKED"
    REFUSED = "REFUSED"


def keepers(policy: Policy) -> frozenset[str]:
    """The libraries whose own ILS keeps their loans."""
    return frozenset(org for org, library in policy.libraries.items() if library.masters.loans is Master.ILS)


async def fold_in(conn: AsyncConnection, policy: Policy | None, covered: Sequence[Logged], now: int) -> set[str]:
    """Take what these events give rise to and what they say of earlier work; gives the libraries that have new work.

    Nothing at all is looked at where no library of the policy keeps an ILS in charge of its loans.
    """
    keep = keepers(policy) if policy is not None else frozenset()
    if not keep or policy is None:
        return set()
    rows: list[dict[str, Any]] = []
    said: list[Event] = []
    for one in covered:
        event = one.event
        if event.kind in _MOVES:
            item = event.item
            if item is not None and item[0] in keep and _IMPORTED not in event.data.get("flags", ()):
                rows += _rows(policy, event, now)
        elif event.kind is Kind.ILS_OBSERVED and event.data["what"] in ("BOOKED", "REFUSED") and event.data.get("ref"):
            said.append(event)
    await execute_rows(conn, insert_new(conn, ils_work), rows)
    if said:
        await _settle(conn, said)
    return {row["org"] for row in rows}


def _rows(policy: Policy, event: Event, now: int) -> list[dict[str, Any]]:
    # What is issued again under another epoch was said once already.
    name, place = event.reissue_of or event.name, org_of_branch(event.branch)
    return [
        {
            "org": one.org, "of": name, "task": one.task.value, "owner": one.item.owner, "item_no": one.item.item_no, "t": one.t,
            "due": one.due, "home": one.home, "state": WorkState.WAITING.value, "node": None, "made_ms": now,
            "taken_ms": None, "done_ms": None,
        }
        for one in bookings(policy, event)
        if one.org != place
    ]  # fmt: skip


_DONE = (
    update(ils_work)
    .where(ils_work.c.org == bindparam("whose"), ils_work.c.of == bindparam("about"))
    .values(state=bindparam("said"), node=bindparam("by"), done_ms=bindparam("at"))
)


async def _settle(conn: AsyncConnection, said: Iterable[Event]) -> None:
    """Outcomes, the last one last: what was refused and then booked by hand is booked."""
    for event in sorted(said, key=lambda one: one.order):
        values = {
            "whose": org_of_branch(event.branch), "about": event.data["ref"], "said": event.data["what"], "by": event.node,
            "at": event.t_eff,
        }  # fmt: skip
        await conn.execute(_DONE, values)


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work as it travels; the fields of the ``work`` message."""

    org: str
    of: str
    task: str
    owner: str
    item_no: str
    t: int
    due: int | None
    home: str

    def to_data(self) -> dict[str, Any]:
        """The data of the message."""
        return {name: getattr(self, name) for name in self.__slots__}


_TO_SEND = select(*(ils_work.c[name] for name in Job.__slots__)).where(
    ils_work.c.org == bindparam("whose"),
    or_(
        ils_work.c.state == WorkState.WAITING.value,
        (ils_work.c.state == WorkState.TAKEN.value) & (ils_work.c.taken_ms < bindparam("taken_before")),
    ),
)


async def to_send(conn: AsyncConnection, org: str, now: int, *, most: int) -> list[Job]:
    """A library's work that no edge holds, in the order of its events."""
    query = _TO_SEND.order_by(ils_work.c.t, ils_work.c.of).limit(most)
    return [Job(*row) for row in await conn.execute(query, {"whose": org, "taken_before": now - RETAKE_MS})]


async def waiting_for(conn: AsyncConnection, now: int) -> list[str]:
    """Libraries that have work to be sent, sorted."""
    late = (ils_work.c.state == WorkState.TAKEN.value) & (ils_work.c.taken_ms < now - RETAKE_MS)
    query = select(ils_work.c.org).where(or_(ils_work.c.state == WorkState.WAITING.value, late)).distinct()
    return sorted((await conn.execute(query)).scalars())


async def take(conn: AsyncConnection, taken: Iterable[tuple[str, str, str]], now: int) -> None:
    """Note that edges hold this work durably: (library, event, node). What is done already stays done."""
    open_ = ils_work.c.state.in_((WorkState.WAITING.value, WorkState.TAKEN.value))
    for org, of, node in taken:
        where = (ils_work.c.org == org) & (ils_work.c.of == of) & open_
        await conn.execute(update(ils_work).where(where).values(state=WorkState.TAKEN.value, node=node, taken_ms=now))


async def counts(conn: AsyncConnection) -> Mapping[str, int]:
    """How many jobs stand in each state, none left out."""
    rows = await conn.execute(select(ils_work.c.state, func.count()).group_by(ils_work.c.state))
    return {**dict.fromkeys((state.value for state in WorkState), 0), **{row[0]: row[1] for row in rows}}
