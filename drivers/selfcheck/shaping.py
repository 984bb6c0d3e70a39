"""What an account changes in messages: numbers without a scanner's extras in, hidden fields and own times out."""

from __future__ import annotations

from drivers.selfcheck.kiosk import Account, Reply, Trim
from protocols.sip2 import Message

__all__ = ["given", "sent"]

_NUMBERS = frozenset({"AA", "AB"})


def given(message: Message, trim: Trim) -> Message:
    """A request whose AA and AB are trimmed."""
    if not any(name in _NUMBERS and trim.apply(value) != value for name, value in message.fields):
        return message
    fields = tuple((name, trim.apply(value) if name in _NUMBERS else value) for name, value in message.fields)
    return Message(message.code, message.fixed, fields, message.sequence, message.checksum)


def sent(reply: Reply, account: Account, is_status: bool) -> Reply:
    """A reply without the account's hidden fields; a 98 with its times."""
    if account.hide_fields:
        kept = tuple(pair for pair in reply.fields if pair[0] not in account.hide_fields)
        reply = Reply(reply.fixed, kept, reply.code)
    if not is_status:
        return reply
    changed: dict[str, str] = {}
    if account.timeout_tenths is not None:
        changed["timeout_period"] = f"{account.timeout_tenths:03d}"
    if account.retries is not None:
        changed["retries_allowed"] = f"{account.retries:03d}"
    return Reply({**reply.fixed, **changed}, reply.fields, reply.code) if changed else reply
