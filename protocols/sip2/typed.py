"""The values behind a message's text: flags, dates, numbers, codes. Strict about nothing: what cannot be read is said.

`typed` reads everything, `typed_fixed` the fixed part alone. A value that cannot be read is left out and named as a
`Problem`, never with its text, so that problems may be logged.

| kind | value |
|---|---|
| flag (Y N U), ok (1 0) | bool; None for U, but False for U of desensitize (SIP2 2.00: "U = N") |
| date | `Instant`; None for blanks or zeros |
| number, count | int; None for blanks |
| amount | Decimal |
| language | BCP 47 tag; None for 000 |
| currency, version | text of that form |
| code | a member of `protocols.sip2.codes` |
| patron status, BX | frozenset of names; of the codes that are supported |
| summary | the list that is asked for, None for none |
| text | str |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

import msgspec

from protocols.sip2.codes import (
    LANGUAGES,
    PATRON_STATUS,
    Circulation,
    FeeType,
    HoldMode,
    HoldType,
    Media,
    Payment,
    ScStatus,
    Security,
)
from protocols.sip2.fields import REPEATABLE
from protocols.sip2.messages import BX_ORDER, LAYOUTS, Message
from protocols.sip2.requests import SUMMARIES

__all__ = ["FIELD_TYPES", "FIXED_TYPES", "Instant", "Problem", "Typed", "Value", "typed", "typed_fixed"]


class Instant(msgspec.Struct, frozen=True):
    """A date of the wire. `at` is aware (UTC) where `zone` is `Z`, else naive: the wall time of the branch.

    `zone` is None for a blank ZZZZ and `Z` for UTC; any other is kept as printed and means local time: kiosks print
    what their system calls the zone.
    """

    at: datetime
    zone: str | None = None

    def aware(self, local: tzinfo) -> datetime:
        """The instant; `local` is the zone of the branch."""
        return self.at if self.at.tzinfo is not None else self.at.replace(tzinfo=local)


class Problem(msgspec.Struct, frozen=True):
    """A value that could not be read: its name (of the fixed part or a field's identifier) and the kind it should be."""

    name: str
    kind: str


Scalar = bool | int | str | Decimal | Instant | frozenset[str] | None
Value = Scalar | tuple[Scalar, ...]
Convert = Callable[[str], Scalar]


class Typed(msgspec.Struct, frozen=True):
    """The values of a message: of the fixed part by name, of the fields by identifier.

    A repeatable field has a tuple, any other field its first value. The two are apart: a peer may call a field `ok`.
    """

    fixed: dict[str, Scalar]
    fields: dict[str, Value]
    problems: tuple[Problem, ...] = ()


_AMOUNT = re.compile(r"[+-]?[0-9]{1,18}(?:[.,][0-9]{1,6})?")
_EMPTY: frozenset[str] = frozenset()
_read = datetime.fromisoformat


def _date(text: str) -> Instant | None:
    if text[8:12] == "    " and len(text) == 18 and "0" <= text[4] <= "9":  # no week date of ISO 8601
        try:
            return Instant(_read(text.replace("    ", "T", 1)), None)
        except ValueError:
            return _odd_date(text)
    return _odd_date(text)


_UTC = frozenset({"Z", "000Z", "UTC"})


def _odd_date(text: str) -> Instant | None:
    """A date with a zone, zeros, blanks; raises ValueError for anything else."""
    days, zone, time = text[:8], text[8:12].strip(), text[12:]
    digits = days + time
    if not digits.strip(" 0"):
        return None
    if not (len(text) == 18 and digits.isascii() and digits.isdigit()):
        raise ValueError
    at = _read(f"{days}T{time}")
    if zone.upper() in _UTC:
        return Instant(at.replace(tzinfo=UTC), "Z")
    return Instant(at, zone or None)


def _number(text: str) -> int | None:
    if text.isdigit() and text.isascii() and len(text) <= 9:
        return int(text)
    stripped = text.strip()
    if not stripped:
        return None
    if stripped.isdigit() and stripped.isascii() and len(stripped) <= 9:
        return int(stripped)
    raise ValueError


class _Numbers(dict[str, int | None]):
    """The numbers that fixed parts mostly hold, by their text; any other is read."""

    def __missing__(self, text: str) -> int | None:
        return _number(text)


_small = _Numbers({f"{number:0{width}d}": number for width in (1, 3, 4) for number in range(10 ** min(width, 2))})


def _amount(text: str) -> Decimal | None:
    stripped = text.strip()
    if not stripped:
        return None
    if _AMOUNT.fullmatch(stripped) is None:
        raise ValueError
    return Decimal(stripped.replace(",", "."))


def _currency(text: str) -> str | None:
    stripped = text.strip()
    if not stripped:
        return None
    if len(stripped) == 3 and stripped.isascii() and stripped.isalpha():
        return stripped.upper()
    raise ValueError


def _patron_status(text: str) -> frozenset[str]:
    if text.isspace():
        return _EMPTY
    if len(text) != len(PATRON_STATUS) or text.strip("Y ") or not text.isascii():
        # Some library systems print N for blank.
        text = text.replace("N", " ")
        if text.strip("Y ") or len(text) != len(PATRON_STATUS):
            raise ValueError
    return frozenset([name for name, mark in zip(PATRON_STATUS, text, strict=True) if mark == "Y"])


def _summary(text: str) -> str | None:
    at = text.find("Y")
    if text.replace("N", " ").strip(" ") not in ("", "Y") or at >= len(SUMMARIES):
        raise ValueError
    return SUMMARIES[at] if at >= 0 else None


def _supported(text: str) -> frozenset[str]:
    if text.strip("YN "):
        raise ValueError
    return frozenset([code for code, mark in zip(BX_ORDER, text, strict=False) if mark == "Y"])


def _version(text: str) -> str:
    if text[:1].isdigit() and text[1:2] == "." and text[2:].isdigit():
        return text
    raise ValueError


Code = TypeVar("Code", bound=StrEnum)


def _codes(kind: type[Code]) -> Convert:
    return {member.value: member for member in kind}.__getitem__


_flag: Convert = {"Y": True, "N": False, "U": None, " ": None, "": None}.__getitem__
_desensitize: Convert = {"Y": True, "N": False, "U": False}.__getitem__
_ok: Convert = {"1": True, "0": False}.__getitem__
_language: Convert = LANGUAGES.__getitem__

KINDS: dict[str, Convert] = {
    "flag": _flag, "desensitize": _desensitize, "ok": _ok, "date": _date, "number": _small.__getitem__, "amount": _amount,
    "language": _language, "currency": _currency, "version": _version, "patron_status": _patron_status,
    "summary": _summary, "supported": _supported, "circulation": _codes(Circulation), "security": _codes(Security),
    "fee_type": _codes(FeeType), "payment": _codes(Payment), "media": _codes(Media), "hold_mode": _codes(HoldMode),
    "hold_type": _codes(HoldType), "sc_status": _codes(ScStatus), "text": str,
}  # fmt: skip
"""How each kind is read; KeyError and ValueError mean that it cannot be."""

FIXED_TYPES: dict[str, str] = {
    **dict.fromkeys(
        (
            "card_retained", "no_block", "resensitize", "magnetic_media", "alert", "sc_renewal_policy", "renewal_ok",
            "available", "third_party_allowed", "end_session", "payment_accepted", "on_line_status", "checkin_ok",
            "checkout_ok", "acs_renewal_policy", "status_update_ok", "off_line_ok",
        ),
        "flag",
    ),
    **dict.fromkeys(("transaction_date", "return_date", "nb_due_date", "date_time_sync"), "date"),
    **dict.fromkeys(
        (
            "hold_items_count", "overdue_items_count", "charged_items_count", "fine_items_count", "recall_items_count",
            "unavailable_holds_count", "renewed_count", "unrenewed_count", "max_print_width", "timeout_period",
            "retries_allowed", "uid_algorithm", "pwd_algorithm",
        ),
        "number",
    ),
    "desensitize": "desensitize", "ok": "ok", "item_properties_ok": "ok", "hold_mode": "hold_mode",
    "circulation_status": "circulation", "security_marker": "security", "fee_type": "fee_type",
    "payment_type": "payment", "currency_type": "currency", "language": "language", "patron_status": "patron_status",
    "summary": "summary", "status_code": "sc_status", "protocol_version": "version",
}  # fmt: skip
"""The kind of every name of the fixed parts."""

FIELD_TYPES: dict[str, str] = {
    **dict.fromkeys(("BI", "BL", "BO", "CI", "CQ"), "flag"),
    **dict.fromkeys(("BW", "CJ", "CM"), "date"),
    **dict.fromkeys(("BP", "BQ", "BR", "BZ", "CA", "CB", "CF"), "number"),
    **dict.fromkeys(("BV", "CC"), "amount"),
    "BH": "currency", "BT": "fee_type", "BX": "supported", "BY": "hold_type", "CK": "media",
}  # fmt: skip
"""The kind of the fields that are not text."""

_PLANS: dict[str, tuple[tuple[str, Convert], ...]] = {
    code: tuple((name, KINDS[FIXED_TYPES[name]]) for name in layout.names) for code, layout in LAYOUTS.items()
}
_FIELD_PLAN: dict[str, Convert] = {name: KINDS[kind] for name, kind in FIELD_TYPES.items()}
_NOT_TEXT = REPEATABLE | set(FIELD_TYPES)


def typed_fixed(message: Message) -> Typed:
    """The values of the fixed part, no fields; a name that the peer left out is absent."""
    fixed = message.fixed
    try:
        return Typed({name: convert(fixed[name]) for name, convert in _PLANS[message.code]}, {})
    except (KeyError, ValueError):
        return _one_by_one(fixed)


def _one_by_one(fixed: Mapping[str, str]) -> Typed:
    values: dict[str, Scalar] = {}
    problems = []
    for name, text in fixed.items():
        kind = FIXED_TYPES[name]
        try:
            values[name] = KINDS[kind](text)
        except (KeyError, ValueError):
            problems.append(Problem(name, kind))
    return Typed(values, {}, tuple(problems))


def typed(message: Message) -> Typed:
    """The values of the fixed part and of every field, unknown ones as text."""
    found = typed_fixed(message)
    first = dict(message.fields[::-1])  # the last of equal names stays: the first of the message
    values: dict[str, Value] = {**first}
    problems = list(found.problems)
    for name in _NOT_TEXT.intersection(first):
        convert = _FIELD_PLAN.get(name)
        if convert is None:
            values[name] = message.all(name)
            continue
        try:
            values[name] = convert(first[name])
        except (KeyError, ValueError):
            del values[name]
            problems.append(Problem(name, FIELD_TYPES[name]))
    return Typed(found.fixed, values, tuple(problems))
