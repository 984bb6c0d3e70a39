"""What makes a transaction known again after a lost reply, a reconnect or a restart of the edge.

The server below has done resends and repeats within one run of the program; these keys live in the outbox, in the transaction of what
was done (SIP2 2.00 §"same transaction": account, code, AA, AB, date). An off-line record of the same transaction has the same key.
"""

from __future__ import annotations

import hmac

from edge.answers import Transaction
from edge.selfservice.sip2.call import Call

_SEPARATOR = "\x1f"
_NOT_OF_IT = frozenset(("AC", "AD", "AY", "AZ"))


def of_item(call: Call, item: str | None = None) -> Transaction | None:
    """The transaction about an item, None for one without a date: that is always answered afresh. ``item``: where 65 names none."""
    date = call.request.fixed.get("transaction_date", "")
    if not date.strip():
        return None
    about = call.request.get("AB") if item is None else item
    parts = (call.account.user, call.request.code, call.request.get("AA"), about, date, call.request.get("BI"))
    return Transaction(f"sip2/{_keyed(call, about)}", _keyed(call, *parts))


def of_reader(call: Call) -> Transaction | None:
    """The transaction about a reader: two fees paid in one second differ only in their fields."""
    date = call.request.fixed.get("transaction_date", "")
    if not date.strip():
        return None
    fields = (name + value for name, value in call.request.fields if name not in _NOT_OF_IT)
    fixed = (f"{name}={value}" for name, value in call.request.fixed.items())
    same = _keyed(call, call.account.user, call.request.code, *fixed, *fields)
    return Transaction(f"sip2/{call.request.code}/{_keyed(call, call.account.user, call.request.get('AA'))}", same)


def name_of(call: Call, memo: Transaction | None) -> str:
    """A name for the transaction that says nothing about anybody: what the hub knows its repeat by."""
    if memo is not None:
        return memo.identity[:32]
    return _keyed(call, call.account.user, str(call.session.connection_id), str(call.site.now()))[:32]


def of_payment(call: Call, given: str) -> str:
    """A name for a payment that the kiosk itself names (BK): the same whenever it is told again that day.

    With the amount in it, because some terminals count their payments from 1 every morning.
    """
    day = call.request.fixed.get("transaction_date", "")[:8]
    return _keyed(call, call.account.user, call.request.get("AA"), given, day, *_paid(call))[:32]


def _paid(call: Call) -> list[str]:
    return [name + value for name, value in call.request.fields if name in ("BV", "CG", "FA")]


def _keyed(call: Call, *parts: str) -> str:
    # Keyed: the outbox's file must not be a list of numbers that can be tried out.
    text = _SEPARATOR.join(parts).encode("utf-8", "surrogatepass")
    return hmac.digest(call.site.key, text, "sha256").hex()
