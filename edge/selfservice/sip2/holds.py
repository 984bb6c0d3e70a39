"""15: holds (SIP2 2.00: Hold). The hub alone places them; a kiosk off line is told so."""

from __future__ import annotations

from collections.abc import Iterable

from consortium.identity import ItemKey
from drivers.selfcheck import HoldResult, Reply
from edge.answers import Done, Identified, ItemRef
from edge.selfservice.sip2 import repeats
from edge.selfservice.sip2.call import Call
from edge.selfservice.sip2.dates import instant
from edge.selfservice.sip2.front import Front
from protocols.sip2.dates import format_date

_SAID = {"+": "HOLD_PLACED", "*": "HOLD_PLACED", "-": "HOLD_CANCELLED"}
"""Modes: add, change, delete."""


class Holds:
    """Answers about holds."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._desk = front.desk

    async def hold(self, call: Call) -> Reply:
        """15 → 16."""
        mode = call.request.fixed.get("hold_mode", "")
        if mode not in _SAID:
            return call.refuse("OUT_OF_SERVICE")
        reader = await self._front.reader(call)
        if isinstance(reader, str):
            return call.refuse(reader)
        ref = self._named(call, reader)
        if ref is None:
            return call.refuse("ITEM_UNKNOWN")
        memo = repeats.of_reader(call)
        done = self._desk.done_before(memo)
        if done is None:
            done = await self._desk.hold(
                reader, ref, call.device, mode=mode,
                transaction=repeats.name_of(call, memo),
                pickup=self._pickup(call, mode),
                expiry=self._expiry(call),
            )  # fmt: skip
            await self._desk.remember(memo, done)
        self._front.count(call.device, "hold", done.code)
        return self._placed(call, done, mode)

    def _named(self, call: Call, reader: Identified) -> ItemRef | None:
        """By number; by title only among what the reader waits for already: another title may have many copies."""
        if call.request.get("AB").strip():
            return call.item
        waiting: Iterable[ItemKey] = self._desk.holds_of(reader.srid)
        return self._desk.titled(waiting, call.request.get("AJ"))

    def _pickup(self, call: Call, mode: str) -> str | None:
        """Where it is fetched: the branch named, this one where none is; the hub knows the old one of a hold that stands."""
        return call.request.get("BS").strip() or (call.site.branch if mode == "+" else None)

    def _expiry(self, call: Call) -> int | None:
        """Until when the reader waits; a day that is over says nothing."""
        expiry = instant(call.request.get("BW"), call.zone)
        return expiry if expiry is not None and expiry > call.site.now() else None

    def _placed(self, call: Call, done: Done, mode: str) -> Reply:
        if not done.ok:
            return call.refuse(done.code)
        key = ItemKey(done.owner, done.item_no) if done.owner and done.item_no else None
        return call.reply(
            HoldResult(
                ok=True,
                available=done.available,
                item_no=self._desk.shown(key) if key is not None else None,
                title=done.title or (self._desk.title_of(key) if key is not None else ""),
                queue=done.queue,
                pickup=done.pickup or None,
                expires=format_date(call.local(done.expiry)) if done.expiry is not None else None,
                screen=[call.line(_SAID[mode])],
            )
        )
