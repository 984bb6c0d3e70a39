"""What replies have in common: optional fields, texts, echoes (SIP2 2.00, the even-numbered messages)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from drivers.selfcheck.kiosk import KioskSession, Reply
from protocols.sip2 import Message
from protocols.sip2.fields import clean_value

__all__ = ["Pairs", "echo", "given", "institution", "reply_of", "texts"]

Pairs = list[tuple[str, str]]


def given(*pairs: tuple[str, str | None]) -> Pairs:
    """Optional fields that have a value."""
    return [(name, clean_value(value)) for name, value in pairs if value]


def texts(screen: Sequence[str], printed: Sequence[str]) -> Pairs:
    """AF and AG, one field a line."""
    return [("AF", clean_value(line)) for line in screen] + [("AG", clean_value(line)) for line in printed]


def echo(request: Message, name: str, value: str | None = None) -> tuple[str, str]:
    """A field as the request had it, or as it is."""
    return name, clean_value(request.get(name) if value is None else value)


def institution(session: KioskSession) -> tuple[str, str]:
    """AO of the account."""
    return "AO", clean_value(session.account.institution)


def reply_of(fixed: dict[str, str], fields: Iterable[tuple[str, str]]) -> Reply:
    """The request's own reply."""
    return Reply(fixed, tuple(fields))
