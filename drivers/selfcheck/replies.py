"""Replies to a kiosk as plain values; each knows how it stands on the wire (SIP2 2.00, the even-numbered messages).

A result is made by the edge from its decision and turned into a `Reply` by `reply(session, request, now)`, which echoes
what the standard wants echoed (AO of the account, AA and AB of the request). Empty optional fields are left out,
unused required ones sent empty. Texts are cut and cleaned as the wire needs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from drivers.selfcheck.kiosk import KioskSession, Reply
from protocols.sip2 import BX_ORDER, REPLY_OF, Message
from protocols.sip2.dates import format_date
from protocols.sip2.fields import clean_value, count, flag

__all__ = [
    "STATUS_FLAGS",
    "CheckinResult",
    "CheckoutResult",
    "EndResult",
    "ItemResult",
    "ReaderResult",
    "RenewAllResult",
    "StatusResult",
    "login_reply",
    "refusal",
]

Pairs = list[tuple[str, str]]

STATUS_FLAGS = (
    "charge_denied", "renewal_denied", "recall_denied", "hold_denied", "card_lost", "too_many_charged",
    "too_many_overdue", "too_many_renewals", "too_many_claims_returned", "too_many_lost", "excessive_fines",
    "excessive_fees", "recall_overdue", "too_many_billed",
)  # fmt: skip
"""The 14 places of patron status, in order."""

_LISTS = ("AS", "AT", "AU", "AV", "BU", "CD")  # in the order of 63's summary


def _given(*pairs: tuple[str, str | None]) -> Pairs:
    """Optional fields that have a value."""
    return [(name, clean_value(value)) for name, value in pairs if value]


def _texts(screen: Sequence[str], printed: Sequence[str]) -> Pairs:
    return [("AF", clean_value(line)) for line in screen] + [("AG", clean_value(line)) for line in printed]


def _echo(request: Message, name: str, value: str | None = None) -> tuple[str, str]:
    return name, clean_value(request.get(name) if value is None else value)


def _institution(session: KioskSession) -> tuple[str, str]:
    return "AO", clean_value(session.account.institution)


def _reply(fixed: dict[str, str], fields: Iterable[tuple[str, str]]) -> Reply:
    return Reply(fixed, tuple(fields))


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
            _institution(session),
            _echo(request, "AA", self.reader_no),
            _echo(request, "AB", self.item_no),
            ("AJ", clean_value(self.title)),
            ("AH", clean_value(self.due)),
            *_given(("BT", self.fee_type), ("BH", self.currency), ("BV", self.fee_amount)),
            *_given(("CK", self.media), ("CH", self.properties), ("BK", self.transaction_id)),
        ]
        return _reply(fixed, fields + _texts(self.screen, self.print))


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
            _institution(session),
            _echo(request, "AB", self.item_no),
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
        return _reply(fixed, fields + _texts(self.screen, self.print))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderResult:
    """24, 26 and 64: what a kiosk may know of a reader.

    `status` holds names of STATUS_FLAGS that are raised. Counts 0 to 9999, None = not known. The six lists are sent
    only where a 63 asks for theirs, in its window BP to BQ (counted from 1). `valid_password` None leaves CQ out
    (no PIN was given). The name stays empty or initials unless the agreement says otherwise.
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
            _institution(session),
            _echo(request, "AA", self.reader_no),
            ("AE", clean_value(self.name)),
        ]
        known = _given(
            ("BL", flag(self.valid)),
            ("CQ", None if self.valid_password is None else flag(self.valid_password)),
            ("BH", self.currency),
            ("BV", self.fee_amount),
        )
        if request.code == "63":
            fixed |= self._counts()
            limits = (("BZ", self.hold_limit), ("CA", self.overdue_limit), ("CB", self.charged_limit))
            fields += [(name, count(limit)) for name, limit in limits if limit is not None]
            fields += known + _given(("CC", self.fee_limit), ("AQ", self.home_library)) + self._asked_list(request)
        else:
            fields += known
        return _reply(fixed, fields + _texts(self.screen, self.print))

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
class ItemResult:
    """18. `circulation_status` 01 to 13 (03 available, 04 charged, 10 in transit …); `hold_queue` is CF."""

    circulation_status: str
    title: str = ""
    item_no: str | None = None
    security_marker: str = "00"
    fee_type: str = "01"
    hold_queue: int | None = None
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
        fields = [_echo(request, "AB", self.item_no), ("AJ", clean_value(self.title))]
        fields += _given(
            ("CF", None if self.hold_queue is None else str(self.hold_queue)),
            ("AH", self.due), ("CM", self.hold_pickup_date), ("BG", self.owner), ("CK", self.media),
            ("AQ", self.permanent_location), ("AP", self.current_location), ("CH", self.properties),
        )  # fmt: skip
        return _reply(fixed, fields + _texts(self.screen, self.print))


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
        fields = [_institution(session), *_given(("AM", self.library_name))]
        fields.append(("BX", "".join("Y" if code in self.supported else "N" for code in BX_ORDER)))
        fields += _given(("AN", session.location))
        return Reply(fixed, tuple(fields + _texts(self.screen, self.print)), code="98")


@dataclass(frozen=True, slots=True, kw_only=True)
class EndResult:
    """36."""

    ok: bool = True
    screen: Sequence[str] = ()
    print: Sequence[str] = ()

    def reply(self, session: KioskSession, request: Message, now: datetime) -> Reply:
        """As it stands on the wire."""
        fixed = {"end_session": flag(self.ok), "transaction_date": format_date(now)}
        return _reply(fixed, [_institution(session), _echo(request, "AA"), *_texts(self.screen, self.print)])


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
        return _reply(fixed, [_institution(session), *items, *_texts(self.screen, self.print)])


def refusal(session: KioskSession, request: Message, now: datetime, screen: Sequence[str] = ()) -> Reply:
    """The negative reply to any request, with lines for the screen: not supported, out of service, not allowed."""
    code = REPLY_OF[request.code]
    date = {"transaction_date": format_date(now)}
    texts = _texts(screen, ())
    who, reader, item = _institution(session), _echo(request, "AA"), _echo(request, "AB")
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
        return _reply({"ok": "0", "available": "N", **date}, [who, reader, *texts])
    if code == "20":
        return _reply({"item_properties_ok": "0", **date}, [item, *texts])
    if code == "38":
        return _reply({"payment_accepted": "N", **date}, [who, reader, *texts])
    return login_reply(False)
