"""The hub's answer to ``block``: a kiosk blocks a reader at its own library, and lifts what a kiosk of that library set.

The text is the library's own: it stands beside the block for its staff, and no event, replica or other library has it (domain M12).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.events import Kind
from consortium.stages import block_codes
from hub.decide import asked
from hub.decide.facts import Person, person_called
from hub.decide.once import Once
from hub.devices.nodes import Node
from hub.ingest import HubEvent, Ingest
from hub.spread.service import Spread
from hub.store.engine import Store
from hub.store.reads import ask
from hub.store.schema import blocks

KIOSK = "KIOSK"
"""The kind of a block that a kiosk set."""

MAX_TEXT = 200
_ACTIONS = ("BORROW", "HOLD", "RENEW")  # whom a kiosk blocks may still come in and hand in


class Blocking:
    """Answers block."""

    def __init__(
        self,
        store: Store,
        ingest: Ingest,
        spread: Spread,
        clock: Callable[[], int],
        *,
        new_id: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._store = store
        self._ingest = ingest
        self._spread = spread
        self._clock = clock
        self._new_id = new_id

    async def block(self, node: Node, data: Mapping[str, Any]) -> dict[str, Any]:
        """Set a block (``enable`` false), or lift what kiosks of this library set (true). Doing either again changes nothing.

        Raises asked.BadRequest REQUEST_FIELD, TRANSACTION_REUSED.
        """
        branch, device = asked.text(data, "branch", 32), asked.text(data, "device")
        srid, enable = asked.text(data, "srid"), data.get("enable")
        if not isinstance(enable, bool):
            raise asked.BadRequest("REQUEST_FIELD", "enable is true or false")
        reason = asked.text(data, "text", MAX_TEXT) if data.get("text") not in (None, "") else ""
        if data.get("retained") is True:
            reason = f"[card retained] {reason}".strip()
        once = Once(node.node, "block", data)
        now = self._clock()
        async with self._store.write() as conn:
            before = await once.before(conn)
            if before is not None:
                return before
            person = await ask(conn, person_called(node.org, srid, now))
            if branch != node.branch or person is None:
                return {"ok": False, "codes": ["DEVICE_UNAUTHORISED" if person is not None else "CARD_UNKNOWN"]}
            rid = person.record.rid
            set_ = await _set_by_kiosks(conn, rid, node.org, now)
            born: list[HubEvent] = []
            if enable:
                await conn.execute(update(blocks).where(blocks.c.id.in_(set_)).values(to_ms=now))
                born = [HubEvent(Kind.BLOCK_LIFTED, branch, device, {"block": name}, rid) for name in set_]
            elif not set_:
                born = [await self._write(conn, node.org, branch, device, rid, reason, now)]
            committed = await self._ingest.record(conn, born)
            if born:
                await self._spread.changed(conn, loans_of=[rid])
            answer = {"ok": True, "codes": await _standing(conn, node.org, srid, now) if enable else ["OK"]}
            await once.keep(conn, answer, now)
        self._ingest.tell(committed)
        self._spread.poke()
        return answer

    async def _write(
        self, conn: AsyncConnection, org: str, branch: str, device: str, rid: str, reason: str, now: int
    ) -> HubEvent:
        row: dict[str, Any] = {
            "id": self._new_id(), "rid": rid, "issuer": org, "scope": "issuer", "kind": KIOSK, "actions": list(_ACTIONS),
            "from_ms": now, "to_ms": None, "reason": reason,
        }  # fmt: skip
        await conn.execute(insert(blocks), row)
        said = {"block": row["id"], **{name: row[name] for name in ("issuer", "scope", "actions", "kind", "from_ms")}}
        return HubEvent(Kind.BLOCK_SET, branch, device, said, rid)


async def _set_by_kiosks(conn: AsyncConnection, rid: str, org: str, now: int) -> list[str]:
    query = select(blocks.c.id).where(
        blocks.c.rid == rid,
        blocks.c.issuer == org,
        blocks.c.kind == KIOSK,
        blocks.c.to_ms.is_(None) | (blocks.c.to_ms > now),
    )
    return list((await conn.execute(query.order_by(blocks.c.id))).scalars())


async def _standing(conn: AsyncConnection, org: str, srid: str, now: int) -> list[str]:
    """What still stops the reader here after kiosks' blocks were lifted, OK where nothing does."""
    person: Person | None = await ask(conn, person_called(org, srid, now))
    if person is None:
        return ["OK"]
    return block_codes(person.record.blocks_at(org), "BORROW", person.record.home, org, now) or ["OK"]
