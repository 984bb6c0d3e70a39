"""Replies to a kiosk as plain values; each knows how it stands on the wire (SIP2 2.00, the even-numbered messages).

A result is made by the edge from its decision and turned into a `Reply` by `reply(session, request, now)`, which echoes
what the standard wants echoed (AO of the account, AA and AB of the request). Empty optional fields are left out,
unused required ones sent empty. Texts are cut and cleaned as the wire needs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from drivers.selfcheck.kiosk import KioskSession, Reply
from drivers.selfcheck.reader_replies import STATUS_FLAGS, EndResult, ReaderResult, StatusResult
from drivers.selfcheck.reply_parts import echo, given, institution, reply_of, texts
from protocols.sip2 import REPLY_OF, Message
from protocols.sip2.dates import format_date
from protocols.sip2.fields import clean_value, count, flag

__all__ = [
    "STATUS_FLAGS",
    "CheckinResult",
    "CheckoutResult",
    "EndResult",
    "FeeResult",
    "HoldResult",
    "ItemResult",
    "ItemUpdateResult",
    "ReaderResult",
    "RenewAllResult",
    "StatusResult",
    "login_reply",
    "refusal",
]


def login_reply(ok: bool) -> Reply:
    """94."""
    return Reply({"ok": "1" if ok else "0"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutResult:
    """12, and 30 for a renewal.

    `desensitize` Y tells the kiosk to unsecure the item. `due` is AH in any readable form, empty when refused.
    `renewal_ok`: the item was already out to this reader. A fee that must be paid first: `fee_type` (two digits),
    `fee_amount`, `currency` (ISO 4217). `magnetic` None = not known. `reader_no` and `item_no` None = as asked.
    """

    ok: bool
    renewal_ok: bool = False
    desensitize: bool = False
    magnetic: bool | None = False
    item_no: str | None = None
    reader_no: str | None = None
    title: str = ""
    due: str = ""
    media: str | None = None
    properties: str | None = None
    fee_type: str | None = None
    fee_amount: str | None = None
    currency: str | None = None
    transaction_id: str | None = None
    screen: Sequence[str] = ()
    print: Sequence[str] = ()

    def reply(self, session: KioskSession, request: Message, now: datetime) -> Reply:
        """As it stands on the wire."""
        fixed = {
            "ok": "1" if self.ok else "0",
            "renewal_ok": flag(self.renewal_ok),
            "magnetic_media": flag(self.magnetic),
            "desensitize": flag(self.desensitize and self.ok),
            "transaction_date": format_date(now),
        }
        fields = [
            institution(session),
            echo(request, "AA", self.reader_no),
            echo(request, "AB", self.item_no),
            ("AJ", clean_value(self.title)),
            ("AH", clean_value(self.due)),
            *given(("BT", self.fee_type), ("BH", self.currency), ("BV", self.fee_amount)),
            *given(("CK", self.media), ("CH", self.properties), ("BK", self.transaction_id)),
        ]
        return reply_of(fixed, fields + texts(self.screen, self.print))


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckinResult:
    """10 with the routing extensions.

    `resensitize` Y tells the kiosk to secure the item. `alert_type` is CV (01 hold here, 02 hold elsewhere, 03 ILL,
    04 transit, 99 other), `destination` CT the branch it goes to, `sort_bin` CL. `hold_until` is CM, an 18-character
    date. `reader_no` is AA, given only where the agreement lets the kiosk know who had it.
    """

    ok: bool
    resensitize: bool = True
    magnetic: bool | None = False
    alert: bool = False
    item_no: str | None = None
    title: str = ""
    permanent_location: str = ""
    sort_bin: str | None = None
    reader_no: str | None = None
    media: str | None = None
    properties: str | None = None
    collection: str | None = None
    call_number: str | None = None
    destination: str | None = None
    alert_type: str | None = None
    hold_reader: str | None = None
    hold_reader_name: str | None = None
    hold_until: str | None = None
    screen: Sequence[str] = ()
    print: Sequence[str] = ()

    def reply(self, session: KioskSession, request: Message, now: datetime) -> Reply:
        """As it stands on the wire."""
        fixed = {
            "ok": "1" if self.ok else "0",
            "resensitize": flag(self.resensitize and self.ok),
            "magnetic_media": flag(self.magnetic),
            "alert": flag(self.alert),
            "transaction_date": format_date(now),
        }
        fields = [
            institution(session),
            echo(request, "AB", self.item_no),
            ("AQ", clean_value(self.permanent_location)),
        ]
        always = session.account.always_checkin_fields
        for name, value in (
            ("AJ", self.title), ("CL", self.sort_bin), ("AA", self.reader_no), ("CK", self.media),
            ("CH", self.properties), ("CR", self.collection), ("CS", self.call_number), ("CT", self.destination),
            ("CV", self.alert_type), ("CY", self.hold_reader), ("DA", self.hold_reader_name), ("CM", self.hold_until),
        ):  # fmt: skip
            if value or name in always:
                fields.append((name, clean_value(value or "")))
        return reply_of(fixed, fields + texts(self.screen, self.print))


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemResult:
    """18. `circulation_status` 01 to 13 (03 available, 04 charged, 10 in transit …); `hold_queue` is CF, `recall_date` CJ."""

    circulation_status: str
    title: str = ""
    item_no: str | None = None
    security_marker: str = "00"
    fee_type: str = "01"
    hold_queue: int | None = None
    recall_date: str | None = None
    due: str | None = None
    owner: str | None = None
    media: str | None = None
    permanent_location: str | None = None
    current_location: str | None = None
    hold_pickup_date: str | None = None
    properties: str | None = None
    screen: Sequence[str] = ()
    print: Sequence[str] = ()

    def reply(self, session: KioskSession, request: Message, now: datetime) -> Reply:
        """As it stands on the wire."""
        fixed = {
            "circulation_status": self.circulation_status,
            "security_marker": self.security_marker,
            "fee_type": self.fee_type,
            "transaction_date": format_date(now),
        }
        fields = [echo(request, "AB", self.item_no), ("AJ", clean_value(self.title))]
        fields += given(
            ("CF", None if self.hold_queue is None else str(self.hold_queue)),
            ("AH", self.due), ("CJ", self.recall_date), ("CM", self.hold_pickup_date), ("BG", self.owner), ("CK", self.media),
            ("AQ", self.permanent_location), ("AP", self.current_location), ("CH", self.properties),
        )  # fmt: skip
        return reply_of(fixed, fields + texts(self.screen, self.print))


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewAllResult:
    """66."""

    ok: bool
    renewed: Sequence[str] = ()
    unrenewed: Sequence[str] = ()
    screen: Sequence[str] = ()
    print: Sequence[str] = ()

    def reply(self, session: KioskSession, request: Message, now: datetime) -> Reply:
        """As it stands on the wire."""
        fixed = {
            "ok": "1" if self.ok else "0",
            "renewed_count": count(len(self.renewed)),
            "unrenewed_count": count(len(self.unrenewed)),
            "transaction_date": format_date(now),
        }
        items = [("BM", clean_value(item)) for item in self.renewed]
        items += [("BN", clean_value(item)) for item in self.unrenewed]
        return reply_of(fixed, [institution(session), *items, *texts(self.screen, self.print)])


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldResult:
    """16. `queue` is BR, `pickup` BS, `expires` BW (an 18-character date); `available` says that the item is free now."""

    ok: bool
    available: bool = False
    item_no: str | None = None
    title: str = ""
    queue: int | None = None
    pickup: str | None = None
    expires: str | None = None
    screen: Sequence[str] = ()
    print: Sequence[str] = ()

    def reply(self, session: KioskSession, request: Message, now: datetime) -> Reply:
        """As it stands on the wire."""
        fixed = {
            "ok": "1" if self.ok else "0",
            "available": flag(self.available),
            "transaction_date": format_date(now),
        }
        fields = [institution(session), echo(request, "AA"), *given(
            ("BW", self.expires), ("BR", None if self.queue is None else str(self.queue)), ("BS", self.pickup),
            ("AB", request.get("AB") if self.item_no is None else self.item_no), ("AJ", self.title),
        )]  # fmt: skip
        return reply_of(fixed, fields + texts(self.screen, self.print))


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeResult:
    """38. `groups` are the fees paid one by one, as the request named them (CG and, of Gossip, FA to FG), in their order."""

    ok: bool
    transaction_id: str | None = None
    groups: Sequence[tuple[str, str]] = ()
    screen: Sequence[str] = ()
    print: Sequence[str] = ()

    def reply(self, session: KioskSession, request: Message, now: datetime) -> Reply:
        """As it stands on the wire."""
        fixed = {"payment_accepted": flag(self.ok), "transaction_date": format_date(now)}
        fields = [institution(session), echo(request, "AA"), *given(("BK", self.transaction_id))]
        fields += [(name, clean_value(value)) for name, value in self.groups]
        return reply_of(fixed, fields + texts(self.screen, self.print))


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemUpdateResult:
    """20. `ok` only where the properties were kept."""

    ok: bool
    title: str = ""
    properties: str | None = None
    screen: Sequence[str] = ()
    print: Sequence[str] = ()

    def reply(self, session: KioskSession, request: Message, now: datetime) -> Reply:
        """As it stands on the wire."""
        fixed = {"item_properties_ok": "1" if self.ok else "0", "transaction_date": format_date(now)}
        fields = [echo(request, "AB"), *given(("AJ", self.title), ("CH", self.properties))]
        return reply_of(fixed, fields + texts(self.screen, self.print))


def refusal(session: KioskSession, request: Message, now: datetime, screen: Sequence[str] = ()) -> Reply:
    """The negative reply to any request, with lines for the screen: not supported, out of service, not allowed."""
    code = REPLY_OF[request.code]
    if code in ("12", "30"):
        return CheckoutResult(ok=False, screen=screen).reply(session, request, now)
    if code == "10":
        return CheckinResult(ok=False, resensitize=False, alert=True, screen=screen).reply(session, request, now)
    if code in ("24", "26", "64"):
        denied = frozenset(("charge_denied", "renewal_denied", "recall_denied", "hold_denied"))
        return ReaderResult(
            valid=False, status=denied, screen=screen,
            hold_count=None, overdue_count=None, charged_count=None,
            fine_count=None, recall_count=None, unavailable_count=None,
        ).reply(session, request, now)  # fmt: skip
    if code == "18":
        return ItemResult(circulation_status="01", screen=screen).reply(session, request, now)
    if code == "98":
        return StatusResult(online=False, supported=frozenset(), screen=screen).reply(session, request, now)
    if code == "36":
        return EndResult(ok=False, screen=screen).reply(session, request, now)
    if code == "66":
        return RenewAllResult(ok=False, screen=screen).reply(session, request, now)
    if code == "16":
        return HoldResult(ok=False, screen=screen).reply(session, request, now)
    if code == "20":
        return ItemUpdateResult(ok=False, screen=screen).reply(session, request, now)
    if code == "38":
        return FeeResult(ok=False, screen=screen).reply(session, request, now)
    return login_reply(False)
