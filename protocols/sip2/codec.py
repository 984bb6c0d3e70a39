"""Bytes of one frame to a `Message` and back, tolerant of what kiosks in the field send.

Text is decoded before it is split: the second byte of a GBK character may be the delimiter's 7C. AY and AZ are taken by
position from the end. A frame that is as the standard writes it is read here at one go; where anything is unusual,
`protocols.sip2.tolerant` reads it step by step and names what it tolerated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from operator import itemgetter
from zlib import adler32

from protocols.sip2.checksum import az_of, az_of_sum, byte_sum
from protocols.sip2.dates import BLANK_DATE
from protocols.sip2.errors import LocalProtocolError
from protocols.sip2.fields import FIELDS, MAX_VALUE, PRIVATE, SECRET
from protocols.sip2.messages import LAYOUTS, Layout, Message
from protocols.sip2.tolerant import fixed_part, is_identifier, missing_layout, names_judged, read

__all__ = ["build", "code_of", "mask", "parse", "seal", "shown"]

_MASKED = "***"
_fields = re.compile(r"([^|]{2})([^|]*)\|").findall
_judged: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {}
_JUDGED_MOST = 1024
_NAMES_MOST = 48
_name = itemgetter(0)
_EXACT = 256
"""Bytes over which Adler-32 gives the sum as it is (protocols.sip2.checksum)."""


def parse(data: bytes, encoding: str = "utf-8", delimiter: str = "|") -> Message:
    """Read one frame (without terminator). A bad checksum is told in the message, not raised.

    Bytes that the encoding does not know are replaced and `replaced` is set. `delimiter` is one ASCII character. Raises
    RemoteProtocolError: `empty`, `not_a_message`, `unknown_message`, `fixed_part` (cut or shifted), `field` (no
    identifier); the error carries what was read of code, sequence and checksum.
    """
    if data[-9:-7] == b"AY" and delimiter == "|":
        message = _plain(data, encoding)
        if message is not None:
            return message
    return read(data, encoding, delimiter)


def _plain(data: bytes, encoding: str) -> Message | None:
    """The message of a frame with AY and a good AZ; None where something about it is unusual."""
    summed = data[:-4]
    # az_of written out for all but long frames: the call would take a tenth of the time.
    az = b"%04X" % (1 - adler32(summed) & 0xFFFF) if len(summed) <= _EXACT else az_of(summed)
    if data[-4:] != az or data[-6:-4] != b"AZ":
        return None
    try:
        text = data[:-9].decode(encoding)
    except UnicodeDecodeError:
        return None
    code = text[:2]
    layout = LAYOUTS.get(code)
    if layout is None:
        return None
    parts = layout.match(text, 2)
    if parts is None:
        return None
    end = layout.end
    fields = tuple(_fields(text, end))
    # As many fields as delimiters, the last of them at the very end: nothing was left out between two fields.
    if len(fields) != text.count("|", end) or (text[-1] != "|" and len(text) != end):
        return None
    names = (code, tuple(map(_name, fields)))
    quirks = _judged.get(names)
    if quirks is None:
        quirks = _judge(layout, names)
    if quirks is None or (len(text) > MAX_VALUE and max([len(value) for _, value in fields]) > MAX_VALUE):
        return None
    fixed = parts.groupdict()
    blank = layout.blank
    if blank is not None and fixed[blank] == BLANK_DATE:
        quirks += ("blank_dates",)
    elif code == "98" and "  |" in text:
        return None
    return Message(code, fixed, fields, chr(data[-7]), "ok", None, "bytes", False, quirks)


def _judge(layout: Layout, names: tuple[str, tuple[str, ...]]) -> tuple[str, ...] | None:
    """The quirks of a row of identifiers, None where one of them is none; kept, for kiosks send the same rows always."""
    if not all(map(is_identifier, set(names[1]))):
        return None
    quirks = names_judged(layout, names[1])
    if len(names[1]) <= _NAMES_MOST:
        if len(_judged) >= _JUDGED_MOST:
            _judged.clear()
        _judged[names] = quirks
    return quirks


def code_of(data: bytes) -> str:
    """The two digits a frame begins with, or `??` where it begins otherwise: fit for logs."""
    head = data[:2]
    return head.decode("ascii") if len(head) == 2 and head.isdigit() else "??"


def build(
    code: str,
    fixed: Mapping[str, str],
    fields: Iterable[tuple[str, str]],
    *,
    sequence: str | None = None,
    checksum: bool = True,
    encoding: str = "utf-8",
    delimiter: str = "|",
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
    text = f"{code}{''.join(values)}{delimiter.join(words)}{delimiter}" if words else code + "".join(values)
    if text.count(delimiter) != len(words) or "\r" in text or "\n" in text or "\0" in text:
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


def mask(text: str, hidden: frozenset[str] = SECRET, delimiter: str = "|") -> str:
    """A message's text with the values of some fields replaced by `***`, empty ones too.

    Raises RemoteProtocolError for text that is no message: it must then not be shown at all.
    """
    layout = LAYOUTS.get(text[:2])
    if layout is None:
        raise missing_layout(text)
    _, at = fixed_part(text, layout, delimiter, [])
    shown = [part[:2] + _MASKED if part[:2] in hidden else part for part in text[at:].split(delimiter)]
    return text[:at] + delimiter.join(shown)


def shown(message: Message, hidden: frozenset[str] = PRIVATE) -> str:
    """A message as a log may show it: code, fixed part, fields, masked where hidden or unknown.

    An unknown field may be a value whose identifier was forgotten.
    """
    fields = (f"{name}{_MASKED if name in hidden or name not in FIELDS else value}" for name, value in message.fields)
    return f"{message.code}{''.join(message.fixed.values())}{'|'.join(fields)}"
