"""Without a feed: the open loans of the ILS found by asking for one own item after another (SIP2 17), the last resort."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from edge.ils.feeds import FeedError, LoanThere
from edge.ils.port import ItemSaid
from edge.replica import Replica

AT_ONCE = 4
"""Questions under way."""

_PAGE = 100
_OUT = frozenset({"04", "05", "07", "11"})  # SIP2 2.00 circulation status: charged in its several ways


class AskedLoans:
    """Open loans by ``ask`` (``IlsPort.item``) over every own item that the replica holds; whose they are, SIP2 17 does not say.

    ``pause_s`` between two pages of a hundred items, so that a night's questions do not crowd an ILS.
    """

    def __init__(
        self, ask: Callable[[str], Awaitable[ItemSaid | None]], replica: Replica, org: str, *, pause_s: float = 0.2
    ) -> None:
        self._ask, self._replica, self._org, self._pause_s = ask, replica, org, pause_s

    async def open_loans(self) -> AsyncGenerator[list[LoanThere], None]:
        """Every open loan in pages. Raises FeedError ILS_AWAY where a question is not answered: half a picture is none."""
        after = ""
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(item_no: str) -> LoanThere | None:
            async with slots:
                said = await self._ask(item_no)
            if said is None:
                raise FeedError("ILS_AWAY", "the ILS did not answer for an item")
            return LoanThere(item_no, "", said.due_ms) if said.circulation in _OUT else None

        while page := self._replica.items_after(self._org, after, _PAGE):
            found = await asyncio.gather(*(one(item_no) for item_no in page))
            yield [loan for loan in found if loan is not None]
            after = page[-1]
            await asyncio.sleep(self._pause_s)
