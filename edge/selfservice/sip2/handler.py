"""The handler of the SIP2 server: which message goes where, and that what has begun to write goes on to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from drivers.selfcheck import KioskSession, Reply
from edge.desk import Desk
from edge.metrics import Metrics
from edge.selfservice.identify import Identifier
from edge.selfservice.sip2.call import Call, Site, lang_of
from edge.selfservice.sip2.fees import Fees
from edge.selfservice.sip2.front import Front
from edge.selfservice.sip2.holds import Holds
from edge.selfservice.sip2.items import Items
from edge.selfservice.sip2.loans import Loans
from edge.selfservice.sip2.readers import Readers
from edge.selfservice.sip2.returns import Returns
from edge.selfservice.sip2.status import OF_KIND, SUPPORTED, Status
from edge.selfservice.tags import PadTags
from edge.sip2_config import AccountConfig
from protocols.sip2 import Message

WRITES = frozenset(("11", "09", "29", "65", "15", "37", "01", "25", "19"))
"""Requests that change something: they go on to their end even where the server stops waiting."""

CLOSE_S = 2.0

Act = Callable[[Call], Awaitable[Reply]]


class Sip2Desk:
    """Answers kiosks. ``pads`` are the pads beside them, by device id."""

    def __init__(
        self,
        site: Site,
        desk: Desk,
        identifier: Identifier,
        accounts: Mapping[str, AccountConfig],
        pads: Mapping[str, PadTags],
        metrics: Metrics,
    ) -> None:
        self._site = site
        self._accounts = accounts
        self._metrics = metrics
        self._writes: set[asyncio.Task[Reply]] = set()
        front = Front(desk, identifier, pads, metrics)
        loans, returns, readers = Loans(front), Returns(front), Readers(front)
        items, holds, fees = Items(front), Holds(front), Fees(front)
        self._status = Status(front)
        self._acts: dict[str, Act] = {
            "99": self._status.status,
            "23": readers.status,
            "63": readers.information,
            "35": readers.end,
            "01": readers.block,
            "25": readers.enable,
            "17": items.information,
            "19": items.update,
            "11": loans.checkout,
            "29": loans.renew,
            "65": loans.renew_all,
            "09": returns.checkin,
            "15": holds.hold,
            "37": fees.pay,
        }

    def reload(self, accounts: Mapping[str, AccountConfig]) -> None:
        """Take other accounts; sessions of accounts that are gone are ended by the server."""
        self._accounts = accounts

    async def handle(self, session: KioskSession, request: Message) -> Reply:
        """Answer one request."""
        started = time.perf_counter()
        call = self._call(session, request)
        act = self._acts.get(request.code)
        if act is None or request.code not in OF_KIND.get(call.account.kind, SUPPORTED):
            return call.refuse("NOT_FOR_THIS_MACHINE" if act is not None else "OUT_OF_SERVICE")
        changed = self._status.changed(call)
        if changed is not None:
            return changed
        if request.code in WRITES:
            task = asyncio.ensure_future(act(call))
            self._writes.add(task)
            task.add_done_callback(self._writes.discard)
            reply = await asyncio.shield(task)
        else:
            reply = await act(call)
        took = time.perf_counter() - started
        self._metrics.sip2_seconds.labels(self._metrics.library, request.code).observe(took)
        if request.code == "11":
            self._metrics.latency["kiosk_checkout"].add(took * 1000)
        return reply

    def on_timeout(self, session: KioskSession, request: Message) -> Reply:
        """The refusal where no answer came in time."""
        return self._call(session, request).refuse("OUT_OF_SERVICE")

    async def close(self) -> None:
        """Let what has begun to write end."""
        if self._writes:
            await asyncio.wait(self._writes, timeout=CLOSE_S)

    def _call(self, session: KioskSession, request: Message) -> Call:
        return Call(session, request, self._accounts[session.account.user], self._site, lang_of(session))

    def device(self, session: KioskSession) -> str:
        """The kiosk's device id in events."""
        return self._accounts[session.account.user].device
