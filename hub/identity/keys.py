"""Site-keyed names: what each library's edges call a card, a number or a reader (domain §1)."""

from __future__ import annotations

from consortium import identity
from consortium.cards import short_forms
from consortium.identity import TokenKind

HUB_SITE = "hub"
"""The site under whose key hub-born events name a reader."""


_REMEMBERED = 100_000  # srids kept at hand: every loan names its reader at every library


class Identity:
    """Makes tokens and srids of every library from the master key. The key is in no ``repr``."""

    __slots__ = ("_keys", "_master", "_srids")

    def __init__(self, master: bytes) -> None:
        self._master = master
        self._keys: dict[str, bytes] = {}
        self._srids: dict[tuple[str, str], str] = {}

    def key(self, org: str) -> bytes:
        """The key of one library."""
        if org not in self._keys:
            self._keys[org] = identity.site_key(self._master, org)
        return self._keys[org]

    def srid(self, org: str, rid: str) -> str:
        """What a library's edges call a reader: 32 hex digits."""
        name = self._srids.get((org, rid))
        if name is None:
            if len(self._srids) >= _REMEMBERED:
                self._srids.clear()
            name = self._srids[org, rid] = identity.srid(self.key(org), rid)
        return name

    def card(self, org: str, uid: str) -> str:
        """Token of a card at a library; ``uid`` in hex, canonical order."""
        return identity.token(self.key(org), TokenKind.UID, identity.canonical_uid(uid))

    def cut_card(self, org: str, uid: str) -> list[str]:
        """Tokens of what a cardreader that cuts may send of a card; only of use at the card's own library (domain §1)."""
        key = self.key(org)
        forms = short_forms(identity.canonical_uid(uid))
        return [identity.token(key, TokenKind.CARD_NO, form) for form in forms]

    def number(self, org: str, text: str) -> str:
        """Token of a reader's number as typed: ``NUMBER`` or ``ORG:NUMBER``."""
        return identity.token(self.key(org), TokenKind.READER_NO, text.encode())


def bare_number_means(org: str, holders: list[tuple[str, str]]) -> str | None:
    """Whom a number without its library means at ``org``, of ``holders`` as (rid, home): the own reader, else the only one."""
    own = [rid for rid, home in holders if home == org]
    if own:
        return own[0]
    return holders[0][0] if len(holders) == 1 else None
