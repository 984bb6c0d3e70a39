"""99: what works now, and only that (SIP2 2.00: SC Status, ACS Status)."""

from __future__ import annotations

from drivers.selfcheck import Reply, StatusResult
from edge.selfservice.sip2.call import Call
from edge.selfservice.sip2.front import Front

SUPPORTED = frozenset(("23", "11", "09", "01", "99", "97", "93", "63", "35", "37", "17", "19", "25", "15", "29", "65"))
"""Every request a kiosk may make, while everything works."""

_HUB_ONLY = frozenset(("15", "37", "01", "25"))
"""What an edge must not do on its own (domain §6)."""

_DECIDED = frozenset(("11", "29", "65"))
"""What needs a policy."""

_RECORDED = frozenset(("11", "09", "29", "65", "19"))
"""What needs room in the outbox."""

OF_KIND = {
    "kiosk": SUPPORTED,
    "sorter": frozenset(("09", "17", "19", "93", "97", "99")),
    "drop": frozenset(("09", "17", "93", "97", "99")),
}
"""What each kind of machine may ask: a sorter and a drop know no reader."""


class Status:
    """Answers about ourselves, and knows what each kiosk was told last."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._desk = front.desk

    async def status(self, call: Call) -> Reply:
        """99 → 98."""
        call.session.state["width"] = call.request.number("max_print_width") or 0
        return self.now(call)

    def now(self, call: Call, *, why: str | None = None) -> Reply:
        """98, also in answer to a request that cannot be served any more: ``why`` is then the reason's code."""
        supported = self.supported(call)
        call.session.state["told"] = supported
        ready, writes = self._desk.policy is not None, not self._desk.full
        account = call.account
        return call.reply(
            StatusResult(
                online=ready and writes,
                checkin_ok="09" in supported,
                checkout_ok="11" in supported,
                renewal_ok="29" in supported,
                status_update_ok="25" in supported,
                offline_ok=account.no_block,
                timeout_s=account.timeout_tenths / 10,
                retries=account.retries,
                supported=supported,
                library_name=self._desk.library_name(call.lang) or None,
                screen=[call.line(why)] if why is not None else (),
            )
        )

    def supported(self, call: Call) -> frozenset[str]:
        """What works now for this kiosk: BX."""
        works = OF_KIND.get(call.account.kind, SUPPORTED)
        if not self._desk.online:
            works -= _HUB_ONLY
        if self._desk.policy is None:
            works -= _DECIDED
        return works - _RECORDED if self._desk.full else works

    def changed(self, call: Call) -> Reply | None:
        """98 where the kiosk was told that this works and it does not any more: once, then its repeat is answered for itself.

        Reasons are told only where the request itself could not be served (SIP2 2.00: an ACS may answer any request with 98).
        """
        told = call.session.state.get("told")
        if not isinstance(told, frozenset) or call.request.code not in told:
            return None
        if call.request.code in self.supported(call):
            return None
        return self.now(call, why="OUT_OF_SERVICE" if self._desk.full else "NOT_DECIDABLE_OFFLINE")
