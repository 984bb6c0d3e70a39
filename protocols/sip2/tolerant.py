"""What kiosks in the field send against the standard, read all the same, and each deviation named.

The names are stable: a kiosk's page shows them, a vendor is told them. SIP2 2.00 has no word on any of this.

| quirk | met |
|---|---|
| `no_ay`, `no_az` | without sequence number, without checksum |
| `az_lower_case`, `after_az` | digits of AZ in lower case; blanks or a delimiter behind it |
| `blank_dates` | nb due date or return date of 18 blanks: none given |
| `date_missing_65` | renew all without its date |
| `stray_001` | a language before the date of 17 |
| `stray_digit`, `stray_bar`, `stray_blank` | between the fixed part and the first field |
| `padded_width` | a number padded with blanks |
| `zone_named` | a time zone that is neither blank nor Z |
| `blank_date` | any other date of 18 blanks |
| `version_1_00`, `odd_version` | a peer of the first version; neither 1.00 nor 2.00 |
| `no_final_bar`, `blanks_before_ay`, `space_padded_am`, `long_value` | as named; long is over 255 characters |
| `unknown_fields`, `no_ao`, `no_ac`, `no_ad`, `no_…` | a field that is in no table; a required field that is missing |
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from protocols.sip2.checksum import az_of_sum, byte_sum, code_point_sum
from protocols.sip2.dates import BLANK_DATE, is_date
from protocols.sip2.errors import RemoteProtocolError
from protocols.sip2.fields import FIELDS, MAX_VALUE
from protocols.sip2.messages import LAYOUTS, RESENDS, Checksum, Layout, Message

__all__ = ["fixed_part", "is_identifier", "missing_layout", "names_judged", "read", "tail"]

_KNOWN = frozenset(FIELDS)
_HEX = frozenset(b"0123456789ABCDEFabcdef")
_REQUIRED = {code: frozenset(layout.required) for code, layout in LAYOUTS.items()}


def read(data: bytes, encoding: str, delimiter: str) -> Message:
    """Read one frame as `parse` promises, trying every deviation that is known."""
    bar = ord(delimiter)
    end, sequence, az = tail(data, bar)
    body = data[:end]
    replaced = False
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError:
        text, replaced = body.decode(encoding, "replace"), True

    checksum: Checksum = "none"
    right: str | None = None
    sum_over: Literal["bytes", "code_points"] | None = None
    quirks: list[str] = []
    if az is not None:
        checksum, right, sum_over = _checked(data, az, end, text)
        if data[az : az + 4] != data[az : az + 4].upper():
            quirks.append("az_lower_case")
        if len(data) > az + 4:
            quirks.append("after_az")

    code = text[:2]
    layout = LAYOUTS.get(code)
    try:
        if layout is None:
            raise missing_layout(text)
        if code not in RESENDS:
            quirks += ["no_ay"] * (sequence is None) + ["no_az"] * (az is None)
        fixed, at = fixed_part(text, layout, delimiter, quirks)
        fields = _fields(text, at, delimiter, quirks)
        quirks += names_judged(layout, tuple([name for name, _ in fields]))
    except RemoteProtocolError as error:
        error.message_code = code if code.isascii() and code.isdigit() else None
        error.sequence, error.checksum, error.right = sequence, checksum, right
        raise
    quirks += _of_values(code, fields)
    return Message(code, fixed, fields, sequence, checksum, right, sum_over, replaced, tuple(quirks))


def tail(data: bytes, bar: int = 0x7C) -> tuple[int, str | None, int | None]:
    """Where AY or AZ begins, the sequence, and where the four digits of AZ begin.

    AZ stands without AY only after a delimiter (`bar`) or in 96 and 97; otherwise the end of a last value without
    delimiter could be taken for it. Blanks or a delimiter after AZ are passed over.
    """
    length = len(data)
    if data[-6:-4] != b"AZ" and length and data[-1] in (bar, 0x20):
        length = len(data.rstrip(bytes((bar, 0x20))))
        if data[max(length - 6, 0) : max(length - 4, 0)] != b"AZ":
            length = len(data)
    at = length - 4
    if at >= 4 and data[at - 2 : at] == b"AZ" and _HEX.issuperset(data[at:length]):
        if data[at - 5 : at - 3] == b"AY":
            return at - 5, chr(data[at - 3]), at
        if data[at - 3] == bar or data[: at - 2] in (b"96", b"97"):
            return at - 2, None, at
    elif length > 3 and data[length - 3 : length - 1] == b"AY" and data[length - 4] == bar and data[-1:].isdigit():
        return length - 3, chr(data[-1]), None
    return len(data), None, None


def _checked(
    data: bytes, az: int, end: int, text: str
) -> tuple[Checksum, str | None, Literal["bytes", "code_points"] | None]:
    """The checksum's outcome, the true AZ where it is bad, and what a good one was counted over."""
    true_az = az_of_sum(byte_sum(data[:az]))
    given = data[az : az + 4].upper()
    if given == true_az:
        return "ok", None, "bytes"
    if not data[:end].isascii() and given == az_of_sum(code_point_sum(text) + byte_sum(data[end:az])):
        return "ok", None, "code_points"
    return "bad", true_az.decode("ascii"), None


def missing_layout(text: str) -> RemoteProtocolError:
    """Why a text with no layout is none of ours."""
    if not text:
        return RemoteProtocolError("empty", "The frame is empty.")
    if len(text) >= 2 and text[:2].isascii() and text[:2].isdigit():
        return RemoteProtocolError("unknown_message", "SIP2 2.00 has no message of this code.")
    return RemoteProtocolError("not_a_message", "A message begins with two digits; this frame does not.")


def fixed_part(text: str, layout: Layout, delimiter: str, quirks: list[str]) -> tuple[dict[str, str], int]:
    """The fixed part by name and where the fields begin; adds to `quirks`. Raises RemoteProtocolError `fixed_part`."""
    end = layout.end
    if _holds(text, layout):
        fixed = {name: text[start:stop] for name, start, stop in layout.parts}
        _note(text, layout, quirks)
    else:
        fixed, end = _deviation(text, layout, quirks)
    if end < len(text) and not text[end].isalpha():
        end = _skip_stray(text, end, delimiter, quirks)
    return fixed, end


def _holds(text: str, layout: Layout) -> bool:
    """Whether dates, versions and numbers stand where the table has them."""
    if len(text) < layout.end or not text[: layout.end].isascii():
        return False
    for start, stop in layout.dates:
        date = text[start:stop]
        if not (date[8:12] == "    " and date[:8].isdigit() and date[12:].isdigit()) and not is_date(date):
            return False
    for start, stop in layout.numbers:
        if not text[start:stop].replace(" ", "0").isdigit():
            return False
    return all(text[start].isdigit() and text[start + 1] == "." for start, _ in layout.versions)


def _note(text: str, layout: Layout, quirks: list[str]) -> None:
    """What is odd about a fixed part that holds."""
    for name, start, stop in layout.parts:
        value = text[start:stop]
        if (start, stop) in layout.dates:
            if value == BLANK_DATE:
                quirks.append("blank_dates" if name == layout.blank else "blank_date")
            elif value[8:12] not in ("    ", "   Z"):
                quirks.append("zone_named")
        elif (start, stop) in layout.versions:
            if value != "2.00":
                quirks.append("version_1_00" if value[:2] == "1." else "odd_version")
        elif any(first <= start and stop <= last for first, last in layout.numbers):
            blank = name.endswith("_count") and not value.strip()
            if " " in value and not blank:
                quirks.append("padded_width")


def _deviation(text: str, layout: Layout, quirks: list[str]) -> tuple[dict[str, str], int]:
    """The two known forms of a fixed part that do not fit the table; anything else is refused."""
    if layout.code == "65" and (len(text) == 2 or text[2:4].isalpha()):
        quirks.append("date_missing_65")
        return {}, 2
    if layout.code == "17" and text[2:5].isdigit() and len(text) >= 23 and is_date(text[5:23]):
        quirks.append("stray_001")
        return {"transaction_date": text[5:23]}, 23
    raise RemoteProtocolError("fixed_part", f"The fixed part of message {layout.code} is cut or shifted.")


def _skip_stray(text: str, at: int, delimiter: str, quirks: list[str]) -> int:
    """Past one stray digit, blanks and stray delimiters between the fixed part and the first field."""
    if text[at].isdigit() and not text[at + 1 : at + 2].isdigit():
        at += 1
        quirks.append("stray_digit")
    began = at
    while at < len(text) and text[at] in (delimiter, " "):
        at += 1
    passed = text[began:at]
    quirks += ["stray_bar"] * (delimiter in passed) + ["stray_blank"] * (" " in passed)
    return at


def _fields(text: str, at: int, delimiter: str, quirks: list[str]) -> tuple[tuple[str, str], ...]:
    """The fields in order; a run of blanks alone is no field. Raises RemoteProtocolError `field`."""
    words = text[at:].split(delimiter)
    last = words.pop()
    if last:
        if last.strip(" "):
            words.append(last)
            quirks.append("no_final_bar")
        else:
            quirks.append("blanks_before_ay")
    fields = [(word[:2], word[2:]) for word in words if word]
    if all(map(is_identifier, {name for name, _ in fields} - _KNOWN)):
        return tuple(fields)
    return tuple([(name, value) for name, value in fields if _is_field(name, value)])


def _is_field(name: str, value: str) -> bool:
    """Whether this is a field. False for a run of blanks; anything else raises."""
    if is_identifier(name):
        return True
    if name.strip() or value.strip():
        raise RemoteProtocolError("field", "A field does not begin with a two-letter identifier.")
    return False


def is_identifier(name: str) -> bool:
    """Whether a field may be called so: two letters, or a letter and a digit."""
    return len(name) == 2 and name.isascii() and name[0].isalpha() and name[1].isalnum()


def names_judged(layout: Layout, names: tuple[str, ...]) -> tuple[str, ...]:
    """The quirks that the identifiers of a message's fields show."""
    found = set(names)
    missing = _REQUIRED[layout.code] - found
    quirks = ["no_" + name.lower() for name in sorted(missing)]
    if not found <= _KNOWN:
        quirks.append("unknown_fields")
    return tuple(quirks)


def _of_values(code: str, fields: Iterable[tuple[str, str]]) -> list[str]:
    quirks = []
    if any(len(value) > MAX_VALUE for _, value in fields):
        quirks.append("long_value")
    if code == "98" and any(name == "AM" and value.endswith("  ") for name, value in fields):
        quirks.append("space_padded_am")
    return quirks
