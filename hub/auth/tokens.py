"""API tokens: ``tj_`` and 32 random bytes, shown once; the hub keeps the SHA-256 (platform §9)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.auth.access import SCOPES, Access
from hub.store.schema import api_tokens, nodes

__all__ = ["PREFIX", "access_of_token", "node_of_token", "token_hash", "token_text"]

PREFIX = "tj_"
_FORM = re.compile(r"[\x21-\x7e]{8,256}")


def token_text(entropy: bytes) -> str:
    """The token made of these 32 random bytes. Raises ValueError for another length."""
    if len(entropy) != 32:
        raise ValueError("a token needs 32 random bytes")
    return PREFIX + base64.urlsafe_b64encode(entropy).rstrip(b"=").decode()


def token_hash(token: str) -> str:
    """What is kept of a token: SHA-256 in hex. The token has 256 random bits, so that no slower hash is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


async def access_of_token(conn: AsyncConnection, token: str, now: int) -> Access | None:
    """The access an API token gives at ``now`` (ms UTC); None for a token that is unknown, revoked or expired."""
    if not token.startswith(PREFIX) or not _FORM.fullmatch(token):
        return None
    wanted = token_hash(token)
    row = (await conn.execute(select(api_tokens).where(api_tokens.c.token_hash == wanted))).one_or_none()
    if row is None or not hmac.compare_digest(row.token_hash, wanted):
        return None
    if row.expires_ms is not None and now >= row.expires_ms:
        return None
    granted = frozenset(SCOPES) if "*" in row.scopes else frozenset(row.scopes) & SCOPES.keys()
    return Access(actor=f"token:{row.id}", library=row.library, scopes=granted)


async def node_of_token(conn: AsyncConnection, token: str) -> tuple[str, str] | None:
    """(node, org) of the edge that holds this node token; None where no node does."""
    if not _FORM.fullmatch(token):
        return None
    wanted = token_hash(token)
    query = select(nodes.c.node, nodes.c.org, nodes.c.token_hash).where(nodes.c.token_hash == wanted)
    row = (await conn.execute(query)).first()
    if row is None or not hmac.compare_digest(row.token_hash, wanted):
        return None
    return row.node, row.org
