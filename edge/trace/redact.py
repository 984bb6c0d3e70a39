"""A frame as people may see it: passwords and PINs cut out, readers' numbers and names masked, item numbers left.

What is not understood for certain is not shown: of an unreadable frame only its length, of one with a bad checksum only which
fields it seems to have. Both may have lost the very byte that tells a PIN from a title.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from protocols.sip2 import Message, RemoteProtocolError, code_of, parse
from protocols.sip2.fields import FIELDS, PRIVATE, SECRET
from protocols.sip2.messages import RESENDS

__all__ = ["MASK", "MOST", "Shown", "redacted"]

MASK = "***"
MOST = 1_000
"""Characters kept of one frame."""

HIDDEN = PRIVATE | {"AL"}
"""PRIVATE, and AL: what staff typed at the kiosk about a reader's card."""

_FREE_TEXT = frozenset({"AF", "AG", "AJ", "AM", "AN", "CR", "CS"})
_MAY_REPEAT = frozenset({"AF", "AG"})
"""Sentences for people, in which a number or a name may stand again."""

_SECRET_LENGTH = 4
"""Characters of a number or name that make it worth looking for in a sentence."""

# A hidden field inside the value of another: its delimiter was forgotten, or is not the one the account has.
_RUN_ON = re.compile(rf"[^0-9A-Za-z](?:{'|'.join(sorted(HIDDEN))})")


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame for people: ``code`` two digits or ``??``, ``text`` masked, ``remark`` what is odd about it, empty where nothing is."""

    code: str
    text: str
    remark: str = ""


def redacted(frame: bytes, encoding: str, delimiter: str = "|") -> Shown:
    """Mask one frame. Never raises for what a peer sent; ``encoding`` is a codec of Python (ValueError where it is none)."""
    code = code_of(frame)
    try:
        message = parse(frame, encoding, delimiter)
    except RemoteProtocolError as error:
        return Shown(code, f"({len(frame)} bytes, not shown)", error.code)
    except LookupError as error:
        raise ValueError(f"there is no encoding {encoding}") from error
    if message.code in RESENDS:
        return Shown(message.code, message.code)
    if message.checksum == "bad":
        names = "".join(f"{name}{MASK}|" for name, _ in message.fields if name in FIELDS)
        return Shown(message.code, f"{message.code}{MASK}{names}"[:MOST], f"bad_checksum right={message.right}")
    return Shown(message.code, _masked(message)[:MOST])


def _masked(message: Message) -> str:
    fields = message.fields
    run_on_anywhere = len(fields) == 1
    hidden: list[str] = []
    words = []
    for name, value in fields:
        if name in HIDDEN:
            words.append(f"{name}{MASK}|")
            # Never a PIN: it would show where in an item number the same digits stand.
            if name not in SECRET and len(value) >= _SECRET_LENGTH:
                hidden.append(value)
            continue
        run_on = not value.isalnum() and (run_on_anywhere or name not in _FREE_TEXT) and _RUN_ON.search(value)
        # An unknown field may be a value whose identifier was forgotten.
        words.append(f"{name}{MASK}|" if run_on or name not in FIELDS else f"{name}{value}|")
    if hidden:
        words = [_without(word, hidden) for word in words]
    text = f"{message.code}{''.join(message.fixed.values())}{''.join(words)}"
    return text if message.sequence is None else f"{text}AY{message.sequence}"


def _without(word: str, hidden: list[str]) -> str:
    """A field without the numbers and names that were masked elsewhere: in sentences wherever they stand, else as a whole."""
    if word[:2] in _MAY_REPEAT:
        for value in hidden:
            word = word.replace(value, MASK)
    elif word[2:-1] in hidden:
        return f"{word[:2]}{MASK}|"
    return word
