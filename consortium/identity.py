"""Identifiers: item keys, card tokens, site reader ids, event ids (domain §1).

An edge never sees a card's number or a reader's consortium id: it sees ``token`` and ``srid``, both HMACs under the
key of its library, so that what two libraries hold cannot be joined.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import uuid
from dataclasses import dataclass
from enum import StrEnum

_ORG = re.compile(r"[0-9A-Za-z]{1,16}")
_BRANCH = re.compile(r"[0-9A-Za-z]{1,16}-[0-9A-Za-z]{1,8}")
_NODE = re.compile(r"[a-z0-9-]{1,64}")
_NAMESPACE = uuid.UUID("5a0f1c52-6a2f-5d3e-9a51-7f0a5c0d4c11")

MAX_NUMBER = 64
"""Longest item or reader number accepted anywhere, in characters."""


class IdentityError(ValueError):
    """An identifier that cannot be one; ``code`` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class TokenKind(StrEnum):
    """What kind of bytes a card token was made from; the kind is part of the HMAC."""

    UID = "UID"
    CARD_NO = "CARD_NO"
    QR = "QR"
    READER_NO = "READER_NO"


@dataclass(frozen=True, slots=True, order=True)
class ItemKey:
    """One physical item: the org that owns it and its number there. A bare barcode is never a key."""

    owner: str
    item_no: str

    def __post_init__(self) -> None:
        if not self.owner or not self.item_no or len(self.item_no) > MAX_NUMBER:
            raise IdentityError(
                "ITEM_KEY_INVALID", f"an item needs an owner and a number of 1..{MAX_NUMBER} characters"
            )

    def __str__(self) -> str:
        return f"{self.owner}/{self.item_no}"


@dataclass(frozen=True, slots=True, order=True)
class EventId:
    """(node, epoch, seq): unique for ever, ordered within its node."""

    node: str
    epoch: str
    seq: int

    def __str__(self) -> str:
        return f"{self.node}/{self.epoch}/{self.seq}"

    @classmethod
    def parse(cls, text: str) -> EventId:
        """Read what ``str`` wrote; raises IdentityError EVENT_ID_INVALID."""
        try:
            node, epoch, seq = text.split("/")
            return cls(node, epoch, int(seq))
        except ValueError as error:
            raise IdentityError("EVENT_ID_INVALID", "an event id is NODE/EPOCH/SEQ") from error

    def as_uuid(self) -> uuid.UUID:
        """UUIDv5 of the id, for the world outside."""
        return uuid.uuid5(_NAMESPACE, str(self))


def check_org(org: str) -> str:
    """Return ``org`` if it has the form of a library code; raises IdentityError ORG_INVALID."""
    if not _ORG.fullmatch(org):
        raise IdentityError("ORG_INVALID", "a library code has 1 to 16 letters or digits")
    return org


def check_branch(branch: str) -> str:
    """Return ``branch`` if it is ``ORG-LOCAL``; raises IdentityError BRANCH_INVALID."""
    if not _BRANCH.fullmatch(branch):
        raise IdentityError("BRANCH_INVALID", "a branch id is ORG-CODE, for example 251020-01")
    return branch


def check_node(node: str) -> str:
    """Return ``node`` if it may stand in a topic; raises IdentityError NODE_INVALID."""
    if not _NODE.fullmatch(node):
        raise IdentityError("NODE_INVALID", "a node id has 1 to 64 lower-case letters, digits or hyphens")
    return node


def org_of_branch(branch: str) -> str:
    """The library a branch belongs to."""
    return branch.split("-", 1)[0]


def canonical_uid(text: str) -> bytes:
    """Canonical bytes of a chip number written in hex; raises IdentityError UID_INVALID."""
    try:
        raw = bytes.fromhex(text.replace(":", "").replace(" ", ""))
    except ValueError as error:
        raise IdentityError("UID_INVALID", "a UID is written in hex digits") from error
    if not 4 <= len(raw) <= 16:
        raise IdentityError("UID_INVALID", "a UID has 4 to 16 bytes")
    return raw


def _mac(key: bytes, *parts: bytes) -> str:
    return hmac.digest(key, b"\x1f".join(parts), "sha256").hex()


def site_key(master: bytes, org: str) -> bytes:
    """The 32-byte key of one library, derived from the hub's master key."""
    return hmac.digest(master, b"tongjie-site\x1f" + org.encode(), "sha256")


def token(key: bytes, kind: TokenKind, canonical: bytes) -> str:
    """Site-keyed token of a card, number or code: 64 hex digits."""
    return _mac(key, kind.value.encode(), canonical)


def srid(key: bytes, rid: str) -> str:
    """The reader's id at one library: 32 hex digits."""
    return _mac(key, b"RID", rid.encode())[:32]


def subject(salt: str, site_reader_id: str) -> str:
    """The commitment to a reader that stands inside a signed body; (salt, srid) beside it can be erased."""
    return hashlib.sha256(f"{salt}\x1f{site_reader_id}".encode()).hexdigest()


def chain(previous: str, body: str) -> str:
    """Hash of an event in its node's chain: over the hash before it and the exact UTF-8 bytes of its body."""
    return hashlib.sha256(previous.encode() + b"\n" + body.encode()).hexdigest()


CHAIN_START = "0" * 64
"""What the first event of an epoch chains to."""
