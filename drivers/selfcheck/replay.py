"""A transaction that comes again after a reconnect is answered as the first time.

A kiosk that lost its connection logs in again and counts AY from anew, so AY and AZ cannot show the repeat. What can
is (account, code, AA, AB, transaction date). One transaction is kept per item: when
the same account has done something else with the item since, the old answer is no longer true and is not given again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from drivers.selfcheck.kiosk import Account, Reply
from protocols.sip2 import Message

__all__ = ["Replays"]

_OF_ITEM = frozenset({"09", "11", "29"})
_OF_READER = frozenset({"01", "15", "25", "37", "65"})
_DONE = (("ok", "1"), ("payment_accepted", "Y"))


@dataclass(frozen=True, slots=True)
class _Seen:
    identity: tuple[object, ...]
    since: float
    outcome: asyncio.Future[Reply]


class Replays:
    """The last transaction of each item and account, for `window_s` seconds and at most `max_kept` in number.

    Only what was done is kept: a refusal changed nothing, and asking again may meet better luck.
    """

    def __init__(self, *, window_s: float = 600.0, max_kept: int = 10_000) -> None:
        self._window_s = window_s
        self._max_kept = max_kept
        self._seen: OrderedDict[tuple[str, str, str], _Seen] = OrderedDict()

    async def once(
        self, account: Account, request: Message, now: float, execute: Callable[[], Awaitable[Reply]]
    ) -> tuple[Reply, bool]:
        """The reply to a request, and whether it was executed before; `execute` is awaited unless it was.

        While the first one is still being executed, the repeat waits for it. Raises what `execute` raises.
        """
        slot, identity = _keys(account, request)
        if slot is None:
            return await execute(), False
        seen = self._seen.get(slot)
        if seen is not None and seen.identity == identity and now - seen.since <= self._window_s:
            return await asyncio.shield(seen.outcome), True
        mine = _Seen(identity, now, asyncio.get_running_loop().create_future())
        self._keep(slot, mine)
        try:
            reply = await execute()
        except BaseException as error:
            self._forget(slot, mine)
            if not mine.outcome.done():
                mine.outcome.set_exception(error if isinstance(error, Exception) else TimeoutError())
                mine.outcome.exception()  # marked as seen: nobody may be waiting
            raise
        mine.outcome.set_result(reply)
        if not any(reply.fixed.get(name) == done for name, done in _DONE):
            self._forget(slot, mine)
        return reply, False

    def _keep(self, slot: tuple[str, str, str], mine: _Seen) -> None:
        self._seen[slot] = mine
        self._seen.move_to_end(slot)
        while len(self._seen) > self._max_kept:
            self._seen.popitem(last=False)

    def _forget(self, slot: tuple[str, str, str], mine: _Seen) -> None:
        if self._seen.get(slot) is mine:
            del self._seen[slot]


def _keys(account: Account, request: Message) -> tuple[tuple[str, str, str] | None, tuple[object, ...]]:
    """Where a transaction is kept and what makes it the same one. Undated messages have no place."""
    date = request.fixed.get("transaction_date", "")
    item_no = request.get("AB")
    if not date.strip():
        return None, ()
    if request.code in _OF_ITEM and item_no:
        # An off-line record and a cancel are intents of their own, though they name the same item and second.
        intent = (request.fixed.get("no_block"), request.get("BI"))
        return (account.user, "item", item_no), (request.code, request.get("AA"), date, intent)
    if request.code in _OF_READER:
        # Two fees paid in one second differ only in their fields.
        fields = tuple(pair for pair in request.fields if pair[0] not in ("AC", "AD"))
        return (account.user, request.code, request.get("AA")), (tuple(request.fixed.items()), fields)
    return None, ()
