"""Which requests may be sent once more when the connection went while they were asked."""

from __future__ import annotations

from protocols.sip2 import LAYOUTS, Outgoing

__all__ = ["may_repeat"]

_READS = frozenset({"17", "23", "63", "99"})
_DATED = frozenset({"01", "09", "11", "15", "19", "25", "29", "35", "65"})


def may_repeat(request: Outgoing | str) -> bool:
    """Whether the other side can take this request a second time without harm.

    Reads can always be asked again. A transaction goes with its date as it was, by which it can be known again; without a date it
    might be a second one. A payment (37) is repeated only under a transaction id (BK): few systems know a payment by its date.
    """
    code = request[:2] if isinstance(request, str) else request.code
    if code in _READS:
        return True
    if code == "37":
        return bool(_field(request, "BK"))
    return code in _DATED and bool(_date(request).strip(" 0"))


def _date(request: Outgoing | str) -> str:
    if not isinstance(request, str):
        return request.fixed.get("transaction_date", "")
    layout = LAYOUTS[request[:2]]
    for name, start, end in layout.parts:
        if name == "transaction_date":
            return request[start:end] if request[start : start + 8].isdigit() else ""
    return ""


def _field(request: Outgoing | str, name: str) -> str:
    if not isinstance(request, str):
        return next((value for key, value in request.fields if key == name), "")
    fields = request[LAYOUTS[request[:2]].end :].split("|")
    return next((part[2:] for part in fields if part[:2] == name), "")
