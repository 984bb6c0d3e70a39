"""Sealed bundles for tests: one consortium key that everybody trusts, one that nobody does."""

from __future__ import annotations

from consortium.bundle import Bundle, to_json
from consortium.seal import Trust, public_key, seal, to_text

KEY = bytes(range(32, 64))
STRANGER = bytes(range(64, 96))
TRUST = Trust((public_key(KEY),))


def sealed(bundle: Bundle, key: bytes = KEY) -> str:
    """The bundle as the hub spreads it."""
    return sealed_text(to_json(bundle), key)


def sealed_text(body: str, key: bytes = KEY) -> str:
    """The same for a text, be it a bundle or not."""
    return to_text(seal(body, key))
