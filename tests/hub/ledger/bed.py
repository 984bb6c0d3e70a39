"""What the ledger's tests share: a consortium whose policy was in force all along, and the hub's own events."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from sqlalchemy import Table

from consortium.events import Kind
from hub.ingest import HubEvent
from hub.store import schema
from tests.hub.api import world
from tests.hub.api.world import BRANCHES, CQU, DAY, Edge
from tests.hub.core import Core, running
from tests.make import NOW

TERMS = {"period_days": 20, "renewals": 2, "fine_per_day": 10, "max_fine": 500}


def in_force(folder: Path, **more: Any) -> AbstractAsyncContextManager[Core]:
    """A core whose bundle was issued a hundred days ago."""
    bundle = {**world.bundle(NOW), "issued_ms": NOW - 100 * DAY, "valid_from_ms": NOW - 100 * DAY, **more}
    return running(folder, more={"bundle": bundle})


async def by_hub(core: Core, kind: Kind, data: dict[str, Any], *, rid: str | None = None, at: int | None = None) -> str:
    """An event of the hub's own; gives its id."""
    async with core.store.write() as conn:
        committed = await core.ingest.record(conn, [HubEvent(kind, BRANCHES[CQU], "hub", data, rid, t_eff=at)])
    core.ingest.tell(committed)
    return committed.ids[0]


async def only(core: Core, table: Table, **where: Any) -> dict[str, Any]:
    """The one row of a table that has these values."""
    (found,) = [row for row in await core.rows(table) if all(row[name] == value for name, value in where.items())]
    return found


async def loan(core: Core, item_no: str) -> dict[str, Any]:
    """The one loan of an item."""
    return await only(core, schema.loans, item_no=item_no)


def lend(edge: Edge, at: int, item: tuple[str, str], rid: str, home: str, *, due: int, **more: Any) -> None:
    """A loan with terms."""
    data = {"item": list(item), "type": "BOOK", "home": home, "due": due, "terms": TERMS, **more}
    edge.say(Kind.CHECKOUT, at, data, rid=rid, decision=edge.decision("borrow", ["OK"], at))
