"""What is done once: a transaction of a node gets its first answer, however often it is asked (kiosks repeat what they lost)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.decide import asked
from hub.store.engine import execute_rows, insert
from hub.store.schema import answered

_BY_NAME = answered.c.node, answered.c.name, answered.c.txn
_CHANGING = frozenset({"deadline_at", "t"})  # a repeat has another deadline


class Once:
    """One transaction of one node. ``name`` "" = the request named none and is done as often as it is asked."""

    __slots__ = ("_hash", "_key")

    def __init__(self, node: str, request: str, data: Mapping[str, Any], *, needed: bool = False) -> None:
        """Raises asked.BadRequest REQUEST_FIELD for a transaction that is none, or where one is needed and missing."""
        given = data.get("transaction")
        name = "" if given in (None, "") and not needed else asked.text(data, "transaction")
        self._key = (node, request, name)
        said = {key: value for key, value in data.items() if key not in _CHANGING}
        self._hash = hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()

    async def before(self, conn: AsyncConnection) -> dict[str, Any] | None:
        """The answer given before, None where this is the first time.

        Raises asked.BadRequest TRANSACTION_REUSED where something else was asked under the same name.
        """
        if not self._key[2]:
            return None
        query = select(answered.c.body_hash, answered.c.answer)
        for column, value in zip(_BY_NAME, self._key, strict=True):
            query = query.where(column == value)
        row = (await conn.execute(query)).one_or_none()
        if row is None:
            return None
        if not hmac.compare_digest(row.body_hash, self._hash):
            raise asked.BadRequest("TRANSACTION_REUSED", "this transaction was another request before")
        answer: dict[str, Any] = msgspec.json.decode(row.answer)
        return answer

    async def keep(self, conn: AsyncConnection, answer: Mapping[str, Any], now: int) -> None:
        """Keep the answer, in the transaction that did what was asked."""
        node, request, name = self._key
        if name:
            row = {
                "node": node, "name": request, "txn": name, "body_hash": self._hash,
                "answer": msgspec.json.encode(answer).decode(), "t": now,
            }  # fmt: skip
            await execute_rows(conn, insert(conn, answered), [row])
