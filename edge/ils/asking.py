"""Questions to the ILS and what its answers mean: SIP2 messages to the plain words of `edge.ils.port` and back."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from decimal import Decimal, InvalidOperation

from consortium.mastership import Task
from edge.ils.config import IlsConfig
from edge.ils.dates import due_instant, wire_date
from edge.ils.port import ItemSaid, ReaderSaid, Said
from edge.ils.queue import Job
from edge.money import minor_units
from protocols.sip2 import Message, Outgoing, requests
from protocols.sip2.dates import ZERO_DATE, format_date
from protocols.sip2.fields import clean_value

log = logging.getLogger(__name__)

_TEXT_MAX = 240
_HERE, _ELSEWHERE = "01", "02"
_OUT = frozenset({"04", "05", "07", "11"})
_NOT_KNOWN = "01"
_DENIED, _CARD_LOST = 0, 4


@dataclass(frozen=True, slots=True)
class ReaderAnswer:
    """What 64 said of a reader; ``found`` is False where the ILS does not seem to know the number."""

    said: ReaderSaid
    found: bool


class Asking:
    """Writes questions in the ILS's terms and reads its answers. ``branch`` is ours, ``zone`` its wall clock's."""

    def __init__(self, config: IlsConfig, *, branch: str, zone: tzinfo) -> None:
        self._config = config
        self._branch = branch
        self._zone = zone
        self.unreadable_dues = 0
        """Due dates that no known form reads; the loan then runs by our own rules."""

    # --- what is asked now

    def checkout(self, number: str, item_no: str, pin: str, now: datetime) -> Outgoing:
        """11. No renewal by the way: what was lent already is said so, and a repeat after a loss lends nothing twice."""
        number, item_no, pin = map(clean_value, (number, item_no, pin))
        return _dated(requests.checkout(self._config.institution, number, item_no, pin, now, renewals=False))

    def renew(self, number: str, item_no: str, pin: str, now: datetime) -> Outgoing:
        """29."""
        number, item_no, pin = map(clean_value, (number, item_no, pin))
        return _dated(requests.renew(self._config.institution, number, item_no, pin, now))

    def checkin(self, item_no: str, now: datetime) -> Outgoing:
        """09."""
        return requests.checkin(self._config.institution, clean_value(item_no), now, location=self._config.location)

    def reader(self, number: str, pin: str | None, now: datetime) -> Outgoing:
        """63 without lists: counts and standing are enough."""
        pin = None if pin is None else clean_value(pin)
        return requests.reader_information(self._config.institution, clean_value(number), pin, now)

    def item(self, item_no: str, now: datetime) -> Outgoing:
        """17."""
        return requests.item_information(self._config.institution, clean_value(item_no), now)

    # --- what happened before

    def booking(self, job: Job, number: str) -> Outgoing:
        """11, 29 or 09 with no_block: it happened at ``job.t``, nobody asks whether it may (SIP2 2.00, no block)."""
        at = format_date(wire_date(job.t, self._zone))
        due = ZERO_DATE if job.due is None else format_date(wire_date(job.due, self._zone))
        item_no, number = clean_value(job.item.item_no), clean_value(number)
        house = ("AO", self._config.institution)
        if job.task is Task.CHECKIN:
            fixed = {"no_block": "Y", "transaction_date": at, "return_date": at}
            return Outgoing("09", fixed, (("AP", self._config.location), house, ("AB", item_no), ("AC", "")))
        fixed = {"no_block": "Y", "transaction_date": at, "nb_due_date": due}
        if job.task is Task.RENEW:
            who = (house, ("AA", number), ("AD", ""), ("AB", item_no), ("AC", ""))
            return Outgoing("29", {"third_party_allowed": "N", **fixed}, who)
        who = (house, ("AA", number), ("AB", item_no), ("AC", ""), ("AD", ""))
        return Outgoing("11", {"sc_renewal_policy": "Y", **fixed}, who)

    # --- what was answered

    def lent(self, reply: Message, *, again: bool) -> Said:
        """12 or 30. ``again``: it was sent twice, so "he has it already" means that the first one was done."""
        had = reply.code == "12" and reply.fixed.get("renewal_ok") == "Y"
        if reply.fixed.get("ok") != "1" and not (had and again):
            return Said("REFUSED", text=_screen(reply), title=reply.get("AJ"), renewed=had)
        return Said("OK", self.due(reply), _screen(reply), reply.get("AJ"), renewed=had and not again)

    def taken(self, reply: Message) -> Said:
        """10: alert type and, where a hold waits, its branch."""
        if reply.fixed.get("ok") != "1":
            return Said("REFUSED", text=_screen(reply), title=reply.get("AJ"))
        alert, to = reply.get("CV").strip()[:8], reply.get("CT").strip()
        pickup = ""
        if alert == _HERE:
            pickup = self._branch
        elif alert == _ELSEWHERE:
            pickup = self._config.branches.get(to, to)[:32]
        return Said("OK", text=_screen(reply), title=reply.get("AJ"), alert=alert, pickup=pickup)

    def read_reader(self, reply: Message, *, asked_pin: bool) -> ReaderAnswer:
        """64."""
        status = reply.fixed.get("patron_status", "").ljust(14)
        valid = reply.get("BL", "Y").strip().upper() != "N"
        right = reply.get("CQ").strip().upper()
        currency = reply.get("BH").strip().upper()[:3]
        said = ReaderSaid(
            valid=valid,
            pin=right == "Y" if asked_pin and right in ("Y", "N") else None,
            blocked=status[_DENIED] == "Y" or status[_CARD_LOST] == "Y",
            charged=reply.number("charged_items_count"),
            overdue=reply.number("overdue_items_count"),
            fees=_fees(reply.get("BV"), currency),
            currency=currency,
            text=_screen(reply),
        )
        return ReaderAnswer(said, valid or bool(reply.get("AE").strip()))

    def read_item(self, reply: Message) -> ItemSaid:
        """18."""
        circulation = reply.fixed.get("circulation_status", "").strip().rjust(2, "0")
        due = self.due(reply) if circulation in _OUT else None
        return ItemSaid(circulation, reply.get("AJ").strip(), due, reply.number("CF") or 0)

    def due(self, reply: Message) -> int | None:
        """AH as an instant; one that cannot be read is counted and is None."""
        text = reply.get("AH")
        if not text.strip():
            return None
        found = due_instant(text, self._zone, self._config.date_order)
        if found is None:
            self.unreadable_dues += 1
            if self.unreadable_dues == 1:
                log.warning("the ILS prints due dates in a form that cannot be read: ILS_DUE_UNREADABLE")
        return found


def known(item: ItemSaid) -> bool:
    """Whether the ILS knows the item: 18 has no word for an unknown one, but no title and "other" is what they say."""
    return bool(item.title) or item.circulation not in (_NOT_KNOWN, "00")


def out(item: ItemSaid) -> bool:
    """Whether the ILS's books have it with a reader."""
    return item.circulation in _OUT


def booked(job: Job, reply: Message) -> bool:
    """Whether a no_block transaction stands in the ILS's books now: done, or "he has it already" for one told twice."""
    if reply.fixed.get("ok") == "1":
        return True
    return job.task is Task.CHECKOUT and reply.fixed.get("renewal_ok") == "Y"


def reader_answer(answer: ReaderAnswer | None) -> Mapping[str, object]:
    """The answer to ``ask/reader`` on the bus; None: it cannot be asked."""
    if answer is None:
        return {"found": None, "valid": None, "pin_ok": None, "blocked": None, "fees": None, "currency": ""}
    said = answer.said
    return {
        "found": answer.found,
        "valid": said.valid,
        "pin_ok": said.pin,
        "blocked": said.blocked,
        "fees": said.fees,
        "currency": said.currency,
    }


def item_answer(said: ItemSaid | None) -> Mapping[str, object]:
    """The answer to ``ask/item`` on the bus; None: it cannot be asked."""
    if said is None:
        return {"found": None, "circulation": None, "due": None, "holds": None}
    return {"found": known(said), "circulation": said.circulation, "due": said.due_ms, "holds": said.holds}


def _dated(request: Outgoing) -> Outgoing:
    """With the transaction's date for an nb due date that is not given: nobody reads it there, and pysip2 hangs up over a blank one."""
    fixed = request.fixed
    return replace(request, fixed={**fixed, "nb_due_date": fixed["transaction_date"]})


def _screen(reply: Message) -> str:
    return " ".join(line.strip() for line in reply.all("AF") if line.strip())[:_TEXT_MAX]


def _fees(text: str, currency: str) -> int | None:
    text = text.strip()
    if not text:
        return None
    try:
        if Decimal(text) == 0:
            return 0
    except InvalidOperation:
        return None
    return minor_units(text, currency)
