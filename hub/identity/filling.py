"""What an index that an earlier version wrote lacks: cut card numbers. They are written down once, before the hub serves anybody.

A snapshot gives every card its cut numbers but for those that the index knows to be several cards'; of an index without them it
would take the one twin for the other.
"""

from __future__ import annotations

import logging
from collections import Counter

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.identity.index import add_cut_numbers, warn_of_shared
from hub.identity.keys import Identity
from hub.store.engine import Store, execute_rows, insert_new
from hub.store.schema import cards, marks, readers

_log = logging.getLogger(__name__)

_MARK = "cut_numbers"
_PAGE = 5_000
"""Cards in one transaction: some 100 ms, so that another worker on the same database need not wait long."""
_TELL = 25_000  # cards between two lines of the log


async def is_filled(store: Store) -> bool:
    """Whether the index has the cut numbers of every card: filled once, or of a hub that began with them."""
    async with store.read() as conn:
        return (await conn.execute(select(marks.c.name).where(marks.c.name == _MARK))).first() is not None


async def fill(store: Store, identity: Identity) -> None:
    """Write down the cut numbers of every card, a page a transaction; broken off, it may begin again. ``filled`` ends it."""
    async with store.read() as conn:
        total = (await conn.execute(select(func.count()).select_from(cards))).scalar_one()
    _log.info("cut card numbers: %d cards to write down, once after the upgrade", total)
    shared: Counter[str] = Counter()
    last, done = "", 0
    while True:
        async with store.write() as conn:
            query = select(cards.c.uid, cards.c.rid, readers.c.home).join(readers, readers.c.rid == cards.c.rid)
            found = (await conn.execute(query.where(cards.c.uid > last).order_by(cards.c.uid).limit(_PAGE))).all()
            shared.update(await add_cut_numbers(conn, identity, [(row.home, row.rid, row.uid) for row in found]))
        if not found:
            break
        last = found[-1].uid
        done += len(found)
        if done % _TELL == 0:
            _log.info("cut card numbers: %d of %d cards written down", done, total)
    _log.info("cut card numbers: all %d cards written down", done)
    warn_of_shared(shared)


async def filled(conn: AsyncConnection, now: int) -> None:
    """Remember, in the transaction that makes it known to the replicas, that the index has them all."""
    await execute_rows(conn, insert_new(conn, marks), [{"name": _MARK, "t": now}])
