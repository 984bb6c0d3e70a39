"""A transaction that comes again after a reconnect is answered as the first time.

A kiosk that lost its connection logs in again and counts AY from anew, so AY and AZ cannot show the repeat. What can
is (account, code, AA, AB, transaction date). One transaction is kept per item: when
the same account has done something else with the item since, the old answer is no longer true and is not given again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

from drivers.selfcheck.kiosk import Account, Reply
from protocols.sip2 import Message

__all__ = ["KEPT", "Replays", "Seen", "outcome_of"]

_OF_ITEM = frozenset({"09", "11", "29"})
_OF_READER = frozenset({"01", "15", "25", "37", "65"})
KEPT = _OF_ITEM | _OF_READER
"""Requests that are transactions: all others are executed whenever they come."""
_Slot = tuple[str, str, str, str]
"""Institution, user, kind, number."""


@dataclass(slots=True, eq=False)
class Seen:
    """A transaction: its answer once it has one, and what a repeat waits on until then."""

    slot: _Slot
    identity: tuple[object, ...]
    since: float
    reply: Reply | None = None
    waited_for: asyncio.Future[Reply] | None = None


class Replays:
    """The last transaction of each item and account, for `window_s` seconds and at most `max_kept` in number.

    Only what was done is kept: a refusal changed nothing, and asking again may meet better luck.
    """

    def __init__(self, *, window_s: float = 600.0, max_kept: int = 10_000) -> None:
        self._window_s = window_s
        self._max_kept = max_kept
        self._seen: OrderedDict[_Slot, Seen] = OrderedDict()

    def look(self, account: Account, request: Message, now: float) -> tuple[Seen | None, Seen | None]:
        """What is known of a transaction: the one before, or a place for this one, or neither (it is executed as it comes).

        Whoever gets a place calls `done` or `failed` with it; whoever gets the one before awaits `outcome_of` it.
        """
        slot, identity = _keys(account, request)
        if slot is None:
            return None, None
        seen = self._seen.get(slot)
        if seen is not None and seen.identity == identity and now - seen.since <= self._window_s:
            return seen, None
        mine = Seen(slot, identity, now)
        self._keep(mine)
        return None, mine

    def done(self, mine: Seen, reply: Reply) -> None:
        """A transaction has its answer; it is kept where something was done."""
        mine.reply = reply
        if mine.waited_for is not None and not mine.waited_for.done():
            mine.waited_for.set_result(reply)
        if reply.fixed.get("ok") != "1" and reply.fixed.get("payment_accepted") != "Y":
            self._forget(mine)

    def failed(self, mine: Seen, error: BaseException) -> None:
        """A transaction has no answer: who waits for it fails alike, who comes later has it executed."""
        self._forget(mine)
        if mine.waited_for is not None and not mine.waited_for.done():
            mine.waited_for.set_exception(error if isinstance(error, Exception) else TimeoutError())
            mine.waited_for.exception()  # marked as seen: whoever waited may have gone

    def _keep(self, mine: Seen) -> None:
        self._seen[mine.slot] = mine
        self._seen.move_to_end(mine.slot)
        while len(self._seen) > self._max_kept:
            self._seen.popitem(last=False)

    def _forget(self, mine: Seen) -> None:
        if self._seen.get(mine.slot) is mine:
            del self._seen[mine.slot]


async def outcome_of(seen: Seen) -> Reply:
    """The answer of a transaction, waited for where it is still being executed. Raises what its execution raised."""
    if seen.reply is not None:
        return seen.reply
    if seen.waited_for is None:
        seen.waited_for = asyncio.get_running_loop().create_future()
    return await asyncio.shield(seen.waited_for)


def _keys(account: Account, request: Message) -> tuple[_Slot | None, tuple[object, ...]]:
    """Where a transaction is kept and what makes it the same one. Undated messages have no place."""
    date = request.fixed.get("transaction_date", "")
    if not date or date.isspace():
        return None, ()
    item_no = request.get("AB")
    if request.code in _OF_ITEM and item_no:
        # An off-line record and a cancel are intents of their own, though they name the same item and second.
        intent = (request.fixed.get("no_block"), request.get("BI"))
        return (account.institution, account.user, "item", item_no), (request.code, request.get("AA"), date, intent)
    if request.code in _OF_READER:
        # Two fees paid in one second differ only in their fields.
        fields = tuple(pair for pair in request.fields if pair[0] not in ("AC", "AD"))
        return (account.institution, account.user, request.code, request.get("AA")), (
            tuple(request.fixed.items()),
            fields,
        )
    return None, ()
