"""Replies about a reader and about the whole system: 24, 26, 64, 36, 98 (SIP2 2.00)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from drivers.selfcheck.kiosk import KioskSession, Reply
from drivers.selfcheck.reply_parts import Pairs, echo, given, institution, reply_of, texts
from protocols.sip2 import BX_ORDER, Message
from protocols.sip2.dates import format_date
from protocols.sip2.fields import clean_value, count, flag

__all__ = ["STATUS_FLAGS", "EndResult", "ReaderResult", "StatusResult"]

STATUS_FLAGS = (
    "charge_denied", "renewal_denied", "recall_denied", "hold_denied", "card_lost", "too_many_charged",
    "too_many_overdue", "too_many_renewals", "too_many_claims_returned", "too_many_lost", "excessive_fines",
    "excessive_fees", "recall_overdue", "too_many_billed",
)  # fmt: skip
"""The 14 places of patron status, in order."""

_LISTS = ("AS", "AT", "AU", "AV", "BU", "CD")  # in the order of 63's summary


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderResult:
    """24, 26 and 64: what a kiosk may know of a reader.

    `status` holds names of STATUS_FLAGS that are raised. Counts 0 to 9999, None = not known. The six lists are sent
    only where a 63 asks for theirs, in its window BP to BQ (counted from 1). `valid_password` None leaves CQ out
    (no PIN was given). `expiry` is PA, a date. The name stays empty or initials unless the agreement says otherwise.
    """

    valid: bool
    valid_password: bool | None = None
    name: str = ""
    reader_no: str | None = None
    status: frozenset[str] = frozenset()
    hold_count: int | None = 0
    overdue_count: int | None = 0
    charged_count: int | None = 0
    fine_count: int | None = 0
    recall_count: int | None = 0
    unavailable_count: int | None = 0
    holds: Sequence[str] = ()
    overdues: Sequence[str] = ()
    charged: Sequence[str] = ()
    fines: Sequence[str] = ()
    recalls: Sequence[str] = ()
    unavailable: Sequence[str] = ()
    hold_limit: int | None = None
    overdue_limit: int | None = None
    charged_limit: int | None = None
    currency: str | None = None
    fee_amount: str | None = None
    fee_limit: str | None = None
    home_library: str | None = None
    expiry: str | None = None
    screen: Sequence[str] = ()
    print: Sequence[str] = ()

    def reply(self, session: KioskSession, request: Message, now: datetime) -> Reply:
        """As it stands on the wire, for the request it answers: 63 or the shorter 23, 25, 01."""
        asked = request.fixed.get("language", session.language)
        fixed = {
            "patron_status": "".join("Y" if name in self.status else " " for name in STATUS_FLAGS),
            "language": asked if asked.isdigit() and len(asked) == 3 else "000",
            "transaction_date": format_date(now),
        }
        fields = [
            institution(session),
            echo(request, "AA", self.reader_no),
            ("AE", clean_value(self.name)),
        ]
        known = given(
            ("BL", flag(self.valid)),
            ("CQ", None if self.valid_password is None else flag(self.valid_password)),
            ("BH", self.currency),
            ("BV", self.fee_amount),
        )
        if request.code == "63":
            fixed |= self._counts()
            limits = (("BZ", self.hold_limit), ("CA", self.overdue_limit), ("CB", self.charged_limit))
            fields += [(name, count(limit)) for name, limit in limits if limit is not None]
            fields += (
                known
                + given(("CC", self.fee_limit), ("PA", self.expiry), ("AQ", self.home_library))
                + self._asked_list(request)
            )
        else:
            fields += known
        return reply_of(fixed, fields + texts(self.screen, self.print))

    def _counts(self) -> dict[str, str]:
        return {
            "hold_items_count": count(self.hold_count),
            "overdue_items_count": count(self.overdue_count),
            "charged_items_count": count(self.charged_count),
            "fine_items_count": count(self.fine_count),
            "recall_items_count": count(self.recall_count),
            "unavailable_holds_count": count(self.unavailable_count),
        }

    def _asked_list(self, request: Message) -> Pairs:
        summary = request.fixed.get("summary", "")
        lists = (self.holds, self.overdues, self.charged, self.fines, self.recalls, self.unavailable)
        first, last = request.number("BP") or 1, request.number("BQ")
        for mark, name, values in zip(summary, _LISTS, lists, strict=False):
            if mark == "Y":
                return [(name, clean_value(value)) for value in values[first - 1 : last]]
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusResult:
    """98. `timeout_s` and `retries` tell the kiosk how long to wait and how often to try; `supported` becomes BX."""

    online: bool
    checkin_ok: bool = True
    checkout_ok: bool = True
    renewal_ok: bool = True
    status_update_ok: bool = False
    offline_ok: bool = True
    timeout_s: float = 10.0
    retries: int = 3
    supported: frozenset[str] = frozenset(("23", "11", "09", "99", "97", "93", "63", "35", "17"))
    library_name: str | None = None
    screen: Sequence[str] = ()
    print: Sequence[str] = ()

    def reply(self, session: KioskSession, request: Message, now: datetime) -> Reply:
        """As it stands on the wire; may answer any request."""
        fixed = {
            "on_line_status": flag(self.online),
            "checkin_ok": flag(self.checkin_ok),
            "checkout_ok": flag(self.checkout_ok),
            "acs_renewal_policy": flag(self.renewal_ok),
            "status_update_ok": flag(self.status_update_ok),
            "off_line_ok": flag(self.offline_ok),
            "timeout_period": count(round(self.timeout_s * 10), 3),
            "retries_allowed": count(self.retries, 3),
            "date_time_sync": format_date(now),
            "protocol_version": "2.00",
        }
        fields = [institution(session), *given(("AM", self.library_name))]
        fields.append(("BX", "".join("Y" if code in self.supported else "N" for code in BX_ORDER)))
        fields += given(("AN", session.location))
        return Reply(fixed, tuple(fields + texts(self.screen, self.print)), code="98")


@dataclass(frozen=True, slots=True, kw_only=True)
class EndResult:
    """36."""

    ok: bool = True
    screen: Sequence[str] = ()
    print: Sequence[str] = ()

    def reply(self, session: KioskSession, request: Message, now: datetime) -> Reply:
        """As it stands on the wire."""
        fixed = {"end_session": flag(self.ok), "transaction_date": format_date(now)}
        return reply_of(fixed, [institution(session), echo(request, "AA"), *texts(self.screen, self.print)])
