"""The `[sip2]` part of ``edge.toml``: where kiosks connect, who they are, and what is known of each beforehand.

What is not said is learned from the kiosk (terminator, encoding, error detection); what is said stands.
"""

from __future__ import annotations

import codecs
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge.settings import ConfigError, Settings

KINDS = ("kiosk", "sorter", "drop")
TERMINATORS = {"auto": None, "cr": b"\r", "lf": b"\n", "crlf": b"\r\n"}
CHECKSUMS = {"auto": None, "on": True, "off": False}
SCHEMES = ("tcp", "tls", "serial", "pty")
ACTIONS = ("SHELVE", "STAY", "HOLD", "TRANSIT", "DESK", "HOLD_HERE")


@dataclass(frozen=True, slots=True)
class BinRule:
    """Which bin takes an item: every condition that is not empty must hold; ``call_number`` is a beginning.

    ``action`` is one of SHELVE, STAY, HOLD, TRANSIT, DESK, HOLD_HERE; ``dest`` a branch; ``media`` SIP2's three digits.
    """

    bin: str
    action: str = ""
    dest: str = ""
    collection: str = ""
    media: str = ""
    call_number: str = ""


@dataclass(frozen=True, slots=True)
class AccountConfig:
    """A SIP2 login. ``device``: the kiosk's id in events; ``pad``: device id of the RFID pad beside it;
    ``trusts_card``: the kiosk itself read the card, so the card's own assurance counts.

    ``addresses`` networks it may come from, ``locations`` codes (CP) it may say, ``listeners`` names of those it may use: none = any.
    ``user_prefix``: logins that begin with ``user`` belong to it too. ``terminator``, ``error_detection``: None = learned; ``encoding``
    "auto" = learned. ``kind`` kiosk, sorter or drop; ``bins`` in order, first match; ``no_block``: may report what happened off line;
    ``names`` none or initials; ``blank_counts`` False: a count that is not known is 0000, for kiosks that cannot read blanks;
    ``hide_fields`` are never sent, ``always_fields`` of a checkin even when empty; ``timeout_tenths`` of a
    second and ``retries`` are what 98 tells it.
    """

    user: str
    password: str = field(repr=False)
    institution: str
    device: str
    pad: str | None = None
    trusts_card: bool = False
    encoding: str = "auto"
    lang: str = "zh"
    addresses: tuple[str, ...] = ()
    user_prefix: bool = False
    locations: tuple[str, ...] = ()
    listeners: tuple[str, ...] = ()
    terminator: bytes | None = None
    error_detection: bool | None = None
    delimiter: str = "|"
    currency: str = "CNY"
    hide_fields: tuple[str, ...] = ()
    always_fields: tuple[str, ...] = ()
    trim_prefix: str = ""
    trim_suffix: str = ""
    kind: str = "kiosk"
    no_block: bool = True
    names: str = "none"
    blank_counts: bool = True
    timeout_tenths: int = 100
    retries: int = 3
    bins: tuple[BinRule, ...] = ()
    exception_bin: str = "9"


@dataclass(frozen=True, slots=True)
class ListenerConfig:
    """A place where kiosks connect: ``tcp://HOST:PORT``, ``tls://HOST:PORT``, ``serial:PATH?baudrate=…`` or ``pty:PATH``.

    ``client_ca``: a client certificate of that authority is asked for. ``login`` False: the peer is ``account`` without a 93.
    ``prompt``: a telnet-style ``login:`` comes first. ``proxy``: networks of load balancers whose PROXY header tells the address.
    ``idle_s`` seconds of silence before a connection is ended, None = the usual ten minutes.
    """

    url: str
    name: str
    certificate: str | None = None
    key: str | None = None
    client_ca: str | None = None
    login: bool = True
    prompt: bool = False
    proxy: tuple[str, ...] = ()
    account: str | None = None
    idle_s: float | None = None


_ACCOUNT: dict[str, type] = {
    "user": str, "password": str, "password_file": str, "institution": str, "device": str, "pad": str,
    "trusts_card": bool, "encoding": str, "lang": str, "addresses": list, "user_prefix": bool, "locations": list,
    "listeners": list, "terminator": str, "checksum": str, "delimiter": str, "currency": str, "hide_fields": list,
    "always_fields": list, "trim_prefix": str, "trim_suffix": str, "kind": str, "no_block": bool, "names": str, "blank_counts": bool,
    "timeout_tenths": int, "retries": int, "bins": list, "exception_bin": str,
}  # fmt: skip
_BIN: dict[str, type] = {
    "bin": str, "action": str, "dest": str, "collection": str, "media": str, "call_number": str,
}  # fmt: skip
_LISTENER: dict[str, type] = {
    "name": str, "url": str, "certificate": str, "key": str, "client_ca": str, "login": bool, "prompt": bool,
    "proxy": list, "account": str, "idle_s": int,
}  # fmt: skip


def accounts_of(settings: Settings, org: str) -> tuple[AccountConfig, ...]:
    """The accounts of a file, each checked. Raises ConfigError."""
    out: dict[str, AccountConfig] = {}
    for row in settings.rows(settings.table("sip2"), "accounts", "sip2.accounts", _ACCOUNT):
        user = settings.need(row, "sip2.accounts", "user")
        if user in out:
            raise ConfigError("CONFIG_VALUE", f"two SIP2 accounts are called {user!r}; each kiosk has its own")
        out[user] = _account(settings, row, user, org)
    return tuple(out.values())


def _account(settings: Settings, row: Mapping[str, Any], user: str, org: str) -> AccountConfig:
    where = f"sip2.accounts ({user})"
    encoding = row.get("encoding", "auto")
    if encoding != "auto":
        known_encoding(where, encoding)
    delimiter = row.get("delimiter", "|")
    if len(delimiter) != 1 or not delimiter.isascii() or not delimiter.isprintable() or delimiter.isalnum():
        raise ConfigError("CONFIG_VALUE", f"{where}: delimiter is one character that no value contains, usually |")
    currency = row.get("currency", "CNY")
    if len(currency) != 3 or not currency.isascii() or not currency.isupper():
        raise ConfigError("CONFIG_VALUE", f"{where}: currency is an ISO 4217 code such as CNY")
    return AccountConfig(
        user=user,
        password=settings.secret(row, "password", "sip2.accounts"),
        institution=row.get("institution") or org,
        device=row.get("device") or user,
        pad=row.get("pad"),
        trusts_card=row.get("trusts_card", False),
        encoding=encoding,
        lang=one_of(where, "lang", row.get("lang", "zh"), ("zh", "en")),
        addresses=_networks(where, "addresses", row.get("addresses", [])),
        user_prefix=row.get("user_prefix", False),
        locations=_texts(where, "locations", row.get("locations", [])),
        listeners=_texts(where, "listeners", row.get("listeners", [])),
        terminator=TERMINATORS[one_of(where, "terminator", row.get("terminator", "auto"), tuple(TERMINATORS))],
        error_detection=CHECKSUMS[one_of(where, "checksum", row.get("checksum", "auto"), tuple(CHECKSUMS))],
        delimiter=delimiter,
        currency=currency,
        hide_fields=_texts(where, "hide_fields", row.get("hide_fields", [])),
        always_fields=_texts(where, "always_fields", row.get("always_fields", [])),
        trim_prefix=row.get("trim_prefix", ""),
        trim_suffix=row.get("trim_suffix", ""),
        kind=one_of(where, "kind", row.get("kind", "kiosk"), KINDS),
        no_block=row.get("no_block", True),
        blank_counts=row.get("blank_counts", True),
        names=one_of(where, "names", row.get("names", "none"), ("none", "initials")),
        timeout_tenths=within(where, "timeout_tenths", row.get("timeout_tenths", 100), 0, 999),
        retries=within(where, "retries", row.get("retries", 3), 0, 999),
        bins=tuple(_bin(settings, where, one) for one in settings.rows(row, "bins", "sip2.accounts.bins", _BIN)),
        exception_bin=row.get("exception_bin", "9"),
    )


def _bin(settings: Settings, where: str, row: Mapping[str, Any]) -> BinRule:
    action = row.get("action", "")
    if action:
        one_of(where, "bins.action", action, ACTIONS)
    return BinRule(
        settings.need(row, "sip2.accounts.bins", "bin"), action,
        row.get("dest", ""), row.get("collection", ""), row.get("media", ""), row.get("call_number", ""),
    )  # fmt: skip


def listeners_of(settings: Settings, users: set[str]) -> tuple[ListenerConfig, ...]:
    """The further listeners of a file, each checked. Raises ConfigError."""
    out: dict[str, ListenerConfig] = {}
    for row in settings.rows(settings.table("sip2"), "listeners", "sip2.listeners", _LISTENER):
        listener = _listener(settings, row, users)
        if listener.name in out:
            raise ConfigError(
                "CONFIG_VALUE", f"two SIP2 listeners are called {listener.name!r}; give each its own name"
            )
        out[listener.name] = listener
    return tuple(out.values())


def _listener(settings: Settings, row: Mapping[str, Any], users: set[str]) -> ListenerConfig:
    url = settings.need(row, "sip2.listeners", "url")
    name = row.get("name") or url
    where = f"sip2.listeners ({name})"
    scheme = one_of(where, "url's scheme", url.partition(":")[0], SCHEMES)
    files = {
        key: str(settings.base / row[key]) if row.get(key) else None for key in ("certificate", "key", "client_ca")
    }
    if scheme == "tls" and not (files["certificate"] and files["key"]):
        raise ConfigError("CONFIG_MISSING", f"{where}: a tls listener needs certificate and key, both PEM files")
    account = row.get("account")
    if account is not None and account not in users:
        raise ConfigError("CONFIG_VALUE", f"{where}: account {account!r} is none of sip2.accounts")
    login = row.get("login", True)
    if not login and account is None:
        raise ConfigError("CONFIG_MISSING", f"{where}: without a login, say whose kiosk it is with account")
    idle = row.get("idle_s")
    return ListenerConfig(
        url=url,
        name=name,
        certificate=files["certificate"],
        key=files["key"],
        client_ca=files["client_ca"],
        login=login,
        prompt=row.get("prompt", False),
        proxy=_networks(where, "proxy", row.get("proxy", [])),
        account=account,
        idle_s=None if idle is None else float(within(where, "idle_s", idle, 10, 86_400)),
    )


def known_encoding(where: str, name: str) -> None:
    """Refuse the name of no encoding. Raises ConfigError CONFIG_VALUE."""
    try:
        codecs.lookup(name)
    except LookupError as error:
        raise ConfigError(
            "CONFIG_VALUE", f"{where}: there is no encoding {name!r}; write auto, utf-8, gb18030, cp850 …"
        ) from error


def one_of(where: str, key: str, value: str, allowed: tuple[str, ...]) -> str:
    """A value that is one of these. Raises ConfigError CONFIG_VALUE."""
    if value not in allowed:
        raise ConfigError("CONFIG_VALUE", f"{where}: {key} is one of {', '.join(allowed)}")
    return value


def within(where: str, key: str, value: int, least: int, most: int) -> int:
    """A number within bounds. Raises ConfigError CONFIG_VALUE."""
    if not least <= value <= most:
        raise ConfigError("CONFIG_VALUE", f"{where}: {key} must be from {least} to {most}")
    return value


def _texts(where: str, key: str, values: list[Any]) -> tuple[str, ...]:
    if not all(isinstance(value, str) and value for value in values):
        raise ConfigError("CONFIG_TYPE", f'{where}: {key} is a list of texts, for example ["…"]')
    return tuple(values)


def _networks(where: str, key: str, values: list[Any]) -> tuple[str, ...]:
    for value in _texts(where, key, values):
        try:
            ipaddress.ip_network(value, strict=False)
        except ValueError as error:
            raise ConfigError("CONFIG_VALUE", f"{where}: {value!r} in {key} is no address or network") from error
    return tuple(values)
