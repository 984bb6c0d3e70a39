"""Reader numbers on disk: sealed, so that a stolen disk names nobody."""

from __future__ import annotations

import os
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE = 12


class Sealer:
    """AES-256-GCM under a key of its own, derived from the site's key (HKDF-SHA256); bound to whom the number belongs."""

    def __init__(self, site_key: bytes, random: Callable[[int], bytes] = os.urandom) -> None:
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"tongjie edge ils numbers v1").derive(site_key)
        self._aead = AESGCM(key)
        self._random = random

    def seal(self, srid: str, number: str) -> bytes:
        """The number, readable for this site and this reader only."""
        nonce = self._random(_NONCE)
        return nonce + self._aead.encrypt(nonce, number.encode(), srid.encode())

    def open(self, srid: str, sealed: bytes) -> str | None:
        """The number; None where it was sealed under another site's key or for another reader."""
        try:
            return self._aead.decrypt(sealed[:_NONCE], sealed[_NONCE:], srid.encode()).decode()
        except (InvalidTag, ValueError):
            return None
