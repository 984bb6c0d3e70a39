"""Snapshots for the edges: the bulk that a replica manifest names, with Range (design §4.3)."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, Response

from hub.api.problems import Problem, documented
from hub.api.services import bearer, services_of
from hub.auth.tokens import node_of_token

__all__ = ["router"]

router = APIRouter()


@router.get(
    "/replica/{org}/snapshot",
    tags=["replica"],
    response_class=FileResponse,
    responses={200: {"content": {"application/gzip": {}}}, 206: {"description": "Part"}, **documented(401, 404, 416)},
)
async def snapshot(request: Request, org: str) -> Response:
    """The library's replica as gzip of JSON lines, for one of that library's nodes and its token."""
    hub = services_of(request)
    token = bearer(request)
    async with hub.worker.store.read() as conn:
        found = await node_of_token(conn, token) if token else None
    if found is None:
        raise Problem(401, "NODE_TOKEN_INVALID", "Send this node's own token.", headers={"www-authenticate": "Bearer"})
    node, own = found
    if own != org:
        raise Problem(404, "NOT_FOUND", "This node belongs to another library.")
    try:
        built = await hub.worker.spread.snapshot(org, node)
    except KeyError:
        raise Problem(404, "NOT_FOUND", "No replica is kept for this library.") from None
    manifest = built.manifest
    headers = {
        "cache-control": "no-store",
        "x-replica-generation": str(manifest["generation"]),
        "x-replica-version": str(manifest["version"]),
        "x-replica-sha256": str(manifest["sha256"]),
    }
    return FileResponse(built.path, media_type="application/gzip", headers=headers)
