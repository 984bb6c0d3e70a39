"""I15: no event outside the vault holds a chip number or a reader number (domain §7, M18).

A body is cut into its runs of letters and digits, whatever stands between them, and these are looked up: two million numbers cost no
more than ten. What is found is then looked at again with the item's own number left out, which may happen to equal a reader's.
"""

from __future__ import annotations

import json
import re
from typing import Any

from consortium.invariants.finding import Finding, Offences
from consortium.invariants.history import LoggedRow

SHORTEST = 4
"""Shorter numbers cannot be told from counts and codes."""

_WORDS = bytes(ord(chr(code).lower()) if code < 128 and chr(code).isalnum() else 0x20 for code in range(256))
"""Translation of a body's bytes: letters and digits of ASCII stay, small; everything else, other scripts too, parts words."""


class NoNumbers:
    """I15, over logged and quarantined bodies alike. ``secrets`` None: there is no vault to look in."""

    def __init__(self, secrets: frozenset[str] | None) -> None:
        self._out = Offences("I15")
        self._index: dict[bytes, str | list[str]] = {}
        self._odd: list[str] = []
        for secret in secrets or ():
            self._learn(secret.lower())
        self._words = self._index.keys()
        if secrets is None:
            self._out.not_checked = "there is no vault here to know the numbers from"
        elif not self._index and not self._odd:
            self._out.not_checked = "the vault holds no number"

    def _learn(self, secret: str) -> None:
        parts = secret.encode("utf-8", "replace").translate(_WORDS).split()
        longest = max(parts, key=len, default=b"")
        if len(longest) < SHORTEST:
            if len(secret) >= SHORTEST:
                self._odd.append(secret)
            return
        known = self._index.get(longest)
        if known is None:
            self._index[longest] = secret  # nearly always alone: a list each would cost more than the numbers
        else:
            self._index[longest] = [*([known] if isinstance(known, str) else known), secret]

    def see(self, row: LoggedRow) -> None:
        """Look at one body."""
        self._out.checked += 1
        words = row.body.encode("utf-8", "replace").translate(_WORDS).split()
        if self._words.isdisjoint(words) and not self._odd:
            return
        suspects = set(self._odd)
        for word in words:
            known = self._index.get(word, ())
            suspects.update([known] if isinstance(known, str) else known)
        for text in _texts(row.body):
            if any(_stands_in(secret, text) for secret in suspects):
                # Which number it is must not be printed in a report either.
                self._out.add(row.id, "holds a chip number or reader number of the vault")
                return

    def result(self) -> Finding:
        """What was found."""
        return self._out.finding()


def _stands_in(secret: str, text: str) -> bool:
    return re.search(rf"(?<![0-9a-z]){re.escape(secret)}(?![0-9a-z])", text) is not None


def _texts(body: str) -> list[str]:
    """All texts of a body in small letters, its item's number left out; the whole body where it is no JSON."""
    try:
        raw = json.loads(body)
    except (ValueError, RecursionError):
        return [body.lower()]
    found: list[str] = []
    _gather(raw, found)
    return found


def _gather(value: Any, found: list[str]) -> None:
    if isinstance(value, str):
        found.append(value.lower())
    elif isinstance(value, dict):
        for key, item in value.items():
            found.append(key.lower())
            if key == "item_no" or (key == "item" and isinstance(item, list)):
                continue
            _gather(item, found)
    elif isinstance(value, list):
        for item in value:
            _gather(item, found)
