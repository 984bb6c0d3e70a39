"""Bytes of one frame to a `Message` and back, tolerant of what kiosks in the field send.

Text is decoded before it is split: the second byte of a GBK character may be the delimiter's 7C. AY and AZ are taken by
position from the end. The fixed part is sliced by the tables of `messages`; only when a check fails are the known
deviations tried (SIP2 2.00 has no word on any of them).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from protocols.sip2.checksum import az_of_sum, byte_sum, code_point_sum
from protocols.sip2.dates import is_date
from protocols.sip2.errors import LocalProtocolError, RemoteProtocolError
from protocols.sip2.fields import FIELDS, MAX_VALUE, PRIVATE, SECRET
from protocols.sip2.messages import LAYOUTS, RESENDS, Checksum, Layout, Message

__all__ = ["build", "code_of", "mask", "parse", "seal", "shown"]

SumOver = Literal["bytes", "code_points"]

_KNOWN = frozenset(FIELDS)
_HEX = frozenset(b"0123456789ABCDEFabcdef")
_MASKED = "***"


def parse(data: bytes, encoding: str = "utf-8") -> Message:
    """Read one frame (without terminator). A bad checksum is told in the message, not raised.

    Bytes that the encoding does not know are replaced and `replaced` is set. Raises RemoteProtocolError: `empty`,
    `not_a_message`, `unknown_message`, `fixed_part` (cut or shifted), `field` (no identifier); the error carries what
    was read of code, sequence and checksum.
    """
    end, sequence, az = _tail(data)
    body = data[:end]
    replaced = False
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError:
        text, replaced = body.decode(encoding, "replace"), True

    checksum: Checksum = "none"
    right: str | None = None
    sum_over: SumOver | None = None
    if az is not None:
        true_az = az_of_sum(byte_sum(data[:az]))
        given = data[az : az + 4].upper()
        if given == true_az:
            checksum, sum_over = "ok", "bytes"
        elif not body.isascii() and given == az_of_sum(code_point_sum(text) + byte_sum(data[end:az])):
            checksum, sum_over = "ok", "code_points"
        else:
            checksum, right = "bad", true_az.decode("ascii")

    code = text[:2]
    layout = LAYOUTS.get(code)
    try:
        if layout is None:
            raise _no_layout(text)
        fixed, at = _fixed_part(text, layout)
        fields = tuple([(part[:2], part[2:]) for part in text[at:].split("|") if part])
        if not _KNOWN.issuperset([name for name, _ in fields]):
            fields = _sound(fields)
    except RemoteProtocolError as error:
        error.message_code = code if code.isascii() and code.isdigit() else None
        error.sequence, error.checksum, error.right = sequence, checksum, right
        raise
    return Message(code, fixed, fields, sequence, checksum, right, sum_over, replaced)


def code_of(data: bytes) -> str:
    """The two digits a frame begins with, or `??` where it begins otherwise: fit for logs."""
    head = data[:2]
    return head.decode("ascii") if len(head) == 2 and head.isdigit() else "??"


def _tail(data: bytes) -> tuple[int, str | None, int | None]:
    """Where AY or AZ begins, the sequence, and where the four digits of AZ begin.

    AZ stands without AY only after a delimiter or in 96 and 97; otherwise the end of a last value without delimiter
    could be taken for it. Blanks or a delimiter after AZ are passed over.
    """
    length = len(data)
    if data[-6:-4] != b"AZ" and data[-1:] in (b"|", b" "):
        length = len(data.rstrip(b"| "))
        if data[length - 6 : length - 4] != b"AZ":
            length = len(data)
    at = length - 4
    if at >= 4 and data[at - 2 : at] == b"AZ" and _HEX.issuperset(data[at:length]):
        if data[at - 5 : at - 3] == b"AY":
            return at - 5, chr(data[at - 3]), at
        if data[at - 3] == 0x7C or data[: at - 2] in (b"96", b"97"):
            return at - 2, None, at
    elif length > 3 and data[length - 3 : length - 1] == b"AY" and data[length - 4] == 0x7C and data[-1:].isdigit():
        return length - 3, chr(data[-1]), None
    return len(data), None, None


def _no_layout(text: str) -> RemoteProtocolError:
    if not text:
        return RemoteProtocolError("empty", "The frame is empty.")
    if len(text) >= 2 and text[:2].isascii() and text[:2].isdigit():
        return RemoteProtocolError("unknown_message", "SIP2 2.00 has no message of this code.")
    return RemoteProtocolError("not_a_message", "A message begins with two digits; this frame does not.")


def _fixed_part(text: str, layout: Layout) -> tuple[dict[str, str], int]:
    """The fixed part by name and where the fields begin."""
    end = layout.end
    if _holds(text, layout):
        fixed = {name: text[start:stop] for name, start, stop in layout.parts}
    else:
        fixed, end = _deviation(text, layout)
    if end < len(text) and not text[end].isalpha():
        end = _skip_stray(text, end)
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


def _deviation(text: str, layout: Layout) -> tuple[dict[str, str], int]:
    """The two known forms of a fixed part that do not fit the table; anything else is refused."""
    if layout.code == "65" and (len(text) == 2 or text[2:4].isalpha()):
        return {}, 2  # renew all without its date, as a client in the field sends it
    if layout.code == "17" and text[2:5].isdigit() and len(text) >= 23 and is_date(text[5:23]):
        return {"transaction_date": text[5:23]}, 23  # a language code before the date
    raise RemoteProtocolError("fixed_part", f"The fixed part of message {layout.code} is cut or shifted.")


def _skip_stray(text: str, at: int) -> int:
    """Past one stray digit, blanks and stray delimiters between the fixed part and the first field."""
    if text[at].isdigit() and not text[at + 1 : at + 2].isdigit():
        at += 1
    while at < len(text) and text[at] in "| ":
        at += 1
    return at


def _sound(fields: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Fields with unknown identifiers: kept when two letters (or letter, digit); a run of blanks alone is dropped."""
    kept = []
    for name, value in fields:
        if len(name) == 2 and name.isascii() and name[0].isalpha() and name[1].isalnum():
            kept.append((name, value))
        elif name.strip() or value.strip():
            raise RemoteProtocolError("field", "A field does not begin with a two-letter identifier.")
    return tuple(kept)


def build(
    code: str,
    fixed: Mapping[str, str],
    fields: Iterable[tuple[str, str]],
    *,
    sequence: str | None = None,
    checksum: bool = True,
    encoding: str = "utf-8",
) -> bytes:
    """Write one frame without terminator. With `checksum`, AZ follows wherever AY does, and in 96 and 97.

    Characters that the encoding lacks become `?`. Raises LocalProtocolError: `unknown_message`, `fixed_part` (missing
    name or wrong width), `field` (delimiter or control character inside, or over 255 characters).
    """
    layout = LAYOUTS.get(code)
    if layout is None:
        raise LocalProtocolError("unknown_message", f"SIP2 has no message {code}.", message_code=code)
    try:
        values = [fixed[name] for name in layout.names]
    except KeyError as missing:
        raise LocalProtocolError(
            "fixed_part", f"Message {code} needs {missing.args[0]} in its fixed part.", message_code=code
        ) from missing
    if tuple(map(len, values)) != layout.widths:
        wrong = [
            name for name, value, width in zip(layout.names, values, layout.widths, strict=True) if len(value) != width
        ]
        raise LocalProtocolError("fixed_part", f"Message {code}: wrong width of {', '.join(wrong)}.", message_code=code)
    words = [name + value for name, value in fields]
    text = f"{code}{''.join(values)}{'|'.join(words)}|" if words else code + "".join(values)
    if text.count("|") != len(words) or "\r" in text or "\n" in text or "\0" in text:
        raise LocalProtocolError("field", f"Message {code}: a value holds a delimiter or a control character.")
    if len(text) > MAX_VALUE and max(map(len, words), default=0) > MAX_VALUE + 2:
        raise LocalProtocolError("field", f"Message {code}: a value is longer than {MAX_VALUE} characters.")
    return seal(text.encode(encoding, "replace"), sequence, checksum=checksum)


def seal(body: bytes, sequence: str | None, *, checksum: bool = True) -> bytes:
    """Add AY and AZ to a message's bytes: AY where a sequence is given, AZ with AY and in 96 and 97."""
    if sequence is not None:
        body = b"%bAY%b" % (body, sequence.encode("latin-1"))
    if not checksum or (sequence is None and body not in (b"96", b"97")):
        return body
    body += b"AZ"
    return body + az_of_sum(byte_sum(body))


def mask(text: str, hidden: frozenset[str] = SECRET) -> str:
    """A message's text with the values of some fields replaced by `***`, empty ones too.

    Raises RemoteProtocolError for text that is no message: it must then not be shown at all.
    """
    layout = LAYOUTS.get(text[:2])
    if layout is None:
        raise _no_layout(text)
    if layout.code in RESENDS:
        return text
    _, at = _fixed_part(text, layout)
    shown = [part[:2] + _MASKED if part[:2] in hidden else part for part in text[at:].split("|")]
    return text[:at] + "|".join(shown)


def shown(message: Message, hidden: frozenset[str] = PRIVATE) -> str:
    """A message as a log may show it: code, fixed part, fields, masked where hidden or unknown.

    An unknown field may be a value whose identifier was forgotten.
    """
    fields = (f"{name}{_MASKED if name in hidden or name not in FIELDS else value}" for name, value in message.fields)
    return f"{message.code}{''.join(message.fixed.values())}{'|'.join(fields)}"
