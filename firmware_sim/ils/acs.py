"""The simulated ILS's SIP2: handlers over its books on a server that is not ours (pysip2), with the manners of systems in use.

Due dates are ``YYYY-MM-DD``; a refusal has its reason in AF; ``no_block`` is accepted, recorded with its true date and refused only
where there is no such reader or item. pysip2 knows no CV, CT, CY and PA, so the two answers that carry them are widened here.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pysip2 import models as m
from pysip2 import routes
from pysip2.server import SIP2Server

from firmware_sim.ils.books import Books, Refused

WHO = "SIP2"
"""The operator in the books' changes for what came by SIP2."""

_LISTS = ("hold_items", "overdue_items", "charged_items")
"""Lists of 64 by their place in 63's summary."""


class RoutedCheckin(m.CheckinResponse, frozen=True, kw_only=True):
    """A checkin answer with the 3M extensions: alert type CV, destination CT, hold patron CY."""

    alert_type: str | None = None
    destination: str | None = None
    hold_patron: str | None = None


class DatedPatron(m.PatronInformationResponse, frozen=True, kw_only=True):
    """A patron information answer with the card's last day, PA."""

    expiry: str | None = None


def _widen(wide: type[m.SIPMessage], narrow: type[m.SIPMessage], *fields: tuple[str, str]) -> None:
    spec = m.MESSAGE_SPECS_BY_TYPE[narrow]
    extra = tuple(m.ident(name, code) for name, code in fields)
    m.MESSAGE_SPECS_BY_TYPE[wide] = m.MessageSpec(spec.command_id, wide, (*spec.fields, *extra))


_widen(RoutedCheckin, m.CheckinResponse, ("alert_type", "CV"), ("destination", "CT"), ("hold_patron", "CY"))
_widen(DatedPatron, m.PatronInformationResponse, ("expiry", "PA"))


class Acs:
    """The SIP2 side of one library's books. ``asked`` is called with the code of every message, before it is answered.

    ``late``: seconds it takes to say what was done; the books are written at once, as in an ILS whose answer is lost.
    """

    def __init__(self, books: Books, *, user: str, password: str, institution: str, encoding: str = "utf-8",
                 asked: Callable[[str], None] = lambda _code: None, late: Callable[[], float] = lambda: 0.0) -> None:  # fmt: skip
        self._books, self._user, self._password = books, user, password
        self._institution, self._asked, self._late = institution, asked, late
        self.server = SIP2Server(
            encoding=encoding, institution_id=institution, library_name=institution, login_required=True
        )
        for route, handler in (
            (routes.LOGIN, self._login), (routes.PATRON_STATUS, self._patron_status), (routes.PATRON_INFORMATION, self._patron),
            (routes.ITEM_INFORMATION, self._item), (routes.CHECKOUT, self._checkout), (routes.CHECKIN, self._checkin),
            (routes.RENEW, self._renew), (routes.RENEW_ALL, self._renew_all), (routes.HOLD, self._hold), (routes.FEE_PAID, self._fee),
            (routes.END_PATRON_SESSION, self._end),
        ):  # fmt: skip
            self.server.route(route)(self._counted(route.command_id, handler))

    def _counted(self, code: str, handler: Callable[..., Any]) -> Callable[..., Any]:
        async def handle(request: Any, ctx: Any) -> Any:
            self._asked(code)
            answer = handler(request)
            if self._late() > 0 and code != "93":
                await asyncio.sleep(self._late())
            return answer

        return handle

    def _login(self, r: m.LoginRequest) -> m.LoginResponse:
        given, right = f"{r.login_user_id}\0{r.login_password}", f"{self._user}\0{self._password}"
        return m.LoginResponse(ok="1" if hmac.compare_digest(given.encode(), right.encode()) else "0")

    # --- readers ---

    def _standing(self, number: str) -> tuple[str, str, str, tuple[str, ...]]:
        """patron_status, name, valid, screen messages."""
        patron = self._books.patron(number)
        if patron is None:
            return "Y" * 4 + " " * 10, "", "N", ("Patron not found",)
        standing = self._books.standing(number)
        owes = patron["fees"] > 0
        status = ("YYYY" if standing != "ACTIVE" else "    ") + " " * 7 + ("Y" if owes else " ") + "  "
        text = {"BLOCKED": ("Patron is blocked",), "EXPIRED": ("Patron card has expired",)}.get(standing, ())
        return status, _fit(patron["name"]), "Y" if standing == "ACTIVE" else "N", text

    def _pin_ok(self, number: str, pin: str | None) -> str:
        patron = self._books.patron(number)
        return "Y" if patron is not None and pin and hmac.compare_digest(pin.encode(), patron["pin"].encode()) else "N"

    def _patron_status(self, r: m.PatronStatusRequest) -> m.PatronStatusResponse:
        status, name, valid, text = self._standing(r.patron_identifier)
        return m.PatronStatusResponse(
            patron_status=status, language=r.language, transaction_date=self._now(), institution_id=self._institution,
            patron_identifier=r.patron_identifier, personal_name=name, valid_patron=valid,
            valid_patron_password=self._pin_ok(r.patron_identifier, r.patron_password), screen_message=text,
            **self._money(r.patron_identifier),
        )  # fmt: skip

    def _patron(self, r: m.PatronInformationRequest) -> DatedPatron:
        books, number = self._books, r.patron_identifier
        status, name, valid, text = self._standing(number)
        patron, loans, holds = books.patron(number), books.loans_of(number), books.holds_of(number)
        late = [loan for loan in loans if books.overdue(loan)]
        first, last = _count(r.start_item, 1), _count(r.end_item, 50)
        named = {
            name: tuple(row["item_no"] for row in rows[first - 1 : last])
            for name, rows, wanted in zip(_LISTS, (holds, late, loans), r.summary[:3], strict=True)
            if wanted == "Y"
        }
        return DatedPatron(
            patron_status=status, language=r.language, transaction_date=self._now(), hold_items_count=f"{len(holds):04}",
            overdue_items_count=f"{len(late):04}", charged_items_count=f"{len(loans):04}", fine_items_count="0000",
            recall_items_count="0000", unavailable_holds_count="0000", institution_id=self._institution, patron_identifier=number,
            personal_name=name, valid_patron=valid, valid_patron_password=self._pin_ok(number, r.patron_password),
            screen_message=text, expiry=(patron["expiry"] or "").replace("-", "") or None if patron else None,
            **named, **self._money(number),
        )  # fmt: skip

    def _money(self, number: str) -> dict[str, str]:
        patron = self._books.patron(number)
        return {"currency_type": "CNY", "fee_amount": f"{patron['fees'] / 100:.2f}"} if patron else {}

    def _fee(self, r: m.FeePaidRequest) -> m.FeePaidResponse:
        text: tuple[str, ...] = ()
        try:
            whole, _, part = r.fee_amount.partition(".")
            self._books.pay(r.patron_identifier, int(whole or 0) * 100 + int(part.ljust(2, "0")[:2] or 0), who=WHO)
        except (Refused, ValueError) as error:
            text = (str(error),)
        return m.FeePaidResponse(
            payment_accepted="N" if text else "Y", transaction_date=self._now(), institution_id=self._institution,
            patron_identifier=r.patron_identifier, transaction_id=r.transaction_id, screen_message=text,
        )  # fmt: skip

    def _end(self, r: m.EndPatronSessionRequest) -> m.EndSessionResponse:
        return m.EndSessionResponse(end_session="Y", transaction_date=self._now(), institution_id=self._institution,
                                    patron_identifier=r.patron_identifier)  # fmt: skip

    # --- items ---

    def _item(self, r: m.ItemInformationRequest) -> m.ItemInformationResponse:
        item, loan = self._books.item(r.item_identifier), self._books.loan(r.item_identifier)
        holds = self._books.holds_on(r.item_identifier)
        circulation = "01"
        if item is not None:
            circulation = {"MISSING": "13", "LOST": "12", "WITHDRAWN": "01"}.get(item["status"], "03")
            if loan is not None:
                circulation = "04"
            elif circulation == "03" and holds:
                circulation = "08"
        return m.ItemInformationResponse(
            circulation_status=circulation, security_marker="02", fee_type="01", transaction_date=self._now(),
            hold_queue_length=f"{len(holds)}", due_date=loan["due"] if loan else None, item_identifier=r.item_identifier,
            title_identifier=_fit(item["title"]) if item else "", permanent_location=item["location"] if item else None,
            screen_message=() if item else ("Item not found",),
        )  # fmt: skip

    def _checkout(self, r: m.CheckoutRequest) -> m.CheckoutResponse:
        ok, renewed, due, text = "1", False, "", ()
        try:
            if r.cancel == "Y":
                self._books.give_back(r.item_identifier, who=WHO)
            else:
                due, renewed = self._books.lend(r.patron_identifier, r.item_identifier, who=WHO, **self._happened(r))
        except Refused as error:
            ok, text = "0", (error.text,)
        return m.CheckoutResponse(
            ok=ok, renewal_ok="Y" if renewed else "N", magnetic_media="N", desensitize="Y" if ok == "1" else "N",
            transaction_date=self._now(), institution_id=self._institution, patron_identifier=r.patron_identifier,
            item_identifier=r.item_identifier, title_identifier=self._title(r.item_identifier), due_date=due, screen_message=text,
        )  # fmt: skip

    def _checkin(self, r: m.CheckinRequest) -> RoutedCheckin:
        hold, text = None, ()
        try:
            had, hold = self._books.give_back(
                r.item_identifier, who=WHO, t=self._instant(r.return_date) if r.no_block == "Y" else None
            )
            ok = "1"
            text = () if had else ("Item was not checked out",)
        except Refused as error:
            ok, text = "0", (error.text,)
        item = self._books.item(r.item_identifier)
        here = item["location"] if item else ""
        pickup = (hold["pickup"] or here) if hold else ""
        return RoutedCheckin(
            ok=ok, resensitize="Y" if ok == "1" else "N", magnetic_media="N", alert="Y" if hold or ok == "0" else "N",
            transaction_date=self._now(), institution_id=self._institution, item_identifier=r.item_identifier, permanent_location=here,
            title_identifier=self._title(r.item_identifier) or None, screen_message=text,
            alert_type=("01" if pickup == here else "02") if hold else None, destination=pickup if hold and pickup != here else None,
            hold_patron=hold["number"] if hold else None,
        )  # fmt: skip

    def _renew(self, r: m.RenewRequest) -> m.RenewResponse:
        item_no, due, text = r.item_identifier or "", "", ()
        try:
            due = self._books.renew(r.patron_identifier, item_no, who=WHO, **self._happened(r))
        except Refused as error:
            text = (error.text,)
        return m.RenewResponse(
            ok="1" if due else "0", renewal_ok="Y" if due else "N", magnetic_media="N", desensitize="N", transaction_date=self._now(),
            institution_id=self._institution, patron_identifier=r.patron_identifier, item_identifier=item_no,
            title_identifier=self._title(item_no), due_date=due, screen_message=text,
        )  # fmt: skip

    def _renew_all(self, r: m.RenewAllRequest) -> m.RenewAllResponse:
        done, not_done = [], []
        for loan in self._books.loans_of(r.patron_identifier):
            try:
                self._books.renew(r.patron_identifier, loan["item_no"], who=WHO)
                done.append(loan["item_no"])
            except Refused:
                not_done.append(loan["item_no"])
        return m.RenewAllResponse(
            ok="1" if done or not not_done else "0", renewed_count=f"{len(done):04}", unrenewed_count=f"{len(not_done):04}",
            transaction_date=self._now(), institution_id=self._institution, renewed_items=tuple(done), unrenewed_items=tuple(not_done),
        )  # fmt: skip

    def _hold(self, r: m.HoldRequest) -> m.HoldResponse:
        item_no, place, text = r.item_identifier or "", 0, ()
        try:
            place = self._books.hold(r.patron_identifier, item_no, r.pickup_location or "", cancel=r.hold_mode == "-")
        except Refused as error:
            text = (error.text,)
        free = not text and self._books.loan(item_no) is None and place == 1
        return m.HoldResponse(
            ok="0" if text else "1", available="Y" if free else "N", transaction_date=self._now(),
            queue_position=str(place) if place else None,
            institution_id=self._institution, patron_identifier=r.patron_identifier, item_identifier=item_no or None,
            title_identifier=self._title(item_no) or None, pickup_location=r.pickup_location, screen_message=text,
        )  # fmt: skip

    # --- dates ---

    def _happened(self, r: m.CheckoutRequest | m.RenewRequest) -> dict[str, Any]:
        """What no_block means: when it happened and until when the loan was promised."""
        if r.no_block != "Y":
            return {}
        due = self._instant(r.nb_due_date)
        day = datetime.fromtimestamp(due / 1000, self._books.zone).date().isoformat() if due is not None else None
        return {"happened": True, "t": self._instant(r.transaction_date), "due": day}

    def _instant(self, text: str) -> int | None:
        """A SIP2 date as ms UTC; local where no zone is named (SIP2 2.00 §2); None where it is no date (zeros for none given)."""
        try:
            read = datetime.strptime(text[:8] + text[12:], "%Y%m%d%H%M%S")
        except ValueError:
            return None
        zone = UTC if text[8:12].strip() == "Z" else self._books.zone
        return int(read.replace(tzinfo=zone).timestamp()) * 1000

    def _now(self) -> str:
        return datetime.now(self._books.zone).strftime("%Y%m%d    %H%M%S")

    def _title(self, item_no: str) -> str:
        item = self._books.item(item_no)
        return _fit(item["title"]) if item else ""


def _fit(text: str) -> str:
    """What a SIP2 field takes: pysip2 closes the connection over a delimiter or 256 bytes in a value."""
    return str(text).replace("|", " ").replace("\r", " ").encode()[:240].decode(errors="ignore")


def _count(text: str | None, default: int) -> int:
    return int(text) if text and text.strip().isdigit() else default
