"""What a library's ILS says of its own readers, as blocks: BLOCKED or EXPIRED sets one of kind ILS, ACTIVE lifts it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.events import Event, Kind
from consortium.fold import Logged
from consortium.identity import org_of_branch
from hub.store.engine import execute_rows, insert
from hub.store.schema import blocks, readers

ILS = "ILS"
"""The kind of a block that follows what an ILS says of its reader."""

_STOPS = frozenset({"BLOCKED", "EXPIRED"})
_ACTIONS = ("BORROW", "HOLD", "RENEW")


@dataclass(frozen=True, slots=True)
class Move:
    """A block set or lifted in the table, and what its event says."""

    kind: Kind
    branch: str
    device: str
    data: dict[str, Any]
    rid: str


def observed(covered: Sequence[Logged]) -> list[tuple[Event, str]]:
    """What these events say of readers that the hub knows."""
    return [
        (one.event, one.who)
        for one in covered
        if one.event.kind is Kind.ILS_OBSERVED and one.event.data["what"] == "READER" and one.who is not None
    ]


async def move(conn: AsyncConnection, said: Sequence[tuple[Event, str]]) -> list[Move]:
    """Write the blocks that follow, in the order of the observations' own times; gives the events to be said.

    A library speaks for its own readers alone. An observation older than the last one taken changes nothing.
    """
    out: list[Move] = []
    for event, rid in sorted(said, key=lambda one: (one[0].data["as_of"], one[0].order)):
        org, status, at = org_of_branch(event.branch), event.data.get("status", ""), event.data["as_of"]
        if status not in _STOPS | {"ACTIVE"}:
            continue
        home = (await conn.execute(select(readers.c.home).where(readers.c.rid == rid))).scalar_one_or_none()
        if home != org:
            continue
        name = block_id(org, rid)
        row = (await conn.execute(select(blocks).where(blocks.c.id == name))).one_or_none()
        if row is not None and at < max(row.from_ms, row.to_ms or 0):
            continue
        stands = row is not None and row.to_ms is None
        if stands == (status in _STOPS):
            continue
        if status == "ACTIVE":
            await conn.execute(update(blocks).where(blocks.c.id == name).values(to_ms=at))
            out.append(Move(Kind.BLOCK_LIFTED, event.branch, event.device, {"block": name}, rid))
            continue
        said_ = {
            "issuer": org, "scope": "issuer", "kind": ILS, "actions": list(_ACTIONS), "from_ms": at,
        }  # fmt: skip
        if row is None:
            await execute_rows(
                conn, insert(conn, blocks), [{"id": name, "rid": rid, **said_, "to_ms": None, "reason": status}]
            )
        else:
            values = {"from_ms": at, "to_ms": None, "reason": status}
            await conn.execute(update(blocks).where(blocks.c.id == name).values(values))
        out.append(Move(Kind.BLOCK_SET, event.branch, event.device, {"block": name, **said_}, rid))
    return out


def block_id(org: str, rid: str) -> str:
    """The one block of a library's ILS on a reader."""
    return "ils-" + hashlib.sha256(f"{org}|{rid}".encode()).hexdigest()[:32]
