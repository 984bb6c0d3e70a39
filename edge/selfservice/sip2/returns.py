"""09: returns at kiosks, sorters and book drops (SIP2 2.00: Checkin)."""

from __future__ import annotations

from drivers.selfcheck import Reply
from edge.answers import Answer
from edge.desk import HowReturned
from edge.selfservice.sip2 import repeats
from edge.selfservice.sip2.call import Call
from edge.selfservice.sip2.dates import happened, instant
from edge.selfservice.sip2.front import Front
from edge.selfservice.sip2.routing import checkin_result, sort

CANCELS_CHECKOUT = "CHECKOUT_CANCELLED"
"""The flag of a return that undoes a loan which failed at the kiosk."""

_BATCHES = frozenset(("drop", "sorter"))
"""Machines that take items first and tell us later: their return date counts for fees."""


class Returns:
    """Answers about returns."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._desk = front.desk

    async def checkin(self, call: Call) -> Reply:
        """09 → 10: accepted, whatever is known; the reply says where the item goes."""
        memo = repeats.of_item(call)
        before = self._desk.answered(memo)
        if before is not None:
            if not self._desk.on_loan(before.key):
                await self._front.tag(call.account.pad, before, secured=True, undo=call.cancels)
            return self._returned(call, before)
        answer = await self._desk.give_back(call.item, call.device, memo=memo, how=self._how(call))
        self._front.count(call.device, "return", answer.code)
        if answer.ok:
            await self._front.tag(call.account.pad, answer, secured=True, undo=call.cancels)
        return self._returned(call, answer)

    def _how(self, call: Call) -> HowReturned:
        """What is special: it happened off line, lay in a drop box, or undoes a loan. Without permission it is an ordinary return."""
        past = happened(call.request, call.site.now(), call.zone) if call.no_block and call.account.no_block else None
        dated = past is not None or call.account.kind in _BATCHES
        return HowReturned(
            happened=past,
            credit_ms=instant(call.request.fixed.get("return_date", ""), call.zone) if dated else None,
            flags=(CANCELS_CHECKOUT,) if call.cancels else (),
        )

    def _returned(self, call: Call, answer: Answer) -> Reply:
        where = sort(answer, call.account)
        place = self._front.branch_name(where.destination, call.lang) if where.destination else ""
        return call.reply(checkin_result(call, answer, where, place))
