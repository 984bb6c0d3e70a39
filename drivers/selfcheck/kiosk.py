"""Who a kiosk is to the server: its account, its connection, and the port through which its requests are answered."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from protocols.sip2 import Dialect, Message

__all__ = ["Account", "Handler", "KioskSession", "Reply", "find_account"]


@dataclass(frozen=True, slots=True)
class Account:
    """A SIP2 login: one kiosk, or all kiosks of a kind at a branch.

    `institution` is AO in replies, `location` where its kiosks stand unless they say CP, `encoding` what they speak
    until their bytes show another, `language` three digits for readers whose kiosk names none (019 Chinese).
    `always_checkin_fields` are fields of the checkin response (CT, CV …) that are sent even when empty, as Koha's
    ct_always_send does.

    Raises ValueError for an empty user or password: a login without a password is never wanted.
    """

    user: str
    password: str = field(repr=False)
    institution: str
    location: str = ""
    encoding: str = "utf-8"
    language: str = "019"
    max_connections: int = 500
    always_checkin_fields: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not self.user or not self.password:
            raise ValueError("a SIP2 account needs a user and a password")


@dataclass(slots=True)
class KioskSession:
    """One logged-in connection.

    `language` is what the kiosk last asked for in 23 or 63, else the account's. `state` is the handler's own: what it
    wants to remember until the connection ends, such as the reader whose PIN was right. `dialect` is shared with the
    protocol session and tells terminator, error detection and encoding as learned.
    """

    account: Account
    connection_id: int
    dialect: Dialect
    location: str
    language: str
    state: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """What answers a request: fixed part by name and fields in order.

    `code` None is the request's own reply; `98` may answer any request, to tell that the status has changed.
    """

    fixed: Mapping[str, str]
    fields: tuple[tuple[str, str], ...] = ()
    code: str | None = None


class Handler(Protocol):
    """Decides what a kiosk is answered. Implemented by the edge."""

    async def handle(self, session: KioskSession, request: Message) -> Reply:
        """Execute a request once and answer it.

        Cancelled at the server's deadline: a write that has begun must be shielded by the handler. The same transaction
        may come again with the same date.
        """
        ...

    def on_timeout(self, session: KioskSession, request: Message) -> Reply:
        """The refusal for a request that could not be executed in time or failed; must not wait."""
        ...


def find_account(accounts: Mapping[str, Account], user: str, password: str) -> Account | None:
    """The account of a login, None if user or password is wrong; as long for one as for the other."""
    account = accounts.get(user)
    known = hashlib.sha256((account.password if account else "").encode()).digest()
    given = hashlib.sha256(password.encode("utf-8", "surrogatepass")).digest()
    right = hmac.compare_digest(known, given)
    return account if account is not None and right else None
