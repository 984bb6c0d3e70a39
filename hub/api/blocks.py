"""Setting and lifting blocks: the row, the hub-born event, the replicas and the audit in one transaction."""

from __future__ import annotations

import secrets
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import and_, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import JSONResponse, Response

from consortium.bundle import Policy
from consortium.events import Kind
from hub.api.forms import ms_of
from hub.api.idempotency import IdempotencyKey, answered_before, body_hash, remember, write_audit
from hub.api.lists import one
from hub.api.problems import Problem, documented
from hub.api.resources import BLOCKS
from hub.api.resources.base import at_branch_of
from hub.api.schemas import BlockOut
from hub.api.services import Writes
from hub.auth.access import Access
from hub.ingest import HubEvent
from hub.store import schema as t

__all__ = ["router"]

router = APIRouter(tags=["blocks"])

Moment = Annotated[str | None, Field(max_length=40, json_schema_extra={"format": "date-time"})]


class ReaderByNumber(BaseModel):
    """A reader by library and number."""

    model_config = ConfigDict(extra="forbid")

    library: str = Field(min_length=1, max_length=16)
    reader_no: str = Field(min_length=1, max_length=64)


class NewBlock(BaseModel):
    """A block to set. ``scope`` issuer: at the issuer's branches; consortium: everywhere, for consortium staff only.

    ``kind`` says what the issuer's own machines tell the reader; ``reason`` is the issuer's alone and leaves the hub to nobody else.
    """

    model_config = ConfigDict(extra="forbid")

    rid: str | None = Field(default=None, min_length=1, max_length=32)
    reader: ReaderByNumber | None = None
    issuer: str | None = Field(default=None, min_length=1, max_length=16, description="absent = your own library")
    scope: Literal["issuer", "consortium"] = "issuer"
    kind: Literal["", "OVERDUE", "FEES"] = ""
    actions: list[Literal["ENTER", "BORROW", "RENEW", "HOLD"]] = Field(min_length=1, max_length=4)
    from_time: Moment = None
    to_time: Moment = None
    reason: str = Field(default="", max_length=500)

    @model_validator(mode="after")
    def _one_reader(self) -> NewBlock:
        if (self.rid is None) == (self.reader is None):
            raise ValueError("give either rid or reader")
        return self


def _issuer(access: Access, wanted: NewBlock, policy: Policy | None) -> str:
    issuer = wanted.issuer or (None if access.everywhere else access.library)
    if issuer is None:
        raise Problem(422, "ISSUER_NEEDED", "Say which library sets the block: issuer.")
    if not access.within(issuer):
        raise Problem(403, "ISSUER_FOREIGN", "A library sets its own blocks only.")
    if wanted.scope == "consortium" and not access.everywhere:
        raise Problem(403, "SCOPE_CONSORTIUM", "Only the consortium's staff stop a reader everywhere.")
    if policy is None or issuer not in policy.libraries:
        raise Problem(422, "ISSUER_UNKNOWN", "No library of that code is in the policy.")
    return issuer


async def _rid(conn: AsyncConnection, access: Access, wanted: NewBlock) -> str:
    """The reader meant: one of the library's own, or one who was at its branches. Raises Problem 404."""
    if wanted.reader is not None:
        match = and_(t.readers.c.home == wanted.reader.library, t.readers.c.reader_no == wanted.reader.reader_no)
    else:
        match = t.readers.c.rid == wanted.rid
    if not access.everywhere:
        guests = select(t.visits.c.rid).where(at_branch_of(t.visits.c.branch, access.library))
        borrowers = select(t.loans.c.rid).where(t.loans.c.lender == access.library)
        match = and_(
            match, or_(t.readers.c.home == access.library, t.readers.c.rid.in_(guests), t.readers.c.rid.in_(borrowers))
        )
    rid = (await conn.execute(select(t.readers.c.rid).where(match))).scalar_one_or_none()
    if rid is None:
        raise Problem(404, "READER_NOT_FOUND", "No such reader exists for you.")
    return str(rid)


def _branch_of(policy: Policy | None, library: str) -> str:
    """Where an event that no branch gave rise to is booked: the library's first branch."""
    own = sorted(branch.id for branch in policy.bundle.branches if branch.org == library) if policy else []
    if not own:
        raise Problem(422, "ISSUER_UNKNOWN", "That library has no branch in the policy.")
    return own[0]


@router.post("/blocks", status_code=201, response_model=BlockOut, responses=documented(401, 403, 404, 409, 422))
async def set_block(ask: Writes, wanted: NewBlock, idempotency_key: IdempotencyKey = None) -> Response:
    """Set a block; every branch that knows the reader learns of it at once."""
    from_ms = 0 if wanted.from_time is None else ms_of(wanted.from_time, "from_time")
    to_ms = None if wanted.to_time is None else ms_of(wanted.to_time, "to_time")
    if from_ms < 0 or (to_ms is not None and to_ms <= max(from_ms, ask.now)):
        raise Problem(422, "TIME_PAST", "The block has to end after it begins, and after now.")
    worker = ask.hub.worker
    hashed = body_hash("POST blocks", wanted.model_dump())
    async with worker.store.write() as conn:
        before = await answered_before(conn, ask.access, idempotency_key, hashed)
        if before is not None:
            return JSONResponse(before[1], before[0])
        policy = ask.hub.policy
        issuer = _issuer(ask.access, wanted, policy)
        rid = await _rid(conn, ask.access, wanted)
        row: dict[str, Any] = {
            "id": secrets.token_hex(8),
            "rid": rid,
            "issuer": issuer,
            "scope": wanted.scope,
            "kind": wanted.kind,
            "actions": sorted(set(wanted.actions)),
            "from_ms": from_ms,
            "to_ms": to_ms,
            "reason": wanted.reason,
        }
        await conn.execute(insert(t.blocks), row)
        said = {"block": row["id"], **{name: row[name] for name in ("issuer", "scope", "actions", "kind", "from_ms")}}
        if to_ms is not None:
            said["to_ms"] = to_ms
        born = HubEvent(Kind.BLOCK_SET, _branch_of(policy, issuer), "hub", said, rid)
        committed = await worker.ingest.record(conn, [born])
        await worker.spread.changed(conn, loans_of=[rid])
        await write_audit(conn, ask.access, "block.set", row["id"], f"{issuer} {wanted.scope}", ask.now)
        out = await one(conn, BLOCKS, ask.access, (row["id"],), ask.now)
        await remember(conn, ask.access, idempotency_key, hashed, 201, out, ask.now)
    worker.ingest.tell(committed)
    worker.spread.poke()
    return JSONResponse(out, 201)


@router.delete("/blocks/{id}", status_code=204, responses=documented(401, 403, 404, 409))
async def lift_block(ask: Writes, id: str, idempotency_key: IdempotencyKey = None) -> Response:
    """Lift a block from now on. Lifting it again, or one that is over, changes nothing."""
    worker = ask.hub.worker
    hashed = body_hash("DELETE blocks", {"id": id})
    committed = None
    async with worker.store.write() as conn:
        before = await answered_before(conn, ask.access, idempotency_key, hashed)
        if before is not None:
            return Response(status_code=before[0])
        await one(conn, BLOCKS, ask.access, (id,), ask.now)
        row = (await conn.execute(select(t.blocks).where(t.blocks.c.id == id))).one()
        if not ask.access.within(row.issuer) or (row.scope == "consortium" and not ask.access.everywhere):
            raise Problem(403, "ISSUER_FOREIGN", "A block is lifted by who set it.")
        if row.to_ms is None or row.to_ms > ask.now:
            ended = update(t.blocks).where(t.blocks.c.id == id).values(to_ms=ask.now)
            await conn.execute(ended)
            policy = ask.hub.policy
            branch = _branch_of(policy, row.issuer)
            committed = await worker.ingest.record(
                conn, [HubEvent(Kind.BLOCK_LIFTED, branch, "hub", {"block": id}, row.rid)]
            )
            await worker.spread.changed(conn, loans_of=[row.rid])
            await write_audit(conn, ask.access, "block.lift", id, row.issuer, ask.now)
        await remember(conn, ask.access, idempotency_key, hashed, 204, None, ask.now)
    if committed is not None:
        worker.ingest.tell(committed)
        worker.spread.poke()
    return Response(status_code=204)
