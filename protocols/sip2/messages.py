"""The messages of SIP2 2.00 as tables: fixed layout, known fields, which reply answers which request.

A layout is written as in the standard's tables: `name:width`, where the width is a number of characters, `D` an
18-character date, `V` a 4-character version, `#n` n digits (blanks allowed). Only those kinds are checked on
reading: they are what shows that a fixed part was cut. Flags are taken as they come.

SIP2 1.00 knew 23 11 09 01 99 97 and their replies, with the same fixed parts; what 2.00 added are fields and whole
messages (so the tables of both versions in Evergreen's and Koha's SIPServer have it; the text of 1.00 is not to be had).
One table therefore reads both.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import msgspec

__all__ = ["BX_ORDER", "LAYOUTS", "REPLY_OF", "REQUESTS", "RESENDS", "TITLES", "Checksum", "Layout", "Message"]

Checksum = Literal["ok", "bad", "none"]


class Message(msgspec.Struct, frozen=True):
    """One SIP2 message as read from the wire.

    A msgspec struct, not a dataclass: a frozen dataclass of this many fields takes a sixth of the time of reading.

    `fixed` holds the fixed part by name; a name that the peer left out (65 without date) is absent. `fields` keeps
    every variable field in order, repeats and unknown ones too. `right` is the true AZ where `checksum` is `bad`.
    `sum_over` says what a good checksum was counted over; `replaced` that bytes could not be decoded.
    `quirks` names what was tolerated (protocols.sip2.tolerant).
    """

    code: str
    fixed: dict[str, str]
    fields: tuple[tuple[str, str], ...] = ()
    sequence: str | None = None
    checksum: Checksum = "none"
    right: str | None = None
    sum_over: Literal["bytes", "code_points"] | None = None
    replaced: bool = False
    quirks: tuple[str, ...] = ()

    def get(self, field: str, default: str = "") -> str:
        """The first value of a field, or the default where it is missing."""
        for name, value in self.fields:
            if name == field:
                return value
        return default

    def has(self, field: str) -> bool:
        """Whether the field is there at all, even empty."""
        return any(name == field for name, _ in self.fields)

    def all(self, field: str) -> tuple[str, ...]:
        """Every value of a repeatable field, in order."""
        return tuple(value for name, value in self.fields if name == field)

    def number(self, name: str) -> int | None:
        """A number from the fixed part or, where there is none of that name, a field; None if blank or no number."""
        text = self.fixed.get(name, self.get(name)).strip()
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


@dataclass(frozen=True, slots=True)
class Layout:
    """The shape of one message: `parts` are (name, start, end) counted from the first character of the code.

    `dates`, `versions` and `numbers` are the slices to check; `required` and `optional` are the fields of the standard
    (informative: all fields are accepted everywhere). `reply` is the code that answers it, None for a reply. `match`
    takes the parts by name from a text that is as the standard has it, from its third character on; None means look
    closer.
    `blank` names the date that may be left blank.
    """

    code: str
    parts: tuple[tuple[str, int, int], ...]
    names: tuple[str, ...]
    widths: tuple[int, ...]
    end: int
    dates: tuple[tuple[int, int], ...]
    versions: tuple[tuple[int, int], ...]
    numbers: tuple[tuple[int, int], ...]
    required: tuple[str, ...]
    optional: tuple[str, ...]
    reply: str | None
    match: Callable[[str, int], re.Match[str] | None]
    blank: str | None


_STATUS = "patron_status:14 language:3 transaction_date:D"
_RENEWED = "ok:1 renewal_ok:1 magnetic_media:1 desensitize:1 transaction_date:D"
_DATE = "transaction_date:D"

# code: (fixed part, required fields, optional fields, reply).  SIP2 2.00, messages.
_TABLE: dict[str, tuple[str, str, str, str | None]] = {
    "01": (f"card_retained:1 {_DATE}", "AO AL AA AC", "", "24"),
    "09": (f"no_block:1 {_DATE} return_date:D", "AP AO AB AC", "CH BI", "10"),
    "10": (f"ok:1 resensitize:1 magnetic_media:1 alert:1 {_DATE}", "AO AB AQ", "AJ CL AA CK CH AF AG", None),
    "11": (f"sc_renewal_policy:1 no_block:1 {_DATE} nb_due_date:D", "AO AA AB AC", "CH AD BO BI", "12"),
    "12": (_RENEWED, "AO AA AB AJ AH", "BT CI BH BV CK CH BK AF AG", None),
    "15": (f"hold_mode:1 {_DATE}", "AO AA", "BW BS BY AD AB AJ AC BO", "16"),
    "16": (f"ok:1 available:1 {_DATE}", "AO AA", "BW BR BS AB AJ AF AG", None),
    "17": (_DATE, "AO AB", "AC", "18"),
    "18": (
        f"circulation_status:#2 security_marker:#2 fee_type:#2 {_DATE}",
        "AB AJ",
        "CF AH CJ CM BG BH BV CK AQ AP CH AF AG",
        None,
    ),
    "19": (_DATE, "AO AB CH", "AC", "20"),
    "20": (f"item_properties_ok:1 {_DATE}", "AB", "AJ CH AF AG", None),
    "23": (f"language:3 {_DATE}", "AO AA AC AD", "", "24"),
    "24": (_STATUS, "AO AA AE", "BL CQ BH BV AF AG", None),
    "25": (_DATE, "AO AA", "AC AD", "26"),
    "26": (_STATUS, "AO AA AE", "BL CQ AF AG", None),
    "29": (f"third_party_allowed:1 no_block:1 {_DATE} nb_due_date:D", "AO AA", "AD AB AJ AC CH BO", "30"),
    "30": (_RENEWED, "AO AA AB AJ AH", "BT CI BH BV CK CH BK AF AG", None),
    "35": (_DATE, "AO AA", "AC AD", "36"),
    "36": (f"end_session:1 {_DATE}", "AO AA", "AF AG", None),
    "37": (f"{_DATE} fee_type:2 payment_type:2 currency_type:3", "BV AO AA", "AC AD CG BK", "38"),
    "38": (f"payment_accepted:1 {_DATE}", "AO AA", "BK AF AG", None),
    "63": (f"language:3 {_DATE} summary:10", "AO AA", "AC AD BP BQ", "64"),
    "64": (
        f"{_STATUS} hold_items_count:#4 overdue_items_count:#4 charged_items_count:#4 fine_items_count:#4"
        " recall_items_count:#4 unavailable_holds_count:#4",
        "AO AA AE",
        "BZ CA CB BL CQ BH BV CC AS AT AU AV BU CD BD BE BF AF AG",
        None,
    ),
    "65": (_DATE, "AO AA", "AD AC BO", "66"),
    "66": (f"ok:1 renewed_count:#4 unrenewed_count:#4 {_DATE}", "AO", "BM BN AF AG", None),
    "93": ("uid_algorithm:#1 pwd_algorithm:#1", "CN CO", "CP", "94"),
    "94": ("ok:1", "", "", None),
    "96": ("", "", "", None),
    "97": ("", "", "", None),
    "98": (
        "on_line_status:1 checkin_ok:1 checkout_ok:1 acs_renewal_policy:1 status_update_ok:1 off_line_ok:1"
        " timeout_period:#3 retries_allowed:#3 date_time_sync:D protocol_version:V",
        "AO BX",
        "AM AN AF AG",
        None,
    ),
    "99": ("status_code:1 max_print_width:#3 protocol_version:V", "", "", "98"),
}


def _layout(code: str, fixed: str, required: str, optional: str, reply: str | None) -> Layout:
    parts: list[tuple[str, int, int]] = []
    checks: dict[str, list[tuple[int, int]]] = {"D": [], "V": [], "#": []}
    patterns: list[str] = []
    at = 2
    for word in fixed.split():
        name, kind = word.split(":")
        width = {"D": 18, "V": 4}.get(kind) or int(kind.lstrip("#"))
        parts.append((name, at, at + width))
        patterns.append(_pattern(name, kind, width))
        if kind[0] in checks:
            checks[kind[0]].append((at, at + width))
        at += width
    return Layout(
        code=code,
        parts=tuple(parts),
        names=tuple(name for name, _, _ in parts),
        widths=tuple(end - start for _, start, end in parts),
        end=at,
        dates=tuple(checks["D"]),
        versions=tuple(checks["V"]),
        numbers=tuple(_joined(checks["#"])),
        required=tuple(required.split()),
        optional=tuple(optional.split()),
        reply=reply,
        # Straight after the fixed part a field begins, or nothing.
        match=re.compile("".join(patterns) + r"(?![^A-Za-z])").match,
        blank=next((name for name, _, _ in parts if name in _MAY_BE_BLANK), None),
    )


_MAY_BE_BLANK = frozenset({"nb_due_date", "return_date"})


def _pattern(name: str, kind: str, width: int) -> str:
    """What one part looks like in a message without any deviation."""
    if kind == "D":
        form = "[0-9]{8} {3}[ Z][0-9]{6}" + ("| {18}" if name in _MAY_BE_BLANK else "")
    elif kind == "V":
        form = r"2\.00"
    elif kind[0] == "#":
        form = f"[0-9]{{{width}}}" + ("| {4}" if name.endswith("_count") else "")
    else:
        form = f"[ -~]{{{width}}}"
    return f"(?P<{name}>{form})"


def _joined(slices: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Neighbouring slices as one: six counts are checked by one look."""
    joined: list[tuple[int, int]] = []
    for start, end in slices:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


LAYOUTS: dict[str, Layout] = {code: _layout(code, *row) for code, row in _TABLE.items()}
"""Every message of the standard by its two digits."""

REPLY_OF: dict[str, str] = {code: layout.reply for code, layout in LAYOUTS.items() if layout.reply}
"""The reply's code by the request's. Any request may also be answered by 98 (SIP2 2.00, ACS Status)."""

REQUESTS: frozenset[str] = frozenset(REPLY_OF)
"""Codes that a kiosk (SC) may send and that want an answer."""

RESENDS: frozenset[str] = frozenset({"96", "97"})
"""The two messages without fields and without AY."""

BX_ORDER: tuple[str, ...] = (
    "23", "11", "09", "01", "99", "97", "93", "63", "35", "37", "17", "19", "25", "15", "29", "65",
)  # fmt: skip
"""The requests in the order of BX, one Y or N each; 97 stands for both resend messages."""

TITLES: dict[str, str] = {
    "01": "Block Patron", "09": "Checkin", "10": "Checkin Response", "11": "Checkout", "12": "Checkout Response",
    "15": "Hold", "16": "Hold Response", "17": "Item Information", "18": "Item Information Response",
    "19": "Item Status Update", "20": "Item Status Update Response", "23": "Patron Status Request",
    "24": "Patron Status Response", "25": "Patron Enable", "26": "Patron Enable Response", "29": "Renew",
    "30": "Renew Response", "35": "End Patron Session", "36": "End Session Response", "37": "Fee Paid",
    "38": "Fee Paid Response", "63": "Patron Information", "64": "Patron Information Response", "65": "Renew All",
    "66": "Renew All Response", "93": "Login", "94": "Login Response", "96": "Request SC Resend",
    "97": "Request ACS Resend", "98": "ACS Status", "99": "SC Status",
}  # fmt: skip
"""The standard's own names of the messages."""
