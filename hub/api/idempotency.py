"""``Idempotency-Key``: a write repeated with its key is answered as the first time; with another body it is refused."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any

from fastapi import Header
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.api.problems import Problem
from hub.auth.access import Access
from hub.store.schema import audit, idempotency

__all__ = ["IdempotencyKey", "answered_before", "body_hash", "remember", "write_audit"]

IdempotencyKey = Annotated[
    str | None,
    Header(min_length=1, max_length=128, description="Repeat the request with the same key and it happens once."),
]


def body_hash(operation: str, body: dict[str, Any]) -> str:
    """What the key stands for: the operation and its body, whatever the order of its fields."""
    text = json.dumps([operation, body], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


async def answered_before(
    conn: AsyncConnection, access: Access, key: str | None, hashed: str
) -> tuple[int, dict[str, Any] | None] | None:
    """(status, body) of the first answer to this key, None where it is new. Raises Problem 409 IDEMPOTENCY_CONFLICT."""
    if key is None:
        return None
    where = (idempotency.c.who == access.actor, idempotency.c.key == key)
    row = (await conn.execute(select(idempotency).where(*where))).one_or_none()
    if row is None:
        return None
    if row.body_hash != hashed:
        raise Problem(409, "IDEMPOTENCY_CONFLICT", "This Idempotency-Key was used for another request; make a new one.")
    return row.status, json.loads(row.response)


async def remember(
    conn: AsyncConnection,
    access: Access,
    key: str | None,
    hashed: str,
    status: int,
    body: dict[str, Any] | None,
    now: int,
) -> None:
    """Keep the answer beside what it did, in the same transaction."""
    if key is None:
        return
    row = {
        "key": key,
        "who": access.actor,
        "body_hash": hashed,
        "status": status,
        "response": json.dumps(body),
        "t": now,
    }
    await conn.execute(insert(idempotency), row)


async def write_audit(conn: AsyncConnection, access: Access, action: str, object_: str, note: str, now: int) -> None:
    """Write down who did what, in the transaction that does it."""
    row = {"t": now, "actor": access.actor, "action": action, "object": object_, "note": note[:500]}
    await conn.execute(insert(audit), row)
