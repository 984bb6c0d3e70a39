"""API tokens and the audit of what was changed."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import delete, insert
from starlette.responses import JSONResponse, Response

from hub.api.forms import ms_of
from hub.api.idempotency import IdempotencyKey, answered_before, body_hash, remember, write_audit
from hub.api.lists import fetch, one, parse_query
from hub.api.problems import Problem, documented
from hub.api.reads import add_list
from hub.api.resources import API_TOKENS, AUDIT
from hub.api.schemas import ApiTokenOut, NewApiTokenOut
from hub.api.services import Administers, AdministersWrites
from hub.auth.tokens import token_hash, token_text
from hub.store.schema import api_tokens

__all__ = ["router"]

router = APIRouter()


async def _list_tokens(ask: Administers, request: Request) -> Any:
    query = parse_query(API_TOKENS, request.query_params.multi_items())
    return asdict(await fetch(ask.conn, API_TOKENS, ask.access, query, ask.now))


async def _list_audit(ask: Administers, request: Request) -> Any:
    query = parse_query(AUDIT, request.query_params.multi_items())
    return asdict(await fetch(ask.conn, AUDIT, ask.access, query, ask.now))


add_list(router, API_TOKENS, _list_tokens)
add_list(router, AUDIT, _list_audit)


class NewApiToken(BaseModel):
    """A token to make. It can reach no further than who makes it; ``expires`` is RFC 3339, absent = until revoked."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=64)
    scopes: list[Literal["read", "decide", "write", "admin"]] = Field(min_length=1, max_length=4)
    library: str | None = Field(default=None, max_length=16, description="`*` for all; absent = your own")
    expires: Annotated[str | None, Field(max_length=40, json_schema_extra={"format": "date-time"})] = None


@router.post(
    "/api-tokens", status_code=201, response_model=NewApiTokenOut, tags=["api-tokens"],
    responses=documented(401, 403, 409, 422),
)  # fmt: skip
async def make_token(ask: AdministersWrites, wanted: NewApiToken, idempotency_key: IdempotencyKey = None) -> Response:
    """Make a token; its secret is in this answer and nowhere else."""
    library = wanted.library or ask.access.library
    scopes = sorted(set(wanted.scopes))
    expires = None if wanted.expires is None else ms_of(wanted.expires, "expires")
    if not ask.access.could_grant(scopes, library):
        raise Problem(403, "GRANT_TOO_WIDE", "A token reaches no further than who makes it.")
    if expires is not None and expires <= ask.now:
        raise Problem(422, "TIME_PAST", "expires lies in the past.")
    hashed = body_hash("POST api-tokens", wanted.model_dump())
    async with ask.hub.worker.store.write() as conn:
        before = await answered_before(conn, ask.access, idempotency_key, hashed)
        if before is not None:
            return JSONResponse(before[1], before[0])
        secret = token_text(secrets.token_bytes(32))
        row: dict[str, Any] = {
            "id": secrets.token_hex(8),
            "name": wanted.name,
            "token_hash": token_hash(secret),
            "scopes": scopes,
            "library": library,
            "created_ms": ask.now,
            "expires_ms": expires,
        }
        await conn.execute(insert(api_tokens), row)
        out = await one(conn, API_TOKENS, ask.access, (row["id"],), ask.now)
        # What is kept for a repetition is the answer without its secret.
        await remember(conn, ask.access, idempotency_key, hashed, 201, {**out, "token": None}, ask.now)
        await write_audit(conn, ask.access, "api_token.create", out["id"], f"{library}: {', '.join(scopes)}", ask.now)
    return JSONResponse({**out, "token": secret}, 201, headers={"cache-control": "no-store"})


@router.get("/api-tokens/{id}", response_model=ApiTokenOut, tags=["api-tokens"], responses=documented(401, 403, 404))
async def one_token(ask: Administers, id: str) -> Any:
    """One token, without its secret."""
    return await one(ask.conn, API_TOKENS, ask.access, (id,), ask.now)


@router.delete("/api-tokens/{id}", status_code=204, tags=["api-tokens"], responses=documented(401, 403, 404))
async def revoke_token(ask: AdministersWrites, id: str) -> Response:
    """Revoke a token; the next request with it is refused."""
    async with ask.hub.worker.store.write() as conn:
        await one(conn, API_TOKENS, ask.access, (id,), ask.now)
        await conn.execute(delete(api_tokens).where(api_tokens.c.id == id))
        await write_audit(conn, ask.access, "api_token.revoke", id, "", ask.now)
    return Response(status_code=204)
