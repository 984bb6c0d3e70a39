"""Who a kiosk is to the server: its account, its connection, and the port through which its requests are answered."""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_network
from typing import Literal, Protocol

import msgspec

from protocols.sip2 import Dialect, Message

__all__ = ["Account", "Handler", "KioskSession", "Reply", "Trim"]


@dataclass(frozen=True, slots=True)
class Trim:
    """What a kiosk's scanner adds to barcodes and card numbers (AA, AB): taken off before anything is looked up.

    `prefix` and `suffix` are taken off once where they are there and leave something over, `blanks` at both ends.
    """

    prefix: str = ""
    suffix: str = ""
    blanks: bool = True

    def apply(self, value: str) -> str:
        """The number without what the scanner added."""
        bare = value.strip() if self.blanks else value
        if self.prefix and len(bare) > len(self.prefix):
            bare = bare.removeprefix(self.prefix)
        if self.suffix and len(bare) > len(self.suffix):
            bare = bare.removesuffix(self.suffix)
        return bare


@dataclass(frozen=True, slots=True)
class Account:
    """A SIP2 login: one kiosk, or all kiosks of a kind at a branch, or a whole tenant.

    `institution` is AO in replies, `location` where its kiosks stand unless they say CP, `language` three digits for
    readers whose kiosk names none (019 Chinese). `always_checkin_fields` are fields of the checkin response (CT, CV …)
    that are sent even when empty, as Koha's ct_always_send does.

    Who may use it: `user` exactly, or with `user_prefix` every user that begins so; from `addresses` (networks such as
    `192.0.2.0/24` or `2001:db8::/32`; an IPv4-mapped peer counts as IPv4), on `listeners` (names), at `locations`
    (CP). Empty = anywhere.

    How it speaks: `encoding` a codec of Python or `auto` (learned), `terminator` CR, LF, CRLF or None (learned),
    `error_detection` None (learned); a request is always answered as it came, with AZ or without (field practice).
    `delimiter` is one character. `hide_fields` are never sent. `timeout_tenths` (tenths of a second, 0 to 999) and
    `retries` (0 to 999) go into the 98 in place of the handler's.

    Raises ValueError for an empty user or password (a login without a password is never wanted) and for settings that
    cannot be.
    """

    user: str
    password: str = field(repr=False)
    institution: str
    location: str = ""
    encoding: str = "auto"
    language: str = "019"
    max_connections: int = 500
    always_checkin_fields: frozenset[str] = frozenset()
    user_prefix: str = ""
    addresses: tuple[str, ...] = ()
    locations: tuple[str, ...] = ()
    listeners: tuple[str, ...] = ()
    terminator: Literal["CR", "LF", "CRLF"] | None = None
    error_detection: bool | None = None
    delimiter: str = "|"
    hide_fields: frozenset[str] = frozenset()
    trim: Trim | None = None
    timeout_tenths: int | None = None
    retries: int | None = None

    def __post_init__(self) -> None:
        if not self.user or not self.password:
            raise ValueError("a SIP2 account needs a user and a password")
        for address in self.addresses:
            ip_network(address, strict=False)
        if self.encoding != "auto":
            try:
                codecs.lookup(self.encoding)
            except LookupError as error:
                raise ValueError(f"account {self.user}: there is no encoding {self.encoding}") from error
        if self.terminator not in (None, "CR", "LF", "CRLF"):
            raise ValueError(f"account {self.user}: terminator is CR, LF or CRLF")
        if len(self.delimiter) != 1 or not " " < self.delimiter <= "~" or self.delimiter.isalnum():
            raise ValueError(f"account {self.user}: delimiter is one character, no letter and no digit")
        for number in (self.timeout_tenths, self.retries):
            if number is not None and not 0 <= number <= 999:
                raise ValueError(f"account {self.user}: timeout_tenths and retries are 0 to 999")


@dataclass(slots=True)
class KioskSession:
    """One logged-in connection.

    `language` is what the kiosk last asked for in 23 or 63, else the account's. `state` is the handler's own: what it
    wants to remember until the connection ends, such as the reader whose PIN was right. `dialect` is shared with the
    protocol session and tells terminator, error detection and encoding as learned. `user` is the user as logged in
    (it differs from the account's under a prefix), `since` the login's time, `messages` the requests by code.
    """

    account: Account
    connection_id: int
    dialect: Dialect
    location: str
    language: str
    state: dict[str, object] = field(default_factory=dict)
    user: str = ""
    listener: str = ""
    address: str = ""
    since: datetime | None = None
    last_at: datetime | None = None
    messages: Counter[str] = field(default_factory=Counter)


class Reply(msgspec.Struct, frozen=True):
    """What answers a request: fixed part by name and fields in order. A struct as `Message` is, for the same reason.

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
