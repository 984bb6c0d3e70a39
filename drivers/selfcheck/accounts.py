"""Which tenant a kiosk belongs to: by user or its prefix, held to addresses, listeners and locations."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal

from drivers.selfcheck.kiosk import Account

__all__ = ["Accounts", "Found", "Why", "bare_address", "within"]

Why = Literal["unknown_user", "wrong_password", "address", "listener", "location", "too_many", "throttled"]
"""Why a login was refused: for the log and the counts, never for the wire."""


@dataclass(frozen=True, slots=True)
class Found:
    """The account of a login, or why there is none."""

    account: Account | None
    why: Why | None = None


class Accounts:
    """All accounts of a server. The mapping's keys are names only: two tenants may have the same user."""

    def __init__(self, accounts: Mapping[str, Account]) -> None:
        self._all = tuple(accounts.values())
        self._by_user: dict[str, list[Account]] = {}
        for account in self._all:
            self._by_user.setdefault(account.user, []).append(account)
        self._by_prefix = sorted((a for a in self._all if a.user_prefix), key=lambda a: -len(a.user_prefix))
        self.delimiters = frozenset(account.delimiter for account in self._all) - {"|"}

    def find(self, user: str, password: str, *, address: str, listener: str, location: str) -> Found:
        """The account of a login.

        The exact user comes before a prefix, a longer prefix before a shorter. Of several accounts with one user
        those that the address, the listener and the location rule out are passed over. A password is compared in
        constant time, and one is compared whatever else is wrong.
        """
        known = self._by_user.get(user) or [a for a in self._by_prefix if user.startswith(a.user_prefix)]
        why: Why | None = None
        right: Account | None = None
        for account in known:
            barred = _barred(account, address, listener, location)
            if barred is None and _same(account.password, password) and right is None:
                right = account
            why = why or barred
        if right is not None:
            return Found(right)
        if not known or why is not None:
            _same("", password)
        return Found(None, why or ("wrong_password" if known else "unknown_user"))

    def known(self, user: str) -> Account | None:
        """The account of a user by name, without a password: for a listener that has one fixed."""
        found = self._by_user.get(user)
        return found[0] if found else None

    def at(self, address: str, listener: str) -> Account | None:
        """The account of a peer that does not log in: one whose addresses hold it."""
        for account in self._all:
            if account.addresses and _barred(account, address, listener, None) is None:
                return account
        return None

    def still(self, account: Account, address: str, listener: str, location: str | None) -> Account | None:
        """The account as it is now, for a session that logged in with `account`.

        None where it was removed, has another password or may no longer be used from there.
        """
        for other in self._by_user.get(account.user, ()):
            same_tenant = other.institution == account.institution and other.user_prefix == account.user_prefix
            if same_tenant and _same(other.password, account.password):
                return None if _barred(other, address, listener, location) else other
        return None


def _barred(account: Account, address: str, listener: str, location: str | None) -> Why | None:
    if account.listeners and listener not in account.listeners:
        return "listener"
    if account.addresses and not within(address, account.addresses):
        return "address"
    if account.locations and location is not None and (location or account.location) not in account.locations:
        return "location"
    return None


def _same(known: str, given: str) -> bool:
    """Constant time in both texts: digests of one length are compared."""
    return hmac.compare_digest(
        hashlib.sha256(known.encode("utf-8", "surrogatepass")).digest(),
        hashlib.sha256(given.encode("utf-8", "surrogatepass")).digest(),
    ) and bool(known)


def bare_address(text: str) -> str:
    """An address without zone, an IPv4-mapped IPv6 address as IPv4: a dual-stack socket shows every IPv4 peer so."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return text
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


def within(address: str, networks: Iterable[str]) -> bool:
    """Whether an address lies in one of the networks; what is no address (a serial line) lies in none."""
    try:
        peer: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return False
    return any(peer in _network(text) for text in networks)


@lru_cache(maxsize=1024)
def _network(text: str) -> IPv4Network | IPv6Network:
    network = ip_network(text, strict=False)
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    return (
        ip_network(f"{mapped}/{network.prefixlen - 96}") if mapped is not None and network.prefixlen >= 96 else network
    )
