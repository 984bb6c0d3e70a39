"""What a kiosk asks, as plain values: one function a request, with the words of this project."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from protocols.sip2.dates import BLANK_DATE, format_date
from protocols.sip2.fields import flag

__all__ = [
    "SUMMARIES",
    "Outgoing",
    "checkin",
    "checkout",
    "end_session",
    "item_information",
    "login",
    "reader_information",
    "reader_status",
    "renew",
    "renew_all",
    "sc_status",
]

SUMMARIES = ("hold", "overdue", "charged", "fine", "recall", "unavailable")
"""The lists that 63 can ask for, in the order of its summary."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to be sent: code, fixed part by name, fields in order."""

    code: str
    fixed: dict[str, str]
    fields: tuple[tuple[str, str], ...] = ()


def login(user: str, password: str, location: str | None = None) -> Outgoing:
    """93, both algorithms 0 (clear text)."""
    fields = [("CN", user), ("CO", password)]
    if location is not None:
        fields.append(("CP", location))
    return Outgoing("93", {"uid_algorithm": "0", "pwd_algorithm": "0"}, tuple(fields))


def sc_status(status: str = "0", max_print_width: int = 80) -> Outgoing:
    """99; status 0 ok, 1 out of paper, 2 closing; width in characters."""
    fixed = {"status_code": status, "max_print_width": f"{max_print_width:03d}", "protocol_version": "2.00"}
    return Outgoing("99", fixed)


def _who(institution: str, reader_no: str, pin: str | None) -> tuple[tuple[str, str], ...]:
    return (("AO", institution), ("AA", reader_no), ("AC", ""), ("AD", pin or ""))


def reader_status(institution: str, reader_no: str, pin: str | None, now: datetime, language: str = "000") -> Outgoing:
    """23; language as three digits (019 Chinese)."""
    fixed = {"language": language, "transaction_date": format_date(now)}
    return Outgoing("23", fixed, _who(institution, reader_no, pin))


def reader_information(
    institution: str,
    reader_no: str,
    pin: str | None,
    now: datetime,
    *,
    summary: str | None = None,
    language: str = "000",
    first: int | None = None,
    last: int | None = None,
) -> Outgoing:
    """63; `summary` names the one list wanted (SUMMARIES), `first` and `last` its window counted from 1."""
    marks = "".join("Y" if name == summary else " " for name in SUMMARIES).ljust(10)
    fields = _who(institution, reader_no, pin)
    if first is not None:
        fields += (("BP", str(first)),)
    if last is not None:
        fields += (("BQ", str(last)),)
    return Outgoing("63", {"language": language, "transaction_date": format_date(now), "summary": marks}, fields)


def item_information(institution: str, item_no: str, now: datetime) -> Outgoing:
    """17."""
    fields = (("AO", institution), ("AB", item_no), ("AC", ""))
    return Outgoing("17", {"transaction_date": format_date(now)}, fields)


def checkout(
    institution: str,
    reader_no: str,
    item_no: str,
    pin: str | None,
    now: datetime,
    *,
    renewals: bool = True,
    fee_acknowledged: bool | None = None,
    no_block_due: datetime | None = None,
) -> Outgoing:
    """11. `no_block_due` is given for a loan made off line: it is recorded, never refused (SIP2 2.00, no block)."""
    fixed = {
        "sc_renewal_policy": flag(renewals),
        "no_block": flag(no_block_due is not None),
        "transaction_date": format_date(now),
        "nb_due_date": BLANK_DATE if no_block_due is None else format_date(no_block_due),
    }
    fields: tuple[tuple[str, str], ...] = (
        ("AO", institution),
        ("AA", reader_no),
        ("AB", item_no),
        ("AC", ""),
        ("AD", pin or ""),
    )
    if fee_acknowledged is not None:
        fields += (("BO", flag(fee_acknowledged)),)
    return Outgoing("11", fixed, fields)


def checkin(
    institution: str, item_no: str, now: datetime, *, location: str = "", returned: datetime | None = None
) -> Outgoing:
    """09. `returned` is given for a return made off line."""
    fixed = {
        "no_block": flag(returned is not None),
        "transaction_date": format_date(now),
        "return_date": format_date(returned or now),
    }
    return Outgoing("09", fixed, (("AP", location), ("AO", institution), ("AB", item_no), ("AC", "")))


def renew(institution: str, reader_no: str, item_no: str, pin: str | None, now: datetime) -> Outgoing:
    """29 for one item."""
    fixed = {
        "third_party_allowed": "N",
        "no_block": "N",
        "transaction_date": format_date(now),
        "nb_due_date": BLANK_DATE,
    }
    fields = (("AO", institution), ("AA", reader_no), ("AD", pin or ""), ("AB", item_no), ("AC", ""))
    return Outgoing("29", fixed, fields)


def renew_all(institution: str, reader_no: str, pin: str | None, now: datetime) -> Outgoing:
    """65."""
    fields = (("AO", institution), ("AA", reader_no), ("AD", pin or ""), ("AC", ""))
    return Outgoing("65", {"transaction_date": format_date(now)}, fields)


def end_session(institution: str, reader_no: str, pin: str | None, now: datetime) -> Outgoing:
    """35."""
    return Outgoing("35", {"transaction_date": format_date(now)}, _who(institution, reader_no, pin))
