"""10 with its routing: what a kiosk, a sorter or a book drop does with an item that came back (3M extensions: CT, CV, CL …)."""

from __future__ import annotations

from dataclasses import dataclass

from consortium.decision import Route
from drivers.selfcheck import CheckinResult
from edge.answers import Answer
from edge.selfservice.sip2.call import Call
from edge.selfservice.sip2.media import media_of
from edge.sip2_config import AccountConfig, BinRule
from protocols.sip2.dates import format_date

HOLD_HERE, HOLD_ELSEWHERE, TRANSIT, OTHER = "01", "02", "04", "99"
"""Alert types (CV); 03 is a loan between libraries outside the consortium, which we do not know."""

_BINS = {"SHELVE": "1", "STAY": "1", "HOLD": "2", "TRANSIT": "3", "HOLD_HERE": "3"}
"""Where an account has no rule for it: stays here, hold shelf, goes away."""


@dataclass(frozen=True, slots=True)
class Sorted:
    """How an item is sorted: alert type (None: no alert), destination branch, bin."""

    alert_type: str | None
    destination: str | None
    bin: str


def sort(answer: Answer, account: AccountConfig) -> Sorted:
    """Where an item goes: by its route, the account's bins first. What a person must see goes to the exception bin."""
    route = answer.route
    if not answer.ok or route is None or route.action == "DESK":
        return Sorted(OTHER, None, account.exception_bin)
    rule = next((rule.bin for rule in account.bins if _fits(rule, route, answer)), None)
    where = rule or _BINS.get(route.action, account.exception_bin)
    if route.action == "HOLD":
        return Sorted(HOLD_HERE, None, where)
    if route.action == "TRANSIT":
        return Sorted(HOLD_ELSEWHERE if route.reason == "HOLD" else TRANSIT, route.dest, where)
    return Sorted(answer.alert or None, None, where)


def _fits(rule: BinRule, route: Route, answer: Answer) -> bool:
    return (
        rule.action in ("", route.action)
        and rule.dest in ("", route.dest)
        and rule.collection in ("", answer.collection)
        and rule.media in ("", media_of(answer.item_type))
        and answer.call_number.startswith(rule.call_number)
    )


def checkin_result(call: Call, answer: Answer, where: Sorted, place: str) -> CheckinResult:
    """10; ``place`` is the destination's name for the receipt. Nothing of it says whose the loan was (domain M13)."""
    until = answer.route.until if answer.route is not None else None
    lines = [call.line(answer.code)]
    return CheckinResult(
        ok=answer.ok,
        resensitize=answer.ok,
        alert=where.alert_type is not None,
        title=answer.title,
        permanent_location=answer.owner_branch,
        sort_bin=where.bin,
        media=media_of(answer.item_type) if answer.item_type else None,
        collection=answer.collection or None,
        call_number=answer.call_number or None,
        destination=where.destination,
        alert_type=where.alert_type,
        hold_until=format_date(call.local(until)) if until is not None else None,
        screen=[*lines, answer.said] if answer.said else lines,
        print=call.receipt(answer.title or answer.item_no, f"{call.text('GOES_TO')} {place}" if place else "")
        if answer.ok
        else (),
    )
