"""Cards at this branch: the profile of a cardreader from ``edge.toml``, and the token that a read stands for.

In a device's options: ``reverse_bytes = true``, or ``card = "w34-reversed"`` (a name of `PROFILES`), or a table with fields of
`consortium.cards.CardProfile`, as ``tongjie card learn`` prints it::

    options = { card = { reverse_bytes = true, wiegand = 34, whole = true } }
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from consortium.cards import MEDIUM_ASSURANCE, CardError, CardProfile
from consortium.identity import TokenKind, token
from drivers.base import CardRead

__all__ = [
    "CARD_OPTIONS", "MEDIUM_ASSURANCE", "PROFILES", "CardError", "CardProfile", "CardToken", "card_token", "profile_of",
]  # fmt: skip

CARD_OPTIONS = frozenset({"card", "reverse_bytes"})
"""Options of a device that this module reads and no driver knows."""

PROFILES: Mapping[str, CardProfile] = MappingProxyType(
    {
        "uid": CardProfile(),
        "uid-reversed": CardProfile(reverse_bytes=True),
        "w26": CardProfile(wiegand=26),
        "w26-reversed": CardProfile(wiegand=26, reverse_bytes=True),
        "w34": CardProfile(wiegand=34),
        "w34-reversed": CardProfile(wiegand=34, reverse_bytes=True),
        "dec": CardProfile(radix="dec"),
        "dec-reversed": CardProfile(radix="dec", reverse_bytes=True),
        "3+5": CardProfile(radix="3+5"),
        "3+5-reversed": CardProfile(radix="3+5", reverse_bytes=True),
    }
)
"""Profiles by name, for the commonest cardreaders; numbers of w34 and dec count as cut until ``whole`` says otherwise."""

_FIELDS: Mapping[str, type] = MappingProxyType(
    {
        "reverse_bytes": bool, "radix": str, "wiegand": int, "skip": int, "tail": int, "number_bytes": int, "whole": bool,
        "end": str, "facility": int,
    }
)  # fmt: skip
assert set(_FIELDS) == {each.name for each in fields(CardProfile)}


@dataclass(frozen=True, slots=True)
class CardToken:
    """What a read stands for. ``truncated``: only cards of the branch's own library may be meant. ``token`` stays out of ``repr``."""

    token: str = field(repr=False)
    kind: TokenKind
    truncated: bool


def profile_of(options: Mapping[str, Any]) -> CardProfile:
    """The profile in a device's options; raises CardError CARD_PROFILE saying what is wrong with them."""
    reverse, card = options.get("reverse_bytes"), options.get("card")
    if reverse is not None and card is not None:
        raise CardError("CARD_PROFILE", "give reverse_bytes or card, not both: card may hold reverse_bytes")
    if card is None:
        card = {} if reverse is None else {"reverse_bytes": reverse}
    if isinstance(card, str):
        if card not in PROFILES:
            raise CardError("CARD_PROFILE", f"no card profile of that name; known: {', '.join(PROFILES)}")
        return PROFILES[card]
    if not isinstance(card, Mapping):
        raise CardError("CARD_PROFILE", "card is a name or a table")
    for name, value in card.items():
        kind = _FIELDS.get(name)
        if kind is None:
            raise CardError("CARD_PROFILE", f"a card profile has no {name}; known: {', '.join(_FIELDS)}")
        if type(value) is not kind:  # a bool is no int here
            raise CardError("CARD_PROFILE", f"{name} is {_WORDS[kind]}")
    return CardProfile(**card)


_WORDS = {bool: "true or false", int: "a whole number", str: "a text"}


def card_token(site_key: bytes, profile: CardProfile, read: CardRead) -> CardToken:
    """The token of a read at this library; raises CardError for what cannot be a card (its ``code`` is stable)."""
    card = profile.canonical(read.raw, read.bits, read.format)
    return CardToken(token(site_key, card.kind, card.value), card.kind, card.truncated)
